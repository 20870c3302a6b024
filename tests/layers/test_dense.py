"""Product of `layers.dense`: the numbers and the gradients of JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.dense import product


@pytest.mark.parametrize(
    ("x", "kernel", "equation"),
    [
        ((5, 3), (3, 4), "be,ed->bd"),
        ((2, 5, 3), (3, 4), "bte,ed->btd"),
        ((2, 7, 5, 3), (3, 4), "abte,ed->abtd"),
        ((6, 2, 5, 3), (6, 3, 4), "jbte,jed->jbtd"),
    ],
)
def test_product_and_its_gradients_are_those_of_an_einsum(x, kernel, equation):
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in (x, kernel))

    def written_out(x, kernel):
        return jnp.einsum(equation, x, kernel)

    out, back = jax.vjp(product, x, kernel)
    expected, expected_back = jax.vjp(written_out, x, kernel)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    change = jnp.asarray(rng.normal(size=out.shape), jnp.float32)
    for own, other in zip(back(change), expected_back(change), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)


def test_product_and_its_gradients_keep_the_type_of_both():
    x, kernel = jnp.ones((2, 3, 4), jnp.bfloat16), jnp.ones((4, 5), jnp.bfloat16)
    out, back = jax.vjp(product, x, kernel)
    assert {array.dtype for array in (out, *back(out))} == {jnp.dtype(jnp.bfloat16)}


def test_product_has_gradients_for_several_seeds_at_once():
    rng = np.random.default_rng(1)
    x, kernel = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((3, 2, 5, 4), (3, 4, 6)))
    together = jax.vmap(jax.grad(lambda x, k: jnp.sum(product(x, k) ** 2), argnums=(0, 1)))(x, kernel)
    for seed in range(3):
        alone = jax.grad(lambda x, k: jnp.sum(product(x, k) ** 2), argnums=(0, 1))(x[seed], kernel[seed])
        for own, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(own[seed], other, rtol=1e-5, atol=1e-5)
