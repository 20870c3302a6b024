"""HDF5 files, opened read-only: nothing of them lies in another file, and errors of damaged ones are a line.

An HDF5 file may name others, in which its groups or its numbers lie: any file that the user can read would
be taken for features. All that is reached in a file is therefore reached by `child`.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from msa_jax.data.readers import foreign, hdf5_chunks, room
from msa_jax.data.readers.hdf5_strings import strings
from msa_jax.errors import UserError
from msa_jax.files import refuse_special

_OUTSIDE = "whose bytes are not in the file itself; copy what is meant into one file"
_LINKS = 8  # links that may follow one another


@contextlib.contextmanager
def opened(path: Path, where: str | None = None) -> Iterator[h5py.File]:
    """Opens an HDF5 file read-only and closes it again.

    Args:
      path: the file.
      where: what to call the part that is read in messages; the path where it is None.

    Raises:
      UserError: when the file cannot be opened, or h5py fails on what is read from it inside the `with`: HDF5
        finds most damage only when it gets there.
    """
    refuse_special(path)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        foreign.refuse(path)
        reason = str(error.args[-1] if error.args else error)
        reason = reason.replace("Unable to synchronously open file ", "")[:120].strip("()")
        raise UserError(
            f"{where or path}: cannot be read as HDF5 ({reason}); copy or download the file again"
        ) from error


def child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What a group has under a name, None where it has nothing there; a link in the file is followed.

    Raises:
      UserError: when it lies in another file, or is an array that holds less than it says.
    """
    return _child(group, name, _LINKS)


def _child(group: h5py.Group, name: str, links: int) -> h5py.Group | h5py.Dataset | None:
    links_of, raw = group.id.links, name.encode("utf-8", "surrogateescape")
    if not links_of.exists(raw):  # the link itself, whatever it leads to
        return None
    if links_of.get_info(raw).type != h5py.h5l.TYPE_HARD:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            return _target(group, link.path, links - 1) if links else None
        raise UserError(f"{_where(group, name)}: is a link to {getattr(link, 'filename', link)}, {_OUTSIDE}")
    found = group[name]
    if isinstance(found, h5py.Dataset):
        _check(found, group, name)
    return found


def _where(group: h5py.Group, name: str) -> str:
    return f"{group.file.filename}: {group.name.rstrip('/')}/{name}"


def _target(group: h5py.Group, path: str, links: int) -> h5py.Group | h5py.Dataset | None:
    """What a link's path leads to; each step of it may be a link."""
    found: h5py.Group | h5py.Dataset | None = group.file["/"] if path.startswith("/") else group
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if not isinstance(found, h5py.Group):
            return None
        found = _child(found, part, links)
    return found


def _check(dataset: h5py.Dataset, group: h5py.Group, name: str) -> None:
    """Refuses an array that lies elsewhere, or takes memory that nothing in the file accounts for."""
    layout, stored = dataset.id.get_create_plist(), dataset.id.get_storage_size()
    if layout.get_layout() == h5py.h5d.VIRTUAL:
        raise UserError(f"{_where(group, name)}: is a virtual dataset, {_OUTSIDE}")
    if layout.get_external_count():
        file = os.fsdecode(layout.get_external(0)[0])
        raise UserError(f"{_where(group, name)}: has its storage in {file}, {_OUTSIDE}")
    if dataset.size and not stored:
        raise UserError(
            f"{_where(group, name)}: is declared as {dataset.shape}, but was never written; extract the "
            "file again"
        )
    if not room.is_small(needed := _at_once(dataset)):
        room.check(_where(group, name), needed, stored)
    if dataset.dtype.kind != "O":  # `strings` looks at the chunks of these
        hdf5_chunks.check(dataset, _where(group, name))


def _at_once(dataset: h5py.Dataset) -> int:
    """Bytes that are read for one of the dataset's entries: a chunk, or the entry where it is larger."""
    entry = dataset.nbytes // max(1, dataset.shape[0]) if dataset.shape else dataset.nbytes
    chunk = int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize if dataset.chunks else 0
    return max(entry, chunk)


def whole(dataset: h5py.Dataset, where: str) -> np.ndarray:
    """All of a dataset that `child` gave.

    Args:
      dataset: of numbers or strings.
      where: names it in messages.

    Raises:
      UserError: when it is larger than what is stored of it can be, or than the memory that is free.
    """
    if h5py.check_string_dtype(dataset.dtype) is None or dataset.dtype.kind == "S":
        room.check(where, dataset.nbytes, dataset.id.get_storage_size())
        return dataset[()]
    return strings(dataset, where)
