"""Masked means over the rows of a batch that count, and which rows those are."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from msa_jax.errors import ArgumentError
from msa_jax.losses.arguments import kept, real
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
    p, y = (
        real(v, name).astype(jnp.float32) for v, name in ((predictions, "predictions"), (labels, "labels"))
    )
    if p.ndim != 1 or p.shape != y.shape:
        raise ArgumentError(f"expected predictions [B] and labels [B], got {p.shape} and {y.shape}")
    m = kept(mask, p.shape)
    return jnp.where(m, p, 0.0), jnp.where(m, y, 0.0), m


def present(batch: Arrays, *modalities: str) -> Bool[Array, " B"]:
    """True for the clips, padding apart, that have a valid step of each of the modalities."""
    rows = jnp.asarray(batch["mask"], bool)
    for m in modalities:
        rows &= jnp.asarray(batch[f"{m}_mask"]).any(1)
    return rows
