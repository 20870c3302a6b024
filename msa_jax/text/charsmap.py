"""Character maps of SentencePiece ("precompiled"), checked: the library that applies one trusts every number.

A map is the length of a table in bytes, the table, and after it the texts that characters become, each ended
by a zero byte. The table is a double-array trie over the bytes of what is replaced: each unit holds the byte
that leads to it, whether a text is complete there, and where its children lie.
"""

import numpy as np

_LONGEST_TEXT = 64  # bytes; the longest of NFKC has 33
_MOST_UNITS = 1 << 18  # NFKC has some 60 thousand
_MOST_VISITS = 4  # of a unit on average; one is enough where no ways share an end
_LONGEST_KEY = 64  # bytes of what is replaced
_BYTES = np.arange(1, 256, dtype=np.int64)


def check(content: bytes) -> float:
    """Follows every way through a map.

    Args:
      content: the map.

    Returns:
      How many bytes it makes of one byte, at most, and at least 1.

    Raises:
      ValueError: when a way leads out of the map or never ends, or a text is not whole; says which.
    """
    units, texts = _divided(content)
    at, growth, seen = _children(units, np.zeros(1, np.int64)), 1.0, 0
    for length in range(1, _LONGEST_KEY + 1):
        found = [_descend(units, starts) for starts in np.array_split(at, 1 + len(at) // 4096)]
        nodes = np.unique(np.concatenate(found))  # ways with one end are kept once
        if not len(nodes):
            return growth
        if (seen := seen + len(nodes)) > _MOST_VISITS * len(units):
            raise ValueError("a character map whose ways never end")
        at = _children(units, nodes)
        for value in units[at[(units[nodes] >> 8) & 1 == 1]] & 0x7FFFFFFF:
            growth = max(growth, _length(texts, int(value)) / length)
    raise ValueError("a character map that replaces longer and longer texts")


def _divided(content: bytes) -> tuple[np.ndarray, bytes]:
    """(units of the table, texts)."""
    size = int.from_bytes(content[:4], "little")
    if len(content) < 8 or not 4 <= size <= min(len(content) - 4, 4 * _MOST_UNITS) or size % 4:
        raise ValueError("a character map that is cut off")
    texts = content[4 + size :]
    texts.decode("utf-8")  # UnicodeDecodeError is a ValueError
    if max(map(len, texts.split(b"\0"))) > _LONGEST_TEXT:
        raise ValueError(f"a character map that makes over {_LONGEST_TEXT} bytes of a character")
    return np.frombuffer(content, "<u4", size // 4, 4).astype(np.int64), texts


def _children(units: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Where the children of nodes lie: at the places of their bytes, by exclusive or; at byte 0 a text."""
    shown = units[nodes]
    starts = nodes ^ ((shown >> 10) << ((shown & (1 << 9)) >> 6))
    if len(starts) and (starts | 0xFF).max() >= len(units):
        raise ValueError("a character map whose ways lead out of it")
    return starts


def _descend(units: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The nodes that any byte leads to."""
    places = starts[:, None] ^ _BYTES
    return places[(units[places] & 0x800000FF) == _BYTES]


def _length(texts: bytes, start: int) -> int:
    """The bytes of the text that begins at a place."""
    if start >= len(texts) or texts[start] & 0xC0 == 0x80:  # outside, or within a letter
        raise ValueError("a character map with a text that is not whole")
    end = texts.find(b"\0", start)
    return (len(texts) if end < 0 else end) - start
