"""The times of a `.csd` corpus: their units, told by some videos, and a check of every video that is read."""

from collections.abc import Iterator, Mapping

import numpy as np

from msa_jax.data.conventions import time_words, times
from msa_jax.data.conventions.times import Track, Units
from msa_jax.data.conventions.used import SAMPLE, spread
from msa_jax.data.readers.csd_sequence import Sequence
from msa_jax.errors import counted

_FEW = 2  # rows of a video that may all be turned around without being refused


def units(
    sequences: Mapping[str, Sequence], labels: Mapping[str, np.ndarray], asked: Mapping[str, float]
) -> Units:
    """Tells the units of all streams of a corpus.

    Args:
      sequences: the files by stream, the labels among them.
      labels: the intervals of the labels by video, in the file's unit.
      asked: how many units make a second, for the streams of which the user says it.

    Raises:
      UserError: when it is not clear; see `times.decide`.
    """
    if len(sequences) == 1:
        return Units(asked)
    others = {role: sequence for role, sequence in sequences.items() if role != "labels"}
    shared = [video for video in labels if all(video in other.videos for other in others.values())]
    some = [shared[k] for k in spread(len(shared))]
    labelled = list(labels)
    videos = [*some, *(labelled[k] for k in spread(len(labelled)))][:SAMPLE]
    tracks = {"labels": _measured({video: labels[video] for video in videos})}
    tracks |= {role: _measured(other.intervals(dict.fromkeys(videos))) for role, other in others.items()}
    return times.decide(tracks, {role: sequence.path for role, sequence in sequences.items()}, asked)


def _measured(intervals: Mapping[str, np.ndarray]) -> dict[str, Track]:
    tracks = {video: times.measure(found) for video, found in intervals.items()}
    return {video: track for video, track in tracks.items() if track is not None}


class Watch:
    """A check of each video that goes by, and a count of the rows that end before they start."""

    def __init__(self, sequences: Mapping[str, Sequence], units: Units) -> None:
        """Takes the files by stream, and what was decided of their times."""
        self._sequences, self._units = sequences, units
        self._backward: dict[str, dict[str, int]] = {}

    def check(self, video: str, intervals: Mapping[str, np.ndarray]) -> None:
        """Looks at the intervals [n, 2] of a video's streams, in seconds, those of the labels among them.

        Raises:
          UserError: when all rows of a stream end before they start, or it is in another unit than in the
            other videos.
        """
        tracks = _measured(intervals)
        for role, track in tracks.items():
            sequence = self._sequences[role]
            if track.backward == track.rows > _FEW:
                raise time_words.turned(sequence.path, video, track.backward, track.rows)
            if track.backward and role != "labels":  # those of labels are told before
                self._backward.setdefault(sequence.path.name, {})[video] = track.backward
        if found := self._units.odd(tracks):
            role, longer = found
            raise time_words.odd_video(self._sequences[role].path, video, longer)

    def notes(self) -> Iterator[str]:
        """Notes on the rows that were left out so far."""
        for name, videos in self._backward.items():
            first = next(iter(videos))
            yield (
                f"Rows that end before they start are left out; {name} has {sum(videos.values())} of them in "
                f"{counted(len(videos), '{video|videos}')}, such as {first}."
            )
