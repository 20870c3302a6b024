"""Padding: rows that only bring a clip to the length of the longest one."""

from collections.abc import Mapping

import numpy as np


def trim(rows: Mapping[str, np.ndarray], *, together: bool) -> dict[str, np.ndarray]:
    """Cuts the all-zero rows off both ends of a clip's arrays.

    Args:
      rows: the padded rows [L, d] of the clip, by the name of the modality.
      together: whether the modalities share one time line (equal L). All are then cut to the stretch outside
        of which all are zero: a step at which only some are silent keeps its rows of zeros. A modality that
        is zero throughout has no rows either way.

    Returns:
      By the same names, views of the arrays without their padding, [l, d] with 0 <= l <= L. NaN and infinite
      values are not padding.

    Raises:
      ValueError: when the modalities are to be cut together and their L differ.
    """
    used = {name: np.any(array != 0, axis=1) for name, array in rows.items()}
    if together and used:
        if len({len(steps) for steps in used.values()}) > 1:
            lengths = ", ".join(f"{name} {len(steps)}" for name, steps in used.items())
            raise ValueError(f"a clip's modalities have different numbers of steps ({lengths})")
        any_used = np.any(list(used.values()), axis=0)
        used = {name: any_used if steps.any() else steps for name, steps in used.items()}
    return {name: array[stretch(used[name])] for name, array in rows.items()}


def stretch(used: np.ndarray) -> slice:
    """From the first step that is in use to the last one."""
    steps = np.flatnonzero(used)
    return slice(steps[0], steps[-1] + 1) if len(steps) else slice(0, 0)
