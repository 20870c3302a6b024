"""Dense layers whose bias is added in float32, whatever their product is computed in.

Added in bfloat16, a bias would have a gradient that is summed over all steps in bfloat16: with its three
digits such a sum stops growing after some hundred terms. Linen rounds the bias itself to the compute type
first.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def product(x: Float[Array, "*GB E"], kernel: Float[Array, "*G E D"]) -> Float[Array, "*GB D"]:
    """Rows times a kernel, in the type of both.

    The gradient is written out, so JAX refuses forward mode (`jax.jvp`). The kernel's is one product over all
    rows side by side: over rows on several axes XLA first copies an operand on a CPU.

    Args:
      x: [*G, *B, E] the rows, on any axes B; where several devices share the clips, these are the first of
        them, or the rows would be gathered.
      kernel: [*G, E, D], of the same type; with axes G, each place on them has a kernel of its own.
    """
    at = kernel.ndim - 2
    groups = tuple(range(at))
    return jax.lax.dot_general(x, kernel, (((x.ndim - 1,), (at,)), (groups, groups)))


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], change: Array) -> tuple[Array, Array]:
    x, kernel = kept
    at, last = kernel.ndim - 2, x.ndim - 1
    groups = tuple(range(at))
    d_x = jax.lax.dot_general(change, kernel, (((last,), (at + 1,)), (groups, groups)))
    x, change = (a.reshape(*a.shape[:at], -1, a.shape[-1]) for a in (x, change))
    return d_x, jax.lax.dot_general(x, change, (((at,), (at,)), (groups, groups)))


product.defvjp(_forward, _backward)


def float32_after_dot(x: Array, kernel: Array, dimensions: Any, **kwargs: Any) -> Array:
    """What Linen's Dense may be given in place of its own product: `product`, as float32."""
    del dimensions, kwargs  # those of every Dense
    return product(x, kernel).astype(jnp.float32)


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
