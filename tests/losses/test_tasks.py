"""Task losses by name: of a step, and over a whole split."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.losses import TASKS, Loss, Term

RNG = np.random.default_rng(0)
SCORES, LABELS = RNG.normal(size=7), RNG.uniform(-3, 3, 7)
LOGITS, CLASSES = RNG.normal(size=(7, 4, 2)), RNG.integers(0, 2, (7, 4))
MASK = np.arange(7) < 5


def likelihoods(logits, classes):
    """-log softmax at the class, entry by entry."""
    powers = np.exp(logits)
    return -np.log(np.take_along_axis(powers / powers.sum(-1, keepdims=True), classes[..., None], -1))[..., 0]


EXPECTED = {
    "mse": ({"prediction": SCORES}, LABELS, (SCORES - LABELS) ** 2),
    "l1": ({"prediction": SCORES}, LABELS, np.abs(SCORES - LABELS)),
    "cross_entropy": ({"logits": LOGITS}, CLASSES, likelihoods(LOGITS, CLASSES)),
}


def test_every_task_is_asked_for_here_and_says_whether_labels_are_classes():
    assert set(TASKS) == set(EXPECTED)
    assert {name for name, task in TASKS.items() if task.classes} == {"cross_entropy"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_step_s_loss_is_the_mean_over_its_clips_and_a_split_s_over_all(name):
    outputs, labels, values = EXPECTED[name]
    outputs = {k: jnp.asarray(v, jnp.float32) for k, v in outputs.items()}
    got = TASKS[name].loss(outputs, {"label": labels.astype(np.float32), "mask": MASK})
    np.testing.assert_allclose(got, values[MASK].mean(), rtol=1e-5)
    (predictions,) = EXPECTED[name][0].values()
    np.testing.assert_allclose(TASKS[name].validation(predictions, labels), values.mean(), rtol=1e-12)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_loss_without_terms_is_that_of_its_task(name):
    outputs, labels, values = EXPECTED[name]
    outputs = {k: jnp.asarray(v, jnp.float32) for k, v in outputs.items()}
    objective = Loss(name).objective(None, epochs=3, steps_per_epoch=2)
    batch = {"label": labels.astype(np.float32), "mask": MASK}
    total, logged = objective(outputs, batch, step=jnp.asarray(1), key=jax.random.key(0))
    np.testing.assert_allclose(total, values[MASK].mean(), rtol=1e-5)
    assert logged == {name: total}


def test_a_model_s_own_loss_adds_terms_and_monitors_by_what_the_model_has():
    @dataclasses.dataclass(frozen=True)
    class Own(Loss):
        weight: float = 0.5

        def terms(self, model):
            for name in model:
                yield Term(name, self.weight, lambda outputs, batch, key: jnp.asarray(4.0))

        def monitors(self, model):
            yield "parts", lambda outputs, batch: jnp.asarray(len(model))

    objective = Own(weight=0.25).objective(("a", "b"), epochs=3, steps_per_epoch=2)
    assert (objective.task_name, objective.epochs, objective.steps_per_epoch) == ("mse", 3, 2)
    outputs = {"prediction": jnp.ones(2)}
    batch = {"label": jnp.zeros(2), "mask": jnp.ones(2, bool)}
    total, logged = objective(outputs, batch, step=0, key=jax.random.key(0))
    assert (total, logged) == (1.0 + 2 * 0.25 * 4.0, {"mse": 1.0, "a": 4.0, "b": 4.0, "parts": 2})
