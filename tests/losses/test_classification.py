"""Cross entropy against NumPy loops, and what must hold for any input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.losses.classification import cross_entropy


def terms_numpy(logits, labels):
    """-log softmax at the label, entry by entry in float64."""
    logits = np.asarray(logits, np.float64)
    out = np.zeros(labels.shape)
    for at in np.ndindex(labels.shape):
        row = logits[at] - max(logits[at])
        out[at] = np.log(sum(np.exp(v) for v in row)) - row[int(labels[at])]
    return out


@pytest.mark.parametrize("shape", [(7,), (7, 4)])
@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_equals_numpy(shape, dtype):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (*shape, 3)).astype(np.float32)
    labels = rng.integers(0, 3, shape).astype(dtype)
    terms = terms_numpy(logits, labels)
    np.testing.assert_allclose(cross_entropy(logits, labels), terms.mean(), rtol=1e-5)
    rows, entries = rng.random(7) < 0.6, rng.random(shape) < 0.6
    np.testing.assert_allclose(cross_entropy(logits, labels, mask=rows), terms[rows].mean(), rtol=1e-5)
    np.testing.assert_allclose(cross_entropy(logits, labels, mask=entries), terms[entries].mean(), rtol=1e-5)
    order = rng.permutation(7)
    shuffled = cross_entropy(logits[order], labels[order], mask=entries[order])
    np.testing.assert_allclose(shuffled, terms[entries].mean(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (4, 2)])
def test_masked_entries_never_reach_loss_or_gradient(shape):
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(*shape, 3)).astype(np.float32), np.zeros(shape, np.float32)
    mask = np.ones(shape, bool)
    mask[1], mask[3] = False, False
    dirty, no_class = logits.copy(), labels.copy()
    dirty[~mask], no_class[~mask] = np.nan, np.nan
    run = jax.value_and_grad(lambda x, y, m: cross_entropy(x, y, mask=m))
    value, gradient = run(logits, labels, mask)
    dirty_value, dirty_gradient = run(dirty, no_class, mask)
    assert value == dirty_value
    np.testing.assert_array_equal(gradient, dirty_gradient)
    np.testing.assert_array_equal(gradient[~mask], 0)
    assert (np.abs(gradient[mask]) > 0).all()
    nothing, zero = run(dirty, no_class, np.zeros(shape, bool))
    assert nothing == 0
    np.testing.assert_array_equal(zero, 0)


def test_bfloat16_of_any_size_stays_finite():
    labels = np.array([0, 1, 2, 1])
    for size in (1e-30, 1.0, 1e30):
        logits = jnp.asarray(np.random.default_rng(2).normal(size=(4, 3)) * size, jnp.bfloat16)
        value, gradient = jax.value_and_grad(lambda x: cross_entropy(x, labels))(logits)
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, terms_numpy(logits, labels).mean(), rtol=1e-5)
        assert np.isfinite(np.asarray(gradient, np.float32)).all()


def test_the_gradient_is_that_of_finite_differences():
    logits, labels = np.random.default_rng(3).normal(size=(3, 4)), np.array([0, 3, 1])
    gradient = jax.grad(lambda x: cross_entropy(x, labels))(logits.astype(np.float32))
    for at in np.ndindex(3, 4):
        ends = []
        for step in (1e-5, -1e-5):
            moved = logits.copy()
            moved[at] += step
            ends.append(terms_numpy(moved, labels).mean())
        np.testing.assert_allclose(gradient[at], (ends[0] - ends[1]) / 2e-5, atol=1e-4)


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match="logits"):
        cross_entropy(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="logits"):
        cross_entropy(np.zeros(2), np.zeros(()))
    with pytest.raises(ValueError, match="mask"):
        cross_entropy(np.zeros((3, 4, 2)), np.zeros((3, 4)), mask=np.ones(4, bool))
