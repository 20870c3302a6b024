"""LF-DNN: a small network for each modality, and one more over their vectors side by side.

Source: late fusion of features as in Cambria et al., "Benchmarking multimodal sentiment analysis", CICLing
2017, arXiv:1707.09538, in the form of the MMSA toolkit, with the networks that Zadeh et al. (EMNLP 2017,
arXiv:1707.07250, section 4.1) have for each modality. Sizes are those of the toolkit for CMU-MOSI
("toolkit"), which most tables quote.
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
from msa_jax.models._streams import streams_of, vectors_of
from msa_jax.models.fields import Positive, Rate
from msa_jax.text import Encoder


class LFDNN(nn.Module):
    """One vector for each modality, joined, and two Dense layers with ReLU before the head.

    Audio and vision come standardised by the training split (ours); `batch_norm` normalises their means over
    the batch besides, as the toolkit does. A missing text has the state 0, missing audio or vision
    the mean 0.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      outputs: () for a score, else the shape of the logits.
    """

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    text_hidden: Positive = 128  # state of the text's LSTM; toolkit
    text_width: Positive = 256  # vector of the text; toolkit
    audio_width: Positive = 16  # vector of audio; toolkit
    vision_width: Positive = 128  # vector of vision; toolkit
    fusion_width: Positive = 128  # of the Dense layers over the joined vectors; toolkit
    text_dropout: Rate = 0.2  # on the text's state; toolkit (which sets it and leaves it out)
    audio_dropout: Rate = 0.2  # on the mean of the audio rows; toolkit
    vision_dropout: Rate = 0.2  # on the mean of the vision rows; toolkit
    fusion_dropout: Rate = 0.2  # on the joined vectors; toolkit
    batch_norm: bool = False  # on the means of audio and vision; toolkit: True
    count_padding: bool = False  # as the toolkit does: the LSTM and the means run over padding, too
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`, and `mask` [B], False on rows that only pad the batch.
          train: whether dropout is active (rng "dropout"), and statistics are the batch's.

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, sum of the widths], the joined vectors;
          `vector_<m>` [B, width of m].
        """
        streams = streams_of(self, batch, train=train, count_padding=self.count_padding)
        vectors = vectors_of(self, streams, batch, train=train)
        fused_BD = jnp.concatenate(list(vectors.values()), axis=-1)
        x_BD = Dropout(self.fusion_dropout)(fused_BD, train=train)
        for k in range(2):
            x_BD = nn.relu(Dense32(self.fusion_width, dtype=self.dtype, name=f"dense_{k}")(x_BD))
        out = {**Head(self.outputs, name="head")(x_BD), "fused": fused_BD}
        return {**out, **{f"vector_{m}": x for m, x in vectors.items()}}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit


Model = LFDNN

# The toolkit's for CMU-MOSI; its weight decay is L2 in Adam.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 128,
    "optim.learning_rate": 1e-3,
    "optim.clip": math.inf,
    "data.time_line": "own",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
    "optim.weight_decay": 1e-2,
    "optim.coupled": True,
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "batch_norm": {"model.batch_norm": True},
    "tiny": {
        "model.text_hidden": 8,
        "model.text_width": 8,
        "model.audio_width": 8,
        "model.vision_width": 8,
        "model.fusion_width": 8,
    },
}
