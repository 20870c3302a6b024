"""Stopping: signals that ask a job to end are noted at once, and obeyed where nothing is lost.

An exception that a signal raises can come up inside a callback of a library, which swallows it. Within
`orderly` no signal raises anything: the job asks `asked`, or calls `check` where it can be left.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_state: dict[str, int | None] = {"asked": None}


class Stopped(KeyboardInterrupt):
    """A signal asked the job to end, and it did.

    Attributes:
      code: the exit code: 128 and the signal's number, 130 for SIGINT and 143 for SIGTERM.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


@contextlib.contextmanager
def orderly(*, process: bool = False) -> Iterator[None]:
    """Notes SIGINT and SIGTERM instead of raising; a second one stops the job at once.

    Args:
      process: whether the process is the job's own, so that a second signal ends it; otherwise that raises
        KeyboardInterrupt. In a thread, or within another `orderly`, there is nothing to do.

    Raises:
      Stopped: at the end, where a signal was noted and nothing else was raised.
    """
    if threading.current_thread() is not threading.main_thread() or _is_orderly():
        yield
        return

    def note(number: int, frame: object) -> None:
        if _state["asked"] is None:
            _state["asked"] = number
            _tell(f"{signal.Signals(number).name}: stopping as soon as all is saved; once more stops at once")
        elif process:
            _tell("stopped at once; what was saved before is whole")
            os._exit(128 + number)
        else:
            raise KeyboardInterrupt

    note.orderly = True
    _state["asked"] = None  # before the handlers, which may be called at once
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        # SIGINT last: its own handler raises, and the others are back by then.
        for number in reversed(SIGNALS):
            signal.signal(number, before[number])
        number, _state["asked"] = _state["asked"], None
    if number is not None:  # whoever called the job must not go on as if nobody had asked
        raise Stopped(number)


def asked() -> bool:
    """Whether a signal has asked the job to end."""
    return _state["asked"] is not None


def number() -> int:
    """The number of the signal that has asked; 0 where none has."""
    return _state["asked"] or 0


def note(number: int) -> None:
    """Takes over a signal that another process of the job has had."""
    _state["asked"] = number


def check() -> None:
    """Ends the job where a signal has asked for it; for places where nothing is lost by that.

    Raises:
      Stopped: where one has.
    """
    if (number := _state["asked"]) is not None:
        raise Stopped(number)


def leave(command: Callable[[], int]) -> NoReturn:
    """Runs a command, and ends the process with its exit code.

    SIGINT and SIGTERM are ignored once the command is done, while libraries clean up behind it.

    Args:
      command: returns the exit code.
    """
    try:
        code = command()
        deaf()
    except KeyboardInterrupt:  # after the last word of the job
        deaf()
        code = 128 + signal.SIGINT
    sys.exit(code)


def deaf() -> None:
    """Ignores SIGINT and SIGTERM from here on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _is_orderly() -> bool:
    return getattr(signal.getsignal(signal.SIGINT), "orderly", False)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it; print is not safe inside a handler
        os.write(2, f"msa_jax: {line}\n".encode())
