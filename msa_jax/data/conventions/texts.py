"""Texts of a loaded file: all of them, found in its containers, and decoded there by one encoding."""

import dataclasses
from typing import Any

import numpy as np

from msa_jax.data.conventions import encodings, misread, seven_bit

_NUMBERS = (int, float, bool, type(None))


@dataclasses.dataclass(frozen=True)
class Decoded:
    """The content of a file with its texts decoded.

    Attributes:
      content: as it was where no text is in bytes but ASCII and UTF-8.
      conventions: "encoding", where bytes had to be decoded.
      notes: on texts that were decoded wrongly before they were written.
    """

    content: Any
    conventions: dict[str, str]
    notes: tuple[str, ...]


def decoded(content: Any, said: str | None, where: str) -> Decoded:
    """Decodes the bytes in a file's containers.

    Args:
      content: what a pickle holds, or an array: dicts, lists, tuples, sets and arrays of texts and numbers.
      said: the name of Python's codec, where the user says it.
      where: what to call the file in messages.

    Raises:
      UserError: as in `encodings.decide`, and when texts were decoded wrongly before they were written, and
        are Chinese.
    """
    encodings.check(said)
    raw: set[bytes] = set()
    texts: set[str] = set()
    plain: set[str] = set()
    _collect(content, raw, texts, plain)
    ascii_texts = {text for text in texts if text.isascii()}  # which have the marks of an encoding
    texts -= ascii_texts
    in_bytes, marks = bool(raw), {text.encode() for text in ascii_texts}
    seen = seven_bit.decide(sorted(marks))
    if seen and not seen.line and texts:  # chance, where other texts are beyond ASCII
        seen = None
    if said is not None or seen:
        raw |= marks
    encoding = encodings.decide(raw, said=said, where=where)
    keeping = encoding.codec if in_bytes else "utf-8"
    beyond = texts | {encoding.decode(text) for text in raw if not text.isascii()}
    count = len(texts) + len(raw | marks) + len(plain)
    notes = misread.notes(beyond, where, count=count, said=said, codec=keeping)
    if said is not None and not (in_bytes or seen or notes):
        notes += ("No text of the file is in bytes: --config.data.encoding makes no difference.",)
        return Decoded(content, {}, notes)
    conventions = {"encoding": encoding.line} if encoding.line else {}
    plain = encoding.codec == "utf-8" and not encoding.otherwise
    if plain and not any(text.startswith(b"\xef\xbb\xbf") for text in raw):
        return Decoded(content, conventions, notes)
    return Decoded(_rebuilt(content, encoding), conventions, notes)


def _collect(value: Any, raw: set[bytes], texts: set[str], plain: set[str]) -> None:
    """Gathers the texts: in bytes, beyond ASCII or with the marks of an encoding, and the others."""
    kind = type(value)
    if kind is str:
        if value.isascii() and not seven_bit.marked(value):
            plain.add(value)
            return
        if key := _escaped(value):
            raw.add(key)
        else:
            texts.add(value)
    elif kind is bytes:
        raw.add(value)
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "SUO":
            _collect(value.ravel().tolist(), raw, texts, plain)
    elif kind is dict:
        _collect(list(value), raw, texts, set())  # the names of its parts
        _collect(list(value.values()), raw, texts, plain)
    elif kind in (list, tuple, set, frozenset):
        for item in value:
            if type(item) not in _NUMBERS:
                _collect(item, raw, texts, plain)


def _escaped(text: str) -> bytes | None:
    """Gives the bytes of a dict's key that was not UTF-8 (see `pickled_arrays.key`); None where it was."""
    if not any("\udc80" <= c <= "\udcff" for c in text):
        return None
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other halves of characters
        return None


def _rebuilt(value: Any, encoding: encodings.Encoding) -> Any:
    """Makes the same containers with the bytes decoded."""
    kind = type(value)
    if kind is bytes:
        return encoding.decode(value)
    if kind is str:
        if value.isascii():
            marked = encoding.codec in seven_bit.CODECS and seven_bit.marked(value)
            return encoding.decode(value.encode()) if marked else value
        raw = _escaped(value)
        return value if raw is None else encoding.decode(raw)
    if kind is dict:
        return {_rebuilt(name, encoding): _rebuilt(item, encoding) for name, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(item if type(item) in _NUMBERS else _rebuilt(item, encoding) for item in value)
    kinds = "SUO" if encoding.codec in seven_bit.CODECS else "SO"
    if isinstance(value, np.ndarray) and value.dtype.kind in kinds:
        found = np.empty(value.size, object)
        for place, item in enumerate(value.ravel().tolist()):  # one by one: they may be arrays themselves
            found[place] = _rebuilt(item, encoding)
        return found.reshape(value.shape)
    return value
