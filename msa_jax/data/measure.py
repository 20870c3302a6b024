"""Measuring of the training split: mean, scale and usual range of each column of audio and vision."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from msa_jax.corpora import STREAMS
from msa_jax.data import time_line
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.data.ranges import Sample, robust_range


class Measure:
    """Statistics of audio and vision, gathered while the clips of the training split go by."""

    def __init__(self, how: Preprocessing, *, standardise: bool) -> None:
        """Starts with nothing.

        Args:
          how: the preprocessing.
          standardise: whether mean and scale are wanted; without, they are 0 and 1.
        """
        self._how, self._standardise = how, standardise
        self._scalers: dict[str, StandardScaler] = {}
        self._samples: dict[str, Sample] = {}

    def add(self, clips: Sequence[Mapping[str, Any]]) -> None:
        """Takes note of the rows of some clips."""
        for m in STREAMS:
            rows = [kept for clip in clips if len(kept := time_line.own_rows(clip, m, self._how))]
            if rows:
                self._samples.setdefault(m, Sample()).add(together := np.concatenate(rows))
                self._scale(m, together)

    def _scale(self, modality: str, rows: np.ndarray) -> None:
        if self._standardise:
            self._scalers.setdefault(modality, StandardScaler()).partial_fit(rows.astype(np.float64))

    def statistics(self, again: Iterable[Sequence[Mapping[str, Any]]]) -> Statistics:
        """What was measured.

        Args:
          again: the same clips, gone through a second time where values are to be clipped: the range is known
            only at the end of the first.
        """
        out = Statistics.identity(self._how.widths)
        for m, sample in self._samples.items():
            out.low[m], out.high[m] = robust_range(sample.rows())
        if self._how.clip_values:
            out.clips, self._scalers = True, {}
            for clips in again:
                for m in STREAMS:
                    for rows in (time_line.own_rows(clip, m, self._how) for clip in clips):
                        if len(rows):
                            self._scale(m, out.clip(m, rows))
        for m, scaler in self._scalers.items():
            out.mean[m], out.scale[m] = scaler.mean_, scaler.scale_
        return out
