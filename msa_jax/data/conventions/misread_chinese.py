"""Texts misread as Chinese: those in another encoding that were decoded by GBK or Big5, as Windows does.

"不错" in UTF-8 is "涓嶉敊" in GBK, and "it’s" is "it鈥檚": characters that are Chinese, but rare ones.
"""

import itertools
from collections.abc import Collection, Mapping

from msa_jax.data.conventions import letters

# (the title of what texts were in, its codecs; the name of what they were read as, its codecs)
WAYS = (
    ("UTF-8", ("utf-8",), "GBK", ("gb18030",)),
    ("GB18030", ("gb18030",), "Big5", ("big5", "cp950", "big5hkscs")),
)
LOST = "\ufffd"  # what most programs write for the last byte of an odd number
_MOST_LOST = 0.35  # share of the characters that may be lost so; one may be in a short text
_RARER = 3  # times as many characters must be common as before: so are rare names and classics told apart
_LEAST = {"UTF-8": 2, "GB18030": 4}  # Chinese characters of a text; chance makes UTF-8 of none, Big5 of a few
_MOST = 0.5  # share of the texts of rare characters that read as Chinese then; chance makes some


def found(texts: Collection[str]) -> list[dict[str, str]]:
    """Finds texts that do not read as they are, and do as they were.

    Args:
      texts: different texts beyond ASCII.

    Returns:
      For each of `WAYS` what texts were, by what they are.
    """
    some = [text for text in texts if letters.chinese([text]).ideographs]
    utf8 = {text: right for text in some if (right := _utf8(text))}
    rest = [text for text in some if text not in utf8]
    big5 = {text: right for text in rest if _few_common(text) and (right := _undone(text, *WAYS[1]))}
    rare = sum(letters.chinese([text]).ideographs >= _LEAST["GB18030"] for text in rest if _few_common(text))
    return [utf8, big5 if len(big5) >= _MOST * rare else {}]


def of_chinese(right: Mapping[str, str]) -> dict[str, str]:
    """Those of `found` that are Chinese, and not English with quotes, say."""
    return {text: was for text, was in right.items() if letters.chinese([was]).reads}


def _utf8(text: str) -> str:
    right = _undone(text, *WAYS[0])
    if right or LOST in text or not _few_common(text):
        return right
    right = _decoded(text, "gb18030", "utf-8")
    whole, fitting = letters.accented(right)
    return right if 0 < whole == fitting else ""


def _undone(text: str, title: str, codecs: tuple[str, ...], _: str, read_as: tuple[str, ...]) -> str:
    """What a text was before; "" where it is not Chinese, or hardly more so than the text is."""
    ways = itertools.product(read_as, codecs)
    right = next(filter(None, (_decoded(text, *way) for way in ways)), "")
    lost = right.count(LOST)
    if not right or lost > max(1, _MOST_LOST * (len(right) - lost)):
        return ""
    before, after = letters.chinese([text.replace(LOST, "")]), letters.chinese([right.replace(LOST, "")])
    clear = after.reads and not before.reads and after.common >= _RARER * before.common
    if not clear or after.ideographs < _LEAST[title] or not after.alone:
        return ""
    return right


def _decoded(text: str, read_as: str, codec: str) -> str:
    """Gives "" where the text is not of this encoding; what is lost is marked."""
    try:  # Windows writes the euro sign for the byte 0x80, which GBK lacks
        raw = b"\x80".join(part.encode(read_as) for part in text.replace(LOST, "").split("€"))
    except UnicodeEncodeError:
        return ""
    return raw.decode(codec, "replace")


def _few_common(text: str) -> bool:
    found = letters.chinese([text])
    return found.ideographs > 0 and _RARER * found.common <= found.ideographs
