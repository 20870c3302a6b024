"""LMF: a tensor product of the modalities' vectors, kept small by low-rank factors.

Source: Liu et al., "Efficient low-rank multimodal fusion with modality-specific factors", ACL 2018,
arXiv:1806.00064. Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit"), which most tables quote.
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
from msa_jax.layers.head import named
from msa_jax.models._streams import CROSS_MODAL, Front, streams_of, vectors_of
from msa_jax.models.fields import Positive, Rate
from msa_jax.text import Encoder


class LMF(nn.Module):
    """One vector for each modality, and their low-rank product (section 3.2).

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
    text_width: Positive = 64  # vector of the text; toolkit: half the state
    audio_width: Positive = 16  # vector of audio; toolkit
    vision_width: Positive = 128  # vector of vision; toolkit
    rank: Positive = 3  # of the factors; toolkit
    text_dropout: Rate = 0.3  # on the text's state; toolkit (which sets it and leaves it out)
    audio_dropout: Rate = 0.3  # on the mean of the audio rows; toolkit
    vision_dropout: Rate = 0.3  # on the mean of the vision rows; toolkit
    batch_norm: bool = False  # on the means of audio and vision; toolkit: True
    count_padding: bool = False  # as the toolkit does: the LSTM and the means run over padding, too
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`, and `mask` [B], False on rows that only pad the batch.
          train: whether dropout is active (rng "dropout"), and statistics are the batch's.

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, rank, O], the product of the modalities for
          each rank and each of the O outputs; `vector_<m>` [B, width of m].
        """
        size = math.prod(self.outputs)
        streams = streams_of(self, batch, train=train, count_padding=self.count_padding)
        streams = self.front(streams, train=train, dtype=self.dtype)
        vectors = vectors_of(self, streams, batch, train=train)
        # In float32, whatever the vectors are made in: these products give the score itself, as a head does.
        fused_BRO = jnp.ones((), jnp.float32)
        for m, x_BD in vectors.items():
            one_BD = jnp.concatenate([jnp.ones_like(x_BD[:, :1]), x_BD], axis=-1)
            shape = (self.rank, one_BD.shape[1], size)
            factor_RDO = self.param(f"{m}_factor", nn.initializers.xavier_normal(), shape, jnp.float32)
            fused_BRO = fused_BRO * jnp.einsum("bd,rdo->bro", one_BD, factor_RDO)
        weight_R = self.param(
            "rank_weight", nn.initializers.normal(self.rank**-0.5), (self.rank,), jnp.float32
        )  # ours
        bias_O = self.param("bias", nn.initializers.zeros, (size,), jnp.float32)
        out_BO = jnp.einsum("r,bro->bo", weight_R, fused_BRO) + bias_O[None]
        out = {**named(out_BO, self.outputs), "fused": fused_BRO}
        return {**out, **{f"vector_{m}": x for m, x in vectors.items()}}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit


Model = LMF

# The toolkit's for CMU-MOSI; its weight decay is L2 in Adam. Its optimiser does not hold the fusion's own
# weights, so that they never move; here they are trained as the rest is (ours).
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 64,
    "optim.learning_rate": 1e-3,
    "optim.clip": math.inf,
    "data.time_line": "own",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
    "optim.weight_decay": 5e-3,
    "optim.coupled": True,
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "rank_1": {"model.rank": 1},
    "batch_norm": {"model.batch_norm": True},
    "crossmodal": CROSS_MODAL,
    "tiny": {
        "model.text_hidden": 8,
        "model.text_width": 8,
        "model.audio_width": 8,
        "model.vision_width": 8,
    },
}
