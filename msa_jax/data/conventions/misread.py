"""Misread texts: those that were decoded by a wrong encoding before they were written."""

import re
from collections.abc import Collection, Iterator

from msa_jax.data.conventions import encodings, letters
from msa_jax.errors import UserError, counted

_LEAST = 6  # Chinese characters that a text was certainly meant to have
_COMMON = 0.4  # share of them that must be common ones
_SHOWN = 12  # characters of a text that are shown
_LATIN = "latin-1", "cp1252"  # what texts are read by where nobody thinks of it
_ROW = re.compile("[\xa1-\xff]{4,}")  # no Western language has so many in a row
_LOST = "\ufffd"


def notes(texts: Collection[str], where: str) -> tuple[str, ...]:
    """Notes on texts that are noise, as "Ã©" for "é", "ÎÒ°®Äã" for "我爱你" and "donÕt" for "don’t" are.

    Args:
      texts: different texts beyond ASCII.
      where: what to call the file.

    Raises:
      UserError: when they are Chinese beyond doubt: nothing could be learnt from them.
    """
    before = {text: raw for text in texts if (raw := _undone(text)) is not None}
    utf8 = {text: right for text, raw in before.items() if (right := _utf8(raw))}
    rest = {text: raw for text, raw in before.items() if text not in utf8}
    ideographs, common = _count_chinese(utf8.values())
    if ideographs >= _LEAST and common >= _COMMON * ideographs:
        raise _refused(utf8, "UTF-8", "utf-8", where)
    known = next(filter(None, encodings.chinese(set(rest.values()))), None) if rest else None
    european = encodings.european(set(rest.values())) if rest else None
    if known and not european:
        right = {text: raw.decode(known.codec) for text, raw in rest.items()}
        if _count_chinese(right.values())[0]:  # not English with Chinese punctuation
            raise _refused(right, known.line.split(" ")[0], known.codec, where)
    found = list(_noise(utf8, rest, european))
    if lost := [text for text in texts if _LOST in text]:
        found.append(
            (f"hold {_LOST!a}, which stands for letters that could not be read ({_short(lost[0])})", lost)
        )
    return tuple(
        f"{where}: {len(some)} of {len(texts)} different texts {what}; they are kept as they are: save "
        "them again from the original."
        for what, some in found
    )


def _noise(
    utf8: dict[str, str], rest: dict[str, bytes], european: encodings.Encoding | None
) -> Iterator[tuple[str, Collection[str]]]:
    """(what is wrong with some texts, these)."""
    if utf8:
        wrong, right = next(iter(utf8.items()))
        yield f"look like UTF-8 that was read as latin-1 ({_short(wrong)} is {_short(right)})", utf8
    if european and european.codec not in _LATIN:
        wrong, raw = next(iter(rest.items()))
        right = _short(raw.decode(european.codec))
        yield f"look like {european.codec} that was read as latin-1 ({_short(wrong)} is {right})", rest
    elif rows := [text for text in rest if _ROW.search(text)]:
        yield f"look like another encoding that was read as latin-1 ({_short(rows[0])})", rows


def _refused(right: dict[str, str], title: str, codec: str, where: str) -> UserError:
    wrong, meant = next(iter(right.items()))
    read_as = "latin-1" if all(ord(c) < 0x100 for text in right for c in text) else "cp1252"
    return UserError(
        f"{where}: {counted(len(right), 'different {text is|texts are}')} Chinese "
        f"in {title} that was read as {read_as} "
        f"({_short(wrong)} is {_short(meant)}); save them again from the original, or write "
        f"text.encode({read_as!r}).decode({codec!r}) in their place"
    )


def _short(text: str) -> str:
    start = next((k for k, c in enumerate(text) if not c.isascii()), 0)
    start = start if start + _SHOWN > len(text) else max(0, start - _SHOWN // 4)
    return repr(text[start : start + _SHOWN])


def _undone(text: str) -> bytes | None:
    """The bytes of a text before it was read as latin-1 or cp1252; None where it was not."""
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
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _count_chinese(texts: Collection[str]) -> tuple[int, int]:
    """(Chinese characters, those of them that are common)."""
    counts = [letters.chinese(text)[:2] for text in texts]
    return sum(count for count, _ in counts), sum(common for _, common in counts)
