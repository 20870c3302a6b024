"""Tiny run: the corpus, the command and the results that the attack's parts share."""

import hashlib
import json
from pathlib import Path

from tests.attack import starts
from tests.conftest import make_words_folder

NO_TIMES = ("clips_per_second", "seconds", "wall_seconds")


def arguments(folder: Path, run: Path, *, cache: Path | None = None, **changes: object) -> list[str]:
    """The command of a training in seconds, a checkpoint every step, on a corpus that is made in `words`."""
    if not (folder / "words").exists():
        make_words_folder(folder / "words")
    values = {
        "data.path": folder / "words",
        "data.cache": cache or folder / "cache",
        "data.other_counts": True,
        "batch_size": 4,
        "log_every": 1,
        "checkpoint_every": 1,
        "optim.schedule": "constant",
        "optim.warmup": 0.0,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    options = [f"--config.{key}={value}" for key, value in values.items()]
    return ["--config=lmf_mosi:tiny", f"--workdir={run}", *options]


def finished(folder: Path, run: Path, **changes: object) -> None:
    """Trains it to the end.

    Raises:
      AssertionError: when that fails.
    """
    done = starts.start(arguments(folder, run, **changes), folder / "said", starts.environment(folder))
    assert done.wait(600) == 0, done.err


def result(run: Path) -> dict[str, object]:
    """All that two runs that computed the same have in common, to the bit."""
    lines = [timeless(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]
    tables = {path.name: path.read_text("utf-8", "replace") for path in sorted(run.glob("predictions_*.csv"))}
    results = timeless(json.loads((run / "results.json").read_text()))
    results.pop("data")  # a place
    return {"log": lines, **tables, "results": results}


def timeless(values: dict) -> dict:
    """Without what depends on the clock."""
    return {key: value for key, value in values.items() if key not in NO_TIMES}


def content(folder: Path) -> dict[str, str]:
    """The hash of each file in a folder, or of a file."""
    files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
