"""Classification losses, on class scores."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float

from msa_jax.errors import ArgumentError
from msa_jax.losses.arguments import kept, real
from msa_jax.losses.masked import masked_mean


def cross_entropy(logits: ArrayLike, labels: ArrayLike, *, mask: ArrayLike | None = None) -> Float[Array, ""]:
    """Softmax cross entropy of one choice per clip, or of several independent ones.

    Args:
      logits: [B, C], or [B, K, C] for K choices among C classes each.
      labels: [B] or [B, K] class numbers from 0, of any real dtype.
      mask: of the labels' shape, or [B]; False on entries that do not count; None keeps all.

    Returns:
      A scalar in float32: the mean over the entries that count; 0 when there is none, NaN when one of them is
      NaN or its label is not a class: NaN, 0.7, -1 or C.

    Raises:
      ArgumentError: when shapes do not match, or something holds no real numbers.
    """
    scores, y = real(logits, "logits").astype(jnp.float32), real(labels, "labels")
    if y.ndim not in (1, 2) or scores.shape[:-1] != y.shape:
        raise ArgumentError(
            f"expected logits [B, C] and labels [B], or one axis more, got {scores.shape}, {y.shape}"
        )
    m = kept(mask, y.shape, y.shape[:1])
    m = jnp.broadcast_to(m.reshape(*m.shape, *(1,) * (y.ndim - m.ndim)), y.shape)
    # A masked entry may hold anything, even a NaN or no class at all; it must not reach the gradient.
    y = jnp.where(m, y, 0)
    is_class = (y >= 0) & (y < scores.shape[-1]) & (y == jnp.floor(y))
    losses = optax.softmax_cross_entropy_with_integer_labels(
        jnp.where(m[..., None], scores, 0.0), jnp.where(is_class, y, 0).astype(jnp.int32)
    )
    # Times NaN, and not NaN in its place: so the gradient is NaN too, and no step is taken.
    return masked_mean((losses * jnp.where(is_class, 1.0, jnp.nan)).ravel(), m.ravel())
