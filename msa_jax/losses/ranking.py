"""Ranking losses, on pairs of scores."""

import numbers

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from msa_jax.errors import ArgumentError
from msa_jax.losses.arguments import check_number
from msa_jax.losses.masked import masked_mean, valid_rows

# Labels are means over a few annotators: thirds, quarters, fifths, tenths. Gaps between them are multiples of
# 1/60, which float32 keeps to 5e-7; a gap within 1e-4 of gamma is one of gamma, and no other can be meant.
TOLERANCE = 1e-4


def mpr(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: float,
    beta: float,
    gamma: float,
    max_pairs: int,
    mask: ArrayLike | None = None,
    key: Key[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Monotonic pairwise ranking: a hinge whose margin grows with the difference of the labels.

    Source: CrossSent (Liu et al. 2026), section 3.3: over the pairs with |y_i - y_j| >= gamma, the mean of
    max(0, alpha |y_i - y_j|^beta - sgn(y_i - y_j) (p_i - p_j)). The term of (j, i) equals that of (i, j),
    so each unordered pair is visited once; the mean is the same.

    Args:
      predictions: [B] scores.
      labels: [B] scores.
      alpha: margin for a label difference of 1.
      beta: power with which the margin grows.
      gamma: least label difference of a pair that counts; one of gamma itself, to within `TOLERANCE`, does.
      max_pairs: at most so many of the pairs that count are used; beyond it they are drawn uniformly,
        without replacement. It bounds the memory of large batches.
      mask: [B] bool, False on rows that only pad the batch; None keeps all.
      key: source of the draw; needed only where the batch has more than `max_pairs` pairs.

    Returns:
      A scalar; exactly 0, with a gradient of 0, when no pair counts; NaN when a kept clip has a NaN.

    Raises:
      ArgumentError: when a draw is needed and there is no key, or max_pairs < 1.
    """
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        check_number(value, name)
    if not isinstance(max_pairs, numbers.Integral) or max_pairs < 1:
        raise ArgumentError(f"max_pairs must be a whole number of at least 1, got {max_pairs!r}")
    p, y, m = valid_rows(predictions, labels, mask)
    # Pairs in this order have the same places, and draw the same lots, however many rows pad the batch.
    second, first = np.tril_indices(len(p), -1)
    least = gamma - min(TOLERANCE, gamma / 2)  # above 0 for the smallest gamma too: equal labels stay out
    counts = m[first] & m[second] & (jnp.abs(y[first] - y[second]) >= least)
    if len(first) > max_pairs:
        if key is None:
            raise ArgumentError(
                f"a batch of {len(p)} has {len(first)} pairs: drawing {max_pairs} needs a key"
            )
        # A uniform number for each pair that counts and -1 for the others: the largest are the draw.
        lots = jnp.where(counts, jax.random.uniform(key, counts.shape), -1.0)
        _, drawn = jax.lax.top_k(lots, max_pairs)
        first, second, counts = jnp.asarray(first)[drawn], jnp.asarray(second)[drawn], counts[drawn]
    difference = y[first] - y[second]
    margin = alpha * jnp.abs(difference) ** beta
    hinge = jnp.maximum(margin - jnp.sign(difference) * (p[first] - p[second]), 0.0)
    # A pair with a NaN among its labels does not count, and a clip may be in no pair that does.
    unknown = jnp.isnan(p).any() | jnp.isnan(y).any()
    return masked_mean(hinge, counts) + jnp.where(unknown, jnp.nan, 0.0)
