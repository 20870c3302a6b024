"""Transformer with pre-LN, over one sequence, or of one sequence over another."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from msa_jax.layers.attention import MultiHeadAttention
from msa_jax.layers.dense import Dense, Dense32
from msa_jax.layers.dropout import draw_bits, drop


def sinusoids(length: int, width: int) -> Float[np.ndarray, "length width"]:
    """Position embeddings (Vaswani et al. 2017): sines in the first half of the columns, then cosines."""
    half = -(-width // 2)
    angle = np.arange(length)[:, None] / 10000 ** (np.arange(half) / max(half - 1, 1))
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :width].astype(np.float32)


class TransformerLayer(nn.Module):
    """Attention and feed-forward network, each on normalised input, each with a residual.

    Attributes:
      heads: attention heads.
      ffn_width: width inside the feed-forward network.
      dropout: rate on what each half adds, and inside the feed-forward network.
      attention_dropout: rate on the attention weights.
      train: whether dropout is active (rng "dropout").
      residual_on_norm: add to the normalised input, as TeCaFN (Huang et al. 2024) prints in eqs. 2-3 and
        11-12, in place of the input itself.
      dtype: compute type of the products and of what lies between them; None: that of the input. Parameters,
        norms, softmax and the sums with the input, which layers hand on, are float32 in any case.
    """

    heads: int
    ffn_width: int
    dropout: float
    attention_dropout: float
    train: bool
    residual_on_norm: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        source_BSE: Float[Array, "B S E"] | None,
        source_mask_BS: Bool[Array, "B S"],
    ) -> tuple[Float[Array, "B T D"], Float[Array, "B H T S"]]:
        """One layer.

        Args:
          x_BTD: [B, T, D].
          source_BSE: what is attended to; None is x itself.
          source_mask_BS: its valid steps.

        Returns:
          ([B, T, D], attention weights [B, H, T, S]): in this order it is also the body of a scan.
        """
        B, T, D = x_BTD.shape
        S, F = source_mask_BS.shape[1], self.ffn_width
        attention_bits, mixed_bits, hidden_bits, out_bits = draw_bits(
            self,
            B,
            [(self.heads, T, S), (T, D), (T, F), (T, D)],
            active=self.train and bool(self.dropout or self.attention_dropout),
        )

        normed_BTD = nn.LayerNorm(name="attention_norm")(x_BTD)
        normed_BSE = normed_BTD if source_BSE is None else nn.LayerNorm(name="source_norm")(source_BSE)
        attend = MultiHeadAttention(self.heads, self.attention_dropout, self.dtype, name="attention")
        mixed_BTD, weights_BHTS = attend(
            normed_BTD, normed_BSE, source_mask_BS, train=self.train, bits_BHQS=attention_bits
        )
        x_BTD = (normed_BTD if self.residual_on_norm else x_BTD) + drop(mixed_BTD, mixed_bits, self.dropout)
        normed_BTD = nn.LayerNorm(name="ffn_norm")(x_BTD)
        hidden_BTF = nn.relu(Dense(F, dtype=self.dtype, name="ffn_in")(normed_BTD))
        hidden_BTF = drop(hidden_BTF, hidden_bits, self.dropout)
        out_BTD = Dense32(D, dtype=self.dtype, name="ffn_out")(hidden_BTF)
        out_BTD = drop(out_BTD, out_bits, self.dropout)
        return (normed_BTD if self.residual_on_norm else x_BTD) + out_BTD, weights_BHTS


class Transformer(nn.Module):
    """A stack of layers and a last LayerNorm; compiled once, however many layers.

    Attributes:
      layers: number of layers.
      heads, ffn_width, dropout, attention_dropout, residual_on_norm, dtype: as in `TransformerLayer`.
    """

    layers: int
    heads: int
    ffn_width: int
    dropout: float = 0.1
    attention_dropout: float = 0.1
    residual_on_norm: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        source_BSE: Float[Array, "B S E"] | None,
        source_mask_BS: Bool[Array, "B S"],
        *,
        train: bool,
    ) -> tuple[Float[Array, "B T D"], Float[Array, "L B H T S"]]:
        """Runs the stack.

        Args:
          x_BTD: [B, T, D], positions already added.
          source_BSE: [B, S, E] what every layer attends to; None is its own input.
          source_mask_BS: valid steps of what is attended to.
          train: whether dropout is active (rng "dropout").

        Returns:
          ([B, T, D], attention weights of all layers [L, B, H, T, S]).
        """
        stack = nn.scan(
            TransformerLayer,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.layers,
        )(
            self.heads,
            self.ffn_width,
            self.dropout,
            self.attention_dropout,
            train,
            self.residual_on_norm,
            self.dtype,
            name="layers",
        )
        x_BTD, weights = stack(x_BTD, source_BSE, source_mask_BS)
        return nn.LayerNorm(name="norm")(x_BTD), weights


def with_positions(x_BTD: Float[Array, "B T D"], *, scale: bool) -> Float[Array, "B T D"]:
    """x, times sqrt(D) where `scale`, plus sinusoidal positions counted from the first step."""
    _, T, D = x_BTD.shape
    return x_BTD * (D**0.5 if scale else 1.0) + jnp.asarray(sinusoids(T, D))[None]
