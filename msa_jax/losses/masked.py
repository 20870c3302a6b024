"""Masked means over the rows of a batch that count, and which rows those are."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from msa_jax.errors import ArgumentError
from msa_jax.losses.objective import Arrays


def masked_mean(values: Float[Array, " N"], mask: Bool[Array, " N"]) -> Float[Array, ""]:
    """Mean of the values where `mask` holds; exactly 0 where it holds nowhere.

    Args:
      values: [N].
      mask: [N] bool.
    """
    kept = jnp.where(mask, values, 0.0)
    return kept.sum() / jnp.maximum(mask.sum(), 1)


def real(values: ArrayLike, name: str) -> Array:
    """The values as an array of its own dtype.

    Raises:
      ArgumentError: when they are not real numbers; a conversion would drop the imaginary parts.
    """
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError) as e:
        raise ArgumentError(f"{name} is not an array of numbers: {str(e).splitlines()[0]}") from None
    if not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "biu"):
        raise ArgumentError(f"{name} holds {array.dtype} values, not real numbers")
    return array


def check_number(value: float, name: str, *, positive: bool = False) -> None:
    """Refuses a hyperparameter that is not a finite number of at least 0, or above 0; a traced one passes."""
    if isinstance(value, jax.core.Tracer):
        return
    number = np.asarray(value)
    fits = number.ndim == 0 and number.dtype.kind in "iuf" and 0 <= number < np.inf
    if not fits or (positive and number == 0):
        raise ArgumentError(f"{name} is {value!r}, not a number {'above' if positive else 'of at least'} 0")


def valid_rows(
    predictions: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[Float[Array, " B"], Float[Array, " B"], Bool[Array, " B"]]:
    """float32 vectors whose masked entries are 0, so that whatever stands there cannot reach a gradient."""
    p, y = (
        real(v, name).astype(jnp.float32) for v, name in ((predictions, "predictions"), (labels, "labels"))
    )
    if p.ndim != 1 or p.shape != y.shape:
        raise ArgumentError(f"expected predictions [B] and labels [B], got {p.shape} and {y.shape}")
    m = jnp.ones(p.shape, bool) if mask is None else jnp.asarray(mask, bool)
    if m.shape != p.shape:
        raise ArgumentError(f"expected mask {p.shape}, got {m.shape}")
    return jnp.where(m, p, 0.0), jnp.where(m, y, 0.0), m


def present(batch: Arrays, *modalities: str) -> Bool[Array, " B"]:
    """True for the clips, padding apart, that have a valid step of each of the modalities."""
    rows = jnp.asarray(batch["mask"], bool)
    for m in modalities:
        rows &= jnp.asarray(batch[f"{m}_mask"]).any(1)
    return rows
