"""MFM: a factor for the label, from all modalities, and one of each modality's own, which generate the data.

Source: Tsai et al., "Learning factorized multimodal representations", ICLR 2019, arXiv:1806.06176. Sizes are
those of the MMSA toolkit for CMU-MOSI ("toolkit").
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from msa_jax import losses
from msa_jax.corpora import MODALITIES
from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import Dropout
from msa_jax.layers.head import Head
from msa_jax.layers.memory_fusion import fusion_of
from msa_jax.layers.subnets import LastStateSubnet
from msa_jax.losses import Arrays, Term, masked_mean, present
from msa_jax.models._mfm_parts import Decoder, Factor, mmd
from msa_jax.models._streams import CROSS_MODAL, Front, streams_of
from msa_jax.models.fields import NonNegative, Positive, Rate
from msa_jax.text import Encoder


class MFM(nn.Module):
    """A memory fusion network for the discriminative code, an LSTM for each generative one, and decoders.

    Codes (z of the paper) become factors (f), the label is read from the discriminative factor alone, and a
    modality is generated from that and from its own. Audio and vision come standardised by the training split
    (ours). What is generated is what the model is given: features, in front of cross-modal attention; the
    states of an encoder that is trained do not follow what is generated of them (ours).

    Attributes:
      encoder: the text encoder; None where `text` holds features.
      frozen: the encoder is not trained.
      modalities: those that the model has branches for; no other is generated.
      outputs: () for a score, else the shape of the logits.
    """

    TIME_LINE = "text"

    encoder: Encoder | None = None
    frozen: bool = False
    modalities: tuple[str, ...] = MODALITIES
    outputs: tuple[int, ...] = ()
    text_hidden: Positive = 128  # state of the text's LSTM in the memory fusion network; toolkit
    audio_hidden: Positive = 32  # state of the audio's; toolkit
    vision_hidden: Positive = 128  # state of the vision's; toolkit
    memory: Positive = 64  # width of the memory; toolkit
    attention_hidden: Positive = 32  # inside the network that attends to the cells; toolkit
    attention_dropout: Rate = 0.7  # there; toolkit
    proposal_hidden: Positive = 64  # inside the network that proposes a memory; toolkit
    proposal_dropout: Rate = 0.0  # there; toolkit
    retain_hidden: Positive = 32  # inside the gate on the memory so far; toolkit
    retain_dropout: Rate = 0.0  # there; toolkit
    update_hidden: Positive = 64  # inside the gate on what is proposed; toolkit
    update_dropout: Rate = 0.5  # there; toolkit
    code: Positive = 80  # width of the discriminative code; toolkit
    text_code: Positive = 64  # of the text's own, and state of its LSTM; toolkit
    audio_code: Positive = 80  # of audio's; toolkit
    vision_code: Positive = 80  # of vision's; toolkit
    factor: Positive = 64  # width of the discriminative factor, and of the layer before the head; toolkit
    text_factor: Positive = 32  # of the text's own; toolkit
    audio_factor: Positive = 16  # of audio's; toolkit
    vision_factor: Positive = 64  # of vision's; toolkit
    factor_dropout: Rate = 0.5  # between code and discriminative factor; toolkit
    text_factor_dropout: Rate = 0.5  # between code and factor of the text; toolkit
    audio_factor_dropout: Rate = 0.7  # of audio; toolkit
    vision_factor_dropout: Rate = 0.5  # of vision; toolkit
    output_dropout: Rate = 0.0  # before the head; toolkit
    # What a modality is generated from: both factors; the ablations: the discriminative one, which is not
    # factorised then; the modality's own, which the label knows nothing of; nothing is generated.
    generated_from: Literal["both", "discriminative", "own", "nothing"] = "both"
    count_padding: bool = False  # as the toolkit does: all runs over padding, and generates it, too
    front: Front = Front()  # cross-modal attention before it: the variant crossmodal
    dtype: Literal["float32", "bfloat16"] = "float32"  # compute type of the products (docs/models.md)

    @nn.compact
    def __call__(self, batch: Mapping[str, Array], *, train: bool) -> dict[str, Array]:
        """Scores a batch.

        Args:
          batch: `text` [B, T] ids or [B, T, d] features, `audio` [B, T, d_a], `vision` [B, T, d_v], beside
            the text's tokens, each with its `<m>_mask` [B, T].
          train: whether dropout is active (rng "dropout").

        Returns:
          `prediction` [B] or `logits` [B, *outputs]; `fused` [B, F], states and memory of the memory fusion
          network; `code_all` [B, code] and `factor_all` [B, factor], the discriminative ones; of each
          modality m that is generated `generated_<m>` [B, T, d_m], `error_<m>` [B, T], its mean squared error
          at a step, and, with factors of its own, `code_<m>` and `factor_<m>`.
        """
        given = streams_of(self, batch, train=train, count_padding=self.count_padding)
        streams = self.front(given, train=train, dtype=self.dtype)
        hidden, memory_BF, _ = fusion_of(self, streams)(streams, train=train)
        fused_BD = jnp.concatenate([*hidden.values(), memory_BF], axis=-1)
        code_BF = Dense32(self.code, dtype=self.dtype, name="code_dense")(fused_BD)
        factor_BF = Factor(self.factor, self.factor_dropout, self.dtype, name="factor_layers")(
            code_BF, train=train
        )
        x_BF = nn.relu(Dense32(self.factor, dtype=self.dtype, name="output_hidden_dense")(factor_BF))
        x_BF = Dropout(self.output_dropout)(x_BF, train=train)
        out = {
            **Head(self.outputs, name="head")(x_BF),
            "fused": fused_BD,
            "code_all": code_BF,
            "factor_all": factor_BF,
        }
        if self.generated_from == "nothing":
            return out
        for m, (target_BTE, mask_BT) in given.items():
            factors = [] if self.generated_from == "own" else [factor_BF]
            if self.generated_from != "discriminative":
                sizes = (getattr(self, f"{m}_{name}") for name in ("factor", "factor_dropout"))
                code = getattr(self, f"{m}_code")
                coder = LastStateSubnet(code, code, dtype=self.dtype, name=f"{m}_coder")
                out[f"code_{m}"] = coder(*streams[m], train=train)
                layers = Factor(*sizes, self.dtype, name=f"{m}_factor_layers")
                out[f"factor_{m}"] = layers(out[f"code_{m}"], train=train)
                factors.append(out[f"factor_{m}"])
            decoder = Decoder(target_BTE.shape[-1], self.dtype, name=f"{m}_decoder")
            generated_BTE = decoder(jnp.concatenate(factors, axis=-1), mask_BT)
            out[f"generated_{m}"] = generated_BTE
            out[f"error_{m}"] = jnp.square(generated_BTE - jax.lax.stop_gradient(target_BTE)).mean(-1)
        return out


def _discrepancy(out: Arrays, batch: Arrays, key: Key[Array, ""]) -> Float[Array, ""]:
    """The sum over all codes of their distance from draws of a Gaussian."""
    total = jnp.zeros(())
    for k, name in enumerate(("all", *MODALITIES)):
        if f"code_{name}" not in out:
            continue
        # A clip without a modality has no code of it.
        rows_B = present(batch, *(() if name == "all" else (name,)))
        code_BF = out[f"code_{name}"]
        noise_BF = jax.random.normal(jax.random.fold_in(key, k), code_BF.shape)
        total += mmd(code_BF, noise_BF, rows_B)
    return total


def _generation(
    modality: str, padding: bool, out: Arrays, batch: Arrays, key: Key[Array, ""]
) -> Float[Array, ""]:
    """The mean over the valid steps of all clips (with `padding` over all steps) of the squared error."""
    del key
    error_BT = out[f"error_{modality}"]
    valid_BT = jnp.ones_like(error_BT, bool) if padding else jnp.asarray(batch[f"{modality}_mask"], bool)
    valid_BT &= present(batch)[:, None]
    return masked_mean(error_BT.ravel(), valid_BT.ravel())


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss, the errors of what is generated, and the codes' distance from their prior."""

    task: losses.TaskName = "l1"  # toolkit
    text_weight: NonNegative = 0.5  # of the error of the text; toolkit
    audio_weight: NonNegative = 0.01  # of audio; toolkit
    vision_weight: NonNegative = 0.5  # of vision; toolkit
    mmd_weight: NonNegative = 100.0  # of the distance of the codes from a Gaussian; toolkit

    def terms(self, model: Any) -> Iterator[Term]:
        """`generation_<m>` of each modality that is generated, and `mmd`."""
        for m in MODALITIES:
            if m in model.modalities and model.generated_from != "nothing":
                value = partial(_generation, m, model.count_padding)
                yield Term(f"generation_{m}", getattr(self, f"{m}_weight"), value)
        yield Term("mmd", self.mmd_weight, _discrepancy)


