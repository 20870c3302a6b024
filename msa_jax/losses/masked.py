"""Masked means over the rows of a batch that count, and which rows those are."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from msa_jax.losses.objective import Arrays


def masked_mean(values: Float[Array, " N"], mask: Bool[Array, " N"]) -> Float[Array, ""]:
    """Mean of the values where `mask` holds; exactly 0 where it holds nowhere.

    Args:
      values: [N].
      mask: [N] bool.
    """
    kept = jnp.where(mask, values, 0.0)
    return kept.sum() / jnp.maximum(mask.sum(), 1)


def valid_rows(
    predictions: ArrayLike, labels: ArrayLike, mask: ArrayLike | None
) -> tuple[Float[Array, " B"], Float[Array, " B"], Bool[Array, " B"]]:
    """float32 vectors whose masked entries are 0, so that whatever stands there cannot reach a gradient."""
    p, y = jnp.asarray(predictions, jnp.float32), jnp.asarray(labels, jnp.float32)
    if p.ndim != 1 or p.shape != y.shape:
        raise ValueError(f"expected predictions [B] and labels [B], got {p.shape} and {y.shape}")
    m = jnp.ones(p.shape, bool) if mask is None else jnp.asarray(mask, bool)
    if m.shape != p.shape:
        raise ValueError(f"expected mask {p.shape}, got {m.shape}")
    return jnp.where(m, p, 0.0), jnp.where(m, y, 0.0), m


def present(batch: Arrays, *modalities: str) -> Bool[Array, " B"]:
    """True for the clips, padding apart, that have a valid step of each of the modalities."""
    rows = jnp.asarray(batch["mask"], bool)
    for m in modalities:
        rows &= jnp.asarray(batch[f"{m}_mask"]).any(1)
    return rows
