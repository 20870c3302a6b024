"""MAG-BERT: a pretrained text encoder whose states audio and vision shift, through a gate.

Source: Rahman et al., "Integrating multimodal information in large pretrained transformers", ACL 2020,
arXiv:1908.05787. Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit").
"""

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import first_valid
from msa_jax.models.fields import Count, Misfit, NonNegative, Rate
from msa_jax.text import Encoder

Rows = Mapping[str, Float[Array, "B T E"]]

_EPSILON = 1e-6  # beside the norm of a shift; toolkit
_NORMAL = nn.initializers.normal(0.02)  # as BERT's own matrices begin; toolkit


class MAG(nn.Module):
    """Multimodal Adaptation Gate: what audio and vision say of a token moves its state z.

        g_m = ReLU(W_gm [z; x_m] + b_gm)    h = sum over m of g_m * (W_m x_m + b_m)
        alpha = min(beta |z| / |h|, 1)      LayerNorm(z + alpha h), and dropout

    Attributes:
      beta: how long a shift may be beside the state.
      dropout: rate on the result.
      form: "gate", or one of the paper's simpler forms, whose details are ours: "addition" of W_m x_m + b_m
        to the state, "concatenation" of state and rows before a Dense layer.
    """

    beta: NonNegative = 1.0  # toolkit
    dropout: Rate = 0.3  # toolkit
    form: Literal["gate", "addition", "concatenation"] = "gate"  # see above; paper

    @nn.compact
    def __call__(
        self, z_BTD: Float[Array, "B T D"], rows: Rows, *, train: bool, dtype: Any
    ) -> tuple[Float[Array, "B T D"], dict[str, Array]]:
        """Moves the states of a text.

        Args:
          z_BTD: [B, T, D] float32.
          rows: of each other modality the features on the text's time line, 0 where a token has none.
          train: whether dropout is active (rng "dropout").
          dtype: compute type of the products.

        Returns:
          [B, T, D], and for a gate `alpha` [B, T] and `shift` alpha h [B, T, D], float32.
        """
        dense = partial(Dense32, z_BTD.shape[-1], kernel_init=_NORMAL, dtype=dtype)
        extras: dict[str, Array] = {}
        if self.form == "concatenation":
            x_BTD = dense(name="joined")(jnp.concatenate([z_BTD, *rows.values()], axis=-1))
        else:
            h_BTD = jnp.zeros_like(z_BTD)
            for m, row_BTE in rows.items():
                said_BTD = dense(name=f"{m}_dense")(row_BTE)
                if self.form == "gate":
                    both_BTF = jnp.concatenate([row_BTE, z_BTD], axis=-1)
                    said_BTD = nn.relu(dense(name=f"{m}_gate")(both_BTF)) * said_BTD
                h_BTD = h_BTD + said_BTD
            if self.form == "gate":
                alpha_BT = jnp.minimum(self.beta * _norm(z_BTD) / (_norm(h_BTD) + _EPSILON), 1.0)
                h_BTD = alpha_BT[..., None] * h_BTD
                extras = {"alpha": alpha_BT, "shift": h_BTD}
            x_BTD = z_BTD + h_BTD
        x_BTD = nn.LayerNorm(epsilon=1e-5, name="norm")(x_BTD)  # toolkit
        return Dropout(self.dropout)(x_BTD, train=train), extras


