"""RMFN: an LSTM for each modality that also reads what all modalities said together one step before.

Source: Liang, Liu, Zadeh and Morency, "Multimodal language analysis with recurrent multistage fusion", EMNLP
2018, arXiv:1808.03920. The paper gives no sizes and leaves several networks open, and the toolkit whose sizes
other models here have does not hold it: what is not the paper's is marked "ours".
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import Streams, any_step
from msa_jax.layers.recurrent import recurrent_product, scan_time
from msa_jax.models._rmfn_fusion import MultistageFusion, lstm_cell
from msa_jax.models._streams import CROSS_MODAL, Front, streams_of
from msa_jax.models.fields import Layers, Positive, Rate
from msa_jax.text import Encoder


class RMFN(nn.Module):
    """LSTHMs, the multistage fusion of their states on each step, and the output network (section 3).

    A modality that has no row on a step hands its state on.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for. One alone is fused with itself.
      outputs: () for a score, else the shape of the logits.
    """

    TIME_LINE = "text"

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    text_hidden: Positive = 64  # state of the text's LSTHM; ours
    audio_hidden: Positive = 32  # of audio's; ours
    vision_hidden: Positive = 32  # of vision's; ours
    stages: Layers = 3  # K; ours, the paper tries several
    fusion: bool = True  # False is the ablation "no MFP": LSTMs that read nothing of each other
    highlight: bool = True  # False is the ablation "no HIGHLIGHT": every stage fuses the states as they are
    cross_width: Positive = 64  # of what all modalities say together, z; ours
    memory_hidden: Positive = 32  # inside the network that HIGHLIGHT's memory starts from; ours
    fuse_width: Positive = 64  # state of FUSE; ours
    summary_hidden: Positive = 64  # inside SUMMARIZE; ours
    output_hidden: Positive = 64  # inside the output network; ours
    output_dropout: Rate = 0.2  # there; ours
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, T, d_a], `vision` [B, T, d_v] on the
            text's time line, each with its `<m>_mask` [B, T].
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, sum of the states + cross_width], what the
          output network sees; `hidden_<m>` [B, <m>_hidden] the last states; with fusion `cross`
          [B, cross_width], the last z, and with highlights `highlight` [B, T, stages, sum of the states], the
          attention of each stage on each step.
        """
        given = streams_of(self, batch, train=train)
        streams = self.front(given, train=train, dtype=self.dtype)
        last, cross_BD, highlight_BTKH = self._recurrence(streams)
        fused_BD = jnp.concatenate([*last.values(), *([cross_BD] if self.fusion else [])], axis=-1)
        x_BD = nn.relu(Dense32(self.output_hidden, dtype=self.dtype, name="output")(fused_BD))
        x_BD = Dropout(self.output_dropout)(x_BD, train=train)
        out = {**Head(self.outputs, name="head")(x_BD), "fused": fused_BD}
        out |= {f"hidden_{m}": x_BF for m, x_BF in last.items()}
        named = {"cross": cross_BD, "highlight": highlight_BTKH}
        return {**out, **{name: x for name, x in named.items() if x is not None}}

    def _recurrence(self, streams: Streams) -> tuple[dict[str, Array], Array | None, Array | None]:
        """(the last state of each modality [B, F], the last z [B, D], the attention [B, T, K, H])."""
        widths = {m: getattr(self, f"{m}_hidden") for m in streams}
        orthogonal, lecun = nn.initializers.orthogonal(), nn.initializers.lecun_normal()
        inputs, kernels = {}, {}
        for m, (x_BTD, mask_BT) in streams.items():
            # What the modality's own rows give is one product for all steps, outside the recurrence.
            gates_BTG = Dense32(4 * widths[m], dtype=self.dtype, name=f"{m}_input")(x_BTD)
            inputs[m] = gates_BTG, mask_BT
            shape = (widths[m], 4 * widths[m])
            kernels[m] = self.param(f"{m}_recurrent_kernel", orthogonal, shape, jnp.float32)
        if self.fusion:
            process = MultistageFusion(
                stages=self.stages,
                highlight=self.highlight,
                memory_hidden=self.memory_hidden,
                fuse_width=self.fuse_width,
                summary_hidden=self.summary_hidden,
                width=self.cross_width,
                dtype=self.dtype,
                name="fusion",
            )(sum(widths.values()))
            shape = (self.cross_width, 4 * sum(widths.values()))
            cross_kernel_DG = self.param("cross_kernel", lecun, shape, jnp.float32)

        def step(state: tuple[Any, Any], now: Any) -> tuple[Any, Any]:
            """An LSTHM's step of each modality; then what they say together, for the next step."""
            lstms, cross_BD = state
            if self.fusion:
                crossed_BG = recurrent_product(cross_BD, cross_kernel_DG, self.dtype)
            after, start = {}, 0
            for m, width in widths.items():  # a scan gives dicts back in the order of the alphabet
                (gates_BG, valid_B), (cell_BF, hidden_BF) = now[m], lstms[m]
                gates_BG += recurrent_product(hidden_BF, kernels[m], self.dtype)
                if self.fusion:
                    gates_BG += crossed_BG[:, start : start + 4 * width]
                    start += 4 * width
                new = lstm_cell(gates_BG, cell_BF)
                after[m] = tuple(
                    jnp.where(valid_B[:, None], x, old) for x, old in zip(new, lstms[m], strict=True)
                )
            return after, process(side_by_side(after))[0] if self.fusion else None

        def side_by_side(lstms: Mapping[str, tuple[Array, Array]]) -> Array:
            return jnp.concatenate([lstms[m][1] for m in widths], axis=-1)

        any_BT = any_step(streams)
        zeros = {m: (jnp.zeros((len(any_BT), F), jnp.float32),) * 2 for m, F in widths.items()}
        cross_BD = jnp.zeros((len(any_BT), self.cross_width), jnp.float32) if self.fusion else None
        # The way back computes the gates' activations again from the products: kept, they were most of what a
        # step reads and writes.
        kept = jax.checkpoint(step, policy=jax.checkpoint_policies.dots_saveable, prevent_cse=False)
        (lstms, cross_BD), (over_time, _) = scan_time(kept, (zeros, cross_BD), inputs, any_BT)
        last = {m: lstms[m][1] for m in widths}
        return last, cross_BD, process(side_by_side(over_time))[1] if self.fusion else None


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # ours


Model = RMFN

DEFAULTS: Mapping[str, Any] = {  # all ours
    "epochs": 100,
    "patience": 8,
    "batch_size": 64,
    "optim.learning_rate": 1e-3,
    "optim.clip": 1.0,
    "data.time_line": "text",
    "text.encoder": "features",  # the paper's text is word vectors; any encoder works
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one
}

# The ablations of the paper: other numbers of stages, no multistage fusion, no highlights.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "stages_1": {"model.stages": 1},
    "stages_2": {"model.stages": 2},
    "stages_4": {"model.stages": 4},
    "stages_5": {"model.stages": 5},
    "no_mfp": {"model.fusion": False},
    "no_highlight": {"model.highlight": False},
    "crossmodal": CROSS_MODAL,
    "tiny": {
        "model.text_hidden": 8,
        "model.audio_hidden": 8,
        "model.vision_hidden": 8,
        "model.cross_width": 8,
        "model.memory_hidden": 8,
        "model.fuse_width": 8,
        "model.summary_hidden": 8,
        "model.output_hidden": 8,
    },
}
