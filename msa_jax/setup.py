"""From a config to the pieces of a run: the corpus, the tokenizer, the preprocessing, the model."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from msa_jax import models
from msa_jax.bounds import FEATURES, metric_set
from msa_jax.corpora import CORPORA, MODALITIES, STREAMS
from msa_jax.data import datasets, synthetic
from msa_jax.data.example import Example
from msa_jax.data.pipeline import SCAN_CLIPS
from msa_jax.data.preprocessing import Preprocessing
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.text import (
    Encoder,
    EncoderConfig,
    Tokenizer,
    load_encoder,
    load_tokenizer,
    train_tokenizer,
)

SYNTHETIC_TEXT_WIDTH = 300  # as wide as the word vectors that the field's files bring


def cache_folder(config: ConfigDict) -> Path:
    """Where corpora are built and compiled programs kept."""
    return Path(config.data.cache).expanduser()


def synthetic_config(config: ConfigDict) -> synthetic.SyntheticConfig:
    """The embedded corpus that `data.corpus` names, with text features where the text is features."""
    made = synthetic.PRESETS[config.data.corpus]
    wanted = SYNTHETIC_TEXT_WIDTH if config.text.encoder == FEATURES else 0
    return dataclasses.replace(made, text_width=wanted)


def open_corpus(config: ConfigDict) -> datasets.Built:
    """The corpus that a config names, built where it is not built yet.

    Args:
      config: its `data` section.

    Raises:
      UserError: when there is nothing to build from, several builds to choose from, or bad data.
    """
    cache, corpus, path = cache_folder(config), config.data.corpus, config.data.path
    if path and corpus in synthetic.PRESETS:
        raise UserError(
            f"--config.data.path: {path} is given, but data.corpus is {corpus}, which is made on the spot; "
            "name the file's corpus, as in --config.data.corpus=mosi"
        )
    if path:
        return datasets.load(
            corpus,
            path,
            cache=cache,
            cut=Cut(**config.data.cut),
            text_features=config.text.encoder == FEATURES,
            **reading(config),
            other_counts=config.data.other_counts,
        )
    if corpus in synthetic.PRESETS:
        made = synthetic_config(config)
        return datasets.build_examples(corpus, _generated(made), cache=cache, key=synthetic.corpus_key(made))
    for key in ("rows", "bert_vocab"):
        if config.data[key] is not None:
            raise UserError(f"--config.data.{key} says how to read a file; name it by --config.data.path")
    built = find_built(config)
    if len(built) == 1:
        if not config.data.other_counts:
            built[0].require_official()
        return built[0]
    if not built:
        raise UserError(f"--config.data.path is not set, and no {corpus} corpus has been built in {cache}")
    sources = ", ".join(sorted(f"{b.source} ({sum(b.counts.values())} clips, cut {b.cut})" for b in built))
    raise UserError(
        f"--config.data.path is not set, and several {corpus} corpora are built: {sources}; name one"
    )


def reading(config: ConfigDict) -> dict[str, Any]:
    """The options of `readers.read` that the config's sections `data` and `text` hold."""
    return {
        **{name: config.data[name] for name in ("split_name", "context", "rows", "bert_vocab")},
        "encoder": config.text.encoder if config.text.encoder not in ("scratch", FEATURES) else None,
    }


def find_built(config: ConfigDict) -> list[datasets.Built]:
    """What has been built of the config's corpus, in the form that its text needs."""
    wanted = config.text.encoder == FEATURES
    found = datasets.find_built(config.data.corpus, cache_folder(config), text_features=wanted)
    # Of one file read twice, without a vocabulary and with it, the surer build.
    surest: dict[tuple[str, str], datasets.Built] = {}
    for built in sorted(found, key=lambda built: built.open_words, reverse=True):
        surest[built.content_hash, str(built.cut)] = built
    return list(surest.values())


def _generated(made: synthetic.SyntheticConfig) -> Iterator[Example]:
    yield from synthetic.generate(made)[0]  # a generator: nothing is made where the corpus is built


