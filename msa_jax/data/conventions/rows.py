"""Rows of MMSA pickles: what audio and vision have a row for, told by where the rows in use end.

In aligned files MMSA's loader takes the number of ones in text_bert's mask for the length of audio and
vision, so that row i belongs to token i. Its extraction tool (MMSA-FET, `src/MSA_FET/dataset.py`) repeats a
word's row for each of its pieces, leaves the rows of [CLS] and [SEP] zero, and pads behind or, on request, in
front. Other files of the same form have a row a word, or streams of their own.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from msa_jax.data.conventions.padding import SAY, by_ends
from msa_jax.data.conventions.used import of_edges
from msa_jax.errors import UserError

_ENDING = (
    0.6  # share of the clips that must end exactly where a reading says; streams often fall silent before
)
_BEYOND = 0.01  # share of the clips that may go beyond it
_NAMES = (
    "BERT tokens with [CLS] and [SEP]",
    "BERT tokens, [CLS] and [SEP] zero",
    "BERT tokens without [CLS] and [SEP]",
)


@dataclasses.dataclass(frozen=True)
class Rows:
    """The kind of the rows of a file, decided once for all its clips.

    Attributes:
      kind: "tokens", "words" or "stream".
      name: the same in a few words.
      front: whether the padding is in front.
      skip: rows that are missing in front of the first, where [CLS] has none.
      asked: whether the user has said the kind.
      fitting, ending, clips: clips that do not go beyond the last token or word, clips that end exactly with
        it, and all that have rows; None where nothing was compared.
    """

    kind: str
    name: str
    front: bool = False
    skip: int = 0
    asked: bool = False
    fitting: int | None = None
    ending: int | None = None
    clips: int | None = None

    def __str__(self) -> str:
        text = self.name + (", padded in front" if self.front else "")
        if self.clips is None:
            return text
        return f"{text}, {self.fitting} of {self.clips} clips ({self.ending} end with the last one)"

    @property
    def padding(self) -> str:
        """By how many clips it was told at which end the rows are padded."""
        return f"{self.ending} of {self.clips} clips"

    def of_tokens(self, rows: np.ndarray, stop: int, count: int) -> np.ndarray:
        """Row i for token i, up to the last row in use; none where the stream is silent throughout.

        Args:
          rows: [L, d] as the file has them.
          stop: behind the last row that is not zero.
          count: tokens of the clip, special tokens included.
        """
        count = max(0, min(count - 2 * self.skip, len(rows)))
        start = len(rows) - count if self.front else 0
        part = rows[start : min(start + count, stop)]
        return np.concatenate([np.zeros_like(rows[:1]), part]) if self.skip and len(part) else part

    def of_words(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Row i for word i; zeros behind where the text is longer than the array."""
        if count > len(rows):
            return np.pad(rows, ((0, count - len(rows)), (0, 0)))
        return rows[len(rows) - count :] if self.front else rows[:count]

    def holds_words(self, edges_S3: np.ndarray, count: int) -> bool:
        """Whether some row of a clip is in use and none beyond its words, by the `edges` of its streams.

        Where the user says that rows are words, they are.
        """
        length = int(_lengths(edges_S3[None], self.front)[0])
        return length > 0 and (self.asked or length <= count)


STREAM = Rows("stream", "a stream of their own")


