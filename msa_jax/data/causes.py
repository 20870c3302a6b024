"""Causes of scores that are not finite: the clips, and the columns of their features that explain them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from msa_jax.corpora import STREAMS
from msa_jax.data import time_line
from msa_jax.data.pipeline import Split
from msa_jax.data.preparation import Preparation
from msa_jax.errors import UserError, named

_EXTREME = 1e4  # deviations from the training mean, or for text features the size itself
_SHOWN = 3  # columns that a message names


def refuse_not_finite(
    scores: np.ndarray, split: Split, preparation: Preparation, broken: Sequence[str] = ()
) -> None:
    """Refuses scores with NaN or infinity among them.

    Args:
      scores: [N] or [N, ..., classes], in the order of the split; the split is looked at only where one of
        them is not finite.
      split: the clips.
      preparation: that made their arrays.
      broken: names of the run's parameters that are not finite.

    Raises:
      UserError: names the clips, and the columns whose values are not finite or beyond 10 000 deviations from
        the training mean; where there are none, says what else it may be.
    """
    places = np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(1))
    if not len(places):
        return
    clips = named("{clip has|clips have} a score that is not finite", [split.ids[i] for i in places])
    if broken:
        raise UserError(
            f"{clips}: the run's parameters {', '.join(broken[:_SHOWN])} are not finite; train again, with a "
            "lower optim.learning_rate"
        )
    for place in places:
        if columns := list(_extreme(split.clip(int(place)), preparation)):
            more = f" and {len(columns) - _SHOWN} more columns" if len(columns) > _SHOWN else ""
            raise UserError(
                f"{clips}; in clip {split.ids[place]} {', '.join(columns[:_SHOWN])}{more}; mend "
                "these values, or leave the clip out"
            )
    raise UserError(
        f"{clips}, and neither their features explain it (all lie within {_EXTREME:g} deviations of the "
        "training mean) nor the parameters (all are finite): the model's own arithmetic overflows"
    )


def _extreme(clip: Mapping[str, Any], preparation: Preparation) -> Iterator[str]:
    """What is odd about each column of a clip that the run reads and that is extreme."""
    how, statistics = preparation.preprocessing, preparation.statistics
    for m in STREAMS:
        rows = time_line.own_rows(clip, m, how) if m in how.modalities else ()
        if len(rows):
            read = statistics.clip(m, rows).astype(np.float64)
            away = (read - statistics.mean[m]) / statistics.scale[m]
            yield from _columns(m, rows, away, " ({} deviations from the training mean)")
    if how.text_width and "text" in how.modalities and len(rows := clip["text_features"]):
        yield from _columns("text features", rows, rows.astype(np.float64), "")


def _columns(name: str, rows: np.ndarray, away: np.ndarray, told: str) -> Iterator[str]:
    size_FD = np.where(np.isnan(away), np.inf, np.abs(away))
    for column in np.flatnonzero(size_FD.max(0) > _EXTREME):
        row = int(size_FD[:, column].argmax())
        yield (
            f"column {column} of {name} (counted from 0) holds {rows[row, column]:.3g} in row {row}"
            f"{told.format(f'{size_FD[row, column]:.2g}')}"
        )
