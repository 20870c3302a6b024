"""States of the text as a model takes them: an encoder's output, or features that the file brings."""

from collections.abc import Mapping

import jax
from jaxtyping import Array, Float

from msa_jax.text import Encoder


def text_states(
    encoder: Encoder | None, batch: Mapping[str, Array], *, frozen: bool, train: bool
) -> Float[Array, "B T D"]:
    """States of the text's tokens.

    Args:
      encoder: the text encoder, called as a submodule of the caller; None where `text` holds features.
      batch: `text` [B, T] ids, or [B, T, E] features; `text_mask` [B, T].
      frozen: the encoder is not trained: no dropout in it, and no gradient.
      train: whether dropout is active.
    """
    if encoder is None:
        return batch["text"]
    encoded = encoder(
        batch["text"],
        batch["text_mask"],
        train=train and not frozen,
        output_hidden_states=False,
        output_attentions=False,
    )
    x_BTD = encoded.last_hidden_state
    return jax.lax.stop_gradient(x_BTD) if frozen else x_BTD