def decide(
    edges_NS3: np.ndarray,
    tokens: Sequence[int] | None,
    words: Sequence[int],
    *,
    asked: str | None,
    padded: str | None = None,
    where: str,
) -> Rows:
    """Tells what the rows are, from counts over all clips of a file.

    The last row in use of a clip, the later one of its streams, is compared with the number of its tokens,
    with that less one ([SEP] is zero) and less two (special tokens have no rows), and with its words; with
    padding in front likewise from the other end. A reading fits where nearly no clip goes beyond it and most
    end exactly with it; of several that fit, the one that most clips end with is taken. A clip that fills
    its array, and has as many words as that has rows, or more, tells nothing of words: it may be cut
    anywhere. Rows of zeros inside a clip do not matter. Arrays of one row hold a stream, as utterance-level
    features are.

    Args:
      edges_NS3: of each of N clips and each of its streams what `edges` says.
      tokens: of each clip the ones in text_bert's mask, [CLS] and [SEP] among them; None without text_bert.
      words: of each clip the words of its text.
      asked: the kind, where the user says which; then only how it is padded is told by the counts.
      padded: "front" or "behind", where the user says at which end.
      where: what to call the file in a message.

    Returns:
      The reading; `STREAM` where the file has no text_bert and its rows are not words.

    Raises:
      UnclearRows: with text_bert, where no reading fits.
      UserError: where rows that the user says to be of words or tokens go beyond them, and nothing tells at
        which end.
    """
    if asked == "stream" or (asked is None and edges_NS3[..., 2].max(initial=0) <= 1):
        return STREAM
    there = edges_NS3[..., 1].any(axis=1)
    used, words_N = edges_NS3[there], np.array(words, int)[there]
    limits_N = used[..., 2].max(axis=1)
    expected_N = np.minimum(words_N, limits_N)
    equal_N = words_N == limits_N
    equal_N &= 2 * np.sum(equal_N) >= len(equal_N)  # arrays that are not padded, such as one clip's
    if asked and padded is None:
        padded = by_ends(of_edges(used.reshape(-1, 3))).side
    found: list[_Candidate] = []
    for front in (False, True) if padded is None else (padded == "front",):
        lengths_N = _lengths(used, front)
        if tokens is not None:
            starts_N = (used[..., 1] == used[..., 2]) if front else (used[..., 0] == 0) & (used[..., 1] > 0)
            found += _token_candidates(lengths_N, np.array(tokens, int)[there], starts_N.any(axis=1), front)
        tells_N = (words_N < limits_N) | (lengths_N < limits_N) | equal_N
        found.append(_candidate(Rows("words", "words", front), lengths_N[tells_N], expected_N[tells_N]))
    if asked:
        named = [candidate for candidate in found if candidate.rows.kind == asked]
        fitting = [candidate for candidate in named if candidate.possible]
    else:
        fitting = [candidate for candidate in found if candidate.fits()]
    if fitting:
        best = max(fitting, key=lambda candidate: candidate.ending)
        equal = [c for c in fitting if (c.ending, c.beyond) == (best.ending, best.beyond)]
        if asked and best.beyond and {c.rows.front for c in equal} == {False, True}:
            raise UserError(
                f"{where}: the rows of {best.beyond} of {len(used)} clips go beyond the last of the {asked}, "
                f"and no zeros tell at which end they are padded; {SAY}"
            )
        counts = {"fitting": len(used) - best.beyond, "ending": best.ending, "clips": len(used)}
        return dataclasses.replace(best.rows, asked=asked is not None, **counts)
    if tokens is None or not len(used):
        return STREAM
    seen = ", ".join(f"{other.ending} end as {other.rows} would" for other in found if other.ending)
    raise UnclearRows(
        f"{where}: it is not clear what the rows of audio and vision belong to (of {len(used)} clips "
        f"{seen or 'none end with the last token or word'}); say what they are by --config.data.rows=tokens, "
        "words or stream (in Python: rows=...)"
    )


class UnclearRows(UserError):
    """The counts do not tell to what the rows of audio and vision belong."""


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A reading, the clips that tell of it, end exactly with it, and go beyond it; whether it is possible."""

    rows: Rows
    clips: int
    ending: int
    beyond: int
    possible: bool = True

    def fits(self) -> bool:
        few = self.beyond <= _BEYOND * self.clips
        return self.clips > 0 and self.possible and self.ending >= _ENDING * self.clips and few


def _candidate(rows: Rows, lengths_N: np.ndarray, expected_N: np.ndarray) -> _Candidate:
    ending, beyond = int(np.sum(lengths_N == expected_N)), int(np.sum(lengths_N > expected_N))
    return _Candidate(rows, len(lengths_N), ending, beyond)


def _token_candidates(
    lengths_N: np.ndarray, tokens_N: np.ndarray, starts_N: np.ndarray, front: bool
) -> list[_Candidate]:
    """The readings by tokens, with and without rows for special tokens.

    Args:
      lengths_N: rows of each clip up to the last one in use.
      tokens_N: its tokens, special tokens included.
      starts_N: whether the row at the unpadded end is in use.
      front: whether the padding is in front.
    """
    with_values = _candidate(Rows("tokens", _NAMES[0], front), lengths_N, tokens_N)
    with_zeros = _candidate(Rows("tokens", _NAMES[1], front), lengths_N, tokens_N - 1)
    without = _candidate(Rows("tokens", _NAMES[2], front, skip=1), lengths_N, tokens_N - 2)
    starts = int(np.sum(starts_N))
    # In the first two row i is token i. Where some clips end with [SEP] and others just before, both count;
    # and, where [CLS] is zero, those whose last token, often a full stop, has no row either.
    named = with_values if with_values.ending >= with_zeros.ending else with_zeros
    ending = with_values.ending + with_zeros.ending
    if starts <= (1 - _ENDING) * len(starts_N):
        named, ending = with_zeros, ending + without.ending
    return [
        _Candidate(named.rows, len(lengths_N), ending, with_values.beyond),
        dataclasses.replace(without, possible=starts >= _ENDING * len(starts_N)),
    ]


def _lengths(edges_NS3: np.ndarray, front: bool) -> np.ndarray:
    """Rows of each clip from the unpadded end to the last one in use, of the longest stream."""
    first, stop, limit = np.moveaxis(edges_NS3, -1, 0)
    lengths = np.where(stop > 0, limit - first, 0) if front else stop
    return lengths.max(axis=1)
