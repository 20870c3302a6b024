"""Scores of AMSGFN's modalities, the choice of the dominant one, and the weights of the streams."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from msa_jax.layers.attention import MASKED
from msa_jax.layers.pooling import mean_over_time


def deviation_over_time(x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B D"]:
    """Standard deviation of each feature over the valid steps (ours).

    Args:
      x_BTD: a stream.
      mask_BT: its valid steps.

    Returns:
      [B, D]; 0, with a gradient of 0, where a feature does not change or fewer than two steps are valid.
    """
    apart_BTD = jnp.where(mask_BT[..., None], x_BTD - mean_over_time(x_BTD, mask_BT)[:, None], 0.0)
    variance_BD = mean_over_time(apart_BTD**2, mask_BT)
    varies_BD = variance_BD > 0
    # The root of a variance of 0 has no finite slope: it is never taken.
    return jnp.where(varies_BD, jnp.sqrt(jnp.where(varies_BD, variance_BD, 1.0)), 0.0)


def summary(
    x_BMTD: Float[Array, "B M T D"], mask_BMT: Bool[Array, "B M T"], *, spread: bool
) -> Float[Array, "B F"]:
    """What the MLP sees of the streams (eq. 3).

    Args:
      x_BMTD: the streams.
      mask_BMT: their valid steps.
      spread: add their deviations (ours).

    Returns:
      [B, M D] the mean of each over time, then, with `spread`, [B, M D] its deviation.
    """
    streams = [(x_BMTD[:, k], mask_BMT[:, k]) for k in range(x_BMTD.shape[1])]
    seen = [mean_over_time(*stream) for stream in streams]
    if spread:
        seen += [deviation_over_time(*stream) for stream in streams]
    return jnp.concatenate(seen, axis=-1)


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


def dominant_first(
    first_B: Int[Array, " B"], x_BMTD: Float[Array, "B M T D"], mask_BMT: Bool[Array, "B M T"]
) -> tuple[Float[Array, "B M T D"], Bool[Array, "B M T"]]:
    """Streams and their valid steps, the dominant one first: per clip a gather, in one program for all."""
    M = x_BMTD.shape[1]
    order_BM = (first_B[:, None] + jnp.arange(M)[None]) % M
    x_BMTD = jnp.take_along_axis(x_BMTD, order_BM[:, :, None, None], axis=1)
    return x_BMTD, jnp.take_along_axis(mask_BMT, order_BM[:, :, None], axis=1)
