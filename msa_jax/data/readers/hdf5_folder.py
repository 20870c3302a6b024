"""Files of a folder with an HDF5 file an array: which array of which split each of them is.

The names are those of the folder `new_data` of the repository pliang279/MFN (`audio_train.h5`, `y_train.h5`,
...; there `text_train.h5` holds the numbers of words in a vocabulary that the folder lacks, and
`text_train_emb.h5` their vectors), and those of its script `test_mosi.py` (`X_train.h5`, `y_train.h5`, ...).
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from msa_jax.corpora import SPLITS
from msa_jax.data.conventions.used import ends, spread
from msa_jax.data.readers import clean, room
from msa_jax.data.readers.hdf5 import child, opened, whole
from msa_jax.errors import UserError

NAME = "HDF5 per array"
MODALITIES = ("audio", "vision", "text")
_FILE = re.compile(r"(X|audio|video|vision|visual|text|y|labels?)_([a-z]+?)(_emb)?\.(?:h5|hdf5)", re.I)
_ARRAYS = {"video": "vision", "visual": "vision", "y": "label", "labels": "label", "x": "joint"}
COLUMNS = {"text": slice(0, 300), "audio": slice(300, 305), "vision": slice(305, 325)}  # of X_<split>.h5
_WIDTH = 325


@dataclasses.dataclass(frozen=True)
class Array:
    """Where one array lies: the only dataset of its file, or some columns of it.

    Attributes:
      path: the file.
      dataset: the name of the dataset.
      shape: the shape of the whole dataset.
      part: of a joint array, the modality that this one stands for; its columns are `COLUMNS[part]`.
    """

    path: Path
    dataset: str
    shape: tuple[int, ...]
    part: str | None = None

    def read(self, rows: slice) -> np.ndarray:
        """Some rows of the dataset, with all its columns."""
        with opened(self.path) as file:
            return child(file, self.dataset)[rows]

    def whole(self) -> np.ndarray:
        """The dataset; UserError where it is larger than what is stored of it can be."""
        with opened(self.path) as file:
            return whole(child(file, self.dataset), f"{self.path}: {self.dataset}")

    def some(self) -> list[np.ndarray]:
        """Some clips [L, d] (see `used.spread`), with the columns of this modality."""
        with opened(self.path) as file:
            clips, columns = (
                child(file, self.dataset),
                slice(None) if self.part is None else COLUMNS[self.part],
            )
            return [clips[k][:, columns] for k in spread(self.shape[0])]

    def ends(self) -> np.ndarray:
        """What `used.ends` says of the columns of this modality."""
        with opened(self.path) as file:
            dataset = child(file, self.dataset)
            one_row_each = dataset.nbytes // max(1, dataset.shape[1])
            room.check(f"{self.path}: {self.dataset}", one_row_each, dataset.id.get_storage_size())
            return ends(dataset, slice(None) if self.part is None else COLUMNS[self.part])


def members(folder: Path) -> list[Path]:
    """The files of this format in a folder, by their names, sorted."""
    return sorted(path for path in folder.iterdir() if _parts(path) and path.is_file())


def _parts(path: Path) -> tuple[str, str] | None:
    """(array, split) out of a file's name; None where it is not a file of this format."""
    match = _FILE.fullmatch(path.name)
    if not match or not (split := clean.split_alias(match[2])):
        return None
    array = match[1].lower()
    if match[3] and array != "text":
        return None
    return _ARRAYS.get(array, array), split


