"""Samples of texts in bytes, for messages: what a word is in each of several encodings."""

import re
from collections.abc import Iterator, Sequence

_MOST = 2000  # texts that are looked at
_SHOWN = 24  # bytes or characters that are shown
# What stands between these is in no encoding of several bytes a part of a character, but in UTF-16.
_APART = re.compile(rb"[^\x00-/:-?]+")


def around(text: bytes) -> str:
    """Shows the bytes of a text around the first that is beyond ASCII."""
    start = next((k for k, byte in enumerate(text) if byte > 127), 0)
    start = max(0, start - 4)
    return repr(text[start : start + _SHOWN])


def as_read(texts: Sequence[bytes], codecs: Sequence[str]) -> list[str]:
    """Shows with each encoding what the bytes of one word are in it.

    Args:
      texts: beyond ASCII; all of them are texts in each encoding.
      codecs: the names of Python's codecs.

    Returns:
      Each name with the word, which differs between as many encodings as possible.
    """
    ways = max(_ways(texts, codecs), key=lambda ways: len(set(ways)), default=None)
    if ways is None:
        return list(codecs)
    return [f"{codec} ({way[:_SHOWN]!r})" for codec, way in zip(codecs, ways, strict=True)]


def _ways(texts: Sequence[bytes], codecs: Sequence[str]) -> Iterator[list[str]]:
    """Yields what the bytes of each word are in each encoding; where a word ends is told from the bytes."""
    whole = any(codec.startswith("utf-16") for codec in codecs)
    for text in texts[:_MOST]:
        for word in [text] if whole else _APART.findall(text):
            if not word.isascii():
                yield [word.decode(codec, "replace") for codec in codecs]
