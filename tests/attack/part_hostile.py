"""Hostile inputs: files, encoders and caches of somebody else, each with the answer that it must get."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from msa_jax import seals
from tests.attack import MARKER, answers, hostile, starts
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Answer, Worker


def hostile_inputs(row: Row, folder: Path, worker: Worker, *, each: int = 1) -> None:
    """Gives the program all hostile inputs, or one in so many.

    Args:
      row: counts them.
      folder: holds the clips in `words`.
      worker: opens encoders and caches.
      each: of so many one is taken.
    """
    _data(row, folder / "data", hostile.DATA[::each])
    for case in hostile.ENCODERS[::each]:
        place = _empty(folder / "encoders" / str(row.tried))
        answer = worker.ask("open_encoder", watched=place, folder=case.write(place))
        _right(row, case, place, answer, folder, size=_size(place))
    cache = folder / "good"
    assert worker.ask("build", watched=cache, path=folder / "words", cache=cache).kind == "value"
    (build,) = cache.glob("mosi-*")
    for case in hostile.CACHES[::each]:
        place = Path(shutil.copytree(build, folder / "caches" / str(row.tried) / build.name))
        case.write(place)
        seals.write(place)  # as somebody does who knows how
        answer = worker.ask("open_build", watched=place, folder=place)
        _right(row, case, place, answer, folder, size=_size(place))


def _data(row: Row, folder: Path, cases: Sequence[hostile.Hostile]) -> None:
    commands = [
        [case.write(_empty(folder / str(number))), *case.options] for number, case in enumerate(cases)
    ]
    for number, (case, found) in enumerate(zip(cases, answers.of_inspector(commands), strict=True)):
        kind = {0: "value", 2: "line", -14: "hang"}.get(found.code, "trace")
        said = found.stdout + found.stderr
        if "Traceback" in said or not said.replace("\n", "").isprintable() or found.stderr.count("\n") > 1:
            kind = "trace"
        place = folder / str(number)
        _right(row, case, place, Answer(kind, found.stderr, found.memory), folder, size=_size(place))


def _right(row: Row, case: hostile.Hostile, place: Path, answer: Answer, folder: Path, *, size: int) -> None:
    judge(row, answer, case.name, size=size, may_write=(starts.home(folder),))
    if case.line is None and answer.kind == "line":
        row.fault("lost", f"{case.name}: refused: {answer.text}")
    if case.line is not None and answer.kind == "value":
        row.fault("silent differences", f"{case.name}: was read")
    if case.line is not None and answer.kind == "line" and case.line not in answer.text:
        row.fault("lost", f"{case.name}: another line: {answer.text}")
    if any(place.rglob(MARKER)):
        row.fault("code executed", case.name)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
