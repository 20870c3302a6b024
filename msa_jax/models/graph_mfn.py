"""Graph-MFN: an LSTM for each modality, a graph that fuses their states step by step, and a gated memory.

Source: Zadeh et al., "Multimodal language analysis in the wild: CMU-MOSEI dataset and interpretable dynamic
fusion graph", ACL 2018 (section 4); the memory is that of the memory fusion network (Zadeh et al., AAAI 2018,
arXiv:1802.00927). Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit"), which most tables quote.
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
from msa_jax.layers.memory_fusion import GatedMemory, Network
from msa_jax.layers.pooling import any_step, last_valid
from msa_jax.layers.recurrent import LSTM
from msa_jax.models._graph_mfn_parts import FusionGraph, TwoSteps, last_state_so_far
from msa_jax.models._streams import streams_of
from msa_jax.models.fields import Positive, Rate
from msa_jax.text import Encoder


class GraphMFN(nn.Module):
    """LSTMs, the dynamic fusion graph over their last two states, the memory, and the output network.

    A modality that has no row on a step hands its state on. The toolkit keeps the networks of the graph's
    larger vertices where its optimiser does not see them, so that they stay at their random start; here they
    are trained.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for. One alone has a graph of one vertex.
      outputs: () for a score, else the shape of the logits.
    """

    TIME_LINE = "text"

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    text_hidden: Positive = 256  # state of the text's LSTM, and its vertex; toolkit
    audio_hidden: Positive = 32  # of audio's; toolkit
    vision_hidden: Positive = 256  # of vision's; toolkit
    vertex_width: Positive = 64  # of the vertices of several modalities, and of the summary; toolkit
    graph_hidden: Positive = 100  # inside each network of the graph; toolkit
    # A strength between 0 and 1, as the paper reads it (that a sigmoid makes it one: ours); toolkit: none.
    efficacy: Literal["sigmoid", "none"] = "sigmoid"
    # Between the Dense layers of each network of the graph, which the paper calls deep (ReLU: ours); toolkit:
    # none, which makes each of them one linear map.
    graph_activation: Literal["relu", "none"] = "relu"
    memory: Positive = 300  # toolkit
    proposal_hidden: Positive = 32  # inside the network of what may be written; toolkit
    retain_hidden: Positive = 128  # inside the gate on the memory so far; toolkit
    update_hidden: Positive = 64  # inside the gate on what may be written; toolkit
    output_hidden: Positive = 256  # inside the output network; toolkit
    proposal_dropout: Rate = 0.0  # inside the first of these networks; toolkit
    retain_dropout: Rate = 0.5  # inside the second; toolkit
    update_dropout: Rate = 0.5  # inside the third; toolkit
    output_dropout: Rate = 0.0  # inside the fourth; toolkit
    count_padding: bool = False  # as the toolkit does: padding is read as steps are
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, T, d_a], `vision` [B, T, d_v] on the
            text's time line, each with its `<m>_mask` [B, T].
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, sum of the states + memory], what the
          output network sees; `hidden_<m>` [B, <m>_hidden] the last states; `memory` [B, memory];
          `efficacies` [B, T, 19], one for each edge of the graph (5 with two modalities, 1 with one).
        """
        streams = streams_of(self, batch, train=train, count_padding=self.count_padding)
        last, vertices = {}, {}
        for m, (x_BTD, mask_BT) in streams.items():
            width = getattr(self, f"{m}_hidden")
            states_BTF = LSTM(width, self.dtype, name=f"{m}_lstm")(x_BTD, mask_BT)
            last[m] = last_valid(states_BTF, mask_BT)
            vertices[m] = TwoSteps(width, self.dtype, name=f"{m}_vertex")(
                last_state_so_far(states_BTF, mask_BT)
            )
        graph = FusionGraph(
            self.vertex_width,
            self.graph_hidden,
            self.efficacy == "sigmoid",
            self.graph_activation == "relu",
            self.dtype,
            name="graph",
        )
        summary_BTD, efficacy_BTE = graph(vertices)
        proposed_BTF = self._network("proposal", summary_BTD, train=train)
        proposed_BTF = jnp.tanh(Dense32(self.memory, dtype=self.dtype, name="proposal_out")(proposed_BTF))
        retain = Network(self.retain_hidden, self.retain_dropout)
        update = Network(self.update_hidden, self.update_dropout)
        inner = Dense32(retain.hidden + update.hidden, dtype=self.dtype, name="memory_input")
        memory = GatedMemory(retain, update, self.dtype, name="memory")
        memory_BF = memory(inner(summary_BTD), proposed_BTF, any_step(streams), train=train)
        fused_BD = jnp.concatenate([*last.values(), memory_BF], axis=-1)
        out = Head(self.outputs, name="head")(self._network("output", fused_BD, train=train))
        out |= {"fused": fused_BD, "memory": memory_BF, "efficacies": efficacy_BTE}
        return {**out, **{f"hidden_{m}": x_BF for m, x_BF in last.items()}}

    def _network(self, name: str, x: Array, *, train: bool) -> Array:
        """The first layer of a network of the model, with ReLU and dropout."""
        width, rate = (getattr(self, f"{name}_{what}") for what in ("hidden", "dropout"))
        x = nn.relu(Dense32(width, dtype=self.dtype, name=name)(x))
        return Dropout(rate, name=f"{name}_drop")(x, train=train)


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit


Model = GraphMFN

# The toolkit's for CMU-MOSI; its weight decay is L2 in Adam.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 32,
    "optim.learning_rate": 2e-3,
    "optim.clip": math.inf,
    "data.time_line": "text",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
    "optim.weight_decay": 5e-3,
    "optim.coupled": True,
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "free_efficacies": {"model.efficacy": "none"},
    "linear_graph": {"model.graph_activation": "none"},
    "tiny": {
        "model.text_hidden": 8,
        "model.audio_hidden": 8,
        "model.vision_hidden": 8,
        "model.vertex_width": 8,
        "model.graph_hidden": 8,
        "model.memory": 8,
        "model.proposal_hidden": 8,
        "model.retain_hidden": 8,
        "model.update_hidden": 8,
        "model.output_hidden": 8,
    },
}
