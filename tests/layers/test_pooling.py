"""Pooling against NumPy, on masks with holes and on clips without a valid step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.pooling import last_valid, mean_over_time

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0] * 5], bool)
X = np.random.default_rng(0).normal(size=(*MASK.shape, 3)).astype(np.float32)


def test_the_mean_is_over_valid_steps():
    expected = np.stack([x[m].mean(0) if m.any() else np.zeros(3) for x, m in zip(X, MASK, strict=True)])
    np.testing.assert_allclose(mean_over_time(X, MASK), expected, atol=1e-6)


def test_the_last_valid_step_wherever_it_lies():
    expected = np.stack([x[m][-1] if m.any() else np.zeros(3) for x, m in zip(X, MASK, strict=True)])
    np.testing.assert_array_equal(last_valid(X, MASK), expected)


@pytest.mark.parametrize("pool", [mean_over_time, last_valid])
def test_what_is_masked_neither_counts_nor_gets_a_gradient(pool):
    garbage = np.where(MASK[..., None], X, 1e30).astype(np.float32)
    np.testing.assert_array_equal(pool(garbage, MASK), pool(X, MASK))
    grad = np.asarray(jax.grad(lambda x: jnp.sum(pool(x, MASK) ** 2))(garbage))
    np.testing.assert_array_equal(grad[~MASK], 0)
    assert (np.abs(grad).max((1, 2)) > 0).tolist() == MASK.any(1).tolist()


@pytest.mark.parametrize("pool", [mean_over_time, last_valid])
def test_pooling_keeps_half_precision(pool):
    pooled = pool(jnp.asarray(X, jnp.bfloat16), MASK)
    assert pooled.dtype == jnp.bfloat16
    np.testing.assert_allclose(pooled.astype(np.float32), pool(X, MASK), atol=0.02)
