"""Encodings of texts that are kept as bytes (Python 2's pickles, .csd words, CSV), one for all of a file."""

import codecs
import dataclasses
from collections.abc import Collection, Iterable, Sequence

from msa_jax.data.conventions import code_pages, letters, samples, seven_bit
from msa_jax.errors import UserError

_FITTING = 0.9  # share of the characters beyond ASCII that must stand where European text has them
_UTF8 = 0.2  # share of the texts of three Chinese characters and more that may be UTF-8 by chance
_SAMPLE = 2000  # texts whose characters are counted; all of them must decode
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
MARKS_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# Each by its title; of several codecs the first that decodes all texts.
CHINESE = {"GB18030": ("gb18030",), "Big5": ("big5", "cp950", "big5hkscs")}
# European code pages that are looked at where cp1252 does not fit, each with its letters.
_OTHERS = {"mac_roman": letters.WESTERN, "cp850": letters.WESTERN, "cp1254": letters.TURKISH}
_ENOUGH = 3  # characters that one of these is told by
_NAMED = 3  # encodings that are named in a message, where the texts do not tell which is meant
_SHOWN = 24  # bytes of a text that are shown in a message
_FEW = 0.1  # share of the texts beyond ASCII, under which the others tell the language too
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
        """Decodes a text, without its byte order mark; plain ASCII beside marked UTF-16 is taken for ASCII.

        Raises:
          UnicodeError: when the text is in another encoding.
        """
        if self.codec.startswith("utf-16"):
            if self.codec == "utf-16" and not text.startswith(_MARKS) and _plain(text):
                return text.decode("ascii")
            text += b"\0" * (len(text) % 2)  # NumPy drops zeros at the end
        if self.codec == "iso2022_kr":
            text = seven_bit.KOREAN + text
        try:
            return text.decode(self.codec).removeprefix("\ufeff")
        except UnicodeDecodeError:
            if not self.otherwise:
                raise
            return text.decode(self.otherwise)


