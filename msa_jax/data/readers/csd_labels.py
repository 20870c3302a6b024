"""The labels of a `.csd` corpus: which clips they cut out of the videos.

As in the CMU-MultimodalSDK (`mmdataset.align` in `mmsdk/mmdatasdk/dataset/dataset.py`), a label of no length
makes no clip, and the clips behind it keep the numbers that they have in the file.
"""

from typing import NamedTuple

import numpy as np

from msa_jax.data.conventions import label_columns, time_words
from msa_jax.data.conventions.label_columns import Columns
from msa_jax.data.conventions.times import LEAST
from msa_jax.data.readers.csd_sequence import Sequence
from msa_jax.errors import UserError

_SHOWN = 3  # ids named in a note


class Segment(NamedTuple):
    """The label with the number k of its video, from start to end in seconds."""

    k: int
    start: float
    end: float
    label: float | np.ndarray


class Labels(NamedTuple):
    """The labels of all videos that have any, as the file has them.

    Attributes:
      intervals: [n, 2] by video, in the file's unit.
      scores: [n] or [n, 4] by video.
      columns: which numbers of a clip they are.
    """

    intervals: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    columns: Columns


def read(sequence: Sequence, asked: int | None, *, values: bool = True) -> Labels:
    """Reads a label file.

    Args:
      sequence: the file.
      asked: the column that the user says is the label.
      values: whether the labels themselves are read, and not only their times; else they are NaN.

    Raises:
      UserError: when a video's labels or intervals are damaged, or it is not clear which column is the label.
    """
    intervals: dict[str, np.ndarray] = {}
    numbers: dict[str, np.ndarray] = {}
    for video in sequence.videos:
        times, scores = sequence.arrays(video)
        scores = scores if values else np.full((len(times), 1), np.nan)
        if len(times):
            intervals[video] = times
            try:
                numbers[video] = label_columns.numbers(
                    scores, len(times), lambda k, video=video: f"{video}_{k}"
                )
            except ValueError as error:
                raise UserError(f"{sequence.where(video)}: {error}") from None
    columns = label_columns.decide(numbers, asked=asked if values else None, where=sequence.path)
    return Labels(intervals, {video: columns.of(values) for video, values in numbers.items()}, columns)


def segments(labels: Labels, sequence: Sequence) -> tuple[dict[str, list[Segment]], tuple[str, ...]]:
    """Cuts the clips.

    Args:
      labels: of all videos.
      sequence: their file, with the unit of its times.

    Returns:
      (the segments that are clips, by video, without the videos that have none; notes on the others).

    Raises:
      UserError: when most labels end before they start.
    """
    clips: dict[str, list[Segment]] = {}
    still: list[str] = []
    backward: list[str] = []
    for video, times in labels.intervals.items():
        scores = labels.scores[video]
        for k, (start, end) in enumerate(times / sequence.per_second):
            if end - start > LEAST:
                clips.setdefault(video, []).append(Segment(k, start, end, label_columns.one(scores[k])))
            else:
                (backward if end - start < -LEAST else still).append(f"{video}_{k}")
    count = sum(map(len, labels.intervals.values()))
    if 2 * len(backward) > count:
        raise time_words.turned(sequence.path, backward[0].rpartition("_")[0], len(backward), count)
    notes = []
    for rule, left_out in (
        ("Labels of no length make no clip, as in the CMU-MultimodalSDK", still),
        ("Labels that end before they start make no clip", backward),
    ):
        if left_out:
            shown = ", ".join(left_out[:_SHOWN]) + (", ..." if len(left_out) > _SHOWN else "")
            notes.append(f"{rule}; {sequence.path.name} has {len(left_out)} of them: {shown}.")
    return clips, tuple(notes)
