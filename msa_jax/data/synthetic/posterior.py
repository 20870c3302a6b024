"""Posterior over synthetic clips, and the Bayes-optimal predictions from it."""

import dataclasses

import numpy as np

from msa_jax.data.synthetic import ANNOTATORS, LIMIT
from msa_jax.data.synthetic.tasks import labels

GRID = np.linspace(-LIMIT, LIMIT, 61)
LABELS = np.arange(-15, 16) / ANNOTATORS


@dataclasses.dataclass
class Posterior:
    """The posterior of N clips.

    Attributes:
      sentiment: [N, 61] probability of each sentiment in GRID.
      label: [N, 31] probability of each of the possible mean ratings, LABELS, which are the labels of "mosi".
    """

    sentiment: np.ndarray
    label: np.ndarray

    def mean(self) -> np.ndarray:
        """[N] posterior mean of the label: the least squared error that can be expected."""
        return self.label @ LABELS

    def median(self) -> np.ndarray:
        """[N] posterior median of the label: the least absolute error that can be expected."""
        return LABELS[(np.cumsum(self.label, 1) >= 0.5 - 1e-9).argmax(1)]

    def interval(self, mass: float) -> tuple[np.ndarray, np.ndarray]:
        """The central interval that holds the sentiment with probability `mass`: its two ends, [N] each."""
        # GRID's points stand for cells; the cumulated mass is known at the cells' upper edges.
        edges = GRID + (GRID[1] - GRID[0]) / 2
        cumulated = np.cumsum(self.sentiment, 1)
        low, high = (1 - mass) / 2, (1 + mass) / 2
        return tuple(np.array([np.interp(q, row, edges) for row in cumulated]) for q in (low, high))

    def classes(self, task: str) -> np.ndarray:
        """The probability of label 1 under a task of classes: [N] for "ur_funny", [N, 4] for "iemocap"."""
        return self.label @ labels(task, LABELS)

    def expected_error(self, task: str) -> np.ndarray:
        """[N] the absolute error of the label that the best prediction can expect; a mean over classes."""
        if task == "mosi":
            return (self.label * np.abs(LABELS - self.median()[:, None])).sum(1)
        chance = self.classes(task).reshape(len(self.label), -1)
        return np.minimum(chance, 1 - chance).mean(1)
