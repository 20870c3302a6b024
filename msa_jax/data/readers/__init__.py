"""Readers: a user's feature file becomes examples, and nothing outside this folder knows a file format."""

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from msa_jax.data.conventions import Said
from msa_jax.data.example import Example
from msa_jax.data.readers import (
    clean,
    csd,
    csv_text,
    extractor_pickle,
    foreign,
    hdf5_arrays,
    mmsa_pickle,
    mult_pickle,
    one_modality,
    room,
    ur_funny_sdk,
    utterance_npz,
    words_pickle,
)
from msa_jax.data.readers.kinds import content_of, describe, kinds_of
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError, check_flags
from msa_jax.files import expanded

_FILES = (mmsa_pickle, mult_pickle, words_pickle, csv_text, utterance_npz, csd, extractor_pickle)
_FOLDERS = (words_pickle, ur_funny_sdk, hdf5_arrays, csd)
# Formats that can hold features of the text.
_FEATURED = (mmsa_pickle, extractor_pickle, mult_pickle, ur_funny_sdk, hdf5_arrays, csd)
_WORDLESS = (mult_pickle, hdf5_arrays)
_DIVIDED = (csv_text, utterance_npz)  # formats that can hold several divisions into splits
_WITH_CONTEXT = (ur_funny_sdk,)
_WITH_TOKENS = (mmsa_pickle, extractor_pickle)  # formats whose rows may belong to the tokens of a vocabulary
_ODD = (TypeError, ValueError, LookupError, AttributeError, OverflowError)
_ODD = (*_ODD, MemoryError, RecursionError, SystemError)
KNOWN = "known are: " + ", ".join(dict.fromkeys(format.NAME for format in (*_FILES, *_FOLDERS)))


@dataclasses.dataclass(frozen=True)
class Source:
    """A feature file that has been recognised; iterate over it, as often as needed, for its examples.

    Attributes:
      path: the file or folder.
      format: the name of its format.
      reading: what the reader of that format made of it.
    """

    path: Path
    format: str
    reading: Reading

    def __iter__(self) -> Iterator[Example]:
        stored = sum(file.stat().st_size for file in files(self.path))
        with _well_formed(self.path, self.format):
            for count, example in enumerate(self.reading.examples(), 1):
                room.check_clips(self.path, count, stored)
                yield example


@contextlib.contextmanager
def _well_formed(path: Path, format: str) -> Iterator[None]:
    """Turns errors of odd contents, for which no reader has a check, into one line."""
    try:
        yield
    except OSError as e:
        raise clean.unreadable(path, e) from e
    except _ODD as e:
        reason = next(iter(str(e).splitlines()), "")[:200]
        raise UserError(
            f"{path}: recognised as {format}, but its contents are of another form "
            f"({type(e).__name__}: {reason}); copy it again, or save it in that form"
        ) from e


def read(
    path: str | Path,
    *,
    require_labels: bool | None = True,
    split_name: str | None = None,
    text_features: bool | None = False,
    need_text: bool = True,
    context: bool = False,
    encoder: str | None = None,
    words: bool = True,
    **said: object,
) -> Source:
    """Opens a feature file of any known format.

    Args:
      path: a file (MMSA, MulT or words pickle, CSV of texts and labels, utterance .npz, .csd) or the folder
        of a corpus that comes in several (words pickles by split, UR-FUNNY's SDK pickles, HDF5 per array,
        .csd).
      require_labels: whether clips without labels are an error; without them the label is NaN. None: labels
        are not read, whatever stands there, as for clips that are only scored.
      split_name: which division into splits to use, where the file has several.
      text_features: whether to read the features of the text that the file brings; None = where it has some.
      need_text: whether the clips' text is needed; False: files without words are read too, the texts empty.
      context: whether clips begin with the sentences before them (UR-FUNNY).
      encoder: the name of the run's text encoder, whose vocabulary may have made the file's tokens.
      words: whether to find the words of such tokens, by which their rows reach other tokenizers' tokens.
      **said: the fields of `msa_jax.data.conventions.Said`, for what the format leaves open, such as
        rows="words".

    Returns:
      The source: `for example in read(path)`.

    Raises:
      UserError: when the file cannot be read, is of no known format or of several, or lacks what its format
        needs or the text features that were asked for.
    """
    check_flags(require_labels=require_labels, text_features=text_features, need_text=need_text)
    check_flags(context=context, words=words)
    path, format, content = _open(path)
    options = _options(path, format, split_name, context)
    options |= {"said": _said(path, format, said)}
    if format in _WITH_TOKENS:
        options |= {"encoder": encoder, "words": words, "need_text": need_text}
    if format not in _FEATURED:
        if text_features:
            raise clean.NoTextFeatures(path)
        return _source(path, format, content, require_labels, options)
    wordless = format in _WORDLESS
    if text_features is None or (wordless and need_text):
        try:
            source = _source(path, format, content, require_labels, {**options, "text_features": True})
        except clean.NoTextFeatures:
            if wordless and text_features is not None:
                what = "there is no text in it (or not in each of its splits), neither words nor features"
                raise clean.NoWords(path, what, features=False) from None
            text_features = False
        else:
            if text_features is not False:
                return source
            what = f"a {format.NAME} keeps no words, only features of them"
            raise clean.NoWords(path, what, features=True)
    return _source(path, format, content, require_labels, {**options, "text_features": text_features})


def _said(path: Path, format: ModuleType, fields: dict[str, object]) -> Said:
    """What the user says of the file, as far as its format leaves it open."""
    said = Said(**fields)
    for name, value in said.given().items():
        if name not in format.LEAVES_OPEN:
            raise UserError(f"{path}: a {format.NAME} leaves no choice here; remove data.{name} ({value!r})")
    return said


