"""Fixtures of all tests: strict broadcasting, a home of their own, and a tiny corpus on disk."""

import contextlib
import functools
import gc
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests import quick

# Several test processes share a GPU where there is one, and products are exact there too.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("JAX_DEFAULT_MATMUL_PRECISION", "highest")
os.environ["XLA_FLAGS"] = " ".join((os.environ.get("XLA_FLAGS", ""), *quick.FLAGS))

import jax
import numpy as np
import pytest

# A silent [B] + [B, 1] is a bug that no shape check sees.
jax.config.update("jax_numpy_rank_promotion", "raise")

WORDS = "good great fine bad awful poor movie film story actor plot and the a was really".split()  # noqa: SIM905
# Small enough to compile in a second: see `tiny_overrides`.
TINY = {
    "seed": 3,
    "epochs": 3,
    "batch_size": 4,
    "eval_batch_size": 4,
    "log_every": 1,
    "data.buckets": 2,
    "data.other_counts": True,
    "text.encoder": "scratch",
    "text.scratch.vocab_size": 60,
    "text.scratch.hidden_size": 16,
    "text.scratch.num_layers": 2,
    "text.scratch.num_heads": 2,
    "text.scratch.intermediate_size": 16,
    "model.gmra.heads": 2,
    "model.gmra.bottleneck": 4,
    "optim.learning_rate": 1e-3,
    "optim.groups": "((r'.*', 1.0),)",
}


# Files whose tests train the same small models again and again.
SHARE_PROGRAMS = (
    *("test_run", "test_scoring", "test_train", "test_models_run", "test_experiments", "test_aligned_run"),
    *("test_faults", "test_destination", "test_outside_model", "test_every_model", "test_collections"),
    *("test_without_text", "test_printed_commands", "test_seeds", "test_api", "test_own_model"),
)
# Files that take the longest start first, so that no process is left alone with one at the end.
LONGEST = ("test_every_model", "test_models_run", "test_embedded", "test_train", "test_run", "test_tecafn")


def pytest_configure(config: pytest.Config) -> None:
    """Traced programs are millions of objects that live long: looked through seldom, they cost little."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; otherwise as collected."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(autouse=True, scope="session")
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where tests that train keep their compiled programs, subprocesses included."""
    folder = str(tmp_path_factory.getbasetemp() / "compiled")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_compilation_cache_dir", folder)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Only programs that other tests run too are written: XLA has crashed on writing large ones that were
    compiled without optimisation."""
    least = 0 if item.path.stem in SHARE_PROGRAMS else 1e9
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


@pytest.fixture(autouse=True, scope="module")
def _programs() -> Iterator[None]:
    """Compiled programs go with the file that needed them: each holds dozens of mappings of memory, of which
    a process has a limited number, and XLA aborts where there is none left."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or writes to, what the user has built."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def make_words_folder(folder: Path, *, seed: int = 0, widths: tuple[int, int] = (3, 2)) -> Path:
    """A words pickle in a folder: train, dev and test of 10, 6 and 6 clips with learnable labels."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", 10), ("dev", 6), ("test", 6)):
        clips = []
        for k in range(count):
            n = int(rng.integers(2, 9))
            words = [WORDS[i] for i in rng.integers(0, len(WORDS), n)]
            audio, vision = (rng.normal(5, 3, (n, d)).astype(np.float32) for d in widths)
            score = np.clip(audio[:, 0].mean() - 5 + 0.5 * (("good" in words) - ("bad" in words)), -3, 3)
            clips.append(
                (
                    (np.arange(n), vision, audio, words),
                    np.array([[score]], np.float32),
                    f"{name}{k // 4}[{k}]",
                )
            )
        with (folder / f"{name}.pkl").open("wb") as f:
            pickle.dump(clips, f)
    return folder


@pytest.fixture
def words_folder(tmp_path: Path) -> Path:
    """See `make_words_folder`."""
    return make_words_folder(tmp_path / "words")


@pytest.fixture
def tiny_overrides(tmp_path: Path, words_folder: Path) -> list[str]:
    """Arguments that make any CrossSent config train on the tiny corpus in seconds."""
    values = {**TINY, "data.path": words_folder, "data.cache": tmp_path / "cache"}
    return [f"--config.{key}={value}" for key, value in values.items()]


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """(arguments, folder) of a finished run in `run`, on the corpus in `words`.

    `out.txt` has what it printed. `events.json` says in order which splits were read, for which text shapes
    the step was traced, and when training was done.
    """
    folder = tmp_path_factory.mktemp("trained")
    make_words_folder(folder / "words")
    values = {**TINY, "data.path": folder / "words", "data.cache": folder / "cache"}
    argv = [
        "--config=configs/crosssent_mosi.py",
        *(f"--config.{key}={value}" for key, value in values.items()),
    ]
    from msa_jax import loop, train  # late: the flags above come first
    from msa_jax.data.datasets import Built
    from msa_jax.main import main

    events = []
    opened, trained, step = Built.split, train.train, loop.train_step

    def read(corpus, name):
        events.append(["read", name])
        return opened(corpus, name)

    def trains(*args, **kwargs):
        result = trained(*args, **kwargs)
        events.append(["trained"])
        return result

    @functools.wraps(step)
    def traced(state, batch):
        events.append(["traced", batch["text"].shape])
        return step(state, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Built, "split", read)
        patch.setattr(train, "train", trains)
        patch.setattr(loop, "train_step", traced)
        with (folder / "out.txt").open("w") as out, contextlib.redirect_stdout(out):
            assert main([*argv, f"--workdir={folder / 'run'}"]) == 0
    (folder / "events.json").write_text(json.dumps(events))
    return argv, folder


@pytest.fixture
def trained(trained_once, tmp_path):
    """(arguments, workdir, words folder) with a copy of the finished run that the test may change."""
    argv, folder = trained_once
    shutil.copytree(folder / "run", tmp_path / "run")
    return [*argv, f"--workdir={tmp_path / 'run'}"], tmp_path / "run", folder / "words"


def reseal(workdir: Path) -> None:
    """Seals a run whose files a test has changed, as if it had been trained so."""
    from msa_jax import seals  # late: the flags above come first

    before = json.loads((workdir / seals.FILE).read_text())
    seals.write(workdir, before["files"], **before["facts"])


@pytest.fixture
def untrained(monkeypatch):
    """Runs are finished at their first parameters: for questions that training says nothing about."""
    from msa_jax import train  # late: the flags above come first
    from msa_jax.checkpoint import Checkpoints

    def at_the_start(config, pieces, lanes, layout, *, started):
        for lane in lanes:
            with contextlib.closing(Checkpoints(lane.workdir, lane.run)) as checkpoints:
                checkpoints.save_best(0, pieces.variables)
            lane.progress = {
                "best_epoch": 0,
                "best_value": 0.0,
                "best_by": "mse",
                "best_step": 0,
                "seconds": 0.0,
            }
            lane.ended = True

    monkeypatch.setattr(train, "train", at_the_start)
