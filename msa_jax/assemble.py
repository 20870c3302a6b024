"""Assembly of a run: its config becomes preparation, model, variables and loss, as typed pieces."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from msa_jax import losses, models, optim
from msa_jax.corpora import MODALITIES, STREAMS
from msa_jax.data.opening import FEATURES, training_texts
from msa_jax.data.pipeline import Split
from msa_jax.data.preparation import Preparation
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.data.synthetic import facts, metric_set
from msa_jax.encoders import make_encoder, make_tokenizer, scratch, text_notes
from msa_jax.errors import UserError, counted
from msa_jax.models import fields
from msa_jax.text import Encoder

if TYPE_CHECKING:
    from msa_jax.data.datasets import Built


@dataclasses.dataclass(frozen=True)
class Pieces:
    """A run before its first step.

    Attributes:
      preparation: what turns clips into arrays.
      model: the module.
      variables: `params` and the model's other collections, at the start.
      initial: makes such variables from a key.
      seed: that they were made from.
      shared: top-level parts of the parameters that are the same whatever the seed: a pretrained encoder that
        is not trained.
      loss: the config's `loss` section.
      metrics: name of the corpus whose metrics apply.
      splits: "train" and "valid", scanned; empty without data.
      notes: what was decided about the text from evidence, in sentences.
    """

    preparation: Preparation
    model: nn.Module
    variables: dict[str, Any]
    initial: Callable[[jax.Array], dict[str, Any]]
    seed: int
    shared: tuple[str, ...]
    loss: losses.Loss
    metrics: str
    splits: Mapping[str, Split] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of_seed(self, seed: int) -> "Pieces":
        """The same run with the variables of a seed."""
        if seed == self.seed:
            return self
        return dataclasses.replace(self, variables=self.initial(jax.random.key(seed)), seed=seed)

    def summary(self, config: ConfigDict) -> Iterator[str]:
        """Says what is trained, on how many clips and on which device, and what the model has to say."""
        params = self.variables["params"]
        parts = ", ".join(f"{name} {count_parameters(part):,}" for name, part in params.items())
        train, valid = (len(self.splits[name]) for name in ("train", "valid"))
        clips = f"{counted(train, '{clip|clips}')} to train on, {valid} to validate"
        device = jax.devices()[0].device_kind
        yield f"{config.model.name}: {count_parameters(params):,} parameters ({parts}); {clips}; {device}"
        of_model = self.model.notes(config.batch_size) if hasattr(self.model, "notes") else ()
        for line in (*self.notes, *of_model):
            yield f"note: {line}"


def assemble(config: ConfigDict, corpus: "Built") -> Pieces:
    """The pieces of a run on a corpus.

    Args:
      config: a checked config.
      corpus: what it is trained on.

    Raises:
      UserError: when the config does not fit the data or the encoder.
    """
    how = make_preprocessing(config, corpus.widths, corpus.streams, corpus.text_width)
    pretrained_inside = models.find(config.model.name).needs_encoder and config.text.encoder != "scratch"
    texts = training_texts(corpus)
    # Without words only a pretrained encoder that the model lives in needs one, for its padding token.
    tokenizer = make_tokenizer(config, texts) if corpus.words or pretrained_inside else None
    encoder, pretrained = make_encoder(config, tokenizer, how)
    preparation, training = Preparation.fit(
        corpus.split("train"),
        tokenizer,
        how,
        buckets=config.data.buckets,
        standardise=config.data.standardise,
        encoder=None if encoder is None else encoder.config,
    )
    splits = {"train": training, "valid": preparation.scan(corpus.split("valid"))}
    notes = text_notes(config, tokenizer, how, training_texts(corpus))
    return _pieces(config, preparation, encoder, pretrained, splits, notes)


def without_data(
    config: ConfigDict, widths: Mapping[str, int], *, text_width: int = 0, length: int = 50
) -> Pieces:
    """The pieces of a run on clips of given widths that are not there, to compile and time a step.

    Args:
      config: a checked config whose encoder is at hand.
      widths: columns of "audio" and "vision".
      text_width: columns of text features, where the text is features.
      length: steps of each modality in a batch.
    """
    how = make_preprocessing(config, widths, text_width=text_width)
    tokenizer = make_tokenizer(config, ["words to learn a vocabulary from"])
    encoder, pretrained = make_encoder(config, tokenizer, how)
    sizes = None if encoder is None else encoder.config
    buckets = ((length, length, length),)
    preparation = Preparation(
        tokenizer, how, Statistics.identity(how.widths), buckets, config.batch_size, sizes
    )
    return _pieces(config, preparation, encoder, pretrained, {})


def _pieces(
    config: ConfigDict,
    preparation: Preparation,
    encoder: Encoder | None,
    pretrained: Any | None,
    splits: Mapping[str, Split],
    notes: tuple[str, ...] = (),
) -> Pieces:
    model = make_model(config, encoder, preparation)
    initial = initialiser(model, preparation, pretrained)
    variables = initial(jax.random.key(config.seed))
    _check_groups(config, preparation, variables["params"])
    return Pieces(
        preparation=preparation,
        model=model,
        variables=variables,
        initial=initial,
        seed=config.seed,
        shared=("encoder",) if config.text.frozen and pretrained is not None else (),
        loss=fields.build(models.find(config.model.name).loss, config.loss.to_dict()),
        metrics=metric_set(config.data.corpus),
        splits=splits,
        notes=notes,
    )


def _check_groups(config: ConfigDict, preparation: Preparation, params: Any) -> None:
    """Refuses a pattern of `optim.groups` that no parameter of the model has in any of its forms.

    A form without a text encoder, or without a modality, need not have them all.
    """
    groups = config.optim.groups
    optim.group_values(params, groups, weight_decay=config.optim.weight_decay)
    if not (idle := optim.unused(params, groups)):
        return
    how = dataclasses.replace(preparation.preprocessing, modalities=MODALITIES, text_width=0)
    whole = dataclasses.replace(preparation, preprocessing=how)
    model = make_model(config, scratch(config, preparation.tokenizer, width=0), whole)
    shapes = jax.eval_shape(lambda key: init_variables(model, whole, key, None), jax.random.key(0))
    for pattern in sorted(idle & optim.unused(shapes["params"], groups)):
        raise UserError(
            f"--config.optim.groups: the pattern {pattern!r} is never the first match for any parameter"
        )


def make_preprocessing(
    config: ConfigDict, widths: Mapping[str, int], streams: Sequence[str] = STREAMS, text_width: int = 0
) -> Preprocessing:
    """How a run with this config turns clips into arrays.

    Args:
      config: its `text` and `data` sections.
      widths: features per row of "audio" and "vision", from the data.
      streams: the feature streams present in the data; absent ones are never used.
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
        clip_values=config.data.clip_values,
    )


