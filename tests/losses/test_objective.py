"""The weighing, ramping and naming of terms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import losses

MODEL = {"name": "crosssent"}
LOSS = {
    "task": "mse",
    "mpr_weight": 0.5,
    "eioi_weight": 0.06,
    "alpha": 0.3,
    "beta": 1.0,
    "gamma": 0.3,
    "max_pairs": 8192,
    "delta": 0.25,
    "ramp": 0.4,
}
ALL = ("text", "audio", "vision")


def call(step, **changes):
    rng = np.random.default_rng(0)
    outputs = {"prediction": jnp.asarray(rng.normal(size=8), jnp.float32)}
    batch = {"label": jnp.asarray(rng.uniform(-3, 3, 8), jnp.float32), "mask": jnp.arange(8) < 6}
    objective = losses.make_objective(MODEL, {**LOSS, **changes}, ALL, epochs=10, steps_per_epoch=10)
    return objective(outputs, batch, step=jnp.asarray(step), key=jax.random.key(0))


@pytest.mark.parametrize(
    ("step", "ramp"),
    [(0, 0.0), (9, 0.0), (10, 0.5 * (1 - np.cos(np.pi / 4))), (25, 0.5), (40, 1.0), (999, 1.0)],
)
def test_the_ramp_is_a_cosine_over_whole_epochs(step, ramp):
    total, terms = call(step)
    np.testing.assert_allclose(terms["ramp"], ramp, atol=1e-6)
    expected = terms["mse"] + ramp * (0.5 * terms["mpr"] + 0.06 * terms["eioi"])
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_a_ramp_of_no_length_is_up_at_once():
    total, terms = call(0, ramp=0.0)
    assert "ramp" not in terms
    np.testing.assert_allclose(total, terms["mse"] + 0.5 * terms["mpr"] + 0.06 * terms["eioi"], rtol=1e-6)


def test_a_weight_of_zero_leaves_its_term_out():
    total, terms = call(99, mpr_weight=0.0, eioi_weight=0.0)
    assert set(terms) == {"mse", "ramp"}
    assert total == terms["mse"]
