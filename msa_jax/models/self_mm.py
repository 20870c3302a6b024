"""Self-MM: a head for each modality beside the multimodal one, learning from labels that it makes itself.

Source: Yu, Xu, Yuan and Wu, "Learning modality-specific representations with self-supervised multi-task
learning for multimodal sentiment analysis", AAAI 2021, arXiv:2102.04830. Sizes are those of the MMSA toolkit
for CMU-MOSI ("toolkit"), which most tables quote.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
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
from msa_jax.layers.subnets import LastStateSubnet
from msa_jax.losses import Term, masked_mean, present
from msa_jax.models import _self_mm_labels as labels
from msa_jax.models._streams import streams_of
from msa_jax.models.fields import AboveZero, Misfit, Modality, NonNegative, Positive, Rate
from msa_jax.text import Encoder


class Branch(nn.Module):
    """Dropout, two Dense layers with ReLU, and a score.

    Attributes:
      width: of both layers.
      dropout: rate on the vector.
      dtype: compute type of the products.
    """

    width: int
    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x_BD: Float[Array, "B D"], *, train: bool
    ) -> tuple[Float[Array, " B"], Float[Array, "B F"]]:
        """(score [B]; output of the first layer [B, width], by which labels are made), of [B, D]."""
        x_BD = Dropout(self.dropout)(x_BD, train=train)
        first_BF = nn.relu(Dense32(self.width, dtype=self.dtype, name="dense_0")(x_BD))
        second_BF = nn.relu(Dense32(self.width, dtype=self.dtype, name="dense_1")(first_BF))
        return Head(name="head")(second_BF)["prediction"], first_BF


class SelfMM(nn.Module):
    """The text encoder's first state and the last state of an LSTM for audio and for vision; a head for each
    of the three, and one for all.

    The collection "labels" keeps, by training clip, what each head's label is and what its features were. A
    clip's own label stands for the others until its second visit; from then on each visit moves them to where
    the clip's features lie between the centres of the positive and of the negative clips, in comparison with
    where the multimodal features lie. Evaluation neither reads nor writes it.

    Attributes:
      encoder: the text encoder; None where `text` holds features, whose first row is the text's vector then.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      clips: of the training split.
    """

    SCORES_ONLY = True  # a label is made from how far a score lies from 0

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    clips: int = 0
    audio_hidden: Positive = 16  # state of audio's LSTM; toolkit
    vision_hidden: Positive = 32  # state of vision's LSTM; toolkit
    audio_width: Positive = 16  # vector of audio; toolkit
    vision_width: Positive = 32  # vector of vision; toolkit
    audio_dropout: Rate = 0.0  # on the LSTM's last state; toolkit
    vision_dropout: Rate = 0.0  # on the LSTM's last state; toolkit
    fusion_head: Positive = 128  # layers of the multimodal head; toolkit
    text_head: Positive = 32  # layers of the text's head; toolkit
    audio_head: Positive = 16  # layers of audio's head; toolkit
    vision_head: Positive = 32  # layers of vision's head; toolkit
    fusion_head_dropout: Rate = 0.0  # on the vectors side by side; toolkit
    text_head_dropout: Rate = 0.1  # on the text's vector, before its head; toolkit
    audio_head_dropout: Rate = 0.1  # on audio's vector, before its head; toolkit
    vision_head_dropout: Rate = 0.0  # on vision's vector, before its head; toolkit
    unimodal: tuple[Modality, ...] = MODALITIES  # the modalities with a head
    # What the unimodal heads learn: labels made for each modality, which weigh by how far they are from the
    # clip's; or the clip's own, all with the weight 1 (ours).
    targets: Literal["made", "own"] = "made"
    bound: AboveZero = 3.0  # of made labels: the largest of the corpus; toolkit
    exclude_zero: bool = True  # a label of 0 counts for neither centre; toolkit. False: for the positive one
    # What the difference of the distances from the two centres is divided by; see `offsets`. "centres" (ours)
    # is bounded, the other two are not.
    relative: labels.Relative = "toolkit"
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def check(self, max_length: int) -> None:
        """Refuses heads for modalities that the run does not have, where they are all."""
        del max_length
        if self.unimodal and not self.heads:
            raise Misfit(f"unimodal: none of {self.unimodal} is among the modalities {self.modalities}")

    @property
    def heads(self) -> tuple[str, ...]:
        """The modalities with a head of their own, in the order of `MODALITIES`."""
        return tuple(m for m in MODALITIES if m in self.modalities and m in self.unimodal)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`; in training also `label` [B], `index` [B], and `mask` [B], False on rows of
            padding, which leave the tables as they are.
          train: whether dropout is active (rng "dropout"), and labels are made.

        Returns:
          `prediction` [B]; `vector_<m>` [B, width of m]; `fused` [B, fusion_head], the first layer of the
          multimodal head; for each modality with a head `prediction_<m>` [B] and `hidden_<m>` [B, width of
          its head], and in training `made_label_<m>` [B], what the head is to learn in this step.
        """
        vectors = self._vectors(batch, train)
        scores, features = {}, {}
        for name in (labels.FUSION, *self.heads):
            x_BD = vectors[name] if name in vectors else jnp.concatenate(list(vectors.values()), axis=-1)
            width, dropout = (getattr(self, f"{name}_head{what}") for what in ("", "_dropout"))
            branch = Branch(width, dropout, self.dtype, name=f"{name}_head")
            scores[name], features[name] = branch(x_BD, train=train)
        out = {"prediction": scores.pop(labels.FUSION), "fused": features[labels.FUSION]}
        out |= {f"vector_{m}": x_BD for m, x_BD in vectors.items()}
        out |= {f"prediction_{m}": score_B for m, score_B in scores.items()}
        out |= {f"hidden_{m}": features[m] for m in self.heads}
        if self.targets == "own" or not self.heads:
            return out
        tables = {name: labels.Table.of(self, name, self.clips, x.shape[1]) for name, x in features.items()}
        if train:
            made = labels.step(
                tables,
                features,
                {labels.FUSION: present(batch), **{m: present(batch, m) for m in self.heads}},
                batch,
                relative=self.relative,
                exclude_zero=self.exclude_zero,
                bound=self.bound,
            )
            out |= {f"made_label_{m}": label_B for m, label_B in made.items()}
        return out

    def _vectors(self, batch: Mapping[str, Array], train: bool) -> dict[str, Float[Array, "B D"]]:
        """One vector for each modality; 0 before the last layer where a clip lacks it."""
        vectors = {}
        for m, (x_BTD, mask_BT) in streams_of(self, batch, train=train).items():
            if m == "text":
                vectors[m] = first_valid(x_BTD, mask_BT)  # [CLS], where the text comes from an encoder
                continue
            sizes = (getattr(self, f"{m}_{what}") for what in ("hidden", "width", "dropout"))
            subnet = LastStateSubnet(*sizes, self.dtype, name=f"{m}_subnet")
            vectors[m] = subnet(x_BTD, mask_BT, train=train)
        return vectors


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss, and for each modality with a head the weighted error of its score."""

    task: losses.TaskName = "l1"  # toolkit
    text_weight: NonNegative = 1.0  # of the text's head; toolkit
    audio_weight: NonNegative = 1.0  # of audio's head; toolkit
    vision_weight: NonNegative = 1.0  # of vision's head; toolkit

    def terms(self, model: SelfMM) -> Iterator[Term]:
        """`l1_<m>`: the mean over the clips that have m of tanh|y_m - y| |score_m - y_m|.

        y is the clip's label and y_m the one that was made. Where none are made, y_m is y and the weight 1.
        They are terms of a training step alone: at evaluation there is no `made_label_<m>`.
        """

        def weighted(out: losses.Arrays, batch: losses.Arrays, key: Array, m: str) -> Array:
            rows_B = present(batch, m)
            own_B = jnp.where(rows_B, batch["label"], 0.0)
            if model.targets == "own":
                return masked_mean(jnp.abs(out[f"prediction_{m}"] - own_B), rows_B)
            made_B = jnp.where(rows_B, out[f"made_label_{m}"], 0.0)
            weight_B = jnp.tanh(jnp.abs(made_B - own_B))
            return masked_mean(weight_B * jnp.abs(out[f"prediction_{m}"] - made_B), rows_B)

        for m in model.heads:
            yield Term(f"l1_{m}", getattr(self, f"{m}_weight"), partial(weighted, m=m))


Model = SelfMM

# The toolkit's, as L2 in Adam, stands beside the sum of four batches' gradients; here it is their mean.
DECAY = 1e-3
# The toolkit's for CMU-MOSI.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 16,
    "data.time_line": "own",
    "optim.learning_rate": 1e-3,
    "optim.clip": math.inf,
    "optim.accumulate": 4,
    "optim.weight_decay": DECAY / 4,
    "optim.coupled": True,
    "optim.groups": (
        ("^encoder/.*(bias|scale)$", 0.05, 0.0),
        ("^encoder/", 0.05),
        ("^audio_subnet/", 5.0),
        ("^vision_subnet/", 5.0),
        (".*", 1.0),
    ),
}

# The subsets of unimodal heads that the paper compares, and heads that learn the clip's own label.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "m": {"model.unimodal": ()},
    "m_v": {"model.unimodal": ("vision",)},
    "m_a": {"model.unimodal": ("audio",)},
    "m_t": {"model.unimodal": ("text",)},
    "m_av": {"model.unimodal": ("audio", "vision")},
    "m_tv": {"model.unimodal": ("text", "vision")},
    "m_ta": {"model.unimodal": ("text", "audio")},
    "no_labels": {"model.targets": "own"},
    # Each step moves the parameters: an epoch of these has few.
    "synthetic": {"optim.accumulate": 1, "optim.weight_decay": DECAY, "model.bound": 3.0},
    "tiny": {
        "optim.accumulate": 1,
        "optim.weight_decay": DECAY,
        "model.audio_hidden": 8,
        "model.vision_hidden": 8,
        "model.audio_width": 8,
        "model.vision_width": 8,
        "model.fusion_head": 8,
        "model.text_head": 8,
        "model.audio_head": 8,
        "model.vision_head": 8,
    },
}
