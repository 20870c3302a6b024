"""Pooling of the steps of a sequence into one vector, and of the masks of several."""

import functools
import operator
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# By modality its steps, and which of them are valid.
Streams = Mapping[str, tuple[Float[Array, "B T D"], Bool[Array, "B T"]]]


def mean_over_time(x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """Mean over the valid steps; 0 where there is none."""
    kept_BTD = jnp.where(mask_BT[..., None], x_BTD, 0.0)
    return kept_BTD.sum(1) / jnp.maximum(mask_BT.sum(1), 1)[:, None].astype(x_BTD.dtype)


def last_valid(x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """The last valid step; 0 where there is none."""
    T = mask_BT.shape[1]
    last_B = T - 1 - jnp.argmax(mask_BT[:, ::-1], axis=1)
    x_BD = jnp.take_along_axis(x_BTD, last_B[:, None, None], axis=1)[:, 0]
    return jnp.where(mask_BT.any(1)[:, None], x_BD, 0.0)


def first_valid(x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """The first valid step; 0 where there is none."""
    first_B = jnp.argmax(mask_BT, axis=1)
    x_BD = jnp.take_along_axis(x_BTD, first_B[:, None, None], axis=1)[:, 0]
    return jnp.where(mask_BT.any(1)[:, None], x_BD, 0.0)


def any_step(streams: Streams) -> Bool[Array, "B T"]:
    """The steps that any of some streams on one time line has."""
    return functools.reduce(operator.or_, (mask_BT for _, mask_BT in streams.values()))
