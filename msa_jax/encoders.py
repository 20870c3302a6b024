"""Encoders of runs: the tokenizer and the text encoder that a config names, and what to say of them."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from msa_jax import models
from msa_jax.data.opening import FEATURES
from msa_jax.data.preprocessing import Preprocessing
from msa_jax.text import (
    Encoder,
    EncoderConfig,
    Tokenizer,
    load_encoder,
    load_tokenizer,
    train_tokenizer,
)
from msa_jax.text.casing import note_on_texts


def make_tokenizer(config: ConfigDict, training_texts: Iterable[str]) -> Tokenizer | None:
    """The tokenizer of the config's encoder; that of "scratch" learns from the training texts alone.

    None where the text is features, and needs none.
    """
    if config.text.encoder == FEATURES:
        return None
    if config.text.encoder != "scratch":
        return load_tokenizer(config.text.encoder)
    texts = (t.lower() if config.data.lowercase else t for t in training_texts)
    return train_tokenizer(texts, config.text.scratch.vocab_size)


def text_notes(
    config: ConfigDict, tokenizer: Tokenizer | None, how: Preprocessing, texts: Iterable[str]
) -> tuple[str, ...]:
    """What there is to say about a pretrained tokenizer and the case of the texts.

    Args:
      config: its `text` section.
      tokenizer: of the encoder; None where the text is features.
      how: the preprocessing.
      texts: of the training split.
    """
    name = config.text.encoder
    # The tokenizer of "scratch" lowers texts by itself.
    if tokenizer is None or name == "scratch" or "text" not in how.modalities:
        return ()
    of_texts = note_on_texts(tokenizer, texts, lowercase=how.lowercase, name=name)
    return tuple(note for note in (tokenizer.note, of_texts) if note)


def make_encoder(
    config: ConfigDict, tokenizer: Tokenizer | None, how: Preprocessing
) -> tuple[Encoder | None, Any | None]:
    """(encoder, its pretrained parameters); the latter None where it is trained from scratch.

    A model whose text is features, or that has no text, has no encoder; one that lives inside an encoder gets
    one from scratch that takes features in place of words.

    Args:
      config: its `text` section and `model.name`.
      tokenizer: of the encoder, for its vocabulary's size.
      how: the preprocessing.
    """
    no_tokens = how.text_width or "text" not in how.modalities
    if no_tokens and not models.find(config.model.name).needs_encoder:
        return None, None
    dtype = jnp.dtype(config.text.dtype)
    if config.text.encoder not in ("scratch", FEATURES):
        encoder, variables = load_encoder(config.text.encoder, dtype=dtype)
        return encoder.clone(remat=config.text.remat), variables["params"]
    return scratch(config, tokenizer, width=how.text_width), None


def scratch(config: ConfigDict, tokenizer: Tokenizer | None, *, width: int) -> Encoder:
    """The encoder from scratch; with a width it takes features in place of words."""
    s = config.text.scratch
    sizes = EncoderConfig(
        family="bert",
        vocab_size=tokenizer.vocab_size if tokenizer else int(not width),  # one row where none is read
        input_width=width,
        hidden_size=s.hidden_size,
        num_layers=s.num_layers,
        num_heads=s.num_heads,
        intermediate_size=s.intermediate_size,
        max_positions=config.text.max_length,
        type_vocab_size=1,
        activation="gelu",
        layer_norm_eps=1e-12,
        hidden_dropout=s.dropout,
        attention_dropout=s.dropout,
        pad_id=0 if tokenizer is None else tokenizer.pad_id,
    )
    return Encoder(sizes, dtype=jnp.dtype(config.text.dtype), remat=config.text.remat)
