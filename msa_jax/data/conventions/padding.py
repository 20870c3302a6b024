"""Padding: rows that only bring a clip to the length of the longest one, and the end they are at.

They are zeros, or NaN throughout; where the file says the lengths, they may be anything that repeats.

The end is decided once for a file, so that a clip that begins or ends in silence is read as all the others.
"""

import dataclasses
import itertools
from collections.abc import Mapping

import numpy as np

from msa_jax.data.conventions.used import in_use
from msa_jax.errors import UserError

# What to do where the end is not clear.
SAY = "say --config.data.padding=front or behind (in Python: padding=...)"
NAMES = {"front": "in front", "behind": "behind", "none": "none", None: "at both ends"}
NEARLY_ALL = 0.9  # share of the clips with zeros at an end that must have them there alone; silence is rare
_ONE_SIDED = 0.25  # the same, where no clip has them at the other end alone: clips may begin in silence
SOME, _MOST = 10, 0.5  # clips, and their share, that say that streams are padded at different ends


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
        return f"{NAMES[self.side]}, {self.evidence}" if self.evidence else "none"

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
        """So many rows at the end that is not padded, all where there are fewer, or where all rows count."""
        count = limit if self.side == "none" else min(length, limit)
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
    if votes[side] >= NEARLY_ALL * clips:
        return Padding(side, f"{votes[side]} of {clips} clips")
    if sum(votes.values()) > votes[side] or votes[side] < _ONE_SIDED * clips:
        counts = ", ".join(f"{count} {NAMES[end]}" for end, count in votes.items())
        return Padding(None, f"where the clips do not agree (of {clips} with zeros {counts} alone)")
    return Padding(side, f"{votes[side]} of {clips} clips, the others at both ends")


def line(paddings: Mapping[str, Padding]) -> str:
    """What was decided for the streams that are padded, in a few words; "" where none is.

    They are named where there are others, or they differ.
    """
    texts = {name: str(padding) for name, padding in paddings.items() if padding.evidence}
    streams = {name for name in paddings if name}
    if len(set(texts.values())) == 1 and texts.keys() in ({""}, streams, streams | {""}):
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
        if opposed.sum() >= max(SOME, _MOST * some.sum()):
            raise UserError(
                f"{where}: {one} is padded in front and {other} behind, in arrays of one length "
                f"({opposed.sum()} of {some.sum()} clips); pad both at one end, or, "
                f"where some of these zeros are silence, {SAY}"
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
