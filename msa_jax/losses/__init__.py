"""Pure loss functions of named arrays; `Objective` weighs them, a model's own `Loss` says which it has."""

from msa_jax.losses.classification import cross_entropy
from msa_jax.losses.contrastive import info_nce, nce, nt_xent
from msa_jax.losses.masked import masked_mean, present
from msa_jax.losses.objective import Arrays, CosineRamp, Monitor, Objective, RampUnit, Term, ramped
from msa_jax.losses.ranking import mpr
from msa_jax.losses.regression import eioi, l1, mse
from msa_jax.losses.tasks import TASKS, Loss, TaskName

__all__ = [
    "TASKS", "Arrays", "CosineRamp", "Loss", "Monitor", "Objective", "RampUnit", "TaskName", "Term",
    "cross_entropy", "eioi", "info_nce", "l1", "masked_mean", "mpr", "mse", "nce", "nt_xent", "present",
    "ramped",
]  # fmt: skip
