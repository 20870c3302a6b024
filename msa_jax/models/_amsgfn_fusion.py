"""Layers of AMSGFN's dominant-guided fusion, and the average that may stand in their place."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.attention import MultiHeadAttention
from msa_jax.layers.dense import Dense, Dense32
from msa_jax.layers.dropout import Dropout


class FusionLayer(nn.Module):
    """One layer of dominant-guided fusion (eqs. 6-13).

    Attributes:
      heads: attention heads.
      ffn_width: width inside the feed-forward network.
      dropout: rate on what attention and the feed-forward network add (ours).
      attention_dropout: rate on the attention weights (ours).
      train: whether dropout is active (rng "dropout").
      dtype: compute type of the products and of what lies between them; None: that of the input. What layers
        hand on and the gate are float32 in any case.
    """

    heads: int
    ffn_width: int
    dropout: float
    attention_dropout: float
    train: bool
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        mask_BT: Bool[Array, "B T"],
        aux_BMTD: Float[Array, "B M T D"] | None,
        aux_mask_BMT: Bool[Array, "B M T"] | None,
    ) -> tuple[Float[Array, "B T D"], None]:
        """Takes from the auxiliary modalities what the gate lets through.

        Args:
          x_BTD: the dominant modality's representation X_p.
          mask_BT: its valid steps.
          aux_BMTD: the weighted auxiliary streams, the same in every layer; None where there is none.
          aux_mask_BMT: their valid steps; a stream without one adds exactly 0.

        Returns:
          (the next X_p, None): in this order it is the body of a scan.
        """
        B, T, D = x_BTD.shape

        def drop(x: Array) -> Array:
            return Dropout(self.dropout)(x, train=self.train)

        def attend(name: str, query_BTD: Array, source_BTD: Array, source_mask_BT: Array) -> Array:
            attention = MultiHeadAttention(self.heads, self.attention_dropout, self.dtype, name=name)
            return drop(attention(query_BTD, source_BTD, source_mask_BT, train=self.train)[0])

        y_BTD = x_BTD + attend("self_attention", x_BTD, x_BTD, mask_BT)  # eq. 8
        if aux_BMTD is not None:
            # Both auxiliaries pass through the same weights (ours), so in one product: X = B * M.
            query_BMTD = jnp.broadcast_to(x_BTD[:, None], aux_BMTD.shape)
            query_XTD, aux_XTD = (a.reshape(-1, T, D) for a in (query_BMTD, aux_BMTD))
            mixed_XTD = attend("cross_attention", query_XTD, aux_XTD, aux_mask_BMT.reshape(-1, T))
            aux_BTD = mixed_XTD.reshape(B, -1, T, D).sum(1)  # eqs. 6, 7, 9
            gate = Dense32(D, dtype=self.dtype, name="gate")
            gate_BTD = nn.sigmoid(gate(jnp.concatenate([y_BTD, aux_BTD], axis=-1)))
            y_BTD = y_BTD + gate_BTD * aux_BTD  # eqs. 10-12
        normed_BTD = nn.LayerNorm(name="norm")(y_BTD)
        hidden_BTF = nn.relu(Dense(self.ffn_width, dtype=self.dtype, name="ffn_in")(normed_BTD))
        return y_BTD + drop(Dense32(D, dtype=self.dtype, name="ffn_out")(hidden_BTF)), None  # eq. 13


def fusion_layers(layers: int) -> Callable[..., FusionLayer]:
    """Makes N layers, each with weights of its own, from the fields of one; compiled once for all."""
    return nn.scan(
        FusionLayer,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=nn.broadcast,
        length=layers,
    )


def mean_of_streams(x_BMTD: Float[Array, "B M T D"], mask_BMT: Bool[Array, "B M T"]) -> Float[Array, "B T D"]:
    """At each step the mean of the streams that are valid there, for "w/o DMGF"; 0 where none is (ours)."""
    kept_BMTD = jnp.where(mask_BMT[..., None], x_BMTD, 0.0)
    return kept_BMTD.sum(1) / jnp.maximum(mask_BMT.sum(1), 1)[..., None]
