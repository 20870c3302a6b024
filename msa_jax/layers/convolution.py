"""Convolution over time that does not see what lies outside a clip."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import float32_after_conv


class MaskedConv(nn.Module):
    """1-D convolution over the valid steps; outside them, as beyond the edges, there are zeros.

    Attributes:
      features: output width.
      kernel: steps that an output step sees.
      dtype: compute type of the product; None: that of the input. The output is float32 in any case.
    """

    features: int
    kernel: int = 1
    dtype: Any = None

    @nn.compact
    def __call__(self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B T F"]:
        """[B, T, D] to [B, T, features]; 0 on invalid steps, whatever stands there."""
        x_BTD = jnp.where(mask_BT[..., None], x_BTD, 0.0)
        conv = nn.Conv(
            self.features,
            (self.kernel,),
            padding="SAME",
            dtype=self.dtype,
            conv_general_dilated=float32_after_conv,
            name="conv",
        )
        return jnp.where(mask_BT[..., None], conv(x_BTD), 0.0)
