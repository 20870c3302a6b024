"""Attack: files, folders and processes under fault, counted; every fault must be 0.

    python -m tests.attack                     the whole, about an hour on two cores
    python -m tests.attack --short             some of each, some minutes on two busy cores
    python -m tests.attack --only json --seed 3

Prints a table; the exit code is 1 where there is a fault.
"""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.attack import (
    dotted,
    links,
    part_corpus,
    part_files,
    part_hostile,
    part_machines,
    part_runs,
    part_signals,
    starts,
    table,
    tiny_run,
)
from tests.attack.table import Row
from tests.attack.worker import Worker, worker

# For each part how much of it is tried in the whole and in the short form.
COUNTS = {
    "files": (2000, 60),
    "runs": (400, 40),
    "json": (300, 20),
    "corpus": (160, 8),
    "hostile": (1, 8),  # one of so many
    "signals": ((50, 30, 10), (1, 1, 0)),  # SIGKILL, SIGINT, SIGTERM
    "together": ((8, 40), (3, 8)),  # processes, epochs
    "disks": (((0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.85, 0.95), (3000, 20_000, 50_000)), ((), (3000,))),
}


def run(
    part: str, folder: Path, seed: int, at_work: Worker, *, short: bool = False, count: Any = None
) -> Row:
    """Does one part.

    Args:
      part: a key of `COUNTS`.
      folder: is made; beside it lies what the parts share.
      seed: of what is drawn.
      at_work: does the jobs; its environment is that of `folder`, or of one beside it.
      short: whether only some of it is tried.
      count: how much, in place of what `COUNTS` says.

    Returns:
      The counts.
    """
    folder.mkdir(parents=True)
    row, rng, count = Row(part), np.random.default_rng(seed), count or COUNTS[part][short]
    environment = starts.environment(folder)
    if part in ("runs", "json"):
        trained = folder.parent / "trained"
        if not trained.exists():
            tiny_run.finished(trained, trained / "run", epochs=part_runs.EPOCHS)
        shutil.copytree(trained / "run", folder / "run")
    tiny_run.arguments(folder, folder / "run")  # makes the clips
    with contextlib.ExitStack() as stack:
        if part == "files":
            part_files.mutated_files(row, folder / "files", rng, at_work, count)
        elif part == "runs":
            part_runs.damaged_runs(row, folder, rng, at_work, count)
        elif part == "json":
            part_runs.changed_json(row, folder, rng, at_work, count)
            links.linked_runs(row, folder, at_work, epochs=part_runs.EPOCHS + 1)
            dotted.dotted_runs(row, folder, at_work)
        elif part == "corpus":
            part_corpus.damaged_corpora(row, folder, rng, at_work, count)
        elif part == "hostile":
            part_hostile.hostile_inputs(row, folder, at_work, each=count)
        elif part == "signals":
            numbers = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
            epochs = part_signals.SHORT if short else part_signals.EPOCHS
            part_signals.signals(row, folder, rng, dict(zip(numbers, count, strict=True)), epochs)
        else:
            starter = stack.enter_context(starts.starter(environment))
            if part == "together":
                part_machines.together(row, folder, starter, at_work, *count)
            else:
                part_machines.full_disks(row, folder, starter, *count)
    return row


def main(argv: list[str]) -> int:
    """Runs the parts one after the other; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="some of each part")
    parser.add_argument("--only", choices=COUNTS, action="append", help="this part; may be repeated")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what is mounted goes
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="attack") as place,
        worker(starts.environment(Path(place) / "any")) as at_work,
    ):
        for part in options.only or COUNTS:
            since = time.monotonic()
            rows.append(run(part, Path(place) / part, options.seed, at_work, short=options.short))
            print(f"{rows[-1].summary()}; {time.monotonic() - since:.0f} s", file=sys.stderr, flush=True)
    print(table.text(rows))
    return int(any(row.faults for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
