"""Words about the times of streams: what was decided, and why a file is refused."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from msa_jax.data.conventions import rates
from msa_jax.errors import UserError

if TYPE_CHECKING:
    from msa_jax.data.conventions.times import Track, _Stream

# Frames and samples in a second, as files have them.
_FRAMES = (1, 2, 5, 8, 10, 12, 15, 16, 20, 24, 25, 30, 50, 60, 100, 120, 200, 500)
_SAMPLES = (8000, 16000, 22050, 44100, 48000)
_LONGER = {1 / 60: "minutes", 1 / 3600: "hours"}  # by how many of them make a second
_FRAMED = ("audio", "vision")  # streams that may be numbered
_CLOSE = 1.1  # times by which the ratio of two ends may miss one of these
_ALIKE = 0.01  # by which the ratios of most ends may miss a rate that is named
_NEAR = 1.2  # times by which the ratio of two ends may miss such a rate


def name(units: float, known: Mapping[float, str], asked: bool) -> str:
    """Names a unit of which so many make a second."""
    plain = {1.0: "seconds", **known}.get(units, f"{units:g} units a second")
    return f"{plain}, as you said" if asked else plain


def evidence(names: Mapping[str, str], ends: Mapping[str, Mapping[str, float]]) -> str:
    """Says what was decided of the streams, and by what evidence.

    Args:
      names: the units by stream.
      ends: where each ends, by video, in seconds.
    """
    by_name: dict[str, list[str]] = {}
    for role, unit in names.items():
        by_name.setdefault(unit, []).append(role)
    said = ", ".join(f"{' and '.join(roles)} in {unit}" for unit, roles in by_name.items())
    if len(by_name) == 1:
        said = next(iter(by_name))
    base = "labels" if "labels" in ends else next(iter(ends))
    found = []
    for role, times in ends.items():
        ratios = [end / ends[base][video] for video, end in times.items() if video in ends[base]]
        if role != base and ratios:
            found.append(f"{role} {np.median(ratios):.3g}")
    videos = len(set().union(*ends.values()))
    return f"{said} (the median of {videos} videos; where they end against the {base}: {', '.join(found)})"


def refuse_turned(path: Path, videos: Mapping[str, "Track"]) -> None:
    """Refuses a stream in which most rows end before they start, or in which no row lasts any time.

    Args:
      path: the stream's file.
      videos: what is known of its times, by video.

    Raises:
      UserError: when more than half of all rows end before they start, or when every row starts where it
        ends; the line names a video as an example.
    """
    rows = sum(track.rows for track in videos.values())
    backward = sum(track.backward for track in videos.values())
    if 2 * backward > rows:
        raise turned(path, next(v for v, track in videos.items() if track.backward), backward, rows)
    if rows and all(np.isnan(track.step) for track in videos.values()):
        raise UserError(
            f"{path}: no row lasts any time, its start is its end (as in video {next(iter(videos))}); give "
            "every row a start and an end"
        )


def turned(path: Path, video: str, backward: int, rows: int) -> UserError:
    """Makes the error that says that intervals are written with the end first."""
    return UserError(
        f"{path}: {backward} of {rows} intervals end before they start, as in video {video}; write the start "
        "of each first"
    )


def mend(units: Mapping[str, float | None], roles: Iterable[str]) -> str:
    """Writes the option for the units of streams, and the one for all of `roles` in seconds.

    Where a unit is None, RATE stands for it.
    """
    seconds = ", ".join(f"('{name}', 1.0)" for name in roles)
    pairs = " ".join(
        f"('{role}', {'RATE' if value is None else repr(value)})," for role, value in units.items()
    )
    return (
        f'say how many of its units make a second by --config.data.time_units="({pairs})" '
        f'(in Python: time_units=...); where all are in seconds, say "({seconds})"'
    )


def unclear(group: Sequence["_Stream"], other: Sequence["_Stream"], paths: Mapping[str, Path]) -> UserError:
    """Makes the error for two groups of streams that do not agree, where nothing tells which is in seconds.

    Labels and words are taken to be in seconds: it is audio and vision that count frames or samples.
    """
    group, other = sorted((group, other), key=lambda g: all(s.role in _FRAMED for s in g))
    one, two = group[0], other[0]
    video = next((v for v in one.ends if v in two.ends), None)
    seen = "no video is in both"
    if video is not None:
        seen = f"video {video} ends at {one.ends[video]:g} in one and at {two.ends[video]:g} in the other"
    units = {s.role: _rounded(s.against(one) or 1.0) for s in other}
    return UserError(
        f"{paths[one.role]} and {paths[two.role].name}: their times are in different units ({seen}), and "
        f"nothing tells which are seconds; where those of {one.role} are, "
        f"{mend(units, paths)}"
    )


def other_unit(
    stream: "_Stream",
    ends: Mapping[str, float],
    ratio: float,
    others: Sequence[Path],
    paths: Mapping[str, Path],
) -> UserError:
    """Makes the error for a stream whose unit is not a known one.

    Args:
      stream: the stream.
      ends: where the others end, by video.
      ratio: how many of its units make a second, by where the streams end.
      others: their files.
      paths: the files of all streams.
    """
    video = next(v for v in stream.ends if v in ends)
    rate = _rounded(ratio)
    guess = f"{rate:g} times as late in most videos"
    if rate in _SAMPLES and stream.whole:
        guess = f"they look like numbers of samples, {rate:g} a second"
    elif stream.counting or (stream.whole and rate in _FRAMES):
        guess = f"they look like frame numbers, about {rate:g} a second"
    elif rate in _LONGER:
        guess = f"they look like {_LONGER[rate]}"
    elif (found := rates.fit(stream.ends, ends)) and found.kind == "shift":
        how = "later" if found.shift > 0 else "earlier"
        seconds = ", ".join(f"('{name}', 1.0)" for name in paths)
        return UserError(
            f"{paths[stream.role]}: its times are {abs(found.shift):.4g} {how} than those of the other files "
            f"in {found.where}, a shift and not a unit: video {video} ends at "
            f"{stream.ends[video]:g} here and at {ends[video]:g} there; write times from the beginning of "
            f'the video, or, where they are right, say --config.data.time_units="({seconds})" (in Python: '
            "time_units=...)"
        )
    named = ", ".join(sorted(path.name for path in others))
    known = _tells_rate(stream.ends, ends, rate)
    guess += "" if known else "; they end too differently to tell the RATE itself"
    return UserError(
        f"{paths[stream.role]}: its times are not in the unit of {named}: video {video} ends at "
        f"{stream.ends[video]:g} here and at {ends[video]:g} there, {guess}; "
        f"{mend({stream.role: rate if known else None}, paths)}"
    )


def _tells_rate(ends: Mapping[str, float], others: Mapping[str, float], rate: float) -> bool:
    """Whether most videos end so much alike that the ratio of their ends is the rate: 24 is not 25."""
    ratios = np.array([ends[video] / others[video] for video in ends if others.get(video)])
    return bool(len(ratios) and np.median(np.abs(ratios / rate - 1)) <= _ALIKE)


def odd_video(path: Path, video: str, times: float) -> UserError:
    """Makes the error for one video that is in another unit than the others of its stream."""
    how = f"{times:.3g} times longer" if times > 1 else f"{1 / times:.3g} times shorter"
    return UserError(
        f"{path}, video {video}: its times are in another unit than those of the other videos (rows last "
        f"{how}, and the video ends elsewhere than in the other files); write them in the same one"
    )


def _rounded(ratio: float) -> float:
    """Gives a usual rate where one is near, else the ratio to three digits."""
    for unit in _LONGER:
        if 1 / _CLOSE <= ratio / unit <= _CLOSE:
            return unit
    near = min((*_FRAMES, *_SAMPLES), key=lambda rate: abs(np.log(ratio / rate)))
    if 1 / _NEAR <= ratio / near <= _NEAR and ratio > 1.5:
        return float(near)
    return float(f"{ratio:.3g}")
