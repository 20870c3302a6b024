"""Machines: several processes on one cache and one run's folder, and disks that fill up at each stage."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.attack import starts, tiny_run
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Worker

EPOCHS = 4
_DISK = 3 << 20  # bytes of the small disk
_WRONG = re.compile(r"Traceback|Error:")


def together(
    row: Row, folder: Path, starter: starts.Starter, worker: Worker, count: int, epochs: int
) -> None:
    """Starts so many trainings of one run at once, on a cold cache, and reads the run meanwhile.

    Args:
      row: counts the processes, and the reads.
      folder: holds the clips in `words`.
      starter: starts them.
      worker: reads.
      count: of processes.
      epochs: of the run; so many that the first is not done before the last has begun.
    """
    run, cache = folder / "shared", folder / "cold"
    argv = tiny_run.arguments(folder, run, cache=cache, epochs=epochs)
    started = [starter.start(argv, folder / "shared.said") for _ in range(count)]
    while not (run / "config.json").exists() and any(one.code() is None for one in started):
        starts.pause()
    reads = 0
    while any(one.code() is None for one in started):
        answer = worker.ask("predict", watched=run, run=run)
        reads += answer.kind == "value"  # before the first epoch has ended it is one line
        judge(row, answer, "a read beside the training", may_write=(starts.compiled(folder),))
    if not reads:
        row.fault("lost", "no read beside the training gave scores")
    ends = [(one.wait(300), one) for one in started]
    row.tried += count
    for code, one in ends:
        held = re.fullmatch(r"msa_jax: .* is being trained by process \d+ on \S+ since .*", one.err.strip())
        if code == 0:
            row.equal += 1
        elif code == 2 and held:
            row.refused += 1
        else:
            kind = "hangs over 60 s" if code is None else "tracebacks" if "Traceback" in one.err else "lost"
            row.fault(kind, f"one of {count}: {code}: {one.err}")
    if sum(code == 0 for code, _ in ends) != 1:
        row.fault("lost", f"{[code for code, _ in ends]} of one run")
    left = [path.name for path in cache.iterdir() if path.name not in (".locks", "xla")]
    if len(left) != 1:
        row.fault("lost", f"in the cache: {left}")
    alone = folder / "alone"
    argv = tiny_run.arguments(folder, alone, cache=cache, epochs=epochs)
    if starter.start(argv, folder / "shared.said").wait(600) != 0 or tiny_run.result(
        alone
    ) != tiny_run.result(run):
        row.fault("lost", "the run beside others ended otherwise than the one alone")


def full_disks(
    row: Row, folder: Path, starter: starts.Starter, shares: Sequence[float], sizes: Sequence[int]
) -> None:
    """Lets disks fill up while a corpus is built and a run is begun, trained and finished.

    Args:
      row: counts the disks.
      folder: holds the clips in `words`.
      starter: starts the command.
      shares: of what the run takes, so much room there is.
      sizes: limits in bytes of a file, which is how a disk is full where none may be mounted.
    """
    tiny_run.finished(folder, folder / "roomy", epochs=EPOCHS)
    wanted = tiny_run.result(folder / "roomy")
    for size in sizes:
        for cache in (folder / "cache", folder / f"cache{size}"):
            run = folder / f"limited-{size}-{cache.name}"
            argv = tiny_run.arguments(folder, run, cache=cache, epochs=EPOCHS)
            first = starter.start(argv, folder / "disk.said", size=size)
            _then_room(row, starter, argv, run, first, wanted, f"files of at most {size} bytes")
    takes = {"run": _bytes(folder / "roomy"), "cache": sum(map(_bytes, (folder / "cache").glob("mosi-*")))}
    for what, begun in (("run", False), ("run", True), ("cache", False)):
        for share in shares:
            with _small_disk(folder / "disk") as disk:
                if disk is None:
                    return
                run = disk / "run" if what == "run" else folder / f"run{share}"
                cache = disk / "cache" if what == "cache" else folder / "cache"
                if begun:
                    half = tiny_run.arguments(folder, run, cache=cache, epochs=EPOCHS // 2)
                    assert starter.start(half, folder / "disk.said").wait(300) == 0
                filler = disk / "filler"
                free = shutil.disk_usage(disk).free
                filler.write_bytes(bytes(max(0, free - int(takes[what] * share) // 4096 * 4096)))
                argv = tiny_run.arguments(folder, run, cache=cache, epochs=EPOCHS)
                first = starter.start(argv, folder / "disk.said")
                first.wait(300)
                filler.unlink()
                name = f"a disk with room for {share} of the {what}{', half done' if begun else ''}"
                _then_room(row, starter, argv, run, first, wanted, name)
                shutil.rmtree(run, ignore_errors=True)


def _then_room(
    row: Row,
    starter: starts.Starter,
    argv: list[str],
    run: Path,
    first: starts.Started,
    wanted: dict[str, object],
    what: str,
) -> None:
    """Judges the start that had no room, and repeats the command, which has."""
    row.tried += 1
    code, said = first.wait(300), first.err
    lines = [line for line in said.splitlines() if line.startswith("msa_jax: ")]
    if code == 2 and len(lines) == 1 and not _WRONG.search(said.replace(lines[0], "")):
        row.refused += 1
    elif code != 0 or _WRONG.search(said):
        row.fault("hangs over 60 s" if code is None else "tracebacks", f"{what}: {code}: {said}")
    saved = [int(path.name) for path in run.glob("checkpoints/latest/*") if path.name.isdecimal()]
    second = starter.start(argv, run.parent / "disk.said")
    if second.wait(300) != 0 or tiny_run.result(run) != wanted:
        row.fault("lost", f"{what}: with room again: {second.code()}: {second.err} {second.out[-300:]}")
        return
    resumed = re.search(r"resuming at step (\d+)", second.out)
    if code != 0 and saved and not (resumed and int(resumed[1]) == max(saved)):
        row.fault("lost", f"{what}: {saved} were saved: {second.out[-600:]}")
    row.equal += 1


def _bytes(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[Path | None]:
    """A disk of `_DISK` bytes; None where this process may not mount one."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)
