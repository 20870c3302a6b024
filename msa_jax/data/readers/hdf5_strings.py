"""Strings of any length in HDF5 files: what a file says of them is checked before the HDF5 library reads it.

Such a string lies in a heap elsewhere in the file, and an entry of the array holds its length and its place.
Of a damaged file the library takes as much memory as a length says, and goes round for ever in a heap of
zeros. The forms are those of the HDF5 file format specification, version 3.0, III.E (global heap).
"""

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from msa_jax.data.readers import room
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
    _check(dataset, path, where)
    found = np.empty(dataset.shape, object)
    step = max(2, _AT_ONCE // max(1, size * int(np.prod(dataset.shape[1:], dtype=object))))
    total = 0
    for start in range(0, dataset.shape[0], step):
        found[start : start + step] = part = dataset[start : start + step]
        total += sum(map(len, part.ravel()))
        room.check(where, total, size)
    return found


def _check(dataset: h5py.Dataset, path: Path, where: str) -> None:
    """Refuses lengths that no file has room for, and heaps that do not hold together."""
    form, size = _Form(*dataset.file.id.get_create_plist().get_sizes()), path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        heaps: set[int] = set()
        for raw in _entries(dataset, form, view):
            if raw is None:  # packed in a way that is not known here: all heaps are looked at
                heaps |= set(_all_heaps(view))
                continue
            width = 4 + form.place + 4
            some = np.frombuffer(raw, np.uint8)[: len(raw) // width * width].reshape(-1, width)
            lengths = np.ascontiguousarray(some[:, :4]).view("<u4")[:, 0]
            if len(lengths) and lengths.max() > size:
                raise room.excess(where, int(lengths.max()), size)
            places = some[lengths > 0, 4 : 4 + form.place]
            heaps |= {int.from_bytes(place.tobytes(), "little") for place in places}
        for place in heaps:
            if not _is_whole(view, place, form):
                raise UserError(
                    f"{where}: the strings are damaged (a heap of them at byte {place}); copy or download "
                    "the file again"
                )


def _entries(dataset: h5py.Dataset, form: _Form, view: mmap.mmap) -> Iterator[bytes | None]:
    """Yields the entries as they are stored, a part after the other; None for what is not unpacked here."""
    created, width = dataset.id.get_create_plist(), 4 + form.place + 4
    if dataset.file.userblock_size:  # places are counted from behind it
        yield None
    elif created.get_layout() == h5py.h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()  # from the beginning of the file
        yield None if offset is None else view[offset : offset + dataset.size * width]
    elif created.get_layout() == h5py.h5d.CHUNKED:
        filters = [created.get_filter(k)[0] for k in range(created.get_nfilters())]
        for k in range(dataset.id.get_num_chunks()):
            chunk = dataset.id.get_chunk_info(k)
            raw = view[chunk.byte_offset : chunk.byte_offset + chunk.size]
            yield _unpacked(raw, filters, chunk.filter_mask, width)
    else:
        yield None


def _unpacked(raw: bytes, filters: list[int], left_out: int, width: int) -> bytes | None:
    """A chunk before its filters; None where one of them is not known, or it is damaged."""
    undo: dict[int, Callable[[bytes], bytes]] = {
        h5py.h5z.FILTER_DEFLATE: zlib.decompress,
        h5py.h5z.FILTER_SHUFFLE: lambda packed: (
            np.frombuffer(packed, np.uint8)[: len(packed) // width * width].reshape(width, -1).T.tobytes()
        ),
    }
    for k, kind in reversed(list(enumerate(filters))):
        if left_out >> k & 1:
            continue
        try:
            raw = undo[kind](raw)
        except (KeyError, zlib.error):
            return None
    return raw


def _all_heaps(view: mmap.mmap) -> Iterator[int]:
    place = view.find(_MARK)
    while place >= 0:
        yield place
        place = view.find(_MARK, place + 1)


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
