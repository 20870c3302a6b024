"""MFN: an LSTM for each modality, and a memory that reads what their cells changed (memory fusion network).

Source: Zadeh et al., "Memory fusion network for multi-view sequential learning", AAAI 2018, arXiv:1802.00927.
Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit"), which most tables quote.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.memory_fusion import fusion_of
from msa_jax.models._streams import CROSS_MODAL, Front, streams_of
from msa_jax.models.fields import Count, Positive, Rate
from msa_jax.text import Encoder


class MFN(nn.Module):
    """The memory fusion network, and two Dense layers over its last states and its memory.

    Audio and vision come standardised by the training split (ours). An LSTM reads the steps that its modality
    has, the memory those that any modality has.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      outputs: () for a score, else the shape of the logits.
    """

    TIME_LINE = "text"

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    text_hidden: Positive = 256  # state of the text's LSTM; toolkit
    audio_hidden: Positive = 32  # state of the audio's; toolkit
    vision_hidden: Positive = 256  # state of the vision's; toolkit
    memory: Count = 400  # width of the memory; toolkit. 0 is the ablation "no mem": the LSTMs alone
    delta: bool = True  # False is the ablation "no delta": attention sees the current step's cells alone
    attention_hidden: Positive = 32  # inside the network that attends to the cells; toolkit
    attention_dropout: Rate = 0.2  # there; toolkit
    proposal_hidden: Positive = 64  # inside the network that proposes a memory; toolkit
    proposal_dropout: Rate = 0.0  # there; toolkit
    retain_hidden: Positive = 256  # inside the gate on the memory so far; toolkit
    retain_dropout: Rate = 0.7  # there; toolkit
    update_hidden: Positive = 32  # inside the gate on what is proposed; toolkit
    update_dropout: Rate = 0.5  # there; toolkit
    output_hidden: Positive = 128  # layer before the head; toolkit
    output_dropout: Rate = 0.0  # on it; toolkit
    count_padding: bool = False  # as the toolkit does: LSTMs and memory run over padding, too
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, T, d_a], `vision` [B, T, d_v], beside
            the text's tokens, each with its `<m>_mask` [B, T].
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused`, the last hidden states and the memory side by
          side; `hidden_<m>` [B, hidden of m]; where there is a memory, `memory` [B, memory] and `attention`
          [B, T, 2 F] over the cells of the step before and of the step (F: the sum of the LSTMs' widths; only
          the step's own without `delta`).
        """
        given = streams_of(self, batch, train=train, count_padding=self.count_padding)
        streams = self.front(given, train=train, dtype=self.dtype)
        fusion = fusion_of(self, streams, delta=self.delta)
        hidden, memory_BF, attention_BTF = fusion(streams, train=train)
        fused_BD = jnp.concatenate([*hidden.values(), memory_BF], axis=-1)
        x_BD = nn.relu(Dense32(self.output_hidden, dtype=self.dtype, name="output_hidden_dense")(fused_BD))
        x_BD = Dropout(self.output_dropout)(x_BD, train=train)
        out = {
            **Head(self.outputs, name="head")(x_BD),
            "fused": fused_BD,
            **{f"hidden_{m}": x for m, x in hidden.items()},
        }
        return out if attention_BTF is None else {**out, "memory": memory_BF, "attention": attention_BTF}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit


Model = MFN

# The toolkit's for CMU-MOSI. It averages audio and vision over time and repeats the mean at every token; here
# they are what lies beside each token, as in the paper.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 128,
    "optim.learning_rate": 2e-3,
    "optim.clip": math.inf,
    "optim.coupled": True,
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
    "data.time_line": "text",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
}

# The paper's ablations (its unimodal ones are the variants text_only, audio_only and vision_only).
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_delta": {"model.delta": False},
    "no_mem": {"model.memory": 0},
    "crossmodal": CROSS_MODAL,
    "tiny": {
        "model.text_hidden": 8,
        "model.audio_hidden": 4,
        "model.vision_hidden": 4,
        "model.memory": 8,
        "model.attention_hidden": 8,
        "model.proposal_hidden": 8,
        "model.retain_hidden": 8,
        "model.update_hidden": 8,
        "model.output_hidden": 8,
    },
}
