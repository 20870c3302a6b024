"""Task losses by name, and what a model's own `Loss` adds to one."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from scipy import special

from msa_jax.errors import UserError
from msa_jax.losses.classification import cross_entropy
from msa_jax.losses.objective import Arrays, Monitor, Objective, Scalar, Term
from msa_jax.losses.regression import l1, mse

# What the log of a run holds besides the values of its loss.
RESERVED = ("loss", "grad_norm", "learning_rate", "clips_per_second", "step", "epoch")


@dataclasses.dataclass(frozen=True)
class Task:
    """One task loss.

    Attributes:
      classes: whether the labels are classes, and not scores.
      output: the name of the model's output that it judges.
      loss: (outputs of the model, batch) to the loss of a step.
      validation: ([N] scores or [N, ..., classes] logits, labels) to its value over a whole split, on the
        host in float64.
    """

    classes: bool
    output: str
    loss: Callable[[Arrays, Arrays], Scalar]
    validation: Callable[[np.ndarray, np.ndarray], float]


def _negative_log_likelihood(logits: np.ndarray, labels: np.ndarray) -> float:
    is_class = np.isin(labels, np.arange(logits.shape[-1]))
    places = np.where(is_class, labels, 0).astype(int)
    chosen = np.take_along_axis(special.log_softmax(logits, -1), places[..., None], -1)
    return -np.mean(np.where(is_class, chosen[..., 0], np.nan))


TASKS: dict[str, Task] = {
    "mse": Task(
        False,
        "prediction",
        lambda outputs, batch: mse(outputs["prediction"], batch["label"], mask=batch["mask"]),
        lambda scores, labels: np.mean((scores - labels) ** 2),
    ),
    "l1": Task(
        False,
        "prediction",
        lambda outputs, batch: l1(outputs["prediction"], batch["label"], mask=batch["mask"]),
        lambda scores, labels: np.mean(np.abs(scores - labels)),
    ),
    "cross_entropy": Task(
        True,
        "logits",
        lambda outputs, batch: cross_entropy(outputs["logits"], batch["label"], mask=batch["mask"]),
        _negative_log_likelihood,
    ),
}


TaskName = Literal["mse", "l1", "cross_entropy"]  # the keys of `TASKS`, for a field of a model's `Loss`


@dataclasses.dataclass(frozen=True)
class Loss:
    """The `loss` section of a config: its fields are the section's keys.

    A model's file extends it by the fields and the terms of its own.
    """

    task: TaskName = "mse"  # of the labels: scores, or classes

    def terms(self, model: Any) -> Iterator[Term]:
        """The auxiliary terms, always in the same order.

        Args:
          model: the module, whose fields say what it computes: what it lacks has no term.
        """
        del model
        yield from ()

    def monitors(self, model: Any) -> Iterator[Monitor]:
        """Numbers to log beside the loss, likewise."""
        del model
        yield from ()

    def objective(self, model: Any, *, epochs: int, steps_per_epoch: int) -> Objective:
        """The whole loss of a run.

        Args:
          model: the module.
          epochs: of the run.
          steps_per_epoch: optimiser steps in an epoch.
        """
        terms, monitors = tuple(self.terms(model)), tuple(self.monitors(model))
        names = [self.task, *RESERVED, *(term.name for term in terms), *(name for name, _ in monitors)]
        names += [f"{term.name}_weight" for term in terms]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise UserError(
                f"the loss has two values of the name {twice[0]!r} to log; rename a term or monitor"
            )
        return Objective(
            task_name=self.task,
            task=TASKS[self.task].loss,
            output=TASKS[self.task].output,
            terms=terms,
            monitors=monitors,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
        )
