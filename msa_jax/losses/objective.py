"""The one place that weighs, schedules and names the terms of a loss."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Arrays = Mapping[str, Array]
Scalar = Float[Array, ""]
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
    """A weight that rises from 0 along a cosine, over whole epochs.

    Source: CrossSent (Liu et al. 2026), section 3.4 and Table 3: weight (1 - cos(pi min(1, e / E))) / 2.

    Attributes:
      weight: the value at the end.
      share: E as a share of the run's epochs, above 0.
    """

    weight: float
    share: float

    def __call__(self, clock: Clock) -> Scalar:
        """The weight at this point of the run."""
        epoch = jnp.asarray(clock.step) // clock.steps_per_epoch
        progress = jnp.minimum(epoch / (self.share * clock.epochs), 1.0)
        return self.weight * 0.5 * (1.0 - jnp.cos(jnp.pi * progress))


def ramped(weight: float, share: float) -> float | CosineRamp:
    """The weight itself where there is nothing to ramp: it is 0, or the ramp has no length."""
    return CosineRamp(weight, share) if weight and share else weight


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
    """

    task_name: str
    task: Callable[[Arrays, Arrays], Scalar]
    terms: tuple[Term, ...] = ()
    monitors: tuple[Monitor, ...] = ()
    epochs: int = 1
    steps_per_epoch: int = 1

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
        """
        total = self.task(outputs, batch)
        values = {self.task_name: total}
        weighted = jnp.zeros(())
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
