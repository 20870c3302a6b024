"""The one place that weighs the loss terms, schedules them, masks padded rows and names them for the log."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from msa_jax.losses.ranking import mpr
from msa_jax.losses.regression import eioi, mse


@dataclasses.dataclass(frozen=True)
class CrossSentObjective:
    """MSE + r(e) (mpr_weight MPR + eioi_weight EIOI), r a cosine ramp over epochs.

    Source: CrossSent (Liu et al. 2026), section 3.4 and Table 3. A weight of 0 leaves its term out of the
    program, and of the log.

    Attributes:
      mpr_weight, eioi_weight: weights of the two regularisers once the ramp is up.
      alpha, beta, gamma, max_pairs: see `ranking.mpr`.
      delta: see `regression.eioi`.
      ramp_epochs: epochs over which r rises from 0 to 1; 0 = full weight from the start.
      steps_per_epoch: optimiser steps in an epoch; the epoch e is step // steps_per_epoch.
    """

    mpr_weight: float
    eioi_weight: float
    alpha: float
    beta: float
    gamma: float
    max_pairs: int
    delta: float
    ramp_epochs: float
    steps_per_epoch: int

    def ramp(self, step: Array | int) -> Float[Array, ""]:
        """r(e) = (1 - cos(pi min(1, e / ramp_epochs))) / 2, a value in [0, 1]."""
        epoch = jnp.asarray(step) // self.steps_per_epoch
        progress = jnp.minimum(epoch / self.ramp_epochs, 1.0) if self.ramp_epochs else jnp.ones(())
        return 0.5 * (1.0 - jnp.cos(jnp.pi * progress))

    def __call__(
        self, outputs: Mapping[str, Array], batch: Mapping[str, Array], *, step: Array, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        """The total loss and its unweighted terms.

        Args:
          outputs: of the model; `prediction` [B].
          batch: `label` [B] and `mask` [B].
          step: optimiser steps done so far.
          key: for the draw of pairs.

        Returns:
          (total, terms): a scalar, and `mse`, `mpr`, `eioi` unweighted with `ramp`.
        """
        p, y, mask = outputs["prediction"], batch["label"], batch["mask"]
        terms = {"mse": mse(p, y, mask=mask)}
        weighted = jnp.zeros(())
        if self.mpr_weight:
            terms["mpr"] = mpr(
                p,
                y,
                alpha=self.alpha,
                beta=self.beta,
                gamma=self.gamma,
                max_pairs=self.max_pairs,
                mask=mask,
                key=jax.random.fold_in(key, 0),
            )
            weighted += self.mpr_weight * terms["mpr"]
        if self.eioi_weight:
            terms["eioi"] = eioi(p, y, delta=self.delta, mask=mask)
            weighted += self.eioi_weight * terms["eioi"]
        ramp = self.ramp(step)
        return terms["mse"] + ramp * weighted, {**terms, "ramp": ramp}
