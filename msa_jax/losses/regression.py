"""Regression losses, on one score at a time."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from msa_jax.losses.arguments import check_number
from msa_jax.losses.masked import masked_mean, valid_rows


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
    check_number(delta, "delta")
    p, y, m = valid_rows(predictions, labels, mask)
    excess = jnp.maximum(jnp.abs(p - y) - delta, 0.0)
    return masked_mean(excess**2, m)
