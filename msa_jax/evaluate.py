"""Scoring clips with a trained model: the compiled step, a whole split, and how good an epoch is."""

import functools
import math
import warnings
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from msa_jax import metrics
from msa_jax.data.pipeline import Split, batches
from msa_jax.data.plan import BatchPlan, Lengths
from msa_jax.data.preprocessing import Statistics
from msa_jax.losses import TASKS


@functools.partial(jax.jit, static_argnums=0)
def predict_step(model: nn.Module, params: Any, batch: dict[str, Array]) -> Float[Array, "B ..."]:
    """Scores of one batch, [B], or its logits, [B, ..., classes].

    Args:
      model: the module; it is part of what is compiled.
      params: its parameters.
      batch: as `Split.batch` makes it.
    """
    outputs = model.apply({"params": params}, batch, train=False)
    return outputs["prediction"] if "prediction" in outputs else outputs["logits"]


def score(
    model: nn.Module,
    params: Any,
    split: Split,
    statistics: Statistics,
    *,
    buckets: tuple[Lengths, ...],
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
      [N] scores or [N, ..., classes] logits, float32, in the order of the split.
    """
    out: np.ndarray | None = None
    # One batch is computed while the one before is fetched.
    waiting: list[tuple[np.ndarray, np.ndarray, Array]] = []
    longest = np.maximum(split.lengths.max(0, initial=1), buckets[-1])
    if (longest > buckets[-1]).any():  # longer than any training clip
        buckets = (*buckets, tuple(longest.tolist()))
    plan = BatchPlan(split.lengths, buckets, batch_size)

    def collect(index: np.ndarray, mask: np.ndarray, predictions: Array) -> None:
        nonlocal out
        if out is None:
            out = np.full((len(split), *predictions.shape[1:]), np.nan, np.float32)
        out[index[mask]] = np.asarray(predictions)[mask]

    for batch in batches(split, plan, statistics, threads=threads):
        waiting.append((batch["index"], batch["mask"], predict_step(model, params, batch)))
        if len(waiting) > 1:
            collect(*waiting.pop(0))
    for item in waiting:
        collect(*item)
    return np.zeros(0, np.float32) if out is None else out


def validation(
    config: ConfigDict, corpus: str, predictions: np.ndarray, labels: np.ndarray
) -> tuple[str, float]:
    """What an epoch is judged by.

    Args:
      config: `select`: "loss" (the task loss, without auxiliary terms) or a metric; `loss.task`.
      corpus: whose metrics apply.
      predictions, labels: of the validation split, as `score` gives them.

    Returns:
      (name, value).
    """
    if config.select != "loss":
        if not np.isfinite(predictions).all():  # a broken step, which the next one's loss will stop
            return config.select, math.nan
        with warnings.catch_warnings():  # the correlation of a constant is no news in the first epochs
            warnings.simplefilter("ignore")
            return config.select, metrics.evaluate(corpus, predictions, labels)[config.select]
    task = TASKS[config.loss.task]
    return config.loss.task, float(task.validation(predictions.astype(np.float64), labels))


def better(name: str, value: float, before: float | None) -> bool:
    """Whether a value of a metric, or of a task loss, beats the best before; NaN and infinity beat none."""
    if not math.isfinite(value) or before is None:
        return math.isfinite(value)
    return value < before if name in TASKS or name in metrics.LOWER_IS_BETTER else value > before
