"""Code pages of Europe: which of them make letters of a European language of the same bytes.

The byte 0xF5 is "õ" in latin-1 and "ő" in cp1250. All letters of a file's different words tell which of them
is probable: a reading counts by the language that its letters fit best. A repeated word counts once.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msa_jax.data.conventions import alphabets, letters

# How probable it is that a file is in a code page, as a logarithm: Windows and Linux write the first ones,
# DOS and old Macs the others. Of those that make the same letters of a file, the first is named.
_USED = (
    dict.fromkeys(("cp1252", "cp1250", "cp1254", "iso8859_2"), 0.0)
    | {"cp1257": -1.0, "iso8859_15": -2.0}
    | dict.fromkeys(("mac_roman", "mac_latin2", "cp850", "cp437", "cp852", "cp857", "cp860", "cp861"), -4.0)
    | dict.fromkeys(("cp865", "cp863", "mac_croatian", "mac_romanian", "mac_turkish", "mac_iceland"), -5.0)
    | dict.fromkeys(("iso8859_4", "iso8859_13", "iso8859_16"), -5.0)
    | {"cp775": -10.0}
)
_MISPLACED = -20.0  # the logarithm for a character that stands where no language has it
_INSIDE = -3.0  # and for a quote within a word, or a dash at one side of it
_CLEAR = 3.0  # by how much the logarithm of one code page must be above that of another
_SURE = 6.0  # and by how much for names to speak against the texts around them
_LEAST = 3  # characters that a code page is told by
_FITTING = 0.9  # share of the characters that a language must have, or that must stand where text has them
_ROW = 4  # accented letters in a row, as in the Polish "żółć"
_CONTROL = re.compile("[\x80-\x9f]")
_WORD = re.compile(rb"([^A-Za-z\x80-\xff]?)([A-Za-z\x80-\xff]+)([^A-Za-z\x80-\xff]?)")


class Reading(NamedTuple):
    """What the bytes of a file are in a code page.

    Attributes:
      codec: the name of Python's codec.
      characters: those that the bytes beyond ASCII are.
      score: the logarithm of how probable the letters are in the language that they fit best.
      fitting: the share of the characters that this language has, each where text has it.
      standing: the share of those that stand where text of some language has them.
    """

    codec: str
    characters: str
    score: float
    fitting: float
    standing: float


class _Words(NamedTuple):
    """The different words of texts.

    Attributes:
      beyond: those with bytes beyond ASCII, each with the characters beside it.
      used: all bytes beyond ASCII.
      plain: of each language, how well the plain letters fit it.
    """

    beyond: list[bytes]
    used: bytes
    plain: dict[str, float]


def beside(
    texts: Collection[bytes], codec: str, plain: Collection[bytes] = (), *, names: bool = False
) -> list[str]:
    """A code page and those in which texts are other letters that fit a European language as well.

    Those count too in which the words beyond ASCII alone fit one much better, as the Czech names of an
    English text do.

    Args:
      texts: all texts beyond ASCII.
      codec: the code page that was found.
      plain: texts of the file in ASCII that tell the language as well, as those of an English file with a
        few names do.
      names: whether only the words beyond ASCII tell it, as names of a language in a text of another.

    Returns:
      The most probable first.
    """
    words = _words(texts, plain, names=names)
    ours, *others = _compared(words, codec, -_CLEAR)
    among = [found.codec for found in sorted([ours, *others], key=lambda found: -found.score)]
    if names:
        return among
    _, *better = _compared(_words(texts, names=True), codec, _SURE)
    return list(dict.fromkeys([*(found.codec for found in better), *among]))


def _compared(words: _Words, codec: str, least: float) -> list[Reading]:
    """The reading in a code page, and those that are so much better and are other letters, not noise."""
    ours = _reading(words, codec, words.used.decode(codec))
    others = (found for found in _readings(words, ours.score + least) if found.standing >= _FITTING)
    return [ours, *(found for found in others if found.characters != ours.characters)]


def likely(texts: Collection[bytes]) -> list[str]:
    """The code pages in which texts are most probably in a European language, the most probable first.

    The words beyond ASCII alone count, which may be names in a text of another language; the whole texts do
    where these words fit none.
    """
    for names in (True, False):
        words = _words(texts, names=names)
        if sum(byte >= 0x80 for word in words.beyond for byte in word) < _LEAST:
            return []
        if found := [reading.codec for reading in _readings(words) if reading.fitting >= _FITTING]:
            return found
    return []


def _words(texts: Iterable[bytes], plain: Iterable[bytes] = (), *, names: bool = False) -> _Words:
    words: dict[bytes, bytes] = {}
    for text in itertools.chain(texts, plain):
        for before, word, after in _WORD.findall(text):
            words.setdefault(word, before + word + after)
    telling = (word for word in words if not (names and word.isascii()))
    counts = Counter(chr(byte) for word in telling for byte in word.lower() if byte < 0x80)
    beyond = [whole for word, whole in words.items() if not word.isascii()]
    used = bytes(sorted({byte for word in beyond for byte in word if byte >= 0x80}))
    return _Words(beyond, used, alphabets.plain(counts))


def _readings(words: _Words, least: float = -math.inf) -> list[Reading]:
    """The best reading of words and those that are not clearly worse, nor below a score; the best one first.

    Code pages that make the same characters of the bytes count as one; those that make control characters
    of them do not count, for no text has these.
    """
    different: dict[str, str] = {}
    for codec in _USED:
        try:
            characters = words.used.decode(codec)
        except UnicodeDecodeError:
            continue
        if not _CONTROL.search(characters):
            different.setdefault(characters, codec)
    joined = Counter(byte for word in words.beyond for byte in word if byte >= 0x80)
    highest = []  # what a code page can reach where all its characters stand well
    for characters, codec in different.items():
        counts = {c: joined[byte] for c, byte in zip(characters, words.used, strict=True)}
        highest.append((_score(words, counts)[0] + _USED[codec], codec, characters))
    found: list[Reading] = []
    for score, codec, characters in sorted(highest, reverse=True):
        if score < least:
            break
        reading = _reading(words, codec, characters)
        least = max(least, reading.score - _CLEAR)
        found.append(reading)
    return sorted((r for r in found if r.score >= least), key=lambda r: r.score, reverse=True)


def _reading(words: _Words, codec: str, characters: str) -> Reading:
    counts: Counter[str] = Counter()
    whole, score = 0, _USED.get(codec, 0.0)  # latin-1 is a part of cp1252
    for word in words.beyond:
        text = word.decode(codec)
        for place, c in enumerate(text):
            if c.isascii():
                continue
            whole += 1
            if not letters.stands(text, place, alphabets.letters(), _ROW):
                score += _MISPLACED
                continue
            counts[c] += 1
            if not c.isalpha():
                beside = text[max(0, place - 1) : place].isalpha() + text[place + 1 : place + 2].isalpha()
                score += _INSIDE * (beside == (1 if c in "–—" else 2) and c not in "’…")
    best, language = _score(words, counts)
    fitting = sum(n for c, n in counts.items() if alphabets.has(c, language))
    whole = max(1, whole)
    return Reading(codec, characters, score + best, fitting / whole, sum(counts.values()) / whole)


def _score(words: _Words, counts: Mapping[str, int]) -> tuple[float, str]:
    """The logarithm of how probable the letters are in the language that they fit best, and this language."""
    return max(
        (plain + alphabets.accented(counts, language), language) for language, plain in words.plain.items()
    )
