"""Strings of any length in HDF5 files: what a file says of them is checked before the HDF5 library reads it.

Such a string lies in a heap elsewhere in the file, and an entry of the array holds its length and its place.
Of a damaged file the library takes as much memory as a length says, and goes round for ever in a heap of
zeros. The forms are those of the HDF5 file format specification, version 3.0, III.E (global heap).
"""

import functools
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from msa_jax.data.readers import hdf5_chunks, room
from msa_jax.errors import UserError

_AT_ONCE = 1 << 26  # bytes of strings that are read at once
_MARK = b"GCOL\x01\0\0\0"  # a heap begins so
_ALIGNED = 8  # bytes that what lies in a heap is a multiple of


class _Form(NamedTuple):
    """How many bytes places and sizes have in a file."""

    place: int
    size: int


def strings(dataset: h5py.Dataset, where: str) -> np.ndarray:
    """All strings of a dataset that `hdf5.child` gave.

    Args:
      dataset: of strings of any length, [n, ...].
      where: names it in messages.

    Returns:
      Their bytes, in an array of objects of the same shape.

    Raises:
      UserError: when lengths or heaps are damaged, or the strings are larger than what the file stores can be
        (many entries may name one that is long), or than the memory that is free.
    """
    path = Path(dataset.file.filename)
    size = path.stat().st_size
    room.check(where, dataset.size * 64, size)
    if (total := _check(dataset, path, where)) is not None:
        room.check(where, total, size)
        return dataset[()]
    found = np.empty(dataset.shape, object)
    step = max(2, _AT_ONCE // max(1, size * int(np.prod(dataset.shape[1:], dtype=object))))
    total = 0
    for start in range(0, dataset.shape[0], step):
        found[start : start + step] = part = dataset[start : start + step]
        total += sum(map(len, part.ravel()))
        room.check(where, total, size)
    return found


def _check(dataset: h5py.Dataset, path: Path, where: str) -> int | None:
    """Refuses lengths that no file has room for, and heaps that do not hold together.

    Returns:
      The length of all strings together; None where it is not known.
    """
    form, size = _Form(*dataset.file.id.get_create_plist().get_sizes()), path.stat().st_size
    before = dataset.file.userblock_size  # places are counted from behind it
    total: int | None = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        heaps: set[int] = set()
        for raw in _entries(dataset, form, view, where):
            if raw is None:  # packed in a way that is not known here: all heaps are looked at
                total, broken = None, _damaged_heap(path, _as_it_is(path), form)
                heaps |= set() if broken is None else {broken}
                break
            width = 4 + form.place + 4
            some = np.frombuffer(raw, np.uint8)[: len(raw) // width * width].reshape(-1, width)
            lengths = np.ascontiguousarray(some[:, :4]).view("<u4")[:, 0]
            if len(lengths) and lengths.max() > size:
                raise room.excess(where, int(lengths.max()), size)
            total += int(lengths.sum(dtype=np.int64))
            places = some[lengths > 0, 4 : 4 + form.place]
            heaps |= {before + int.from_bytes(place, "little") for place in set(map(bytes, places))}
        for place in heaps:
            if not _is_whole(view, place, form):
                raise UserError(
                    f"{where}: the strings are damaged (a heap of them at byte {place}); copy or download "
                    "the file again"
                )
    return total


def _entries(dataset: h5py.Dataset, form: _Form, view: mmap.mmap, where: str) -> Iterator[bytes | None]:
    """Yields the entries as they are stored, a part after the other; None for what is not unpacked here."""
    created, width = dataset.id.get_create_plist(), 4 + form.place + 4
    if created.get_layout() == h5py.h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()  # from the beginning of the file
        yield None if offset is None else view[offset : offset + dataset.size * width]
    elif created.get_layout() == h5py.h5d.CHUNKED:
        filters = [code for code, _ in hdf5_chunks.filters_of(dataset)]
        holds = int(np.prod(dataset.chunks, dtype=object)) * width
        for info in hdf5_chunks.stored(dataset):
            if info.size > len(view):
                raise room.excess(where, info.size, len(view))
            _, raw = dataset.id.read_direct_chunk(info.chunk_offset)
            try:
                yield hdf5_chunks.unpacked(raw, filters, info.filter_mask, holds, width=width)
            except hdf5_chunks.TooLarge:
                raise hdf5_chunks.excess(where, holds) from None
    else:
        yield None


def _as_it_is(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@functools.lru_cache(maxsize=16)
def _damaged_heap(path: Path, as_it_is: tuple, form: _Form) -> int | None:
    """The place of a heap that does not hold together; looked for once in a file as it is."""
    del as_it_is
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        place = view.find(_MARK)
        while place >= 0:
            if not _is_whole(view, place, form):
                return place
            place = view.find(_MARK, place + 1)
    return None


def _is_whole(view: mmap.mmap, place: int, form: _Form) -> bool:
    """Whether the parts of a heap fill it; True where there is no heap, which HDF5 notices itself."""
    head, each = len(_MARK) + form.size, 8 + form.size
    if place + head > len(view) or view[place : place + len(_MARK)] != _MARK:
        return True
    end = place + int.from_bytes(view[place + len(_MARK) : place + head], "little")
    if end > len(view):
        return False
    place += head
    while place + each <= end:
        (index,) = struct.unpack_from("<H", view, place)
        size = int.from_bytes(view[place + 8 : place + each], "little")
        # What is free has number 0, and its size counts its own head.
        step = each + -(-size // _ALIGNED) * _ALIGNED if index else size
        if step < each or place + step > end:
            return False
        place += step
    return True
