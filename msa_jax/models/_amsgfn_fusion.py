"""Layers of AMSGFN's dominant-guided fusion, and the average that may stand in their place."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.attention import MultiHeadAttention
from msa_jax.layers.dropout import Dropout


class FusionLayer(nn.Module):
    """One layer of dominant-guided fusion (eqs. 6-13).

    Attributes:
      heads: attention heads.
      ffn_width: width inside the feed-forward network.
      dropout: rate on what attention and the feed-forward network add (ours).
      attention_dropout: rate on the attention weights (ours).
      train: whether dropout is active (rng "dropout").
    """

    heads: int
    ffn_width: int
    dropout: float
    attention_dropout: float
    train: bool

    @nn.compact
    def __call__(
        self,
        x_BLD: Float[Array, "B L D"],
        mask_BL: Bool[Array, "B L"],
        aux_BALD: Float[Array, "B A L D"] | None,
        aux_mask_BAL: Bool[Array, "B A L"] | None,
    ) -> tuple[Float[Array, "B L D"], None]:
        """Takes from the auxiliary modalities what the gate lets through.

        Args:
          x_BLD: the dominant modality's representation X_p.
          mask_BL: its valid steps.
          aux_BALD: the weighted auxiliary streams, the same in every layer; None where there is none.
          aux_mask_BAL: their valid steps; a stream without one adds exactly 0.

        Returns:
          (the next X_p, None): in this order it is the body of a scan.
        """
        B, L, D = x_BLD.shape

        def drop(x: Array) -> Array:
            return Dropout(self.dropout)(x, train=self.train)

        def attend(name: str, query_BLD: Array, source_BLD: Array, source_mask_BL: Array) -> Array:
            attention = MultiHeadAttention(self.heads, self.attention_dropout, name=name)
            return drop(attention(query_BLD, source_BLD, source_mask_BL, train=self.train)[0])

        y_BLD = x_BLD + attend("self_attention", x_BLD, x_BLD, mask_BL)  # eq. 8
        if aux_BALD is not None:
            # Both auxiliaries pass through the same weights (ours), so in one product, side by side.
            query_BALD = jnp.broadcast_to(x_BLD[:, None], aux_BALD.shape)
            query_FLD, aux_FLD = (a.reshape(-1, L, D) for a in (query_BALD, aux_BALD))
            mixed_FLD = attend("cross_attention", query_FLD, aux_FLD, aux_mask_BAL.reshape(-1, L))
            aux_BLD = mixed_FLD.reshape(B, -1, L, D).sum(1)  # eqs. 6, 7, 9
            gate_BLD = nn.sigmoid(nn.Dense(D, name="gate")(jnp.concatenate([y_BLD, aux_BLD], axis=-1)))
            y_BLD = y_BLD + gate_BLD * aux_BLD  # eqs. 10-12
        hidden_BLF = nn.relu(nn.Dense(self.ffn_width, name="ffn_in")(nn.LayerNorm(name="norm")(y_BLD)))
        return y_BLD + drop(nn.Dense(D, name="ffn_out")(hidden_BLF)), None  # eq. 13


def fusion_layers(layers: int) -> Callable[..., FusionLayer]:
    """Makes N layers, each with weights of its own, from the fields of one; compiled once for all."""
    return nn.scan(
        FusionLayer,
        variable_axes={"params": 0},
        split_rngs={"params": True, "dropout": True},
        in_axes=nn.broadcast,
        length=layers,
    )


def mean_of_streams(x_BMLD: Float[Array, "B M L D"], mask_BML: Bool[Array, "B M L"]) -> Float[Array, "B L D"]:
    """At each step the mean of the streams that are valid there, for "w/o DMGF"; 0 where none is (ours)."""
    kept_BMLD = jnp.where(mask_BML[..., None], x_BMLD, 0.0)
    return kept_BMLD.sum(1) / jnp.maximum(mask_BML.sum(1), 1)[..., None]
