"""One clip as every reader yields it and every dataset stores it."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class Example:
    """One utterance with up to three modalities.

    Attributes:
      id: unique name of the clip within its corpus, `<video>_<clip>` where the file allows it.
      video: the video (speaker's recording) that the clip was cut from; splits are cut by it.
      split: "train", "valid" or "test"; "" where the file does not divide its clips.
      text: the transcript, words separated by single spaces.
      audio: float32 [A, d_a]; shape (0, 0) where the clip has no audio features.
      vision: float32 [V, d_v]; shape (0, 0) where the clip has no vision features.
      aligned: True where audio and vision have exactly one row per word of `text.split(" ")`.
      label: sentiment score in the corpus's own range; NaN where the file gives none.
    """

    id: str
    video: str
    split: str
    text: str
    audio: np.ndarray
    vision: np.ndarray
    aligned: bool
    label: float


def no_features() -> np.ndarray:
    """The features of a modality that a clip does not have: float32 [0, 0]."""
    return np.zeros((0, 0), np.float32)
