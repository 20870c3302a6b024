"""Advice on the command to run next, for a file that was inspected."""

from collections.abc import Sequence

from ml_collections import ConfigDict

from msa_jax import config as configs
from msa_jax import models
from msa_jax.corpora import STREAMS
from msa_jax.data.opening import FEATURES
from msa_jax.inspect.inspection import Inspection
from msa_jax.specs import shipped_files

# Variants of every config, by the streams that they leave.
_WITHOUT_TEXT = {STREAMS: "no_text", ("audio",): "audio_only", ("vision",): "vision_only"}
_ENCODER = "bert-base-uncased"  # for words that meet a config whose text is features


def training(found: Inspection, overrides: Sequence[str] = ()) -> list[str]:
    """The arguments of `python -m msa_jax.main` that train on the file; [] where nothing can.

    Args:
      found: a file that a build does not refuse.
      overrides: more arguments, such as --config.data.split_name=NAME.
    """
    if found.refusal or found.corpus is None:
        return []
    words, features = found.has("text"), found.has("text_features")
    variant = ""
    if not words and not features:
        streams = tuple(stream for stream in STREAMS if found.has(stream))
        if not streams:
            return []
        variant = f":{_WITHOUT_TEXT[streams]}"
    name, config = _config(found.corpus, words)
    arguments = [f"--config=configs/{name}{variant}", f"--config.data.path={found.path}"]
    if features and not words:  # said even where it is the config's own: it is what the file decides
        arguments.append(f"--config.text.encoder={FEATURES}")
    elif words and config.text.encoder == FEATURES and not features:
        arguments.append(f"--config.text.encoder={_ENCODER}")
    if not found.official:
        arguments.append("--config.data.other_counts=True")
    return [*arguments, *overrides]


def _config(corpus: str, words: bool) -> tuple[str, ConfigDict]:
    """(file name, config) of the shipped config that suits a corpus best.

    Words go to a model that lives in a text encoder, where there is one; features of the text to a config
    that asks for them; audio and vision alone to a model that needs no encoder. Of those, a model that is
    marked as suggested comes first.
    """
    loaded = [(p.name, configs.load(f"configs/{p.name}")[0]) for p in shipped_files()]
    fitting = [(name, c) for name, c in loaded if c.data.corpus == corpus]

    def rank(item: tuple[str, ConfigDict]) -> tuple[bool, bool, bool, str]:
        name, c = item
        model = models.find(c.model.name)
        lives_in_text = model.needs_encoder
        takes_features = c.text.encoder == FEATURES
        order = (not lives_in_text, takes_features) if words else (not takes_features, lives_in_text)
        return (*order, not model.suggested, name)

    return min(fitting, key=rank)


def prediction(found: Inspection, overrides: Sequence[str] = ()) -> list[str]:
    """The arguments of `python -m msa_jax.main` that score the clips with a trained run; [] where none can.

    Args:
      found: the file.
      overrides: as in `training`.
    """
    if not found.scorable:
        return []
    return ["--mode=predict", "--workdir=RUN", f"--config.data.path={found.path}", *overrides]
