"""Misread texts: those that were decoded by a wrong encoding before they were written."""

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from msa_jax.data.conventions import encodings, letters, misread_chinese
from msa_jax.data.conventions.misread_chinese import LOST
from msa_jax.errors import UserError, counted

_MOST = 0.1  # share of all texts that may be Chinese that nobody can read; the others are still learnt from
_FITTING = 0.9  # share of a text's characters beyond ASCII that stand as in a European language
_ENOUGH = 3  # Chinese characters in GB18030 or Big5 that are named; UTF-8 is told by its form
_SHOWN = 12  # characters of a text that are shown
_LATIN = "latin-1", "cp1252"  # what texts are read by where nobody thinks of it
_ROW = re.compile("[À-ÖØ-öø-ÿ]{4,}")  # no Western language has so many accented letters in a row


class _Misread(NamedTuple):
    """Texts that were misread in one way.

    Attributes:
      title: of the encoding that they were in.
      codecs: of this encoding.
      name: of the encoding that they were read by; "" for latin-1 or cp1252.
      read_as: its codecs.
      right: what they read as they were, by what they are.
    """

    title: str
    codecs: tuple[str, ...]
    name: str
    read_as: tuple[str, ...]
    right: Mapping[str, str]

    def __str__(self) -> str:
        wrong, meant = min(self.right.items(), key=lambda pair: (LOST in pair[1], pair))
        read_as = self.name or _read_as(self.right)
        return f"{self.title} that was read as {read_as} ({_short(wrong)} is {_short(meant)})"


def notes(
    texts: Collection[str], where: str, *, count: int, said: str | None = None, codec: str = "utf-8"
) -> tuple[str, ...]:
    """Names texts that are noise, as "Ã©" for "é", "ÎÒ°®Äã" for "我爱你", "涓嶉敊" for "不错" and alike.

    Each text is judged alone.

    Args:
      texts: different texts beyond ASCII.
      where: what to call the file.
      count: how many different texts the file has, those in ASCII included.
      said: the encoding, where the user says it: then the texts are taken as they are, and named.
      codec: that which keeps them as they are.

    Raises:
      UserError: when many of all texts are Chinese beyond doubt: nothing could be learnt from them.
    """
    before = {text: raw for text in texts if (raw := _undone(text)) is not None}
    utf8 = {text: right for text, raw in before.items() if (right := _utf8(raw))}
    rest = {text: raw for text, raw in before.items() if text not in utf8 and not _is_european(text)}
    found = {title: _chinese(rest, codecs) for title, codecs in encodings.CHINESE.items()}
    title = max(found, key=lambda title: len(found[title]))
    if letters.chinese(found[title].values()).ideographs >= _ENOUGH:
        rest = {text: raw for text, raw in rest.items() if text not in found[title]}
    else:
        found[title] = {}
    east = misread_chinese.found([text for text in texts if text not in before])
    kinds = [
        _Misread("UTF-8", ("utf-8",), "", _LATIN, utf8),
        _Misread(title, encodings.CHINESE[title], "", _LATIN, found[title]),
        *(_Misread(*way, right) for way, right in zip(misread_chinese.WAYS, east, strict=True)),
    ]
    chinese = [kind._replace(right=misread_chinese.of_chinese(kind.right)) for kind in kinds]
    many = sum(len(kind.right) for kind in chinese) >= _MOST * count
    certain = letters.chinese(itertools.chain(*(kind.right.values() for kind in chinese))).certain
    if said is None and many and certain:
        raise _refused(max(chinese, key=lambda kind: len(kind.right)), where, codec)
    noise = [*_noise(kinds, rest)]
    if lost := [text for text in texts if LOST in text]:
        noise.append(
            (f"hold {LOST!a}, which stands for letters that could not be read ({_short(lost[0])})", lost)
        )
    return tuple(
        f"{where}: {len(some)} of {count} different texts {what}; they are kept as they are: save "
        "them again from the original."
        for what, some in noise
    )


def _is_european(text: str) -> bool:
    """Whether a text reads as it is, as one in a European language."""
    whole, fitting = letters.accented(text)
    return fitting >= _FITTING * whole


def _chinese(before: Mapping[str, bytes], codecs: tuple[str, ...]) -> dict[str, str]:
    """Gives what texts are in the first codec that decodes them, for those that read as Chinese then."""
    found = {}
    for text, raw in before.items():
        right = next((right for codec in codecs if (right := _in(raw, codec))), "")
        count = letters.chinese([right])
        if count.reads and count.alone:
            found[text] = right
    return found


def _noise(known: Iterable[_Misread], rest: dict[str, bytes]) -> Iterator[tuple[str, Collection[str]]]:
    """Yields what is wrong with some texts, and these texts.

    Args:
      known: texts by how they were misread.
      rest: the bytes of the others that do not read as they are.
    """
    for kind in known:
        if kind.right:
            yield f"look like {kind}", kind.right
    found = encodings.european(set(rest.values())) if rest else []
    european = found[0] if len(found) == 1 else None
    if european and european.codec not in _LATIN:
        wrong, raw = next(iter(rest.items()))
        meant = _short(raw.decode(european.codec))
        yield (
            f"look like {european.codec} that was read as {_read_as(rest)} ({_short(wrong)} is {meant})",
            rest,
        )
    elif rows := [text for text in rest if _ROW.search(text)]:
        yield f"look like another encoding that was read as {_read_as(rows)} ({_short(rows[0])})", rows


def _refused(kind: _Misread, where: str, keeping: str) -> UserError:
    right = kind.right
    mends = ((read_as, codec) for read_as in kind.read_as for codec in kind.codecs)
    mend = next((pair for pair in mends if all(_mended(text, *pair) == right[text] for text in right)), None)
    write = f", or write text.encode({mend[0]!r}).decode({mend[1]!r}) in their place" if mend else ""
    return UserError(
        f"{where}: {counted(len(right), 'different {text is|texts are}')} Chinese in {kind}; save them again "
        f"from the original{write}, or say --config.data.encoding={keeping} to keep them as they are"
    )


def _mended(text: str, read_as: str, codec: str) -> str:
    try:
        return text.encode(read_as).decode(codec)
    except UnicodeError:
        return ""


def _read_as(texts: Collection[str]) -> str:
    """Says as what misread texts were read: only cp1252 has characters beyond latin-1's."""
    return "latin-1" if all(ord(c) < 0x100 for text in texts for c in text) else "cp1252"


def _short(text: str) -> str:
    start = next((k for k, c in enumerate(text) if not c.isascii()), 0)
    start = start if start + _SHOWN > len(text) else max(0, start - _SHOWN // 4)
    return repr(text[start : start + _SHOWN])


def _undone(text: str) -> bytes | None:
    """Gives the bytes of a text before it was read as latin-1 or cp1252.

    None where neither has all its characters.
    """
    raw = bytearray()
    for c in text:
        try:
            raw += c.encode("cp1252")
        except UnicodeEncodeError:
            if ord(c) > 0xFF:
                return None
            raw.append(ord(c))
    return bytes(raw)


def _utf8(raw: bytes) -> str:
    return _in(raw, "utf-8")


def _in(raw: bytes, codec: str) -> str:
    """Decodes a text; gives "" where the bytes are not in this encoding."""
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return ""
