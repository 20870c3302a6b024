"""Objective of a model: the one place that weighs, schedules and names the terms of a loss."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from msa_jax.errors import ArgumentError, UserError
from msa_jax.losses.arguments import check_number

_LOOKED_AT = 64  # steps, evenly over a run, at which a schedule's weight is looked at
Arrays = Mapping[str, Array]
Scalar = Float[Array, ""]
RampUnit = Literal["epoch", "step"]
Monitor = tuple[str, Callable[[Arrays, Arrays], Scalar]]


@dataclasses.dataclass(frozen=True)
class Clock:
    """How far a run has come.

    Attributes:
      step: optimiser steps done.
      steps_per_epoch: optimiser steps in an epoch.
      epochs: of the whole run.
    """

    step: Array | int
    steps_per_epoch: int
    epochs: int


Schedule = Callable[[Clock], Scalar]


@dataclasses.dataclass(frozen=True)
class CosineRamp:
    """A weight that is 0 up to its start and then rises along a cosine.

    Source: CrossSent (Liu et al. 2026), section 3.4 and Table 3: weight (1 - cos(pi min(1, e / E))) / 2, here
    with e counted from the start.

    Attributes:
      weight: the value at the end.
      share: E as a share of the run's epochs; 0: the whole weight is there at the start.
      start: epochs before it.
      unit: "epoch": e counts whole epochs, so that the weight is still 0 in the first; "step": e is the
        fraction of them that is done, and grows with each step.
    """

    weight: float
    share: float
    start: int = 0
    unit: RampUnit = "epoch"

    def __post_init__(self) -> None:
        """Refuses what is no ramp.

        Raises:
          ArgumentError: when a number is not finite or below 0, or there is no such unit.
        """
        for name in ("weight", "share", "start"):
            check_number(getattr(self, name), name)
        if self.unit not in get_args(RampUnit):
            raise ArgumentError(f"unit is {self.unit!r}; there are: {', '.join(get_args(RampUnit))}")

    def __call__(self, clock: Clock) -> Scalar:
        """The weight at this point of the run."""
        begin, length = self.start, self.share * clock.epochs
        now = jnp.asarray(clock.step)
        if self.unit == "epoch":
            now = now // clock.steps_per_epoch
        else:
            begin, length = begin * clock.steps_per_epoch, length * clock.steps_per_epoch
        if not length:
            return jnp.where(now >= begin, self.weight, 0.0)
        progress = jnp.clip((now - begin) / length, 0.0, 1.0)
        return self.weight * 0.5 * (1.0 - jnp.cos(jnp.pi * progress))


def ramped(weight: float, share: float, *, start: int = 0, unit: RampUnit = "epoch") -> float | CosineRamp:
    """A `CosineRamp`, or the weight itself where it never changes: it is 0, or whole from the first step."""
    return CosineRamp(weight, share, start, unit) if weight and (share or start) else weight


@dataclasses.dataclass(frozen=True)
class Term:
    """One auxiliary loss.

    Attributes:
      name: in the log.
      weight: of the term in the total, or its schedule; a term of weight 0 is not computed, and not logged.
      value: (outputs of the model, batch, key) to an unweighted scalar; the key is for a term that draws.
    """

    name: str
    weight: float | Schedule
    value: Callable[[Arrays, Arrays, Key[Array, ""]], Scalar]


@dataclasses.dataclass(frozen=True)
class Objective:
    """The task's loss plus the sum of weight * term.

    Attributes:
      task_name: of the task loss in the log.
      task: (outputs of the model, batch) to the task loss.
      terms: the auxiliary losses.
      monitors: numbers that are logged beside the loss, by name, from (outputs, batch).
      epochs, steps_per_epoch: of the run, for weights that follow a schedule.
      output: the name of the model's output that the task judges.
    """

    task_name: str
    task: Callable[[Arrays, Arrays], Scalar]
    terms: tuple[Term, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    epochs: int = 1
    steps_per_epoch: int = 1
    output: str = "prediction"

    def names(self) -> tuple[str, ...]:
        """The names of the task loss and of the terms that are computed."""
        # A schedule is computed, and logged, from the first step.
        return (self.task_name, *(t.name for t in self.terms if callable(t.weight) or t.weight))

    def idle(self) -> tuple[str, ...]:
        """The names of the terms whose schedule gives them no weight at any point of the run."""
        steps = self.epochs * self.steps_per_epoch
        shares = np.linspace(1, 0, _LOOKED_AT)  # from the end: a ramp is told by its last step
        looked_at = dict.fromkeys(round(share * (steps - 1)) for share in shares)
        clocks = [Clock(step, self.steps_per_epoch, self.epochs) for step in looked_at]
        return tuple(
            t.name
            for t in self.terms
            if callable(t.weight) and not any(float(t.weight(clock)) for clock in clocks)
        )

    def bound_to_length(self, other: "Objective") -> tuple[str, ...]:
        """The names of the terms that weigh otherwise, in the steps of this run, in a run of other epochs.

        Args:
          other: the objective of the same loss for the other number of epochs.
        """
        steps = self.epochs * self.steps_per_epoch
        looked_at = dict.fromkeys(round(share * (steps - 1)) for share in np.linspace(0, 1, _LOOKED_AT))
        return tuple(
            mine.name
            for mine, its in zip(self.terms, other.terms, strict=True)
            if callable(mine.weight)
            and any(
                float(mine.weight(Clock(step, self.steps_per_epoch, self.epochs)))
                != float(its.weight(Clock(step, self.steps_per_epoch, other.epochs)))
                for step in looked_at
            )
        )

    def __call__(
        self, outputs: Arrays, batch: Arrays, *, step: Array, key: Key[Array, ""]
    ) -> tuple[Scalar, dict[str, Scalar]]:
        """The total loss, its unweighted terms and the monitors.

        Args:
          outputs: of the model.
          batch: `label` and `mask`, and the masks of the modalities.
          step: optimiser steps done so far.
          key: for the terms that draw.

        Returns:
          (total, values by name): a scalar; the task loss, each term unweighted, `<term>_weight` where a
          schedule gives it, and the monitors.

        Raises:
          UserError: when the model does not give the output that the task judges.
        """
        if self.output not in outputs:
            raise UserError(
                f"the model gives no {self.output!r}, which the loss {self.task_name} needs; it gives "
                f"{', '.join(outputs)}"
            )
        _check_shape(self.output, outputs[self.output], batch["label"])
        total = self.task(outputs, batch)
        values = {self.task_name: total}
        weighted = jnp.zeros((), jnp.float32)
        clock = Clock(step, self.steps_per_epoch, self.epochs)
        for k, term in enumerate(self.terms):
            weight = term.weight
            if callable(weight):
                weight = values[f"{term.name}_weight"] = weight(clock)
            elif not weight:
                continue
            values[term.name] = term.value(outputs, batch, jax.random.fold_in(key, k))
            weighted += weight * values[term.name]
        for name, monitor in self.monitors:
            values[name] = monitor(outputs, batch)
        return total + weighted, values


def _check_shape(name: str, output: Array, label: Array) -> None:
    """Refuses [B, 1] for [B], which would be broadcast against the labels of all the other clips."""
    shape = output.shape if name == "prediction" else output.shape[:-1]
    if shape != label.shape:
        wanted = label.shape if name == "prediction" else (*label.shape, "classes")
        raise UserError(
            f"the model's {name!r} has the shape {output.shape}, and not ({', '.join(map(str, wanted))})"
        )
