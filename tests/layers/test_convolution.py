"""Convolution with a mask, against sums written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.convolution import MaskedConv

# From the first step; a single step; a hole and a late start; nothing.
MASK = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 1, 1], [0] * 6], bool)


def setup(kernel, **fields):
    x = np.random.default_rng(0).normal(size=(*MASK.shape, 3)).astype(np.float32)
    conv = MaskedConv(5, kernel, **fields)
    params = conv.init(jax.random.key(0), x, MASK)["params"]
    return conv, jax.tree.map(lambda p: p + 0.5, params), x


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_equals_the_sum_over_valid_neighbours(kernel):
    conv, params, x = setup(kernel)
    weights, bias = (np.asarray(params["conv"][k], np.float64) for k in ("kernel", "bias"))
    assert weights.shape == (kernel, 3, 5)
    expected = np.zeros((*MASK.shape, 5))
    for b, t in np.argwhere(MASK):
        expected[b, t] = bias
        for k in range(kernel):
            s = t + k - (kernel - 1) // 2  # an even kernel sees one more step after than before
            if 0 <= s < MASK.shape[1] and MASK[b, s]:
                expected[b, t] += x[b, s] @ weights[k]
    np.testing.assert_allclose(conv.apply({"params": params}, x, MASK), expected, atol=1e-5)


def test_what_is_masked_neither_counts_nor_gets_a_gradient():
    conv, params, x = setup(3)

    def total(x):
        return jnp.sum(conv.apply({"params": params}, x, MASK) ** 2)

    garbage = np.where(MASK[..., None], x, 1e6).astype(np.float32)
    np.testing.assert_array_equal(
        conv.apply({"params": params}, garbage, MASK), conv.apply({"params": params}, x, MASK)
    )
    grad = np.asarray(jax.grad(total)(garbage))
    np.testing.assert_array_equal(grad[~MASK], 0)
    assert (np.abs(grad[MASK]).max(-1) > 0).all()


def test_padding_in_time_changes_nothing():
    conv, params, x = setup(3)
    short = conv.apply({"params": params}, x[:1, :4], MASK[:1, :4])
    np.testing.assert_allclose(conv.apply({"params": params}, x, MASK)[:1, :4], short, atol=1e-6)
