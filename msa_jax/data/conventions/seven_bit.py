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

CODECS = ("hz", "utf_7", "iso2022_jp", "iso2022_jp_2", "iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr")
KOREAN = (
    b"\x1b$)C"  # stands once at the beginning of a file in ISO-2022-KR, and is needed for every text of it
)
_ESCAPED = re.compile(  # characters of several bytes, or of another set
    rb"\x1b\$(?:[@AB]|\([A-Z])(?:[\x21-\x7e]{2})+|\x1b\(I[\x21-\x5f]{2}|\x1b\.[AF].*\x1bN", re.DOTALL
)
_SHIFTED = re.compile(rb"\x0e((?:[\x21-\x7e]{2})+)\x0f")
_HZ = re.compile(rb"~\{(?:[\x21-\x77][\x21-\x7e])+~\}")
_RUN = re.compile(rb"\+[A-Za-z0-9+/]+-?")
_ACCENTS = 3  # accented letters and quotes that are enough
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
    """Tells quickly whether a text may have such marks."""
    return "~{" in text or "\x1b" in text or "\x0e" in text or "+" in text


def decide(texts: Sequence[bytes]) -> Seen | None:
    """Finds the seven-bit encoding of texts in ASCII; gives None where they are plain."""
    for find in (_iso2022, _hz, _utf7):
        if seen := find(texts):
            return seen
    return None


def _iso2022(texts: Sequence[bytes]) -> Seen | None:
    """Judges by what stands between the marks; a mark alone is a control character that got into a text."""
    if any(KOREAN in text for text in texts):
        codecs = ("iso2022_kr",)
        found = [text for text in texts if _SHIFTED.search(text)]
    else:
        codecs = tuple(codec for codec in CODECS if codec.startswith("iso2022_jp"))
        found = [text for text in texts if _ESCAPED.search(text)]
    codec = next((codec for codec in codecs if _decodes(found, codec)), "") if found else ""
    if codec:
        clear = _reads([_decoded(text, codec) for text in found], len(found))
        line = f"{codec} ({counted(len(found), '{text has|texts have}')} its escape sequences, {clear})"
        return Seen(codec, line if clear else "", found[0])
    spans = [(span, text) for text in texts for span in _SHIFTED.findall(text)]
    for span, text in spans:  # ISO-2022-CN, which Python does not have, or Korean without its beginning
        for other in ("gb2312", "euc_kr"):
            high = bytes(byte | 0x80 for byte in span)
            if _decodes([high], other) and _reads([high.decode(other)], 1) is not None:
                return Seen("", "", text)
    return None


def _decoded(text: bytes, codec: str) -> str:
    return (KOREAN + text if codec == "iso2022_kr" else text).decode(codec)


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
    """Gives the evidence that texts are of a language; "" where it is weak, None where there is none."""
    found = letters.chinese(texts)
    if found.reads:
        return str(found) if found.certain else ""
    whole, fitting = (sum(column) for column in zip(*map(letters.accented, texts), strict=True))
    if whole and fitting >= _FITTING * whole:
        return f"{fitting} of {whole} characters are European" if fitting >= _ACCENTS else ""
    foreign = [c for text in texts for c in text if not c.isascii() and c.isalpha()]
    scripts = {unicodedata.name(c, "?").split("-")[0].split()[0] for c in foreign}
    if scripts & {"HIRAGANA", "KATAKANA"}:  # which have Chinese characters beside them
        scripts = {"JAPANESE"}
    if len(scripts) == 1 and scripts != {"CJK"} and len(foreign) >= 2 * runs:
        return (
            f"{len(foreign)} letters are {scripts.pop().capitalize()}"
            if len(foreign) >= letters.LEAST
            else ""
        )
    return None
