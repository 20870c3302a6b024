"""MSE, the absolute error and EIOI against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import losses
from msa_jax.losses.regression import l1


def eioi_numpy(p, y, delta):
    return np.mean(np.maximum(0, np.abs(p - y) - delta) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_mse_l1_and_eioi_equal_numpy_on_random_input_with_padded_rows(seed):
    rng = np.random.default_rng(seed)
    p, y = rng.normal(0, 2, 17), rng.uniform(-3, 3, 17)
    mask = rng.random(17) < 0.7
    np.testing.assert_allclose(losses.mse(p, y, mask=mask), np.mean((p - y)[mask] ** 2), rtol=1e-5)
    np.testing.assert_allclose(losses.mse(p, y), np.mean((p - y) ** 2), rtol=1e-5)
    np.testing.assert_allclose(l1(p, y, mask=mask), np.mean(np.abs(p - y)[mask]), rtol=1e-5)
    np.testing.assert_allclose(l1(p, y), np.mean(np.abs(p - y)), rtol=1e-5)
    for delta in (0.0, 0.25, 1.0):
        expected = eioi_numpy(p[mask], y[mask], delta)
        np.testing.assert_allclose(losses.eioi(p, y, delta=delta, mask=mask), expected, rtol=1e-5)


def test_the_gradient_of_l1_is_a_sign_whatever_the_size_of_the_error():
    gradient = jax.grad(lambda q: l1(q, np.zeros(4)))(jnp.array([2.0, -0.1, -300.0, 1e-6]))
    np.testing.assert_array_equal(gradient, np.array([1, -1, -1, 1]) / 4)


def test_eioi_is_free_inside_the_interval_and_quadratic_outside():
    y = np.zeros(4)
    p = np.array([0.2, -0.25, 0.75, -1.25])
    # excess 0, 0, 0.5, 1.0
    np.testing.assert_allclose(losses.eioi(p, y, delta=0.25), (0.25 + 1.0) / 4, rtol=1e-6)
    gradient = jax.grad(lambda q: losses.eioi(q, y, delta=0.25))(jnp.asarray(p))
    np.testing.assert_allclose(gradient, [0, 0, 2 * 0.5 / 4, -2 * 1.0 / 4], rtol=1e-6)


@pytest.mark.parametrize("loss", [losses.mse, l1, lambda *a, **k: losses.eioi(*a, delta=0.25, **k)])
def test_padded_rows_never_reach_loss_or_gradient(loss):
    p, y = np.array([1.0, np.nan, 2.0, np.inf]), np.array([0.0, np.nan, 0.5, 1.0])
    mask = np.array([True, False, True, False])
    value, gradient = jax.value_and_grad(lambda q: loss(q, y, mask=mask))(jnp.asarray(p))
    assert np.isfinite(value)
    assert value == loss(p[mask], y[mask])
    np.testing.assert_array_equal(np.asarray(gradient)[~mask], 0)
    nothing, zero = jax.value_and_grad(lambda q: loss(q, y, mask=np.zeros(4, bool)))(jnp.asarray(p))
    assert nothing == 0
    np.testing.assert_array_equal(zero, 0)


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="predictions"):
        losses.mse(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(ValueError, match="mask"):
        losses.eioi(np.zeros(3), np.zeros(3), delta=0.1, mask=np.ones(2, bool))
