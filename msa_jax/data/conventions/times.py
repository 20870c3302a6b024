"""Times of streams that come in files of their own (.csd): the unit that each is in.

The streams of a corpus hold for the same videos, so they end at about the same times; one in another unit
ends elsewhere in every video. Labels may end long before three quarters of the videos (CMU-MOSEI), no more.
Which streams are in seconds is told by how long their rows last, and by how many agree.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from msa_jax.data.conventions import rates, time_words
from msa_jax.errors import UserError

LEAST = 1e-5  # seconds; the CMU-MultimodalSDK ignores durations and overlaps that are not longer
STREAMS = ("labels", "words", "audio", "vision", "word vectors")
# How long a row lasts, in seconds, in the median of a corpus.
_LASTS = {"labels": (0.2, 1000.0), "words": (0.03, 3.0), "word vectors": (0.03, 3.0)}
_FRAME = (2e-3, 2.0)  # the same of audio and vision
_SAME = (0.65, 1.55)  # of two streams in one unit, where one may end against the other, in the median
# The same against labels: in the median not before them, and in the lower quartile not long behind them.
_TO_LABELS = (0.7, 1.6)
_EQUAL = (0.7, 1.4)  # the same of a row a second, which could be frame numbers
_UNITS = {1e3: "milliseconds", 1e6: "microseconds", 1e7: "units of 100 ns"}  # how many make a second
_ROWS = 8  # rows of a video that can be told to be numbered
_MEASURED = 1000  # rows of a video whose lengths are looked at
# Times by which rows and end of a video in another unit differ from the rest: of others, of labels alone.
_FAR, _FAR_FROM_LABELS = 1.8, 8.0


class Track(NamedTuple):
    """The times of one stream in one video.

    Attributes:
      end: the latest time.
      step: how long a row lasts, in the median of those that last.
      rows, backward: all rows, and those that end before they start.
      whole: whether all times are whole numbers.
      counting: whether they count rows: whole numbers, each row one long.
    """

    end: float
    step: float
    rows: int
    backward: int
    whole: bool
    counting: bool

    def over(self, units: float) -> "Track":
        """Converts the times to seconds, where so many units make one second."""
        return self._replace(end=self.end / units, step=self.step / units)


def measure(intervals: np.ndarray) -> Track | None:
    """Looks at the intervals [n, 2] of a video; gives None where there are none."""
    if not len(intervals):
        return None
    lengths = intervals[:, 1] - intervals[:, 0]
    some = np.abs(lengths[:: len(lengths) // _MEASURED + 1])
    lasting = some[some > LEAST]
    whole = all(bool((part == np.rint(part)).all()) for part in (intervals[:_ROWS], intervals))
    return Track(
        end=float(intervals.max()),
        step=float(np.median(lasting)) if len(lasting) else math.nan,
        rows=len(intervals),
        backward=int(np.sum(lengths < -LEAST)),
        whole=whole,
        counting=whole and len(intervals) >= _ROWS and bool((lengths == 1).all()),
    )


def checked(value: object) -> tuple[tuple[str, float], ...]:
    """Brings `Said.time_units` into one form.

    Raises:
      UserError: when it is not pairs of a stream and a number above 0, or names a stream twice.
    """
    try:
        pairs = [(stream, float(units)) for stream, units in value]
        known = [stream in STREAMS and 0 < units < math.inf for stream, units in pairs]
        good = all(known) and len(dict(pairs)) == len(pairs)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise UserError(
            f"data.time_units: {value!r} does not say how many units of a stream's times make a second, as "
            f"(('audio', 1000.0),) does; the streams are {', '.join(STREAMS)}"
        )
    return tuple(sorted(pairs))


@dataclasses.dataclass(frozen=True)
class Units:
    """The units of the streams, decided once for all videos.

    Attributes:
      per_second: how many units of a stream make a second.
      steps: how long a row lasts in most videos, in seconds.
      counting: the streams whose times count rows.
      evidence: what was decided, in a few words; "" where there was nothing to compare.
    """

    per_second: Mapping[str, float] = dataclasses.field(default_factory=dict)
    steps: Mapping[str, float] = dataclasses.field(default_factory=dict)
    counting: frozenset[str] = frozenset()
    evidence: str = ""

    @property
    def conventions(self) -> dict[str, str]:
        """Says what was decided, as `Reading.conventions` has it."""
        return {"times": self.evidence} if self.evidence else {}

    def odd(self, tracks: Mapping[str, Track]) -> tuple[str, float] | None:
        """Finds the stream of a video that is in another unit than in the other videos.

        Both its rows and its end must be far from what they should be: by the stream's other videos, and by
        each other stream of this video.

        Args:
          tracks: the streams of the video, in seconds.

        Returns:
          (stream, how many times longer its rows are); None where there is none.
        """
        for role, track in tracks.items():
            others = [other.end for name, other in tracks.items() if name != role and other.end > 0]
            usual = self.steps.get(role, 0.0)
            if not (others and usual > 0 and track.end > 0 and track.step > 0):
                continue
            numbered = track.counting and role not in self.counting
            alone = role == "labels" or not tracks.keys() - {role, "labels"}
            least = _EQUAL[1] if numbered else _FAR_FROM_LABELS if alone else _FAR
            longer = min(track.step / usual, *(track.end / end for end in others))
            shorter = max(track.step / usual, *(track.end / end for end in others))
            if longer >= least or (shorter <= 1 / least and role != "labels"):
                return role, track.step / usual
        return None


@dataclasses.dataclass(frozen=True)
class _Stream:
    """One stream of all videos that are looked at; an asked one is in seconds already."""

    role: str
    ends: Mapping[str, float]
    step: float
    whole: bool
    counting: bool

    def against(self, other: "_Stream", share: float = 0.5) -> float | None:
        """Says where it ends against the other one, in the median (or another share) of both's videos."""
        ratios = [end / other.ends[video] for video, end in self.ends.items() if video in other.ends]
        return float(np.quantile(ratios, share)) if ratios else None

    def agrees(self, other: "_Stream") -> bool:
        """Tells whether both can be in one unit."""
        if self.role == "labels":
            return other.agrees(self)
        ratio = self.against(other)
        if ratio is None:
            return False
        if self.counting != other.counting:
            low, high = _EQUAL
        elif other.role == "labels":
            low, high = _TO_LABELS
            return low <= ratio and self.against(other, 0.25) <= high
        else:
            low, high = _SAME
        return low <= ratio <= high

    def over(self, units: float) -> "_Stream":
        """Converts the times to seconds, where so many units make one second."""
        ends = {video: end / units for video, end in self.ends.items()}
        return dataclasses.replace(self, ends=ends, step=self.step / units)

    def lasts(self, units: float) -> bool | None:
        """Whether its rows last as long as they do in such units; None where they would in any."""
        if self.counting and self.role not in _LASTS:
            return None
        low, high = _LASTS.get(self.role, _FRAME)
        return low <= self.step / units <= high


