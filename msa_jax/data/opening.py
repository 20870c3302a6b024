"""Opening of the corpus that a config names: built where it is not built yet, or made on the spot."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from msa_jax.data import synthetic
from msa_jax.data.content import content_hash
from msa_jax.data.conventions import FIELDS
from msa_jax.data.example import Example
from msa_jax.data.pipeline import chunks
from msa_jax.data.readers.clean import NoWords
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.files import expanded
from msa_jax.text import bert_vocab
from msa_jax.text.pretrained import fingerprint

if TYPE_CHECKING:
    from msa_jax.data.datasets import Built

FEATURES = "features"  # as text.encoder: the text is features that the file brings
SYNTHETIC_TEXT_WIDTH = 300  # as wide as the word vectors that the field's files bring


def cache_folder(config: ConfigDict) -> Path:
    """The folder where corpora are built and compiled programs kept."""
    return expanded(config.data.cache)


def synthetic_config(config: ConfigDict) -> synthetic.SyntheticConfig:
    """The embedded corpus that `data.corpus` names, with text features where the text is features."""
    made = synthetic.PRESETS[config.data.corpus]
    wanted = SYNTHETIC_TEXT_WIDTH if config.text.encoder == FEATURES else 0
    return dataclasses.replace(made, text_width=wanted)


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a run recorded of the places that its config names; its folder may come from anybody.

    A place that it names is a hint, and used only where the content there is what was recorded; nothing is
    downloaded for it.

    Attributes:
      data: hash of the content of its data.
      encoder: that of its encoder's files; None where it is not pretrained.
      vocabulary: that of the vocabulary that it names by `data.bert_vocab`; None where it names none.
      own: the keys whose places the run names; the user names those of the others.
    """

    data: str
    encoder: str | None
    vocabulary: str | None
    own: Collection[str]

    def check_data(self, path: str) -> None:
        """UserError where the data at the place that a run names are not there, or are others."""
        mend = "name the data by --config.data.path=PATH (in Python: run.config.data.path = PATH)"
        if not expanded(path).exists():
            raise UserError(f"the run was trained on {path}, which is not there; {mend}")
        if content_hash(expanded(path)) != self.data:
            raise UserError(
                f"the run was trained on {path}, and what lies there now is something else; {mend}"
            )

    def encoder_at(self, name: str) -> str | None:
        """The encoder that a run names where it is at hand and the same; None otherwise."""
        try:
            here = name.startswith("pkg:") or expanded(name).is_dir()
            return name if here and fingerprint(name) == self.encoder else None
        except (UserError, OSError):  # a name that is too long, a folder that may not be entered
            return None

    def check_vocabulary(self, name: str) -> None:
        """UserError where the vocabulary that a run names is not at hand, or is another."""
        mend = "name the vocabulary by --config.data.bert_vocab=FILE, or =None to go without"
        try:
            found = bert_vocab.fingerprint(name, download=False)
        except (UserError, OSError) as e:
            reason = e.strerror if isinstance(e, OSError) else e
            raise UserError(
                f"the run names the vocabulary {name!r}, which is not to be had here ({reason}); {mend}"
            ) from None
        if found != self.vocabulary:
            raise UserError(
                f"the run names the vocabulary {name!r}, and what is there is not what it was trained with; "
                f"{mend}"
            )


def open_corpus(config: ConfigDict, recorded: Recorded | None = None) -> "Built":
    """The corpus that a config names, built where it is not built yet.

    Args:
      config: its `data` section.
      recorded: of the run that the config is of, where it is a stored one.

    Raises:
      UserError: when there is nothing to build from, several builds to choose from, bad data, no text in the
        data of a run that reads some, or other data than the run's own where these are meant.
    """
    own = recorded if recorded and "data.path" in recorded.own else None
    if own and config.data.path:
        own.check_data(config.data.path)
    corpus = _open(config, reading(config, recorded), own.data if own else None)
    if own and corpus.content_hash != own.data:
        raise UserError("the run's own data are not at hand; name data by --config.data.path=PATH")
    if reads_words(config) and not corpus.words:
        raise NoWords(corpus.source, "its clips have no words", features=corpus.text_width > 0)
    return corpus


