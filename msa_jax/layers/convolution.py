"""Convolution over time that does not see what lies outside a clip."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import float32_after_dot


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
            conv_general_dilated=_of_windows,
            name="conv",
        )
        return jnp.where(mask_BT[..., None], conv(x_BTD), 0.0)


def _of_windows(
    x_BTD: Float[Array, "B T D"], kernel_KDF: Float[Array, "K D F"], *args: Any, **kwargs: Any
) -> Float[Array, "B T F"]:
    """The convolution as one product of what each step sees, [K * D], and the kernel, as float32.

    For several seeds `vmap` makes a convolution of groups out of one, and XLA computes another one than that
    where the groups are spread over devices (jax 0.10.2): forward passes are wrong without a word.
    """
    del args, kwargs  # stride 1, no dilation, zeros at both ends, as `MaskedConv` has it
    K, D, F = kernel_KDF.shape
    T = x_BTD.shape[1]
    padded = jnp.pad(x_BTD, ((0, 0), ((K - 1) // 2, K // 2), (0, 0)))
    seen_BTW = jnp.concatenate([padded[:, k : k + T] for k in range(K)], axis=-1)
    return float32_after_dot(seen_BTW, kernel_KDF.reshape(K * D, F), (((2,), (0,)), ((), ())))
