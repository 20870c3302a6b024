"""Dropout from one draw of bits."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.dropout import Dropout, draw_bits, drop, hashed_bits


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


def test_hashed_bits_are_those_of_numpy():
    """The hash as its definition says it, in whole numbers of Python."""
    key = jax.random.key(5)
    first, second = (int(v) for v in jax.random.bits(key, (2,), jnp.uint32))

    def mixed(x):
        for shift, factor in ((16, 0x21F0AAAD), (15, 0xD35A2D97)):
            x = ((x ^ (x >> shift)) * factor) % 2**32
        return x ^ (x >> 15)

    wanted = [[mixed(mixed((r * 3 + c + first) % 2**32) ^ second) >> 16 for c in range(3)] for r in range(4)]
    found = hashed_bits(key, 4, 3)
    assert found.dtype == jnp.uint16
    assert found.tolist() == wanted
    assert hashed_bits(key, 2, 3).tolist() == wanted[:2]  # a row's bits do not depend on how many there are


def test_hashed_bits_look_random():
    """Values, single bits, neighbours, rows, keys, and what a change of the key changes."""
    keys = jax.random.split(jax.random.key(0), 20)
    draws = np.stack([np.asarray(hashed_bits(key, 64, 2000)) for key in keys])  # 2.56 million
    counts = np.bincount(draws.ravel() >> 4, minlength=4096)
    chi2 = ((counts - draws.size / 4096) ** 2 / (draws.size / 4096)).sum()
    assert abs(chi2 - 4095) < 5 * np.sqrt(2 * 4095)
    bits = (draws[..., None] >> np.arange(16)) & 1
    assert abs(bits.mean((0, 1, 2)) - 0.5).max() < 5 * 0.5 / np.sqrt(draws.size)
    dropped = (draws < 6554).astype(float) - 0.1
    pairs = {
        "columns": dropped[:, :, 1:] * dropped[:, :, :-1],
        "rows": dropped[:, 1:] * dropped[:, :-1],
        "keys": dropped[1:] * dropped[:-1],
        "two columns": dropped[:, :, 2:] * dropped[:, :, :-2],
    }
    for name, products in pairs.items():
        assert abs(products.mean()) < 5 * 0.09 / np.sqrt(products.size), name
    per_row = (draws < 6554).sum(-1)  # binomial
    assert per_row.var() == pytest.approx(2000 * 0.1 * 0.9, rel=0.15)
