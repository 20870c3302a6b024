"""Files of the sixty clips whose arrays are (clips, width, rows): every one must be refused by name."""

import dataclasses
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

from tests.data.conventions import mmsa_files, padded_files, words_files
from tests.data.conventions.matrix import Case

_FILLED = "rows of others"  # stand in place of padding: then nothing tells columns from rows
_STREAMS = {
    "MMSA pickle": ("audio", "vision"),
    "words pickle": ("audio", "vision"),
    "MulT pickle": ("audio", "vision", "text"),
    "HDF5 per array": ("audio", "video", "text"),
}
_STEP = 9  # of the cases of a format one in so many is swapped


def cases() -> Iterator[Case]:
    """Cases of pickles and HDF5 arrays that are read, with rows and columns swapped."""
    for generate in (mmsa_files.cases, words_files.cases, padded_files.cases):
        read = [case for case in generate() if not case.undecided and _FILLED not in case.options]
        for case in read[::_STEP]:
            yield dataclasses.replace(
                case,
                options=f"swapped, {case.options}",
                write=_swapping(case),
                undecided=True,
                named="".join(map(_named, _STREAMS[case.format])),
            )


def _named(stream: str) -> str:
    """What a refusal holds somewhere: the stream, its shape, and what tells that it is swapped."""
    return rf"(?=.* {stream}\S* \(\d+, \d+\) a clip: [^,;]*(zeros|lengths|columns))"


def _swapping(case: Case) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = case.write(folder)
        for file in [path] if path.is_file() else path.iterdir():
            if file.suffix == ".h5":
                _swap_hdf5(file)
            else:
                content = pickle.loads(file.read_bytes())
                swap = _words if case.format == "words pickle" else _arrays
                file.write_bytes(pickle.dumps(swap(content)))
        return path

    return write


def _swap_hdf5(path: Path) -> None:
    with h5py.File(path, "a") as file:
        (name,) = file
        if (array := file[name][()]).ndim == 3:
            del file[name]
            file[name] = array.swapaxes(1, 2)


def _arrays(content: dict) -> dict:
    parts = [content] if "id" in content else content.values()
    for part in parts:
        part |= {name: swapped(part[name]) for name in ("audio", "vision", "text") if name in part}
    return content


def swapped(values: object) -> object:
    """Rows and columns of N clips swapped, in the same container."""
    if isinstance(values, list):
        return [np.asarray(rows).T.tolist() for rows in values]
    if values.dtype != object:
        return np.ascontiguousarray(values.swapaxes(1, 2))
    objects = np.empty(len(values), object)
    for index, rows in enumerate(values):
        objects[index] = np.ascontiguousarray(rows.T)
    return objects


def _words(content: object) -> object:
    if isinstance(content, dict):
        return {split: _words(clips) for split, clips in content.items()}
    return [((p[0], np.asarray(p[1]).T, np.asarray(p[2]).T, *p[3:]), *rest) for p, *rest in content]
