"""BatchNorm of `layers.batch_norm`: what it makes of a batch in which little or nothing counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.batch_norm import BatchNorm

START = {"mean": np.float32([1.0, -2.0, 0.3]), "var": np.float32([4.0, 0.7, 1.1])}


@pytest.fixture
def norm():
    """(a norm of three columns, its variables, [5, 3] numbers)."""
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    params = {"scale": np.float32([2.0, 1.0, 0.5]), "bias": np.float32([0.1, 0.2, 0.3])}
    return BatchNorm(3), {"params": params, "batch_stats": jax.tree.map(jnp.asarray, START)}, x


def by_running(x, params):
    return (x - START["mean"]) / np.sqrt(START["var"] + 1e-5) * params["scale"] + params["bias"]


def test_a_batch_in_which_nothing_counts_moves_nothing_and_has_finite_gradients(norm):
    layer, variables, x = norm
    nothing = np.zeros((5, 1), bool)

    def total(params, x):
        out, after = layer.apply(
            {**variables, "params": params}, x, nothing, train=True, mutable=["batch_stats"]
        )
        return jnp.sum(out), (out, after["batch_stats"])

    (_, (out, after)), gradients = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(
        variables["params"], jnp.asarray(x)
    )
    for name, value in START.items():
        np.testing.assert_array_equal(after[name], value)
    np.testing.assert_allclose(out, by_running(x, variables["params"]), atol=1e-5)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_rows_that_do_not_count_are_normalised_and_in_no_statistics(norm):
    layer, variables, x = norm
    counts = np.array([True, True, False, True, False])[:, None]
    out, after = layer.apply(variables, x, counts, train=True, mutable=["batch_stats"])
    mean, var = x[counts[:, 0]].mean(0), x[counts[:, 0]].var(0)
    params = variables["params"]
    np.testing.assert_allclose(
        out, (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"], atol=1e-5
    )
    np.testing.assert_allclose(after["batch_stats"]["mean"], 0.9 * START["mean"] + 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(after["batch_stats"]["var"], 0.9 * START["var"] + 0.1 * var, rtol=1e-5)
    ready = layer.apply(variables, x, counts, train=False)
    np.testing.assert_allclose(ready, by_running(x, params), atol=1e-5)
