"""Streams that a model starts from: each modality's steps, as they are, behind attention, or as a vector."""

from collections.abc import Mapping
from typing import Annotated, Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.corpora import MODALITIES
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.crossmodal import CrossModal
from msa_jax.layers.pooling import Streams, any_step
from msa_jax.layers.subnets import LastStateSubnet, MeanSubnet
from msa_jax.models.fields import Count, Divides, Positive, Rate
from msa_jax.text.states import text_states

# The variant that puts cross-modal attention in front of a model, at the sizes of the ablations.
CROSS_MODAL: Mapping[str, Any] = {"model.front.layers": 2}


class Front(nn.Module):
    """Directed cross-modal attention in front of a model that has none.

    Source: Qin et al. 2025, Tables 2-4, which print models of others with and without it, and say neither how
    it joins them nor its sizes there: convolutions and attention are as in that paper's own model, at its
    sizes (ours).
    """

    layers: Count = 0  # of each direction; 0: the modalities go to the model as they are. Table 7: 2
    width: Positive = 40  # of a stream; Table 1
    kernel: Positive = 3  # steps that a convolution sees; ours
    heads: Annotated[Positive, Divides("width")] = 4  # of each direction; Table 7
    dropout: Rate = 0.1  # in feed-forward networks and on what they and the attentions add; Table 7
    attention_dropout: Rate = 0.1  # on attention weights; Table 1

    @nn.compact
    def __call__(self, streams: Streams, *, train: bool, dtype: Any = None) -> Streams:
        """Each stream with what it attended to in the others, [B, T, width * (modalities - 1)].

        A single modality has nothing to attend to: [B, T, width]. `dtype` is that of the products.
        """
        if not self.layers:
            return streams
        convolved = {}
        for m, (x_BTD, mask_BT) in streams.items():
            x_BTD = nn.relu(MaskedConv(self.width, self.kernel, dtype, name=f"{m}_conv")(x_BTD, mask_BT))
            convolved[m] = nn.LayerNorm(name=f"{m}_norm")(x_BTD), mask_BT
        attention = CrossModal(
            layers=self.layers,
            heads=self.heads,
            ffn_width=4 * self.width,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            dtype=dtype,
            name="attention",
        )
        joined, _ = attention(convolved, train=train)
        return {m: (joined[m], mask_BT) for m, (_, mask_BT) in streams.items()}


def streams_of(
    model: Any, batch: Mapping[str, Array], *, train: bool, count_padding: bool = False
) -> Streams:
    """The steps of the modalities of a model, and which of them count.

    Args:
      model: a module with the fields `encoder`, `frozen` and `modalities`.
      batch: as a model is given it.
      train: whether dropout is active.
      count_padding: every step of the batch counts, as in programs that do not know the lengths of clips.

    Returns:
      Modality to ([B, T, D] float32, 0 where a step does not count, [B, T]), in the order of `MODALITIES`.
    """
    streams = {}
    for m in MODALITIES:
        if m not in model.modalities:
            continue
        x_BTD = batch[m]
        if m == "text":
            x_BTD = text_states(model.encoder, batch, frozen=model.frozen, train=train)
        mask_BT = jnp.ones_like(batch[f"{m}_mask"]) if count_padding else batch[f"{m}_mask"]
        streams[m] = jnp.where(mask_BT[..., None], x_BTD.astype(jnp.float32), 0.0), mask_BT
    return streams


def vectors_of(
    model: Any, streams: Streams, batch: Mapping[str, Array], *, train: bool
) -> dict[str, Float[Array, "B F"]]:
    """One vector for each modality: of the text by `LastStateSubnet`, of the others by `MeanSubnet`.

    Args:
      model: a module with the fields `text_hidden`, `<m>_width`, `<m>_dropout`, `batch_norm` and `dtype`; the
        subnetworks are submodules of it, `<m>_subnet`.
      streams: of its modalities.
      batch: for `mask`, False on rows that only pad the batch.
      train: whether dropout is active, and statistics are the batch's.

    Returns:
      Modality to [B, its width], in the order of `streams`.
    """
    vectors = {}
    for m, (x_BTD, mask_BT) in streams.items():
        width, dropout = (getattr(model, f"{m}_{what}") for what in ("width", "dropout"))
        if m == "text":
            text = LastStateSubnet(model.text_hidden, width, dropout, model.dtype, name="text_subnet")
            vectors[m] = text(x_BTD, mask_BT, train=train)
        else:
            subnet = MeanSubnet(width, dropout, model.batch_norm, model.dtype, name=f"{m}_subnet")
            vectors[m] = subnet(x_BTD, mask_BT, batch["mask"], train=train)
    return vectors


def joined(streams: Streams) -> tuple[Float[Array, "B T D"], Bool[Array, "B T"]]:
    """Streams of one time line side by side, [B, T, D], and the steps that any of them has, [B, T]."""
    return jnp.concatenate([x_BTD for x_BTD, _ in streams.values()], axis=-1), any_step(streams)
