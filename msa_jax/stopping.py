"""Stopping: signals that ask a job to end are noted at once, and obeyed where nothing is lost.

An exception that a signal raises can come up inside a callback of a library, which swallows it. Within
`orderly` no signal raises anything: the job asks `asked`, or calls `check` where it can be left.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

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

    before = {number: signal.signal(number, note) for number in SIGNALS}
    _state["asked"] = None
    note.orderly = True
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state["asked"] = None


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


def deaf() -> None:
    """Ignores SIGINT from here on: the job is done, and libraries clean up behind it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _is_orderly() -> bool:
    return getattr(signal.getsignal(signal.SIGINT), "orderly", False)


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it; print is not safe inside a handler
        os.write(2, f"msa_jax: {line}\n".encode())
