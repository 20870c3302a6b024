"""MulG: directed pairwise cross-modal attention, and a GRU for each modality over what it attended to.

Source: Qin et al., "Multimodal GRU with directed pairwise cross-modal attention for sentiment analysis",
Scientific Reports 2025. Where the paper is silent, the choice made here is a field or is marked "ours".
"""

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.crossmodal import Copies, CrossModal
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.residual import add_residual, end_residual, start_residual
from msa_jax.models._mulg_recurrent import GRU, FlaxGRU, SelfAttention
from msa_jax.models.fields import Layers, Misfit, Positive, Rate
from msa_jax.text import Encoder
from msa_jax.text.states import text_states


class MulG(nn.Module):
    """Convolutions, six directed attentions, three GRUs, one residual block and the head.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for. One alone has no attention: its stream goes
        straight to its GRU.
      outputs: () for one score, (4, 2) for four emotions of two classes each.
    """

    SUGGESTED = True

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    width: Positive = 40  # d of the streams; Table 1
    kernel: Positive = 3  # steps that a convolution sees; ours
    layers: Layers = 2  # of each directed attention; Table 7
    heads: Positive = 4  # of each directed attention; Table 7
    scoring: Literal["multihead", "bilinear"] = "multihead"  # ours, as Table 7 has heads; bilinear: eqs. 5-7
    # In the attention layers and in the output block (ours: the one that the paper names first).
    residual: Literal["post_ln", "pre_ln", "residual_dual"] = "post_ln"
    positions: bool = True  # sinusoids on what goes into attention (ours; the paper has none)
    cross_modal: bool = True  # False is the ablation "no cross-modal attention": each modality to its GRU
    # Eqs. 1-4, nn.GRUCell, or self-attention. The paper compares self-attention and GRU, with and without
    # cross-modal attention, and says no more: all these are combinations of this field and `cross_modal`.
    recurrent: Literal["gru", "flax", "self_attention"] = "gru"
    hidden: Positive = 40  # width of the GRUs' states
    recurrent_layers: Layers = 2  # of a GRU, or of self-attention in its place
    reduced: Positive = 40  # width of the fused vector (ours: as wide as the states)
    text_dropout: Rate = 0.2  # on the text's states; Table 1: 0.2 for MOSI, 0.3 elsewhere
    stream_dropout: Rate = 0.0  # on audio and vision as they come in; Table 7: 0.1, Table 1 has text alone
    attention_dropout: Rate = 0.1  # on attention weights; Table 1: 0.1, 0.2 for IEMOCAP
    dropout: Rate = 0.1  # in feed-forward networks and on what they and the attentions add; Table 7
    output_dropout: Rate = 0.1  # before the head; Table 1
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def check(self, max_length: int) -> None:
        """Refuses heads that do not divide the width that they work at."""
        del max_length
        widths = {"width": self.width} if self.scoring == "multihead" else {}
        if self.recurrent == "self_attention":
            widths["hidden"] = self.hidden
        for name, width in widths.items():
            if width % self.heads:
                raise Misfit(f"heads: {self.heads} does not divide model.{name} {width}")

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d_t], `audio` [B, A, d_a], `vision` [B, V, d_v], each on its own
            time line, and `text_mask`, `audio_mask`, `vision_mask`, True where a step is valid.
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B], or `logits` [B, *outputs]; `fused` [B, reduced], the vector before the head;
          `hidden_<m>` [B, hidden]; `attention_<target>_<source>` [layers, B, heads, T_target, T_source].
        """
        streams = {m: self._stream(m, batch, train) for m in MODALITIES if m in self.modalities}
        attention: dict[tuple[str, str], Array] = {}
        masks = {m: mask_BT for m, (_, mask_BT) in streams.items()}
        if self.cross_modal:
            front = CrossModal(
                layers=self.layers,
                heads=self.heads,
                ffn_width=4 * self.width,
                scoring=self.scoring,
                residual=self.residual,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
                positions=self.positions,
                dtype=self.dtype,
                name="cross_modal_attention",
            )
            joined, attention = front(streams, train=train)
        else:
            joined = {m: x_BTD for m, (x_BTD, _) in streams.items()}

        states = Copies(self._recurrent(), together=True, name="recurrent")(
            [(joined[m], masks[m]) for m in streams], train=train
        )
        dense = partial(Dense32, self.reduced, dtype=self.dtype)
        x_BD = dense(name="reduce")(jnp.concatenate(states, axis=-1))  # eqs. 8-9

        def drop(x: Array, rate: float) -> Array:
            return Dropout(rate)(x, train=train)

        def block(x_BD: Array) -> Array:
            hidden_BD = drop(nn.relu(dense(name="block_in")(x_BD)), self.dropout)
            return drop(dense(name="block_out")(hidden_BD), self.dropout)

        both = start_residual(self.residual, x_BD)
        both = add_residual(self.residual, both, block, nn.LayerNorm(name="block_norm"))
        fused_BD = end_residual(both, nn.LayerNorm(name="block_sum_norm"))
        return {
            **Head(self.outputs, name="head")(drop(fused_BD, self.output_dropout)),
            "fused": fused_BD,
            **{f"hidden_{m}": state_BF for m, state_BF in zip(streams, states, strict=True)},
            **{f"attention_{target}_{source}": w for (target, source), w in attention.items()},
        }

    def _stream(self, modality: str, batch: Mapping[str, Array], train: bool) -> tuple[Array, Array]:
        """(features [B, T, width], valid steps [B, T]) of one modality."""
        mask_BT = batch[f"{modality}_mask"]
        if modality == "text":
            x_BTD = text_states(self.encoder, batch, frozen=self.frozen, train=train)
            x_BTD = Dropout(self.text_dropout)(x_BTD, train=train)
        else:
            x_BTD = Dropout(self.stream_dropout, name=f"{modality}_dropout")(batch[modality], train=train)
        conv = MaskedConv(self.width, self.kernel, self.dtype, name=f"{modality}_conv")
        x_BTD = nn.relu(conv(x_BTD, mask_BT))
        # LayerNorm (ours): the paper's batch normalisation would tie a clip's score to its batch.
        return nn.LayerNorm(name=f"{modality}_norm")(x_BTD), mask_BT

    def _recurrent(self) -> Any:
        """Makes what runs over each modality's streams."""
        if self.recurrent == "gru":
            return partial(GRU, self.hidden, self.recurrent_layers, self.dtype)
        if self.recurrent == "flax":
            return partial(FlaxGRU, self.hidden, self.recurrent_layers, self.dtype)
        return partial(
            SelfAttention,
            self.hidden,
            self.recurrent_layers,
            self.heads,
            self.residual,
            self.dropout,
            self.attention_dropout,
            self.positions,
            self.dtype,
        )


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # ours: the paper has cross entropy for scores too