def decide(
    tracks: Mapping[str, Mapping[str, Track]], paths: Mapping[str, Path], asked: Mapping[str, float]
) -> Units:
    """Tells the unit of each stream.

    Args:
      tracks: by stream, one of `STREAMS`, those of some videos.
      paths: the files of the streams.
      asked: how many units make a second, for the streams of which the user says it.

    Returns:
      The units: seconds, or milliseconds and smaller ones where the times agree once they are converted.

    Raises:
      UserError: when a stream's intervals end before they start or none lasts, or the times of a stream do
        not agree with the others' in any of these units; names the file, a video and the likely unit.
    """
    for role, videos in tracks.items():
        time_words.refuse_turned(paths[role], videos)
    streams = [
        _stream(role, {video: track.over(asked.get(role, 1.0)) for video, track in videos.items()})
        for role, videos in tracks.items()
    ]
    compared = [s for s in streams if any(s.against(other) for other in streams if other is not s)]
    steps = {s.role: s.step for s in streams}
    counting = frozenset(s.role for s in streams if s.counting)
    if not compared:
        return Units(dict(asked), steps, counting)
    reference, base = _reference(_groups(compared), asked, paths)
    units = {s.role: base for s in reference} | dict(asked)
    for stream in compared:
        if stream.role not in units:
            units[stream.role] = base * _converted(stream, reference, base, paths)
    scales = {s.role: units.get(s.role, 1.0) / asked.get(s.role, 1.0) for s in streams}
    steps = {role: step / scales[role] for role, step in steps.items()}
    names = {r: time_words.name(units[r], _UNITS, r in asked) for r in STREAMS if r in units}
    ends = {s.role: {video: end / scales[s.role] for video, end in s.ends.items()} for s in compared}
    more = rates.check(ends, units, asked, paths)
    return Units(units, steps, counting, time_words.evidence(names, ends) + more)


