"""Lengths: at which end clips are padded, where the file says how many rows each of them has."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from msa_jax.data.conventions.padding import NAMES, NEARLY_ALL, SAY, SOME, Padding, asked, by_ends
from msa_jax.data.conventions.used import of_edges
from msa_jax.errors import UserError, counted

# Share of the clips that must agree on the end, or count rows of zeros, or not use all rows of their arrays.
_AGREE = 0.75
_ODD = 0.25  # share of the shorter clips, with zeros, in which the zeros may contradict the lengths
_BARE = 0.5  # share of the shorter clips that may have more rows in use than their length, and no zeros


def by_lengths(
    edges_N3: np.ndarray,
    lengths_N: Sequence[int],
    *,
    said: str | None = None,
    rows: Callable[[], Iterable[Any]] = tuple,
    what: str,
) -> Padding:
    """Decides by the end at which each clip has room for its length.

    Args:
      edges_N3: of each clip its first row in use, the one behind the last (0 where none is), and all rows.
      lengths_N: the rows of each clip, as the file says.
      said: the end, where the user says it.
      rows: gives the clips [L, d], to be looked at where zeros do not tell.
      what: what to call the file and the stream in a message.

    Raises:
      UserError: when the clips do not agree, or when the rows of many go beyond their lengths at either end
        and neither zeros nor rows that repeat tell which of them are meant.
    """
    edges_N3, length = np.asarray(edges_N3, int).reshape(-1, 3), np.asarray(lengths_N, int)
    some = edges_N3[:, 1] > 0
    edges_N3, length = edges_N3[some], np.minimum(length, edges_N3[:, 2])[some]
    if said:
        if said == "none" or not _of_arrays(edges_N3, length):
            return asked(said)
        told_by = "as you said, by the zeros: the lengths are those of the arrays"
        return dataclasses.replace(asked(said), evidence=told_by, counting=False)
    if _of_arrays(edges_N3, length) or not _counts(edges_N3, length, by_ends(of_edges(edges_N3)).side):
        return _uncounted(edges_N3)
    short = length < edges_N3[:, 2]
    if not short.any():
        return Padding(None)
    edges_N3, length = edges_N3[short], length[short]
    first, stop, limit = edges_N3.T
    fits_front, fits_behind = first >= limit - length, stop <= length
    votes = {
        "behind": int(np.sum(fits_behind & ~fits_front)),
        "front": int(np.sum(fits_front & ~fits_behind)),
    }
    neither = ~fits_front & ~fits_behind
    bare = int(np.sum(neither & (first == 0) & (stop == limit)))
    side = max(votes, key=votes.__getitem__)
    clear = votes[side] >= _AGREE * sum(votes.values()) and bare <= _BARE * len(first)
    told = sum(votes.values())
    if clear and int(np.sum(neither)) - bare >= _ODD * len(first):  # lengths of other clips, say
        return _uncounted(edges_N3)
    if clear and told:
        zeros = length - (limit - first if side == "front" else stop)
        more = _more(zeros[fits_front if side == "front" else fits_behind])
        return Padding(side, f"{votes[side]} of {told + int(np.sum(neither))} clips{more}")
    if (clear and neither.any()) or not (told or length.any()):
        return _uncounted(edges_N3)
    if repeated := _by_repeats(rows(), lengths_N):
        return repeated
    found = [f"{count} {NAMES[end]}" for end, count in votes.items() if count]
    both = int(np.sum(fits_front & fits_behind))
    found += [f"{both} have room for their lengths at either end"] if both else []
    found += [f"{bare} have more rows in use than their length, and no zeros at either end"] if bare else []
    raise UserError(
        f"{what}: it is not clear at which end the clips are padded (of {len(first)} that are shorter than "
        f"their arrays {', '.join(found)}); {SAY}"
    )


def _more(zeros_N: np.ndarray) -> str:
    """What to say where nearly all lengths count the same number of rows of zeros, as those off by one do."""
    count, clips = np.unique(zeros_N, return_counts=True)
    if count[clips.argmax()] < 1 or clips.max() < max(SOME, NEARLY_ALL * len(zeros_N)):
        return ""
    return (
        f", of which each counts {counted(int(count[clips.argmax()]), '{row|rows} of zeros')} in its length"
    )


def _of_arrays(edges_N3: np.ndarray, length_N: np.ndarray) -> bool:
    """Whether the lengths are only the numbers of the arrays' rows, of which most clips do not use all."""
    first, stop, limit = edges_N3.T
    return bool(len(limit) >= SOME and np.all(length_N == limit) and np.mean(stop - first < limit) >= _AGREE)


def _counts(edges_N3: np.ndarray, length_N: np.ndarray, side: str | None) -> bool:
    """Whether lengths can be those of the clips, in a file of some.

    They cannot where most count rows of zeros at the padded end, and not all equally many, as lengths from
    before every second row was left out.
    """
    if side is None or len(edges_N3) < SOME:
        return True
    first, stop, limit = edges_N3.T
    zeros = length_N - (limit - first if side == "front" else stop)
    return bool(np.mean(zeros > 0) < _AGREE or _more(zeros))


def _uncounted(edges_N3: np.ndarray) -> Padding:
    """What the zeros say, in place of lengths that contradict them."""
    ends = by_ends(of_edges(edges_N3))
    told_by = f"{ends.evidence}, by the zeros, which the lengths contradict".removeprefix(", ")
    return dataclasses.replace(ends, evidence=told_by, counting=False)


def _by_repeats(clips: Iterable[Any], lengths_N: Sequence[int]) -> Padding | None:
    """The end at which the rows that are too many, two or more in a clip, are all the same.

    Args:
      clips: the rows [L, d] of each.
      lengths_N: the rows of each that count.

    Returns:
      None where most clips have none, or do not agree.
    """
    votes, count = {"front": 0, "behind": 0}, 0
    for rows, length in zip(clips, lengths_N, strict=False):
        array = np.asarray(rows)
        if len(array) - length < 2:
            continue
        count += 1
        front, behind = (bool((p == p[0]).all()) for p in (array[: len(array) - length], array[length:]))
        votes["front"] += front and not behind
        votes["behind"] += behind and not front
    side = max(votes, key=votes.__getitem__)
    if not votes[side] or votes[side] < _AGREE * count:
        return None
    return Padding(side, f"{votes[side]} of {count} clips, by rows that repeat", firm=True)
