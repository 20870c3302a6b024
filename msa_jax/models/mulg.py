"""MulG: directed pairwise cross-modal attention, and a GRU for each modality over what it attended to.

Source: Qin et al., "Multimodal GRU with directed pairwise cross-modal attention for sentiment analysis",
Scientific Reports 2025. Where the paper is silent, the choice made here is a field or is marked "ours".
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.corpora import MODALITIES
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.crossmodal import AttentionStack, Copies, CrossModal
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.recurrent import scan_time
from msa_jax.layers.residual import add_residual, end_residual, start_residual
from msa_jax.text import Encoder
from msa_jax.text.states import text_states

RECURRENTS = ("gru", "flax", "self_attention")


class GRU(nn.Module):
    """A stack of GRU layers over the valid steps, as the paper prints it (eqs. 1-4, no biases).

    Attributes:
      features: width of the state.
      layers: number of layers.
    """

    features: int = 40
    layers: int = 2

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """State of the last layer after the last valid step; 0 where there is none."""
        del train
        H = self.features
        h_BH = jnp.zeros((len(x_BTD), H), x_BTD.dtype)
        for layer in range(self.layers):
            # What the inputs give is one product for all steps, outside the recurrence.
            inputs_BTG = nn.Dense(3 * H, use_bias=False, name=f"input_{layer}")(x_BTD)
            orthogonal = nn.initializers.orthogonal()
            gates_HG = self.param(f"gates_{layer}", orthogonal, (H, 2 * H))
            candidate_HH = self.param(f"candidate_{layer}", orthogonal, (H, H))

            def step(h_BH: Array, inputs_BG: Array, gates_HG=gates_HG, candidate_HH=candidate_HH) -> Array:
                H = h_BH.shape[-1]
                r_BH, z_BH = jnp.split(nn.sigmoid(inputs_BG[:, : 2 * H] + h_BH @ gates_HG), 2, axis=-1)
                candidate_BH = jnp.tanh(inputs_BG[:, 2 * H :] + (r_BH * h_BH) @ candidate_HH)
                # Eq. 4; the prose has the two the other way round.
                return (1 - z_BH) * h_BH + z_BH * candidate_BH

            last_BH, x_BTD = scan_time(step, h_BH, inputs_BTG, mask_BT)
        return last_BH


class FlaxGRU(nn.Module):
    """The same stack of `nn.GRUCell`: r comes after its product, z swaps its parts, there are biases.

    Attributes:
      features, layers: as in `GRU`.
    """

    features: int = 40
    layers: int = 2

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """State of the last layer after the last valid step; 0 where there is none."""
        del train
        cell = nn.GRUCell(self.features, parent=None)
        h_BH = jnp.zeros((len(x_BTD), self.features), x_BTD.dtype)
        for layer in range(self.layers):
            # Outside Linen's bookkeeping: a bound cell cannot be called inside the scan.
            params = self.param(
                f"cell_{layer}", lambda key, x_BTD=x_BTD: cell.init(key, h_BH, x_BTD[:, 0])["params"]
            )
            last_BH, x_BTD = scan_time(
                lambda h_BH, x_BD, params=params: cell.apply({"params": params}, h_BH, x_BD)[1],
                h_BH,
                x_BTD,
                mask_BT,
            )
        return last_BH


class SelfAttention(nn.Module):
    """Self-attention in the GRU's place: its output on the last valid step.

    Attributes:
      features: width, which the input is projected to (ours: so that the states are as wide as a GRU's).
      layers, heads, residual, dropout, attention_dropout, positions: as in `AttentionStack`.
    """

    features: int
    layers: int
    heads: int
    residual: str
    dropout: float
    attention_dropout: float
    positions: bool

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """[B, T, D] to [B, features]; 0 where no step is valid."""
        stack = AttentionStack(
            layers=self.layers,
            heads=self.heads,
            ffn_width=4 * self.features,
            residual=self.residual,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            positions=self.positions,
            name="stack",
        )
        x_BTF, _ = stack(nn.Dense(self.features, name="input")(x_BTD), None, mask_BT, train=train)
        return last_valid(x_BTF, mask_BT)


class MulG(nn.Module):
    """Convolutions, six directed attentions, three GRUs, one residual block and the head.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for. One alone has no attention: its stream goes
        straight to its GRU.
      outputs: () for one score, (4, 2) for four emotions of two classes each.
      width: width d of the streams (Table 1).
      kernel: steps that a convolution sees (ours).
      layers, heads: of each directed attention (Table 7).
      scoring: "multihead" (ours, as Table 7 has heads) or "bilinear" (eqs. 5-7).
      residual: "post_ln" (ours: the one named first), "pre_ln" or "residual_dual", in the attention layers
        and in the output block.
      positions: sinusoidal positions on what goes into attention (ours; the paper has none).
      cross_modal: False is the ablation "no cross-modal attention".
      recurrent: "gru" (eqs. 1-4), "flax" (nn.GRUCell) or "self_attention". The paper compares self-attention
        and GRU, with and without cross-modal attention, and says no more: all these are combinations of
        this field and `cross_modal`.
      hidden: width of the GRUs' states.
      recurrent_layers: layers of a GRU, or of self-attention in its place.
      reduced: width of the fused vector (ours: as wide as the states).
      text_dropout: rate on the text's states (Table 1: 0.2 for MOSI, 0.3 elsewhere).
      attention_dropout: rate on attention weights (Table 1: 0.1, 0.2 for IEMOCAP).
      dropout: rate in feed-forward networks and on what they and the attentions add (Table 7).
      output_dropout: rate before the head (Table 1).
    """

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    width: int = 40
    kernel: int = 3
    layers: int = 2
    heads: int = 4
    scoring: str = "multihead"
    residual: str = "post_ln"
    positions: bool = True
    cross_modal: bool = True
    recurrent: str = "gru"
    hidden: int = 40
    recurrent_layers: int = 2
    reduced: int = 40
    text_dropout: float = 0.2
    attention_dropout: float = 0.1
    dropout: float = 0.1
    output_dropout: float = 0.1

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
        masks = {m: mask_BL for m, (_, mask_BL) in streams.items()}
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
                name="cross_modal_attention",
            )
            joined, attention = front(streams, train=train)
        else:
            joined = {m: x_BLD for m, (x_BLD, _) in streams.items()}

        states = Copies(self._recurrent(), together=True, name="recurrent")(
            [(joined[m], masks[m]) for m in streams], train=train
        )
        x_BD = nn.Dense(self.reduced, name="reduce")(jnp.concatenate(states, axis=-1))  # eqs. 8-9

        def drop(x: Array, rate: float) -> Array:
            return Dropout(rate)(x, train=train)

        def block(x_BD: Array) -> Array:
            hidden_BD = drop(nn.relu(nn.Dense(self.reduced, name="block_in")(x_BD)), self.dropout)
            return drop(nn.Dense(self.reduced, name="block_out")(hidden_BD), self.dropout)

        both = start_residual(self.residual, x_BD)
        both = add_residual(self.residual, both, block, nn.LayerNorm(name="block_norm"))
        fused_BD = end_residual(both, nn.LayerNorm(name="block_sum_norm"))
        return {
            **Head(self.outputs, name="head")(drop(fused_BD, self.output_dropout)),
            "fused": fused_BD,
            **{f"hidden_{m}": state_BH for m, state_BH in zip(streams, states, strict=True)},
            **{f"attention_{target}_{source}": w for (target, source), w in attention.items()},
        }

    def _stream(self, modality: str, batch: Mapping[str, Array], train: bool) -> tuple[Array, Array]:
        """(features [B, L, width], valid steps [B, L]) of one modality."""
        mask_BL = batch[f"{modality}_mask"]
        if modality == "text":
            x_BLD = text_states(self.encoder, batch, frozen=self.frozen, train=train)
            x_BLD = Dropout(self.text_dropout)(x_BLD, train=train)
        else:
            x_BLD = batch[modality]
        x_BLD = nn.relu(MaskedConv(self.width, self.kernel, name=f"{modality}_conv")(x_BLD, mask_BL))
        # LayerNorm (ours): the paper's batch normalisation would tie a clip's score to its batch.
        return nn.LayerNorm(name=f"{modality}_norm")(x_BLD), mask_BL

    def _recurrent(self) -> Any:
        """Makes what runs over each modality's streams."""
        if self.recurrent == "gru":
            return partial(GRU, self.hidden, self.recurrent_layers)
        if self.recurrent == "flax":
            return partial(FlaxGRU, self.hidden, self.recurrent_layers)
        if self.recurrent == "self_attention":
            return partial(
                SelfAttention,
                self.hidden,
                self.recurrent_layers,
                self.heads,
                self.residual,
                self.dropout,
                self.attention_dropout,
                self.positions,
            )
        raise ValueError(f"recurrent must be one of {', '.join(RECURRENTS)}, got {self.recurrent!r}")
