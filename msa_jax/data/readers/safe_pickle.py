"""Pickles of NumPy arrays and plain containers, and of nothing else.

A pickle is a program: it may import and call whatever it names, and say how much memory is to be set aside.
Feature files need a handful of names, so each of them is bound to a function of `pickled_arrays` or of
`pickled_containers`, and every other name is refused. The instructions are run by the standard library's
unpickler in Python, not by the one in C: it is some four times slower, yet a million instructions a second
are enough for files whose bytes are nearly all in arrays, and each instruction that could take much memory or
time can be replaced here.
"""

import codecs
import io
import itertools
import os
import pickle
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar

from msa_jax.data.readers import foreign, libraries, room
from msa_jax.data.readers.clean import unreadable
from msa_jax.data.readers.pickle_budget import COST, Budget
from msa_jax.data.readers.pickled_arrays import ARRAYS, Array, Dtype, Excess, LargeText, Refused, key
from msa_jax.data.readers.pickled_containers import CONTAINERS, STATEFUL, Empty, weight
from msa_jax.errors import UserError

_LARGE = 1 << 16  # bytes of a text; no transcript is as long
_PIECE = 1 << 18  # bytes that a large text is decoded by
_ALLOWED = ARRAYS | CONTAINERS
_WITH_STATE = (Array, Dtype, *STATEFUL)
# Numbers in what was loaded, counted wherever they occur; a file of flags has one to a byte.
_NUMBERS, _NUMBERS_PER_BYTE = 1 << 20, 4
# Instructions that no pickler writes for arrays and containers.
_REFUSED = ("PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "INST", "OBJ", "NEWOBJ_EX", "DUP")
_REFUSED += ("NEXT_BUFFER", "READONLY_BUFFER")


def load(path: Path) -> object:
    """Reads a pickle of arrays and containers; executes nothing.

    Args:
      path: the file, of any protocol, Python 2 included: its strings come as bytes, the keys of its dicts as
        text (bytes that are not UTF-8 as halves of characters, for `msa_jax.data.conventions.texts`).

    Returns:
      What the pickle holds. Arrays come as a subclass of `numpy.ndarray`, NumPy scalars as Python values.
      What is put together from it by going through its containers is in proportion to the file.

    Raises:
      UserError: when the file names anything but arrays and plain containers, it is damaged, or memory is
        short.
    """
    try:
        with path.open("rb", buffering=_PIECE) as file:
            file.seek(-1, os.SEEK_END)
            size = file.tell() + 1
            if file.read(1) != pickle.STOP:  # a file cut short, without reading gigabytes first
                raise EOFError("it ends too early")
            room.check_free(path, size)
            file.seek(0)
            content = _Unpickler(file, size).load()
            if file.tell() != size:
                raise ValueError("it goes on after its end")
        if weight(content) > _NUMBERS + _NUMBERS_PER_BYTE * size:
            raise Excess("the same contents over and over")
        return content
    except Refused as refused:
        raise UserError(f"{path}: {libraries.refusal(str(refused), refused.module)}") from None
    except Excess as excess:
        wrong = f"the pickle holds {excess}, which no feature file needs"
        raise UserError(f"{path}: {wrong}; {libraries.SAVE}") from None
    except OSError as error:
        raise unreadable(path, error) from None
    except UserError:
        raise
    except MemoryError:
        raise room.short(path, size) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        foreign.refuse(path)
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(
            f"{path}: the pickle is truncated or damaged ({reason}); copy or download it again"
        ) from None


class _Unpickler(pickle._Unpickler):
    """The interpreter, with the dangerous instructions taken out and the wasteful ones rewritten."""

    dispatch: ClassVar[dict[int, Callable]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, encoding="bytes")
        self._file, self._size = file, size
        self._budget = Budget(size)

    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise Refused(f"{module}.{name}"[:100], str(module)) from None

    def _number(self, form: str) -> int:
        (number,) = struct.unpack(form, self.read(struct.calcsize(form)))
        return number

    def _length(self, form: str) -> int:
        """A length that the file gives, checked before anything of that length is set aside."""
        length = self._number(form)
        if not 0 <= length <= self._size - self._file.tell():
            raise EOFError(f"a part of {length} bytes is longer than the file")
        return length

    def _text(self, form: str) -> None:
        length = self._length(form)
        if length < _LARGE:
            self.append(str(self.read(length), "utf-8", "surrogatepass"))
        else:
            pieces = (self.read(min(_PIECE, length - at)) for at in range(0, length, _PIECE))
            self.append(LargeText(_latin1(pieces, "utf-8")))

    def _line(self) -> Iterator[bytes]:
        """The rest of a line in pieces; an array in protocol 0 is a line."""
        while not (piece := self._file.readline(_PIECE)).endswith(b"\n"):
            if not piece:
                raise EOFError("a line without its end")
            yield piece
        yield piece[:-1]

    def _text_line(self) -> None:
        line = self._line()
        first = next(line)
        if len(first) < _LARGE:
            self.append(str(first, "raw-unicode-escape"))
        else:
            self.append(LargeText(_latin1(itertools.chain([first], line), "raw-unicode-escape")))

    def _bytes_line(self) -> None:
        quote = self.read(1)
        raw, rest = io.BytesIO(), b""
        for piece in self._line():
            rest += piece
            whole = _before_escape(rest[:-1])  # the last byte may be the closing quote
            raw.write(codecs.escape_decode(rest[:whole])[0])
            rest = rest[whole:]
        if rest[-1:] != quote or quote not in (b"'", b'"'):
            raise ValueError("a string without its quotes")
        raw.write(codecs.escape_decode(rest[:-1])[0])
        self.append(raw.getvalue())

    def _bytes(self, form: str) -> None:
        self.append(self.read(self._length(form)))

    def _bytearray(self) -> None:
        raw = bytearray(self._length("<Q"))
        self._file.readinto(raw)  # the inherited `readinto` would read it first and then copy it
        self.append(raw)

    def _large_number(self) -> None:
        self.append(pickle.decode_long(self.read(self._length("<i"))))

    def _build(self) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) not in _WITH_STATE:  # else attributes of the stand-ins could be set
            raise Refused("the state of something")
        self._budget.take_state(self.stack[-1], state)
        self.stack[-1].__setstate__(state)

    def _call(self) -> None:
        arguments = self.stack.pop()
        if type(arguments) is not tuple:
            raise ValueError("arguments that are not a tuple")
        self._budget.take_call(arguments)
        made = self.stack[-1](*arguments)
        if type(made) is range:
            self._budget.take_range(len(made))
            made = list(made)
        self.stack[-1] = made

    def _new_object(self) -> None:
        arguments = self.stack.pop()
        if not isinstance(self.stack[-1], Empty) or type(arguments) is not tuple or arguments:
            raise Refused("an object of a class")
        self.stack[-1] = self.stack[-1]()

    def _set_item(self) -> None:
        value, name = self.stack.pop(), self.stack.pop()
        self._update([name, value])

    def _update(self, items: list) -> None:
        if type(self.stack[-1]) is not dict or len(items) % 2:
            raise ValueError("keys and values that do not belong to a dict")
        self.stack[-1].update(zip(self._keys(items[::2]), items[1::2], strict=True))

    def _dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._update(items)

    def _add(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is not set:
            raise ValueError("members that do not belong to a set")
        self.stack[-1].update(self._keys(items))

    def _frozenset(self) -> None:
        members = frozenset(self._keys(self.pop_mark()))
        self.append(members)

    def _keys(self, values: list) -> Iterator:
        """The keys of a dict or the members of a set."""
        self._budget.take_keys(values)
        return map(key, values)

    dispatch.update(
        {
            pickle.FRAME[0]: lambda self: self._length("<Q"),  # it only spares reading byte by byte
            pickle.BINUNICODE[0]: lambda self: self._text("<I"),
            pickle.BINUNICODE8[0]: lambda self: self._text("<Q"),
            pickle.UNICODE[0]: _text_line,
            pickle.STRING[0]: _bytes_line,
            pickle.BINSTRING[0]: lambda self: self._bytes("<i"),
            pickle.BINBYTES[0]: lambda self: self._bytes("<I"),
            pickle.BINBYTES8[0]: lambda self: self._bytes("<Q"),
            pickle.BYTEARRAY8[0]: _bytearray,
            pickle.LONG4[0]: _large_number,
            pickle.BUILD[0]: _build,
            pickle.REDUCE[0]: _call,
            pickle.NEWOBJ[0]: _new_object,
            pickle.SETITEM[0]: _set_item,
            pickle.SETITEMS[0]: lambda self: self._update(self.pop_mark()),
            pickle.DICT[0]: _dict,
            pickle.ADDITEMS[0]: _add,
            pickle.FROZENSET[0]: _frozenset,
        }
    )


def _refuse(name: str) -> Callable:
    def instruction(self: _Unpickler) -> None:
        raise Refused(f"the instruction {name}")

    return instruction


def _counted(instruction: Callable, cost: int) -> Callable:
    def counted(self: _Unpickler) -> None:
        self._budget.take(cost, "empty containers")
        instruction(self)

    return counted


_Unpickler.dispatch.update(
    {
        **{getattr(pickle, name)[0]: _refuse(name) for name in _REFUSED},
        **{code[0]: _counted(_Unpickler.dispatch[code[0]], cost) for code, cost in COST.items()},
    }
)


def _before_escape(text: bytes) -> int:
    """How much of the beginning of a text, cut anywhere, ends with no escape sequence cut through."""
    at = text.rfind(b"\\", max(len(text) - 3, 0))
    backslashes = at + 1 - len(text[: at + 1].rstrip(b"\\"))
    return at if backslashes % 2 else len(text)


def _latin1(pieces: Iterable[bytes], coding: str) -> bytes:
    """The bytes of an array that were written as a text, without ever holding the text."""
    decoder = codecs.getincrementaldecoder(coding)()
    raw = io.BytesIO()
    try:
        for piece in pieces:
            raw.write(decoder.decode(piece).encode("latin1"))
        raw.write(decoder.decode(b"", final=True).encode("latin1"))
    except UnicodeError:
        raise Excess(f"a text of over {_LARGE} bytes") from None
    return raw.getvalue()
