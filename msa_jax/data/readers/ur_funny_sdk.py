"""UR-FUNNY as published: a folder of pickles, one for each modality, one for labels, one for the splits.

The form is that which the README of ROC-HCI/UR-FUNNY describes and MultiBench's `humor_dataset.py` reads:
rows of audio and vision and word indices belong to words, sentence by sentence. What the language pickle has
under punchline_features are the words themselves, although the README says indices.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from msa_jax.data.conventions import NOTHING, Said, label_columns, videos
from msa_jax.data.conventions.texts import decoded
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean, safe_pickle
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "UR-FUNNY SDK pickles"
LEAVES_OPEN: tuple[str, ...] = ("encoding", "label_column")  # fields of `Said` that matter here
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
    folder: Path,
    where: str,
    require_labels: bool | None,
    text_features: bool = False,
    context: bool = False,
    said: Said = NOTHING,
) -> Reading:
    """Loads the pickles of a folder and prepares to read their clips.

    Args:
      folder: holds language_sdk.pkl {id: {punchline_sentence, context_sentences, punchline_features (words),
        context_features (a list of words for each sentence), punchline_embedding_indexes,
        context_embedding_indexes (of the same form)}}, data_folds.pkl {train, dev, test: ids},
        humor_label_sdk.pkl {id: 0 or 1}, and covarep_features_sdk.pkl (audio) and openface_features_sdk.pkl
        (vision), {id: {punchline_features (words, width), context_features: a list of such}}, either of
        which may be missing. Without lists of words, the words are those of the sentences. In files without
        embedding indexes, punchline_features and context_features hold these.
      where: what to call the folder in messages.
      require_labels: whether missing labels are an error; None: labels are not read.
      text_features: whether to read the vectors at the embedding indexes of word_embedding_list.pkl.
      context: whether a clip begins with the sentences before the punchline; else it is the punchline alone.
      said: what the user says of the file.

    Returns:
      What starts the iteration, in the order of data_folds.pkl. A clip is aligned where its streams have a
      row for each word of each sentence.

    Raises:
      UserError: when a file is missing or of another form, or lacks clips of data_folds.pkl.
    """
    labelled = require_labels or (require_labels is not None and (folder / _LABELS).is_file())
    names = [_FOLDS, _LANGUAGE, *([_LABELS] if labelled else [])]
    names += [file for file in _STREAMS.values() if (folder / file).is_file()]
    if text_features and not (folder / _VECTORS).is_file():
        raise clean.NoTextFeatures(f"{where}: without {_VECTORS} it")
    names += [_VECTORS] if text_features else []
    texts = decoded({name: _load(folder, name, where) for name in names}, said.encoding, where)
    files = texts.content
    folds = _folds(files[_FOLDS], where)
    wanted = [name for names in folds.values() for name in names]
    if not wanted:
        raise UserError(f"{where}: {_FOLDS} names no clips")
    language = _clips(files, _LANGUAGE, wanted, where)
    labels = _clips(files, _LABELS, wanted if require_labels else [], where) if labelled else {}
    scores, columns = label_columns.of_clips(
        [labels.get(name) for name in wanted],
        name=wanted.__getitem__,
        asked=said.label_column if labelled else None,
        where=where,
    )
    labels = dict(zip(wanted, scores, strict=True))
    streams = {
        stream: _clips(files, file, wanted, where) for stream, file in _STREAMS.items() if file in files
    }
    vectors = files.get(_VECTORS)

    def examples() -> Iterator[Example]:
        for split, names in folds.items():
            for name in names:
                try:
                    parts = {stream: clips[name] for stream, clips in streams.items()}
                    yield _example(name, split, language[name], parts, labels[name], vectors, context)
                except KeyError as error:
                    raise UserError(f"{where}: clip {name} has no {error}") from None
                except (TypeError, ValueError, IndexError) as error:
                    raise UserError(f"{where}: clip {name} is not as in {NAME}: {error}") from None

    named = videos.name([], nameless=len(wanted), where=where)  # the files number the clips, and name no talk
    conventions = texts.conventions | named.conventions | columns.conventions
    return Reading(examples, texts.notes, conventions, untold_videos=named.untold)


def _load(folder: Path, file: str, where: str) -> object:
    if not (folder / file).is_file():
        raise UserError(f"{where}: {NAME} need {file}; copy it into the folder")
    return safe_pickle.load(folder / file)


def _clips(files: Mapping[str, object], file: str, wanted: Sequence[str], where: str) -> dict:
    """The entries of a file for the clips, by the clip's id as text."""
    content = files[file]
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
    features = {stream: _by_sentence(parts, "features", context) for stream, parts in streams.items()}
    rows = {stream: [clean.features(part) for part in parts] for stream, parts in features.items()}
    present = [parts for parts in rows.values() if _sizes(parts)]
    counts = {tuple(map(len, parts)) for parts in present}
    words = _words(language, next(iter(counts)) if len(counts) == 1 else (), context)
    sizes = {_sizes(parts) for parts in present}
    text_features = no_features()
    if vectors is not None:
        looked_up = _vectors(language, vectors, context)
        _check_match(_sizes(looked_up), sizes)
        text_features = _joined(looked_up)
    return Example(
        id=name,
        video=name,
        split=split,
        text=" ".join(word for sentence in words for word in sentence),
        audio=_joined(rows.get("audio", [])),
        vision=_joined(rows.get("vision", [])),
        aligned=sizes == {_sizes(words)},  # by sentence: sums can agree where no row fits its word
        label=label,
        text_features=text_features,
    )


