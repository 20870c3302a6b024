"""Rows of MMSA pickles: what audio and vision have a row for, told by where the rows in use end.

In aligned files MMSA's loader takes the number of ones in text_bert's mask for the length of audio and
vision, so that row i belongs to token i. Its extraction tool (MMSA-FET, `src/MSA_FET/dataset.py`) repeats a
word's row for each of its pieces, leaves the rows of [CLS] and [SEP] zero, and pads behind or, on request, in
front. Other files of the same form have a row a word, or streams of their own.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from msa_jax.errors import UserError

KINDS = ("tokens", "words", "stream")  # what `data.rows` may say
_ENDING = (
    0.6  # share of the clips that must end exactly where a reading says; streams often fall silent before
)
_BEYOND = 0.01  # share of the clips that may go beyond it
_BLOCK = 1 << 26  # bytes of an array that are compared at once


@dataclasses.dataclass(frozen=True)
class Rows:
    """What the rows of a file are, decided once for all its clips.

    Attributes:
      kind: one of `KINDS`.
      name: the same in a few words.
      front: whether the padding is in front.
      skip: rows that are missing in front of the first, where [CLS] has none.
      fitting, ending, clips: clips that do not go beyond the last token or word, clips that end exactly with
        it, and all that have rows; None where nothing was compared.
    """

    kind: str
    name: str
    front: bool = False
    skip: int = 0
    fitting: int | None = None
    ending: int | None = None
    clips: int | None = None

    def __str__(self) -> str:
        text = self.name + (", padded in front" if self.front else "")
        if self.clips is None:
            return text
        return f"{text}, {self.fitting} of {self.clips} clips ({self.ending} end with the last one)"

    def of_tokens(self, rows: np.ndarray, stop: int, count: int) -> np.ndarray:
        """Row i for token i, up to the last row in use; none where the stream is silent throughout.

        Args:
          rows: [L, d] as the file has them.
          stop: behind the last row that is not zero.
          count: tokens of the clip, special tokens included.
        """
        count = min(count - 2 * self.skip, len(rows))
        start = len(rows) - count if self.front else 0
        part = rows[start : min(start + count, stop)]
        return np.concatenate([np.zeros_like(rows[:1]), part]) if self.skip and len(part) else part

    def of_words(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Row i for word i; zeros behind where the text is longer than the array."""
        if count > len(rows):
            return np.pad(rows, ((0, count - len(rows)), (0, 0)))
        return rows[len(rows) - count :] if self.front else rows[:count]

    def holds_words(self, edges_S3: np.ndarray, count: int) -> bool:
        """Whether some row of a clip is in use and none beyond its words, by the `edges` of its streams."""
        return 0 < _lengths(edges_S3[None], self.front)[0] <= count


STREAM = Rows("stream", "a stream of their own")


