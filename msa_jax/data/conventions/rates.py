"""Rates of streams whose times are nearly those of the others: a factor or a shift that all videos share.

Streams of one video end at about the same time, and by how much they differ varies from video to video. Where
the ratio of two ends is one number in videos of different lengths, one of the two runs at another rate.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msa_jax.errors import UserError

_SOME = 5  # videos from which on they are evidence
_NEARLY_ALL = 0.9  # of the videos must have the ratio or the shift
_SPREAD = 0.005  # by which a ratio may differ from the one that all videos share, to either side
_OFF = 0.02  # by which it must differ from 1
_BETTER = 2.0  # times by which a factor must fit better than a shift, or the other way round
_SNAP = 0.003  # by which a ratio may miss one of usual rates
_USUAL = ((24.0, 25.0, 30.0), (8.0, 10.0, 12.0, 15.0, 16.0, 20.0), (16.0, 22.05, 44.1, 48.0))
_ORDER = ("labels", "words", "word vectors", "audio", "vision")  # the first are the least likely to be wrong


class Fit(NamedTuple):
    """How the ends of one stream differ from those of another.

    Attributes:
      kind: "factor", "shift", or "either" where the videos are too much of one length to tell.
      factor: by which they are later, in the median.
      shift: the same in seconds.
      videos: with both.
    """

    kind: str
    factor: float
    shift: float
    videos: int


def fit(ends: Mapping[str, float], others: Mapping[str, float]) -> Fit | None:
    """Tells whether the ends of a stream differ from another's alike in all videos.

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
    by_factor, by_shift = np.abs(here / there / factor - 1), np.abs(here - there - shift) / here
    scaled, moved = (float(np.quantile(found, _NEARLY_ALL)) for found in (by_factor, by_shift))
    if min(scaled, moved) > _SPREAD or abs(factor - 1) <= _OFF:
        return None
    if _BETTER * scaled < moved:
        return Fit("factor", factor, shift, len(shared))
    return Fit("shift" if _BETTER * moved < scaled else "either", factor, shift, len(shared))


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
    factors = {pair: found for pair, found in fits.items() if found.kind == "factor"}
    if factors:
        wrong = _odd(factors, ends)
        right = next(role for role in roles if (wrong, role) in factors)
        all_wrong = {one: found for (one, other), found in factors.items() if other == right}
        raise _another_rate(all_wrong, ends, units, paths, right)
    # A pause behind the last label is as long in many videos, and says nothing.
    later = [
        f"{one} ends {found.shift:+.3g} seconds against the {other} in all {found.videos} videos"
        for (one, other), found in fits.items()
        if other != "labels" and _ORDER.index(other) < _ORDER.index(one)
    ]
    return f"; {', '.join(later)}: see whether its times begin where the others do" if later else ""


def _odd(factors: Mapping[tuple[str, str], Fit], ends: Mapping[str, Mapping[str, float]]) -> str:
    """Finds the stream that differs from most others; of several the one that differs from the labels.

    Where labels end anywhere, so that no stream differs from them alike, they tell alone.
    """

    def oddness(role: str) -> tuple[int, float]:
        ratios = [end / ends["labels"][v] for v, end in ends[role].items() if v in ends.get("labels", ())]
        pairs = sum(one == role for one, _ in factors) if any("labels" in pair for pair in factors) else 0
        return pairs, abs(float(np.log(np.median(ratios)))) if ratios else 0.0

    return max(dict.fromkeys(one for one, _ in factors), key=oddness)


def _another_rate(
    wrong: Mapping[str, Fit],
    ends: Mapping[str, Mapping[str, float]],
    units: Mapping[str, float],
    paths: Mapping[str, Path],
    right: str,
) -> UserError:
    (role, found), *_ = wrong.items()
    video = next(video for video in ends[role] if video in ends[right])
    said = {name: units[name] * _usual(fit.factor) for name, fit in wrong.items()}
    names = " and ".join(paths[name].name for name in wrong)
    return UserError(
        f"{paths[role].parent / names}: the times are {found.factor:.4g} times those of {paths[right].name} "
        f"in all {found.videos} videos, whatever their lengths, as at another rate (video {video} ends at "
        f"{ends[role][video]:g} and at {ends[right][video]:g} seconds); say how many units make a second by "
        f'--config.data.time_units="{_pairs(said)}" (in Python: time_units=...), or '
        f'"{_pairs({name: units[name] for name in wrong})}" where the times are right'
    )


def _usual(factor: float) -> float:
    """Gives the ratio of two usual rates where one is near, else the factor to four digits."""
    known = (a / b for rates in _USUAL for a, b in itertools.permutations(rates, 2))
    near = min(known, key=lambda ratio: abs(ratio / factor - 1))
    return near if abs(near / factor - 1) <= _SNAP else float(f"{factor:.4g}")


def _pairs(units: Mapping[str, float]) -> str:
    """Writes the units as `Said.time_units` takes them."""
    return f"({' '.join(f'({role!r}, {value!r}),' for role, value in units.items())})"