Model = MulG

# Table 1, column MOSI.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,
    "batch_size": 128,
    "data.time_line": "own",
    "text.encoder": "features",  # the paper's text is word vectors; any encoder works
    "optim.learning_rate": 1e-3,
    "optim.clip": 1.0,  # ours; the paper has plain Adam: the variant no_clip
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

# Tables 5-7 (one modality, no cross-modal attention, self-attention and GRU in each other's place), the
# residual variants, the scoring and the GRU in their other readings, and plain Adam.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    # The settings of Table 7, for the ablations. Its output width 10 is read as that of the fused vector
    # (ours: the one width of an output that the labels leave free); its input widths are the features'.
    "table7": {
        "model.layers": 2,
        "model.heads": 4,
        "model.reduced": 10,
        "model.text_dropout": 0.1,
        "model.stream_dropout": 0.1,
        "model.attention_dropout": 0.1,
        "model.dropout": 0.1,
        "model.output_dropout": 0.1,
    },
    "no_cross_modal": {"model.cross_modal": False},
    # The same with as many parameters as the full model, since the tables compare models of about equal size
    # (which widths the paper does not say: ours). With features of 300, 74 and 47 columns (word vectors, the
    # files' audio and vision) the full model has 367 761; width, hidden and reduced were raised together in
    # steps of 4, the heads, until the count came nearest: 80 has 364 641. At 40 it has 116 721.
    "no_cross_modal_matched": {
        "model.cross_modal": False,
        "model.width": 80,
        "model.hidden": 80,
        "model.reduced": 80,
    },
    "self_attention": {"model.recurrent": "self_attention"},
    "no_cross_modal_self_attention": {"model.cross_modal": False, "model.recurrent": "self_attention"},
    "pre_ln": {"model.residual": "pre_ln"},
    "residual_dual": {"model.residual": "residual_dual"},
    "bilinear": {"model.scoring": "bilinear"},
    "flax_gru": {"model.recurrent": "flax"},
    "no_positions": {"model.positions": False},
    "no_clip": {"optim.clip": math.inf},
    "tiny": {
        "model.width": 8,
        "model.heads": 2,
        "model.layers": 1,
        "model.hidden": 8,
        "model.recurrent_layers": 1,
        "model.reduced": 8,
    },
    "synthetic": {"model.text_dropout": 0.2, "model.attention_dropout": 0.1},
}
