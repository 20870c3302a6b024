"""Scores of AMSGFN's modalities, the choice of the dominant one, and the weights of the streams."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from msa_jax.layers.attention import MASKED


def present_scores(logits_BM: Float[Array, "B M"], present_BM: Bool[Array, "B M"]) -> Float[Array, "B M"]:
    """s: the softmax over the modalities that a clip has (eq. 3).

    Args:
      logits_BM: what the MLP gives.
      present_BM: the modalities with a valid step.

    Returns:
      [B, M]; 0 for what is missing, and equal where all is.
    """
    # Finite in place of minus infinity: where all are missing the scores come out equal, not NaN.
    return nn.softmax(jnp.where(present_BM, logits_BM, MASKED))


def relative_scores(scores_BM: Float[Array, "B M"], present_BM: Bool[Array, "B M"]) -> Float[Array, "B M"]:
    """The scores in units of an equal share, so that weighing keeps the streams' magnitude (ours; eq. 5).

    Args:
      scores_BM: s, which sum to 1.
      present_BM: the modalities with a valid step.

    Returns:
      [B, M]; 1 on average over the modalities that a clip has, 0 where it has none.
    """
    return present_BM.sum(1, keepdims=True) * scores_BM


def choose(
    logits_BM: Float[Array, "B M"], present_BM: Bool[Array, "B M"], *, fixed: int | None = None
) -> Int[Array, " B"]:
    """p: the modality that leads (eq. 4).

    Args:
      logits_BM: what the MLP gives.
      present_BM: the modalities with a valid step; no other leads.
      fixed: one that leads wherever it is present; None: the highest does.

    Returns:
      [B] indices into the M modalities.
    """
    first_B = jnp.argmax(jnp.where(present_BM, logits_BM, MASKED), axis=1)
    return first_B if fixed is None else jnp.where(present_BM[:, fixed], fixed, first_B)
