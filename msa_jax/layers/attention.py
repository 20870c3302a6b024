"""Attention with several heads over the valid steps of a source."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt16

from msa_jax.layers.dense import Dense, Dense32
from msa_jax.layers.dropout import draw_bits, drop

MASKED = -1e30  # finite, so that a row without any valid key has no NaN


def masked_softmax(scores: Float[Array, "*B Q S"], mask: Bool[Array, "*B #Q S"]) -> Float[Array, "*B Q S"]:
    """Softmax in float32 over the valid entries of the last axis; 0 everywhere where none is valid."""
    weights = nn.softmax(jnp.where(mask, scores.astype(jnp.float32), MASKED))
    return jnp.where(mask, weights, 0.0)


def most_heads(heads: int, width: int) -> int:
    """The most heads, at most `heads`, that divide a width: raw features come in any, such as 47."""
    return max(h for h in range(1, heads + 1) if width % h == 0)


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention (Vaswani et al. 2017) of queries over a source.

    Attributes:
      heads: number of heads; must divide the queries' width.
      dropout: rate on the attention weights.
      dtype: compute type of the products and of what lies between them; None: that of the input. Softmax, its
        weights and the output are float32 in any case.
    """

    heads: int
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        query_BQD: Float[Array, "B Q D"],
        source_BSE: Float[Array, "B S E"],
        source_mask_BS: Bool[Array, "B S"],
        *,
        train: bool,
        bits_BHQS: UInt16[Array, "B H Q S"] | None = None,
    ) -> tuple[Float[Array, "B Q D"], Float[Array, "B H Q S"]]:
        """Attends.

        Args:
          query_BQD: [B, Q, D] queries.
          source_BSE: [B, S, E] what keys and values are made of.
          source_mask_BS: [B, S] True where a step of the source is valid.
          train: whether dropout is active (rng "dropout").
          bits_BHQS: random bits for the dropout, where the caller has drawn them with others; None draws
            them here.

        Returns:
          ([B, Q, D], weights [B, H, Q, S] before dropout). A source without a valid step gives exactly 0.

        Raises:
          ValueError: when the heads do not divide the width.
        """
        B, Q, D = query_BQD.shape
        if D % self.heads:
            raise ValueError(f"{self.heads} heads do not divide the width {D}")

        def split(x: Array) -> Array:
            return x.reshape(B, -1, self.heads, D // self.heads)

        q_BQHK = split(Dense(D, dtype=self.dtype, name="query")(query_BQD))
        key_value_BSF = Dense(2 * D, dtype=self.dtype, name="key_value")(source_BSE)
        k_BSHK, v_BSHK = (split(x) for x in jnp.split(key_value_BSF, 2, axis=-1))
        scores_BHQS = jnp.einsum("bqhk,bshk->bhqs", q_BQHK * (D // self.heads) ** -0.5, k_BSHK)
        weights_BHQS = masked_softmax(scores_BHQS, source_mask_BS[:, None, None])
        if bits_BHQS is None:
            active = train and self.dropout > 0
            (bits_BHQS,) = draw_bits(self, B, [weights_BHQS.shape[1:]], active=active)
        kept_BHQS = drop(weights_BHQS, bits_BHQS, self.dropout).astype(v_BSHK.dtype)
        mixed_BQD = jnp.einsum("bhqs,bshk->bqhk", kept_BHQS, v_BSHK).reshape(B, Q, D)
        out_BQD = Dense32(D, dtype=self.dtype, name="output")(mixed_BQD)
        return jnp.where(source_mask_BS.any(1)[:, None, None], out_BQD, 0.0), weights_BHQS
