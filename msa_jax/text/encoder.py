"""Encoders of text, BERT and RoBERTa in Flax Linen, with a hook after the embeddings and any layer.

The architecture is that of Devlin et al. 2019 (arXiv:1810.04805) and Liu et al. 2019 (arXiv:1907.11692):
embeddings, then post-norm transformer layers. There is no pooler.

Every layer has parameters of its own and the stack is unrolled. Once the query, key and value products are
one product and a layer's dropout masks come from one draw, scanning over stacked parameters saves next to no
compile time, but copies every layer's weights and gradients in and out of the stack at each step.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from msa_jax.layers.dense import Dense
from msa_jax.layers.dropout import draw_bits, drop
from msa_jax.text.config import EncoderConfig

Hook = Callable[[jax.Array], jax.Array]


_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": lambda x: 0.5 * x * (1.0 + jax.lax.erf(x * math.sqrt(0.5))),
    "gelu_new": lambda x: nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate=True),
    "relu": nn.relu,
    "silu": nn.silu,
}


@flax.struct.dataclass
class EncoderOutput:
    """The encoder's outputs; fields can also be read as `out["last_hidden_state"]`.

    Attributes:
      last_hidden_state: float32 [B, T, D] output of the last layer.
      hidden_states: float32 [num_layers + 1, B, T, D], index 0 the embeddings and index k + 1 the output of
        layer k (each after its hook), or None if not asked for.
      attentions: float32 [num_layers, B, heads, T, T] attention probabilities before dropout (rows are
        queries), or None if not asked for.
    """

    last_hidden_state: Float[Array, "B T D"]
    hidden_states: Float[Array, "L1 B T D"] | None = None
    attentions: Float[Array, "L B H T T"] | None = None

    def __getitem__(self, name: str) -> jax.Array | None:
        """Returns the field called `name`; KeyError if there is none."""
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)


def _norm(config: EncoderConfig, name: str) -> nn.LayerNorm:
    """Layer normalisation, in float32 whatever the compute dtype."""
    return nn.LayerNorm(epsilon=config.layer_norm_eps, dtype=jnp.float32, use_fast_variance=False, name=name)


# The collection in which a training step gives `Embeddings` the rows of its table `word` that the texts use,
# and, as `place`, where each id of the vocabulary is among them.
USED = "used_rows"


class EncoderLayer(nn.Module):
    """One post-norm transformer layer: self-attention and a two-layer perceptron, each with a residual.

    Attributes:
      config: sizes and dropout rates.
      dtype: compute type, see `Encoder`.
      train: whether dropout is active (needs the "dropout" rng).
    """

    config: EncoderConfig
    dtype: Any = jnp.float32
    train: bool = False

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], bias_B11S: Float[Array, "B 1 1 S"] | None
    ) -> tuple[Float[Array, "B T D"], Float[Array, "B H T S"]]:
        """Applies the layer.

        Args:
          x_BTD: the previous layer's output.
          bias_B11S: float32, added to the attention scores: 0 on valid keys, hugely negative on padding.

        Returns:
          The layer's output and its attention probabilities, both in float32.
        """
        c = self.config
        B, T, D = x_BTD.shape
        K = D // c.num_heads
        dense = partial(Dense, dtype=self.dtype, kernel_init=nn.initializers.normal(c.initializer_range))

        attention_bits, residual_bits, output_bits = draw_bits(
            self,
            B,
            [(c.num_heads, T, T), (T, D), (T, D)],
            active=self.train and bool(c.hidden_dropout or c.attention_dropout),
        )

        # Z = B * T tokens side by side: on a GPU XLA copies an array of three axes into another order for
        # some products, and one of two axes for none.
        x_ZD = x_BTD.reshape(B * T, D)
        residual_bits, output_bits = jax.tree.map(
            lambda bits: bits.reshape(B * T, D), (residual_bits, output_bits)
        )
        qkv_BT3HK = dense(3 * D, name="qkv")(x_ZD).reshape(B, T, 3, c.num_heads, K)
        q_BTHK, k_BSHK, v_BSHK = (qkv_BT3HK[:, :, i] for i in range(3))
        scores_BHTS = jnp.einsum("bthk,bshk->bhts", q_BTHK * K**-0.5, k_BSHK).astype(jnp.float32)
        if bias_B11S is not None:
            scores_BHTS = scores_BHTS + bias_B11S
        probs_BHTS = nn.softmax(scores_BHTS)
        kept_BHTS = drop(probs_BHTS.astype(self.dtype), attention_bits, c.attention_dropout)
        mixed_ZD = jnp.einsum("bhts,bshk->bthk", kept_BHTS, v_BSHK).reshape(B * T, D)
        mixed_ZD = drop(dense(D, name="attention_out")(mixed_ZD), residual_bits, c.hidden_dropout)
        x_ZD = _norm(c, "attention_norm")(x_ZD + mixed_ZD)

        y_ZF = _ACTIVATIONS[c.activation](dense(c.intermediate_size, name="mlp_in")(x_ZD))
        y_ZD = drop(dense(D, name="mlp_out")(y_ZF), output_bits, c.hidden_dropout)
        return _norm(c, "mlp_norm")(x_ZD + y_ZD).reshape(B, T, D), probs_BHTS


class Embeddings(nn.Module):
    """Word + position + token-type embeddings, normalised, in float32."""

    config: EncoderConfig

    @nn.compact
    def __call__(
        self,
        ids_BT: Int[Array, "B T"] | Float[Array, "B T E"],
        mask_BT: Bool[Array, "B T"] | None,
        types_BT: Int[Array, "B T"] | None,
        *,
        train: bool,
    ) -> Float[Array, "B T D"]:
        """Embeds token ids, or features; see `Encoder.__call__` for the arguments."""
        c = self.config
        T = ids_BT.shape[1]
        init = nn.initializers.normal(c.initializer_range)
        if c.input_width:
            x_BTD = nn.Dense(c.hidden_size, name="features")(ids_BT)
        else:
            # An id outside the vocabulary becomes NaN (jnp.take fills), not some other word.
            word_VD = self.param("word", init, (c.vocab_size, c.hidden_size), jnp.float32)
            if self.has_variable(USED, "word"):  # the rows that a step is differentiated by
                word_VD = self.get_variable(USED, "word")
                ids_BT = jnp.take(self.get_variable(USED, "place"), ids_BT, axis=0)
            x_BTD = jnp.take(word_VD, ids_BT, axis=0)
        position_PD = self.param("position", init, (c.max_positions, c.hidden_size), jnp.float32)
        type_CD = self.param("token_type", init, (c.type_vocab_size, c.hidden_size), jnp.float32)

        if c.family == "roberta":
            # RoBERTa counts the valid tokens from pad_id + 1; the others sit at pad_id itself. The mask says
            # which are valid, and not the ids: without text all ids are padding, and the steps that have
            # audio or vision still need positions.
            valid_BT = jnp.ones(ids_BT.shape[:2], jnp.int32) if mask_BT is None else mask_BT.astype(jnp.int32)
            x_BTD = x_BTD + jnp.take(position_PD, jnp.cumsum(valid_BT, axis=1) * valid_BT + c.pad_id, axis=0)
        else:
            x_BTD = x_BTD + position_PD[None, :T]
        x_BTD = x_BTD + (type_CD[None, None, 0] if types_BT is None else jnp.take(type_CD, types_BT, axis=0))
        B, T, D = x_BTD.shape
        x_ZD = _norm(c, "norm")(x_BTD.reshape(B * T, D))  # side by side, as in the layers
        (bits,) = draw_bits(self, B, [(T, D)], active=train and c.hidden_dropout > 0)
        return drop(x_ZD.reshape(B, T, D), bits, c.hidden_dropout)


class Encoder(nn.Module):
    """A BERT or RoBERTa encoder without pooler.

    Attributes:
      config: sizes, family, dropout rates.
      dtype: compute dtype of the products and of what lies between them in a layer. Parameters, layer
        norms, softmax and the hidden states that layers hand on stay in float32: with the three digits
        of bfloat16 a state would not show what a hook adds to it.
      remat: whether the backward pass computes a layer's inner values again, in place of keeping them: less
        memory on a GPU, more time, the same numbers.
    """

    config: EncoderConfig
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        ids: Int[Array, "B T"] | Float[Array, "B T E"],
        mask: Bool[Array, "B T"] | Int[Array, "B T"] | None = None,
        token_type_ids: Int[Array, "B T"] | None = None,
        *,
        train: bool = False,
        hooks: Mapping[int, Hook] | None = None,
        output_hidden_states: bool = True,
        output_attentions: bool = True,
    ) -> EncoderOutput:
        """Encodes a batch of token ids.

        Outputs that nobody uses cost nothing under `jax.jit`, so both kinds are on by default.

        Args:
          ids: [B, T] token ids; one outside the vocabulary gives NaN. With `config.input_width`, [B, T, E]
            features.
          mask: [B, T], true on valid tokens, which are attended to and, in RoBERTa, have positions. None
            means that all are valid; a row without any gives finite values of no meaning.
          token_type_ids: [B, T] segment ids. None means all 0.
          train: whether dropout is active; needs `rngs={"dropout": key}`.
          hooks: layer index (0 .. num_layers - 1, or -1 for the embeddings) to a function of that layer's
            output [B, T, D] whose result, of the same shape, replaces it. It is called while tracing, so it
            may close over other arrays and call a Linen module of the caller.
          output_hidden_states: whether to return all layers' outputs.
          output_attentions: whether to return all layers' attention probabilities.

        Returns:
          The `EncoderOutput`.

        Raises:
          ValueError: when a hook is for a layer that does not exist or changes the shape, or when T exceeds
            what the position embeddings cover.
        """
        c = self.config
        hooks = dict(hooks or {})
        if unknown := [key for key in hooks if key not in range(-1, c.num_layers)]:
            raise ValueError(
                f"hooks for layers {unknown}, but the layers are 0 to {c.num_layers - 1}, "
                "and -1 the embeddings"
            )
        if ids.shape[1] > c.max_tokens:
            raise ValueError(f"{ids.shape[1]} tokens, but the position embeddings cover {c.max_tokens}")

        mask_BT = None if mask is None else jnp.asarray(mask, bool)
        bias_B11S = None
        if mask_BT is not None:
            # Finite, so that a fully masked row (a row that only pads the batch) has no NaN.
            bias_B11S = jnp.where(mask_BT[:, None, None, :], 0.0, jnp.finfo(jnp.float32).min)

        def hooked(k: int, x_BTD: Array) -> Array:
            if k not in hooks:
                return x_BTD
            hooked_BTD = hooks[k](x_BTD)
            if hooked_BTD.shape != x_BTD.shape:
                raise ValueError(f"hook {k} turned {x_BTD.shape} into {hooked_BTD.shape}")
            return hooked_BTD.astype(jnp.float32)

        x_BTD = hooked(-1, Embeddings(c, name="embeddings")(ids, mask_BT, token_type_ids, train=train))
        hidden, attentions = [x_BTD], []
        layer = nn.remat(EncoderLayer) if self.remat else EncoderLayer
        for k in range(c.num_layers):
            x_BTD, probs_BHTS = layer(c, self.dtype, train, name=f"layer_{k}")(x_BTD, bias_B11S)
            x_BTD = hooked(k, x_BTD)
            hidden.append(x_BTD)
            attentions.append(probs_BHTS)
        return EncoderOutput(
            last_hidden_state=x_BTD,
            hidden_states=jnp.stack(hidden) if output_hidden_states else None,
            attentions=jnp.stack(attentions) if output_attentions else None,
        )
