"""Dropout whose random bits come from a hash, once for all masks of a layer.

JAX's own generator is a large part of what dropout costs on a CPU. A mask needs bits that look random to
statistics, not to cryptography: a hash of the entry's number and of a key that JAX's generator has drawn.
"""

import math
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
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
    bits = hashed_bits(module.make_rng("dropout"), rows, sum(sizes))
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes) - 1)]
    parts = jnp.split(bits, ends, axis=1)
    return [part.reshape(rows, *shape) for part, shape in zip(parts, shapes, strict=True)]


def hashed_bits(key: Array, rows: int, count: int) -> Array:
    """[rows, count] uint16 that a key and the place of each decide, so that more rows change none.

    Args:
      key: of JAX.
      rows, count: the shape.
    """
    words = jax.random.bits(key, (2,), jnp.uint32)
    row, column = (jax.lax.broadcasted_iota(jnp.uint32, (rows, count), axis) for axis in (0, 1))
    place = row * np.uint32(count) + column
    return bits_at(place, words)


def bits_at(place: Array, words: Any) -> Array:
    """A random uint16 for each number.

    Two rounds of a hash of 32 bits that changes about half of them where one bit of its input changes (its
    constants are among those published with hash-prospector), with a random word before each.

    Args:
      place: uint32, of any shape.
      words: two random uint32, or arrays of them that fit.
    """
    return (_mixed(_mixed(place + words[0]) ^ words[1]) >> 16).astype(jnp.uint16)


def _mixed(x: Array) -> Array:
    for shift, factor in ((16, 0x21F0AAAD), (15, 0xD35A2D97)):
        x = (x ^ (x >> shift)) * np.uint32(factor)
    return x ^ (x >> 15)


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
