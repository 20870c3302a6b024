"""Pickled arrays: stand-ins for the few functions and classes that a pickle of NumPy arrays names.

NumPy's own unpickling trusts the data type that a file declares, and a forged one lets raw bytes pass for
object pointers; therefore a file never touches a real `numpy.dtype`, only a checked stand-in. Sizes are
checked against the bytes that are there, so that no array is larger than its part of the file.
"""

import math
import re
import sys

import numpy as np

_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SUa]\d+|O[48]?)")
_NDARRAY = object()  # stands for the class numpy.ndarray, which is only ever named, never called
_EMPTY = 1 << 24  # no feature file has an array without a byte but more clips times rows than this
_SIDE = 1 << 48  # the most of one axis; the product of larger ones can take longer than reading the file
_KEY = 1 << 16  # bytes of the longest key


class Refused(Exception):
    """The pickle asks for something beyond arrays and containers.

    Attributes:
      module: of the name that it asks for; "" where it is an instruction.
    """

    def __init__(self, what: str, module: str = "") -> None:
        """Takes what it asks for, in a few words."""
        super().__init__(what)
        self.module = module


class Excess(Exception):
    """The pickle holds something that no feature file does, and that could take all memory or time."""


def shown(value: object) -> str:
    """What a file gave, in a few words: texts themselves, of anything else its type.

    A list that holds the same list twice, and so on, has more members as a text than there are atoms. Nothing
    is compared before its type is known either: an array may hold itself.
    """
    return repr(value[:50]) if isinstance(value, str) else f"in a {type(value).__name__}"


class LargeText:
    """A text too long to be a transcript: the bytes of an array, as protocols before 3 spell them."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __str__(self) -> str:
        raise ValueError(f"a text of {len(self.raw)} characters")


class Dtype:
    """A data type as a pickle describes it, reduced to one of the plain ones."""

    def __init__(self, code: object, align: object = False, copy: object = True) -> None:
        del align, copy
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise Refused(f"the data type {shown(code)}")
        code = code.lstrip("<>|=")
        self.value = np.dtype("O" if code.startswith("O") else code.replace("a", "S"))

    def __setstate__(self, state: tuple) -> None:
        # (version, byte order, subarray, field names, fields, ...): what follows only repeats the code.
        if any(part is not None for part in state[2:5]):
            raise Refused("a structured data type")
        order = state[1].decode() if isinstance(state[1], bytes) else state[1]
        if isinstance(order, str) and order in ("<", ">"):
            self.value = self.value.newbyteorder(order)


class Array(np.ndarray):
    """An array whose contents are checked before NumPy takes them."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, raw = state
        kind = dtype.value  # an AttributeError for anything but a stand-in: reported as damage
        size = math.prod(_sizes(shape))
        if kind.hasobject:
            if type(raw) is not list or len(raw) != size:
                raise ValueError("an object array without its list of objects")
        else:
            raw = raw_bytes(raw)
            if len(raw) != size * kind.itemsize:
                raise ValueError("an array whose bytes do not fill its shape")
            _check_characters(raw, kind)
        if not len(raw) and math.prod(max(side, 1) for side in shape) > _EMPTY:
            raise ValueError(f"an empty array of shape {shape}")
        super().__setstate__((1, tuple(shape), kind, isinstance(fortran, int) and bool(fortran), raw))


def _sizes(shape: tuple) -> tuple[int, ...]:
    if (
        type(shape) is not tuple
        or len(shape) > 32
        or not all(type(n) is int and 0 <= n < _SIDE for n in shape)
    ):
        raise ValueError("an array of a shape that none can have")
    return shape


def raw_bytes(value: bytes | bytearray | str) -> bytes:
    """The bytes of an array, not copied where they are bytes already.

    Raises:
      ValueError: when it is neither bytes nor a text that stands for them.
    """
    if isinstance(value, str):
        return value.encode("latin1")
    if not isinstance(value, (bytes, bytearray)):  # bytes(n) would make n zeros
        raise ValueError(f"{type(value).__name__} instead of an array's bytes")
    return bytes(value)


def _check_characters(raw: bytes | bytearray, kind: np.dtype) -> None:
    """Refuses numbers that are not characters: NumPy makes strings of them that crash the interpreter."""
    if kind.kind == "U" and len(raw) and np.frombuffer(raw, f"{kind.byteorder}u4").max() > sys.maxunicode:
        raise ValueError("a text with numbers that are not characters")


def _empty_array(kind: object, shape: object, code: object) -> Array:
    """`numpy.core.multiarray._reconstruct`: an empty array that its state fills."""
    del shape, code
    if kind is not _NDARRAY:
        raise Refused("a subclass of numpy.ndarray")
    return np.ndarray.__new__(Array, (0,), np.int8)


def _scalar(dtype: Dtype, raw: bytes | str) -> bool | int | float | str | bytes:
    """`numpy.core.multiarray.scalar`, as a Python value."""
    if dtype.value.hasobject:
        raise Refused("an object scalar")
    raw = raw_bytes(raw)
    _check_characters(raw, dtype.value)
    return np.frombuffer(raw, dtype.value, count=1)[0].item()


def _from_buffer(raw: bytes | bytearray, dtype: Dtype, shape: tuple, order: str) -> Array:
    """`numpy.core.numeric._frombuffer`: how protocol 5 stores an array."""
    if dtype.value.hasobject:
        raise Refused("an object array in a buffer")
    _check_characters(raw, dtype.value)
    array = np.frombuffer(raw, dtype.value).reshape(_sizes(shape), order=order)
    if not array.size and math.prod(max(side, 1) for side in shape) > _EMPTY:
        raise ValueError(f"an empty array of shape {shape}")
    return array.view(Array)


def _encode(text: str | LargeText, encoding: str) -> bytes:
    """`_codecs.encode`: how protocols before 3 store bytes."""
    if not isinstance(encoding, str) or encoding not in ("latin1", "latin-1"):
        raise Refused(f"the encoding {shown(encoding)}")
    return text.raw if isinstance(text, LargeText) else text.encode("latin1")


def key(value: object) -> str | int | None:
    """A key of a dict or a member of a set: text, also where Python 2 wrote it as bytes, or a whole number.

    Others are refused: computing the hash of nested tuples can take longer than the universe lasts, and
    large integers can be chosen to have one hash.
    """
    if isinstance(value, bytes) and len(value) < _KEY:
        return value.decode("utf-8", "surrogateescape")  # other encodings are told from all of the file
    if isinstance(value, str) or value is None or (isinstance(value, int) and abs(value) < 1 << 60):
        return value
    raise Excess(f"a dict or set with a key of type {type(value).__name__}")


ARRAYS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): Dtype,
    ("_codecs", "encode"): _encode,
    **{
        (f"numpy.{core}.{name}", attribute): value
        for core in ("core", "_core")
        for name, attribute, value in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _from_buffer),
        )
    },
}
