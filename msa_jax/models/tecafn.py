"""TeCaFN: cross-modal attention between clips, steadied by two contrasts.

Source: Huang et al., "Text-centered cross-sample fusion network for multimodal sentiment analysis",
Multimedia Systems 2024, 30, 228, section 3. Where the paper is silent, the choice made here says so ("ours";
"code" is what the authors' own program does).
"""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.attention import most_heads
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time
from msa_jax.layers.recurrent import LSTM
from msa_jax.layers.transformer import Transformer, with_positions
from msa_jax.losses import Monitor, Term, cross_entropy, info_nce, masked_mean, present
from msa_jax.losses.contrastive import unit
from msa_jax.models._tecafn_sampling import replacement
from msa_jax.models.fields import AboveZero, Divides, Layers, Modality, NonNegative, Positive, Rate, Share
from msa_jax.text import Encoder
from msa_jax.text.states import text_states


class TeCaFN(nn.Module):
    """Core modality as queries, every other modality as keys and values, in training at times another clip's.

    A clip without modality m has an attention of exactly 0 over it; its h_{core,m} is then the core alone
    after the feed-forward networks, and stays in the sum, so that a clip whose other modalities are all
    missing is still scored by its core (ours). A clip without the core is scored by the head's biases alone.

    Attributes:
      encoder: the text encoder; None where the batch's `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      outputs: () for a score, else the shape of the logits; see `Head`.
    """

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    core: Modality = "text"  # asks; the first in use where it is not (Figure 3: AeCaFN, VeCaFN)
    width: Positive = 30  # d, the common width (30 in the code; 16, 32 or 64 in the paper)
    heads: Annotated[Positive, Divides("width")] = 2  # ours: it divides all of these (code: 5, at 30)
    encoder_layers: Layers = 6  # of the Transformers over audio and over vision; code
    cross_layers: Layers = 6  # of each cross-sample attention; code
    ffn_factor: Positive = 4  # width inside the feed-forward networks, in multiples of d; code
    kernel: Positive = 1  # of the convolution that brings each modality to d; code
    # Where that convolution stands: "first", before the Transformer and the LSTM (code), or "last", on the
    # LSTM's output (eq. 5), so that both work at the width of the raw features; see `most_heads`.
    convolution: Literal["first", "last"] = "first"
    lstm: bool = True  # an LSTM after the Transformer (eq. 4; not in the code)
    residual_on_norm: bool = False  # True: eqs. 2-3 and 11-12 as printed; see `TransformerLayer`
    dropout: Rate = 0.1  # on what each half of a Transformer layer adds; code
    attention_dropout: Rate = 0.1  # on attention weights; ours
    embedding_dropout: Rate = 0.25  # on the inputs; code
    # Modalities with a stage-1 projection, for L_{core,m}; without it their similarity to the core is the
    # cosine of mean states (ours).
    contrast: tuple[Modality, ...] = MODALITIES
    replace: tuple[Modality, ...] = MODALITIES  # those with a gate and its pair prediction, L_{core,m,p}
    hard_negatives: tuple[Modality, ...] = MODALITIES  # take one of the `num` most similar clips; Table 5
    bicon: bool = True  # the stage-2 projections, for L_bicon
    # Probability of a replacement, for each modality on its own (code; the paper: 0.7 on MOSI, 0.4 on MOSEI).
    # 0 leaves out the gate and the pair prediction.
    p: Share = 0.5
    num: Positive = 3  # hard negatives to draw from; Table 7
    head_hidden: Positive = 30  # width inside the MLP of the head; ours
    head_dropout: Rate = 0.1  # before its last Dense; ours
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def notes(self, batch_size: int) -> Iterator[str]:
        """What a user should know before a run with batches of this size."""
        others = set(self.replace) & set(self.hard_negatives) & set(self.modalities) - {self.core}
        if batch_size <= self.num and others and self.p:
            few = f"a batch of {batch_size} has fewer than the {self.num} hard negatives that model.num asks"
            yield f"{few} for; all others of the batch are drawn from (candidates_* in metrics.jsonl)"

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, D] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each
            with its `<m>_mask`, and `mask` [B], False on rows that only pad the batch.
          train: whether dropout (rng "dropout") and the replacement gate (rng "sample") are active.

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` z_s [B, D]. For every modality m but the core:
          `similarity_<m>` [B, B] (rows: the core's clips), `attention_<m>` [layers, B, heads, T, S] of the
          core's steps over those of the modality that was used; `stage1_<m>`, `stage1_<core>`, `stage2_<m>`
          [B, D] of length 1, 0 for a clip without m. From the gate, in training only: `pair_logits_<m>`
          [B, 2], `pair_label_<m>` [B] (1: its own, 0: another's), `source_<m>` [B] the clip whose modality
          was used, `candidates_<m>` [B] how many there were.
        """
        core, others = self.roles()
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
                out[f"stage1_{n}"] if m in contrasted else unit(mean_over_time(states[n], masks[n]))
                for n in (core, m)
            ]
            similarity_BB = jax.lax.stop_gradient(pair_BD[0] @ pair_BD[1].T)
            out[f"similarity_{m}"] = similarity_BB
            x_BSD, mask_BS = states[m], masks[m]
            gated = m in self.replace and self.p > 0
            if gated and train:
                source_B, replaced_B, count_B = replacement(
                    self.make_rng("sample"),
                    similarity_BB,
                    has[core],
                    batch["mask"] & has[m],
                    num=self.num if m in self.hard_negatives else len(similarity_BB),
                    p=self.p,
                )
                # The choice has no gradient, the features that were chosen have.
                x_BSD, mask_BS = x_BSD[source_B], mask_BS[source_B]
                out[f"pair_label_{m}"] = 1 - replaced_B.astype(jnp.int32)
                out[f"source_{m}"], out[f"candidates_{m}"] = source_B, count_B
            hidden[m], out[f"attention_{m}"] = self._transformer(self.cross_layers, f"cross_{m}", self.width)(
                with_positions(states[core], scale=True),
                with_positions(x_BSD, scale=True),
                mask_BS,
                train=train,
            )
            if gated:
                logits_B2 = nn.Dense(2, name=f"pair_{m}")(mean_over_time(hidden[m], masks[core]))
                if train:  # the layer itself is made in scoring too, and not counted
                    out[f"pair_logits_{m}"] = logits_B2

        if self.bicon and len(others) == 2:
            for m in others:
                z_BD = self._vector(f"stage2_{m}_projection", hidden[m], masks[core])
                out[f"stage2_{m}"] = jnp.where(has[m][:, None], z_BD, 0.0)

        means = [mean_over_time(x_BTD, masks[core]) for x_BTD in (hidden or {core: states[core]}).values()]
        out["fused"] = sum(means[1:], start=means[0])
        # Eq. 17 has tanh around the score, which labels from -3 to 3 do not fit into: it goes inside.
        x_BF = nn.tanh(nn.Dense(self.head_hidden, name="head_dense")(out["fused"]))
        x_BF = Dropout(self.head_dropout)(x_BF, train=train)
        return {**Head(self.outputs, name="head")(x_BF), **out}

    def roles(self) -> tuple[str, list[str]]:
        """(the core, the other modalities in order)."""
        used = [m for m in MODALITIES if m in self.modalities]
        if not used:
            raise ValueError("modalities is empty")
        core = self.core if self.core in used else used[0]
        return core, [m for m in used if m != core]

    def _states(self, m: str, batch: Mapping[str, Array], *, train: bool) -> Float[Array, "B T D"]:
        """X_m, the states of one modality (eqs. 1 to 5); what stands on invalid steps has no meaning."""
        mask_BT = batch[f"{m}_mask"]
        x_BTD = text_states(self.encoder, batch, frozen=self.frozen, train=train) if m == "text" else batch[m]
        x_BTD = Dropout(self.embedding_dropout)(x_BTD.astype(jnp.float32), train=train)
        project = MaskedConv(self.width, self.kernel, self.dtype, name=f"{m}_projection")
        if self.convolution == "first":
            x_BTD = project(x_BTD, mask_BT)
        if m != "text":  # BERT is the text's Transformer
            width = x_BTD.shape[-1]
            encode = self._transformer(self.encoder_layers, f"{m}_encoder", width)
            x_BTD, _ = encode(with_positions(x_BTD, scale=True), None, mask_BT, train=train)
            if self.lstm:
                x_BTD = LSTM(width, self.dtype, name=f"{m}_lstm")(x_BTD, mask_BT)
        return x_BTD if self.convolution == "first" else project(x_BTD, mask_BT)

    def _transformer(self, layers: int, name: str, width: int) -> Transformer:
        return Transformer(
            layers=layers,
            heads=most_heads(self.heads, width),
            ffn_width=self.ffn_factor * width,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            residual_on_norm=self.residual_on_norm,
            dtype=self.dtype,
            name=name,
        )

    def _vector(
        self, name: str, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]
    ) -> Float[Array, "B D"]:
        """f or g: dense at every step (a depth-wise kernel of 1 would only rescale), mean, length 1."""
        return unit(mean_over_time(MaskedConv(self.width, 1, self.dtype, name=name)(x_BTD, mask_BT), mask_BT))


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """Eqs. 5-8 (stage 1), 13 (pairs), 14-16 (stage 2), 18."""

    task: losses.TaskName = "l1"  # code
    contrast_weight: NonNegative = 0.1  # lambda1, of both stages; the paper: 0.1, 0.2 or 0.4
    pair_weight: NonNegative = 0.1  # lambda2; the paper: 0.1, 0.2 or 0.4
    temperature: AboveZero = 0.1  # code

    def terms(self, model: TeCaFN) -> Iterator[Term]:
        """`contrast_<m>` and `pair_<m>` for each modality but the core, and `bicon`."""
        core, others = model.roles()
        contrast = partial(info_nce, temperature=self.temperature)

        def stage1(out, batch, key, m):
            return contrast(out[f"stage1_{core}"], out[f"stage1_{m}"], mask=present(batch, core, m))

        def pair(out, batch, key, m):
            rows = present(batch, core, m)
            return cross_entropy(out[f"pair_logits_{m}"], out[f"pair_label_{m}"], mask=rows)

        def stage2(out, batch, key):
            first, second = (out[f"stage2_{m}"] for m in others)
            return contrast(first, second, mask=present(batch, core, *others), symmetric=True)

        for m in others:
            if m in model.contrast:
                yield Term(f"contrast_{m}", self.contrast_weight, partial(stage1, m=m))
            if m in model.replace and model.p:
                yield Term(f"pair_{m}", self.pair_weight, partial(pair, m=m))
        if len(others) == 2 and model.bicon:
            yield Term("bicon", self.contrast_weight, stage2)

    def monitors(self, model: TeCaFN) -> Iterator[Monitor]:
        """The share of clips `replaced_<m>`, and how many `candidates_<m>` there were to draw from."""
        core, others = model.roles()

        def mean(out, batch, name, m):
            values = 1 - out[f"pair_label_{m}"] if name == "replaced" else out[f"candidates_{m}"]
            return masked_mean(values.astype(jnp.float32), present(batch, core, m))

        for m in others if model.p else ():
            for name in ("replaced", "candidates") if m in model.replace else ():
                yield f"{name}_{m}", partial(mean, name=name, m=m)


Model = TeCaFN

# Section 4.3 and, where that gives ranges, the authors' code.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 60,  # ours: the patience ends it
    "patience": 10,
    "select": "acc2_non0",  # the paper says accuracy, and not which
    "data.time_line": "own",
    "text.max_length": 80,  # code
    "text.max_content": 78,
    "optim.learning_rate": 1e-3,  # the paper: 1e-3, 2e-3 or 3e-3
    "optim.clip": 1.0,  # the paper: 1, 2, 4 or 8
    "optim.weight_decay": 1e-4,  # code
    "optim.coupled": True,  # L2 in the gradient of plain Adam; code
    "optim.schedule": "plateau",  # halved when the validation loss has not fallen for 20 epochs; code
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # BERT at 5e-5; code
}

# Table 5 (what is removed, the gate with its pair prediction), Figure 3 (the core), and printed forms that
# the code does not use.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_ta": {"model.contrast": ("vision",)},
    "no_tv": {"model.contrast": ("audio",)},
    "no_tccon": {"model.contrast": ()},
    "no_bicon": {"model.bicon": False},
    "no_tap": {"model.replace": ("vision",)},
    "no_tvp": {"model.replace": ("audio",)},
    "no_ap": {"model.replace": ()},
    "no_hard_ta": {"model.hard_negatives": ("vision",)},
    "no_hard_tv": {"model.hard_negatives": ("audio",)},
    "no_hard": {"model.hard_negatives": ()},
    "audio_centred": {"model.core": "audio"},
    "vision_centred": {"model.core": "vision"},
    "printed_residual": {"model.residual_on_norm": True},
    "printed_order": {"model.convolution": "last"},
    "no_lstm": {"model.lstm": False},
    "tiny": {
        "model.width": 8,
        "model.heads": 2,
        "model.encoder_layers": 1,
        "model.cross_layers": 1,
        "model.head_hidden": 8,
    },
    "synthetic": {
        "select": "loss",
        "model.encoder_layers": 2,
        "model.cross_layers": 2,
        "model.p": 0.3,
    },
}