def splits_of(path: Path, where: str, labels: bool) -> tuple[dict[str, dict[str, Array]], list[str]]:
    """The arrays by split, in the order of the splits, and by name.

    Args:
      path: the folder.
      where: what to call it in messages.
      labels: whether to look at the labels.

    Returns:
      (the labels of each split, and the modalities that all splits have; notes on what is passed over).

    Raises:
      UserError: when an array is there twice, a file does not hold one array of numbers, or there are no
        files of this format.
    """
    files: dict[tuple[str, str], list[Path]] = {}
    for file in members(path):
        files.setdefault(_parts(file), []).append(file)
    if not files:
        raise UserError(f"{where}: there are no files named as in {NAME} (audio_train.h5, y_train.h5, ...)")
    found: dict[str, dict[str, Array]] = {}
    numbers: list[str] = []
    for (name, split), same in files.items():
        if name == "label" and not labels:
            continue
        arrays = [_open(file) for file in same]
        if name == "text":
            numbers += [array.path.name for array in arrays if _word_numbers(array)]
            arrays = [array for array in arrays if array.path.name not in numbers]
        if len(arrays) > 1:
            one, other = (array.path.name for array in arrays[:2])
            raise UserError(
                f"{where}: {one} and {other} are both the {name} array of the {split} split; remove one"
            )
        for array in arrays:
            found.setdefault(split, {})[name] = array
    splits = {split: _divided(split, found[split], where) for split in SPLITS if found.get(split)}
    splits, notes = _common(splits)
    if numbers:
        notes.insert(0, f"{', '.join(numbers)} hold numbers of words, not vectors, and are passed over.")
    return splits, notes


def _word_numbers(array: Array) -> bool:
    """Whether a text array holds a word's number at each step, and not a vector."""
    if len(array.shape) != 2 + (array.shape[2:] == (1,)):
        return False
    values = array.whole()
    return bool(np.all((values >= 0) & (values == np.rint(values))))


def _common(
    splits: Mapping[str, dict[str, Array]],
) -> tuple[dict[str, dict[str, Array]], list[str]]:
    """(the splits with the modalities that all of them have, notes on the others)."""
    lacking = {
        name: [split for split, arrays in splits.items() if name not in arrays]
        for name in MODALITIES
        if any(name in arrays for arrays in splits.values())
    }
    kept = [name for name, without in lacking.items() if not without]
    if not kept:
        return dict(splits), []  # the reader says what is missing
    notes = [
        f"The {' and the '.join(without)} split{'s have' if len(without) > 1 else ' has'} no {name}; what "
        f"all splits have is read: {' and '.join(kept)}."
        for name, without in lacking.items()
        if without
    ]
    read = {
        split: {name: array for name, array in arrays.items() if name in kept or name not in MODALITIES}
        for split, arrays in splits.items()
    }
    return read, notes


def _divided(split: str, arrays: dict[str, Array], where: str) -> dict[str, Array]:
    """The arrays of a split by their names, the columns of a joint one under the names of the modalities."""
    if "joint" not in arrays:
        return arrays
    joint, others = arrays["joint"], {name: array for name, array in arrays.items() if name != "joint"}
    if own := [array.path.name for name, array in others.items() if name in MODALITIES]:
        raise UserError(
            f"{where}: {joint.path.name} already holds the text, audio and vision of the {split} split; "
            f"remove it, or remove {', '.join(own)}"
        )
    if len(joint.shape) == 3 and joint.shape[1] == _WIDTH != joint.shape[2]:
        raise UserError(
            f"{joint.path}: rows and columns are swapped, (clips, width, rows) in place of (clips, rows, "
            f"width), in {joint.dataset} {joint.shape}; save array.swapaxes(1, 2)"
        )
    if len(joint.shape) == 3 and joint.shape[2] != _WIDTH:
        raise UserError(
            f"{joint.path}: {joint.dataset} is {joint.shape[2]} columns wide, but 300 of text + 5 of audio + "
            f"20 of vision are expected; save text, audio and vision in files of their own: text_{split}.h5, "
            f"audio_{split}.h5, vision_{split}.h5"
        )
    return {**{name: dataclasses.replace(joint, part=name) for name in COLUMNS}, **others}


def _open(path: Path) -> Array:
    with opened(path) as file:
        names = [name for name in file if isinstance(child(file, name), h5py.Dataset)]
        if len(names) != 1:
            raise UserError(
                f"{path}: must hold one dataset (d1 or data), found {', '.join(names) or 'none'}; "
                "save each array in a file of its own"
            )
        dataset = child(file, names[0])
        if dataset.dtype.kind not in "fiu":
            raise UserError(f"{path}: {names[0]} must hold numbers, found {dataset.dtype}; save it as floats")
        return Array(path, names[0], dataset.shape)
