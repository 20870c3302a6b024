"""Links in a run's folder: a folder that it writes into leads to one that holds something else."""

import shutil
from pathlib import Path

from tests.attack import tiny_run
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Worker

_INSIDE = ("checkpoints/latest/*/good", "checkpoints/latest/*/progress.json", "checkpoints/best/*/arrays")
_PLACES = ("checkpoints", "checkpoints/latest", "checkpoints/best", "tensorboard", "eval_*")


def linked_runs(row: Row, folder: Path, worker: Worker, *, epochs: int) -> None:
    """Trains on, or evaluates, with a folder of a run, or a part of a checkpoint, moved and linked to.

    Args:
      row: counts them.
      folder: holds the finished run in `run`.
      worker: does the jobs.
      epochs: more than the run has.
    """
    run, elsewhere = folder / "theirs", folder / "elsewhere"
    more = tiny_run.arguments(folder, run, epochs=epochs)
    score = [
        "--mode=eval",
        *(option for option in more if option.startswith(("--workdir", "--config.data."))),
    ]
    for place in _PLACES:
        argv = score if place == "eval_*" else more
        for old in (run, elsewhere):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(folder / "run", run)
        if place == "eval_*":
            assert worker.ask("command", watched=run, argv=argv).kind == "value"
        (linked,) = run.glob(place)
        linked.rename(elsewhere)
        linked.symlink_to(elsewhere)
        for name in ("1", "2019"):  # numbers, as checkpoints have
            (elsewhere / name).mkdir(exist_ok=True)
            (elsewhere / name / "photo").write_text("precious")
        _ask(row, folder, worker, argv, place, wanted="is a symbolic link, which is not written through")
    for place in _INSIDE:
        _linked_part(row, folder, worker, place, (more, score))


def _linked_part(
    row: Row, folder: Path, worker: Worker, place: str, commands: tuple[list[str], list[str]]
) -> None:
    """With a part of its newest checkpoint linked to; "good" leads to a name that is still free."""
    run, elsewhere = folder / "theirs", folder / "elsewhere"
    for argv in commands if "/best/" in place else commands[:1]:  # to score opens nothing else
        for old in (run, elsewhere):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(folder / "run", run)
        elsewhere.mkdir()
        kind, _, name = place.rpartition("/*/")
        linked = max((run / kind).iterdir(), key=lambda found: int(found.name)) / name
        if name == "good":
            linked.unlink(missing_ok=True)
        else:
            linked.rename(elsewhere / name)
        linked.symlink_to(elsewhere / name)
        _ask(row, folder, worker, argv, place, wanted="is a symbolic link")


def _ask(row: Row, folder: Path, worker: Worker, argv: list[str], place: str, *, wanted: str) -> None:
    """Runs the command, which must refuse the link by the wanted words and leave its target as it was."""
    run, elsewhere = folder / "theirs", folder / "elsewhere"
    before = tiny_run.content(elsewhere)
    answer = worker.ask("command", watched=run, argv=argv)
    judge(row, answer, f"{place} is a link", may_write=(folder,))
    if answer.kind == "value":
        row.fault("silent differences", f"{place} is a link, and was read or written through")
    elif wanted not in answer.text:
        row.fault("lost", f"{place} is a link: another line: {answer.text}")
    if tiny_run.content(elsewhere) != before:
        row.fault("files changed", f"{place} is a link")
