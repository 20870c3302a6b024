"""Jobs of the attack's worker: what a user does with a file, a run or a build, and what it gives."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

from msa_jax.errors import UserError

TEXTS = ("a good film", "the plot was really bad and awful", "")


def read(path: str) -> int:
    """Clips of a feature file, read and checked as for training."""
    from msa_jax.data import readers
    from msa_jax.data.datasets.builders import BUILDERS
    from msa_jax.data.datasets.prepared import prepare
    from msa_jax.data.splits import Cut

    source = readers.read(path, text_features=None, need_text=False)
    facts = BUILDERS["mosi"].facts
    prepared = prepare(source, facts, where=path, cut=Cut(), other_counts=True)
    return sum(prepared.counts.values())


def predict(run: str) -> str:
    """The bits of scores of three clips by a run."""
    import msa_jax

    rng = np.random.default_rng(0)
    audio, vision = ([rng.normal(5, 3, (n, width)).astype("f4") for n in (3, 7, 2)] for width in (3, 2))
    scores = msa_jax.load(run).predict(list(TEXTS), audio, vision)
    assert isinstance(scores, np.ndarray)
    assert scores.dtype == np.float32
    assert scores.shape == (len(TEXTS),)
    assert np.isfinite(scores).all()
    return scores.tobytes().hex()


def command(argv: list[str]) -> str:
    """What the command prints to stdout.

    Raises:
      UserError: when it ends with 2, and its line.
    """
    from msa_jax.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(argv)
    lines = [line for line in err.getvalue().splitlines() if line.startswith("msa_jax: ")]
    assert "Traceback" not in err.getvalue(), err.getvalue()
    if code == 2:
        assert len(lines) == 1, err.getvalue()
        raise UserError(lines[0])
    assert code == 0, (code, err.getvalue())
    return out.getvalue()


def command_from(place: str, argv: list[str]) -> str:
    """As `command`, of somebody who works in a folder that is on PYTHONPATH."""
    path, before, asked = sys.path[:], os.getcwd(), os.environ["PYTHONPATH"]
    os.chdir(place)
    sys.path.insert(0, place)
    os.environ["PYTHONPATH"] = "."
    try:
        return command(argv)
    finally:
        os.chdir(before)
        sys.path[:] = path
        os.environ["PYTHONPATH"] = asked


def train(argv: list[str], run: str, log: bool = True) -> str:
    """A hash of all that a run holds at its end that says what it computed, with its log or without."""
    from tests.attack import tiny_run

    command(argv)
    found = tiny_run.result(Path(run))
    if not log:
        del found["log"]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def evaluate(argv: list[str], scores: str) -> str:
    """A hash of the scores that an evaluation writes into a folder, which is emptied before."""
    from tests.attack import tiny_run

    shutil.rmtree(scores, ignore_errors=True)
    command(argv)
    tables = {path.name: path.read_text() for path in sorted(Path(scores).glob("*.csv"))}
    results = tiny_run.timeless(json.loads((Path(scores) / "results.json").read_text()))
    return hashlib.sha256(repr((tables, results)).encode()).hexdigest()


def build(path: str, cache: str) -> str:
    """A hash of all clips of a build, which is made where it is not there."""
    from msa_jax.data import datasets
    from msa_jax.data.splits import Cut

    built = datasets.load("mosi", path, cache=cache, cut=Cut(), other_counts=True)
    return _clips(built)


def open_build(folder: str) -> str:
    """A hash of all clips of the build in a folder."""
    from msa_jax.data import datasets

    return _clips(datasets.open_built(Path(folder)))


def open_encoder(folder: str) -> str:
    """Words for an encoder's folder that can be read."""
    from msa_jax.text.loading import load_tokenizer
    from msa_jax.text.pretrained import load_encoder

    load_tokenizer(folder)
    load_encoder(folder)
    return "read"


def _clips(built) -> str:
    total = hashlib.sha256()
    for name in ("train", "valid", "test"):
        for clip in built.split(name):
            for key in sorted(clip):
                value = clip[key]
                total.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return total.hexdigest()
