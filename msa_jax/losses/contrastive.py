"""Contrastive losses between two sets of vectors whose rows belong to the same clips."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from msa_jax.errors import ArgumentError
from msa_jax.losses.arguments import check_number, kept, real
from msa_jax.losses.masked import masked_mean

LOWEST = float(jnp.finfo(jnp.float32).min)  # finite, so that a row without any valid candidate has no NaN


def valid_pairs(
    first: ArrayLike, second: ArrayLike, mask: ArrayLike | None
) -> tuple[Float[Array, "B D"], Float[Array, "B D"], Bool[Array, " B"]]:
    """float32 matrices whose masked rows are 0, so that whatever stands there cannot reach a gradient."""
    x, y = (real(v, "a matrix").astype(jnp.float32) for v in (first, second))
    if x.ndim != 2 or x.shape != y.shape:
        raise ArgumentError(f"expected two matrices [B, d], got {x.shape} and {y.shape}")
    m = kept(mask, x.shape[:1])
    return jnp.where(m[:, None], x, 0.0), jnp.where(m[:, None], y, 0.0), m


def unit(x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
    """x divided by its length, in float32; a zero vector stays zero, with a finite gradient."""
    x = x.astype(jnp.float32)
    return x / jnp.sqrt(jnp.sum(x * x, axis=-1, keepdims=True) + 1e-12)


def direction(x: Float[Array, "B D"]) -> Float[Array, "B D"]:
    """Unit vectors, however long or short the rows are; a zero row stays zero, with a gradient of 0.

    A row with a NaN or an infinity is NaN.
    """
    # The square of 1e20 does not fit into float32: divide by the largest entry first. Scaling leaves a unit
    # vector as it is, so no gradient is lost by holding the scale fixed.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True))
    return unit(jnp.where(largest == 0, 0.0, x / jnp.where(largest == 0, 1.0, largest)))


def info_nce(
    query: ArrayLike,
    key: ArrayLike,
    *,
    temperature: float,
    mask: ArrayLike | None = None,
    symmetric: bool = False,
) -> Float[Array, ""]:
    """InfoNCE: find each query's own key among the keys of the batch.

    Source: van den Oord et al. 2018, eq. 4; TeCaFN (Huang et al. 2024), eq. 6, and with `symmetric` eqs.
    15-16: the mean over i of -log softmax_j(q_i . k_j / temperature) at j = i. TeCaFN prints q_j . k_j for
    the negatives, by which no query would be compared with another clip's key; q_i . k_j is taken.

    Args:
      query: [B, d], used as it is: normalise it for a cosine.
      key: likewise.
      temperature: what the products are divided by.
      mask: [B] bool; False on rows that are neither anchors nor negatives; None keeps all.
      symmetric: add the same loss with the two sets exchanged (a sum, not a mean, of the two).

    Returns:
      A scalar in float32; exactly 0 with fewer than two valid rows, which leave no negative.
    """
    check_number(temperature, "temperature", positive=True)
    q, k, m = valid_pairs(query, key, mask)
    # In full precision also where the device would round: a low temperature magnifies what is lost.
    scores = jnp.matmul(q, k.T, precision="highest") / temperature

    def one_way(scores_BB: Float[Array, "B B"]) -> Float[Array, ""]:
        likelihood = jax.nn.log_softmax(jnp.where(m[None, :], scores_BB, LOWEST), axis=-1)
        return masked_mean(-jnp.diagonal(likelihood), m)

    return one_way(scores) + one_way(scores.T) if symmetric else one_way(scores)


def nt_xent(
    first: ArrayLike, second: ArrayLike, *, temperature: float, mask: ArrayLike | None = None
) -> Float[Array, ""]:
    """Normalised, temperature-scaled cross entropy between two modalities, both ways.

    Source: AMSGFN (He 2026), eqs. 1-2, for one pair of modalities: the mean over i of L_i^(m,n) + L_i^(n,m)
    with the cosine as similarity. An anchor's negatives are the other clips' vectors of the *other* modality
    alone, as eq. 1 has it; the NT-Xent of SimCLR (Chen et al. 2020) also takes those of its own view.

    Args:
      first: [B, d], of any length.
      second: likewise.
      temperature: what the cosines are divided by.
      mask: [B] bool; False on rows that are neither anchors nor negatives; None keeps all.

    Returns:
      A scalar in float32; exactly 0 with fewer than two valid rows.
    """
    x, y, m = valid_pairs(first, second, mask)
    return info_nce(direction(x), direction(y), temperature=temperature, mask=m, symmetric=True)


def nce(
    prediction: ArrayLike, target: ArrayLike, *, temperature: float, mask: ArrayLike | None = None
) -> Float[Array, ""]:
    """Contrastive predictive coding: tell what was predicted from the other clips' targets, one way.

    Source: L_NCE of AMSGFN (He 2026), eq. 18, whose form the paper leaves open. Ours is that of MMIM (Han et
    al. 2021): the cosine of the two. The fused representation is what eq. 18 calls the reference, so its
    prediction is the anchor and the other clips' targets are the noise, as in van den Oord et al. 2018;
    MMIM's program holds the target fixed and takes the other clips' predictions.

    Args:
      prediction: [B, d], a learned map of the fused representation, of any length.
      target: [B, d], one modality's representation, of any length.
      temperature: what the cosines are divided by (1 in MMIM).
      mask: [B] bool; False on rows that are neither anchors nor noise; None keeps all.

    Returns:
      A scalar in float32; exactly 0 with fewer than two valid rows.
    """
    x, y, m = valid_pairs(prediction, target, mask)
    return info_nce(direction(x), direction(y), temperature=temperature, mask=m)
