"""TeCaFN: cross-modal attention between clips, steadied by two contrasts.

Source: Huang et al., "Text-centered cross-sample fusion network for multimodal sentiment analysis",
Multimedia Systems 2024, 30, 228, section 3. Where the paper is silent, the choice made here says so ("ours";
"code" is what the authors' own program does).
"""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.corpora import MODALITIES
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import masked_mean, unit
from msa_jax.layers.recurrent import LSTM
from msa_jax.layers.transformer import Transformer, with_positions
from msa_jax.models.tecafn_sampling import allowed_pairs, draw_sources, nearest
from msa_jax.text import Encoder
from msa_jax.text.states import text_states


class TeCaFN(nn.Module):
    """Core modality as queries, every other modality as keys and values, in training at times another clip's.

    Three fields name modalities whatever the core is; the core's own name in them has no effect.

    A clip without modality m has an attention of exactly 0 over it; its h_{core,m} is then the core alone
    after the feed-forward networks, and stays in the sum, so that a clip whose other modalities are all
    missing is still scored by its core (ours). A clip without the core is scored by the head's biases alone.

    Attributes:
      encoder: the text encoder; None where the batch's `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      outputs: () for a score, else the shape of the logits; see `Head`.
      core: the modality that asks (Figure 3: "audio" is AeCaFN, "vision" VeCaFN); when it is not among
        `modalities`, the first of text, audio, vision that is.
      width: d, the common width (30 in the code; 16, 32 or 64 in the paper).
      heads: attention heads (code); must divide the width.
      encoder_layers: Transformer layers over audio and over vision (code).
      cross_layers: layers of each cross-sample attention (code).
      ffn_factor: width inside the feed-forward networks, in multiples of d (code).
      kernel: of the convolution that brings each modality to d (code). It stands before the Transformer and
        the LSTM, at whose width, in the paper, raw features are (eqs. 2-5): heads need not divide those
        (ours).
      lstm: an LSTM after the Transformer (eq. 4; not in the code).
      residual_on_norm: the residuals of eqs. 2-3 and 11-12 as printed; see `TransformerLayer`. Off in the
        code.
      dropout: rate on what each half of a Transformer layer adds (code).
      attention_dropout: rate on attention weights (ours).
      embedding_dropout: rate on the inputs (code).
      contrast: modalities with a stage-1 projection, for L_{core,m}. Without it the similarity of a modality
        to the core is the cosine of their mean states (ours).
      replace: modalities that go through the replacement gate and its pair prediction, L_{core,m,p}.
      hard_negatives: those of them that are replaced by one of the `num` most similar clips; the others by
        any other clip of the batch (the ablation of Table 5).
      bicon: the stage-2 projections, for L_bicon.
      p: probability of a replacement, for each modality on its own (code; the paper: 0.7 on MOSI, 0.4 on
        MOSEI). 0 leaves out the gate and the pair prediction.
      num: hard negatives to draw from (Table 7).
      head_hidden: width inside the MLP of the head (ours).
      head_dropout: rate before its last Dense (ours).
    """

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    core: str = "text"
    width: int = 30
    heads: int = 5
    encoder_layers: int = 6
    cross_layers: int = 6
    ffn_factor: int = 4
    kernel: int = 1
    lstm: bool = True
    residual_on_norm: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.1
    embedding_dropout: float = 0.25
    contrast: tuple[str, ...] = MODALITIES
    replace: tuple[str, ...] = MODALITIES
    hard_negatives: tuple[str, ...] = MODALITIES
    bicon: bool = True
    p: float = 0.5
    num: int = 3
    head_hidden: int = 30
    head_dropout: float = 0.1

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each
            with its `<m>_mask`, and `mask` [B], False on rows that only pad the batch.
          train: whether dropout (rng "dropout") and the replacement gate (rng "sample") are active.

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` z_s [B, d]. For every modality m but the core:
          `similarity_<m>` [B, B] (rows: the core's clips), `attention_<m>` [layers, B, heads, C, M] of the
          core's steps over those of the modality that was used. With a contrast: `stage1_<m>` and
          `stage1_<core>`, with `bicon` and two such modalities `stage2_<m>`: [B, d] of length 1, 0 for a
          clip without m. From the gate, in training only: `pair_logits_<m>` [B, 2], `pair_label_<m>` [B]
          (1 = its own, 0 = another's), `source_<m>` [B] the clip whose modality was used, `candidates_<m>`
          [B] how many there were to draw from.
        """
        core, others = self._roles()
        masks = {m: jnp.asarray(batch[f"{m}_mask"]) for m in (core, *others)}
        states = {m: self._states(m, batch, train=train) for m in (core, *others)}
        has = {m: mask_BT.any(1) for m, mask_BT in masks.items()}
        out: dict[str, Array] = {}

        contrasted = [m for m in others if m in self.contrast]
        for m in (core, *contrasted) if contrasted else ():
            out[f"stage1_{m}"] = self._vector(f"stage1_{m}_projection", states[m], masks[m])

        hidden = {}
        for m in others:
            pair_BD = [
                out[f"stage1_{n}"] if m in contrasted else unit(masked_mean(states[n], masks[n]))
                for n in (core, m)
            ]
            similarity_BB = jax.lax.stop_gradient(pair_BD[0] @ pair_BD[1].T)
            out[f"similarity_{m}"] = similarity_BB
            x_BMD, mask_BM = states[m], masks[m]
            gated = m in self.replace and self.p > 0
            if gated and train:
                usable_B = batch["mask"] & has[m]
                rows_BK, count_B = nearest(
                    similarity_BB,
                    allowed_pairs(usable_B & has[core], usable_B),
                    self.num if m in self.hard_negatives else len(usable_B),
                )
                source_B, replaced_B = draw_sources(self.make_rng("sample"), rows_BK, count_B, self.p)
                # The choice has no gradient, the features that were chosen have.
                x_BMD, mask_BM = x_BMD[source_B], mask_BM[source_B]
                out[f"pair_label_{m}"] = 1 - replaced_B.astype(jnp.int32)
                out[f"source_{m}"], out[f"candidates_{m}"] = source_B, count_B
            hidden[m], out[f"attention_{m}"] = self._transformer(self.cross_layers, f"cross_{m}")(
                with_positions(states[core], scale=True),
                with_positions(x_BMD, scale=True),
                mask_BM,
                train=train,
            )
            if gated:
                logits_B2 = nn.Dense(2, name=f"pair_{m}")(masked_mean(hidden[m], masks[core]))
                if train:
                    out[f"pair_logits_{m}"] = logits_B2

        if self.bicon and len(others) == 2:
            for m in others:
                z_BD = self._vector(f"stage2_{m}_projection", hidden[m], masks[core])
                out[f"stage2_{m}"] = jnp.where(has[m][:, None], z_BD, 0.0)

        means = [masked_mean(x_BCD, masks[core]) for x_BCD in (hidden or {core: states[core]}).values()]
        out["fused"] = sum(means[1:], start=means[0])
        # Eq. 17 has tanh around the score, which labels from -3 to 3 do not fit into: it goes inside.
        x_BH = nn.tanh(nn.Dense(self.head_hidden, name="head_dense")(out["fused"]))
        x_BH = Dropout(self.head_dropout)(x_BH, train=train)
        return {**Head(self.outputs, name="head")(x_BH), **out}

    def _roles(self) -> tuple[str, list[str]]:
        """(the core, the other modalities in order), after a check of the fields."""
        named = {"modalities": self.modalities, "core": (self.core,), "contrast": self.contrast}
        named |= {"replace": self.replace, "hard_negatives": self.hard_negatives}
        for field, names in named.items():
            if unknown := sorted(set(names) - set(MODALITIES)):
                raise ValueError(f"{field} holds {unknown}; known: {', '.join(MODALITIES)}")
        if not 0 <= self.p <= 1 or self.num < 1:
            raise ValueError(f"p must lie in 0 .. 1 and num be at least 1, got {self.p} and {self.num}")
        present = [m for m in MODALITIES if m in self.modalities]
        if not present:
            raise ValueError("modalities is empty")
        core = self.core if self.core in present else present[0]
        return core, [m for m in present if m != core]

    def _states(self, m: str, batch: Mapping[str, Array], *, train: bool) -> Float[Array, "B T d"]:
        """X_m, the states of one modality (eqs. 1 to 5); what stands on invalid steps has no meaning."""
        mask_BT = batch[f"{m}_mask"]
        x_BTD = text_states(self.encoder, batch, frozen=self.frozen, train=train) if m == "text" else batch[m]
        x_BTD = Dropout(self.embedding_dropout)(x_BTD.astype(jnp.float32), train=train)
        x_BTD = MaskedConv(self.width, self.kernel, name=f"{m}_projection")(x_BTD, mask_BT)
        if m == "text":  # BERT is its Transformer
            return x_BTD
        encode = self._transformer(self.encoder_layers, f"{m}_encoder")
        x_BTD, _ = encode(with_positions(x_BTD, scale=True), None, mask_BT, train=train)
        return LSTM(self.width, name=f"{m}_lstm")(x_BTD, mask_BT) if self.lstm else x_BTD

    def _transformer(self, layers: int, name: str) -> Transformer:
        return Transformer(
            layers=layers,
            heads=self.heads,
            ffn_width=self.ffn_factor * self.width,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            residual_on_norm=self.residual_on_norm,
            name=name,
        )

    def _vector(
        self, name: str, x_BTD: Float[Array, "B T d"], mask_BT: Bool[Array, "B T"]
    ) -> Float[Array, "B d"]:
        """f or g: dense at every step (a depth-wise kernel of 1 would only rescale), mean, length 1."""
        return unit(masked_mean(MaskedConv(self.width, name=name)(x_BTD, mask_BT), mask_BT))
