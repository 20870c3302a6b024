"""Encodings of texts that are kept as bytes (Python 2's pickles, .csd words, CSV), one for all of a file."""

import dataclasses
from collections.abc import Iterable, Sequence

from msa_jax.data.conventions import letters
from msa_jax.errors import UserError

_LEAST = 6  # Chinese characters that are needed to tell an encoding by
_COMMON = 0.4  # share of them that must be common ones; the wrong encoding has a tenth
_FITTING = 0.9  # share of the characters beyond ASCII that must stand where European text has them
_UTF8 = 0.2  # share of the texts of three Chinese characters and more that may be UTF-8 by chance
_SAMPLE = 2000  # texts whose characters are counted; all of them must decode
_ODD = 0.1  # share of the characters that may be neither ASCII nor Chinese
_MARKS = (b"\xff\xfe", b"\xfe\xff")
# Each with its titles; of several codecs the first that decodes all texts.
_CHINESE = {"GB18030": ("gb18030",), "Big5": ("big5", "cp950", "big5hkscs")}
_SHOWN = 24  # bytes of a text that are shown in a message
_KEY = "--config.data.encoding"


@dataclasses.dataclass(frozen=True)
class Encoding:
    """How the bytes of a file become texts.

    Attributes:
      codec: the name of Python's codec.
      line: what was decided and why, in a few words; "" where all bytes are ASCII.
      otherwise: the codec of the texts that the first one does not decode; "" where it decodes all.
    """

    codec: str = "utf-8"
    line: str = ""
    otherwise: str = ""

    def decode(self, text: bytes) -> str:
        """The text without a byte order mark; plain ASCII beside marked UTF-16 is taken for ASCII.

        Raises:
          UnicodeError: when the text is in another encoding.
        """
        if self.codec.startswith("utf-16"):
            if self.codec == "utf-16" and not text.startswith(_MARKS) and _plain(text):
                return text.decode("ascii")
            text += b"\0" * (len(text) % 2)  # NumPy drops zeros at the end
        try:
            return text.decode(self.codec).removeprefix("\ufeff")
        except UnicodeDecodeError:
            if not self.otherwise:
                raise
            return text.decode(self.otherwise)


def decide(texts: Iterable[bytes], *, said: str | None, where: str) -> Encoding:
    """Finds the one encoding in which all texts of a file are texts.

    UTF-8 is told by its form, UTF-16 by its mark or its zero bytes, GB18030 and Big5 by the share of common
    Chinese characters, and the European one (latin-1, or cp1252 where there are quotes) by accented letters
    within words of plain letters. The same texts more than once count once.

    Args:
      texts: all texts.
      said: the name of Python's codec, where the user says it.
      where: what to call the file in a message.

    Returns:
      The encoding.

    Raises:
      UserError: when none or several are possible, or that which the user says is not known or does not fit.
    """
    every = set(texts)
    if said is not None:
        return _as_said(every, said, where)
    unmarked = not any(text and _plain(text) for text in every)  # plain text says that it is not UTF-16
    every = {text for text in every if not _plain(text)}
    if not every:
        return Encoding()
    if all(text.startswith(_MARKS) for text in every) and _decodes(every, "utf-16"):
        return Encoding("utf-16", "UTF-16, by its mark")
    zeros = any(b"\0" in text.rstrip(b"\0") for text in every)
    if zeros:
        found = [unmarked and _utf16(every)]
    elif _decodes(every, "utf-8"):
        return Encoding("utf-8", "UTF-8" if any(not text.isascii() for text in every) else "")
    else:
        found = [*_chinese(every), unmarked and _utf16(every), _european(every)]
    found = [encoding for encoding in found if encoding]
    if len(found) == 1:
        return found[0]
    if not found and not zeros and (mixed := _mixed(every)):
        return mixed
    raise UserError(_unclear(every, [encoding.codec for encoding in found], where))


def check(said: str | None) -> None:
    """Refuses the name of a codec that Python does not have."""
    try:
        "a".encode(said or "utf-8")
    except (LookupError, ValueError):
        raise UserError(
            f"{_KEY}: {said!r} is not a text encoding that Python knows; say one such as utf-8, gb18030, "
            "big5, utf-16 or cp1252"
        ) from None


def _as_said(texts: set[bytes], said: str, where: str) -> Encoding:
    check(said)
    wrong = sorted(text for text in texts if not _decodes([text], said))
    if wrong:
        raise UserError(
            f"{where}: {_KEY}={said}, but {len(wrong)} of {len(texts)} different texts are not in it, such "
            f"as {_shown(wrong[0])}; say another, or save the file as UTF-8"
        )
    return Encoding(said, f"{said}, as you said")


def _plain(text: bytes) -> bool:
    return text.isascii() and b"\0" not in text


def _decodes(texts: Iterable[bytes], codec: str) -> bool:
    try:
        for text in texts:
            Encoding(codec).decode(text)
    except UnicodeError:
        return False
    return True


