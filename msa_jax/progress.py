"""How a long job shows where it is: a bar on a terminal, plain lines elsewhere."""

import sys

from tqdm import tqdm


def say(line: str) -> None:
    """Prints one line at once, above any bar."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def bar(total: int, done: int) -> tqdm:
    """A progress bar over optimiser steps with the time left; silent where stderr is no terminal.

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
