"""Seven-bit encodings: HZ, UTF-7 and ISO-2022, which write every character in bytes of ASCII.

A file in one of them is taken for plain English unless it is looked for. Each leaves marks that ordinary text
has by chance now and then ("~{", "+word-"), so that what is between the marks must read as a language too.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

from msa_jax.data.conventions import letters
from msa_jax.errors import counted

CODECS = ("hz", "utf_7", "iso2022_jp", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_kr")
KOREAN = (
    b"\x1b$)C"  # stands once at the beginning of a file in ISO-2022-KR, and is needed for every text of it
)
_SHIFTS = re.compile(rb"\x1b[$()]|\x0e")
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")
_RUN = re.compile(rb"\+[A-Za-z0-9+/]+-?")
_LEAST = 6  # letters of another script than the Latin one that an encoding is told by
_ACCENTS = 3  # accented letters and quotes that are enough
_COMMON = 0.4  # share of the Chinese characters that must be common ones
_FITTING = 0.9


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the marks of a seven-bit encoding say.

    Attributes:
      codec: the name of Python's codec; "" where Python has none.
      line: the evidence in a few words; "" where it is not enough.
      example: a text with such marks.
    """

    codec: str
    line: str
    example: bytes


def marked(text: str) -> bool:
    """Whether a text may have such marks; quick."""
    return "~{" in text or "\x1b" in text or "\x0e" in text or "+" in text


def decide(texts: Sequence[bytes]) -> Seen | None:
    """The seven-bit encoding of texts in ASCII; None where they are plain."""
    for find in (_iso2022, _hz, _utf7):
        if seen := find(texts):
            return seen
    return None


def _iso2022(texts: Sequence[bytes]) -> Seen | None:
    found = [text for text in texts if _SHIFTS.search(text)]
    if not found:
        return None
    if any(KOREAN in text for text in found):
        codecs = ("iso2022_kr",)
    elif any(b"\x0e" in text for text in found):
        return Seen("", "", found[0])  # ISO-2022-CN, or Korean without its beginning
    else:
        codecs = tuple(codec for codec in CODECS if codec.startswith("iso2022_jp"))
    codec = next((codec for codec in codecs if _decodes(found, codec)), "")
    return Seen(
        codec,
        codec and f"{codec} ({counted(len(found), '{text has|texts have}')} its escape sequences)",
        found[0],
    )


def _decodes(texts: Sequence[bytes], codec: str) -> bool:
    try:
        for text in texts:
            text.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _hz(texts: Sequence[bytes]) -> Seen | None:
    spans = [(span, text) for text in texts for span in _HZ.findall(text) if _decodes([span], "hz")]
    if not spans:
        return None
    clear = _reads([span.decode("hz") for span, _ in spans], len(spans))
    return None if clear is None else Seen("hz", f"HZ ({clear})" if clear else "", spans[0][1])


def _utf7(texts: Sequence[bytes]) -> Seen | None:
    runs = [run for text in texts for run in _RUN.findall(text)]
    good = {run for run in runs if _is_encoded(run)}
    if not good or 2 * sum(run in good for run in runs) < len(runs):
        return None
    found = [text for text in texts if any(run in good for run in _RUN.findall(text))]
    if not _decodes(found, "utf_7"):
        return None
    decoded = [text.decode("utf_7") for text in found]
    clear = _reads(decoded, sum(run in good for run in runs))
    return None if clear is None else Seen("utf_7", f"UTF-7 ({clear})" if clear else "", found[0])


def _is_encoded(run: bytes) -> bool:
    return _decodes([run], "utf_7") and not any(c.isascii() for c in run.decode("utf_7"))


def _reads(texts: Sequence[str], runs: int) -> str | None:
    """The evidence that decoded texts are of a language; "" where it is weak, None where there is none."""
    ideographs, common = _chinese(texts)
    if ideographs and common >= _COMMON * ideographs:
        return f"{common} of {ideographs} Chinese characters are common" if ideographs >= _LEAST else ""
    whole, fitting = (sum(column) for column in zip(*map(letters.accented, texts), strict=True))
    if whole and fitting >= _FITTING * whole:
        return f"{fitting} of {whole} characters are European" if fitting >= _ACCENTS else ""
    foreign = [c for text in texts for c in text if not c.isascii() and c.isalpha()]
    scripts = {unicodedata.name(c, "?").split("-")[0].split()[0] for c in foreign}
    if scripts & {"HIRAGANA", "KATAKANA"}:  # which have Chinese characters beside them
        scripts = {"JAPANESE"}
    if len(scripts) == 1 and scripts != {"CJK"} and len(foreign) >= 2 * runs:
        return f"{len(foreign)} letters are {scripts.pop().capitalize()}" if len(foreign) >= _LEAST else ""
    return None


def _chinese(texts: Sequence[str]) -> tuple[int, int]:
    """(Chinese characters, those of them that are common)."""
    ideographs, common, _ = (sum(column) for column in zip(*map(letters.chinese, texts), strict=True))
    return ideographs, common
