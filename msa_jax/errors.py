"""Errors: the one exception that means "the user can mend this", and how the commands report it."""

import difflib
import numbers
import os
import re
import sys
from collections.abc import Callable, Sequence

from msa_jax import terminal

_SHOWN = 3  # ids named in a message


class UserError(Exception):
    """Bad input: a path, key, file or value that the user gave and can put right.

    The message is one line that says what is wrong, where, and what to do. Control characters in it are
    escaped, and the middle of a line of over `terminal.LONGEST` characters is left out. The command line
    prints it without a traceback and exits with code 2; Python callers catch it like any other exception.
    """

    def __init__(self, message: str) -> None:
        super().__init__(terminal.line(message))


class ArgumentError(UserError, ValueError):
    """A wrong argument of a function that is called from Python; a ValueError as well, as Python has it."""


def check_flags(**flags: object) -> None:
    """UserError for an argument, by its name, that is none of True, False and None, such as "no"."""
    for name, value in flags.items():
        if value is not None and type(value).__name__ not in ("bool", "bool_"):
            raise UserError(f"{name} is {value!r}, which is neither True nor False; write one of these")


def check_count(**counts: object) -> None:
    """UserError for an argument, by its name, that is neither None nor a whole number of at least 1."""
    for name, value in counts.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if value is not None and not (whole and value >= 1):
            raise UserError(f"{name} is {value!r}, which is not a whole number of at least 1")


def nearest(wrong: object, known: Sequence[object]) -> str:
    """ "did you mean ...?", or the known names where none is near."""
    names = [str(name) for name in known]
    close = difflib.get_close_matches(str(wrong), names, 1)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(names) or 'none'}"


def counted(count: int, phrase: str) -> str:
    """A count and what is counted: "1 clip has no text" of "{clip has|clips have} no text".

    Args:
      count: how many there are.
      phrase: with {one|many} wherever the words for one differ from those for several or none.
    """
    return f"{count} {worded(count, phrase)}"


def worded(count: int, phrase: str) -> str:
    """The phrase of `counted` without the count."""
    return re.sub(r"\{([^{}|]*)\|([^{}|]*)\}", r"\1" if count == 1 else r"\2", phrase)


def named(phrase: str, ids: Sequence[str]) -> str:
    """A count of ids and the first of them, as in "2 clips have no text: a, b"; "" where there are none.

    Args:
      phrase: as of `counted`.
      ids: of what is counted.
    """
    if not ids:
        return ""
    shown = ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")
    return f"{counted(len(ids), phrase)}: {shown}"


def exit_code(job: Callable[[], None], *, interrupted: str, worded: Callable[[str], str] = str) -> int:
    """Runs a command; an error that the user can mend becomes one line on stderr.

    What the console cannot print is escaped, see `msa_jax.terminal`.

    Args:
      job: the command.
      interrupted: what to say after Ctrl-C.
      worded: puts a message into the terms of the command.

    Returns:
      0; 1 where nobody reads the output any more, 2 for what the user can mend, 130 after Ctrl-C, 143 after
      SIGTERM.
    """
    terminal.prepare_streams()
    try:
        job()
    except BrokenPipeError:  # of `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (UserError, OSError) as e:
        code, words = exit_of(e)
        _complain(worded(words))
        return code
    except KeyboardInterrupt as e:
        _complain(interrupted)
        return getattr(e, "code", 130)
    return 0


def exit_of(error: BaseException) -> tuple[int, str]:
    """(exit code, words) for what has ended a command, other than a signal."""
    if isinstance(error, UserError):
        return 2, str(error)
    if isinstance(error, OSError):  # a folder that cannot be written, a full disk
        return 2, f"{_name(error.filename)}: {error.strerror or error}"
    return 1, f"it raised {type(error).__name__}"


def _complain(message: str) -> None:
    print(terminal.line(f"msa_jax: {message}"), file=sys.stderr)


def _name(filename: object) -> str:
    """The file of an OSError, which may be named by bytes or by the number of an open file."""
    return os.fsdecode(filename) if isinstance(filename, str | bytes) else "input/output"
