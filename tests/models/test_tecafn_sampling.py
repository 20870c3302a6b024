"""The replacement gate: what may be drawn, how often, and that a key fixes the draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.models._tecafn_sampling import allowed_pairs, draw_sources, nearest

DRAWS = 4000


def test_allowed_pairs_leave_out_oneself_and_rows_without_the_modality():
    target, usable = np.array([1, 0, 1, 0], bool), np.array([1, 1, 1, 0], bool)
    expected = [[i != j and target[i] and usable[j] for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(allowed_pairs(target, usable), expected)


@pytest.mark.parametrize(("rows", "num"), [(9, 3), (9, 1), (4, 3), (4, 30), (2, 3), (1, 3)])
def test_nearest_are_the_top_of_the_allowed_cosines(rows, num):
    rng = np.random.default_rng(rows + num)
    similarity = rng.uniform(-1, 1, (rows, rows)).astype(np.float32)
    usable = np.arange(rows) != rows - 1 if rows > 3 else np.ones(rows, bool)  # the last row only pads
    index, count = jax.jit(nearest, static_argnums=2)(similarity, allowed_pairs(usable, usable), num)
    assert index.shape == (rows, min(num, rows))
    for i in range(rows):
        order = [j for j in np.argsort(-similarity[i]) if j != i and usable[j]] if usable[i] else []
        assert count[i] == min(num, len(order))
        np.testing.assert_array_equal(index[i, : count[i]], order[:num])


def test_no_gradient_flows_through_the_choice():
    def drawn(similarity):
        index, count = nearest(similarity, ~jnp.eye(5, dtype=bool), 2)
        source, _ = draw_sources(jax.random.key(0), index, count, 0.9)
        return similarity[jnp.arange(5), source].sum()

    similarity = jax.random.uniform(jax.random.key(1), (5, 5))
    # One per row: the entry that was read, nothing for the entries that made it the one.
    np.testing.assert_array_equal(jnp.sort(jax.grad(drawn)(similarity), axis=1)[:, -2:], [[0, 1]] * 5)


@pytest.mark.parametrize("p", [0.25, 0.7])
def test_rate_and_uniformity_over_many_keys(p):
    index = jnp.array([[1, 2, 3], [0, 2, 3], [3, 0, 1], [2, 0, 1]], jnp.int32)
    count = jnp.array([3, 2, 1, 0], jnp.int32)
    keys = jax.random.split(jax.random.key(7), DRAWS)
    source, replaced = jax.vmap(lambda key: draw_sources(key, index, count, p))(keys)
    source, replaced = np.asarray(source), np.asarray(replaced)
    own = np.arange(4)
    np.testing.assert_array_equal(replaced, source != own)
    for i in range(4):
        n = int(count[i])
        assert set(source[replaced[:, i], i]) == set(index[i, :n].tolist())
        if n:
            assert abs(replaced[:, i].mean() - p) < 4 * np.sqrt(p * (1 - p) / DRAWS)
        for j in index[i, :n]:
            q = p / n
            assert abs((source[:, i] == j).mean() - q) < 4 * np.sqrt(q * (1 - q) / DRAWS)
    # Rows draw on their own.
    both = (replaced[:, 0] & replaced[:, 1]).mean()
    assert abs(both - p * p) < 4 * np.sqrt(p * p * (1 - p * p) / DRAWS)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_ends_of_p_and_the_key(p):
    index, count = nearest(jax.random.normal(jax.random.key(0), (8, 8)), ~jnp.eye(8, dtype=bool), 3)
    (a, replaced), (b, _), (c, _) = (draw_sources(jax.random.key(k), index, count, p) for k in (0, 0, 1))
    np.testing.assert_array_equal(replaced, np.full(8, p == 1))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any() == (p == 1)