def _norm(x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T"]:
    """Length of each vector. Of a vector of zeros it is 1, without a gradient, and its shift stays 0."""
    squares_BT = jnp.square(x_BTD).sum(-1)
    return jnp.sqrt(jnp.where(squares_BT > 0, squares_BT, 1.0))


class MAGBERT(nn.Module):
    """Text encoder with a gate inside it, BERT's pooler, and a head.

    Attributes:
      encoder: the BERT or RoBERTa encoder. The gate inside it computes in its type, `text.dtype`; what
        follows is the head, in float32, so that the model has no field `dtype`.
      frozen: the encoder's own weights are not trained, and have no dropout; what is around them is.
      modalities: without audio and vision there is no gate.
      outputs: () for a score, else the shape of the logits.
    """

    TIME_LINE = "text"
    NEEDS_ENCODER = True

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    mag: MAG = MAG()
    # The gate works on the input of this encoder layer, 0-based: at 0 on the embeddings (toolkit), at the
    # number of layers on what the encoder gives. The paper finds the first layers best, and has it after the
    # first one for XLNet.
    layer: Count = 0
    every_layer: bool = False  # in place of `layer` a gate before each layer; of its own parameters, ours
    dropout: Rate = 0.1  # on the pooled vector; toolkit: BERT's own rate

    def check(self, max_length: int) -> None:
        """Refuses a layer that the encoder does not have, and one beside all."""
        del max_length
        if self.layer and self.every_layer:
            raise Misfit(f"layer: {self.layer}, but model.every_layer has a gate before each; leave one out")
        if self.encoder is not None and self.layer > self.encoder.config.num_layers:
            layers = self.encoder.config.num_layers
            raise Misfit(f"layer: {self.layer}, but the encoder has {layers} layers; it is at most {layers}")

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids (or features, as the encoder takes them), `audio` [B, T, d_a] and `vision`
            [B, T, d_v] on the text's time line, `text_mask`, `audio_mask`, `vision_mask` [B, T] bool.
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, D], the pooled vector; with a gate `alpha`
          [B, T], how much of each shift is kept, and `shift` [B, T, D], what is added to the states (of
          several gates, the last one's).
        """
        self.check(batch["text_mask"].shape[1])
        extras: dict[str, Array] = {}
        rows = {
            m: jnp.where(batch[f"{m}_mask"][..., None], batch[m], 0.0).astype(jnp.float32)
            for m in MODALITIES
            if m in self.modalities and m != "text"
        }

        def inject(gate: MAG, z_BTD: Array) -> Array:
            out_BTD, found = gate(z_BTD, rows, train=train, dtype=self.encoder.dtype)
            extras.update(found)
            return out_BTD

        gates = {self.layer: self.mag}
        if self.every_layer:
            layers = range(self.encoder.config.num_layers)
            gates = {k: self.mag.clone(parent=self, name=f"mag_{k}") for k in layers}

        # Without text, the steps that have audio or vision carry the encoder: padding tokens with positions.
        mask_BT = batch["text_mask"] | batch["audio_mask"] | batch["vision_mask"]
        encoded = self.encoder(
            batch["text"],
            mask_BT,
            train=train and not self.frozen,
            hooks={k - 1: partial(inject, gate) for k, gate in gates.items()} if rows else None,
            output_hidden_states=False,
            output_attentions=False,
        )
        x_BD = first_valid(encoded.last_hidden_state, mask_BT)  # [CLS], if there is text
        fused_BD = jnp.tanh(nn.Dense(x_BD.shape[-1], kernel_init=_NORMAL, name="pooler")(x_BD))
        x_BD = Dropout(self.dropout)(fused_BD, train=train)
        return {**Head(self.outputs, name="head")(x_BD), "fused": fused_BD, **extras}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit; the paper: mse


Model = MAGBERT

# The toolkit's for CMU-MOSI. Its pooler begins as BERT's own, which was trained to tell whether two sentences
# follow each other; ours begins anew.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 32,
    "optim.learning_rate": 2e-5,
    "optim.clip": math.inf,
}

# The paper's other places and forms of the gate; without audio and vision, :text_only, there is none.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "layer_1": {"model.layer": 1},
    "every_layer": {"model.every_layer": True},
    "addition": {"model.mag.form": "addition"},
    "concatenation": {"model.mag.form": "concatenation"},
    # Everything is fresh there, and takes a larger learning rate.
    "synthetic": {"optim.learning_rate": 1e-3, "optim.clip": 1.0},
}
