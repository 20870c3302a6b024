"""Losses on one score at a time."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float


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


def mse(predictions: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """Mean squared error.

    Args:
      predictions: [B] scores.
      labels: [B] scores.
      mask: [B] bool, False on rows that only pad the batch; None keeps all.

    Returns:
      A scalar; 0 when no row is kept.
    """
    p, y, m = valid_rows(predictions, labels, mask)
    return masked_mean((p - y) ** 2, m)


def l1(predictions: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """Mean absolute error.

    Args:
      predictions: [B] scores.
      labels: [B] scores.
      mask: [B] bool, False on rows that only pad the batch; None keeps all.

    Returns:
      A scalar; 0 when no row is kept.
    """
    p, y, m = valid_rows(predictions, labels, mask)
    return masked_mean(jnp.abs(p - y), m)


def eioi(
    predictions: ArrayLike, labels: ArrayLike, *, delta: float, mask: ArrayLike | None = None
) -> Float[Array, ""]:
    """Error-interval ordinal inconsistency: the squared part of the error that exceeds `delta`.

    Source: CrossSent (Liu et al. 2026), section 3.4: mean of max(0, |p - y| - delta)^2.

    Args:
      predictions: [B] scores.
      labels: [B] scores.
      delta: half the width of the interval that costs nothing, in units of the labels.
      mask: [B] bool, False on rows that only pad the batch; None keeps all.

    Returns:
      A scalar; 0 when no row is kept.
    """
    p, y, m = valid_rows(predictions, labels, mask)
    excess = jnp.maximum(jnp.abs(p - y) - delta, 0.0)
    return masked_mean(excess**2, m)
