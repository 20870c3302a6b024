"""Progress of a long job: a bar on a terminal or in a notebook, plain lines elsewhere."""

import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

from msa_jax import stopping, terminal

T = TypeVar("T")


_speaks = {"speaks": True}


def mute() -> None:
    """Prints nothing from here on: of several processes one speaks."""
    _speaks["speaks"] = False


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Prints nothing meanwhile."""
    before, _speaks["speaks"] = _speaks["speaks"], False
    try:
        yield
    finally:
        _speaks["speaks"] = before


def say(line: str) -> None:
    """Prints one line at once, above any bar; control characters in it are escaped."""
    if not _speaks["speaks"]:
        return
    tqdm.write(terminal.encodable(terminal.cut(terminal.printable(line)), sys.stdout), file=sys.stdout)
    sys.stdout.flush()


def _size() -> dict[str, Any]:
    """tqdm's arguments for the size of the terminal, of which it hides bars where that is given as 0 x 0."""
    try:
        known = all(os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):  # no terminal
        known = False
    return {"dynamic_ncols": True} if known else {"ncols": 80, "nrows": 24}


def bar(total: int, done: int) -> tqdm:
    """A progress bar over optimiser steps with the time left; silent where nobody could see it move.

    Args:
      total: steps of the whole run.
      done: steps that are done already.
    """
    return _shown(total=total, initial=done, unit="step")


def _shown(items: Iterable[T] | None = None, **how: Any) -> tqdm:
    """A bar: on stderr where that is a terminal, a widget in a notebook, or text where it has no widgets."""
    if "ipykernel" not in sys.modules:
        seen = _speaks["speaks"] and sys.stderr.isatty()
        return tqdm(items, **how, **_size(), leave=False, disable=not seen)
    if importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm as widget

        return widget(items, **how, leave=False, disable=not _speaks["speaks"])
    return tqdm(items, **how, ncols=80, leave=False, disable=not _speaks["speaks"], file=sys.stdout)


@contextlib.contextmanager
def doing(shown: tqdm, what: str) -> Iterator[None]:
    """Says what is being done: in a bar while it lasts, or, where the bar is silent, as a line before.

    Args:
      shown: the bar.
      what: is being done.
    """
    if shown.disable:
        say(what)
        yield
        return
    shown.set_description(terminal.printable(what))
    try:
        yield
    finally:
        shown.set_description()


class Stopwatch:
    """Seconds that have passed, without those in which it was paused."""

    def __init__(self) -> None:
        """Starts it."""
        self._seconds, self._since = 0.0, time.monotonic()
        self._runs = True

    @property
    def seconds(self) -> float:
        """Those counted so far."""
        return self._seconds + (time.monotonic() - self._since if self._runs else 0.0)

    def pause(self) -> None:
        """Stops counting; nothing where it is paused."""
        self._seconds, self._runs = self.seconds, False

    def resume(self) -> None:
        """Goes on counting; nothing where it runs."""
        if not self._runs:
            self._since, self._runs = time.monotonic(), True


def watched(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, with a progress bar where one can be seen; a place where a job can be stopped.

    Args:
      items: what is gone through.
      what: says what is being done, before the bar.
      unit: what an item is called.
      total: how many items there are, where that is known.
    """
    shown = _shown(items, desc=terminal.printable(what), unit=unit, total=total)
    for item in shown:
        stopping.check()
        yield item
