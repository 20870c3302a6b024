"""Pure loss functions of named arrays; `objective` weighs them, `terms` says which a model has."""

from msa_jax.losses.classification import cross_entropy
from msa_jax.losses.contrastive import info_nce, nce, nt_xent
from msa_jax.losses.objective import Objective, Term
from msa_jax.losses.ranking import mpr
from msa_jax.losses.regression import eioi, l1, mse
from msa_jax.losses.terms import make_objective

__all__ = [
    "Objective", "Term", "cross_entropy", "eioi", "info_nce", "l1", "make_objective", "mpr", "mse", "nce",
    "nt_xent",
]  # fmt: skip
