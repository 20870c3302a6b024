"""The one place that weighs, schedules and names the terms of a loss."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

Arrays = Mapping[str, Array]
Scalar = Float[Array, ""]


@dataclasses.dataclass(frozen=True)
class Term:
    """One auxiliary loss.

    Attributes:
      name: in the log.
      weight: of the term in the total.
      value: (outputs of the model, batch, key) to an unweighted scalar.
    """

    name: str
    weight: float
    value: Callable[[Arrays, Arrays, Key[Array, ""]], Scalar]


@dataclasses.dataclass(frozen=True)
class Objective:
    """task + r(e) * (sum of weight * term), r a cosine ramp over epochs.

    Source of the ramp: CrossSent (Liu et al. 2026), section 3.4 and Table 3.

    Attributes:
      task_name: of the task loss in the log.
      task: (outputs of the model, batch) to the task loss.
      terms: the auxiliary losses; one whose weight is 0 is not computed, and not logged.
      monitors: numbers that are logged beside the loss, by name, from (outputs, batch).
      ramp_epochs: epochs over which r rises from 0 to 1; 0 = full weight from the start.
      steps_per_epoch: optimiser steps in an epoch; the epoch e is step // steps_per_epoch.
    """

    task_name: str
    task: Callable[[Arrays, Arrays], Scalar]
    terms: tuple[Term, ...] = ()
    monitors: tuple[tuple[str, Callable[[Arrays, Arrays], Scalar]], ...] = ()
    ramp_epochs: float = 0.0
    steps_per_epoch: int = 1

    def ramp(self, step: Array | int) -> Scalar:
        """r(e) = (1 - cos(pi min(1, e / ramp_epochs))) / 2, a value in [0, 1]."""
        epoch = jnp.asarray(step) // self.steps_per_epoch
        progress = jnp.minimum(epoch / self.ramp_epochs, 1.0) if self.ramp_epochs else jnp.ones(())
        return 0.5 * (1.0 - jnp.cos(jnp.pi * progress))

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
          (total, values by name): a scalar; the task loss, each term unweighted, `ramp` where there is one,
          and the monitors.
        """
        total = self.task(outputs, batch)
        values = {self.task_name: total}
        weighted = jnp.zeros(())
        for k, term in enumerate(self.terms):
            if term.weight:
                values[term.name] = term.value(outputs, batch, jax.random.fold_in(key, k))
                weighted += term.weight * values[term.name]
        if self.ramp_epochs:
            values["ramp"] = self.ramp(step)
            weighted = values["ramp"] * weighted
        for name, monitor in self.monitors:
            values[name] = monitor(outputs, batch)
        return total + weighted, values