def preprocessing(
    config: ConfigDict, widths: Mapping[str, int], streams: Sequence[str] = STREAMS, text_width: int = 0
) -> Preprocessing:
    """How a run with this config turns clips into arrays.

    Args:
      config: its `text` and `data` sections.
      widths: features per row of "audio" and "vision", from the data.
      streams: those of the two that the data have; what is not there to be learned stays out for good.
      text_width: features per row of the text, where the data bring them.

    Raises:
      UserError: when nothing is left to learn from.
    """
    there = ("text", *streams)
    used = tuple(m for m in MODALITIES if m in config.data.modalities and m in there)
    if not used:
        raise UserError(
            f"--config.data.modalities: {config.data.modalities!r}, but the data have only {', '.join(there)}"
        )
    return Preprocessing(
        max_content=config.text.max_content,
        lowercase=config.data.lowercase,
        modalities=used,
        widths={m: int(widths[m]) for m in STREAMS},
        time_line=config.data.time_line,
        max_frames=config.data.max_frames,
        text_width=text_width if config.text.encoder == FEATURES else 0,
        keep_end=config.data.context,
        special_rows=config.data.special_rows,
    )


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
        if tokenizer.vocab_size > encoder.config.vocab_size:
            raise UserError(
                f"--config.text.encoder: the tokenizer of {config.text.encoder} has {tokenizer.vocab_size} "
                f"tokens, its weights {encoder.config.vocab_size}"
            )
        return encoder, variables["params"]
    s = config.text.scratch
    sizes = EncoderConfig(
        family="bert",
        vocab_size=0 if tokenizer is None else tokenizer.vocab_size,
        input_width=how.text_width,
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
    return Encoder(sizes, dtype=dtype), None


def make_model(config: ConfigDict, encoder: Encoder | None, how: Preprocessing) -> nn.Module:
    """The module of the config's `model` section around the encoder.

    Args:
      config: its `model`, `text` and `data` sections.
      encoder: of the text; None where there is none.
      how: the preprocessing that the model was, or will be, trained with.

    Raises:
      UserError: when the section does not fit the encoder.
    """
    if encoder is not None and encoder.config.max_tokens < config.text.max_length:
        raise UserError(
            f"--config.text.max_length: {config.text.max_length}, but the encoder takes at most "
            f"{encoder.config.max_tokens} tokens"
        )
    return models.find(config.model.name).build(
        config.model.to_dict(),
        max_length=config.text.max_length,
        encoder=encoder,
        modalities=how.modalities,
        outputs=CORPORA[metric_set(config.data.corpus)].outputs,
        frozen=config.text.frozen,
    )


def blank_batch(how: Preprocessing, *, rows: int = 1, length: int = 4) -> dict[str, np.ndarray]:
    """A batch of zeros with the shapes of the data, to initialise a model with.

    Args:
      how: the preprocessing.
      rows, length: B and T, A and V.
    """
    text = (rows, length, how.text_width) if how.text_width else (rows, length)
    batch = {
        "text": np.zeros(text, np.float32 if how.text_width else np.int32),
        "text_mask": np.ones((rows, length), bool),
        "mask": np.ones(rows, bool),
    }
    for m in STREAMS:
        batch[m] = np.zeros((rows, length, how.widths[m]), np.float32)
        batch[f"{m}_mask"] = np.zeros((rows, length), bool)
    return batch


def init_params(model: nn.Module, how: Preprocessing, key: jax.Array, pretrained: Any | None) -> Any:
    """The parameters at the start of a run.

    Args:
      model: the module.
      how: the preprocessing, for the widths.
      key: of the initialisation.
      pretrained: the encoder's parameters, or None.
    """

    def fresh(key: jax.Array) -> Any:
        params = dict(model.init(key, blank_batch(how), train=False)["params"])
        if pretrained is not None:
            del params["encoder"]  # never computed then: XLA drops what nobody asks for
        return params

    params = jax.jit(fresh)(key)
    return params if pretrained is None else {**params, "encoder": jax.tree.map(jnp.array, pretrained)}


def count_parameters(params: Any) -> int:
    """Numbers in a tree of arrays."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def training_texts(corpus: datasets.Built) -> Iterable[str]:
    """The texts of the training split, read a few clips at a time."""
    source = corpus.split("train")
    for start in range(0, len(source), SCAN_CLIPS):
        rows = range(start, min(start + SCAN_CLIPS, len(source)))
        yield from (clip["text"] for clip in source.__getitems__(rows))
