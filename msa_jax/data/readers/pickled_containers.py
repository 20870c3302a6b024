"""Pickled containers of the standard library: stand-ins that make plain values of them, and what they weigh.

An OrderedDict, a defaultdict or a Counter comes as a dict, a deque as a list, a path or a time as text, a
Decimal or a Fraction as a float, a range as the list of its numbers (which the unpickler makes of it). The
classes themselves are never called with what a file says, and the functions that a file names (the factory
of a defaultdict) are only marks here.
"""

import datetime
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from msa_jax.data.readers.pickled_arrays import Array, Excess, Refused, key, raw_bytes, shown

_MARK = object()  # stands for a function or class that is only ever named, never called
_LONGEST = 1 << 16  # characters of a path
_DIGITS = 1 << 10  # characters of a Decimal or a Fraction, and bits of the parts of one
_RANGE = 1 << 24  # numbers in a range
_OFFSET = 1 << 6  # characters of a time zone's offset, which is a `_duration`
_DEPTH = 32  # containers within containers
_FORMS = ("u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4")
_FORMS += ("<u8", ">u8", "<i8", ">i8", "<f4", ">f4", "<f8", ">f8")  # array.array's machine formats 0 to 17


class Attributes(dict):
    """A container that a pickle fills by its attributes: a SimpleNamespace, a UserDict, a ChainMap."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise ValueError("attributes that are not a dict")
        self.update(state)


class UserDict(Attributes):
    """`collections.UserDict`, which keeps its dict in an attribute."""

    def __setstate__(self, state: object) -> None:
        super().__setstate__(state.get("data") if isinstance(state, dict) else state)


class ChainMap(Attributes):
    """`collections.ChainMap`: of the same key the first dict's value."""

    def __setstate__(self, state: object) -> None:
        maps = state.get("maps") if isinstance(state, dict) else None
        for part in reversed(maps) if isinstance(maps, list) else (maps,):
            super().__setstate__(part)


