"""MISA: each modality in a subspace that all share and in one of its own, and attention over all of these.

Source: Hazarika, Zimmermann and Poria, "MISA: Modality-invariant and -specific representations for multimodal
sentiment analysis", ACM Multimedia 2020, arXiv:2005.03545. Sizes are those of the MMSA toolkit for CMU-MOSI
("toolkit"), which most tables quote.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.attention import MultiHeadAttention
from msa_jax.layers.dense import Dense, Dense32
from msa_jax.layers.dropout import Dropout, draw_bits, drop
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time
from msa_jax.layers.recurrent import BiLSTM
from msa_jax.losses import Term, cross_entropy, masked_mean, present
from msa_jax.models._misa_subspaces import central_moment_discrepancy, overlap
from msa_jax.models._streams import streams_of
from msa_jax.models.fields import Divides, NonNegative, Positive, Rate
from msa_jax.text import Encoder

_norm = partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)
BOTH = ("private", "shared")
# Of each form: the subspaces that are learnt, and those whose vectors are fused.
FORMS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "full": (BOTH, BOTH),
    "base": (("private",), ("private",)),
    "invariant": (("shared",), ("shared",)),
    "specific_fusion": (BOTH, ("private",)),
    "invariant_fusion": (BOTH, ("shared",)),
}


class StackedLSTM(nn.Module):
    """Two bidirectional LSTMs with a LayerNorm between, whose four last states are the vector of a clip.

    Attributes:
      hidden: width of each state; None: that of the input.
      dtype: compute type of the products.
    """

    hidden: int | None
    dtype: Any

    @nn.compact
    def __call__(self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B F"]:
        """[B, T, D] to [B, 4 * hidden]: first layer forward and backward, then the second."""
        hidden = self.hidden or x_BTD.shape[-1]
        states_BTF, first_BF = BiLSTM(hidden, self.dtype, name="lstm_0")(x_BTD, mask_BT)
        _, second_BF = BiLSTM(hidden, self.dtype, name="lstm_1")(_norm(name="norm")(states_BTF), mask_BT)
        return jnp.concatenate([first_BF, second_BF], axis=-1)


class PostNormLayer(nn.Module):
    """Self-attention and a feed-forward network over a few vectors, each normalised after the residual sum.

    Attributes:
      heads, ffn_width: sizes.
      dropout: rate on attention weights, inside the feed-forward network, and on what each half adds.
      dtype: compute type of the products.
    """

    heads: int
    ffn_width: int
    dropout: float
    dtype: Any

    @nn.compact
    def __call__(
        self, x_BMD: Float[Array, "B M D"], *, train: bool
    ) -> tuple[Float[Array, "B M D"], Float[Array, "B H M M"]]:
        """(the vectors, the attention weights)."""
        B, M, D = x_BMD.shape
        shapes = [(self.heads, M, M), (M, D), (M, self.ffn_width), (M, D)]
        of_weights, of_mixed, of_hidden, of_out = draw_bits(
            self, B, shapes, active=train and self.dropout > 0
        )
        attend = MultiHeadAttention(self.heads, self.dropout, self.dtype, name="attention")
        every_BM = jnp.ones((B, M), bool)
        mixed_BMD, weights_BHMM = attend(x_BMD, x_BMD, every_BM, train=train, bits_BHQS=of_weights)
        x_BMD = _norm(name="attention_norm")(x_BMD + drop(mixed_BMD, of_mixed, self.dropout))
        hidden_BMF = nn.relu(Dense(self.ffn_width, dtype=self.dtype, name="ffn_in")(x_BMD))
        hidden_BMF = drop(hidden_BMF, of_hidden, self.dropout)
        out_BMD = Dense32(D, dtype=self.dtype, name="ffn_out")(hidden_BMF)
        return _norm(name="ffn_norm")(x_BMD + drop(out_BMD, of_out, self.dropout)), weights_BHMM


def reverse_gradient(x: Float[Array, "*B"], weight: float) -> Float[Array, "*B"]:
    """x, whose gradient is turned round and multiplied by `weight` (Ganin and Lempitsky, ICML 2015)."""
    return jax.lax.stop_gradient((1.0 + weight) * x) - weight * x


class MISA(nn.Module):
    """A vector of each modality, its parts in both subspaces, their attention, and the head.

    The text's vector is the mean of its tokens' states, special tokens included; audio and vision are read to
    their own ends (ours: the toolkit cuts both at the length of the text). A clip without a modality has
    zeros in place of the mean or the states, and counts in no term of the loss that needs the modality.

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
    # What is learnt and fused; others than "full" are the ablations of the paper. "base": one encoder for
    # each modality and no loss but the task's; "invariant": the shared encoder alone; "specific_fusion",
    # "invariant_fusion": both are learnt, and one of them fused.
    form: Literal["full", "base", "invariant", "specific_fusion", "invariant_fusion"] = "full"
    width: Positive = 128  # D of every vector; toolkit
    # "lstm": the text is read as audio and vision are, as in the paper where it comes as word vectors.
    text_vector: Literal["mean", "lstm"] = "mean"
    lstm_width: Positive | None = None  # state of an LSTM; None: as wide as what it reads, toolkit
    heads: Annotated[Positive, Divides("width")] = 2  # of the fusion's attention; toolkit
    ffn_width: Positive = 2048  # inside the fusion's feed-forward network; toolkit
    fusion_dropout: Rate = 0.1  # in attention and feed-forward network; toolkit
    dropout: Rate = 0.2  # in the layer before the head, and in the discriminator; toolkit
    # What draws the modalities' shared vectors together: the discrepancy of their central moments, or a
    # discriminator that is to be deceived, which the paper names as the other way.
    similarity: Literal["moments", "adversarial"] = "moments"
    reverse_weight: NonNegative = 0.8  # of the gradient that the discriminator hands back; toolkit
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def has_discriminator(self) -> bool:
        """Whether there are shared vectors of several modalities, and a discriminator that compares them."""
        several = len(self.modalities) > 1 and "shared" in FORMS[self.form][0]
        return several and self.similarity == "adversarial"

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`.
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; of each modality `vector_<m>`, `private_<m>`,
          `shared_<m>` and `recon_<m>`, [B, width], where the form has them, and `domain_<m>` [B, modalities],
          the logits of a discriminator; `fused` [B, F], the last hidden layer; `attention` [B, heads, M, M]
          over the M vectors that are fused, the modalities' private ones before their shared ones.
        """
        learnt, fused = FORMS[self.form]
        dense = partial(Dense32, self.width, dtype=self.dtype)
        shared = dense(name="shared") if "shared" in learnt else None
        out: dict[str, Array] = {}
        for m, (x_BTD, mask_BT) in streams_of(self, batch, train=train).items():
            vector_BD = self._vector(m, x_BTD, mask_BT)
            if "private" in learnt:
                out[f"private_{m}"] = nn.sigmoid(dense(name=f"private_{m}")(vector_BD))
            if shared is not None:
                out[f"shared_{m}"] = nn.sigmoid(shared(vector_BD))
            if self.form != "base":
                whole_BD = sum(out[f"{part}_{m}"] for part in learnt)
                out[f"recon_{m}"] = dense(name=f"recon_{m}")(whole_BD)
            out[f"vector_{m}"] = vector_BD
        if self.has_discriminator():
            out |= self._domains(out, train)
        used = [m for m in MODALITIES if m in self.modalities]
        parts_BMD = jnp.stack([out[f"{part}_{m}"] for part in fused for m in used], axis=1)
        layer = PostNormLayer(self.heads, self.ffn_width, self.fusion_dropout, self.dtype, name="fusion")
        mixed_BMD, attention = layer(parts_BMD, train=train)
        flat_BD = mixed_BMD.reshape(len(mixed_BMD), -1)
        hidden = math.ceil(flat_BD.shape[1] / 2)  # toolkit: 3 * width of 6 * width
        fused_BF = nn.relu(Dense32(hidden, dtype=self.dtype, name="hidden")(flat_BD))
        fused_BF = Dropout(self.dropout)(fused_BF, train=train)
        return {**Head(self.outputs, name="head")(fused_BF), **out, "fused": fused_BF, "attention": attention}

    def _vector(
        self, m: str, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]
    ) -> Float[Array, "B D"]:
        """The vector u of a modality, brought to the common width."""
        if m == "text" and self.text_vector == "mean":
            x_BD = mean_over_time(x_BTD, mask_BT)
        else:
            x_BD = StackedLSTM(self.lstm_width, self.dtype, name=f"{m}_lstm")(x_BTD, mask_BT)
        x_BD = nn.relu(Dense32(self.width, dtype=self.dtype, name=f"{m}_project")(x_BD))
        return _norm(name=f"{m}_norm")(x_BD)

    def _domains(self, out: Mapping[str, Array], train: bool) -> dict[str, Array]:
        """Logits of the modality that a shared vector is of, as a discriminator sees it."""
        used = [m for m in MODALITIES if m in self.modalities]
        inner = Dense32(self.width, dtype=self.dtype, name="discriminator_hidden")
        outer = nn.Dense(len(used), name="discriminator_output")
        shared_BMD = jnp.stack([out[f"shared_{m}"] for m in used], axis=1)
        hidden_BMD = nn.relu(inner(reverse_gradient(shared_BMD, self.reverse_weight)))
        logits_BMO = outer(Dropout(self.dropout)(hidden_BMD, train=train))
        return {f"domain_{m}": logits_BMO[:, k] for k, m in enumerate(used)}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss, L_sim, L_diff and L_recon; a form has the terms of the subspaces that it learns."""

    task: losses.TaskName = "mse"  # toolkit
    sim_weight: NonNegative = 0.3  # toolkit
    diff_weight: NonNegative = 0.1  # toolkit
    recon_weight: NonNegative = 1.0  # toolkit
    moments: Positive = 5  # that the discrepancy compares, the mean among them; paper and toolkit

    def terms(self, model: MISA) -> Iterator[Term]:
        """`sim`, over the pairs of modalities; `diff`, over pairs of vectors; `recon`."""
        if model.form == "base":
            return
        used = [m for m in MODALITIES if m in model.modalities]
        learnt, _ = FORMS[model.form]

        def stacked(out: losses.Arrays, batch: losses.Arrays, *parts: str) -> tuple[Array, Array]:
            """Those vectors of all modalities [N, B, D], and the clips that have them [N, B]."""
            x_NBD = jnp.stack([out[f"{part}_{m}"] for part in parts for m in used])
            return x_NBD, jnp.stack([present(batch, m) for _ in parts for m in used])

        def moments(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            return central_moment_discrepancy(*stacked(out, batch, "shared"), moments=self.moments)

        def adversarial(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            """How far the discriminator is from telling the modalities apart, over all shared vectors."""
            logits_NBO, rows_NB = stacked(out, batch, "domain")
            kind_NB = jnp.broadcast_to(jnp.arange(len(used))[:, None], rows_NB.shape)
            return cross_entropy(
                logits_NBO.reshape(-1, len(used)), kind_NB.reshape(-1), mask=rows_NB.reshape(-1)
            )

        def difference(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            """Between the two vectors of each modality, and between the private ones of each pair."""
            M = len(used)
            pairs = [(k, M + k) for k in range(M)] + list(itertools.combinations(range(M), 2))
            return overlap(*stacked(out, batch, *BOTH), pairs)

        def reconstruction(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            def of(m: str) -> Array:
                error_B = jnp.mean((out[f"recon_{m}"] - out[f"vector_{m}"]) ** 2, axis=-1)
                return masked_mean(error_B, present(batch, m))

            return sum(of(m) for m in used) / len(used)

        if len(used) > 1:
            yield Term("sim", self.sim_weight, adversarial if model.has_discriminator() else moments)
        if learnt == BOTH:
            yield Term("diff", self.diff_weight, difference)
        yield Term("recon", self.recon_weight, reconstruction)


Model = MISA

# The toolkit's for CMU-MOSI. It has a weight decay for the other corpora, which never reaches its optimiser:
# there is none here. It clips the running sum of the gradients of two steps at 0.8; here their mean is.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 16,
    "optim.learning_rate": 1e-4,  # of the text encoder, too
    "optim.accumulate": 2,
    "optim.clip": math.inf,
    "optim.clip_value": 0.4,
    "data.time_line": "own",
}

# The ablations of the paper, its two ways to similarity, and the text as it reads word vectors.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_sim": {"loss.sim_weight": 0.0},
    "no_diff": {"loss.diff_weight": 0.0},
    "no_recon": {"loss.recon_weight": 0.0},
    "base": {"model.form": "base"},
    "invariant": {"model.form": "invariant"},
    "specific_fusion": {"model.form": "specific_fusion"},
    "invariant_fusion": {"model.form": "invariant_fusion"},
    "adversarial": {"model.similarity": "adversarial"},
    "text_lstm": {"model.text_vector": "lstm"},
    "synthetic": {"optim.learning_rate": 1e-3},  # of an encoder that is made new
    "tiny": {"model.width": 8, "model.lstm_width": 4, "model.ffn_width": 16},
}
