"""Progress of a long job: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def say(line: str) -> None:
    """Prints one line at once, above any bar."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def bar(total: int, done: int) -> tqdm:
    """A progress bar over optimiser steps with the time left; silent where stderr is not a terminal.

    Args:
      total: steps of the whole run.
      done: steps that are done already.
    """
    return tqdm(
        total=total,
        initial=done,
        unit="step",
        dynamic_ncols=True,
        leave=False,
        disable=not sys.stderr.isatty(),
    )


def watched(items: Iterable[T], what: str, unit: str, total: int | None = None) -> Iterable[T]:
    """The items, with a progress bar on stderr where that is a terminal.

    Args:
      items: what is gone through.
      what: says what is being done, before the bar.
      unit: what an item is called.
      total: how many items there are, where that is known.
    """
    return tqdm(
        items,
        desc=what,
        unit=unit,
        total=total,
        dynamic_ncols=True,
        leave=False,
        disable=not sys.stderr.isatty(),
    )
