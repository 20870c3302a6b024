"""LF-LSTM: an LSTM over each modality on its own time line, and a small network over their last states.

A baseline that Tsai et al., "Multimodal Transformer for unaligned multimodal language sequences", ACL 2019,
arXiv:1906.00295, and Qin et al., Scientific Reports 2025, Tables 2-4, name and do not describe: what goes
beyond the name is ours. The sizes give about as many parameters as the model of the latter has with word
vectors (300, 74 and 47 columns), since its tables compare models of about equal size: 362 113 and 367 761.
"""

import dataclasses
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
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.recurrent import LSTM
from msa_jax.models._streams import CROSS_MODAL, Front, streams_of
from msa_jax.models.fields import Positive, Rate
from msa_jax.text import Encoder


class LFLSTM(nn.Module):
    """One last state for each modality, joined, and a Dense layer with ReLU before the head.

    A missing modality has the state 0.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has an LSTM for.
      outputs: () for a score, else the shape of the logits.
    """

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    hidden: Positive = 112  # state of each LSTM; ours
    width: Positive = 64  # of the Dense layer over the joined states; ours
    dropout: Rate = 0.3  # on the joined states, and before the head; ours
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`.
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, width], what the head takes; `hidden_<m>`
          [B, hidden], the last state of each modality.
        """
        streams = self.front(streams_of(self, batch, train=train), train=train, dtype=self.dtype)
        hidden = {
            m: last_valid(LSTM(self.hidden, self.dtype, name=f"{m}_lstm")(x_BTD, mask_BT), mask_BT)
            for m, (x_BTD, mask_BT) in streams.items()
        }
        joined_BD = Dropout(self.dropout)(jnp.concatenate(list(hidden.values()), axis=-1), train=train)
        fused_BD = nn.relu(Dense32(self.width, dtype=self.dtype, name="dense")(joined_BD))
        fused_BD = Dropout(self.dropout)(fused_BD, train=train)
        out = {**Head(self.outputs, name="head")(fused_BD), "fused": fused_BD}
        return {**out, **{f"hidden_{m}": x for m, x in hidden.items()}}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # ours


Model = LFLSTM

DEFAULTS: Mapping[str, Any] = {  # ours
    "epochs": 100,  # the patience ends it
    "patience": 8,
    "batch_size": 32,
    "optim.learning_rate": 1e-3,
    "data.time_line": "own",
    "text.encoder": "features",
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "crossmodal": CROSS_MODAL,
    "tiny": {"model.hidden": 8, "model.width": 8},
}
