"""Rates of streams whose times are nearly those of the others: a factor or a shift that all videos share.

Streams of one video end at about the same time, a few seconds of silence apart. Where the difference grows
with the length of the video, by far more than these seconds, one of the two runs at another rate.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msa_jax.errors import UserError

_SOME = 5  # videos from which on they are evidence
_MOST = 0.8  # of the videos must have the factor; the others may be anything
_NEARLY_ALL = 0.9  # of the videos must have the shift
_SPREAD = 0.005  # of the length of a video by which its end may miss the shift that all share
_OFF = 0.02  # by which a factor must differ from 1
_FRAME = 0.03  # seconds by which an end is uncertain in any stream
_JITTER = 2.0  # seconds by which ends may miss the factor in most videos; silence behind the last row
# Times by which a shift must miss more than a factor: in few videos it does so by chance. Ends that jitter by
# up to 2 seconds reach it in less than one of 10,000 corpora.
_BETTER, _BETTER_IN_FEW = 1.5, 24.0
_WITH_LABELS = 0.2  # of the videos, which end with their labels
_SILENCE = 0.1  # share of what is left behind the labels that may be uncertain, where that is no silence
_VARYING = 0.05  # of the usual length, by which the lengths must vary
_SNAP = (0.003, 0.01)  # by which a factor may miss a ratio of usual rates: where it is exact, and at most
_USUAL = ((24.0, 25.0, 30.0), (8.0, 10.0, 12.0, 15.0, 16.0, 20.0), (16.0, 22.05, 44.1, 48.0))
_ORDER = ("labels", "words", "word vectors", "audio", "vision")  # the first are the least likely to be wrong


class Fit(NamedTuple):
    """How the ends of one stream differ from those of another.

    Attributes:
      kind: "factor", "shift", or "either" where the videos are too much of one length to tell, or too few.
      factor: by which they are later, in the median.
      shift: the same in seconds.
      videos: that differ so.
      of: the videos with both streams.
      within: what share of the factor it may be off.
    """

    kind: str
    factor: float
    shift: float
    videos: int
    of: int
    within: float = 0.0

    @property
    def where(self) -> str:
        """Says in how many videos they do, as in "all 8 videos"."""
        return f"{'all' if self.videos == self.of else f'{self.videos} of'} {self.of} videos"


def fit(ends: Mapping[str, float], others: Mapping[str, float]) -> Fit | None:
    """Tells whether the ends of a stream differ from another's alike in nearly all videos.

    By a factor they do where they miss it by at most a few seconds of jitter, and would miss a shift by
    several times as much, as only videos of different lengths do. A shift must be much more exact.

    Args:
      ends, others: where the streams end, in seconds, by video.

    Returns:
      None where they do not differ, or not alike.
    """
    shared = [video for video in ends if video in others]
    if len(shared) < _SOME:
        return None
    here, there = (np.array([found[video] for video in shared]) for found in (ends, others))
    factor, shift = float(np.median(here / there)), float(np.median(here - there))
    if abs(factor - 1) <= _OFF:
        return None
    by_factor, by_shift = np.abs(here - factor * there), np.abs(here - there - shift)
    jitter = max(float(np.quantile(by_factor, _MOST)), _FRAME)
    usual = float(np.median(there))
    varying = float(np.quantile(np.abs(there - usual), _MOST)) >= _VARYING * usual
    better = _BETTER + _BETTER_IN_FEW / (len(shared) - _SOME + 2)
    if varying and jitter <= _JITTER and float(np.quantile(by_shift, _MOST)) > better * jitter:
        within = 3 * float(np.quantile(by_factor / here, _MOST)) / len(shared) ** 0.5
        fitting = int(np.sum(by_factor <= 2 * jitter))
        return Fit("factor", factor, shift, fitting, len(shared), within)
    by_factor, by_shift = by_factor / here, by_shift / here
    scaled, moved = (float(np.quantile(found, _NEARLY_ALL)) for found in (by_factor, by_shift))
    if min(scaled, moved) > _SPREAD:
        return None
    kind = "shift" if varying and moved < scaled else "either"
    fitting = int(np.sum(np.minimum(by_factor, by_shift) <= _SPREAD))
    return Fit(kind, factor, shift, fitting, len(shared))


def check(
    ends: Mapping[str, Mapping[str, float]],
    units: Mapping[str, float],
    asked: Mapping[str, float],
    paths: Mapping[str, Path],
) -> str:
    """Says which streams end later or earlier than another by the same in all videos.

    Args:
      ends: where each stream ends by video, in seconds.
      units: how many units of each stream make a second.
      asked: those that the user says; what these streams are is believed.
      paths: the files.

    Returns:
      The end of a line; "" where there are none.

    Raises:
      UserError: when it is by the same factor.
    """
    roles = [role for role in _ORDER if role in ends and role not in asked]
    fits = {
        (one, other): found
        for one, other in itertools.permutations(roles, 2)
        if (found := fit(ends[one], ends[other]))
    }
    factors = {
        pair: found for pair, found in fits.items() if found.kind == "factor" and not _silence(pair, found)
    }
    # Silence behind the labels is part of a factor against them: what the others tell goes first.
    exact = {
        pair: found for pair, found in factors.items() if "labels" not in pair or found.within <= _SNAP[0]
    }
    if factors := exact or factors:
        wrong = _odd(factors, ends)
        right = next(role for role in roles if (wrong, role) in factors)
        all_wrong = {one: found for (one, other), found in factors.items() if other == right}
        raise _another_rate(all_wrong, ends, units, paths, right)
    # A pause behind the last label is as long in many videos, and says nothing.
    later = [
        f"{one} ends {found.shift:+.3g} seconds against the {other} in {found.where}"
        + (
            f" (or {found.factor:.4g} times as late; their lengths do not tell)"
            if found.kind == "either"
            else ""
        )
        for (one, other), found in fits.items()
        if other != "labels" and _ORDER.index(other) < _ORDER.index(one)
    ]
    return f"; {', '.join(later)}: see whether its times begin where the others do" if later else ""


def _silence(pair: tuple[str, str], found: Fit) -> bool:
    """Whether the stream may end later than the labels because nothing is labelled behind these.

    Longer videos may have more of it.
    """
    one, other = pair
    late = found.shift > 0 if other == "labels" else found.shift < 0 if one == "labels" else False
    return late and found.within > _SILENCE * abs(found.factor - 1)


def _odd(factors: Mapping[tuple[str, str], Fit], ends: Mapping[str, Mapping[str, float]]) -> str:
    """Finds the stream that differs from most others; of several the one that differs from the labels.

    Where labels end anywhere, so that no stream differs from them alike, they tell alone.
    """

    def oddness(role: str) -> tuple[int, float]:
        ratios = [end / ends["labels"][v] for v, end in ends[role].items() if v in ends.get("labels", ())]
        pairs = sum(one == role for one, _ in factors) if any("labels" in pair for pair in factors) else 0
        # Labels end with some videos, if not with most, and behind none.
        return pairs, abs(float(np.log(np.quantile(ratios, _WITH_LABELS)))) if ratios else 0.0

    return max(dict.fromkeys(one for one, _ in factors), key=oddness)


def _another_rate(
    wrong: Mapping[str, Fit],
    ends: Mapping[str, Mapping[str, float]],
    units: Mapping[str, float],
    paths: Mapping[str, Path],
    right: str,
) -> UserError:
    (role, found), *_ = wrong.items()
    shared = [video for video in ends[role] if video in ends[right]]
    video = min(shared, key=lambda v: abs(ends[role][v] / ends[right][v] / found.factor - 1))
    said = {name: units[name] * _usual(fit) for name, fit in wrong.items()}
    names = " and ".join(paths[name].name for name in wrong)
    return UserError(
        f"{paths[role].parent / names}: the times are {found.factor:.4g} times those of {paths[right].name} "
        f"in {found.where}, whatever their lengths, as at another rate (video {video} ends at "
        f"{ends[role][video]:g} and at {ends[right][video]:g} seconds); say how many units make a second by "
        f'--config.data.time_units="{_pairs(said)}" (in Python: time_units=...), or '
        f'"{_pairs({name: units[name] for name in wrong})}" where the times are right'
    )


def _usual(found: Fit) -> float:
    """Gives the ratio of two usual rates where the factor may be it, else the factor to four digits."""
    known = (a / b for rates in _USUAL for a, b in itertools.permutations(rates, 2))
    near = min(known, key=lambda ratio: abs(ratio / found.factor - 1))
    miss = min(max(_SNAP[0], found.within), _SNAP[1])
    return near if abs(near / found.factor - 1) <= miss else float(f"{found.factor:.4g}")


def _pairs(units: Mapping[str, float]) -> str:
    """Writes the units as `Said.time_units` takes them."""
    return f"({' '.join(f'({role!r}, {value!r}),' for role, value in units.items())})"
