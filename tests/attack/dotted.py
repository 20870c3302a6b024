"""Dotted names: a run whose config names its model by a path that leads through folders into the run."""

import json
import shutil
from pathlib import Path

from msa_jax import seals
from tests.attack import MARKER, tiny_run
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Worker

# The name of the model, and the files that make packages of folders.
_NAMES = {
    "runs.theirs.evil": (),
    "runs.theirs": ("runs/theirs/__init__.py",),
    "runs.theirs.checkpoints.evil": ("runs/__init__.py",),
    "runs.beside.evil": (),
}


def dotted_runs(row: Row, folder: Path, worker: Worker) -> None:
    """Evaluates a run that brings code, in the folder above, which the user has put on PYTHONPATH.

    Args:
      row: counts them.
      folder: holds the finished run in `run`.
      worker: does the jobs.
    """
    place = folder / "project"
    marker = place / MARKER
    code = f"open({str(marker)!r}, 'w').close()\nraise SystemExit('executed')\n"
    for name, packages in _NAMES.items():
        shutil.rmtree(place, ignore_errors=True)
        run = Path(shutil.copytree(folder / "run", place / "runs" / "theirs"))
        (place / "runs" / "beside").mkdir()
        for file in ("theirs/evil.py", "theirs/checkpoints/evil.py", "beside/evil.py"):
            (place / "runs" / file).write_text(code)
        for file in packages:
            (place / file).write_text(code)
        content = json.loads((run / "config.json").read_text())
        content["model"]["name"] = name
        (run / "config.json").write_text(json.dumps(content))
        sealed = json.loads((run / seals.FILE).read_text())
        seals.write(run, sealed["files"], **sealed["facts"])
        before = tiny_run.content(place)
        argv = ["--mode=eval", "--workdir=runs/theirs", f"--config.data.path={folder / 'words'}"]
        answer = worker.ask("command_from", watched=place, place=place, argv=argv)
        judge(row, answer, f"the model {name}")
        if answer.kind == "value" or marker.exists():
            row.fault("code executed", f"the model {name}")
        if answer.kind == "line" and f"names the model {name}" not in answer.text:
            row.fault("lost", f"the model {name}: another line: {answer.text}")
        if tiny_run.content(place) != before:
            row.fault("files changed", f"the model {name}")
