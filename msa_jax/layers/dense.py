"""Dense layers whose bias is added in float32, whatever their product is computed in.

Added in bfloat16, a bias would have a gradient that is summed over all steps in bfloat16: with its three
digits such a sum stops growing after some hundred terms. Linen rounds the bias itself to the compute type
first.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def _widened(product: Callable[..., Array], *args: Any, **kwargs: Any) -> Array:
    """The product, computed in the type of its operands, as float32."""
    return product(*args, **kwargs).astype(jnp.float32)


# What Linen's Dense may be given in place of its own product.
float32_after_dot = partial(_widened, jax.lax.dot_general)


class Dense32(nn.Dense):
    """`nn.Dense` that ends in float32: for what is handed on between layers, or added to that."""

    dot_general: Any = float32_after_dot

    def __call__(self, inputs: Float[Array, "*B E"]) -> Float[Array, "*B D"]:
        """[..., E] to [..., features]."""
        return super().__call__(inputs)


class Dense(nn.Dense):
    """`nn.Dense` that ends in its compute type: for what the next product takes."""

    dot_general: Any = float32_after_dot

    def __call__(self, inputs: Float[Array, "*B E"]) -> Float[Array, "*B D"]:
        """[..., E] to [..., features]."""
        return super().__call__(inputs).astype(self.dtype or inputs.dtype)
