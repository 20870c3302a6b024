"""Compressed zeros: files that name a thousand times as much memory as they take, quick to write."""

import io
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np

_BLOCK = 1 << 20


def deflated_zeros(count: int) -> bytes:
    """A stream of raw DEFLATE that gives at least so many zeros, a multiple of a MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (-(-count // _BLOCK) - 1) + packer.flush(zlib.Z_FINISH)


def zlib_zeros(count: int) -> bytes:
    """The same as a stream of zlib, with the checksum of zeros."""
    count = -(-count // _BLOCK) * _BLOCK
    return b"\x78\xda" + deflated_zeros(count) + struct.pack(">I", count % 65521 << 16 | 1)


def npz_member(name: str, descr: str, shape: tuple[int, ...]) -> tuple[str, bytes, int, int]:
    """(name, raw DEFLATE, checksum, size) of an array of zeros; its shape is rounded up in the last axis."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    head = header.getvalue()
    size = int(np.prod(shape, dtype=object)) * np.dtype(descr).itemsize
    assert size % _BLOCK == 0, size
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    # A reader that sets memory aside does so before it comes to the checksum at the end.
    return name, begin + deflated_zeros(size), 0, len(head) + size


def write_zip(path: Path, members: list[tuple[str, bytes, int, int]]) -> Path:
    """Writes a ZIP archive of members that are compressed already."""
    directory, count = b"", len(members)
    with path.open("wb") as file:
        for name, packed, crc, size in members:
            at = file.tell()
            extra = struct.pack("<HHQQ", 1, 16, size, len(packed))
            common = struct.pack("<HHHHHIII", 45, 0, 8, 0, 0x21, crc, 0xFFFFFFFF, 0xFFFFFFFF)
            common += struct.pack("<HH", len(name), len(extra))
            file.write(b"PK\x03\x04" + common + name.encode() + extra + packed)
            directory += b"PK\x01\x02\x2d\x00" + common + struct.pack("<HHHII", 0, 0, 0, 0, at)
            directory += name.encode() + extra
        at = file.tell()
        file.write(directory)
        file.write(b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), at, 0))
    return path


def npz_plain(name: str, array: np.ndarray) -> tuple[str, bytes, int, int]:
    """A member of `write_zip` that holds an array."""
    raw = io.BytesIO()
    np.lib.format.write_array(raw, array)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = raw.getvalue()
    return name, packer.compress(content) + packer.flush(), zlib.crc32(content), len(content)


def zero_dataset(
    group: h5py.Group, name: str, shape: tuple[int, ...], chunks: tuple[int, ...]
) -> h5py.Dataset:
    """A dataset of float32 zeros, compressed, its chunks written as they are on the disk."""
    dataset = group.create_dataset(name, shape, "f4", chunks=chunks, compression="gzip")
    size = int(np.prod(chunks)) * 4
    assert size % _BLOCK == 0, size
    packed = zlib_zeros(size)
    for place in np.ndindex(*(-(-side // part) for side, part in zip(shape, chunks, strict=True))):
        dataset.id.write_direct_chunk(tuple(p * c for p, c in zip(place, chunks, strict=True)), packed)
    return dataset
