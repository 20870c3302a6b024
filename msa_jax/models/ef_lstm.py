"""EF-LSTM: the modalities joined step by step before any layer, and a stack of LSTMs over them.

Source: Williams et al., "Recognizing emotions in video using multimodal DNN feature fusion", Challenge-HML at
ACL 2018, whose fusion of the inputs is the baseline EF-LSTM of many tables (Tsai et al. 2019, Qin et al.
2025). Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit").
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
from msa_jax.layers.batch_norm import BatchNorm
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.recurrent import LSTM
from msa_jax.models._streams import CROSS_MODAL, Front, joined, streams_of
from msa_jax.models.fields import Layers, Misfit, Positive, Rate
from msa_jax.text import Encoder


class EFLSTM(nn.Module):
    """LSTMs over all modalities at once, and a small network on the last state.

    Audio and vision come standardised by the training split (ours); `step_norm` normalises each step over
    the batch, as the toolkit does, which ties a score to how often a place in a clip was seen. A modality
    that a step lacks is 0 there.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that are joined.
      outputs: () for a score, else the shape of the logits.
    """

    TIME_LINE = "text"

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    hidden: Positive = 128  # state of each LSTM, and width of the network on the last; toolkit
    layers: Layers = 4  # LSTMs, one over the states of another; toolkit
    dropout: Rate = 0.5  # between the LSTMs, on the last state, and before the head; toolkit
    step_norm: bool = False  # normalise each step over clips and features; toolkit: True
    steps: Positive = 50  # longest text time line that `step_norm` has statistics for; toolkit
    count_padding: bool = False  # as the toolkit does: the LSTMs run over padding, too
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def check(self, max_length: int) -> None:
        """Refuses texts that are longer than the statistics of the steps."""
        if self.step_norm and self.steps < max_length:
            raise Misfit(f"steps: {self.steps} is less than text.max_length {max_length}")

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, T, d_a], `vision` [B, T, d_v], each with
            its `<m>_mask`, and `mask` [B], False on rows that only pad the batch.
          train: whether dropout is active (rng "dropout"), and the statistics are the batch's.

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `hidden` [B, hidden], the last state of the last LSTM;
          `fused` [B, hidden], what the head takes.
        """
        given = streams_of(self, batch, train=train, count_padding=self.count_padding)
        streams = self.front(given, train=train, dtype=self.dtype)
        x_BTD, mask_BT = joined(streams)
        if self.step_norm:
            rows_B = jnp.asarray(batch["mask"], bool)
            norm = BatchNorm(self.steps, axis=1, name="step_norm")
            x_BTD = norm(x_BTD, (mask_BT & rows_B[:, None])[..., None], train=train)
        for k in range(self.layers):
            if k:
                x_BTD = Dropout(self.dropout)(x_BTD, train=train)
            x_BTD = LSTM(self.hidden, self.dtype, name=f"lstm_{k}")(x_BTD, mask_BT)
        hidden_BD = last_valid(x_BTD, mask_BT)
        fused_BD = Dropout(self.dropout)(hidden_BD, train=train)
        fused_BD = nn.relu(Dense32(self.hidden, dtype=self.dtype, name="dense")(fused_BD))
        fused_BD = Dropout(self.dropout)(fused_BD, train=train)
        return {**Head(self.outputs, name="head")(fused_BD), "hidden": hidden_BD, "fused": fused_BD}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit


Model = EFLSTM

# The toolkit's for CMU-MOSI; its weight decay is L2 in Adam.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 32,
    "optim.learning_rate": 1e-3,
    "optim.clip": math.inf,
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
    "optim.weight_decay": 5e-3,
    "optim.coupled": True,
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "step_norm": {"model.step_norm": True},
    "crossmodal": CROSS_MODAL,
    # Half of so few units would be too many to drop.
    "tiny": {"model.hidden": 8, "model.layers": 2, "model.dropout": 0.1},
}
