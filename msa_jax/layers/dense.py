"""Dense whose output is float32, whatever it computes in."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Dense32(nn.Dense):
    """`nn.Dense` that ends in float32: for what is handed on between layers, or added to that."""

    def __call__(self, inputs: Float[Array, "*B E"]) -> Float[Array, "*B D"]:
        """[..., E] to [..., features]."""
        return super().__call__(inputs).astype(jnp.float32)
