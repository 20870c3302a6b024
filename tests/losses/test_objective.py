"""Objectives: how their terms are weighed, ramped and named."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.errors import UserError
from msa_jax.losses import CosineRamp, Loss, Objective, TaskName, Term, ramped
from msa_jax.losses.objective import Clock

OUTPUTS, BATCH = {"prediction": jnp.array([1.0, 3.0])}, {"label": jnp.array([0.0, 1.0])}


def task(outputs, batch):
    return jnp.mean(jnp.abs(outputs["prediction"] - batch["label"]))  # 1.5


def call(*terms, step=0, key=0, **fields):
    """(total, values by name) of an objective with these terms."""
    objective = Objective("l1", task, terms, **fields)
    total, values = objective(OUTPUTS, BATCH, step=jnp.asarray(step), key=jax.random.key(key))
    return float(total), {name: float(value) for name, value in values.items()}


def constant(name, weight, value):
    return Term(name, weight, lambda outputs, batch, key: jnp.asarray(value))


def test_the_total_is_the_task_s_loss_and_the_weighed_terms():
    reads = Term("top", 0.5, lambda outputs, batch, key: outputs["prediction"].max() + batch["label"].max())
    total, values = call(reads, constant("two", 0.25, 2.0))
    assert values == {"l1": 1.5, "top": 4.0, "two": 2.0}  # the terms as they are, before any weight
    assert total == 1.5 + 0.5 * 4.0 + 0.25 * 2.0
    assert call() == (1.5, {"l1": 1.5})


def test_a_weight_of_zero_leaves_its_term_out():
    def never(outputs, batch, key):
        raise AssertionError("computed")

    total, values = call(Term("gone", 0.0, never), constant("two", 1.0, 2.0))
    assert (total, values) == (3.5, {"l1": 1.5, "two": 2.0})


def test_each_term_draws_with_a_key_of_its_own_whatever_the_others_weigh():
    def draws(name, weight):
        return Term(name, weight, lambda outputs, batch, key: jax.random.uniform(key))

    both = call(draws("a", 1.0), draws("b", 1.0))[1]
    assert both["a"] != both["b"]
    assert call(draws("a", 0.0), draws("b", 1.0))[1]["b"] == both["b"]
    assert call(draws("a", 1.0), draws("b", 1.0), key=1)[1]["a"] != both["a"]


@pytest.mark.parametrize("name", ["loss", "grad_norm", "l1", "near", "near_weight"])
def test_a_name_is_logged_once(name):
    @dataclasses.dataclass(frozen=True)
    class Twice(Loss):
        task: TaskName = "l1"

        def terms(self, model):
            yield constant("near", 1.0, 2.0)

        def monitors(self, model):
            yield name, lambda outputs, batch: 0.0

    with pytest.raises(UserError, match=f"two values of the name '{name}'"):
        Twice().objective(None, epochs=1, steps_per_epoch=1)


def test_a_model_with_both_outputs_is_judged_by_the_one_of_its_task():
    outputs = {"logits": jnp.array([[0.0, 1.0], [1.0, 0.0]]), **OUTPUTS}
    for name, value in (("l1", 1.5), ("cross_entropy", np.log1p(np.exp(-1)) + 1)):
        batch = {"label": jnp.array([0.0, 1.0]), "mask": jnp.ones(2, bool)}
        objective = Loss(task=name).objective(None, epochs=1, steps_per_epoch=1)
        np.testing.assert_allclose(
            objective(outputs, batch, step=0, key=jax.random.key(0))[0], value, rtol=1e-6
        )
    with pytest.raises(
        UserError, match="gives no 'logits', which the loss cross_entropy needs; it gives prediction"
    ):
        objective(OUTPUTS, batch, step=0, key=jax.random.key(0))


@pytest.mark.parametrize(
    ("task", "outputs", "message"),
    [
        ("l1", {"prediction": jnp.zeros((2, 1))}, "'prediction' has the shape (2, 1), and not (2)"),
        (
            "cross_entropy",
            {"logits": jnp.zeros((2, 1, 2))},
            "the shape (2, 1, 2), and not (2, classes)",
        ),
    ],
)
def test_an_output_of_another_shape_is_refused(task, outputs, message):
    batch = {"label": jnp.array([0.0, 1.0]), "mask": jnp.ones(2, bool)}
    objective = Loss(task=task).objective(None, epochs=1, steps_per_epoch=1)
    with pytest.raises(UserError, match=re.escape(message)):
        objective(outputs, batch, step=0, key=jax.random.key(0))


def test_monitors_are_logged_and_weigh_nothing():
    monitors = (("seen", lambda outputs, batch: outputs["prediction"].sum() + batch["label"].sum()),)
    total, values = call(constant("two", 1.0, 2.0), monitors=monitors)
    assert (total, values) == (3.5, {"l1": 1.5, "two": 2.0, "seen": 5.0})


@pytest.mark.parametrize(
    ("step", "ramp"),
    [(0, 0.0), (9, 0.0), (10, 0.5 * (1 - np.cos(np.pi / 4))), (25, 0.5), (40, 1.0), (999, 1.0)],
)
def test_the_ramp_is_a_cosine_over_whole_epochs(step, ramp):
    schedule = CosineRamp(0.6, 0.4)  # four of ten epochs
    np.testing.assert_allclose(schedule(Clock(step, 10, 10)), 0.6 * ramp, atol=1e-6)
    terms = (Term("two", schedule, lambda o, b, k: jnp.asarray(2.0)), constant("one", 0.1, 1.0))
    total, values = call(*terms, step=step, epochs=10, steps_per_epoch=10)
    assert set(values) == {"l1", "two", "two_weight", "one"}  # what a schedule gives is logged
    np.testing.assert_allclose(values["two_weight"], 0.6 * ramp, atol=1e-6)
    np.testing.assert_allclose(total, 1.5 + 0.6 * ramp * 2.0 + 0.1, rtol=1e-6)


def test_a_ramp_of_no_length_and_of_nothing_is_the_weight_itself():
    assert ramped(0.5, 0.4) == CosineRamp(0.5, 0.4)
    assert ramped(0.5, 0.0) == 0.5
    assert ramped(0.0, 0.4) == 0.0
