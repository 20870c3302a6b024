"""MMIM: a fusion of the modalities that keeps their mutual information, at two levels.

Source: Han, Chen, Poria, "Improving multimodal fusion with hierarchical mutual information maximization for
multimodal sentiment analysis", EMNLP 2021, arXiv:2109.00412. Sizes are those of the MMSA toolkit for CMU-MOSI
("toolkit"); where it and the authors' program do alike, "programs".

Between the modalities, the bound I(x; y) >= E[log q(y | x)] + H(y) is raised, with a Gaussian q whose mean
and variance two small networks predict, and H(y) estimated over the clips of each sign of the label
(`Entropy`). Between the fusion and each modality, contrastive predictive coding tells a clip's vector from
those of the other clips by what the fusion predicts of it.

The networks of q are fitted to the vectors as they are, and the rest of the model is trained with q held. The
programs do so in two passes over the training split, one after the other, in each epoch, with two optimisers;
here one step does both (ours): a term of the loss for each, whose gradients reach the one or the other alone.
So q is fitted to the vectors of the step that uses it, not to those of the epoch before; it moves as often as
the rest (on CMU-MOSEI the programs stop their first pass halfway); and one norm clips both gradients.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import named
from msa_jax.layers.pooling import first_valid, last_valid
from msa_jax.layers.recurrent import LSTM, BiLSTM
from msa_jax.losses import Term, masked_mean, present
from msa_jax.models._mmim_entropy import Entropy
from msa_jax.models._streams import streams_of
from msa_jax.models.fields import Modality, NonNegative, Positive, Rate
from msa_jax.text import Encoder

Pair = tuple[str, str]
_PAIRS = (("text", "vision"), ("text", "audio"), ("vision", "audio"))
xavier = nn.initializers.xavier_normal()  # of every matrix outside the encoder; programs


class Gaussian(nn.Module):
    """log q(y | x), without what does not depend on x and y.

    Attributes:
      bounded, log_determinant: see `MMIM`.
    """

    bounded: bool
    log_determinant: bool

    @nn.compact
    def __call__(self, x_BE: Float[Array, "B E"], y_BF: Float[Array, "B F"]) -> Float[Array, "B"]:
        """The sum over the columns of y, [B]."""
        mean_BF, spread_BF = (
            self._perceptron(x_BE, y_BF.shape[1], name) for name in ("mean", "log_variance")
        )
        if self.bounded:
            spread_BF = jnp.tanh(spread_BF)
        log_BF = -0.5 * jnp.square(mean_BF - y_BF) * jnp.exp(-spread_BF)
        return (log_BF - 0.5 * spread_BF if self.log_determinant else log_BF).sum(-1)

    def _perceptron(self, x_BE: Array, width: int, name: str) -> Array:
        hidden_BF = nn.relu(nn.Dense(width, kernel_init=xavier, name=f"{name}_in")(x_BE))
        return nn.Dense(width, kernel_init=xavier, name=f"{name}_out")(hidden_BF)


class MMIM(nn.Module):
    """Vectors of the modalities, their fusion, and what the bounds need.

    A text's vector is the encoder's first state, that of [CLS]; where the text is features, their first row.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      clips: of the training split.
    """

    SCORES_ONLY = True  # an entropy is that of the clips whose label has one sign

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    clips: int = 0
    audio_hidden: Positive = 16  # of each direction's state; toolkit
    vision_hidden: Positive = 16  # likewise; toolkit
    audio_width: Positive = 16  # of the vector; toolkit
    vision_width: Positive = 16  # of the vector; toolkit
    width: Positive = 128  # of the fusion; toolkit
    dropout: Rate = 0.1  # on the vectors side by side; toolkit
    bidirectional: bool = True  # the LSTMs; toolkit (False: the command of the authors)
    # The pairs of modalities with a bound; the toolkit's option add_va adds the third.
    bounds: tuple[Literal["text_vision", "text_audio", "vision_audio"], ...] = ("text_vision", "text_audio")
    # tanh on the predicted log variance, which has no bound otherwise; ours. The programs name it and leave
    # it out.
    bounded: bool = True
    log_determinant: bool = False  # the density's -1/2 of the log variance; the programs leave it out
    memory_size: Positive = 1  # batches before this one whose clips an entropy takes, too; programs
    # The projections of the entropies are trained. The programs hold them at their random start, and so do
    # we: trained, they would raise the entropy in place of the vectors.
    train_projection: bool = False
    ridge: NonNegative = 1e-6  # on the diagonals of the covariances; ours (programs: 0, and may be infinite)
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def pairs(self) -> tuple[Pair, ...]:
        """(x, y) of the bounds: y is predicted from x."""
        wanted = ((x, y) for x, y in _PAIRS if f"{x}_{y}" in self.bounds)
        return tuple(pair for pair in wanted if set(pair) <= set(self.modalities))

    def notes(self, batch_size: int) -> Iterator[str]:
        """What a user should know before a run."""
        del batch_size
        have = {f"{x}_{y}" for x, y in self.pairs()}
        if lost := [name for name in self.bounds if name not in have]:
            read = ", ".join(self.modalities)
            yield f"model.bounds: {', '.join(lost)} are left out, as the model reads {read} alone"

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each with
            its `<m>_mask`; in training also `label`, `index` and `mask`.
          train: whether dropout is active (rng "dropout"), and the entropies are estimated.

        Returns:
          `prediction` [B]; `fused` [B, width]; for each modality m `vector_<m>`, and `predicted_<m>` of the
          same shape, from the fusion; for each pair `lld_<x>_<y>` [B], the log likelihood with q held, and
          `fit_<x>_<y>` [B], the same for q alone; in training `entropy` [B], the sum over the pairs, in each
          row.
        """
        x_BDs = {
            m: first_valid(x_BTD, mask_BT) if m == "text" else self._vector(m, x_BTD, mask_BT)
            for m, (x_BTD, mask_BT) in streams_of(self, batch, train=train).items()
        }

        def dense(name: str, width: int) -> Dense32:
            return Dense32(width, dtype=self.dtype, kernel_init=xavier, name=name)

        joined_BE = jnp.concatenate(list(x_BDs.values()), axis=-1)
        hidden_BD = Dropout(self.dropout)(joined_BE, train=train)
        for k in range(2):
            hidden_BD = jnp.tanh(dense(f"fusion_{k}", self.width)(hidden_BD))
        head = nn.Dense(1, kernel_init=xavier, name="output_dense")
        out = {**named(head(hidden_BD), ()), "fused": hidden_BD}
        for m, x_BD in x_BDs.items():
            out[f"vector_{m}"] = x_BD
            out[f"predicted_{m}"] = dense(f"predict_{m}", x_BD.shape[1])(hidden_BD)
        return {**out, **self._bounds(x_BDs, batch, train=train)}

    def _vector(self, m: str, x_BTE: Float[Array, "B T E"], mask_BT: Bool[Array, "B T"]) -> Array:
        """[B, width of m], by a Dense layer from the last states of an LSTM."""
        hidden, width = getattr(self, f"{m}_hidden"), getattr(self, f"{m}_width")
        layer = (BiLSTM if self.bidirectional else LSTM)(hidden, self.dtype, parent=None)
        states = layer.apply({"params": self._drawn(f"{m}_lstm", layer, x_BTE, mask_BT)}, x_BTE, mask_BT)
        ends_BF = states[1] if self.bidirectional else last_valid(states, mask_BT)
        return Dense32(width, dtype=self.dtype, kernel_init=xavier, name=f"{m}_dense")(ends_BF)

    def _bounds(
        self, x_BDs: dict[str, Array], batch: Mapping[str, Array], *, train: bool
    ) -> dict[str, Array]:
        """The outputs for the bounds between the modalities."""
        out, held = {}, jax.lax.stop_gradient
        for x, y in self.pairs():
            q = Gaussian(self.bounded, self.log_determinant, parent=None)
            params = self._drawn(f"mmilb_{x}_{y}", q, x_BDs[x], x_BDs[y])
            out[f"lld_{x}_{y}"] = q.apply({"params": held(params)}, x_BDs[x], x_BDs[y])
            out[f"fit_{x}_{y}"] = q.apply({"params": params}, held(x_BDs[x]), held(x_BDs[y]))
        if not self.pairs():
            return out
        vectors = {f"{x}_{y}": (y, x_BDs[y]) for x, y in self.pairs()}
        estimate = Entropy(self.clips, self.memory_size, self.train_projection, self.ridge, name="entropy")(
            vectors, batch, train=train
        )
        return out if estimate is None else {**out, "entropy": jnp.full(len(batch["mask"]), estimate)}

    def _drawn(self, name: str, layer: nn.Module, *inputs: Array) -> Any:
        """The parameters of a layer that is called as a function of them, each matrix drawn by `xavier`."""

        def draw(key: Array) -> Any:
            leaves, tree = jax.tree.flatten(layer.init(key, *inputs)["params"])
            keys = jax.random.split(key, len(leaves))
            drawn = [
                xavier(k, x.shape, x.dtype) if x.ndim == 2 else x for k, x in zip(keys, leaves, strict=True)
            ]
            return jax.tree.unflatten(tree, drawn)

        return self.param(name, draw)


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss, the two kinds of bound, and the fit of q."""

    task: losses.TaskName = "l1"  # toolkit
    nce_weight: NonNegative = 0.1  # alpha; toolkit
    lld_weight: NonNegative = 0.1  # beta; toolkit
    entropy_weight: NonNegative = 0.1  # beta; toolkit
    # Of the fit of q, as long as a bound needs it; ours (toolkit: 1, in a pass of its own). With beta, the
    # norm that clips all is that of the toolkit's second pass; Adam's steps are as with 1, since `DEFAULTS`
    # takes a tenth of the decay for q, too.
    fit_weight: NonNegative = 0.1
    contrast: tuple[Modality, ...] = MODALITIES  # those that the fusion is to tell from other clips'
    # What stands beside a clip's own pair of fusion and vector: the vectors of the other clips (paper), or
    # the predictions from the other clips' fusions (programs).
    nce_noise: Literal["vectors", "predictions"] = "vectors"

    def terms(self, model: Any) -> Iterator[Term]:
        """`nce`, of `contrast`; where there is a bound `lld`, `fit` and `entropy`. All are to be lowered."""

        contrasted = [m for m in model.modalities if m in self.contrast]

        def nce(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            total = jnp.zeros((), jnp.float32)
            for m in contrasted:
                pair = [out[f"predicted_{m}"], out[f"vector_{m}"]]
                pair = pair if self.nce_noise == "vectors" else pair[::-1]
                total += losses.nce(*pair, temperature=1.0, mask=present(batch, m))
            return total

        def minus(what: str) -> Any:
            return lambda out, batch, key: (
                -sum(masked_mean(out[f"{what}_{x}_{y}"], present(batch, x, y)) for x, y in model.pairs())
            )

        if contrasted:
            yield Term("nce", self.nce_weight, nce)
        if model.pairs():
            yield Term("lld", self.lld_weight, minus("lld"))
            yield Term("fit", self.fit_weight if self.lld_weight else 0.0, minus("fit"))
            yield Term("entropy", self.entropy_weight, lambda out, batch, key: -_of_rows(out, batch))


def _of_rows(out: losses.Arrays, batch: losses.Arrays) -> Array:
    return masked_mean(out["entropy"], jnp.asarray(batch["mask"], bool))


Model = MMIM

# The toolkit's, which are the same for its three corpora; its weight decay is L2 in Adam. It halves the rate
# after 20 epochs without a lower loss, which its patience of 8 never lets it come to.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 32,
    "optim.learning_rate": 1e-3,
    "optim.weight_decay": 1e-4,
    "optim.coupled": True,
    "optim.clip": 1.0,
    "optim.groups": (("^encoder/", 0.05), ("^mmilb_", 1.0, 1e-5), (".*", 1.0)),
    "data.time_line": "own",
}

# The ablations of the paper, and the other readings.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_contrast": {"loss.nce_weight": 0.0, "loss.lld_weight": 0.0, "loss.entropy_weight": 0.0},
    "no_cpc": {"loss.nce_weight": 0.0},
    "no_lld": {"loss.lld_weight": 0.0},
    "no_entropy": {"loss.entropy_weight": 0.0},
    "no_cpc_text": {"loss.contrast": ("audio", "vision")},
    "no_cpc_audio": {"loss.contrast": ("text", "vision")},
    "no_cpc_vision": {"loss.contrast": ("text", "audio")},
    "no_bound_text_vision": {"model.bounds": ("text_audio",)},
    "no_bound_text_audio": {"model.bounds": ("text_vision",)},
    "add_va": {"model.bounds": ("text_vision", "text_audio", "vision_audio")},
    "unidirectional": {"model.bidirectional": False},
    "log_determinant": {"model.log_determinant": True},
    "train_projection": {"model.train_projection": True},
    "predictions": {"loss.nce_noise": "predictions"},
    "tiny": {
        "model.audio_hidden": 8,
        "model.vision_hidden": 8,
        "model.audio_width": 8,
        "model.vision_width": 8,
        "model.width": 8,
    },
}
