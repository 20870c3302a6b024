"""Damages to a built corpus: it is built again by itself, with the same clips."""

import shutil
from pathlib import Path

import numpy as np

from tests.attack import damage, starts, tiny_run
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Worker


def damaged_corpora(row: Row, folder: Path, rng: np.random.Generator, worker: Worker, count: int) -> None:
    """Opens a corpus, so often with one of its files damaged.

    Args:
      row: counts them.
      folder: holds the clips in `words`.
      rng: draws the damages.
      worker: builds.
      count: of damages.
    """
    words, cache, kept = folder / "words", folder / "built", folder / "kept"
    arguments = {"path": words, "cache": cache}
    sound = worker.ask("build", watched=cache, **arguments)
    assert sound.kind == "value", sound
    inputs = tiny_run.content(words)
    shutil.copytree(cache, kept)
    files = sorted(p.relative_to(cache) for p in cache.rglob("*") if p.is_file() and ".locks" not in p.parts)
    for number in range(count):
        file = cache / files[number % len(files)]
        whole = file.read_bytes()
        how = damage.OF_DISKS[rng.integers(len(damage.OF_DISKS))] if whole else damage.missing
        damage.put(file, how(whole, rng))
        answer = worker.ask("build", watched=cache, **arguments)
        what = f"{file.relative_to(cache)} {how.__name__}, number {number}"
        judge(row, answer, what, wanted=sound.text, may_write=(cache, starts.home(folder)))
        if answer.kind != "value":
            shutil.rmtree(cache)
            shutil.copytree(kept, cache)
    if tiny_run.content(words) != inputs:
        row.fault("files changed", "the clips that are built")