def _open(config: ConfigDict, how: dict[str, Any], wanted: str | None) -> "Built":
    from msa_jax.data import datasets  # late: it brings TFDS, which scoring a file does without

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
            text_features=reads_features(config),
            need_text="text" in config.data.modalities,
            **how,
            other_counts=config.data.other_counts,
        )
    if corpus in synthetic.PRESETS:
        made = synthetic_config(config)
        return datasets.build_examples(corpus, _generated(made), cache=cache, key=synthetic.corpus_key(made))
    for key in FIELDS:
        if config.data[key] is not None:
            raise UserError(f"--config.data.{key} says how to read a file; name it by --config.data.path")
    built = find_built(config, wanted)
    if len(built) == 1 or (built and built[0].content_hash == wanted):
        return _opened(built[0], config)
    if not built:
        raise UserError(f"--config.data.path is not set, and no {corpus} corpus has been built in {cache}")
    sources = ", ".join(sorted(f"{b.source} ({sum(b.counts.values())} clips, cut {b.cut})" for b in built))
    raise UserError(
        f"--config.data.path is not set, and several {corpus} corpora are built: {sources}; name one"
    )


def _opened(built: "Built", config: ConfigDict) -> "Built":
    """The one build that there is to choose; where it is damaged, only its data can mend it."""
    from msa_jax.data import datasets  # late, as above

    mend = f"delete {built.folder}, and name its data by --config.data.path; they were in {built.source}"
    built = datasets.open_built(built.folder, mend=mend)
    if not config.data.other_counts:
        built.require_official()
    return built


def reads_features(config: ConfigDict) -> bool:
    """Whether the run reads features of the text that the file brings."""
    return "text" in config.data.modalities and config.text.encoder == FEATURES


def reads_words(config: ConfigDict) -> bool:
    """Whether the run reads words."""
    return "text" in config.data.modalities and config.text.encoder != FEATURES


def reading(config: ConfigDict, recorded: Recorded | None = None) -> dict[str, Any]:
    """The options of `readers.read` that the config's sections `data` and `text` hold.

    Args:
      config: as said.
      recorded: of the run that the config is of, where it is a stored one.

    Raises:
      UserError: when the run names a vocabulary that is not at hand, or that is another now.
    """
    vocabulary = config.data.bert_vocab
    if vocabulary is not None and recorded is not None and "data.bert_vocab" in recorded.own:
        recorded.check_vocabulary(vocabulary)
    encoder = config.text.encoder if config.text.encoder not in ("scratch", FEATURES) else None
    if encoder is not None and recorded is not None:
        encoder = recorded.encoder_at(encoder)
    return {**{name: config.data[name] for name in ("split_name", "context", *FIELDS)}, "encoder": encoder}


def find_built(config: ConfigDict, content: str | None = None) -> list["Built"]:
    """The builds of the config's corpus, in the form that its text needs; in any where it reads no text.

    Args:
      config: as said.
      content: as for `datasets.find_built`.

    Raises:
      UserError: when one is damaged, instead of passing over it in silence.
    """
    from msa_jax.data import datasets  # late, as above

    form = reads_features(config) if "text" in config.data.modalities else None
    found = datasets.find_built(config.data.corpus, cache_folder(config), text_features=form, content=content)
    # Of one file read twice, without a vocabulary and with it, the surer build.
    surest: dict[tuple[str, str], Built] = {}
    for built in sorted(found, key=lambda built: built.open_words, reverse=True):
        surest[built.content_hash, str(built.cut)] = built
    return list(surest.values())


def _generated(made: synthetic.SyntheticConfig) -> Iterator[Example]:
    yield from synthetic.generate(made)[0]  # a generator: nothing is made where the corpus is built


def has_data(config: ConfigDict) -> bool:
    """Whether there is a corpus to open: a path, a build of an earlier run, or one that is made.

    Raises:
      UserError: when a build of an earlier run is damaged.
    """
    named = config.data.path is not None or config.data.corpus in synthetic.PRESETS
    return named or bool(find_built(config))


def source_name(corpus: "Built") -> str:
    """The name of the data in results.json: "synthetic", or the user's file."""
    return "synthetic" if corpus.corpus in synthetic.PRESETS else corpus.source


def training_texts(corpus: "Built") -> Iterable[str]:
    """The texts of the training split, read a few clips at a time."""
    source = corpus.split("train")
    for clips in chunks(source):
        yield from (clip["text"] for clip in clips)
