"""Runs of somebody else, and of a bad disk: damaged folders, and JSON that was changed and sealed again."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax import seals
from tests.attack import damage, starts, tiny_run
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Worker

EPOCHS = 2
_OWN = 4  # how much more often a file of the run itself is changed than one of a checkpoint
_DEEP: list = []
for _ in range(300):
    _DEEP = [_DEEP]
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 10**9, 10**30, 10**400, 2**63, 0.5, -1e-30, 1e308),
    *(float("nan"), float("inf")),
    *("", "1", "x" * 100_000, "\x1b]0;owned\x07\x1b[2J", "\u202e\n\r\t", "\ud800", "../../../etc/passwd"),
    *("__import__('os').system('touch EXECUTED')", "own_feature.X", "/dev/zero", "${HOME}", "/"),
    *([], {}, [1, 2, 3], ["text", "text"], [[0] * 3] * 1000, {"a": {"b": None}}, {"\x1b[2J": 1}, _DEEP),
)
MARKER_MODULE = "own_feature.py"


def damaged_runs(row: Row, folder: Path, rng: np.random.Generator, worker: Worker, count: int) -> None:
    """Uses a finished run, so often with a file of it damaged, or a folder gone, for what opens that.

    Args:
      row: counts them.
      folder: holds the finished run in `run`.
      rng: draws the damages.
      worker: predicts, evaluates and trains.
      count: of damages.
    """
    sound, run = folder / "run", folder / "theirs"
    wanted: dict[str, str] = {}
    for name, (job, arguments) in _jobs(folder, run).items():  # also what a process does the first time only
        _copy(sound, run)
        answer = worker.ask(job, watched=run, **arguments)
        assert answer.kind == "value", answer
        wanted[name] = answer.text
    files = sorted(p.relative_to(sound) for p in sound.rglob("*"))
    for number in range(count):
        _copy(sound, run)
        file = run / files[number % len(files)]
        whole = b"" if file.is_dir() else file.read_bytes()
        how = damage.OF_DISKS[rng.integers(len(damage.OF_DISKS))] if whole else damage.missing
        damage.put(file, how(whole, rng))
        before = tiny_run.content(run)
        names = opening(file.relative_to(run))
        name = names[rng.integers(len(names))]
        job, arguments = _jobs(folder, run)[name]
        answer = worker.ask(job, watched=run, **arguments)
        what = f"{file.relative_to(run)} {how.__name__}, {name}, number {number}"
        own = (run,) if job == "train" else ()
        judge(row, answer, what, wanted=wanted[name], may_write=(*_places(folder), *own))
        after = tiny_run.content(run)
        if not own and after != before:
            row.fault("files changed", what)
        if answer.kind == "line" and not before.keys() <= after.keys():
            row.fault("lost", f"{what}: refused, and gone are {sorted(before.keys() - after.keys())}")


def opening(file: Path) -> tuple[str, ...]:
    """The jobs of `_jobs` that open a file or folder of a run (or would write beside it), by its place."""
    if file.parts[0] == "metrics.jsonl":  # nothing tells what its lines were
        return ("train more, without the log",)
    if file.parts[0] == "tensorboard" or "latest" in file.parts:
        return ("train more",)
    if file.parts[0] == "results.json" or file.parts[0].startswith("predictions_"):
        return ("train again", "train more")
    return ("predict", "evaluate", "train again", "train more")


def _jobs(folder: Path, run: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Jobs of the worker with their arguments, by name."""
    scores, cache = folder / "scores", f"--config.data.cache={folder / 'cache'}"
    again, more = (tiny_run.arguments(folder, run, epochs=epochs) for epochs in (EPOCHS, EPOCHS + 1))
    argv = ["--mode=eval", f"--workdir={run}", f"--output={scores}", cache]
    return {
        "predict": ("predict", {"run": run}),
        "evaluate": ("evaluate", {"argv": argv, "scores": scores}),
        "train again": ("train", {"argv": again, "run": run}),
        "train more": ("train", {"argv": more, "run": run}),
        "train more, without the log": ("train", {"argv": more, "run": run, "log": False}),
    }


