"""From a user's feature file to examples; nothing outside this folder knows a file format."""

import contextlib
import dataclasses
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from msa_jax.data.example import Example
from msa_jax.data.readers import clean, csv_text, mmsa_pickle, safe_pickle, utterance_npz, words_pickle
from msa_jax.errors import UserError

_FORMATS = (mmsa_pickle, words_pickle, csv_text, utterance_npz)
_FEATURED = (mmsa_pickle,)  # formats that can hold features of the text
_DIVIDED = (csv_text, utterance_npz)  # formats that can hold several divisions into splits
_KNOWN = "known are: " + ", ".join(format.NAME for format in _FORMATS)
_FOLDER = ("train.pkl", "dev.pkl", "valid.pkl", "test.pkl")
_FOREIGN = {
    b"\x89HDF": "an HDF5 file (.h5, .csd)",
    b"\x1f\x8b": "compressed by gzip (unpack it first)",
    b"%PDF": "a PDF",
}


@dataclasses.dataclass(frozen=True)
class Source:
    """A feature file that has been recognised; iterate over it, as often as needed, for its examples.

    Attributes:
      path: the file or folder.
      format: the name of its format.
      examples: starts an iteration over the clips, in the order of the file.
    """

    path: Path
    format: str
    examples: Callable[[], Iterator[Example]]

    def __iter__(self) -> Iterator[Example]:
        with _well_formed(self.path, self.format):
            yield from self.examples()


@contextlib.contextmanager
def _well_formed(path: Path, format: str) -> Iterator[None]:
    """Readers check what files are known to get wrong; whatever else is odd ends up here."""
    try:
        yield
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as e:
        reason = next(iter(str(e).splitlines()), "")[:200]
        raise UserError(
            f"{path}: looks like a {format}, but its contents are of another form "
            f"({type(e).__name__}: {reason})"
        ) from e


def read(
    path: str | Path,
    *,
    require_labels: bool = True,
    split_name: str | None = None,
    text_features: bool = False,
) -> Source:
    """Opens a feature file of any known format.

    Args:
      path: an MMSA pickle, a words pickle (or the folder of its train.pkl, dev.pkl, test.pkl), a CSV of texts
        and labels, or an utterance .npz.
      require_labels: whether clips without labels are an error; without them the label is NaN.
      split_name: which division into splits to use, where the file has several.
      text_features: whether to read the features of the text that the file brings.

    Returns:
      The source: `for example in read(path)`.

    Raises:
      UserError: the file cannot be read, is of no known format or of several, or lacks what its format needs
        or the text features that were asked for.
    """
    path, format, content = _open(path)
    options = {}
    if format in _DIVIDED:
        options["split_name"] = split_name
    elif split_name is not None:
        raise UserError(
            f"{path}: a {format.NAME} has one division into splits; remove data.split_name ({split_name!r})"
        )
    if format in _FEATURED:
        options["text_features"] = text_features
    elif text_features:
        raise UserError(clean.no_text_features(path))
    try:
        with _well_formed(path, format.NAME):
            examples = format.reader(content, str(path), require_labels, **options)
    finally:
        if isinstance(content, np.lib.npyio.NpzFile):
            content.close()
    return Source(path, format.NAME, examples)


def recognise(path: str | Path) -> str:
    """Names the format of a feature file by its content, whatever the file is called.

    Raises:
      UserError: the file cannot be read, or its format is unknown or ambiguous.
    """
    _, format, content = _open(path)
    if isinstance(content, np.lib.npyio.NpzFile):
        content.close()
    return format.NAME


def files(path: str | Path) -> list[Path]:
    """The files that hold the data of `path`: itself, or the split files of a folder, sorted by name.

    Raises:
      UserError: nothing is there, or the folder holds no split files or two for one split.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [path]
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    found = [path / name for name in _FOLDER if (path / name).is_file()]
    if not found:
        inside = ", ".join(sorted(item.name for item in path.iterdir())[:5]) or "nothing"
        raise UserError(
            f"{path}: the folder holds none of {', '.join(_FOLDER)}, only {inside}; name one file"
        )
    _one_per_split([file.stem for file in found], path)
    return sorted(found)


def _open(path: str | Path) -> tuple[Path, object, object]:
    """(path, the module of its format, the content as that module takes it)."""
    path = Path(path).expanduser()
    members = files(path)
    if path.is_dir():
        # The same thing as one file with those keys; a member of another kind is told by its own name.
        content = {file.stem: _content(file, "pickle") for file in members}
        if not words_pickle.matches(content):
            raise UserError(f"{path}: {', '.join(_FOLDER)} must each hold a list of clips (words pickle)")
        return path, words_pickle, content
    kinds = _kinds(path)
    contents = [_content(path, kind) for kind in kinds]
    candidates = [(format, content) for content in contents for format in _FORMATS if format.matches(content)]
    if len(candidates) > 1:
        names = " or ".join(format.NAME for format, _ in candidates)
        raise UserError(f"{path}: could be {names}; save it so that only one is possible")
    if not candidates:
        raise UserError(f"{path}: a {kinds[0]} file, but of no known format{_hint(contents[0])}; {_KNOWN}")
    format, content = candidates[0]
    if isinstance(content, dict):
        _one_per_split([clean.string(key) for key in content], path)
    return path, format, content


def _kinds(path: Path) -> list[str]:
    """What the first and last bytes of a file allow it to be."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(max(path.stat().st_size - 1, 0))
            last = file.read(1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not head:
        raise UserError(f"{path}: the file is empty")
    if head.startswith(b"PK\x03\x04"):
        return ["zip"]
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise UserError(f"{path}: the file is {name}; {_KNOWN}")
    # Protocols 2 and later begin with their number; 0 and 1 are told by the opcodes they begin and end with.
    kinds = ["pickle"] if head[0] == 0x80 or (head[:1] in b"(]}" and last == b".") else []
    if csv_text.matches(path):
        kinds.append("text")
    if not kinds:
        raise UserError(
            f"{path}: no pickle, no .npz, and no UTF-8 text whose first line has a column 'text'; {_KNOWN}"
        )
    return kinds


def _content(path: Path, kind: str) -> object:
    if kind == "pickle":
        return safe_pickle.load(path)
    if kind == "text":
        return path
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: the archive is truncated or damaged; copy it again")
    return np.load(path, allow_pickle=False)


def _hint(content: object) -> str:
    """What was found instead, in a few words."""
    if isinstance(content, np.lib.npyio.NpzFile):
        names = ", ".join(content.files[:8])
        content.close()
        return f" (arrays {names})"
    if isinstance(content, dict):
        return f" (keys {', '.join(clean.string(key) for key in list(content)[:8])})"
    return f" ({type(content).__name__})"


def _one_per_split(names: list[str], path: Path) -> None:
    by_split: dict[str, list[str]] = {}
    for name in names:
        if split := clean.split_alias(name):
            by_split.setdefault(split, []).append(name)
    for split, same in by_split.items():
        if len(same) > 1:
            raise UserError(f"{path}: {' and '.join(sorted(same))} both mean the {split} split; remove one")
