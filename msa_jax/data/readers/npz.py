"""Archives of NumPy arrays (.npz): what is in them is looked at before memory is taken, and nothing is run.

NumPy's own loader sets aside what a header declares, and evaluates the header as Python literals however
deeply they are nested. Arrays of texts take four bytes for each letter of the longest one, so that their
entries are read one after the other.
"""

import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from msa_jax.data.readers import room
from msa_jax.errors import UserError

# The errors of a damaged archive: one bit is enough to name another method, or to ask for a password.
ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
_SUFFIX = ".npy"
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_LONGEST_HEADER, _DEEPEST_HEADER = 4096, 16  # bytes; brackets
_BLOCK = 1 << 22  # bytes of an array that are read at once
_TEXT = 1 << 22  # bytes of a text
_WIDE, _WIDEST = 1 << 30, 512  # bytes of padded texts, and of them to a stored one; more take too long


class Header(NamedTuple):
    """What an array of an archive declares, and the bytes that the archive stores of it."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    stored: int


class Archive:
    """An .npz file.

    Attributes:
      path: the file.
      files: the names of its arrays.
    """

    def __init__(self, path: Path) -> None:
        """Reads the archive's directory.

        Raises:
          UserError: when the file is damaged.
        """
        self.path = path
        with self._opened() as archive:
            self.members = archive.namelist()
        self.files = [name.removesuffix(_SUFFIX) for name in self.members if name.endswith(_SUFFIX)]

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except ERRORS as error:
            raise UserError(
                f"{self.path}: the archive is truncated or damaged ({error}); copy or download it again"
            ) from None

    def header(self, name: str) -> Header:
        """What an array declares.

        Raises:
          UserError: when it is damaged or holds Python objects.
        """
        with self._opened() as archive:
            return next(self._parts(archive, name))

    def array(self, name: str) -> np.ndarray:
        """An array, whole; of texts one of Python's texts.

        Raises:
          UserError: when it is damaged, holds Python objects, or is larger than what is stored of it can be,
            or than the memory that is free.
        """
        with self._opened() as archive:
            parts = self._parts(archive, name)
            header: Header = next(parts)
            texts, count = header.dtype.kind in "SU", math.prod(header.shape)
            where, raw = self._where(name), count * header.dtype.itemsize
            room.check(where, 64 * count if texts else raw, header.stored)
            if raw > _WIDE + _WIDEST * header.stored:
                raise room.excess(where, raw, header.stored)
            found = np.empty(count, object if texts else header.dtype)
            at = letters = 0
            for part in parts:
                found[at : at + len(part)] = part
                at += len(part)
                if texts:
                    letters += sum(map(len, part.tolist()))
                    room.check(where, letters, header.stored)
        return found.reshape(header.shape, order="F" if header.fortran else "C")

    def rows(self, name: str) -> Iterator[np.ndarray]:
        """The rows of a matrix one after the other, without the matrix; raises as `array` does."""
        header = self.header(name)
        if header.fortran or len(header.shape) != 2 or not header.shape[1]:
            yield from self.array(name)
            return
        room.check(self._where(name), header.shape[1] * header.dtype.itemsize, header.stored)
        with self._opened() as archive:
            parts = self._parts(archive, name, header.shape[1])
            next(parts)
            for part in parts:
                yield from part.reshape(-1, header.shape[1])

    def _where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def _parts(self, archive: zipfile.ZipFile, name: str, unit: int = 1) -> Iterator:
        """The header of an array, then its entries in the file's order, a multiple of `unit` at a time."""
        try:
            info = archive.getinfo(name + _SUFFIX)
            with archive.open(info) as file:
                header = _read_header(file, info)
                if header.dtype.hasobject:
                    raise UserError(
                        f"{self._where(name)} holds Python objects, which are not loaded; save plain arrays "
                        "of numbers or text"
                    )
                size = header.dtype.itemsize
                if math.prod(header.shape) * size != info.file_size - file.tell():
                    raise ValueError("its bytes do not fill its shape")
                if header.dtype.kind in "SU" and size > _TEXT:
                    raise ValueError(f"a text of {size} bytes")
                yield header
                step = max(1, _BLOCK // max(1, unit * size)) * unit * size
                while raw := file.read(step):
                    yield np.frombuffer(raw, header.dtype)
        except ValueError as error:
            raise UserError(f"{self._where(name)} is damaged ({error}); copy the file again") from None
        except ERRORS as error:
            raise UserError(f"{self.path}: the archive is damaged ({error}); copy it again") from None


def _read_header(file: IO[bytes], info: zipfile.ZipInfo) -> Header:
    """Reads the header of an array.

    Raises:
      ValueError: when it is none.
    """
    version = np.lib.format.read_magic(file)
    if version not in _READ_HEADER:
        raise ValueError("a header of an unknown version")
    width = 2 * version[0]
    size = file.read(width)
    length = int.from_bytes(size, "little")
    if len(size) < width or length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    text = file.read(length)
    if sum(map(text.count, (b"(", b"[", b"{"))) > _DEEPEST_HEADER:
        raise ValueError("a header of nested brackets")
    try:
        shape, fortran, dtype = _READ_HEADER[version](io.BytesIO(size + text))
    except Exception as error:  # of Python's parser, in many kinds
        raise ValueError(f"a header that cannot be read: {type(error).__name__}") from None
    if any(side < 0 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    return Header(shape, dtype, fortran, info.compress_size)
