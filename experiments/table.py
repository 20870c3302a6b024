"""Runs of the main command from Python, and plain-text tables of their results."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax import cli, run
from msa_jax.progress import say


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
    run.prepare_process(command.config)
    say(f"--- {folder}")
    return folder, run.train_and_evaluate(command.config, folder)


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
        print(f"{name:{width}s}" + "".join(f"{cell:>19s}" for cell in cells))


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
        pairs = np.array([x[key] - y[key] for x, y in zip(rows[a], rows[b], strict=True)])
        spread = pairs.std(ddof=1) if len(pairs) > 1 else 0.0
        listed = " ".join(f"{d:+.4f}" for d in pairs)
        print(f"{a} - {b}, {key}: mean {pairs.mean():+.4f}, sd of the pairs {spread:.4f} ({listed})")