def make_model(config: ConfigDict, encoder: Encoder | None, preparation: Preparation) -> nn.Module:
    """The module of the config's `model` section around the encoder.

    Args:
      config: its `model`, `text` and `data` sections.
      encoder: of the text; None where there is none.
      preparation: what the model was, or will be, trained with.

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
        modalities=preparation.preprocessing.modalities,
        clips=preparation.clips,
        outputs=facts(config.data.corpus).outputs,
        frozen=config.text.frozen,
    )


def init_variables(
    model: nn.Module, preparation: Preparation, key: jax.Array, pretrained: Any | None
) -> dict[str, Any]:
    """The parameters and other collections at the start of a run.

    Args:
      model: the module.
      preparation: for the shapes of the data.
      key: of the initialisation.
      pretrained: the encoder's parameters, or None.
    """
    return initialiser(model, preparation, pretrained)(key)


def initialiser(
    model: nn.Module, preparation: Preparation, pretrained: Any | None
) -> Callable[[jax.Array], dict[str, Any]]:
    """What makes the variables of `init_variables` from a key, by one program for all keys."""

    @jax.jit
    def fresh(key: jax.Array) -> dict[str, Any]:
        variables = dict(model.init(key, preparation.blank_batch(), train=False))
        if pretrained is not None:
            # Never computed then: XLA drops what nobody asks for.
            variables["params"] = {k: v for k, v in variables["params"].items() if k != "encoder"}
        return variables

    def make(key: jax.Array) -> dict[str, Any]:
        variables = fresh(key)
        if pretrained is not None:
            encoder = jax.tree.map(jnp.array, pretrained)
            variables["params"] = {**variables["params"], "encoder": encoder}
        return variables

    return make


def count_parameters(params: Any) -> int:
    """Numbers in a tree of arrays."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))
