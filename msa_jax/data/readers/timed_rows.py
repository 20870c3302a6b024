"""Timed rows, each of which holds for an interval, and those of them that overlap another interval."""

import numpy as np

from msa_jax.data.conventions.times import LEAST


class TimedRows:
    """Rows that each hold for an interval, in time order, to be asked which of them overlap another interval.

    As in the SDK's `align`, an overlap has a length: a row that only touches the interval is outside, and so
    is everything where the row or the interval has no length itself.
    """

    def __init__(self, intervals: np.ndarray, rows: np.ndarray) -> None:
        """Sorts rows [n, ...] by the start of their intervals [n, 2] in seconds; those without length go."""
        kept = np.flatnonzero(intervals[:, 1] - intervals[:, 0] > LEAST)
        kept = kept[np.argsort(intervals[kept, 0], kind="stable")]
        self.intervals = intervals[kept]
        self.rows = rows[kept]
        self._reach = np.maximum.accumulate(self.intervals[:, 1])  # ends need not ascend as starts do

    def within(self, start: float, end: float) -> np.ndarray:
        """The indices of the rows that overlap [start, end], in time order."""
        if end - start <= LEAST:
            return np.zeros(0, np.intp)
        first = np.searchsorted(self._reach, start + LEAST, "right")
        last = np.searchsorted(self.intervals[:, 0], end - LEAST, "left")
        return first + np.flatnonzero(self.intervals[first:last, 1] > start + LEAST)

    def mean(self, start: float, end: float) -> np.ndarray | None:
        """The mean over the rows that overlap [start, end], of the finite numbers of each column.

        Returns:
          float64 [width], NaN where a column has no finite number; None where no row overlaps.
        """
        index = self.within(start, end)
        if not len(index):
            return None
        rows = self.rows[index].astype(np.float64)
        finite = np.isfinite(rows)
        count = finite.sum(axis=0)
        total = np.where(finite, rows, 0).sum(axis=0)
        return np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
