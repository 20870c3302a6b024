"""Scoring clips with a trained model: the compiled step, and a whole split."""

import functools
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float

from msa_jax.data.pipeline import Split, Statistics, batches
from msa_jax.data.plan import BatchPlan


@functools.partial(jax.jit, static_argnums=0)
def predict_step(model: nn.Module, params: Any, batch: dict[str, Array]) -> Float[Array, " B"]:
    """Scores of one batch, [B].

    Args:
      model: the module; it is part of what is compiled.
      params: its parameters.
      batch: as `Split.batch` makes it.
    """
    return model.apply({"params": params}, batch, train=False)["prediction"]


def score(
    model: nn.Module,
    params: Any,
    split: Split,
    statistics: Statistics,
    *,
    buckets: tuple[int, ...],
    batch_size: int,
    threads: int,
) -> np.ndarray:
    """Scores every clip of a split.

    Args:
      model, params: the trained model.
      split: the clips.
      statistics: of the training split.
      buckets: lengths that batches are padded to.
      batch_size: clips in a batch.
      threads: background threads that make batches.

    Returns:
      [N] float32, in the order of the split.
    """
    out = np.full(len(split), np.nan, np.float32)
    # One batch is computed while the one before is fetched.
    waiting: list[tuple[np.ndarray, np.ndarray, Array]] = []
    longest = int(split.lengths.max(initial=0))
    if longest > buckets[-1]:  # longer than any training clip
        buckets = (*buckets, longest)
    plan = BatchPlan(split.lengths, buckets, batch_size)
    for batch in batches(split, plan, statistics, threads=threads):
        waiting.append((batch["index"], batch["mask"], predict_step(model, params, batch)))
        if len(waiting) > 1:
            _collect(out, *waiting.pop(0))
    for item in waiting:
        _collect(out, *item)
    return out


def _collect(out: np.ndarray, index: np.ndarray, mask: np.ndarray, predictions: Array) -> None:
    out[index[mask]] = np.asarray(predictions)[mask]