def decide(texts: Iterable[bytes], *, said: str | None, where: str) -> Encoding:
    """Finds the one encoding in which all texts of a file are texts.

    UTF-8 is told by its form, UTF-16 by its mark or its zero bytes, GB18030 and Big5 by the share of common
    Chinese characters, the European one (latin-1, or cp1252 where there are quotes; where neither reads well
    Mac Roman, cp850 or Turkish cp1254) by accented letters within words of plain letters, and those that
    write all in ASCII (HZ, UTF-7, ISO-2022) by their marks with a language between these. The same texts more
    than once count once.

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
    everything, every = every, {text for text in every if not _plain(text)}
    plain = everything - every
    seen = seven_bit.decide(sorted(plain))
    if seen is not None and (seen.line or not every):  # weak marks are chance where another encoding is used
        return _seven_bit(seen, plain, every, where)
    if not every:
        return Encoding()
    if all(text.startswith(MARKS_32) for text in every):
        raise UserError(f"{where}: the texts are in UTF-32, which is not read; save them as UTF-8")
    found = _found(every, plain)
    if len(found) == 1:
        return found[0]
    possible = [encoding.codec for encoding in found] or _likely(every)
    raise UserError(_unclear(every, possible[:_NAMED], where))


def _found(texts: set[bytes], plain: set[bytes]) -> list[Encoding]:
    """The encodings in which the texts of a file beyond ASCII are texts: one where it is clear."""
    if all(text.startswith(_MARKS) for text in texts) and _decodes(texts, "utf-16"):
        return [Encoding("utf-16", "UTF-16, by its mark")]
    zeros = _zeros(texts)
    if not zeros and _decodes(texts, "utf-8"):
        return [Encoding("utf-8", "UTF-8" if any(not text.isascii() for text in texts) else "")]
    found = [] if zeros else [*chinese(texts), *european(texts, plain)]
    if not any(plain):  # plain text says that it is not UTF-16
        found.append(_utf16(texts))
    if not any(found) and not zeros:
        found = [_mixed(texts, plain)]
    return [encoding for encoding in found if encoding]


def _likely(texts: set[bytes]) -> list[str]:
    """The codecs in which texts read as a language, where they are too few to tell it surely."""
    if _zeros(texts):
        return []
    some = _some(texts)
    readings = [name for name, *_ in CHINESE.values() if _decodes(texts, name)]
    counts = {codec: letters.chinese([text.decode(codec) for text in some]) for codec in readings}
    likely = [codec for codec, found in counts.items() if found.reads and not found.others]
    return likely + code_pages.likely(texts)


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
    codec = codecs.lookup(said).name.replace("-", "_")
    if codec in seven_bit.CODECS and all(map(_plain, texts)):  # plain text may have the marks by chance
        return Encoding(codec, f"{said}, as you said", "ascii")
    wrong = sorted(text for text in texts if not _decodes([text], said))
    if wrong:
        raise UserError(
            f"{where}: {_KEY}={said}, but {len(wrong)} of {len(texts)} different texts are not in it, such "
            f"as {samples.around(wrong[0])}; say another, or save the file as UTF-8"
        )
    return Encoding(said, f"{said}, as you said")


def _seven_bit(seen: seven_bit.Seen, plain: set[bytes], others: set[bytes], where: str) -> Encoding:
    """Takes what the marks say, and refuses it where there are texts of another encoding beside it."""
    if seen.codec and seen.line and not others:
        return Encoding(seen.codec, seen.line, "ascii")
    could = f"could be {seen.codec}" if seen.codec else "are in none that this program knows (ISO-2022-CN?)"
    beside = f" beside {len(others)} beyond ASCII" if others else ""
    # What is said must work: the encoding of the others, or one that keeps such marks as they are.
    possible = [encoding.codec for encoding in _found(others, plain)] if others else [seen.codec, "ascii"]
    possible = [codec for codec in possible if codec and _allows(plain | others, codec)]
    say = f", or say {_KEY}={' or '.join(possible)} (in Python: encoding=...)" if possible else ""
    raise UserError(
        f"{where}: the encoding of the texts is not clear (some in ASCII{beside} have the marks of an "
        f"encoding, such as {seen.example[:_SHOWN]!r}, and {could}); save it as UTF-8{say}"
    )


def _allows(texts: set[bytes], codec: str) -> bool:
    try:
        _as_said(texts, codec, "")
    except UserError:
        return False
    return True


def _zeros(texts: Iterable[bytes]) -> bool:
    return any(b"\0" in text.rstrip(b"\0") for text in texts)


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
    """Chooses enough of the texts to count characters in, the same ones each time."""
    return sorted(texts)[:: 1 + len(texts) // _SAMPLE]


def chinese(texts: set[bytes]) -> Iterable[Encoding | None]:
    """Yields GB18030 and Big5, or None for each in which the texts do not read as Chinese."""
    long = [text for text in _some(texts) if sum(byte > 127 for byte in text) >= 6]
    if sum(_decodes([text], "utf-8") for text in long) > _UTF8 * len(long):
        return  # some texts are in UTF-8
    for title, names in CHINESE.items():
        codec = next((name for name in names if _decodes(texts, name)), None)
        yield codec and _read_as([text.decode(codec) for text in _some(texts)], codec, title)


def _read_as(texts: Sequence[str], codec: str, title: str) -> Encoding | None:
    """Gives the encoding where the decoded texts read as Chinese, or as English with Chinese punctuation."""
    found = letters.chinese(texts)
    if not found.alone:
        return None
    if found.certain:
        return Encoding(codec, f"{title} ({found})")
    if found.signs and not found.ideographs and not found.others and codec == CHINESE["GB18030"][0]:
        return Encoding(codec, f"{title} (all {found.signs} characters beyond ASCII are its punctuation)")
    return None


def _utf16(texts: set[bytes]) -> Encoding | None:
    """Finds UTF-16 without a mark, where most characters are ASCII or common Chinese ones."""
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


def european(texts: set[bytes], plain: Collection[bytes] = ()) -> list[Encoding]:
    """Finds latin-1, or cp1252 where there are bytes that latin-1 has no characters for, such as quotes.

    Where the letters do not stand as in a European language there, it is the one other code page in which
    they do, or else latin-1 or cp1252 with the letters of Icelandic.

    Args:
      texts: texts beyond ASCII.
      plain: all different texts of the same file in ASCII.

    Returns:
      One where it is clear; several where in others the same bytes are letters of a European language as
      well, such as the Hungarian "ő" of cp1250 and the Portuguese "õ" of latin-1; none where none fits.
    """
    western = "cp1252" if any(0x80 <= byte < 0xA0 for text in texts for byte in text) else "latin-1"
    found = [_fitting(texts, western, letters.WESTERN)]
    if not found[0]:
        found = [other for codec in _OTHERS if (other := _fitting(texts, codec, _OTHERS[codec], _ENOUGH))]
    icelandic = not found
    if icelandic:
        found = [_fitting(texts, western, letters.WESTERN | letters.ICELANDIC)]
    if len(found) != 1 or not found[0]:
        return []
    few = len(texts) < _FEW * (len(texts) + len(plain))
    # The words of the texts around them say nothing of names that are Icelandic, or Turkish in cp1254.
    around = _some(plain) if few and not icelandic else ()
    codecs = code_pages.beside(texts, found[0].codec, around, names=icelandic)
    return [found[0] if codec == found[0].codec else Encoding(codec) for codec in codecs]


def _fitting(texts: set[bytes], codec: str, alphabet: frozenset[str], least: int = 0) -> Encoding | None:
    if not _decodes(texts, codec):
        return None
    counts = [letters.accented(text.decode(codec), alphabet) for text in _some(texts)]
    whole, fitting = (sum(column) for column in zip(*counts, strict=True))
    if fitting < _FITTING * whole or fitting < least:
        return None
    return Encoding(
        codec, f"{codec} ({fitting} of {whole} characters beyond ASCII are European letters and signs)"
    )


def _mixed(texts: set[bytes], plain: set[bytes]) -> Encoding | None:
    """Finds UTF-8 in some texts and a European encoding in the others."""
    good = {text for text in texts if _decodes([text], "utf-8")}
    rest = european(texts - good, plain) if good else []
    if len(rest) != 1:
        return None
    line = f"UTF-8, but {rest[0].codec} in {len(texts - good)} of {len(texts)} different texts beyond ASCII"
    return Encoding("utf-8", line, rest[0].codec)


def _unclear(texts: set[bytes], possible: Sequence[str], where: str) -> str:
    wrong = sorted(text for text in texts if b"\0" in text or not _decodes([text], "utf-8"))
    which, say = "read as a language in no encoding that this program tells", "NAME of its encoding"
    if possible:
        which = f"could be {' or '.join(samples.as_read(wrong, possible))}"
        say = f"{' or '.join(possible)}{'' if len(possible) > 1 else ' or another'}"
    return (
        f"{where}: the encoding of the texts is not clear ({len(wrong)} of {len(texts)} different ones "
        f"beyond ASCII are not UTF-8, such as {samples.around(wrong[0])}, and {which}); save it as UTF-8, or "
        f"say {_KEY}={say} (in Python: encoding=...)"
    )
