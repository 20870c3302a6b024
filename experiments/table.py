"""Runs of the main command from Python, and plain-text tables of their results."""

import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax import cli
from msa_jax import config as configs
from msa_jax.data import opening
from msa_jax.errors import exit_code
from msa_jax.process import prepare_process
from msa_jax.progress import say
from msa_jax.train import train_and_evaluate


def file_of(model: str) -> str:
    """The config file of a model: the shipped one for CMU-MOSI, or the file itself where one is named."""
    return model if model.endswith(".py") else str(configs.shipped() / f"{model}_mosi.py")


def train(folder: Path, config: str, overrides: Mapping[str, Any]) -> tuple[Path, dict[str, Any]]:
    """Trains and tests once, or reads the results where that run is finished.

    Args:
      folder: the run's folder.
      config: FILE[:VARIANT].
      overrides: config keys and their values.

    Returns:
      (folder, what its results.json holds).
    """
    command = cli.parse([f"--config={config}", *(f"--config.{k}={v}" for k, v in overrides.items())])
    prepare_process(opening.cache_folder(command.config))
    say(f"--- {folder}")
    return folder, train_and_evaluate(command.config, folder)


def _train_seeds(
    folders: Sequence[Path], config: str, overrides: Mapping[str, Any], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        return [
            train(folder, config, {**overrides, "seed": seed})[1]
            for folder, seed in zip(folders, seeds, strict=True)
        ]


def _train_together(
    folders: Sequence[Path], config: str, overrides: Mapping[str, Any], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """As `_train_seeds`, by one program; the folders have one parent, and the names that such a run gives."""
    with open(os.devnull, "w") as quiet, contextlib.redirect_stderr(quiet):
        train(folders[0].parent, config, {**overrides, "seeds": ",".join(map(str, seeds))})
    return [json.loads((folder / "results.json").read_text(encoding="utf-8")) for folder in folders]


def _own_core(queue: Any) -> None:
    """Gives this process one core: two trainings that share two cores wait for each other."""
    core = queue.get()
    if hasattr(os, "sched_setaffinity") and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


def folder_of(runs: Path, name: str, seed: int, *, together: bool = False) -> Path:
    """Where `train_all` has the run of a job with a seed."""
    name = name or "full"
    return runs / name / f"seed_{seed}" if together else runs / f"{name}-seed{seed}"


def train_all(
    runs: Path,
    jobs: Mapping[str, tuple[str, Mapping[str, Any]]],
    seeds: Sequence[int],
    *,
    workers: int,
    together: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Trains every job with every seed, several at a time; what is finished is only read.

    Args:
      runs: folder of the runs.
      jobs: name to (FILE[:VARIANT], config keys and their values).
      seeds: of each job; in one process, so that each program is compiled once.
      workers: processes that train at the same time, if more than one, each on a core of its own.
      together: the seeds of a job are trained at once, on clips in the same order, and not one by one.

    Returns:
      For each name what results.json holds, one for each seed.

    Raises:
      UserError: of the first job that fails, once those that a process has been handed by then have ended.
    """
    context = multiprocessing.get_context("spawn")
    cores = context.Manager().Queue()
    for core in range(workers):
        cores.put(core)
    bound = {"initializer": _own_core, "initargs": (cores,)} if workers > 1 else {}
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context, **bound) as pool:
        waiting = {}
        for name, (config, overrides) in jobs.items():
            run = _train_together if together else _train_seeds
            folders = [folder_of(runs, name, seed, together=together) for seed in seeds]
            waiting[name] = pool.submit(run, folders, config, overrides, seeds)
        done, _ = concurrent.futures.wait(waiting.values(), return_when=concurrent.futures.FIRST_EXCEPTION)
        for failure in filter(None, (future.exception() for future in done)):
            pool.shutdown(cancel_futures=True)
            raise failure
        return {name: future.result() for name, future in waiting.items()}


def run_script(main: Callable[[], None]) -> None:
    """Runs a script's `main` and ends the process; an error that the user can mend is one line and code 2."""
    sys.exit(exit_code(main, interrupted="interrupted; the same command again goes on"))


def show(title: str, rows: Mapping[str, Sequence[Mapping[str, float]]], keys: Sequence[str]) -> None:
    """Prints mean and standard deviation (of a sample) of each metric for each row.

    Args:
      title: heading.
      rows: name to one dict of metrics per seed or fold.
      keys: the metrics to show.
    """
    print(f"\n{title}")
    width = max(len(name) for name in rows) + 2
    print(" " * width + "".join(f"{key:>19s}" for key in keys))
    for name, results in rows.items():
        cells = []
        for key in keys:
            values = np.array([r[key] for r in results], float)
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            cells.append(f"{values.mean():10.4f} ± {spread:.4f}")
        print(f"{name:{width}s}" + "".join(f"{cell:>19s}" for cell in cells), flush=True)


def pairs(a: str, b: str, rows: Mapping[str, Sequence[Mapping[str, float]]], key: str) -> np.ndarray:
    """The differences a - b of a metric, pair by pair.

    Args:
      a, b: names of two rows whose results are paired (the same seeds or folds).
      rows: as for `show`.
      key: the metric.
    """
    paired = [(x[key], y[key]) for x, y in zip(rows[a], rows[b], strict=True)]
    return -np.diff(np.array(paired, float))[:, 0]  # None, of a metric that is not defined, becomes NaN


def show_pairs(
    a: str, b: str, rows: Mapping[str, Sequence[Mapping[str, float]]], keys: Sequence[str]
) -> None:
    """Prints the difference a - b pair by pair: a mean, and how many pairs went each way.

    Args:
      a, b: names of two rows whose results are paired (the same seeds or folds).
      rows: as for `show`.
      keys: the metrics to compare.
    """
    for key in keys:
        differences = pairs(a, b, rows, key)
        spread = differences.std(ddof=1) if len(differences) > 1 else 0.0
        listed = " ".join(f"{d:+.4f}" for d in differences)
        print(f"{a} - {b}, {key}: mean {differences.mean():+.4f}, sd of the pairs {spread:.4f} ({listed})")