def _some(texts: set[bytes]) -> list[bytes]:
    """Enough of the texts to count characters in, the same ones each time."""
    return sorted(texts)[:: 1 + len(texts) // _SAMPLE]


def _chinese(texts: set[bytes]) -> Iterable[Encoding | None]:
    long = [text for text in _some(texts) if sum(byte > 127 for byte in text) >= 6]
    if sum(_decodes([text], "utf-8") for text in long) > _UTF8 * len(long):
        return  # some texts are in UTF-8
    for title, codecs in _CHINESE.items():
        codec = next((name for name in codecs if _decodes(texts, name)), None)
        yield codec and _read_as([text.decode(codec) for text in _some(texts)], codec, title)


def _read_as(texts: Sequence[str], codec: str, title: str) -> Encoding | None:
    """The encoding where the decoded texts read as Chinese, or as English with Chinese punctuation."""
    counts = [letters.chinese(text) for text in texts]
    ideographs, common, others = (sum(column) for column in zip(*counts, strict=True))
    marks = sum(map(letters.signs, texts))
    if others > _ODD * (ideographs + others + marks):
        return None
    if ideographs >= _LEAST and common >= _COMMON * ideographs:
        share = f"{common} of {ideographs} Chinese characters are among the most common"
        return Encoding(codec, f"{title} ({share})")
    if marks and not ideographs and not others and codec == _CHINESE["GB18030"][0]:
        return Encoding(codec, f"{title} (all {marks} characters beyond ASCII are its punctuation)")
    return None


def _utf16(texts: set[bytes]) -> Encoding | None:
    """UTF-16 without a mark, where most characters are ASCII or common Chinese ones."""
    for codec in ("utf-16-le", "utf-16-be"):
        if not _decodes(texts, codec):
            continue
        decoded = [Encoding(codec).decode(text) for text in _some(texts)]
        if any("\0" in text.rstrip("\0") for text in decoded):
            continue
        plain = sum(c.isascii() for text in decoded for c in text)
        whole = sum(map(len, decoded))
        if plain >= _FITTING * whole or _read_as(decoded, codec, "UTF-16"):
            return Encoding(codec, "UTF-16 without a mark")
    return None


def _european(texts: set[bytes]) -> Encoding | None:
    """latin-1; cp1252 where there are bytes that are no characters in latin-1, such as quotes."""
    codec = "latin-1"
    if any(0x80 <= byte < 0xA0 for text in texts for byte in text):
        codec = "cp1252"
        if not _decodes(texts, codec):
            return None
    counts = [letters.accented(text.decode(codec)) for text in _some(texts)]
    whole, fitting = (sum(column) for column in zip(*counts, strict=True))
    if fitting < _FITTING * whole:
        return None
    return Encoding(
        codec, f"{codec} ({fitting} of {whole} characters beyond ASCII are European letters and signs)"
    )


def _mixed(texts: set[bytes]) -> Encoding | None:
    """UTF-8 in some texts, European in the others."""
    good = {text for text in texts if _decodes([text], "utf-8")}
    if not good or not (rest := _european(texts - good)):
        return None
    line = f"UTF-8, but {rest.codec} in {len(texts - good)} of {len(texts)} different texts beyond ASCII"
    return Encoding("utf-8", line, rest.codec)


def _unclear(texts: set[bytes], possible: Sequence[str], where: str) -> str:
    wrong = sorted(text for text in texts if b"\0" in text or not _decodes([text], "utf-8"))
    which = f"could be {' or '.join(possible)}" if possible else "are clearly none of GB18030, Big5, latin-1"
    return (
        f"{where}: the encoding of the texts is not clear ({len(wrong)} of {len(texts)} different ones "
        f"beyond ASCII are not UTF-8, such as {_shown(wrong[0])}, and {which}); save it as UTF-8, or say "
        f"{_KEY}=gb18030, big5 or another (in Python: encoding=...)"
    )


def _shown(text: bytes) -> str:
    start = next((k for k, byte in enumerate(text) if byte > 127), 0)
    start = max(0, start - 4)
    return repr(text[start : start + _SHOWN])


def twice_encoded(texts: Iterable[str], where: str) -> tuple[str, ...]:
    """A note on texts that are UTF-8 read as another encoding ("ä¸­" instead of "中"), if there are any."""
    every = list(texts)
    found = [(text, right) for text in every if (right := _undone(text))]
    if not found:
        return ()
    wrong, right = found[0]
    return (
        f"{where}: {len(found)} of {len(every)} different texts look like UTF-8 that was read as latin-1 "
        f"({wrong[:12]!r} is {right[:12]!r}); they are kept as they are: save them again from the original.",
    )


def _undone(text: str) -> str:
    """The text before it was read in a wrong encoding; "" where it was not."""
    raw = bytearray()
    for c in text:
        try:
            raw += c.encode("cp1252")
        except UnicodeEncodeError:
            if ord(c) > 0xFF:
                return ""
            raw.append(ord(c))
    try:
        return bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return ""
