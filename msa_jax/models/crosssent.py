"""CrossSent: a pretrained text encoder into which a gated adapter injects audio and vision.

Source: Liu et al., "CrossSent: Cross-Modal Attention with Pairwise Ranking Regularization for Multi-Modal
Sentiment", Electronics 2026, 15(6), 1157, section 3.2. Where the paper is silent, the choice made here is a
field and its comment says so.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax import losses
from msa_jax.layers.attention import MASKED
from msa_jax.layers.dense import Dense
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.pooling import mean_over_time
from msa_jax.losses import RampUnit, Term, eioi, mpr, ramped
from msa_jax.models.fields import Count, Misfit, NonNegative, Positive, Rate, Share
from msa_jax.text import Encoder

PROJECTION = nn.initializers.lecun_normal()


class GMRA(nn.Module):
    """Gated Multi-modal Residual Adapter (section 3.2.1 to 3.2.3)."""

    heads: Positive = 8  # must divide the encoder's width; Table 3
    bottleneck: Positive = 48  # R, width of the residual adapter; Table 3
    dropout: Rate = 0.2  # on the attention weights; Table 3
    layer_scale: float = 1e-4  # what the adapter's LayerScale starts at; Table 3
    # LayerNorm on the projected audio and vision (ours: raw features differ in scale by a hundred). It hides
    # how large a row is: features times 0.01 inject the same to 1 %. False is the printed form, in which the
    # amplitude counts; it wants columns of one scale, as data.standardise gives them.
    feature_norm: bool = True
    # Learned position and modality embeddings on the keys (ours: as printed, permuting the audio rows in time
    # would change nothing). False is the printed form.
    key_embeddings: bool = True
    # Standard deviation of those embeddings at the start (ours). At 0.02 they start far below the normalised
    # features that they are added to, and attention stays global; at 1 the row's place shows, but on the
    # embedded corpus the error grew and varied more.
    key_std: NonNegative = 0.02
    # Standard deviation of W_O at the start (ours: 0 would leave the query, key, value, audio and
    # vision projections without a gradient at first).
    output_std: NonNegative = 0.02
    max_length: Positive = 50  # longest text time line, in tokens

    @nn.compact
    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        audio_BTE: Float[Array, "B T E"],
        vision_BTF: Float[Array, "B T F"],
        audio_mask_BT: Bool[Array, "B T"],
        vision_mask_BT: Bool[Array, "B T"],
        *,
        train: bool,
        dtype: Any = None,
    ) -> tuple[Float[Array, "B T D"], dict[str, Array]]:
        """Injects audio and vision into hidden states of the text.

        Args:
          x_BTD: hidden states of the text, [B, T, D].
          audio_BTE, vision_BTF: features on the text's time line, [B, T, *].
          audio_mask_BT, vision_mask_BT: True where a token has such features.
          train: whether dropout is active (rng "dropout").
          dtype: compute type of the products; None: that of the hidden states.

        Returns:
          The adapted hidden states, float32, and `gate` g [B, T, D], `injected` g * H_cross [B, T, D],
          `attention` [B, heads, T, 2T] over audio keys, then vision keys.
        """
        D, dtype = x_BTD.shape[-1], dtype or x_BTD.dtype
        dense = partial(Dense, use_bias=False, kernel_init=PROJECTION, dtype=dtype)
        # W_T replaces a *pretrained* hidden state, so it starts as the identity (ours).
        h_text_BTD = dense(D, kernel_init=_identity, name="text_projection")(x_BTD)
        h_audio_BTD = dense(D, name="audio_projection")(audio_BTE)
        h_vision_BTD = dense(D, name="vision_projection")(vision_BTF)
        if self.feature_norm:
            h_audio_BTD = nn.LayerNorm(name="audio_norm")(h_audio_BTD)
            h_vision_BTD = nn.LayerNorm(name="vision_norm")(h_vision_BTD)
        values_BSD = jnp.concatenate([h_audio_BTD, h_vision_BTD], axis=1).astype(dtype)
        mask_BS = jnp.concatenate([audio_mask_BT, vision_mask_BT], axis=1)
        cross_BTD, weights_BHTS = self._attend(h_text_BTD, values_BSD, mask_BS, dense, train=train)

        pair_BT2D = jnp.concatenate([h_text_BTD, cross_BTD], axis=-1)
        gate_BTD = nn.sigmoid(dense(D, use_bias=True, name="gate")(pair_BT2D))
        injected_BTD = gate_BTD * cross_BTD
        # Both sums in float32: beside a state of 1, bfloat16 would round away what LayerScale leaves.
        fusion_BTD = h_text_BTD.astype(jnp.float32) + injected_BTD.astype(jnp.float32)

        normed_BTD = nn.LayerNorm(name="adapter_norm")(fusion_BTD)
        down_BTR = dense(self.bottleneck, use_bias=True, name="adapter_down")(normed_BTD)
        up_BTD = dense(D, use_bias=True, name="adapter_up")(nn.gelu(down_BTR, approximate=False))
        scale_D = self.param("adapter_scale", nn.initializers.constant(self.layer_scale), (D,), jnp.float32)
        out_BTD = fusion_BTD + scale_D[None, None] * up_BTD.astype(jnp.float32)
        return out_BTD, {"gate": gate_BTD, "injected": injected_BTD, "attention": weights_BHTS}

    def _attend(
        self, h_text_BTD: Array, values_BSD: Array, mask_BS: Array, dense: Callable, *, train: bool
    ) -> tuple[Array, Array]:
        """(H_cross [B, T, D], attention weights [B, heads, T, S]) of the text over audio and vision."""
        B, T, D = h_text_BTD.shape
        keys_BSD = values_BSD
        if self.key_embeddings:
            normal = nn.initializers.normal(self.key_std)
            position_TD = self.param("key_position", normal, (self.max_length, D), jnp.float32)[:T]
            modality_2D = self.param("key_modality", normal, (2, D), jnp.float32)
            embedding_2TD = modality_2D[:, None] + position_TD[None]
            keys_BSD = keys_BSD + embedding_2TD.reshape(1, 2 * T, D).astype(keys_BSD.dtype)

        def split(x: Array) -> Array:
            return x.reshape(B, -1, self.heads, D // self.heads)

        q_BTHK = split(dense(D, name="query")(h_text_BTD))
        k_BSHK = split(dense(D, name="key")(keys_BSD))
        v_BSHK = split(dense(D, name="value")(values_BSD))
        scores_BHTS = jnp.einsum("bthk,bshk->bhts", q_BTHK, k_BSHK) / jnp.sqrt(D // self.heads)
        scores_BHTS = jnp.where(mask_BS[:, None, None], scores_BHTS.astype(jnp.float32), MASKED)
        weights_BHTS = nn.softmax(scores_BHTS) * mask_BS[:, None, None]
        dropped_BHTS = Dropout(self.dropout)(weights_BHTS, train=train).astype(v_BSHK.dtype)
        heads_BTD = jnp.einsum("bhts,bshk->bthk", dropped_BHTS, v_BSHK).reshape(B, T, D)
        normal = nn.initializers.normal(self.output_std)
        cross_BTD = dense(D, kernel_init=normal, name="output")(heads_BTD)
        # A clip without one valid key has nothing to inject: exactly 0, whatever the weights are.
        return jnp.where(mask_BS.any(1)[:, None, None], cross_BTD, 0.0), weights_BHTS


def _identity(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    del key
    return jnp.eye(*shape, dtype=dtype)


class CrossSent(nn.Module):
    """Text encoder, one GMRA inside it, and a regression head.

    Attributes:
      encoder: the BERT or RoBERTa encoder. The adapter inside it computes in its type, `text.dtype`; what
        follows is the head, in float32, so that the model has no field `dtype`.
      frozen: the encoder's own weights are not trained, and have no dropout; what is around them is.
    """

    TIME_LINE = "text"
    NEEDS_ENCODER = True
    SUGGESTED = True
    SCORES_ONLY = True  # the method ranks scores

    encoder: Encoder | None = None
    frozen: bool = False
    gmra: GMRA | None = GMRA()  # None is the ablation "w/o GMRA"
    layer: Positive = 1  # the adapter works on the input of this encoder layer, 0-based; Table 3
    pooling: Literal["cls", "mean"] = "cls"  # the first token of the last layer, or the mean of the text's
    hidden: bool = True  # Dense(d) and tanh before the last Dense; False leaves the last Dense alone
    pooled_dropout: Rate = 0.1  # on the pooled vector (ours; the paper names one rate for the head)
    dropout: Rate = 0.28  # before the last Dense; Table 2

    def check(self, max_length: int) -> None:
        """Refuses an adapter that does not fit the text or the encoder."""
        if self.gmra is not None and self.gmra.max_length < max_length:
            raise Misfit(f"gmra.max_length: {self.gmra.max_length} is less than text.max_length {max_length}")
        if self.encoder is None:
            return
        layers, width = self.encoder.config.num_layers, self.encoder.config.hidden_size
        if self.layer > layers:
            raise Misfit(f"layer: {self.layer}, but the encoder has {layers} layers")
        if self.gmra is not None and width % self.gmra.heads:
            raise Misfit(f"gmra.heads: {self.gmra.heads} does not divide the encoder's width {width}")

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids (or features, as the encoder takes them), `audio` [B, T, d_a] and `vision`
            [B, T, d_v] on the text's time line, `text_mask`, `audio_mask`, `vision_mask` [B, T] bool.
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B]; `fused` [B, D], the vector before the last Dense; `attention` [B, heads, T, T]
          of the encoder's last layer (only with train=False); with the adapter also `gate` and `injected`
          [B, T, D] and `cross_attention` [B, heads, T, 2T].
        """
        self.check(batch["text_mask"].shape[1])
        extras: dict[str, Array] = {}

        def inject(x_BTD: Array) -> Array:
            streams = (batch[name] for name in ("audio", "vision", "audio_mask", "vision_mask"))
            out_BTD, adapter = self.gmra(x_BTD, *streams, train=train, dtype=self.encoder.dtype)
            extras.update(gate=adapter["gate"], injected=adapter["injected"])
            extras["cross_attention"] = adapter["attention"]
            return out_BTD

        # Without text, the steps that have audio or vision carry the encoder: padding tokens with positions.
        mask_BT = batch["text_mask"] | batch["audio_mask"] | batch["vision_mask"]
        encoded = self.encoder(
            batch["text"],
            mask_BT,
            train=train and not self.frozen,
            hooks={self.layer - 1: inject} if self.gmra is not None else None,
            output_hidden_states=False,
            output_attentions=not train,
        )
        x_BTD = encoded.last_hidden_state  # float32, as all that follows
        x_BD = x_BTD[:, 0] if self.pooling == "cls" else mean_over_time(x_BTD, mask_BT)
        if self.hidden:
            x_BD = Dropout(self.pooled_dropout)(x_BD, train=train)
            x_BD = nn.tanh(nn.Dense(x_BD.shape[-1], name="hidden_dense")(x_BD))
        fused_BD = x_BD
        x_BD = Dropout(self.dropout)(x_BD, train=train)
        prediction_B = nn.Dense(1, name="output_dense")(x_BD)[:, 0]
        if encoded.attentions is not None:
            extras["attention"] = encoded.attentions[-1]
        return {"prediction": prediction_B, "fused": fused_BD, **extras}


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss, a ranking of pairs and an interval without cost (sections 3.3 and 3.4)."""

    mpr_weight: NonNegative = 0.50  # Table 2
    eioi_weight: NonNegative = 0.06  # Table 2
    alpha: NonNegative = 0.30  # MPR: margin for a label difference of 1; Table 3
    beta: NonNegative = 1.0  # MPR: power of the margin; Table 3
    gamma: NonNegative = 0.30  # MPR: least label difference of a pair; Table 3
    max_pairs: Positive = 8192  # Table 3
    delta: NonNegative = 0.25  # EIOI: half-width of the free interval; ours
    # A term's weight is 0 before its start, counted in epochs, and then rises over a share of the epochs.
    mpr_start: Count = 0  # ours
    mpr_ramp: Share = 0.5  # Table 3 has a cosine ramp "over epochs"; its length is ours
    eioi_start: Count = 0  # Table 3, "EIOI start epoch"
    # Ours, as for MPR. Table 3 can also mean that EIOI needs no ramp: the variant `eioi_from_start`.
    eioi_ramp: Share = 0.5
    # When a weight rises: "epoch", from one epoch to the next, as Table 3 says, so that it is still 0 in the
    # first; "step", with every step.
    ramp_unit: RampUnit = "epoch"

    def terms(self, model: CrossSent) -> Iterator[Term]:
        """`mpr` and `eioi`."""
        del model
        pairs = {k: getattr(self, k) for k in ("alpha", "beta", "gamma", "max_pairs")}
        yield Term(
            "mpr",
            ramped(self.mpr_weight, self.mpr_ramp, start=self.mpr_start, unit=self.ramp_unit),
            lambda out, batch, key: mpr(
                out["prediction"], batch["label"], **pairs, mask=batch["mask"], key=key
            ),
        )
        yield Term(
            "eioi",
            ramped(self.eioi_weight, self.eioi_ramp, start=self.eioi_start, unit=self.ramp_unit),
            lambda out, batch, key: eioi(
                out["prediction"], batch["label"], delta=self.delta, mask=batch["mask"]
            ),
        )


Model = CrossSent

# What the paper shares between corpora (Tables 2 and 3).
DEFAULTS: Mapping[str, Any] = {
    "epochs": 26,
    "batch_size": 8,
    "text.encoder": "roberta-base",
    "text.max_content": 47,  # T - 3
    "optim.learning_rate": 7.5e-6,
    "optim.warmup": 0.4,  # share of the steps
    "optim.schedule": "linear",
    "optim.clip": 2.0,
    # A fresh matrix needs more than a pretrained one. W_T starts as the identity on pretrained states, so it
    # goes with them. Ours.
    "optim.groups": (("^encoder/|/text_projection/", 1.0), (".*", 100.0)),
}

# The ablations of the paper's Tables 9-11, and the forms of the method that the experiments compare.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_gmra": {"model.gmra": None},
    "no_mpr": {"loss.mpr_weight": 0.0},
    "no_eioi": {"loss.eioi_weight": 0.0},
    "mse_only": {"loss.mpr_weight": 0.0, "loss.eioi_weight": 0.0},
    "eioi_from_start": {"loss.eioi_start": 0, "loss.eioi_ramp": 0.0},
    "no_feature_norm": {"model.gmra.feature_norm": False},
    "no_key_embeddings": {"model.gmra.key_embeddings": False},
    "tiny": {"model.gmra.heads": 2, "model.gmra.bottleneck": 4},
    # Everything is fresh there, so it takes one learning rate for all, and more of it.
    "synthetic": {
        "loss.mpr_weight": 0.50,
        "loss.eioi_weight": 0.06,
        "data.buckets": 3,
        "optim.learning_rate": 1e-3,
        "optim.warmup": 0.1,
    },
}