def _stream(role: str, videos: Mapping[str, Track]) -> _Stream:
    found = list(videos.values())
    numbered = [track.counting for track in found if track.rows >= _ROWS]
    return _Stream(
        role,
        {video: track.end for video, track in videos.items() if track.end > 0},
        float(np.nanmedian([track.step for track in found])) if found else math.nan,
        all(track.whole for track in found),
        role != "labels" and bool(numbered) and all(numbered),
    )


def _groups(streams: Iterable[_Stream]) -> list[list[_Stream]]:
    """Puts streams together that agree with each other, directly or through others.

    Labels join the largest of several groups, for streams that end elsewhere may agree with them as well.
    """
    groups: list[list[_Stream]] = []
    for stream in sorted(streams, key=lambda stream: stream.role == "labels"):
        near = [group for group in groups if any(stream.agrees(other) for other in group)]
        if stream.role == "labels":
            near = sorted(near, key=len)[-1:]
        groups = [group for group in groups if group not in near]
        groups.append([stream, *(other for group in near for other in group)])
    return groups


def _reference(
    groups: Sequence[list[_Stream]], asked: Mapping[str, float], paths: Mapping[str, Path]
) -> tuple[list[_Stream], float]:
    """Gives the streams whose unit is certain, and how many of it make a second."""
    if said := [group for group in groups if any(stream.role in asked for stream in group)]:
        return [stream for group in said for stream in group], 1.0
    for units in (1.0, 1e3):
        fitting = [group for group in groups if _lasting(group, units)]
        if fitting:
            break
    else:
        units, fitting = 1.0, list(groups)

    def weight(group: list[_Stream]) -> tuple[int, int]:
        return len(group), sum(not stream.whole for stream in group)

    fitting.sort(key=weight, reverse=True)
    if len(fitting) > 1 and weight(fitting[0]) == weight(fitting[1]):
        raise time_words.unclear(fitting[0], fitting[1], paths)
    return fitting[0], units


def _lasting(group: Sequence[_Stream], units: float) -> bool:
    found = [stream.lasts(units) for stream in group]
    return True in found and False not in found


def _converted(
    stream: _Stream, reference: Sequence[_Stream], base: float, paths: Mapping[str, Path]
) -> float:
    """Says how many units of a stream make one of the reference's."""
    ends: dict[str, float] = {}
    for other in reference:
        for video, end in other.ends.items():
            ends[video] = max(end, ends.get(video, 0.0))
    only_labels = {s.role for s in reference} == {"labels"}
    whole = dataclasses.replace(stream, role="labels" if only_labels else "reference", ends=ends)
    ratio = stream.against(whole)
    if ratio is None:
        return 1.0
    if not stream.counting:
        for units in _UNITS:
            if stream.over(units).agrees(whole) and stream.lasts(units * base):
                return units
    raise time_words.other_unit(stream, ends, ratio * base, [paths[s.role] for s in reference], paths)
