"""Evaluation: the compiled pass, the scores of a whole split, and the value that an epoch is judged by."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import metrics, stopping
from msa_jax.agreement import on_host
from msa_jax.errors import UserError
from msa_jax.layers.head import output_name
from msa_jax.losses import TASKS
from msa_jax.parallel import Layout
from msa_jax.together import Together

SCORES = ("prediction", "logits")  # a model has one of them


@functools.partial(jax.jit, static_argnums=(0, 3))
def forward(
    model: nn.Module, variables: Any, batch: Mapping[str, Array], names: tuple[str, ...] | None = SCORES
) -> dict[str, Array]:
    """Outputs of one batch, without dropout.

    Args:
      model: the module; it is part of what is compiled.
      variables: its parameters and other collections.
      batch: as `Split.batch` makes it.
      names: of the outputs to compute, where the model has them; None: all.
    """
    outputs = model.apply(variables, batch, train=False)
    return {k: v for k, v in outputs.items() if names is None or k in names}


@functools.partial(jax.jit, static_argnums=(0, 1))
def forward_lanes(
    model: nn.Module, together: Together, variables: Any, batch: Mapping[str, Array]
) -> dict[str, Array]:
    """The scores of one batch by each of several lanes, with an axis of the lanes in front; see `forward`."""
    return together.forward(functools.partial(forward, model), variables)(variables, batch)


def score(
    model: nn.Module,
    variables: Any,
    batches: Iterable[Mapping[str, np.ndarray]],
    clips: int,
    layout: Layout,
    together: Together | None = None,
) -> np.ndarray:
    """Scores every clip of a split.

    Args:
      model, variables: the trained model; its variables lie on the layout's devices.
      batches: of the split, as `Preparation.in_order` makes them; of several processes each brings its share.
      clips: N, number of clips in the split.
      layout: the devices.
      together: the lanes that the variables are of; None: of one.

    Returns:
      [N] scores or [N, ..., classes] logits, float32, in the order of the split; of several lanes with an
      axis of the lanes in front.
    """
    several = together is not None and together.count > 1
    out: np.ndarray | None = None
    # One batch is computed while the one before is fetched.
    waiting: list[tuple[Array, Array]] = []

    def collect(index: Array, predictions: Array) -> None:
        nonlocal out
        index, predictions = on_host(index), on_host(predictions)
        predictions = np.moveaxis(predictions, 0, 1) if several else predictions
        if out is None:
            out = np.full((clips, *predictions.shape[1:]), np.nan, np.float32)
        out[index[index >= 0]] = predictions[index >= 0]

    for batch in batches:
        if layout.alone:  # one of several processes that left would be waited for
            stopping.check()
        batch = layout.batch(batch)
        made = (
            forward_lanes(model, together, variables, batch) if several else forward(model, variables, batch)
        )
        predictions = made[output_name(getattr(model, "outputs", ()))]
        waiting.append((batch["index"], predictions))
        if len(waiting) > 1:
            collect(*waiting.pop(0))
    for item in waiting:
        collect(*item)
    out = np.zeros(0, np.float32) if out is None else out
    return np.moveaxis(out, 1, 0) if several else out


def outputs(
    model: nn.Module,
    variables: Any,
    batches: Iterable[Mapping[str, np.ndarray]],
    clips: int,
    names: tuple[str, ...] | None = None,
) -> dict[str, list[np.ndarray]]:
    """The named outputs of a model for every clip of a split.

    Args:
      model, variables, batches, clips: as for `score`.
      names: of outputs of the model, or of arrays of the batch that have no output of their name; None: every
        output that belongs to clips.

    Returns:
      For each name N arrays, in the order of the split, each without the axis of the clips.

    Raises:
      UserError: when there is no such output, or it does not belong to single clips.
    """
    out: dict[str, list[Any]] = {}
    axes: dict[str, int | None] = {}
    for batch in batches:
        if not out:
            axes = _clip_axes(model, variables, batch, names)
            out = {name: [None] * clips for name in axes}
        made = {**batch, **forward(model, variables, batch, tuple(axes))}
        for name, rows in out.items():
            array = np.moveaxis(np.asarray(made[name]), axes[name], 0)
            for b in np.flatnonzero(batch["mask"]):
                rows[batch["index"][b]] = array[b]
    return out


def _clip_axes(
    model: nn.Module, variables: Any, batch: Mapping[str, np.ndarray], names: tuple[str, ...] | None
) -> dict[str, int]:
    """The axis of each array that counts the clips, told by the shapes that batches of two sizes give."""

    def shapes(rows: int) -> dict[str, tuple[int, ...]]:
        types = {k: jax.dtypes.canonicalize_dtype(v.dtype) for k, v in batch.items()}  # int64 warns otherwise
        sized = {k: jax.ShapeDtypeStruct((rows, *v.shape[1:]), types[k]) for k, v in batch.items()}
        found = jax.eval_shape(lambda v, b: forward(model, v, b, None), variables, sized)
        return {k: v.shape for k, v in found.items()}

    rows = len(batch["mask"])
    first, second = shapes(rows), shapes(rows + 1)
    axes: dict[str, int] = dict.fromkeys(batch, 0) if names is not None else {}
    for name, shape in first.items():
        differs = [i for i, (a, b) in enumerate(zip(shape, second[name], strict=True)) if a != b]
        if len(differs) == 1:
            axes[name] = differs[0]
    if names is None:
        return axes
    for name in names:
        if name not in axes:
            why = "does not belong to single clips" if name in first else "is not there"
            raise UserError(f"the output {name!r} {why}; there are: {', '.join(axes)}")
    return {name: axes[name] for name in names}


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the validation split says of an epoch.

    Attributes:
      by: the name of what epochs are compared by: the metric or task loss that the config selects by, or the
        task loss where that metric is not defined, so that there is always something to compare.
      value: its value.
      stands_in: whether it is the task loss in place of the metric.
      loss: the task loss, without auxiliary terms.
      values: the task loss, and every metric of the corpus, NaN where it is not defined, by name.
      undefined: the reason for each of those.
    """

    by: str
    value: float
    stands_in: bool
    loss: float
    values: dict[str, float]
    undefined: dict[str, str]

    def beats(self, by: str | None, value: float | None) -> bool:
        """Whether the epoch is better than the best before; NaN and infinity beat none.

        Args:
          by, value: of the verdict on that one; None where there was none.
        """
        if not math.isfinite(self.value) or value is None:
            return math.isfinite(self.value)
        if by != self.by:  # one of the two has no value of the metric that was asked for
            return not self.stands_in
        lower = self.by in TASKS or self.by in metrics.LOWER_IS_BETTER
        return self.value < value if lower else self.value > value


def validation(config: ConfigDict, corpus: str, predictions: np.ndarray, labels: np.ndarray) -> Verdict:
    """The verdict on an epoch.

    Args:
      config: `select`: "loss" (the task loss, without auxiliary terms) or a metric; `loss.task`.
      corpus: whose metrics apply.
      predictions, labels: of the validation split, as `score` gives them.
    """
    task, loss = config.loss.task, task_loss(config, predictions, labels)
    if np.isfinite(predictions).all():
        values, undefined = metrics.explained(corpus, predictions, labels)
    else:  # a broken step, which the next one's loss will stop
        undefined = dict.fromkeys(metrics.keys(corpus), "a prediction is not finite")
        values = dict.fromkeys(undefined, math.nan)
    wanted = task if config.select == "loss" else config.select
    values = {task: loss, **values}
    by = task if wanted in undefined else wanted
    return Verdict(by, values[by], by != wanted, loss, values, undefined)


def task_loss(config: ConfigDict, predictions: np.ndarray, labels: np.ndarray) -> float:
    """The task loss over a split, in float64; arguments as for `validation`."""
    with np.errstate(all="ignore"):  # of predictions that are not finite
        return float(TASKS[config.loss.task].validation(predictions.astype(np.float64), labels))
