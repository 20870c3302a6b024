"""AMSGFN: the modality that scores highest for a clip leads; the others are fused into it through a gate.

Source: He, "Multimodal sentiment analysis based on dynamic mode selection and contrastive learning
alignment", 2026, section 2. Where the paper is silent, the choice made here is marked "ours".
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.attention import MultiHeadAttention
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time
from msa_jax.layers.transformer import Transformer, sinusoids
from msa_jax.losses import Monitor, Term, masked_mean, nce, nt_xent, present
from msa_jax.models import _amsgfn_scores as selection
from msa_jax.models._amsgfn_fusion import fusion_layers, mean_of_streams
from msa_jax.models.fields import AboveZero, Divides, Layers, Misfit, Modality, NonNegative, Positive, Rate
from msa_jax.text import Encoder
from msa_jax.text.states import text_states


class AMSGFN(nn.Module):
    """Scores the modalities of each clip, lets the highest lead, and reads the fusion out with it.

    The modalities share one time line, the text's; a step may be valid in one and not in another. The paper
    gives no hyperparameter at all: every number here is ours.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for. One alone is always dominant and has no auxiliary:
        there is nothing to score, to align or to gate then.
      outputs: () for one score, (2,) for two classes.
    """

    TIME_LINE = "text"

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    width: Positive = 64  # d of the streams
    heads: Annotated[Positive, Divides("width")] = 4  # of every attention
    layers: Layers = 2  # N, of the fusion
    ffn_factor: Positive = 4  # width inside the feed-forward networks, in units of d
    dropout: Rate = 0.1  # on what attention and feed-forward networks add, and before the head
    attention_dropout: Rate = 0.1  # on the attention weights
    # Add a learned vector of the modality to its weighted stream, since the fusion's weights are the same
    # whichever modality leads. The vector is added after the weighting: added before, it would only
    # repeat the bias of the modality's own projection.
    modality_embedding: bool = True
    # Add sinusoidal positions to the weighted streams: as printed, permuting the rows of audio or vision in
    # time would change nothing.
    positions: bool = True
    # Let the scores see each stream's deviation over time beside its mean (ours; False is the printed eq. 3):
    # a mean says nothing of the spread by which a noisy stream is told from a clear one.
    score_spread: bool = False
    # Weigh by s_m times the number of modalities that the clip has, which keeps magnitudes (ours); False is
    # the printed s_m (eq. 5).
    score_scale: bool = True
    align: bool = True  # project the pooled streams for the alignment loss; False is "w/o CCAM"
    align_width: Positive = 64  # of that shared space
    cor: bool = True  # predict the pooled streams from the fusion for the correlation loss; False: "w/o Cor"
    # The modality that leads in every clip, whatever the scores, which still weigh: "text", "vision" and
    # "audio" are the ablations "t-", "v-", "a-oriented". Where it is missing, the highest score leads.
    dominant: Modality | None = None
    # Scale of Gumbel noise on what the choice is made by in training (rng "sample"), so that a modality that
    # has fallen behind still leads now and then; the scores that weigh have none. 0 is none at all (ours).
    gumbel: NonNegative = 0.0
    fusion: bool = True  # False is "w/o DMGF": at each step the mean of the weighted streams
    transformer_block: bool = True  # False is "w/o TB": the weighted dominant stream itself is the query
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def check(self, max_length: int) -> None:
        """Refuses a dominant modality that is not in use."""
        del max_length
        if self.dominant is not None and self.dominant not in self.modalities:
            raise Misfit(f"dominant: {self.dominant} is not in use, only {', '.join(self.modalities)}")

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d_t], `audio` [B, T, d_a], `vision` [B, T, d_v], and
            `text_mask`, `audio_mask`, `vision_mask` [B, T] bool.
          train: whether dropout (rng "dropout") and noise (rng "sample") are active.

        Returns:
          `prediction` [B], or `logits` [B, *outputs]; `scores` [B, 3], s in the order of MODALITIES, 0 for
          what is missing (where all is missing, equal for all the model's modalities); `dominant` [B], p as
          an index into MODALITIES; `fused` [B, d], the pooled readout; `attention` [B, heads, T, T] of the
          readout; `align_<m>` [B, align_width] with `align`; `cor_prediction_<m>` and `cor_target_<m>` [B, d]
          with `cor`.

        Raises:
          ValueError: when the modalities' time lines differ.
        """
        names = tuple(m for m in MODALITIES if m in self.modalities)
        M, lengths = len(names), {m: batch[f"{m}_mask"].shape[1] for m in names}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the modalities must share one time line, got steps {lengths}")
        mask_BMT = jnp.stack([batch[f"{m}_mask"] for m in names], axis=1)
        x_BMTD = jnp.stack([self._stream(m, batch, train) for m in names], axis=1)
        pooled = {m: mean_over_time(x_BMTD[:, k], mask_BMT[:, k]) for k, m in enumerate(names)}
        scores_BM, first_B = self._select(x_BMTD, mask_BMT, train)

        weight_BM = selection.relative_scores(scores_BM, mask_BMT.any(2)) if self.score_scale else scores_BM
        x_BMTD = weight_BM[:, :, None, None] * x_BMTD  # eq. 5
        if self.modality_embedding and M > 1:
            normal = nn.initializers.normal(0.02)
            embedding_MD = self.param("modality_embedding", normal, (M, self.width), jnp.float32)
            x_BMTD = x_BMTD + embedding_MD[None, :, None]
        if self.positions:
            x_BMTD = x_BMTD + jnp.asarray(sinusoids(x_BMTD.shape[2], self.width))[None, None]
        x_BMTD, mask_BMT = selection.dominant_first(first_B, x_BMTD, mask_BMT)
        fused_BTD, fused_mask_BT = self._fuse(x_BMTD, mask_BMT, train)

        query_BTD, mask_BT = x_BMTD[:, 0], mask_BMT[:, 0]
        if self.transformer_block:  # eq. 14
            block = Transformer(
                layers=1,
                heads=self.heads,
                ffn_width=self.ffn_factor * self.width,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
                dtype=self.dtype,
                name="transformer_block",
            )
            query_BTD, _ = block(query_BTD, None, mask_BT, train=train)
        readout = MultiHeadAttention(self.heads, self.attention_dropout, self.dtype, name="readout")
        read_BTD, attention_BHTT = readout(query_BTD, fused_BTD, fused_mask_BT, train=train)  # eq. 15
        read_BD = mean_over_time(read_BTD, mask_BT)
        hidden_BD = nn.relu(nn.Dense(self.width, name="hidden_dense")(read_BD))  # eq. 16
        hidden_BD = Dropout(self.dropout)(hidden_BD, train=train)

        columns = np.array([MODALITIES.index(m) for m in names])
        zeros_BM = jnp.zeros((len(first_B), len(MODALITIES)), scores_BM.dtype)
        out = {
            **Head(self.outputs, name="head")(hidden_BD),
            "scores": zeros_BM.at[:, columns].set(scores_BM),
            "dominant": jnp.asarray(columns, jnp.int32)[first_B],
            "fused": read_BD,
            "attention": attention_BHTT,
        }
        dense = partial(Dense32, dtype=self.dtype)
        if self.align and M > 1:
            out |= {f"align_{m}": dense(self.align_width, name=f"align_{m}")(pooled[m]) for m in names}
        if self.cor:
            reference_BD = mean_over_time(fused_BTD, fused_mask_BT)
            for m in names:
                out[f"cor_prediction_{m}"] = dense(self.width, name=f"cor_{m}")(reference_BD)
                out[f"cor_target_{m}"] = pooled[m]
        return out

    def _stream(self, modality: str, batch: Mapping[str, Array], train: bool) -> Float[Array, "B T D"]:
        """X_m: a modality's features, projected to d; 0 on invalid steps."""
        x_BTE = batch[modality]
        if modality == "text":
            x_BTE = text_states(self.encoder, batch, frozen=self.frozen, train=train)
        x_BTD = Dense32(self.width, dtype=self.dtype, name=f"{modality}_projection")(x_BTE)
        return jnp.where(batch[f"{modality}_mask"][..., None], x_BTD, 0.0)

    def _select(
        self, x_BMTD: Float[Array, "B M T D"], mask_BMT: Bool[Array, "B M T"], train: bool
    ) -> tuple[Float[Array, "B M"], Int[Array, " B"]]:
        """(s, p as an index into the model's own modalities) of each clip (eqs. 3-4)."""
        present_BM = mask_BMT.any(2)
        B, M = present_BM.shape
        if M == 1:
            return jnp.ones((B, 1)), jnp.zeros(B, jnp.int32)
        seen_BF = selection.summary(x_BMTD, mask_BMT, spread=self.score_spread)
        hidden_BD = nn.relu(nn.Dense(self.width, name="score_in")(seen_BF))
        logits_BM = nn.Dense(M, name="score_out")(hidden_BD)
        scores_BM = selection.present_scores(logits_BM, present_BM)
        if self.gumbel and train:
            logits_BM += self.gumbel * jax.random.gumbel(self.make_rng("sample"), logits_BM.shape)
        names = [m for m in MODALITIES if m in self.modalities]
        fixed = None if self.dominant is None else names.index(self.dominant)
        return scores_BM, selection.choose(logits_BM, present_BM, fixed=fixed)

    def _fuse(
        self, x_BMTD: Float[Array, "B M T D"], mask_BMT: Bool[Array, "B M T"], train: bool
    ) -> tuple[Float[Array, "B T D"], Bool[Array, "B T"]]:
        """(X_p^[N], its valid steps) of streams whose first is the dominant one (eqs. 6-13)."""
        if not self.fusion:
            return mean_of_streams(x_BMTD, mask_BMT), mask_BMT.any(1)
        width, rates = self.ffn_factor * self.width, (self.dropout, self.attention_dropout)
        stack = fusion_layers(self.layers)(self.heads, width, *rates, train, self.dtype, name="fusion_layers")
        alone = x_BMTD.shape[1] == 1
        aux = (None, None) if alone else (x_BMTD[:, 1:], mask_BMT[:, 1:])
        return stack(x_BMTD[:, 0], mask_BMT[:, 0], *aux)[0], mask_BMT[:, 0]


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """Eqs. 1-2 (alignment), 18 (correlation), 19; the balance term is ours."""

    align_weight: NonNegative = 0.1  # alpha
    temperature: AboveZero = 0.07  # of L_align
    cor_weight: NonNegative = 0.1  # beta
    cor_temperature: AboveZero = 0.1  # of L_cor
    balance_weight: NonNegative = 0.0  # of the divergence of the mean scores from equal shares

    def terms(self, model: AMSGFN) -> Iterator[Term]:
        """`align` over the pairs of modalities, `cor` over the modalities, and `balance`."""
        used = model.modalities
        pairs = [(m, n) for i, m in enumerate(used) for n in used[i + 1 :]]

        def align(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            return sum(
                nt_xent(
                    out[f"align_{m}"],
                    out[f"align_{n}"],
                    temperature=self.temperature,
                    mask=present(batch, m, n),
                )
                for m, n in pairs
            )

        def correlation(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            return sum(
                nce(
                    out[f"cor_prediction_{m}"],
                    out[f"cor_target_{m}"],
                    temperature=self.cor_temperature,
                    mask=present(batch, m),
                )
                for m in used
            )

        def balance(out: losses.Arrays, batch: losses.Arrays, key: Array) -> Array:
            """Divergence of the mean scores from equal shares: 0 when each modality weighs the same."""
            rows = present(batch, *used)
            share = jnp.stack([masked_mean(out["scores"][:, MODALITIES.index(m)], rows) for m in used])
            divergence = jnp.sum(share * jnp.log(jnp.maximum(share, 1e-9) * len(used)))
            return jnp.where(rows.any(), divergence, 0.0)

        if pairs and model.align:
            yield Term("align", self.align_weight, align)
        if model.cor:
            yield Term("cor", self.cor_weight, correlation)
        if len(used) > 1:
            yield Term("balance", self.balance_weight, balance)

    def monitors(self, model: AMSGFN) -> Iterator[Monitor]:
        """The share of clips in which each modality leads, `share_<m>`."""

        def share(out: losses.Arrays, batch: losses.Arrays, m: str) -> Array:
            chosen = out["dominant"] == MODALITIES.index(m)
            return masked_mean(chosen.astype(jnp.float32), jnp.asarray(batch["mask"], bool))

        for m in model.modalities:
            yield f"share_{m}", partial(share, m=m)


Model = AMSGFN

# The paper gives none: all ours.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 40,
    "patience": 10,
    "optim.learning_rate": 1e-3,
    "optim.warmup": 0.1,
    "optim.weight_decay": 1e-4,
    "optim.groups": (("^encoder/", 0.02), (".*", 1.0)),  # BERT at 2e-5
}

# Table 6, "w/o Cor" of its text, Table 5 (modalities), the streams without positions, the two fields
# against a collapse of the choice, and scores that see the spread.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_ccam": {"model.align": False},
    "t_oriented": {"model.dominant": "text"},
    "v_oriented": {"model.dominant": "vision"},
    "a_oriented": {"model.dominant": "audio"},
    "no_dmgf": {"model.fusion": False},
    "no_tb": {"model.transformer_block": False},
    "no_cor": {"model.cor": False},
    "no_positions": {"model.positions": False},
    "balance": {"loss.balance_weight": 0.1},
    "gumbel": {"model.gumbel": 1.0},
    "balance_gumbel": {"loss.balance_weight": 0.1, "model.gumbel": 1.0},
    "score_spread": {"model.score_spread": True},
    "tiny": {"model.width": 8, "model.heads": 2, "model.layers": 1, "model.align_width": 8},
}
