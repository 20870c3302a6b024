"""Folders of .csd files of the sixty clips, with the times of each stream in any unit and type of number.

A word lasts a quarter of a second and has two rows of audio and one of vision; behind each clip is a pause.
All times are multiples of 1/8 s, and whole in every finer unit.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from tests.data.conventions.clips import Clip, clips, expect
from tests.data.conventions.matrix import Case

WORD, PAUSE = 0.25, 0.5  # seconds
FILES = {
    "labels": ("CMU_MOSI_Opinion_Labels.csd", "Opinion Segment Labels"),
    "words": ("CMU_MOSI_TimestampedWords.csd", "words"),
    "audio": ("CMU_MOSI_COVAREP.csd", "COVAREP"),
    "vision": ("CMU_MOSI_Visual_Facet_42.csd", "FACET_4.2"),
    "word vectors": ("CMU_MOSI_TimestampedWordVectors.csd", "glove_vectors"),
}
ROWS = {"audio": 2, "vision": 1, "word vectors": 1}  # a word
RATES = {"audio": 8, "vision": 4, "words": 4, "word vectors": 4}  # rows a second, for frame numbers
DTYPES = ("f4", "f8", "i4", "i8", "u4")
FACTORS = (0.5, 2.0, 226.0)  # of times in no unit that is known
UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "units of 100 ns": 1e7}


@dataclasses.dataclass(frozen=True)
class Stream:
    """One stream of one video, in seconds."""

    times: np.ndarray
    rows: np.ndarray


def name(clip: Clip) -> str:
    """The video of a clip."""
    return f"film_{clip.video:02d}"


def video(clips: Sequence[Clip]) -> dict[str, Stream]:
    """The streams of the clips of one video, one clip behind the other."""
    times: dict[str, list] = {role: [] for role in FILES}
    rows: dict[str, list] = {role: [] for role in FILES}
    now = 0.0
    for clip in clips:
        words = clip.text.split()
        end = now + WORD * len(words)
        times["labels"].append((now, end))
        rows["labels"].append([clip.label])
        for role, count in ROWS.items():
            form = {"word vectors": "text"}.get(role, role)
            step = WORD / count
            silent = round(PAUSE / step)
            held = np.repeat(clip.by_word[form], count, axis=0)
            rows[role] += [*held, *np.zeros((silent, held.shape[1]), held.dtype)]
            times[role] += [(now + k * step, now + (k + 1) * step) for k in range(len(held) + silent)]
        for k, word in enumerate([*words, "sp", "sp"]):
            times["words"].append((now + k * WORD, now + (k + 1) * WORD))
            rows["words"].append([word.encode()])
        now = end + PAUSE
    return {role: Stream(np.array(times[role]), np.array(rows[role])) for role in FILES}


def write_csd(
    folder: Path,
    clips: Sequence[Clip],
    *,
    streams: Sequence[str] = ("labels", "words", "audio", "vision"),
    units: Mapping[str, float] | None = None,
    dtypes: Mapping[str, str] | None = None,
    change: Callable[[str, str, np.ndarray], np.ndarray] = lambda role, video, times: times,
) -> Path:
    """Writes a folder.

    Args:
      folder: where.
      clips: those of a video one behind the other.
      streams: the files that there are.
      units: how many units of a stream's times make a second; 1 where it is not named.
      dtypes: types of the numbers of times; float64 where it is not named.
      change: what becomes of the times of a stream in a video, once they are in their unit.

    Returns:
      The folder.
    """
    units, dtypes = units or {}, dtypes or {}
    by_video: dict[str, list[Clip]] = {}
    for clip in clips:
        by_video.setdefault(name(clip), []).append(clip)
    made = {title: video(group) for title, group in by_video.items()}
    for role in streams:
        file_name, root = FILES[role]
        with h5py.File(folder / file_name, "w") as file:
            for title, parts in made.items():
                group = file.create_group(f"{root}/data/{title}")
                times = change(role, title, parts[role].times * units.get(role, 1.0))
                group["intervals"] = times.astype(dtypes.get(role, "f8"))
                group["features"] = parts[role].rows
    return folder


def frame_numbers(role: str) -> Callable[[str, str, np.ndarray], np.ndarray]:
    """A change that counts the rows of a stream instead of timing them."""

    def count(stream: str, video: str, times: np.ndarray) -> np.ndarray:
        numbers = np.arange(len(times))
        return np.stack([numbers, numbers + 1], axis=1) if stream == role else times

    return count


def cases() -> Iterator[Case]:
    """Each unit in each stream with each type of number, with words and without; and in no known unit."""
    for words in (True, False):
        streams = ("labels", "words", "audio", "vision") if words else ("labels", "audio", "vision")
        groups = [*((role,) for role in streams), streams, streams[1:]]
        for turn, (roles, unit) in enumerate(itertools.product(groups, UNITS)):
            dtypes = dict.fromkeys(roles, DTYPES[turn % len(DTYPES)])
            units = dict.fromkeys(roles, UNITS[unit])
            yield _case(f"{unit}, {dtypes}", streams, units=units, dtypes=dtypes)
        for role, dtype in (("audio", "i4"), ("vision", "f4")):
            numbered = {"change": frame_numbers(role), "dtypes": {role: dtype}}
            told = {"time_units": ((role, float(RATES[role])),)}
            yield _case(f"frame numbers of {role}", streams, undecided=True, **numbered)
            yield _case(f"frame numbers of {role}, said", streams, reading=told, **numbered)
        for turn, (role, factor) in enumerate(itertools.product(streams, FACTORS)):
            told, options = {"time_units": ((role, factor),)}, f"{role} {factor} times"
            if words or role == "audio":
                yield _case(options, streams, undecided=True, units={role: factor})
            if words and turn % 4 == 0:
                yield _case(f"{options}, said", streams, units={role: factor}, reading=told)


def _case(
    options: str,
    streams: Sequence[str],
    *,
    reading: Mapping[str, object] | None = None,
    undecided: bool = False,
    **how: object,
) -> Case:
    chosen, words = clips(), "words" in streams

    def rows(clip: Clip, role: str) -> np.ndarray:
        return clip.by_word[role] if words else np.repeat(clip.by_word[role], ROWS[role], axis=0)

    return Case(
        "CMU-MultimodalSDK .csd",
        f"{', '.join(streams)}: {options}",
        lambda folder: write_csd(folder, chosen, streams=streams, **how),
        expect(chosen, "video_k", rows, aligned=words, splits=False, words=words),
        reading or {},
        undecided,
    )
