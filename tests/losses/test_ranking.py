"""MPR against a NumPy loop over ordered pairs, as the paper writes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import losses

TABLE_3 = {"alpha": 0.3, "beta": 1.0, "gamma": 0.3, "max_pairs": 8192}


def mpr_numpy(p, y, alpha, beta, gamma):
    total, pairs = 0.0, 0
    for i in range(len(y)):
        for j in range(len(y)):
            gap = y[i] - y[j]
            if i != j and abs(gap) >= gamma:
                total += max(0.0, alpha * abs(gap) ** beta - np.sign(gap) * (p[i] - p[j]))
                pairs += 1
    return total / pairs if pairs else 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("beta", "gamma"), [(1.0, 0.3), (2.0, 1.0), (1.5, 0.0)])
def test_mpr_equals_numpy_with_ties_and_padded_rows(seed, beta, gamma):
    rng = np.random.default_rng(seed)
    y = rng.integers(-3, 4, 13).astype(float)  # few levels: many ties
    p = np.round(rng.normal(0, 2, 13), 1)
    mask = rng.random(13) < 0.7
    got = losses.mpr(p, y, alpha=0.3, beta=beta, gamma=gamma, max_pairs=8192, mask=mask)
    np.testing.assert_allclose(got, mpr_numpy(p[mask], y[mask], 0.3, beta, gamma), rtol=1e-5, atol=1e-7)


def test_a_pair_exactly_gamma_apart_counts():
    y, p = np.array([0.0, 0.5]), np.array([0.0, 0.0])
    assert losses.mpr(p, y, alpha=1.0, beta=1.0, gamma=0.5, max_pairs=1) == 0.5
    assert losses.mpr(p, y, alpha=1.0, beta=1.0, gamma=0.51, max_pairs=1) == 0.0


@pytest.mark.parametrize(
    ("y", "mask"),
    [
        ([1.0, 1.0, 1.2], [True, True, True]),  # no label difference is large enough
        ([1.0, -1.0, 2.0], [True, False, False]),  # one row
        ([np.nan, np.nan, np.nan], [False, False, False]),  # none
    ],
)
def test_no_pair_gives_zero_and_a_zero_gradient(y, mask):
    p = jnp.array([3.0, jnp.nan if not mask[1] else 0.0, 1.0])
    value, gradient = jax.value_and_grad(
        lambda q: losses.mpr(q, np.array(y), mask=np.array(mask), **TABLE_3)
    )(p)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_the_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    y, p = rng.uniform(-3, 3, 9), rng.normal(0, 1, 9)
    gradient = jax.grad(lambda q: losses.mpr(q, y, **TABLE_3))(jnp.asarray(p))
    for k in range(9):
        up, down = p.copy(), p.copy()
        up[k] += 1e-5
        down[k] -= 1e-5
        slope = (mpr_numpy(up, y, 0.3, 1.0, 0.3) - mpr_numpy(down, y, 0.3, 1.0, 0.3)) / 2e-5
        np.testing.assert_allclose(gradient[k], slope, atol=1e-4)


def test_beyond_max_pairs_distinct_counting_pairs_are_drawn():
    rng = np.random.default_rng(0)
    y, p = rng.uniform(-3, 3, 12), np.zeros(12)
    mask = np.arange(12) < 9
    # With p = 0 a pair's hinge is its margin; margins are distinct, so the mean identifies the draw.
    gaps = [abs(y[i] - y[j]) for i in range(9) for j in range(i) if abs(y[i] - y[j]) >= 0.3]
    sample = {**TABLE_3, "max_pairs": 1}
    drawn = [float(losses.mpr(p, y, mask=mask, key=jax.random.key(k), **sample)) / 0.3 for k in range(200)]
    for gap in drawn:
        assert np.min(np.abs(np.array(gaps) - gap)) < 1e-5
    assert len({round(g, 4) for g in drawn}) > len(gaps) / 2  # spread over the pairs
    # Without replacement: as many draws as there are pairs that count give their mean exactly.
    everything = {**TABLE_3, "max_pairs": len(gaps)}
    got = losses.mpr(p, y, mask=mask, key=jax.random.key(0), **everything)
    np.testing.assert_allclose(got, 0.3 * np.mean(gaps), rtol=1e-5)


def test_a_draw_without_a_key_is_refused():
    with pytest.raises(ValueError, match="needs a key"):
        losses.mpr(np.zeros(5), np.arange(5.0), alpha=0.3, beta=1.0, gamma=0.3, max_pairs=3)
