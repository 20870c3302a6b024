"""MFM's parts: factors of codes, decoders in a closed loop, and the distance of codes from a Gaussian."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.recurrent import lstm_scan, recurrent_product


class Factor(nn.Module):
    """Two Dense layers with ReLU, dropout between them: the factor that a code stands for.

    Attributes:
      width: of both layers.
      dropout: rate between them.
      dtype: compute type of the products.
    """

    width: int
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(self, code_BF: Float[Array, "B F"], *, train: bool) -> Float[Array, "B D"]:
        """[B, F] to [B, width]."""
        x_BD = nn.relu(Dense32(self.width, dtype=self.dtype, name="dense_0")(code_BF))
        x_BD = Dropout(self.dropout)(x_BD, train=train)
        return nn.relu(Dense32(self.width, dtype=self.dtype, name="dense_1")(x_BD))


class Decoder(nn.Module):
    """An LSTM that reads a clip's factors once, then its own last state, and a Dense layer over its states.

    Attributes:
      columns: of the steps that it generates.
      dtype: compute type of the products.
    """

    columns: int
    dtype: Any = None

    @nn.compact
    def __call__(self, factors_BF: Float[Array, "B F"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B T E"]:
        """[B, F], as wide as the state, to [B, T, columns]; an invalid step repeats what was before it."""
        F = factors_BF.shape[-1]
        input_FG = self.param("input_kernel", nn.initializers.lecun_normal(), (F, 4 * F), jnp.float32)
        recurrent_FG = self.param("recurrent_kernel", nn.initializers.orthogonal(), (F, 4 * F), jnp.float32)
        bias_G = self.param("bias", nn.initializers.zeros, (4 * F,), jnp.float32)
        # The first state is 0 and what is read then are the factors; later both are the same state, so that
        # one product with the sum of both kernels gives the gates.
        first_BT = mask_BT & (jnp.cumsum(mask_BT, axis=1) == 1)
        start_BG = recurrent_product(factors_BF, input_FG, self.dtype)
        gates_BTG = bias_G[None, None] + jnp.where(first_BT[..., None], start_BG[:, None], 0.0)
        hidden_BTF, _ = lstm_scan(self.dtype, gates_BTG, input_FG + recurrent_FG, mask_BT)
        return Dense32(self.columns, dtype=self.dtype, name="dense")(hidden_BTF)


def mmd(
    codes_BF: Float[Array, "B F"], noise_BF: Float[Array, "B F"], rows_B: Bool[Array, "B"]
) -> Float[Array, ""]:
    """Maximum mean discrepancy between codes and noise (the prior's term, with the toolkit's kernel).

    The kernel of two vectors is exp(-|x - y|^2 / F^2): the mean over the F entries, over F once more. Each
    mean is over all pairs, those of a vector with itself among them, so that it is never below 0.

    Args:
      codes_BF: [B, F].
      noise_BF: [B, F] draws of the prior.
      rows_B: [B] the rows that count, of both.

    Returns:
      Its square; 0 where no row counts.
    """
    width = codes_BF.shape[1]
    both_BF = jnp.concatenate([noise_BF, jnp.where(rows_B[:, None], codes_BF, 0.0)])
    weight_B = rows_B / jnp.maximum(rows_B.sum(), 1)
    signed_B = jnp.concatenate([weight_B, -weight_B])
    squares_B = jnp.square(both_BF).sum(-1)
    distance_BB = squares_B[:, None] + squares_B[None] - 2.0 * both_BF @ both_BF.T
    # Three means of kernels, added with their signs.
    return signed_B @ jnp.exp(-distance_BB / width**2) @ signed_B
