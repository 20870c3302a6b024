"""Chunks of HDF5 arrays: what they unpack to is compared with what they hold before the library unpacks them.

The library sets no bound: it takes twice the memory again and again until a packed stream ends, and two
gigabytes of zeros can be the stream of a chunk of 96 bytes.
"""

import contextlib
import math
import os
import zlib

import h5py
import numpy as np

from msa_jax.errors import UserError

_LZF = 32000  # the number of h5py's own filter
_MOST = {h5py.h5z.FILTER_DEFLATE: 1032, _LZF: 88}  # bytes that these can make of one
_OF_PARAMETERS = (h5py.h5z.FILTER_NBIT, h5py.h5z.FILTER_SCALEOFFSET)  # the file says what these make
_SLACK = 1 << 28  # bytes that the arrays of a file may unpack to without a look at their chunks
_EXTRA = 64  # bytes beyond its entries that a chunk may have between two filters, such as checksums
_KNOWN = 1 << 16  # arrays that are remembered, and files

_sound: set[tuple] = set()  # arrays that were judged: each read of some rows opens its file again
_trusted: dict[tuple, int] = {}  # bytes that those of a file that were not looked at can unpack to


class TooLarge(Exception):
    """A chunk unpacks to more than it holds."""


def check(dataset: h5py.Dataset, where: str) -> None:
    """Refuses an array of numbers with a chunk that unpacks to more than it holds.

    Args:
      dataset: whose bytes are in its file.
      where: names it in messages.

    Raises:
      UserError: when it has one.
    """
    if dataset.chunks is None or not (filters := filters_of(dataset)):
        return
    file = _as_it_is(dataset.file.filename)
    if (key := (file, dataset.name)) in _sound:
        return
    holds = int(np.prod(dataset.chunks, dtype=object)) * dataset.id.get_type().get_size()
    try:
        for code, values in filters:
            if code in _OF_PARAMETERS and len(values) > 4 and values[2] * values[4] > holds + _EXTRA:
                raise TooLarge
        for info in () if _is_trusted(file, filters, dataset.id.get_storage_size()) else stored(dataset):
            _check_chunk(dataset, info, filters, holds)
    except TooLarge:
        raise excess(where, holds) from None
    if len(_sound) >= _KNOWN:
        _sound.clear()
    _sound.add(key)


def excess(where: str, holds: int) -> UserError:
    """The error to raise where a chunk of so many bytes unpacks to more."""
    return UserError(
        f"{where}: a chunk unpacks to more than the {holds} bytes that it holds; extract or download the "
        "file again"
    )


def _as_it_is(path: str) -> tuple[int, ...]:
    """A file as it is now; another one where it has changed."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def filters_of(dataset: h5py.Dataset) -> list[tuple[int, tuple[int, ...]]]:
    """(number, parameters) of each filter, in the order in which they pack."""
    created = dataset.id.get_create_plist()
    return [(code, values) for code, _, values, _ in map(created.get_filter, range(created.get_nfilters()))]


def stored(dataset: h5py.Dataset) -> list[h5py.h5d.StoreInfo]:
    """Where the chunks lie that were written."""
    found: list[h5py.h5d.StoreInfo] = []
    dataset.id.chunk_iter(found.append)
    return found


def _is_trusted(file: tuple, filters: list[tuple[int, tuple[int, ...]]], packed: int) -> bool:
    """Whether so many packed bytes of a file need no look: with the others that got none, they stay small."""
    total = _trusted.get(file, 0) + _most(filters, packed)
    if total > _SLACK or any(code == h5py.h5z.FILTER_SZIP for code, _ in filters):
        return False
    if len(_trusted) >= _KNOWN:
        _trusted.clear()
    _trusted[file] = total
    return True


def _most(filters: list[tuple[int, tuple[int, ...]]], packed: int) -> int:
    """What so many packed bytes can unpack to."""
    return packed * math.prod(_MOST.get(code, 1) for code, _ in filters)


def _check_chunk(
    dataset: h5py.Dataset,
    info: h5py.h5d.StoreInfo,
    filters: list[tuple[int, tuple[int, ...]]],
    holds: int,
) -> None:
    """Raises TooLarge where a chunk is one."""
    if info.size > holds + holds // 8 + _EXTRA and filters:  # no filter makes that much more of it
        raise TooLarge
    looked = any(code in (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SZIP) for code, _ in filters)
    if not looked and _most(filters, info.size) <= _SLACK:
        return  # LZF is slowly unpacked here, and makes little
    _, raw = dataset.id.read_direct_chunk(info.chunk_offset)
    unpacked(raw, [code for code, _ in filters], info.filter_mask, holds)


def unpacked(raw: bytes, filters: list[int], left_out: int, holds: int, *, width: int = 1) -> bytes | None:
    """A chunk before its filters.

    Args:
      raw: the chunk as it is stored.
      filters: their numbers, in the order in which they pack.
      left_out: a bit for each that was not used.
      holds: bytes of the chunk's entries.
      width: bytes of an entry; 1 where their order does not matter.

    Returns:
      Its bytes; None where a filter is not known here, or the chunk is damaged, which HDF5 says itself.

    Raises:
      TooLarge: when they are more than the chunk holds.
    """
    most = holds + _EXTRA
    for k, code in reversed(list(enumerate(filters))):
        if left_out >> k & 1:
            continue
        if code == h5py.h5z.FILTER_DEFLATE:
            try:
                raw = zlib.decompressobj().decompress(raw, most + 1)
            except zlib.error:
                return None
        elif code == _LZF:
            found = _lzf(raw, most)
            if found is None:
                return None
            raw = found
        elif code == h5py.h5z.FILTER_FLETCHER32:
            raw = raw[:-4]
        elif code == h5py.h5z.FILTER_SHUFFLE:
            if width > 1:
                raw = np.frombuffer(raw, np.uint8)[: len(raw) // width * width].reshape(width, -1).T.tobytes()
        elif code in _OF_PARAMETERS or code == h5py.h5z.FILTER_SZIP:
            if code == h5py.h5z.FILTER_SZIP and int.from_bytes(raw[:4], "little") > most:
                raise TooLarge
            return _end(filters[:k])
        else:
            return _end(filters[:k])
        if len(raw) > most:
            raise TooLarge
    return raw


def _end(before: list[int]) -> None:
    """What is packed once more, by a filter that is not unpacked here, cannot be bounded."""
    if any(code in _MOST for code in before):
        raise TooLarge


def _lzf(raw: bytes, most: int) -> bytes | None:
    """What LZF packed, until it is more than `most`; None where it is damaged.

    A byte below 32 is followed by so many others and one. A larger one repeats what was there before: its
    upper 3 bits are the length less 2 (of 7, the next byte is added), the other 5 and the next byte say how
    far back it lies.
    """
    out, at = bytearray(), 0
    with contextlib.suppress(IndexError):
        while at < len(raw) and len(out) <= most:
            head = raw[at]
            at += 1
            if head < 32:
                out += raw[at : at + head + 1]
                at += head + 1
                continue
            count = (head >> 5) + 2
            if count == 9:
                count += raw[at]
                at += 1
            back = ((head & 31) << 8 | raw[at]) + 1
            at += 1
            if back > len(out):
                return None
            piece = out[-back:] if back <= count else out[-back : len(out) - back + count]
            out += (piece * -(-count // len(piece)))[:count]
        return bytes(out)
    return None