Model = MFM

# The toolkit's for CMU-MOSI. Its settings hold a learning rate of 2e-3, which its trainer does not hand on:
# Adam's own is what it trains with. Its weight decay is L2 in Adam.
DEFAULTS: Mapping[str, Any] = {
    "epochs": 100,  # ours: the patience ends it
    "patience": 8,
    "batch_size": 64,
    "optim.learning_rate": 1e-3,
    "optim.clip": math.inf,
    "optim.weight_decay": 1e-3,
    "optim.coupled": True,
    "optim.groups": (("^encoder/", 0.05), (".*", 1.0)),  # where there is one; ours
    "data.time_line": "text",
    "text.encoder": "features",  # toolkit: BERT's states, as the file brings them; any encoder works
}

# Ablations: a part of the design left out each (ours, after the paper's study of its own design).
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "no_generation": {"model.generated_from": "nothing"},
    "no_own_factors": {"model.generated_from": "discriminative"},
    "own_factors_only": {"model.generated_from": "own"},
    "no_mmd": {"loss.mmd_weight": 0.0},
    "crossmodal": CROSS_MODAL,
    "tiny": {
        "model.text_hidden": 8,
        "model.audio_hidden": 4,
        "model.vision_hidden": 4,
        "model.memory": 8,
        "model.attention_hidden": 8,
        "model.proposal_hidden": 8,
        "model.retain_hidden": 8,
        "model.update_hidden": 8,
        "model.attention_dropout": 0.0,  # of eight units too few would be left
        "model.factor_dropout": 0.0,
        "model.code": 8,
        "model.text_code": 8,
        "model.audio_code": 8,
        "model.vision_code": 8,
        "model.factor": 8,
        "model.text_factor": 4,
        "model.audio_factor": 4,
        "model.vision_factor": 4,
    },
}
