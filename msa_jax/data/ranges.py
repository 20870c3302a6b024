"""Ranges of the columns of features that no ordinary value leaves, told from a sample of the rows."""

import numpy as np

# Rows that the ranges are told from, at least: enough for quantiles of 5 %. Twice as many are held at a time,
# which is what the inspector has room for beside a large file.
_ROWS = 512
_REACH = 30.0  # times the distance from the median to the 5 % or 95 % quantile, the larger of the two
_QUANTILES = (0.05, 0.5, 0.95)
_FEW = 20  # different values, of which a single one would be such a quantile


class Sample:
    """Every k-th of the rows that come by; k is doubled whenever they become too many."""

    def __init__(self) -> None:
        """Starts with nothing."""
        self._kept: list[np.ndarray] = []
        self._every, self._seen = 1, 0

    def add(self, rows: np.ndarray) -> None:
        """Takes some rows, [n, D]."""
        self._kept.append(rows[-self._seen % self._every :: self._every].copy())  # a view would keep them all
        self._seen += len(rows)
        if sum(map(len, self._kept)) > 2 * _ROWS:
            self._kept = [self.rows()[::2]]
            self._every *= 2

    def rows(self) -> np.ndarray:
        """Those that are kept."""
        return np.concatenate(self._kept)


def robust_range(rows_RD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range around the median of each column that no ordinary value leaves.

    The median and the quantiles are those of the different values of a column: neither a value that stands
    for "missing" in many rows, such as -9999, nor the zeros of silence move them. A column of few different
    values has no such quantiles: the nearer half of them tells its range.

    Args:
      rows_RD: some rows; those that are not finite do not count.

    Returns:
      (low, high): [D] float64; a column of one value gets a range as wide as 30 times that value, or 30.
    """
    low, high = np.full(rows_RD.shape[1], -np.inf), np.full(rows_RD.shape[1], np.inf)
    for place, column in enumerate(rows_RD.T.astype(np.float64)):
        values = np.unique(column[np.isfinite(column)])
        if not len(values):
            continue
        middle, spread = _few(column) if len(values) <= _FEW else _many(values)
        reach = _REACH * (spread or max(abs(middle), 1.0))
        low[place], high[place] = middle - reach, middle + reach
    return low, high


def _many(values: np.ndarray) -> tuple[float, float]:
    """(median, spread) of the different values of a column."""
    down, middle, up = np.quantile(values, _QUANTILES)
    return middle, max(up - middle, middle - down)


def _few(column: np.ndarray) -> tuple[float, float]:
    """The same of a column of flags or levels: the median of the nearer half of its other values."""
    values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
    middle = values[np.searchsorted(counts.cumsum(), counts.sum() / 2)]
    others = np.sort(np.abs(values[values != middle] - middle))
    return middle, others[(len(others) - 1) // 2] if len(others) else 0.0
