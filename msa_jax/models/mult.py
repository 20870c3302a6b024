"""MulT: every modality attends to every other one over time, without any alignment of their steps.

Source: Tsai et al., "Multimodal transformer for unaligned multimodal language sequences", ACL 2019,
arXiv:1906.00295. Sizes are those of the MMSA toolkit for CMU-MOSI ("toolkit").
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax import losses, text
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32, product
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import Streams
from msa_jax.models._mult_encoder import Encoder
from msa_jax.models._streams import streams_of
from msa_jax.models.fields import Divides, Layers, Misfit, Modality, Positive, Rate


class MulT(nn.Module):
    """Convolutions, six crossmodal transformers, three transformers over what they give, one residual block.

    One modality alone has its own transformer and no crossmodal one: the paper's unimodal transformer.

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for.
      outputs: () for a score, else the shape of the logits.
    """

    encoder: text.Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    width: Positive = 50  # d of a stream; toolkit. After its two sources a target has twice as much
    heads: Annotated[Positive, Divides("width")] = 10  # of every attention; toolkit
    layers: Layers = 4  # of each crossmodal transformer; toolkit
    self_layers: Layers = 4  # of each transformer after them; toolkit: as many, and at least 3
    text_kernel: Positive = 5  # steps that the convolution over text sees; toolkit
    audio_kernel: Positive = 5  # likewise
    vision_kernel: Positive = 5  # likewise
    text_dropout: Rate = 0.5  # on the text as it comes in; toolkit
    embed_dropout: Rate = 0.2  # on what goes into a transformer; toolkit
    attention_dropout: Rate = 0.3  # on attention weights over text, and in the transformers after; toolkit
    audio_attention_dropout: Rate = 0.2  # on those over audio; toolkit
    vision_attention_dropout: Rate = 0.0  # on those over vision; toolkit
    relu_dropout: Rate = 0.0  # inside the feed-forward networks; toolkit
    residual_dropout: Rate = 0.0  # on what attentions and feed-forward networks add; toolkit
    output_dropout: Rate = 0.5  # inside the residual block; toolkit
    positions: bool = True  # sinusoids on what goes into a transformer; paper. Toolkit: False
    # A query at step i sees the keys up to i + |difference of the two lengths|; code, and toolkit.
    future_mask: bool = True
    targets: tuple[Modality, ...] = MODALITIES  # that attend to the others; one alone is an ablation
    # "late": a transformer for each modality, joined at the end; "early": one transformer over all, one after
    # the other in time (both ablations; of the second only the vector of its last step is scored).
    fusion: Literal["crossmodal", "late", "early"] = "crossmodal"
    # False: an output for each step, as in the paper, with zeros beyond a clip's ends. True, as in the
    # toolkit: only windows inside the clip, kernel - 1 fewer; a clip shorter than the kernel then has none.
    valid_convolution: bool = False
    count_padding: bool = False  # as the toolkit does: padding is attended to, and the last step may be it
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    def check(self, max_length: int) -> None:
        """Refuses targets of which the run has none, and targets where there are none to choose."""
        del max_length
        if not set(self.targets) & set(self.modalities):
            raise Misfit(f"targets: none of {self.targets} is among the modalities {self.modalities}")
        if self.fusion == "early" and set(self.targets) != set(MODALITIES):
            raise Misfit(
                f"targets: {self.targets}, but model.fusion=early has one sequence of all and no target"
            )

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, A, d_a], `vision` [B, V, d_v], each on
            its own time line, with its `<m>_mask`.
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused`, the vector before the head, all `vector_<m>`
          side by side after the residual block; `vector_<m>` [B, width * sources] for each target, the last
          valid step of its transformer, 0 where the clip has no such step; with early fusion `vector_all`
          [B, width] in their place.
        """
        streams = self._convolved(
            streams_of(self, batch, train=train, count_padding=self.count_padding), train
        )
        targets = [m for m in streams if m in self.targets]
        if self.fusion == "early":
            targets = ["all"]
            streams = {
                "all": tuple(jnp.concatenate(parts, axis=1) for parts in zip(*streams.values(), strict=True))
            }
        rates = {
            "text": self.attention_dropout,
            "audio": self.audio_attention_dropout,
            "vision": self.vision_attention_dropout,
        }
        # The rate of a direction is that of its source, as in the toolkit.
        pairs = [(t, s) for t in targets for s in streams if s != t] if self.fusion == "crossmodal" else []
        if pairs:
            crossmodal = self._encoder("crossmodal", self.width, self.layers, [rates[s] for _, s in pairs])
            queried, attended = ([streams[pair[k]] for pair in pairs] for k in (0, 1))
            found = dict(zip(pairs, crossmodal(queried, attended, train=train), strict=True))
            for t in targets:
                x_BTD = jnp.concatenate([found[pair] for pair in pairs if pair[0] == t], axis=-1)
                streams[t] = x_BTD, streams[t][1]

        width = streams[targets[0]][0].shape[-1]
        rest = self._encoder(
            "self_attention", width, self.self_layers, [self.attention_dropout] * len(targets)
        )
        vectors = {}
        for m, x_BD in zip(targets, rest([streams[m] for m in targets], None, train=train), strict=True):
            vectors[f"vector_{m}"] = jnp.where(streams[m][1].any(1)[:, None], x_BD, 0.0)
        x_BD = jnp.concatenate(list(vectors.values()), axis=-1)
        block = nn.relu(Dense32(x_BD.shape[-1], dtype=self.dtype, name="block_in")(x_BD))
        block = Dropout(self.output_dropout)(block, train=train)
        fused_BD = x_BD + Dense32(x_BD.shape[-1], dtype=self.dtype, name="block_out")(block)
        return {**Head(self.outputs, name="head")(fused_BD), "fused": fused_BD, **vectors}

    def _convolved(self, streams: Streams, train: bool) -> Streams:
        """Each modality at the common width; the toolkit leaves one that has it as it is."""
        out = {}
        for m, (x_BTD, mask_BT) in streams.items():
            if m == "text":
                x_BTD = Dropout(self.text_dropout)(x_BTD, train=train)
            kernel = getattr(self, f"{m}_kernel")
            conv = _Convolution(self.width, kernel, self.valid_convolution, self.dtype, name=f"{m}_conv")
            out[m] = conv(x_BTD, mask_BT)
        return out

    def _encoder(self, name: str, width: int, layers: int, rates: list[float]) -> Encoder:
        return Encoder(
            width,
            self.heads,
            layers,
            tuple(rates),
            embed_dropout=self.embed_dropout,
            relu_dropout=self.relu_dropout,
            residual_dropout=self.residual_dropout,
            positions=self.positions,
            future_mask=self.future_mask,
            last=name == "self_attention",
            dtype=self.dtype,
            name=name,
        )


