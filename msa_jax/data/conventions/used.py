"""Used rows: which rows of a clip are in use, and where they begin and end.

A row is not in use where it is zero, or NaN throughout.
"""

from typing import Any

import numpy as np

SAMPLE = 64  # clips or videos that are looked at
_BLOCK = 1 << 26  # bytes of an array that are compared at once


def matrix(value: Any) -> np.ndarray | None:
    """A clip's numbers [L, d]; None where it holds something else, or rows of several widths."""
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value, np.float64)
        array = array.astype(np.float64) if array.dtype == object else array
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.ndim == 2 and array.dtype.kind in "biuf" else None


def spread(count: int) -> list[int]:
    """Some places of `count`, from the first to the last: those that are looked at."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(int)).tolist()


def edges(values: object) -> np.ndarray:
    """Where each clip's rows are in use.

    Args:
      values: [N, L, d], or N matrices of any length.

    Returns:
      [N, 3] int: the first row in use (see `used.in_use`) and the one behind the last (0 and 0 where none
      is), and L.
    """
    if isinstance(values, np.ndarray) and values.ndim == 3 and values.dtype != object:
        step = max(1, _BLOCK // max(1, values[:1].nbytes))
        blocks = (in_use(values[start : start + step]) for start in range(0, len(values), step))
        return np.concatenate([np.zeros((0, 3), int), *map(_edges, blocks)])
    found = [np.zeros((0, 3), int)]
    for rows in values:
        rows = np.asarray(rows)
        found.append(_edges(in_use(rows)[None]) if rows.size else np.array([[0, 0, len(rows)]]))
    return np.concatenate(found)


def _edges(used_NL: np.ndarray) -> np.ndarray:
    limit = used_NL.shape[1]
    some = used_NL.any(axis=1) if limit else np.zeros(len(used_NL), bool)
    first = used_NL.argmax(axis=1) if limit else some
    stop = limit - used_NL[:, ::-1].argmax(axis=1) if limit else some
    return np.stack([first * some, stop * some, np.full(len(used_NL), limit)], axis=1)


def ends(values: Any, columns: slice = slice(None)) -> np.ndarray:
    """Whether the first row, the last row and any row of each clip is in use.

    Args:
      values: N clips of rows: an array or an HDF5 dataset [N, L, d], or N matrices.
      columns: those that matter.

    Returns:
      [N, 3] bool. Only clips that are zero at both ends are looked at whole.
    """
    if len(getattr(values, "shape", ())) == 3 and values.dtype.kind != "O":
        if 0 in values.shape:
            return np.zeros((len(values), 3), bool)
        first, last = (in_use(values[:, row][:, columns]) for row in (0, values.shape[1] - 1))
        some = first | last
        for clip in np.flatnonzero(~some):
            some[clip] = np.any(in_use(values[clip][:, columns]))
        return np.stack([first, last, some], axis=1)
    used = [in_use(np.asarray(rows)) if np.size(rows) else np.zeros(1, bool) for rows in values]
    return np.array([[rows[0], rows[-1], rows.any()] for rows in used], bool).reshape(-1, 3)


def in_use(rows: np.ndarray) -> np.ndarray:
    """Whether each row [..., d] is in use: not zero, and not NaN throughout.

    Returns:
      [...] bool.
    """
    used = np.any(rows != 0, axis=-1) if rows.dtype == object else rows.any(axis=-1)
    if rows.dtype.kind == "f" and rows.size:
        unknown = np.isnan(rows[..., 0])
        if unknown.any():
            used[unknown] = ~np.isnan(rows[unknown]).all(axis=-1)
    return used


def of_edges(edges_N3: np.ndarray) -> np.ndarray:
    """What `ends` says of clips whose first row in use, the one behind the last, and all rows are known."""
    first, stop, limit = np.asarray(edges_N3, int).T
    return np.stack([(first == 0) & (stop > 0), (stop == limit) & (stop > 0), stop > 0], axis=1)
