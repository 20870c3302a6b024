"""Signals at random moments of chains of resumes: each chain must end as the run that nothing broke."""

import contextlib
import re
import shutil
import signal
import time
from pathlib import Path

import numpy as np

from tests.attack import starts, tiny_run
from tests.attack.table import Row

EPOCHS, SHORT = 12, 4  # of the whole run; a chain of 12 takes some eight starts
_START, _TRAINING = 6.0, 2.5  # seconds within which a signal comes, after the start or the first epoch
_DONE = 0.5  # seconds
_FROM_NOTHING = 0.2  # share of the processes that are not forked


def signals(row: Row, folder: Path, rng: np.random.Generator, counts: dict[int, int], epochs: int) -> None:
    """Sends so many signals of each kind.

    Args:
      row: counts them.
      folder: empty.
      rng: draws the moments.
      counts: signals to send, by their number.
      epochs: of the run that is broken off.
    """
    tiny_run.finished(folder, folder / "unbroken", epochs=epochs)
    wanted, inputs = tiny_run.result(folder / "unbroken"), tiny_run.content(folder / "words")
    left = rng.permutation([number for number, count in counts.items() for _ in range(count)]).tolist()
    with starts.starter(starts.environment(folder)) as starter:
        chain = 0
        while left:
            chain += 1
            run = folder / f"chain{chain}"
            argv = tiny_run.arguments(folder, run, epochs=epochs)
            if not _chain(row, starter, argv, run, rng, left):
                continue
            if tiny_run.result(run) == wanted:
                row.equal += 1
            else:
                row.fault("lost", f"chain {chain} ended otherwise than the unbroken run: {run}")
            if not row.faults:
                shutil.rmtree(run)
    if tiny_run.content(folder / "words") != inputs:
        row.fault("files changed", "the clips that are trained on")


def _chain(
    row: Row, starter: starts.Starter, argv: list[str], run: Path, rng: np.random.Generator, left: list[int]
) -> bool:
    """Starts the command and breaks it off until it has ended by itself; takes signals from `left`.

    Returns:
      Whether it has; False where it failed.
    """
    said = run.with_name(f"{run.name}.said")
    saved = 0
    while not (run / "results.json").exists():
        fresh = rng.random() < _FROM_NOTHING
        start = (
            starts.start(argv, said, starts.environment(run.parent)) if fresh else starter.start(argv, said)
        )
        if not left:
            if start.wait(900) != 0:
                row.fault("lost", f"{run}: the last start ended by {start.code()}: {start.err}")
                return False
            continue
        number = left[-1]
        # Python itself answers an interrupt until the program's own first lines have run.
        if number != signal.SIGKILL:
            start.until_it_hears()
        if rng.random() < 0.6:
            start.until_said(rng.choice([r"epoch \d+/", "resuming at step|compiling"]), 60)
            time.sleep(rng.uniform(0, _TRAINING))
        else:
            time.sleep(rng.uniform(0, _START))
        if start.code() is not None:  # it was quicker
            if start.code() != 0:
                row.fault("lost", f"{run}: ended by {start.code()} without a signal: {start.err}")
                return False
            continue
        left.pop()
        row.tried += 1
        sent = time.time()
        start.send(number)
        saved = _judge(row, start, number, saved, run, sent)
    return True


def _judge(row: Row, start: starts.Started, number: int, saved: int, run: Path, sent: float) -> int:
    """Holds the end of a process against what its signal asks for; returns the step that it said it saved.

    A process whose results were written when the signal was sent, or within `_DONE` after it, had nothing
    left to stop (and may end by the signal itself); one that trains on and then ends by 0 has swallowed it.
    """
    code, name = start.wait(), signal.Signals(number).name
    out, err = start.out, start.err
    if "Traceback" in err or (number == signal.SIGKILL and err):
        row.fault("tracebacks", f"{name}: {err}")
    if code is None:
        row.fault("hangs over 60 s", f"{name}: {out[-200:]} {err[-200:]}")
    told = "stopping as soon as all is saved" in err
    results = run / "results.json"
    ended = code in (0, -number) and not told and results.exists() and results.stat().st_mtime < sent + _DONE
    right = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    if code == right:
        row.stopped += 1
    elif not ended and code is not None:
        kind = "signals swallowed" if code == 0 else "lost"
        row.fault(kind, f"{name}: exit code {code}: {out[-300:]} {err[-300:]}")
    if code in (130, 143) and "interrupted; the same command again resumes" not in err:
        row.fault("lost", f"{name}: {code} without a word: {err}")
    begun = re.search(r"resuming at step (\d+)", out)
    if saved and begun and int(begun[1]) < saved:
        row.fault("lost", f"{name}: step {saved} was saved, and the next start resumed at {begun[1]}")
    stopped = re.search(r"stopped at step (\d+), which is saved", out)
    with contextlib.suppress(ValueError):
        saved = max([saved, *(int(m[1]) for m in (begun, stopped) if m)])
    return saved