class _Convolution(nn.Module):
    """Convolution over time without bias.

    Attributes:
      features: output width.
      kernel: steps that an output step sees.
      valid: no output for windows that reach beyond the clip; else one for each step, with zeros beyond.
      dtype: compute type of the product. The output is float32 in any case.
    """

    features: int
    kernel: int
    valid: bool
    dtype: Any

    @nn.compact
    def __call__(
        self, x_BTE: Float[Array, "B T E"], mask_BT: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "B T F"], Bool[Array, "B T"]]:
        """(outputs [B, T or T - kernel + 1, features], 0 on invalid ones; the valid ones).

        Args:
          x_BTE: [B, T, E], 0 on invalid steps.
          mask_BT: the valid steps.
        """
        K, T = self.kernel, x_BTE.shape[1]
        init = nn.initializers.lecun_normal()
        kernel_KEF = self.param("kernel", init, (K, x_BTE.shape[-1], self.features), jnp.float32)
        before, after = (0, max(0, K - T)) if self.valid else ((K - 1) // 2, K // 2)
        steps = T + before + after - K + 1
        # The products first and then the shifts: text is much wider than what is shifted so.
        x_BTE, kernel_KEF = x_BTE.astype(self.dtype), kernel_KEF.astype(self.dtype)
        kernel_EG = kernel_KEF.swapaxes(0, 1).reshape(x_BTE.shape[-1], K * self.features)
        seen_BTG = product(x_BTE, kernel_EG).astype(jnp.float32)
        padded_BTG = jnp.pad(seen_BTG, ((0, 0), (before, after), (0, 0)))
        out_BTF = sum(
            part_BTF[:, k : k + steps] for k, part_BTF in enumerate(jnp.split(padded_BTG, K, axis=-1))
        )
        if self.valid:
            inside_BT = jnp.pad(mask_BT, ((0, 0), (0, after)))
            mask_BT = jnp.stack([inside_BT[:, k : k + steps] for k in range(K)]).all(0)
        return jnp.where(mask_BT[..., None], out_BTF, 0.0), mask_BT


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss alone."""

    task: losses.TaskName = "l1"  # toolkit


Model = MulT

# The toolkit's for CMU-MOSI.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 16,
    "optim.learning_rate": 2e-3,
    "optim.schedule": "plateau",
    "optim.plateau.factor": 0.1,
    "optim.plateau.patience": 5,
    "optim.clip": math.inf,
    "optim.clip_value": 0.075,  # of the mean of the batches below; toolkit: 0.6, of their sum
    "optim.accumulate": 8,
    "optim.weight_decay": 0.0,  # the toolkit's 5e-3 never reaches its optimiser
    "data.time_line": "own",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
}

# The paper's ablations: one target alone, unimodal transformers that are joined at the end, one transformer
# over all. The transformers of one modality are the variants text_only, audio_only and vision_only of every
# model. Its crossmodal transformers that attend to features of the sources' own layers are not there.
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "to_text": {"model.targets": ("text",)},
    "to_audio": {"model.targets": ("audio",)},
    "to_vision": {"model.targets": ("vision",)},
    "late_fusion": {"model.fusion": "late"},
    "early_fusion": {"model.fusion": "early"},
    "no_positions": {"model.positions": False},
    "no_future_mask": {"model.future_mask": False},
    "tiny": {"model.width": 8, "model.heads": 2, "model.layers": 1, "model.self_layers": 1},
}
