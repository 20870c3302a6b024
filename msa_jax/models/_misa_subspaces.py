"""Losses of MISA that compare vectors by how they lie over the clips of a batch: L_sim and L_diff."""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_TINY = 1e-6  # beside the length that a vector is divided by; toolkit


def _centred(
    x_NBD: Float[Array, "N B D"], rows_NB: Bool[Array, "N B"]
) -> tuple[Float[Array, "N D"], Float[Array, "N B D"]]:
    """(the means over the rows that count, the rows less these; 0 in the other rows)."""
    kept_NBD = jnp.where(rows_NB[..., None], x_NBD, 0.0)
    mean_ND = kept_NBD.sum(1) / jnp.maximum(rows_NB.sum(1), 1)[:, None]
    return mean_ND, jnp.where(rows_NB[..., None], x_NBD - mean_ND[:, None], 0.0)


def _length(x: Float[Array, "*N D"]) -> Float[Array, "*N"]:
    """Euclidean length over the last axis, with the gradient 0 where it is 0."""
    square = jnp.sum(x**2, axis=-1)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


def central_moment_discrepancy(
    x_NBD: Float[Array, "N B D"], rows_NB: Bool[Array, "N B"], *, moments: int
) -> Float[Array, ""]:
    """How far N distributions are apart, as the mean over their pairs.

    Source: Zellinger et al., ICLR 2017, arXiv:1702.08811, for values in [0, 1]: of a pair the distance of the
    means, and of the central moments from the second on.

    Args:
      x_NBD: [N, B, D] samples of each distribution.
      rows_NB: [N, B] samples that count; a pair of which one has none counts for nothing.
      moments: the highest moment.

    Returns:
      A scalar, 0 where no pair counts.
    """
    mean_ND, centred_NBD = _centred(x_NBD, rows_NB)
    count_N = rows_NB.sum(1)
    found, power_NBD = [mean_ND], centred_NBD
    for _ in range(moments - 1):
        power_NBD = power_NBD * centred_NBD
        found.append(power_NBD.sum(1) / jnp.maximum(count_N, 1)[:, None])
    moments_NLD = jnp.stack(found, axis=1)
    one, other = (jnp.array(side) for side in zip(*itertools.combinations(range(len(x_NBD)), 2), strict=True))
    apart_P = _length(moments_NLD[one] - moments_NLD[other]).sum(-1)
    counts_P = (count_N[one] > 0) & (count_N[other] > 0)
    return jnp.where(counts_P, apart_P, 0.0).sum() / jnp.maximum(counts_P.sum(), 1)


def overlap(
    x_NBD: Float[Array, "N B D"], rows_NB: Bool[Array, "N B"], pairs: Sequence[tuple[int, int]]
) -> Float[Array, ""]:
    """How far pairs of matrices, a row for each clip, are from orthogonal, as a sum over the pairs.

    Of a pair X and Y, with the mean of the rows taken from each row and each row brought to the length 1, the
    mean of the squares of the entries of X^T Y. The length has no gradient (toolkit).

    Args:
      x_NBD: [N, B, D] the matrices.
      rows_NB: [N, B] rows that count; in a pair those that count in both.
      pairs: of places in the first axis.

    Returns:
      A scalar.
    """
    _, centred_NBD = _centred(x_NBD, rows_NB)
    unit_NBD = centred_NBD / (jax.lax.stop_gradient(_length(centred_NBD))[..., None] + _TINY)
    # The sum of the squares of X^T Y is that of the products of the entries of X X^T and Y Y^T: there are
    # fewer clips than columns, and one such product for each matrix, not one for each pair.
    gram_NBB = jnp.einsum("nbd,ncd->nbc", unit_NBD, unit_NBD)
    one, other = (jnp.array(side) for side in zip(*pairs, strict=True))
    return jnp.sum(gram_NBB[one] * gram_NBB[other]) / x_NBD.shape[-1] ** 2
