"""Head: names and shapes for each kind of label, and the product itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.head import Head

X = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("outputs", "name", "shape"),
    [((), "prediction", (3,)), ((2,), "logits", (3, 2)), ((4, 2), "logits", (3, 4, 2))],
)
def test_one_output_named_and_shaped_after_the_labels(outputs, name, shape):
    head = Head(outputs)
    params = head.init(jax.random.key(0), X)["params"]
    params["output_dense"]["bias"] += np.arange(params["output_dense"]["bias"].size, dtype=np.float32)
    out = head.apply({"params": params}, X)
    dense = jax.tree.map(lambda p: np.asarray(p, np.float64), params["output_dense"])
    assert list(out) == [name]
    # Task first, then class.
    np.testing.assert_allclose(out[name], (X @ dense["kernel"] + dense["bias"]).reshape(shape), atol=1e-5)


def test_the_score_is_made_in_single_precision():
    head = Head()
    params = head.init(jax.random.key(0), X)["params"]
    half = jnp.asarray(X, jnp.bfloat16)
    score = head.apply({"params": params}, half)["prediction"]
    assert score.dtype == jnp.float32
    single = head.apply({"params": params}, half.astype(jnp.float32))["prediction"]
    np.testing.assert_array_equal(score, single)
