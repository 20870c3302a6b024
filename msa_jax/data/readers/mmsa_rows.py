"""Rows of MMSA pickles: what audio and vision have a row for, told by where the rows in use end.

In aligned files MMSA's loader takes the number of ones in text_bert's mask for the length of audio and
vision, so that row i belongs to token i. Its extraction tool (MMSA-FET, `src/MSA_FET/dataset.py`) repeats a
word's row for each of its pieces, leaves the rows of [CLS] and [SEP] zero, and pads behind or, on request, in
front. Other files of the same form have a row a word, or streams of their own.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from msa_jax.data.readers import padding
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

    def of_tokens(self, rows: np.ndarray, used: np.ndarray, count: int) -> np.ndarray:
        """Row i for token i, up to the last row in use; none where the stream is silent throughout.

        Args:
          rows: [L, d] as the file has them.
          used: [L] bool, those that are not zero.
          count: tokens of the clip, special tokens included.
        """
        count = min(count - 2 * self.skip, len(rows))
        part = slice(len(rows) - count, None) if self.front else slice(count)
        rows, used = rows[part], used[part]
        end = padding.stretch(used).stop
        if self.skip and end:
            return np.concatenate([np.zeros_like(rows[:1]), rows[:end]])
        return rows[:end]

    def of_words(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Row i for word i; zeros behind where the text is longer than the array."""
        if count > len(rows):
            return np.pad(rows, ((0, count - len(rows)), (0, 0)))
        return rows[len(rows) - count :] if self.front else rows[:count]

    def holds_words(self, used: Sequence[np.ndarray], count: int) -> bool:
        """Whether no row of a clip lies beyond its words, and some row is in use."""
        lengths = [_length(steps, self.front) for steps in used if len(steps)]
        return bool(lengths) and 0 < max(lengths) <= count


STREAM = Rows("stream", "a stream of their own")


def in_use(values: object) -> list[np.ndarray] | np.ndarray:
    """Which rows are not zero: [N, L] bool of an array [N, L, d], else a list of [L] for each clip."""
    if not isinstance(values, np.ndarray) or values.ndim != 3:
        return [
            np.any(np.asarray(rows) != 0, axis=1) if np.size(rows) else np.zeros(0, bool) for rows in values
        ]
    used = np.empty(values.shape[:2], bool)
    step = max(1, _BLOCK // max(1, values[:1].nbytes))
    for start in range(0, len(values), step):
        np.any(values[start : start + step], axis=2, out=used[start : start + step])
    return used


def decide(
    used: Sequence[Sequence[np.ndarray]],
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
      used: of each clip, for each of its streams, which rows are not zero; all of equal length L.
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
    there = [k for k, streams in enumerate(used) if any(steps.any() for steps in streams)]
    found = []
    for front in (False, True):
        lengths = np.array([max(_length(s, front) for s in used[k] if len(s)) for k in there], int)
        limits = np.array([max(len(s) for s in used[k]) for k in there], int)
        edge = np.array([any(s[-1 if front else 0] for s in used[k] if len(s)) for k in there], bool)
        if tokens is not None:
            count = np.array([tokens[k] for k in there], int)
            found += _token_readings(lengths, count, edge, front)
        expected = np.minimum(np.array([words[k] for k in there], int), limits)
        found.append((Rows("words", "words", front), *_compare(lengths, expected), True))
    chosen = [reading for reading in found if reading[0].kind == asked] if asked else found
    fitting = [
        r for r in chosen if asked or (r[3] and r[1] >= _ENDING * len(there) and r[2] <= _BEYOND * len(there))
    ]
    if fitting and there:
        rows, ending, beyond, _ = max(fitting, key=lambda reading: reading[1])
        return dataclasses.replace(rows, fitting=len(there) - beyond, ending=ending, clips=len(there))
    if asked:
        return Rows(asked, _NAMES[0] if asked == "tokens" else asked)
    if tokens is None or not there:
        return STREAM
    seen = ", ".join(f"{ending} as {rows}" for rows, ending, _, _ in found if ending)
    raise UserError(
        f"{where}: it is not clear what the rows of audio and vision belong to: of {len(there)} clips "
        f"{seen or 'none'} end where they should; say what they are by --config.data.rows=tokens, words or "
        "stream (in Python: rows=...)"
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
    least = np.mean(edge) >= _ENDING if len(edge) else False
    return [
        (Rows("tokens", name, front), whole[0] + less, whole[1], True),
        (Rows("tokens", _NAMES[2], front, skip=1), *_compare(lengths, count - 2), bool(least)),
    ]


def _compare(lengths: np.ndarray, expected: np.ndarray) -> tuple[int, int]:
    return int(np.sum(lengths == expected)), int(np.sum(lengths > expected))


def _length(used: np.ndarray, front: bool) -> int:
    """Rows from the unpadded end to the last one in use."""
    steps = np.flatnonzero(used)
    if not len(steps):
        return 0
    return int(len(used) - steps[0] if front else steps[-1] + 1)
