"""Pickles of NumPy arrays and plain containers, and of nothing else.

A pickle is a program: it may import and call whatever it names. Feature files need a handful of names, so
each of them is bound here to a function of this module, and every other name is refused. NumPy's own
unpickling trusts the data type that the file declares, and a forged one lets raw bytes pass for object
pointers; therefore the file never touches a real `numpy.dtype`, only a checked stand-in.
"""

import math
import os
import pickle
import re
from pathlib import Path

import numpy as np

from msa_jax.errors import UserError

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SUa]\d+|O[48]?)")
_NDARRAY = object()  # stands for the class numpy.ndarray, which is only ever named, never called


class _Refused(Exception):
    """The pickle asks for something beyond arrays and containers."""


class _Dtype:
    """A data type as a pickle describes it, reduced to one of the plain ones."""

    def __init__(self, code: object, align: object = False, copy: object = True) -> None:
        del align, copy
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise _Refused(f"the data type {code!r}")
        code = code.lstrip("<>|=")
        self.value = np.dtype("O" if code.startswith("O") else code.replace("a", "S"))

    def __setstate__(self, state: tuple) -> None:
        # (version, byte order, subarray, field names, fields, ...): what follows only repeats the code.
        if any(part is not None for part in state[2:5]):
            raise _Refused("a structured data type")
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if order in ("<", ">"):
            self.value = self.value.newbyteorder(order)


class _Array(np.ndarray):
    """An array whose contents are checked before NumPy takes them."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, raw = state
        kind = dtype.value  # an AttributeError for anything but a stand-in: reported as damage
        size = math.prod(_sizes(shape))
        if kind.hasobject:
            if type(raw) is not list or len(raw) != size:
                raise ValueError("an object array without its list of objects")
        else:
            raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
            if len(raw) != size * kind.itemsize:
                raise ValueError("an array whose bytes do not fill its shape")
        super().__setstate__((1, tuple(shape), kind, bool(fortran), raw))


def _sizes(shape: tuple) -> tuple[int, ...]:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("an array of negative or fractional size")
    return shape


def _empty_array(kind: object, shape: object, code: object) -> _Array:
    """`numpy.core.multiarray._reconstruct`: an empty array that its state fills."""
    del shape, code
    if kind is not _NDARRAY:
        raise _Refused("a subclass of numpy.ndarray")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _scalar(dtype: _Dtype, raw: bytes | str) -> bool | int | float | str | bytes:
    """`numpy.core.multiarray.scalar`, as a Python value."""
    if dtype.value.hasobject:
        raise _Refused("an object scalar")
    raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    return np.frombuffer(raw, dtype.value, count=1)[0].item()


def _from_buffer(raw: bytes, dtype: _Dtype, shape: tuple, order: str) -> _Array:
    """`numpy.core.numeric._frombuffer`: how protocol 5 stores an array."""
    if dtype.value.hasobject:
        raise _Refused("an object array in a buffer")
    return np.frombuffer(raw, dtype.value).reshape(_sizes(shape), order=order).view(_Array)


def _encode(text: str, encoding: str) -> bytes:
    """`_codecs.encode`: how protocols before 3 store bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise _Refused(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """`bytes()`: how protocols before 3 store b""."""
    return b""


_ALLOWED = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    **{
        (f"numpy.{core}.{name}", attribute): value
        for core in ("core", "_core")
        for name, attribute, value in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
    **{
        (module, name): value
        for module in ("builtins", "__builtin__")
        for name, value in (("bytes", _no_bytes), ("set", set), ("frozenset", frozenset))
    },
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None


def load(path: Path) -> object:
    """Reads a pickle of arrays and containers; executes nothing.

    Args:
      path: the file, of any protocol, Python 2 included (its byte strings are read as latin1).

    Returns:
      What the pickle holds. Arrays come as a subclass of `numpy.ndarray`, NumPy scalars as Python values.

    Raises:
      UserError: the file names anything but arrays and plain containers, or it is damaged.
    """
    try:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != pickle.STOP:  # a file cut short, without reading gigabytes first
                raise EOFError("it ends too early")
            file.seek(0)
            return _Unpickler(file, encoding="latin1").load()
    except _Refused as refused:
        raise UserError(
            f"{path}: the pickle asks for {refused}, which is neither a NumPy array nor a plain container; "
            "nothing else is loaded: save the features as arrays, lists and dicts"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(
            f"{path}: the pickle is truncated or damaged ({type(error).__name__}: {error}); copy it again"
        ) from None
