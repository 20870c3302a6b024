"""TFN: every product of the modalities' vectors, in one tensor.

Source: Zadeh et al., "Tensor fusion network for multimodal sentiment analysis", EMNLP 2017, arXiv:1707.07250.
Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit"), which most tables quote.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import drop, hashed_bits
from msa_jax.layers.head import Head
from msa_jax.models._streams import CROSS_MODAL, Front, streams_of, vectors_of
from msa_jax.models.fields import Misfit, NonNegative, Positive, Rate
from msa_jax.text import Encoder

Order = Literal["unimodal", "bimodal", "trimodal"]
ORDERS: tuple[Order, ...] = ("unimodal", "bimodal", "trimodal")


class TensorFusion(nn.Module):
    """A Dense layer over the outer product of [1; vector] of each modality (section 4.2).

    The entries of that tensor are those of smaller ones, of each modality, each pair and the triple: as many
    products, and a kernel for each. The one entry left is 1, and its weight is the bias.

    Attributes:
      features: width of the output.
      orders: of how many modalities a tensor may be.
      dropout: rate on each entry of the tensors.
      dtype: compute type of the products.
    """

    features: int
    orders: tuple[Order, ...]
    dropout: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, vectors: Mapping[str, Float[Array, "B D"]], *, train: bool) -> Float[Array, "B F"]:
        """[B, D] of each modality to [B, features], float32."""
        modalities = [m for m in MODALITIES if m in vectors]
        chosen = [
            names
            for k, order in enumerate(ORDERS[: len(vectors)])
            if order in self.orders
            for names in itertools.combinations(modalities, k + 1)
        ]
        sizes = {names: [vectors[m].shape[1] for m in names] for names in chosen}
        # As of one Dense layer over all entries.
        init = nn.initializers.normal(sum(math.prod(size) for size in sizes.values()) ** -0.5)
        out_BF = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)[None]
        for names, size in sizes.items():
            key = self.make_rng("dropout") if train and self.dropout else None
            sliced = len(names) == 3
            shape = (size[0], self.features, *size[1:]) if sliced else (self.features, *size)
            kernel = self.param(f"kernel_{'_'.join(names)}", init, shape, jnp.float32)
            first_BD, *others = (vectors[m] for m in names)
            if sliced:
                kernel_DFC = kernel.reshape(*shape[:2], -1)
                out_BF = out_BF + self._slices(first_BD, _outer(*others), kernel_DFC, key)
            else:
                x_BC = _outer(first_BD, *others) if others else first_BD
                out_BF = out_BF + self._product(x_BC, kernel.reshape(self.features, -1), key)
        return out_BF

    def _product(self, x_BC: Array, kernel_FC: Array, key: Array | None) -> Array:
        """[B, C] entries to [B, features]."""
        if key is not None:
            x_BC = drop(x_BC, hashed_bits(key, *x_BC.shape), self.dropout)
        operands = x_BC.astype(self.dtype), kernel_FC.astype(self.dtype)
        return jnp.einsum("bc,fc->bf", *operands).astype(jnp.float32)

    def _slices(self, first_BD: Array, rest_BC: Array, kernel_DFC: Array, key: Array | None) -> Array:
        """The product of the kernel with the outer product of both vectors, [B, features].

        Dropout draws for each entry, so that no vector can be taken out of the sum. The whole tensor of a
        batch would go through memory several times, forward and backward; its slice at one entry of the first
        vector stays in a core's cache. For that the kernel has the features behind the first axis.
        """
        keys = None if key is None else jax.random.split(key, len(kernel_DFC))

        def add(out_BF: Array, now: tuple[Array, Array, Array | None]) -> tuple[Array, None]:
            first_B, kernel_FC, key = now
            return out_BF + self._product(first_B[:, None] * rest_BC, kernel_FC, key), None

        zero_BF = jnp.zeros((len(first_BD), self.features), jnp.float32)
        add = jax.checkpoint(add, prevent_cse=False)
        return jax.lax.scan(add, zero_BF, (first_BD.T, kernel_DFC, keys))[0]


def _outer(x_BD: Float[Array, "B D"], y_BE: Float[Array, "B E"]) -> Float[Array, "B DE"]:
    """The outer product of two vectors, its entries side by side."""
    return (x_BD[:, :, None] * y_BE[:, None, :]).reshape(len(x_BD), -1)


class TFN(nn.Module):
    """One vector for each modality, their tensor, and three Dense layers over it (section 4).

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
    text_width: Positive = 32  # vector of the text; toolkit
    audio_width: Positive = 32  # vector of audio; toolkit
    vision_width: Positive = 128  # vector of vision; toolkit
    hidden: Positive = 64  # of the two layers over the tensor; toolkit
    # Which parts of the tensor there are: of one modality, of pairs, of triples; section 5.2's ablations.
    subtensors: tuple[Order, ...] = ORDERS
    text_dropout: Rate = 0.3  # on the text's state; toolkit (which sets it and leaves it out)
    audio_dropout: Rate = 0.3  # on the mean of the audio rows; toolkit
    vision_dropout: Rate = 0.3  # on the mean of the vision rows; toolkit
    fusion_dropout: Rate = 0.5  # on the tensor's entries; toolkit
    # A score lies between minus this and this, as labels do; 0 sets no bound. The toolkit has 3 for every
    # corpus, so that CH-SIMS, whose labels end at 1, uses a third of the range.
    bound: NonNegative = 3.0
    batch_norm: bool = False  # on the means of audio and vision; toolkit: True
    count_padding: bool = False  # as the toolkit does: the LSTM and the means run over padding, too
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def check(self, max_length: int) -> None:
        """Refuses parts of the tensor that these modalities do not have."""
        del max_length
        if not set(self.subtensors) & set(ORDERS[: len(self.modalities)]):
            raise Misfit(f"subtensors: {self.subtensors} has no part for {', '.join(self.modalities)} alone")

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`, and `mask` [B], False on rows that only pad the batch.
          train: whether dropout is active (rng "dropout"), and statistics are the batch's.

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, hidden], the vector before the last Dense;
          `vector_<m>` [B, width of m].
        """
        streams = streams_of(self, batch, train=train, count_padding=self.count_padding)
        streams = self.front(streams, train=train, dtype=self.dtype)
        vectors = vectors_of(self, streams, batch, train=train)
        fusion = TensorFusion(self.hidden, self.subtensors, self.fusion_dropout, self.dtype, name="fusion")
        x_BF = nn.relu(fusion(vectors, train=train))
        fused_BF = nn.relu(Dense32(self.hidden, dtype=self.dtype, name="dense")(x_BF))
        out = Head(self.outputs, name="head")(fused_BF)
        if self.bound and not self.outputs:
            out = {k: self.bound * jnp.tanh(0.5 * x) for k, x in out.items()}
        return {**out, "fused": fused_BF, **{f"vector_{m}": x for m, x in vectors.items()}}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit; the paper: mse


Model = TFN

# The toolkit's for CMU-MOSI.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 32,
    "optim.learning_rate": 1e-3,
    "optim.clip": math.inf,
    "data.time_line": "own",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

# The paper's forms of the tensor (section 5.2); those of one modality are :text_only and so on.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "early": {"model.subtensors": ("unimodal",)},  # the vectors side by side
    "bimodal": {"model.subtensors": ("bimodal",)},
    "trimodal": {"model.subtensors": ("trimodal",)},
    "no_trimodal": {"model.subtensors": ("unimodal", "bimodal")},
    "batch_norm": {"model.batch_norm": True},
    "unbounded": {"model.bound": 0.0},
    "crossmodal": CROSS_MODAL,
    "synthetic": {"model.bound": 3.0},  # the embedded corpus has labels of that range, whatever the config's
    "tiny": {
        "model.text_hidden": 8,
        "model.text_width": 4,
        "model.audio_width": 8,
        "model.vision_width": 8,
        "model.hidden": 8,
    },
}
