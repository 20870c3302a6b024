"""Pure loss functions of named arrays; `objective` weighs them."""

from msa_jax.losses.objective import CrossSentObjective
from msa_jax.losses.ranking import mpr
from msa_jax.losses.regression import eioi, mse

__all__ = ["CrossSentObjective", "eioi", "mpr", "mse"]
