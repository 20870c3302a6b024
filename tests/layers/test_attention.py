"""Attention against NumPy, and what the mask must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.attention import MultiHeadAttention, masked_softmax
from tests.layers.doubles import dense_numpy, double


def shake(params, seed=9):
    """Away from the special values of the start, so that every term shows."""
    keys = jax.random.split(jax.random.key(seed), len(jax.tree.leaves(params)))
    noise = [0.3 * jax.random.normal(k, p.shape) for k, p in zip(keys, jax.tree.leaves(params), strict=True)]
    return jax.tree.map(jnp.add, params, jax.tree.unflatten(jax.tree.structure(params), noise))


def attention_numpy(p, query, source, valid, heads):
    """One clip, Vaswani et al. 2017, section 3.2; no source, no attention."""
    width = query.shape[1] // heads
    weights = np.zeros((heads, len(query), len(source)))
    if not valid.any():
        return np.zeros_like(query), weights
    q = dense_numpy(query, p["query"])
    k, v = np.split(dense_numpy(source, p["key_value"]), 2, axis=1)
    mixed = np.zeros_like(q)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[:, part] @ k[valid, part].T / np.sqrt(width)
        e = np.exp(scores - scores.max(1, keepdims=True))
        weights[h][:, valid] = e / e.sum(1, keepdims=True)
        mixed[:, part] = weights[h][:, valid] @ v[valid, part]
    return dense_numpy(mixed, p["output"]), weights


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    query, source = (rng.normal(size=s).astype(np.float32) for s in ((3, 4, 6), (3, 5, 7)))
    mask = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    layer = MultiHeadAttention(heads=3, dropout=0.5)
    params = shake(layer.init(jax.random.key(0), query, source, mask, train=False)["params"])
    return layer, params, query, source, mask


def test_equals_its_equations_with_another_width_and_holes_in_the_mask(case):
    layer, params, query, source, mask = case
    out, weights = layer.apply({"params": params}, query, source, mask, train=False)
    for b in range(3):
        mixed, w = attention_numpy(double(params), query[b].astype(float), source[b], mask[b], heads=3)
        np.testing.assert_allclose(out[b], mixed, atol=1e-5)
        np.testing.assert_allclose(weights[b], w, atol=1e-6)
    # Exactly 0, whatever the biases are.
    np.testing.assert_array_equal(out[2], 0)
    np.testing.assert_array_equal(weights[1][..., ~mask[1]], 0)


def test_masked_source_steps_change_nothing_and_have_no_gradient(case):
    layer, params, query, source, mask = case

    def total(source):
        out, _ = layer.apply({"params": params}, query, source, mask, train=False)
        return jnp.sum(out**2), out

    grad, out = jax.grad(total, has_aux=True)(source)
    _, other = total(np.where(mask[..., None], source, 1e4).astype(np.float32))
    np.testing.assert_array_equal(out, other)
    np.testing.assert_array_equal(grad[~mask], 0)
    assert (np.abs(grad[mask]).max(1) > 1e-6).all()


def test_dropout_works_on_the_weights_in_training_only(case):
    layer, params, query, source, mask = case

    def run(key, train=True):
        return layer.apply(
            {"params": params}, query, source, mask, train=train, rngs={"dropout": jax.random.key(key)}
        )

    (a, weights), (b, _), (c, _) = run(0), run(0), run(1)
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c)[:2].max() > 1e-3
    # The weights that are shown are those before dropout.
    np.testing.assert_array_equal(weights, run(0, train=False)[1])
    np.testing.assert_array_equal(a[2], 0)


def test_masked_softmax_of_nothing_is_0_with_a_finite_gradient():
    scores, mask = jnp.array([[2.0, 1.0, 5.0], [1.0, 2.0, 3.0]]), jnp.array([[1, 1, 0], [0, 0, 0]], bool)
    weights = masked_softmax(scores, mask)
    first = np.exp([2.0, 1.0]) / np.exp([2.0, 1.0]).sum()
    np.testing.assert_allclose(weights, [[*first, 0], [0, 0, 0]], atol=1e-6)
    grad = jax.grad(lambda s: (masked_softmax(s, mask) ** 2).sum())(scores)
    assert np.isfinite(grad).all()
    np.testing.assert_array_equal(grad[1], 0)
    assert np.abs(grad[0, :2]).min() > 1e-3


def test_heads_that_do_not_divide_are_refused(case):
    _, _, query, source, mask = case
    with pytest.raises(ValueError, match="4 heads do not divide the width 6"):
        MultiHeadAttention(heads=4).init(jax.random.key(0), query, source, mask, train=False)
