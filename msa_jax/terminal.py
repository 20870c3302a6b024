"""Terminal texts: what is printed cannot steer a terminal, has a length, and never fails for an encoding.

Names, ids and keys come out of files that somebody else wrote: they may hold escape sequences, ends of lines
or marks that turn the direction of writing around.
"""

import sys
from typing import Any, TextIO

LONGEST = 2000  # characters of a line that is printed
_ELLIPSIS = "…"


def printable(text: object) -> str:
    """A text with an escape, such as \\x1b or \\u202e, for each character that is not printed as itself.

    Spaces stay; ends of lines, tabs, control and format characters, and the halves of characters that stand
    for the bytes of a file name that is not UTF-8 do not.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, longest: int = LONGEST) -> str:
    """A text of at most `longest` characters, with "…" in place of the middle of a longer one."""
    if len(text) <= longest:
        return text
    ahead = (longest - len(_ELLIPSIS) + 1) // 2
    return text[:ahead] + _ELLIPSIS + text[len(text) - (longest - len(_ELLIPSIS) - ahead) :]


def line(text: object, longest: int = LONGEST) -> str:
    """A text as one printable line with single spaces, of at most `longest` characters."""
    text = cut(str(text), 16 * longest)  # no work on the middle of megabytes
    return cut(printable(" ".join(text.split())), longest)


def encodable(text: str, stream: TextIO) -> str:
    """A text with an escape for each character that the encoding of a stream lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def prepare_streams() -> None:
    """Lets stdout and stderr write an escape for what their encoding lacks, and raise no error for it."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure: Any = getattr(stream, "reconfigure", None)
        if reconfigure is not None and getattr(stream, "errors", "") != "backslashreplace":
            reconfigure(errors="backslashreplace")
