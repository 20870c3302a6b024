"""Dropout from one draw of bits."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from msa_jax.layers.dropout import Dropout, draw_bits, drop


class Two(nn.Module):
    """Two masks of one draw."""

    active: bool = True

    @nn.compact
    def __call__(self, x):
        return draw_bits(self, len(x), [(50, 4), (300,)], active=self.active)


def test_masks_of_one_draw_have_their_shapes_and_do_not_repeat_each_other():
    first, second = Two().apply({}, jnp.zeros((100, 1)), rngs={"dropout": jax.random.key(0)})
    assert (first.shape, second.shape) == ((100, 50, 4), (100, 300))
    assert (first.dtype, second.dtype) == (jnp.uint16, jnp.uint16)
    flat = np.asarray(first).reshape(100, -1).astype(float), np.asarray(second)[:, :200].astype(float)
    assert abs(np.corrcoef(flat[0].ravel(), flat[1].ravel())[0, 1]) < 0.03
    assert Two(active=False).apply({}, jnp.zeros((3, 1))) == [None, None]  # and needs no rng


def test_the_rate_falls_and_the_mean_stays():
    x = jnp.ones((200, 500))
    y = np.asarray(Dropout(0.3).apply({}, x, train=True, rngs={"dropout": jax.random.key(1)}))
    assert set(np.unique(y)) == {np.float32(0), np.float32(65536 / (65536 - round(0.3 * 65536)))}
    assert abs((y == 0).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / y.size)
    assert abs(y.mean() - 1) < 0.01
    np.testing.assert_array_equal(Dropout(0.3).apply({}, x, train=False), x)
    np.testing.assert_array_equal(Dropout(0.0).apply({}, x, train=True), x)


def test_a_rate_near_one_keeps_something_finite():
    bits = jnp.asarray([[0, 65535]], jnp.uint16)
    np.testing.assert_array_equal(drop(jnp.ones((1, 2)), bits, 0.9999999), [[0.0, 65536.0]])