def edges(values: object) -> np.ndarray:
    """Where each clip's rows are in use.

    Args:
      values: [N, L, d], or N matrices of any length.

    Returns:
      [N, 3] int: the first row that is not zero and the one behind the last (0 and 0 where all are), and L.
    """
    if isinstance(values, np.ndarray) and values.ndim == 3 and values.dtype != object:
        step = max(1, _BLOCK // max(1, values[:1].nbytes))
        blocks = (values[start : start + step].any(axis=2) for start in range(0, len(values), step))
        return np.concatenate([np.zeros((0, 3), int), *map(_edges, blocks)])
    found = [np.zeros((0, 3), int)]
    for rows in values:
        rows = np.asarray(rows)
        found.append(_edges((rows != 0).any(axis=1)[None]) if rows.size else np.array([[0, 0, len(rows)]]))
    return np.concatenate(found)


def _edges(used_NL: np.ndarray) -> np.ndarray:
    limit = used_NL.shape[1]
    some = used_NL.any(axis=1) if limit else np.zeros(len(used_NL), bool)
    first = used_NL.argmax(axis=1) if limit else some
    stop = limit - used_NL[:, ::-1].argmax(axis=1) if limit else some
    return np.stack([first * some, stop * some, np.full(len(used_NL), limit)], axis=1)


def decide(
    edges_NS3: np.ndarray,
    tokens: Sequence[int] | None,
    words: Sequence[int],
    *,
    asked: str | None,
    where: str,
) -> Rows:
    """Tells what the rows are, from counts over all clips of a file.

    The last row in use of a clip, the later one of its streams, is compared with the number of its tokens,
    with that less one ([SEP] is zero) and less two (special tokens have no rows), and with its words; with
    padding in front likewise from the other end. A reading fits where nearly no clip goes beyond it and most
    end exactly with it; of several that fit, the one that most clips end with is taken. Rows of zeros inside
    a clip do not matter.

    Args:
      edges_NS3: of each of N clips and each of its streams what `edges` says.
      tokens: of each clip the ones in text_bert's mask, [CLS] and [SEP] among them; None without text_bert.
      words: of each clip the words of its text.
      asked: one of `KINDS` where the user says which; then only how it is padded is told by the counts.
      where: what to call the file in a message.

    Returns:
      The reading; `STREAM` where the file has no text_bert and its rows are not words.

    Raises:
      UserError: with text_bert, where no reading fits.
    """
    if asked == "stream":
        return STREAM
    there = edges_NS3[..., 1].any(axis=1)
    used, words_N = edges_NS3[there], np.array(words, int)[there]
    found: list[tuple[Rows, int, int, bool]] = []
    for front in (False, True):
        lengths = _lengths(used, front)
        if tokens is not None:
            edge = (used[..., 1] == used[..., 2]) if front else (used[..., 0] == 0) & (used[..., 1] > 0)
            found += _token_readings(lengths, np.array(tokens, int)[there], edge.any(axis=1), front)
        expected = np.minimum(words_N, used[..., 2].max(axis=1))
        found.append((Rows("words", "words", front), *_compare(lengths, expected), True))
    clips = len(used)
    if asked:
        fitting = [reading for reading in found if reading[0].kind == asked]
    else:
        fitting = [r for r in found if r[3] and r[1] >= _ENDING * clips and r[2] <= _BEYOND * clips]
    if fitting and clips:
        rows, ending, beyond, _ = max(fitting, key=lambda reading: reading[1])
        return dataclasses.replace(rows, fitting=clips - beyond, ending=ending, clips=clips)
    if asked:
        return fitting[0][0]
    if tokens is None or not clips:
        return STREAM
    seen = ", ".join(f"{ending} end as {rows} would" for rows, ending, _, _ in found if ending)
    raise UserError(
        f"{where}: it is not clear what the rows of audio and vision belong to (of {clips} clips "
        f"{seen or 'none end with the last token or word'}); say what they are by --config.data.rows=tokens, "
        "words or stream (in Python: rows=...)"
    )


_NAMES = (
    "BERT tokens with [CLS] and [SEP]",
    "BERT tokens, [CLS] and [SEP] zero",
    "BERT tokens without [CLS] and [SEP]",
)


def _token_readings(
    lengths: np.ndarray, count: np.ndarray, edge: np.ndarray, front: bool
) -> list[tuple[Rows, int, int, bool]]:
    """(reading, clips that end with it, clips beyond it, whether it is possible at all)."""
    whole, (less, _) = _compare(lengths, count), _compare(lengths, count - 1)
    # In both readings row i is token i. Where some clips end with [SEP] and others just before, both count.
    name = _NAMES[0] if whole[0] >= less else _NAMES[1]
    least = np.sum(edge) >= _ENDING * len(edge)
    return [
        (Rows("tokens", name, front), whole[0] + less, whole[1], True),
        (Rows("tokens", _NAMES[2], front, skip=1), *_compare(lengths, count - 2), bool(least)),
    ]


def _compare(lengths: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
    return int(np.sum(lengths == expected)), int(np.sum(lengths > expected))


def _lengths(edges_NS3: np.ndarray, front: bool) -> np.ndarray:
    """Rows of each clip from the unpadded end to the last one in use, of the longest stream."""
    first, stop, limit = np.moveaxis(edges_NS3, -1, 0)
    lengths = np.where(stop > 0, limit - first, 0) if front else stop
    return lengths.max(axis=1)