def _by_sentence(parts: dict, what: str, context: bool) -> list:
    """The entries of a file for the sentences of a clip, the punchline last."""
    return [*(parts[f"context_{what}"] if context else ()), parts[f"punchline_{what}"]]


def _sizes(sentences: list) -> tuple[int, ...]:
    """The lengths of the sentences that have any."""
    return tuple(len(part) for part in sentences if len(part))


def _joined(sentences: list[np.ndarray]) -> np.ndarray:
    """The rows of the sentences, one after the other."""
    rows = [part for part in sentences if len(part)]
    return np.concatenate(rows) if rows else no_features()


def _words(language: dict, counts: Sequence[int], context: bool) -> list[list[str]]:
    """The words of each sentence.

    Args:
      language: what language_sdk.pkl has on the clip.
      counts: rows of each sentence where the streams agree on them, else nothing.
      context: whether the sentences before the punchline belong to the clip.

    Returns:
      The words that the file lists, else those of the sentences. The sentences were made of the words and a
      "." at the end, which is left out where there is one row less.
    """
    said = [clean.text(language["punchline_sentence"]).split()]
    listed = [_listed(language.get("punchline_features", ()))]
    if context:
        before = [clean.text(sentence).split() for sentence in language["context_sentences"]]
        lists = [_listed(words) for words in language.get("context_features", ())]
        said = before + said
        listed = (lists if len(lists) == len(before) else [[]] * len(before)) + listed
    counts = counts if len(counts) == len(said) else [-1] * len(said)
    return [
        words or (sentence[:-1] if sentence[-1:] == ["."] and len(sentence) == count + 1 else sentence)
        for sentence, words, count in zip(said, listed, counts, strict=True)
    ]


def _listed(words: Sequence) -> list[str]:
    """The words of a list as they can be counted in a text: none empty or with spaces; [] for numbers."""
    if not any(isinstance(word, (str, bytes)) for word in words):
        return []
    return list(filter(None, ("".join(clean.string(word).split()) for word in words)))


def _vectors(language: dict, vectors: Sequence, context: bool) -> list[np.ndarray]:
    """The vectors of the words of each sentence, looked up by their indices."""
    what = "embedding_indexes" if "punchline_embedding_indexes" in language else "features"
    if what == "features" and _listed(language["punchline_features"]):
        raise KeyError("punchline_embedding_indexes")  # there are words where older files have the indices
    sentences = []
    for sentence in _by_sentence(language, what, context):
        indices = [int(index) if index == int(index) else index for index in np.ravel(sentence)]
        wrong = [index for index in indices if not (isinstance(index, int) and 0 <= index < len(vectors))]
        if wrong:
            raise ValueError(f"word {wrong[0]}, but {_VECTORS} has {len(vectors)}")
        sentences.append(clean.features([vectors[index] for index in indices]))
    return sentences


def _check_match(vectors: tuple[int, ...], streams: set[tuple[int, ...]]) -> None:
    """Refuses vectors that would be taken for those of other words.

    Vectors and rows that are as many in a clip are put beside each other, whatever sentence they are from.

    Raises:
      ValueError: when they are as many in all, but not in each sentence.
    """
    for rows in streams:
        if sum(rows) == sum(vectors) and rows != vectors:
            raise ValueError(
                f"its sentences have {', '.join(map(str, vectors))} word indices, but "
                f"{', '.join(map(str, rows))} rows of audio or vision; correct the clip or take it out"
            )
