"""Subnetworks that turn a modality into one vector, as in Zadeh et al. (EMNLP 2017), section 4.1."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.batch_norm import BatchNorm
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.pooling import last_valid, mean_over_time
from msa_jax.layers.recurrent import LSTM


class LastStateSubnet(nn.Module):
    """The last state of an LSTM, dropout, and a Dense layer.

    Attributes:
      hidden: width of the LSTM's state.
      width: of the vector.
      dropout: rate on the last state.
      dtype: compute type of the products; None: that of the input. The vector is float32 in any case.
    """

    hidden: int
    width: int
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """[B, T, D] to [B, width]; the steps that count are those of the mask."""
        states_BTF = LSTM(self.hidden, self.dtype, name="lstm")(x_BTD.astype(jnp.float32), mask_BT)
        state_BF = Dropout(self.dropout)(last_valid(states_BTF, mask_BT), train=train)
        return Dense32(self.width, dtype=self.dtype, name="dense")(state_BF)


class MeanSubnet(nn.Module):
    """Three Dense layers with ReLU over the mean of the valid steps.

    Attributes:
      width: of each layer, and of the vector.
      dropout: rate on the mean.
      batch_norm: normalise the mean by the statistics of the batch in training, and by their running means in
        evaluation (collection "batch_stats").
      dtype: compute type of the products; None: that of the input. The vector is float32 in any case.
    """

    width: int
    dropout: float = 0.0
    batch_norm: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        mask_BT: Bool[Array, "B T"],
        rows_B: Bool[Array, "B"],
        *,
        train: bool,
    ) -> Float[Array, "B F"]:
        """[B, T, D] to [B, width].

        Args:
          x_BTD: [B, T, D] the steps.
          mask_BT: [B, T] those that count.
          rows_B: [B] False on rows that only pad the batch, which are in no statistics.
          train: whether dropout is active, and the statistics are the batch's.
        """
        x_BD = mean_over_time(x_BTD, mask_BT)
        if self.batch_norm:
            # What a clip lacks is not a mean of 0.
            counts_B = jnp.asarray(rows_B, bool) & mask_BT.any(1)
            x_BD = BatchNorm(x_BD.shape[-1], name="norm")(x_BD, counts_B[:, None], train=train)
        x_BD = Dropout(self.dropout)(x_BD, train=train)
        for k in range(3):
            x_BD = nn.relu(Dense32(self.width, dtype=self.dtype, name=f"dense_{k}")(x_BD))
        return x_BD