def _copy(sound: Path, run: Path) -> None:
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(sound, run)


def changed_json(row: Row, folder: Path, rng: np.random.Generator, worker: Worker, count: int) -> None:
    """Uses a run after so many changes of a value in its JSON files; arguments as for `damaged_runs`."""
    sound, run = folder / "run", folder / "theirs"
    files = [path for path in sorted(sound.rglob("*")) if path.is_file() and _json(path) is not None]
    names = [path.relative_to(sound) for path in files for _ in range(_OWN if path.parent == sound else 1)]
    for _ in range(2):  # what a process does the first time only must not count
        for job, arguments in _uses(folder, run):
            _copy(sound, run)
            worker.ask(job, watched=run, **arguments)
    for number in range(count):
        _copy(sound, run)
        (run / MARKER_MODULE).write_text("open('EXECUTED', 'w').close()\n")
        file = run / names[rng.integers(len(names))]
        what = f"{_change(file, rng)}, number {number}"
        uses = _uses(folder, run)
        job, arguments = uses[-1 if "latest" in file.parts else rng.integers(len(uses) - 1)]
        before = tiny_run.content(run)
        answer = worker.ask(job, watched=run, **arguments)
        own = (run,) if "latest" in file.parts else ()
        judge(row, answer, f"{what}, {job}", may_write=(*_places(folder), *own))
        if not own and tiny_run.content(run) != before:
            row.fault("files changed", what)


def _places(folder: Path) -> tuple[Path, ...]:
    """Where a job may write: what the command names, and programs."""
    return (folder / "cache", starts.compiled(folder), starts.home(folder), folder / "scores")


def _uses(folder: Path, run: Path) -> list[tuple[str, dict[str, Any]]]:
    """Jobs that open a run, with their arguments; the last goes on with its training."""
    own = [f"--config.data.path={folder / 'words'}", f"--config.data.cache={folder / 'cache'}"]
    score = ["--mode=eval", f"--workdir={run}", f"--output={folder / 'scores'}"]
    more = tiny_run.arguments(folder, run, epochs=EPOCHS + 1)
    return [
        ("predict", {"run": run}),
        ("command", {"argv": [*score, *own]}),
        ("command", {"argv": [*score, own[1]]}),
        ("command", {"argv": more}),
    ]


def _json(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text())
    except ValueError:
        return None
    return content if isinstance(content, dict) and content else None


def _change(file: Path, rng: np.random.Generator) -> str:
    """Changes a value, or removes or adds one, and seals the folder as somebody does who knows how."""
    content = json.loads(file.read_text())
    places = list(_places_in(content))
    holder, key = places[rng.integers(len(places))]
    value = VALUES[rng.integers(len(VALUES))]
    what = rng.random()
    if what < 0.1:
        del holder[key]
    elif what < 0.15 and isinstance(holder, dict):
        holder["\x1b[2Jadded"] = value
    else:
        holder[key] = value
    if file.name == seals.FILE:
        inside = {name: content.get(name) for name in ("facts", "files")}
        content = {**inside, "seal": seals.digest_json(inside)}
    file.write_text(json.dumps(content))
    folder = next((p for p in file.parents if (p / seals.FILE).exists()), None)
    if file.name != seals.FILE and folder is not None:
        before = json.loads((folder / seals.FILE).read_text())
        seals.write(folder, before["files"], **before["facts"])
    return f"{file.name}: {key!r} = {str(value)[:60]!r} ({what:.2f})"


def _places_in(content: Any) -> Iterator[tuple[Any, Any]]:
    keys = content if isinstance(content, dict) else range(len(content))
    for key in list(keys):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places_in(content[key])
