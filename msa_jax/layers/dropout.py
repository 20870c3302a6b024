"""Dropout whose random bits a layer draws once for all its masks.

Random bits are most of what dropout costs: a draw of its own for each mask doubles the time to compile a
layer, and 32 bits where 16 decide double the time to run it.
"""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

LEVELS = 2**16


def draw_bits(
    module: nn.Module, rows: int, shapes: Sequence[tuple[int, ...]], *, active: bool
) -> list[Array | None]:
    """Random uint16 for several masks of one layer, from one draw of the rng "dropout".

    Args:
      module: whose rng is used.
      rows: B; the batch axis leads, so that a batch split over devices draws its own rows only.
      shapes: of the masks, without the batch axis.
      active: False draws nothing.

    Returns:
      For each shape [B, *shape], or None.
    """
    if not active:
        return [None] * len(shapes)
    sizes = [math.prod(shape) for shape in shapes]
    bits = jax.random.bits(module.make_rng("dropout"), (rows, sum(sizes)), jnp.uint16)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes) - 1)]
    parts = jnp.split(bits, ends, axis=1)
    return [part.reshape(rows, *shape) for part, shape in zip(parts, shapes, strict=True)]


def drop(x: Array, bits: Array | None, rate: float) -> Array:
    """Zeroes the entries of x whose random uint16 falls below the rate and scales up the others.

    Args:
      x: [B, ...].
      bits: of the same shape, from `draw_bits`; None drops nothing.
      rate: share that falls, in [0, 1).
    """
    if bits is None or not rate:
        return x
    threshold = min(round(rate * LEVELS), LEVELS - 1)
    scale = LEVELS / (LEVELS - threshold)
    return jnp.where(bits >= threshold, x * scale, jnp.zeros((), x.dtype))


class Dropout(nn.Module):
    """Dropout of one array, with a draw of its own.

    Attributes:
      rate: share that falls, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """Drops entries of x where `train` holds."""
        (bits,) = draw_bits(self, len(x), [x.shape[1:]], active=train and self.rate > 0)
        return drop(x, bits, self.rate)
