"""Tasks of synthetic corpora: labels as functions of the annotators' mean rating in [-3, 3]."""

import numpy as np

from msa_jax.corpora import EMOTIONS

TASKS = ("mosi", "ur_funny", "iemocap")
# Each emotion's band of the mean rating; the ends lie between points of its grid.
BANDS = {"happy": (0.7, 3.1), "sad": (-2.1, -0.7), "angry": (-3.1, -1.5), "neutral": (-0.9, 0.9)}


def labels(task: str, ratings: np.ndarray) -> np.ndarray:
    """The labels of clips.

    Args:
      task: one of `TASKS`.
      ratings: [N] mean ratings.

    Returns:
      "mosi": the ratings, [N]. "ur_funny": 1 for ratings above 0, else 0, [N]. "iemocap": 1 for each emotion
      whose band holds the rating, else 0, [N, 4] in the order of EMOTIONS.
    """
    if task == "mosi":
        return ratings
    if task == "ur_funny":
        return (ratings > 0).astype(np.float64)
    low, high = np.array([BANDS[emotion] for emotion in EMOTIONS]).T
    return ((low < ratings[:, None]) & (ratings[:, None] < high)).astype(np.float64)