def _options(path: Path, format: ModuleType, split_name: str | None, context: bool) -> dict[str, object]:
    """Those of the reader's options that only some formats have."""
    if split_name is not None and format not in _DIVIDED:
        raise UserError(
            f"{path}: a {format.NAME} has one division into splits; remove data.split_name ({split_name!r})"
        )
    if context and format not in _WITH_CONTEXT:
        raise UserError(f"{path}: a {format.NAME} has no context of its clips; remove data.context")
    options: dict[str, object] = {"split_name": split_name} if format in _DIVIDED else {}
    return {**options, "context": context} if format in _WITH_CONTEXT else options


def _source(
    path: Path, format: ModuleType, content: object, require_labels: bool | None, options: dict
) -> Source:
    with _well_formed(path, format.NAME):
        reading = format.reader(content, str(path), require_labels, **options)
        notes = (*_passed_over(path, format), *reading.notes)
        return Source(path, format.NAME, dataclasses.replace(reading, notes=notes))


def _passed_over(path: Path, format: ModuleType) -> Iterator[str]:
    """Notes on the corpus beside the one that a folder is read for."""
    if format is words_pickle and path.is_dir() and csd.members(path):
        yield "The folder holds words pickles and .csd files: the pickles are read, the .csd files are not."


def recognise(path: str | Path) -> str:
    """Names the format of a feature file by its content, whatever the file is called.

    Raises:
      UserError: when the file cannot be read, or its format is unknown or ambiguous.
    """
    return _open(path)[1].NAME


def files(path: str | Path) -> list[Path]:
    """The files that hold the data of `path`: itself, or the members of a folder, sorted by name.

    Raises:
      UserError: when nothing is there, or the folder holds no corpus or more than one.
    """
    path = expanded(path)
    if os.path.isfile(path):  # unlike Path.is_file, False where it may not be asked
        return csd.members(path) if path.suffix.lower() == ".csd" else [path]  # its splits may lie beside it
    return _folder(path)[1]


def _folder(path: Path) -> tuple[ModuleType, list[Path]]:
    """(format, members) of the corpus in a folder."""
    try:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder; check the path")
        if not path.is_dir():
            raise UserError(
                f"{path}: is neither a file nor a folder (a pipe?); save the data to a file first"
            )
        found = [(format, format.members(path)) for format in _FOLDERS]
        found = [(format, members) for format, members in found if members]
        inside = sorted(item.name for item in path.iterdir())
    except OSError as e:
        raise clean.unreadable(path, e) from None
    if not found and not inside:
        raise UserError(
            f"{path}: the folder is empty; name a feature file, or the folder that holds a corpus"
        )
    if not found and (names := foreign.media(path)):
        raise UserError(foreign.media_in(path, names))
    if not found:
        shown = ", ".join(inside[:5])
        raise UserError(
            f"{path}: the folder holds no corpus ({', '.join(words_pickle.FOLDER)}, UR-FUNNY's *_sdk.pkl, "
            f"audio_<split>.h5 ..., or .csd files), only {shown}; name one file"
        )
    if words_pickle in (format for format, _ in found):  # MISA's script writes beside the .csd files it reads
        found = [(format, members) for format, members in found if format is not csd]
    if len(found) > 1:
        kinds = " and ".join(format.NAME for format, _ in found)
        raise UserError(f"{path}: the folder holds {kinds}; keep one corpus in a folder")
    format, members = found[0]
    if format is words_pickle:
        _one_per_split([(member.stem, words_pickle.split_name(member)) for member in members], path)
    return format, members


def _open(path: str | Path) -> tuple[Path, ModuleType, object]:
    """(path, the module of its format, the content as that module takes it)."""
    path = expanded(path)
    if not os.path.isfile(path):
        format, members = _folder(path)
        if format is not words_pickle:
            return path, format, path
        # The same thing as one file with those keys; a member of another kind is told by its own name.
        content = {words_pickle.split_name(file): content_of(file, "pickle") for file in members}
        if not words_pickle.matches(content):
            names = ", ".join(file.name for file in members)
            raise UserError(
                f"{path}: {names} must each hold a list of clips (words pickle); name one file, or move "
                "those that do not out of the folder"
            )
        return path, words_pickle, content
    kinds = kinds_of(path, KNOWN)
    contents = [content_of(path, kind) for kind in kinds]
    for content in contents:
        one_modality.refuse(content, path)
    candidates = [(format, content) for content in contents for format in _FILES if format.matches(content)]
    if len(candidates) > 1:
        names = " or ".join(format.NAME for format, _ in candidates)
        raise UserError(f"{path}: could be {names}; save it so that only one is possible")
    if not candidates:
        hint = describe(contents[0])
        raise UserError(f"{path}: the file is {kinds[0]}, but of no known format{hint}; {KNOWN}")
    format, content = candidates[0]
    if isinstance(content, dict):
        _one_per_split([(clean.string(key), key) for key in content], path)
    return path, format, content


def _one_per_split(names: Iterable[tuple[str, object]], path: Path) -> None:
    """Refuses two names for a split; each comes with what the split is called in it."""
    by_split: dict[str, list[str]] = {}
    for name, called in names:
        if split := clean.split_alias(called):
            by_split.setdefault(split, []).append(name)
    for split, same in by_split.items():
        if len(same) > 1:
            raise UserError(f"{path}: {' and '.join(sorted(same))} both mean the {split} split; remove one")
