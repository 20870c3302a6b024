"""AMSGFN: the modality that scores highest for a clip leads; the others are fused into it through a gate.

Source: He, "Multimodal sentiment analysis based on dynamic mode selection and contrastive learning
alignment", 2026, section 2. Where the paper is silent, the choice made here is marked "ours".
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from msa_jax.corpora import MODALITIES
from msa_jax.layers.attention import MASKED, MultiHeadAttention
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import masked_mean
from msa_jax.layers.transformer import Transformer, sinusoids
from msa_jax.text import Encoder
from msa_jax.text.states import text_states


class FusionLayer(nn.Module):
    """One layer of dominant-guided fusion (eqs. 6-13).

    Attributes:
      heads: attention heads.
      ffn_width: width inside the feed-forward network.
      dropout: rate on what attention and the feed-forward network add (ours).
      attention_dropout: rate on the attention weights (ours).
      train: whether dropout is active (rng "dropout").
    """

    heads: int
    ffn_width: int
    dropout: float
    attention_dropout: float
    train: bool

    @nn.compact
    def __call__(
        self,
        x_BLD: Float[Array, "B L D"],
        mask_BL: Bool[Array, "B L"],
        aux_BALD: Float[Array, "B A L D"] | None,
        aux_mask_BAL: Bool[Array, "B A L"] | None,
    ) -> tuple[Float[Array, "B L D"], None]:
        """Takes from the auxiliary modalities what the gate lets through.

        Args:
          x_BLD: the dominant modality's representation X_p.
          mask_BL: its valid steps.
          aux_BALD: the weighted auxiliary streams, the same in every layer; None where there is none.
          aux_mask_BAL: their valid steps; a stream without one adds exactly 0.

        Returns:
          (the next X_p, None): in this order it is the body of a scan.
        """
        B, L, D = x_BLD.shape

        def drop(x: Array) -> Array:
            return Dropout(self.dropout)(x, train=self.train)

        def attend(name: str, query_BLD: Array, source_BLD: Array, source_mask_BL: Array) -> Array:
            attention = MultiHeadAttention(self.heads, self.attention_dropout, name=name)
            return drop(attention(query_BLD, source_BLD, source_mask_BL, train=self.train)[0])

        y_BLD = x_BLD + attend("self_attention", x_BLD, x_BLD, mask_BL)  # eq. 8
        if aux_BALD is not None:
            # Both auxiliaries pass through the same weights (ours), so in one product, side by side.
            query_BALD = jnp.broadcast_to(x_BLD[:, None], aux_BALD.shape)
            query_FLD, aux_FLD = (a.reshape(-1, L, D) for a in (query_BALD, aux_BALD))
            mixed_FLD = attend("cross_attention", query_FLD, aux_FLD, aux_mask_BAL.reshape(-1, L))
            aux_BLD = mixed_FLD.reshape(B, -1, L, D).sum(1)  # eqs. 6, 7, 9
            gate_BLD = nn.sigmoid(nn.Dense(D, name="gate")(jnp.concatenate([y_BLD, aux_BLD], axis=-1)))
            y_BLD = y_BLD + gate_BLD * aux_BLD  # eqs. 10-12
        hidden_BLF = nn.relu(nn.Dense(self.ffn_width, name="ffn_in")(nn.LayerNorm(name="norm")(y_BLD)))
        return y_BLD + drop(nn.Dense(D, name="ffn_out")(hidden_BLF)), None  # eq. 13


class AMSGFN(nn.Module):
    """Scores the modalities of each clip, lets the highest lead, and reads the fusion out with it.

    The modalities share one time line, the text's; a step may be valid in one and not in another.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for. One alone is always dominant and has no auxiliary:
        there is nothing to score, to align or to gate then.
      outputs: () for one score, (2,) for two classes.
      width: width d of the streams (ours).
      heads: of every attention; must divide the width (ours).
      layers: N, of the fusion (ours).
      ffn_factor: width inside the feed-forward networks, in units of d (ours).
      dropout: rate on what attention and feed-forward networks add, and before the head (ours).
      attention_dropout: rate on the attention weights (ours).
      modality_embedding: add a learned vector of the modality to its weighted stream, since the fusion's
        weights are the same whichever modality leads (ours). It comes after the weighting: before it, it
        would be no more than the bias of the modality's own projection.
      positions: add sinusoidal positions to the weighted streams (ours: as printed, permuting the rows of
        audio or vision in time would change nothing).
      score_scale: weigh by s_m times the number of modalities, which keeps magnitudes (ours); False is the
        printed s_m (eq. 5).
      align: project the pooled streams for the alignment loss; False is the ablation "w/o CCAM".
      align_width: width of that shared space (ours).
      cor: predict the pooled streams from the fusion for the correlation loss; False is "w/o Cor".
      dominant: the modality that leads in every clip, whatever the scores, which still weigh: "text",
        "vision" and "audio" are the ablations "t-", "v-", "a-oriented". Where it is missing, the highest
        score leads.
      gumbel: scale of Gumbel noise on the logits of the scores in training (rng "sample"), so that a modality
        that has fallen behind still leads now and then (ours); 0 is none.
      fusion: False is "w/o DMGF": at each step the mean of the weighted streams stands in for the layers.
      transformer_block: False is "w/o TB": the weighted dominant stream itself is the query of the readout.
    """

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    width: int = 64
    heads: int = 4
    layers: int = 2
    ffn_factor: int = 4
    dropout: float = 0.1
    attention_dropout: float = 0.1
    modality_embedding: bool = True
    positions: bool = True
    score_scale: bool = True
    align: bool = True
    align_width: int = 64
    cor: bool = True
    dominant: str | None = None
    gumbel: float = 0.0
    fusion: bool = True
    transformer_block: bool = True

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, L] ids or [B, L, d_t], `audio` [B, L, d_a], `vision` [B, L, d_v], and
            `text_mask`, `audio_mask`, `vision_mask` [B, L] bool.
          train: whether dropout (rng "dropout") and noise (rng "sample") are active.

        Returns:
          `prediction` [B], or `logits` [B, *outputs]; `scores` [B, 3], s in the order of MODALITIES, 0 for
          what is missing (where all is missing, equal for all the model's modalities); `dominant` [B], p as
          an index into MODALITIES; `fused` [B, d], the pooled readout; `attention` [B, heads, L, L] of the
          readout; `align_<m>` [B, align_width] with `align`; `cor_prediction_<m>` and `cor_target_<m>` [B, d]
          with `cor`.

        Raises:
          ValueError: when the modalities' time lines differ, or `dominant` is not one of the modalities.
        """
        names = tuple(m for m in MODALITIES if m in self.modalities)
        if self.dominant is not None and self.dominant not in names:
            raise ValueError(f"dominant must be None or one of {', '.join(names)}, got {self.dominant!r}")
        M, lengths = len(names), {m: batch[f"{m}_mask"].shape[1] for m in names}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the modalities must share one time line, got steps {lengths}")
        mask_BML = jnp.stack([batch[f"{m}_mask"] for m in names], axis=1)
        x_BMLD = jnp.stack([self._stream(m, batch, train) for m in names], axis=1)
        pooled = {m: masked_mean(x_BMLD[:, k], mask_BML[:, k]) for k, m in enumerate(names)}
        scores_BM, first_B = self._select(pooled, mask_BML.any(2), train)

        weight_BM = M * scores_BM if self.score_scale else scores_BM
        x_BMLD = weight_BM[:, :, None, None] * x_BMLD  # eq. 5
        if self.modality_embedding and M > 1:
            embedding_MD = self.param("modality_embedding", nn.initializers.normal(0.02), (M, self.width))
            x_BMLD = x_BMLD + embedding_MD[None, :, None]
        if self.positions:
            x_BMLD = x_BMLD + jnp.asarray(sinusoids(x_BMLD.shape[2], self.width))[None, None]
        # The dominant modality first, then the others: per clip a gather, in one program for all.
        order_BM = (first_B[:, None] + jnp.arange(M)[None]) % M
        x_BMLD = jnp.take_along_axis(x_BMLD, order_BM[:, :, None, None], axis=1)
        mask_BML = jnp.take_along_axis(mask_BML, order_BM[:, :, None], axis=1)
        fused_BLD, fused_mask_BL = self._fuse(x_BMLD, mask_BML, train)

        query_BLD, mask_BL = x_BMLD[:, 0], mask_BML[:, 0]
        if self.transformer_block:  # eq. 14
            block = Transformer(
                layers=1,
                heads=self.heads,
                ffn_width=self.ffn_factor * self.width,
                dropout=self.dropout,
                attention_dropout=self.attention_dropout,
                name="transformer_block",
            )
            query_BLD, _ = block(query_BLD, None, mask_BL, train=train)
        readout = MultiHeadAttention(self.heads, self.attention_dropout, name="readout")
        read_BLD, attention_BHLL = readout(query_BLD, fused_BLD, fused_mask_BL, train=train)  # eq. 15
        read_BD = masked_mean(read_BLD, mask_BL)
        hidden_BD = nn.relu(nn.Dense(self.width, name="hidden_dense")(read_BD))  # eq. 16
        hidden_BD = Dropout(self.dropout)(hidden_BD, train=train)

        columns = np.array([MODALITIES.index(m) for m in names])
        out = {
            **Head(self.outputs, name="head")(hidden_BD),
            "scores": jnp.zeros((len(first_B), len(MODALITIES))).at[:, columns].set(scores_BM),
            "dominant": jnp.asarray(columns, jnp.int32)[first_B],
            "fused": read_BD,
            "attention": attention_BHLL,
        }
        if self.align and M > 1:
            out |= {f"align_{m}": nn.Dense(self.align_width, name=f"align_{m}")(pooled[m]) for m in names}
        if self.cor:
            reference_BD = masked_mean(fused_BLD, fused_mask_BL)
            for m in names:
                out[f"cor_prediction_{m}"] = nn.Dense(self.width, name=f"cor_{m}")(reference_BD)
                out[f"cor_target_{m}"] = pooled[m]
        return out

    def _stream(self, modality: str, batch: Mapping[str, Array], train: bool) -> Float[Array, "B L D"]:
        """X_m: a modality's features, projected to d; 0 on invalid steps."""
        x_BLE = batch[modality]
        if modality == "text":
            x_BLE = text_states(self.encoder, batch, frozen=self.frozen, train=train)
        x_BLD = nn.Dense(self.width, name=f"{modality}_projection")(x_BLE)
        return jnp.where(batch[f"{modality}_mask"][..., None], x_BLD, 0.0)

    def _select(
        self, pooled: dict[str, Float[Array, "B D"]], present_BM: Bool[Array, "B M"], train: bool
    ) -> tuple[Float[Array, "B M"], Int[Array, " B"]]:
        """(s, p as an index into the model's own modalities) of each clip (eqs. 3-4)."""
        B, M = present_BM.shape
        if M == 1:
            return jnp.ones((B, 1)), jnp.zeros(B, jnp.int32)
        hidden_BD = nn.relu(nn.Dense(self.width, name="score_in")(jnp.concatenate(list(pooled.values()), -1)))
        logits_BM = nn.Dense(M, name="score_out")(hidden_BD)
        if self.gumbel and train:
            logits_BM += self.gumbel * jax.random.gumbel(self.make_rng("sample"), logits_BM.shape)
        # Finite in place of minus infinity: where all are missing the scores come out equal, not NaN.
        logits_BM = jnp.where(present_BM, logits_BM, MASKED)
        first_B = jnp.argmax(logits_BM, axis=1)
        if self.dominant is not None:
            fixed = list(pooled).index(self.dominant)
            first_B = jnp.where(present_BM[:, fixed], fixed, first_B)
        return nn.softmax(logits_BM), first_B

    def _fuse(
        self, x_BMLD: Float[Array, "B M L D"], mask_BML: Bool[Array, "B M L"], train: bool
    ) -> tuple[Float[Array, "B L D"], Bool[Array, "B L"]]:
        """(X_p^[N], its valid steps) of streams whose first is the dominant one (eqs. 6-13)."""
        if not self.fusion:
            kept_BMLD = jnp.where(mask_BML[..., None], x_BMLD, 0.0)
            count_BL1 = jnp.maximum(mask_BML.sum(1), 1)[..., None]
            return kept_BMLD.sum(1) / count_BL1, mask_BML.any(1)
        stack = nn.scan(
            FusionLayer,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.layers,
        )(
            self.heads,
            self.ffn_factor * self.width,
            self.dropout,
            self.attention_dropout,
            train,
            name="fusion_layers",
        )
        alone = x_BMLD.shape[1] == 1
        aux = (None, None) if alone else (x_BMLD[:, 1:], mask_BML[:, 1:])
        return stack(x_BMLD[:, 0], mask_BML[:, 0], *aux)[0], mask_BML[:, 0]
