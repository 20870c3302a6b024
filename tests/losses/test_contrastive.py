"""The contrastive losses against NumPy loops, and what must hold for any input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.losses import contrastive
from msa_jax.losses.contrastive import info_nce, nce, nt_xent

LOSSES = {
    "info_nce": info_nce,
    "symmetric": functools.partial(info_nce, symmetric=True),
    "nt_xent": nt_xent,
    "nce": nce,
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def softmax_loss(anchors, candidates, tau):
    """The mean over i of -log(exp(s_ii) / sum_j exp(s_ij)), term by term in float64."""
    total = 0.0
    for i, anchor in enumerate(anchors):
        scores = [float(anchor @ other) / tau for other in candidates]
        top = max(scores)
        total += top + np.log(sum(np.exp(s - top) for s in scores)) - scores[i]
    return total / len(anchors)


def unit(x):
    return np.array([row / np.sqrt(sum(v * v for v in row)) for row in x])


def expected(name, x, y, tau):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if name in ("nt_xent", "nce"):
        x, y = unit(x), unit(y)
    both = name in ("symmetric", "nt_xent")
    return softmax_loss(x, y, tau) + (softmax_loss(y, x, tau) if both else 0.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tau", [0.07, 1.0])
@pytest.mark.parametrize("name", LOSSES)
def test_equals_numpy_with_and_without_padded_rows(name, tau, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, 9, 5)).astype(np.float32)
    mask = np.arange(9) != seed
    mask[7] = False
    np.testing.assert_allclose(LOSSES[name](x, y, temperature=tau), expected(name, x, y, tau), rtol=2e-5)
    got = LOSSES[name](x, y, temperature=tau, mask=mask)
    np.testing.assert_allclose(got, expected(name, x[mask], y[mask], tau), rtol=2e-5)


@each_loss
def test_what_stands_in_a_masked_row_reaches_neither_loss_nor_gradient(loss):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 4)).astype(np.float32)
    mask = np.array([True, False, True, True, False, True])
    dirty_x, dirty_y = x.copy(), y.copy()
    dirty_x[~mask], dirty_y[~mask] = np.nan, np.inf
    run = jax.value_and_grad(lambda x, y: loss(x, y, temperature=0.5, mask=mask), argnums=(0, 1))
    value, gradients = run(x, y)
    dirty, dirty_gradients = run(dirty_x, dirty_y)
    assert value == dirty
    for gradient, other in zip(gradients, dirty_gradients, strict=True):
        np.testing.assert_array_equal(gradient, other)
        np.testing.assert_array_equal(gradient[~mask], 0)
        assert (np.abs(gradient[mask]).max(1) > 0).all()


@each_loss
def test_the_order_of_the_rows_changes_nothing(loss):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 7, 4)).astype(np.float32)
    mask, order = np.arange(7) < 5, rng.permutation(7)
    plain = loss(x, y, temperature=0.3, mask=mask)
    np.testing.assert_allclose(loss(x[order], y[order], temperature=0.3, mask=mask[order]), plain, rtol=1e-5)
    assert abs(loss(x, y[::-1], temperature=0.3) - loss(x, y, temperature=0.3)) > 1e-3  # the pairing counts


@each_loss
@pytest.mark.parametrize("valid", [0, 1])
def test_without_two_rows_the_loss_is_exactly_0_and_so_is_its_gradient(loss, valid):
    x, y = np.random.default_rng(2).normal(size=(2, 4, 3)).astype(np.float32)
    run = jax.value_and_grad(lambda x, y, m: loss(x, y, temperature=0.07, mask=m), argnums=(0, 1))
    for rows in (4, max(valid, 1)):
        value, gradients = run(x[:rows], y[:rows], np.arange(rows) < valid)
        assert value == 0
        for gradient in gradients:
            np.testing.assert_array_equal(gradient, 0)


@each_loss
@pytest.mark.parametrize("size", [1e-15, 1.0, 1e15])
def test_bfloat16_of_any_size_gives_what_float64_gives(loss, size):
    name = next(k for k, v in LOSSES.items() if v is loss)
    rng = np.random.default_rng(3)
    x, y = (jnp.asarray(v * size, jnp.bfloat16) for v in rng.normal(size=(2, 6, 5)))
    value, gradients = jax.value_and_grad(lambda x, y: loss(x, y, temperature=0.07), argnums=(0, 1))(x, y)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, expected(name, x, y, 0.07), rtol=1e-4)
    for gradient in gradients:
        assert gradient.dtype == jnp.bfloat16
        assert np.isfinite(np.asarray(gradient, np.float32)).all()


@pytest.mark.parametrize("loss", [nt_xent, nce])
def test_only_the_direction_counts_even_at_the_limits_of_bfloat16(loss):
    x, y = np.random.default_rng(4).normal(size=(2, 5, 4))
    plain = loss(jnp.asarray(x, jnp.bfloat16), jnp.asarray(y, jnp.bfloat16), temperature=0.2)
    # Powers of two keep bfloat16's digits; 2^120 and 2^-110 have squares that float32 does not hold.
    for size in (2.0**120, 2.0**-110):
        scaled = (jnp.asarray(v * size, jnp.bfloat16) for v in (x, y))
        value, gradients = jax.value_and_grad(lambda x, y: loss(x, y, temperature=0.2), argnums=(0, 1))(
            *scaled
        )
        np.testing.assert_allclose(value, plain, rtol=1e-5)
        assert all(np.isfinite(np.asarray(g, np.float32)).all() for g in gradients)


@pytest.mark.parametrize("loss", [nt_xent, nce])
def test_a_row_of_zeros_has_a_finite_loss_and_no_gradient(loss):
    x, y = np.random.default_rng(5).normal(size=(2, 4, 3)).astype(np.float32)
    x[1] = 0
    value, gradient = jax.value_and_grad(lambda x: loss(x, y, temperature=0.1))(x)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[1], 0)


@each_loss
def test_the_gradient_is_that_of_finite_differences(loss):
    name = next(k for k, v in LOSSES.items() if v is loss)
    x, y = np.random.default_rng(6).normal(size=(2, 4, 3))
    gradients = jax.grad(lambda x, y: loss(x, y, temperature=0.5), argnums=(0, 1))(
        x.astype(np.float32), y.astype(np.float32)
    )
    for side in (0, 1):
        for at in np.ndindex(4, 3):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [x.copy(), y.copy()]
                moved[side][at] += step
                ends.append(expected(name, *moved, 0.5))
            np.testing.assert_allclose(gradients[side][at], (ends[0] - ends[1]) / 2e-5, atol=1e-4)


def test_both_ways_are_the_sum_of_the_two_ways():
    x, y = np.random.default_rng(7).normal(size=(2, 5, 3)).astype(np.float32)
    forth, back = info_nce(x, y, temperature=1.0), info_nce(y, x, temperature=1.0)
    assert abs(forth - back) > 1e-3
    np.testing.assert_allclose(info_nce(x, y, temperature=1.0, symmetric=True), forth + back, rtol=1e-6)


@each_loss
def test_shapes_that_do_not_match_are_refused(loss):
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="matrices"):
        loss(x, np.zeros((3, 1)), temperature=1.0)
    with pytest.raises(ValueError, match="matrices"):
        loss(x[0], x[0], temperature=1.0)
    with pytest.raises(ValueError, match="mask"):
        loss(x, x, temperature=1.0, mask=np.ones(2, bool))


def test_unit_vectors():
    rows = np.random.default_rng(8).normal(size=(5, 4, 3)).astype(np.float32)
    for x in (rows, rows[0], rows[0, 0]):  # any number of leading axes
        want = x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
        np.testing.assert_allclose(contrastive.unit(x), want, atol=1e-6)
    assert contrastive.unit(jnp.asarray(rows, jnp.bfloat16)).dtype == jnp.float32


def test_the_unit_vector_of_zero_is_zero_with_a_finite_gradient():
    x = np.stack([np.zeros(3, np.float32), np.arange(3, dtype=np.float32)])
    np.testing.assert_array_equal(contrastive.unit(x)[0], 0)
    grad = jax.grad(lambda x: jnp.sum(contrastive.unit(x) * jnp.arange(1.0, 4.0)[None]))(x)
    assert np.isfinite(grad).all()
