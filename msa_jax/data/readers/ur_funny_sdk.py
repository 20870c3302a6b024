"""UR-FUNNY as published: a folder of pickles, one for each modality, one for labels, one for the splits."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean, safe_pickle
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "UR-FUNNY SDK pickles"
_LANGUAGE = "language_sdk.pkl"
_STREAMS = {"audio": "covarep_features_sdk.pkl", "vision": "openface_features_sdk.pkl"}
_LABELS = "humor_label_sdk.pkl"
_FOLDS = "data_folds.pkl"
_VECTORS = "word_embedding_list.pkl"
_SHOWN = 3  # ids named in a message


def members(folder: Path) -> list[Path]:
    """The files of this format in a folder, sorted; [] where it is of another format."""
    names = sorted([_LANGUAGE, *_STREAMS.values(), _LABELS, _FOLDS, _VECTORS])
    found = [folder / name for name in names if (folder / name).is_file()]
    return found if folder / _LANGUAGE in found else []


def reader(
    folder: Path, where: str, require_labels: bool, text_features: bool = False, context: bool = False
) -> Reading:
    """Loads the pickles of a folder and prepares to read their clips.

    Args:
      folder: holds language_sdk.pkl {id: {punchline_sentence, context_sentences, punchline_features (word
        indices), context_features}}, data_folds.pkl {train, dev, test: ids}, humor_label_sdk.pkl {id: 0 or
        1}, and covarep_features_sdk.pkl (audio) and openface_features_sdk.pkl (vision), {id:
        {punchline_features (words, width), context_features: a list of such}}, either of which may be
        missing.
      where: what to call the folder in messages.
      require_labels: whether missing labels are an error.
      text_features: whether to read the vectors of the words, from word_embedding_list.pkl.
      context: whether a clip begins with the sentences before the punchline; else it is the punchline alone.

    Returns:
      What starts the iteration, in the order of data_folds.pkl.

    Raises:
      UserError: a file is missing or of another form, or lacks clips of data_folds.pkl.
    """
    folds = _folds(_load(folder, _FOLDS, where), where)
    wanted = [name for names in folds.values() for name in names]
    if not wanted:
        raise UserError(f"{where}: {_FOLDS} names no clips")
    language = _clips(folder, _LANGUAGE, wanted, where)
    labels = {}
    if require_labels or (folder / _LABELS).is_file():
        labels = _clips(folder, _LABELS, wanted if require_labels else [], where)
    streams = {
        stream: _clips(folder, file, wanted, where)
        for stream, file in _STREAMS.items()
        if (folder / file).is_file()
    }
    vectors = None
    if text_features:
        if not (folder / _VECTORS).is_file():
            raise clean.NoTextFeatures(f"{where}: without {_VECTORS} it")
        vectors = _load(folder, _VECTORS, where)

    def examples() -> Iterator[Example]:
        for split, names in folds.items():
            for name in names:
                try:
                    label = clean.label(clean.labels([labels[name]], 1)[0]) if name in labels else np.nan
                    parts = {stream: clips[name] for stream, clips in streams.items()}
                    yield _example(name, split, language[name], parts, label, vectors, context)
                except KeyError as error:
                    raise UserError(f"{where}: clip {name} has no {error}") from None
                except (TypeError, ValueError, IndexError) as error:
                    raise UserError(f"{where}: clip {name} is not as in {NAME}: {error}") from None

    return Reading(examples)


def _load(folder: Path, file: str, where: str) -> object:
    if not (folder / file).is_file():
        raise UserError(f"{where}: {NAME} need {file}; copy it into the folder")
    return safe_pickle.load(folder / file)


def _clips(folder: Path, file: str, wanted: Sequence[str], where: str) -> dict:
    """What a file has on each clip, by the clip's id as text."""
    content = _load(folder, file, where)
    if not isinstance(content, dict):
        raise UserError(f"{where}: {file} holds a {type(content).__name__}, expected a dict by clip")
    clips = {clean.string(name): clip for name, clip in content.items()}
    missing = [name for name in wanted if name not in clips]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise UserError(
            f"{where}: {file} lacks {len(missing)} of the {len(wanted)} clips in {_FOLDS}: {shown}; "
            "copy the files of one release"
        )
    return clips


def _folds(content: object, where: str) -> dict[str, list[str]]:
    """The ids by split."""
    folds: dict[str, list[str]] = {}
    for key, names in content.items() if isinstance(content, dict) else ():
        if split := clean.split_alias(key):
            if split in folds:
                raise UserError(f"{where}: {_FOLDS} has the {split} split twice; remove one")
            if not isinstance(names, (list, tuple, set, np.ndarray)):
                raise UserError(f"{where}: {_FOLDS} has no list of clips under {key!r}")
            folds[split] = [
                clean.string(name) for name in (sorted(names) if isinstance(names, set) else names)
            ]
    if not folds:
        raise UserError(f"{where}: {_FOLDS} must be a dict of train, dev and test")
    return folds


def _example(
    name: str,
    split: str,
    language: dict,
    streams: dict[str, dict],
    label: float | np.ndarray,
    vectors: Sequence | None,
    context: bool,
) -> Example:
    sentences = [*(language["context_sentences"] if context else ()), language["punchline_sentence"]]
    text = " ".join(filter(None, map(clean.text, sentences)))
    rows = {stream: _rows(parts, context) for stream, parts in streams.items()}
    counts = {len(steps) for steps in rows.values() if len(steps)}
    return Example(
        id=name,
        video=name,
        split=split,
        text=text,
        audio=rows.get("audio", no_features()),
        vision=rows.get("vision", no_features()),
        aligned=counts == {len(text.split())},
        label=label,
        text_features=no_features() if vectors is None else _vectors(language, vectors, context),
    )


def _rows(parts: dict, context: bool) -> np.ndarray:
    """The rows of the sentences, one after the other."""
    sentences = [*(parts["context_features"] if context else ()), parts["punchline_features"]]
    rows = [steps for steps in map(clean.features, sentences) if len(steps)]
    return np.concatenate(rows) if rows else no_features()


def _vectors(language: dict, vectors: Sequence, context: bool) -> np.ndarray:
    """The vectors of the words, looked up by their indices."""
    sentences = [*(language["context_features"] if context else ()), language["punchline_features"]]
    indices = [int(index) for sentence in sentences for index in sentence]
    wrong = [index for index in indices if not 0 <= index < len(vectors)]
    if wrong:
        raise ValueError(f"word {wrong[0]}, but {_VECTORS} has {len(vectors)}")
    return clean.features([vectors[index] for index in indices])
