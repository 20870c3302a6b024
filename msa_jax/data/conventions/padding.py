"""Padding: rows that only bring a clip to the length of the longest one, and the end they are at.

They are zeros, or NaN throughout; where the file says the lengths, they may be anything that repeats.

The end is decided once for a file, so that a clip that begins or ends in silence is read as all the others.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from msa_jax.data.conventions.used import in_use, of_edges
from msa_jax.errors import UserError, counted

_NAMES = {"front": "in front", "behind": "behind", "none": "none", None: "at both ends"}
_ALONE = 0.9  # share of the clips with zeros at an end that must have them at one end alone; silence is rare
_ONE_SIDED = 0.25  # the same, where no clip has them at the other end alone: clips may begin in silence
_AGREE = 0.75  # share of the clips that fit their lengths at one end only, which must agree on the end
_SOME, _MOST = 10, 0.5  # clips, and their share, that say that streams are padded at different ends
_ODD = 0.25  # share of the shorter clips, with zeros, in which the zeros may contradict the lengths
_BARE = 0.5  # share of the shorter clips that may have more rows in use than their length, and no zeros


@dataclasses.dataclass(frozen=True)
class Padding:
    """At which end the clips of a file are padded.

    Attributes:
      side: "front", "behind", "none" where all rows count, or None where the zeros at both ends are padding.
      evidence: by what that was decided; "" where nothing is padded.
      firm: whether the user says so, or rows that are not zeros do, whatever the zeros say.
      counting: whether the lengths of the file count; False where they contradict the zeros of all clips.
    """

    side: str | None
    evidence: str = ""
    firm: bool = False
    counting: bool = True

    def __str__(self) -> str:
        return f"{_NAMES[self.side]}, {self.evidence}" if self.evidence else "none"

    def used(self, first: int, stop: int, limit: int) -> slice:
        """The rows of a clip whose length the file does not say.

        Args:
          first: the first row that is not zero.
          stop: behind the last such row; 0 where all are zero.
          limit: all rows.

        Returns:
          The rows without the zeros at the padded end; none where all are zero.
        """
        if not stop:
            return slice(0, 0)
        start = 0 if self.side in ("behind", "none") else first
        return slice(start, limit if self.side in ("front", "none") else stop)

    def counted(self, first: int, stop: int, limit: int, length: int) -> slice:
        """The rows of a clip whose length the file says: `used` for the first three.

        Where the zeros contradict the length, and nobody has said the end, the rows between the zeros; where
        they do in all clips, as where all lengths are 0, what `used` says.
        """
        if not self.counting:
            return self.used(first, stop, limit)
        part = self.named(limit, length)
        if self.firm or not stop or (part.start <= first and stop <= part.stop):
            return part
        return slice(first, stop)

    def named(self, limit: int, length: int) -> slice:
        """So many rows at the end that is not padded, all where there are fewer."""
        count = min(length, limit)
        return slice(limit - count, limit) if self.side == "front" else slice(0, count)


def asked(side: str) -> Padding:
    """What the user says."""
    return Padding(side, "as you said", firm=True)


def by_ends(used_N3: np.ndarray, said: str | None = None) -> Padding:
    """Decides by the ends at which the clips have zeros.

    Args:
      used_N3: of each clip whether its first row, its last row and any row is in use (see `ends`).
      said: the end, or "none", where the user says it.

    Returns:
      The end at which nearly all clips that have zeros at an end have them, or the only one at which some
      have them alone; both where they do not agree.
    """
    if said:
        return asked(said)
    starts, stops = used_N3[used_N3[:, 2].astype(bool), :2].astype(bool).T
    votes = {"front": int(np.sum(~starts & stops)), "behind": int(np.sum(starts & ~stops))}
    clips = int(np.sum(~starts | ~stops))
    side = max(votes, key=votes.__getitem__)
    if not clips:
        return Padding(None)
    if votes[side] >= _ALONE * clips:
        return Padding(side, f"{votes[side]} of {clips} clips")
    if sum(votes.values()) > votes[side] or votes[side] < _ONE_SIDED * clips:
        counts = ", ".join(f"{count} {_NAMES[end]}" for end, count in votes.items())
        return Padding(None, f"where the clips do not agree (of {clips} with zeros {counts} alone)")
    return Padding(side, f"{votes[side]} of {clips} clips, the others at both ends")


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
    if said:
        return asked(said)
    edges_N3, length = np.asarray(edges_N3, int).reshape(-1, 3), np.asarray(lengths_N, int)
    short = (length < edges_N3[:, 2]) & (edges_N3[:, 1] > 0)
    if not short.any():
        return _uncounted(edges_N3) if _one_sided(edges_N3) else Padding(None)
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
    found = [f"{count} {_NAMES[end]}" for end, count in votes.items() if count]
    both = int(np.sum(fits_front & fits_behind))
    found += [f"{both} have room for their lengths at either end"] if both else []
    found += [f"{bare} have more rows in use than their length, and no zeros at either end"] if bare else []
    raise UserError(
        f"{what}: it is not clear at which end the clips are padded (of {len(first)} that are shorter than "
        f"their arrays {', '.join(found)}); say --config.data.padding=front or behind (in Python: "
        "padding=...)"
    )


def _more(zeros_N: np.ndarray) -> str:
    """What to say where nearly all lengths count the same number of rows of zeros, as those off by one do."""
    count, clips = np.unique(zeros_N, return_counts=True)
    if count[clips.argmax()] < 1 or clips.max() < max(_SOME, _ALONE * len(zeros_N)):
        return ""
    return (
        f", of which each counts {counted(int(count[clips.argmax()]), '{row|rows} of zeros')} in its length"
    )


def _one_sided(edges_N3: np.ndarray) -> bool:
    """Whether nearly all clips have zeros at one end, and at the other none."""
    starts, stops, some = of_edges(edges_N3).T
    count = max(int(np.sum(some & ~starts & stops)), int(np.sum(some & starts & ~stops)))
    return count >= max(_SOME, _ALONE * int(np.sum(some)))


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


def line(paddings: Mapping[str, Padding]) -> str:
    """What was decided for the streams that are padded, in a few words; "" where none is."""
    texts = {name: str(padding) for name, padding in paddings.items() if padding.evidence}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name or 'on one time line'} {text}" for name, text in texts.items())


def conventions(paddings: Mapping[str, Padding]) -> dict[str, str]:
    """What there is to say, as in `Reading.conventions`."""
    text = line(paddings)
    return {"padding": text} if text else {}


def together(used: Mapping[str, np.ndarray], where: str, said: str | None = None) -> np.ndarray:
    """`ends` of streams that share one time line: a row is in use where it is in one of them.

    Args:
      used: `ends` of each stream, by its name.
      where: what to call the file in a message.
      said: the end, where the user says it; then zeros at the other one are silence.

    Raises:
      UserError: when most clips are padded in front in one stream and behind in another, so that row i of
        the one is not row i of the other.
    """
    for one, other in itertools.permutations(used, 2) if not said else ():
        (starts, stops, some), (others_start, others_stop, _) = used[one].T, used[other].T
        opposed = some & ~starts & stops & others_start & ~others_stop
        if opposed.sum() >= max(_SOME, _MOST * some.sum()):
            raise UserError(
                f"{where}: {one} is padded in front and {other} behind, in arrays of one length "
                f"({opposed.sum()} of {some.sum()} clips); pad both at one end, or, "
                "where some of these zeros are silence, say --config.data.padding=front or behind "
                "(in Python: padding=...)"
            )
    return np.any(np.stack(list(used.values())), axis=0)


def trim(
    rows: Mapping[str, np.ndarray], paddings: Mapping[str, Padding], *, together: bool
) -> dict[str, np.ndarray]:
    """Cuts the padding off a clip's arrays.

    Args:
      rows: the padded rows [L, d] of the clip, by the name of the modality.
      paddings: of each modality, and under "" that of modalities on one time line.
      together: whether the modalities share one time line (equal L). All are then cut to the stretch outside
        of which all are zero: a step at which only some are silent keeps its rows of zeros. A modality that
        is zero throughout has no rows either way.

    Returns:
      By the same names, views of the arrays without their padding, [l, d] with 0 <= l <= L. Rows with NaN
      beside numbers, and infinite values, are not padding.

    Raises:
      ValueError: when the modalities are to be cut together and their L differ.
    """
    used = {name: in_use(array) for name, array in rows.items()}
    if together and used:
        if len({len(steps) for steps in used.values()}) > 1:
            lengths = ", ".join(f"{name} {len(steps)}" for name, steps in used.items())
            raise ValueError(f"a clip's modalities have different numbers of steps ({lengths})")
        any_used = np.any(list(used.values()), axis=0)
        used = {name: any_used if steps.any() else steps for name, steps in used.items()}
    cut = {}
    for name, array in rows.items():
        steps = np.flatnonzero(used[name])
        first, stop = (steps[0], steps[-1] + 1) if len(steps) else (0, 0)
        cut[name] = array[paddings["" if together else name].used(first, stop, len(array))]
    return cut