class UserList(list):
    """`collections.UserList`, which keeps its list in an attribute."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict) or not isinstance(state.get("data"), list):
            raise ValueError("a UserList without its list")
        self.extend(state["data"])


STATEFUL = (Attributes, UserDict, ChainMap, UserList)


class Empty:
    """Makes an empty container that attributes fill; takes nothing that a file says."""

    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __call__(self) -> object:
        return self._kind()


def as_dict(pairs: object = ()) -> dict:
    """`collections.OrderedDict` and `Counter`: a dict out of pairs, or of another dict."""
    pairs = pairs.items() if isinstance(pairs, dict) else _members(pairs)
    return {key(name): value for name, value in pairs}


def _default_dict(factory: object = None, pairs: object = ()) -> dict:
    """`collections.defaultdict`; what is missing stays missing."""
    del factory
    return as_dict(pairs)


def _deque(values: Sequence = (), longest: object = None) -> list:
    """`collections.deque`, whose members follow."""
    del longest
    return _members(values)


def _members(values: object) -> list:
    if not isinstance(values, (list, tuple, set, frozenset)):
        raise ValueError(f"the members of a container in a {type(values).__name__}")
    return list(values)


def _set(values: object = ()) -> set:
    return {key(value) for value in _members(values)}


def _frozenset(values: object = ()) -> frozenset:
    return frozenset(_set(values))


def _bytes(raw: object = b"", encoding: object = None) -> bytes:
    """`bytes()` and `bytearray(raw)`, as protocols before 5 store them; never a number of zeros."""
    del encoding  # latin1, which `raw_bytes` takes for granted
    return raw_bytes(raw)


def _numbers(code: object, values: object) -> list:
    """`array.array`, as protocols before 3 store it."""
    if not isinstance(code, (str, bytes)) or code in ("u", "w", b"u", b"w"):
        raise Refused("an array of characters")
    return [value for value in _members(values) if isinstance(value, (int, float))]


def _reconstructed_array(kind: object, code: object, form: object, raw: object) -> Array:
    """`array._array_reconstructor`: the numbers of an `array.array` out of their bytes."""
    del kind, code
    if not isinstance(form, int) or not 0 <= form < len(_FORMS):
        raise Refused("an array of characters")
    return np.frombuffer(raw_bytes(raw), _FORMS[form]).view(Array)


def _range(*bounds: object) -> range:
    """`range`, from one number to another in steps."""
    if not 1 <= len(bounds) <= 3 or not all(type(n) is int and abs(n) < 1 << 60 for n in bounds):
        raise ValueError("a range without its bounds")
    found = range(*bounds)
    if len(found) > _RANGE:
        raise Excess(f"a range of {len(found)} numbers")
    return found


def _decimal(value: object = 0, context: object = None) -> float:
    """`decimal.Decimal`, which a pickle stores as text."""
    del context
    if not isinstance(value, (str, bytes, int)) or len(str(value)) > _DIGITS:
        raise ValueError("a Decimal that is not a number")
    return float(value)


def _fraction(numerator: object = 0, denominator: object = 1) -> float:
    """`fractions.Fraction`, which a pickle stores as text ("3/4") or, from Python 3.12 on, as two numbers."""
    if isinstance(numerator, (str, bytes)) and len(numerator) <= _DIGITS:
        parts = numerator.decode("ascii") if isinstance(numerator, bytes) else numerator
        numerator, _, below = parts.partition("/")
        numerator, denominator = int(numerator), int(below or 1)
    if not all(type(n) is int and n.bit_length() <= 4 * _DIGITS for n in (numerator, denominator)):
        raise ValueError("a Fraction that is not two whole numbers")
    return numerator / denominator


def _path(flavour: type[pathlib.PurePath]) -> Callable[..., str]:
    """A class of `pathlib`, as text."""

    def joined(*parts: object) -> str:
        names = [part.decode("utf-8", "replace") if isinstance(part, bytes) else part for part in parts]
        if not all(isinstance(name, str) for name in names) or sum(map(len, names)) > _LONGEST:
            raise ValueError("a path that is not made of names")
        return str(flavour(*names))

    return joined


def _moment(kind: type) -> Callable[..., str]:
    """A class of `datetime` that a pickle stores in bytes, as text."""

    def read(raw: object, zone: object = "") -> str:
        return f"{kind(raw_bytes(raw))}{zone if isinstance(zone, str) else ''}"

    return read


def _duration(days: object = 0, seconds: object = 0, microseconds: object = 0) -> str:
    """`datetime.timedelta`, as text."""
    if not all(type(n) is int for n in (days, seconds, microseconds)):
        raise ValueError("a duration that is not whole numbers")
    return str(datetime.timedelta(days, seconds, microseconds))


def _zone(offset: object, name: object = None) -> str:
    """`datetime.timezone`, as text behind a time."""
    del name
    if not isinstance(offset, str) or len(offset) > _OFFSET:
        raise ValueError(f"a time zone's offset {shown(offset)}")
    return f" UTC+{offset}"


def _rebuilt(kind: object, base: object, state: object) -> object:
    """`copyreg._reconstructor`: how protocols before 2 begin an object that has attributes."""
    if not isinstance(kind, Empty) or base is not _MARK or state is not None:
        raise Refused("an object with attributes")
    return kind()


_PATHS = {
    f"{pure}{name}": _path(flavour)
    for pure in ("", "Pure")
    for name, flavour in (
        ("PosixPath", pathlib.PurePosixPath),
        ("WindowsPath", pathlib.PureWindowsPath),
        ("Path", pathlib.PurePosixPath),
    )
}
_BUILTINS = {"bytes": _bytes, "bytearray": _bytes, "set": _set, "frozenset": _frozenset}
_BUILTINS |= {"range": _range, "xrange": _range}
_BUILTINS |= dict.fromkeys(("list", "dict", "int", "float", "str", "tuple", "bool", "object"), _MARK)
_BUILTINS |= {"unicode": _MARK, "long": _MARK}  # factories of a defaultdict that Python 2 wrote
CONTAINERS = {
    **{
        ("collections", name): value
        for name, value in (
            ("OrderedDict", as_dict),
            ("Counter", as_dict),
            ("defaultdict", _default_dict),
            ("deque", _deque),
            ("UserDict", Empty(UserDict)),
            ("UserList", Empty(UserList)),
            ("ChainMap", Empty(ChainMap)),
        )
    },
    # Their names in Python 2, which protocols before 3 write.
    **{("UserDict", name): Empty(UserDict) for name in ("UserDict", "IterableUserDict")},
    ("UserList", "UserList"): Empty(UserList),
    ("types", "SimpleNamespace"): Empty(Attributes),
    ("argparse", "Namespace"): Empty(Attributes),
    ("copyreg", "_reconstructor"): _rebuilt,
    ("copy_reg", "_reconstructor"): _rebuilt,
    ("array", "array"): _numbers,
    ("array", "_array_reconstructor"): _reconstructed_array,
    **{
        (module, name): value
        for module in ("pathlib", "pathlib._local")  # Python 3.13 names the second
        for name, value in _PATHS.items()
    },
    **{
        ("datetime", kind.__name__): _moment(kind)
        for kind in (datetime.datetime, datetime.date, datetime.time)
    },
    **{(module, "Decimal"): _decimal for module in ("decimal", "_decimal", "_pydecimal")},
    ("fractions", "Fraction"): _fraction,
    ("datetime", "timedelta"): _duration,
    ("datetime", "timezone"): _zone,
    **{(module, name): value for module in ("builtins", "__builtin__") for name, value in _BUILTINS.items()},
}


def weight(value: object) -> int:
    """How many numbers there are in what was loaded, a thing counted wherever it occurs.

    A few lists that hold each other a thousand times are billions of numbers as an array, and a list in
    itself never ends.

    Raises:
      Excess: when containers are nested deeper than any feature file's.
    """
    return _weight(value, _DEPTH, {})


def _weight(value: object, depth: int, known: dict[int, int]) -> int:
    """The same, with how deep containers may be, and the weights of heavier things by their address."""
    if isinstance(value, (str, bytes, bytearray)):  # NumPy takes a bytearray for numbers
        return 1 + len(value) // (1 if isinstance(value, bytearray) else 8)
    if isinstance(value, Array) and not value.dtype.hasobject:
        return 1 + value.size
    if not isinstance(value, (list, tuple, dict, Array)):
        return 1
    if (found := known.get(id(value))) is not None:
        return found
    if not depth:
        raise Excess(f"containers nested more than {_DEPTH} deep")
    total = 1
    for item in _items(value):
        total += 1 if type(item) is float else _weight(item, depth - 1, known)
    if total > 32:  # small ones are quickly counted again
        known[id(value)] = total
    return total


def _items(value: list | tuple | dict | Array) -> Iterator:
    return iter(
        value.values() if isinstance(value, dict) else value.flat if isinstance(value, Array) else value
    )
