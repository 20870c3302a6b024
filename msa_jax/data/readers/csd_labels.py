"""The labels of a `.csd` corpus: which clips they cut out of the videos.

As in the CMU-MultimodalSDK (`mmdataset.align` in `mmsdk/mmdatasdk/dataset/dataset.py`), a label of no length
makes no clip, and the clips behind it keep the numbers that they have in the file.
"""

from typing import NamedTuple

import numpy as np

from msa_jax.data.readers import clean
from msa_jax.data.readers.csd_sequence import Sequence
from msa_jax.data.readers.timed_rows import LEAST
from msa_jax.errors import UserError

_SHOWN = 3  # ids named in a note


class Segment(NamedTuple):
    """The label with the number k of its video, from start to end in seconds."""

    k: int
    start: float
    end: float
    label: float | np.ndarray


def segments(labels: Sequence, values: bool = True) -> tuple[dict[str, list[Segment]], tuple[str, ...]]:
    """Reads all labels.

    Args:
      labels: the label file.
      values: whether the labels themselves are read, and not only their times; else they are NaN.

    Returns:
      (the segments that are clips, by video, without the videos that have none; notes on the others).

    Raises:
      UserError: when a video's labels or intervals are damaged.
    """
    clips: dict[str, list[Segment]] = {}
    still: list[str] = []
    backward: list[str] = []
    for video in labels.videos:
        intervals, scores = labels.arrays(video)
        if not len(intervals):
            continue
        try:
            scores = clean.labels(scores if values else scores[:, :1] * np.nan, len(intervals))
        except ValueError as error:
            raise UserError(f"{labels.path}, video {video}: {error}") from None
        for k, (start, end) in enumerate(intervals):
            if end - start > LEAST:
                clips.setdefault(video, []).append(Segment(k, start, end, clean.label(scores[k])))
            else:
                (backward if end - start < -LEAST else still).append(f"{video}_{k}")
    notes = []
    for rule, left_out in (
        ("Labels of no length make no clip, as in the CMU-MultimodalSDK", still),
        ("Labels that end before they start make no clip", backward),
    ):
        if left_out:
            shown = ", ".join(left_out[:_SHOWN]) + (", ..." if len(left_out) > _SHOWN else "")
            notes.append(f"{rule}; {labels.path.name} has {len(left_out)} of them: {shown}.")
    return clips, tuple(notes)
