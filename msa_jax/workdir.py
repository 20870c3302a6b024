"""Working folder of a run: its files, each written whole or not at all."""

import contextlib
import csv
import datetime
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from scipy import special

from msa_jax import metrics
from msa_jax.config import RESUME_KEYS, differences, stored
from msa_jax.corpora import EMOTIONS, SPLITS
from msa_jax.errors import UserError
from msa_jax.files import read_json, whole_file, write_json
from msa_jax.progress import say

SYNTHETIC = "SYNTHETIC DATA (the scores say nothing about a real corpus)"
OTHER_SPLITS = "NOT THE OFFICIAL SPLITS (the scores compare with no published ones)"
SHOWN = (
    *("mae", "corr", "acc7", "acc5", "acc2_has0", "acc2_non0", "acc2", "f1_non0", "f1"),
    *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("acc", "f1")),
)
PACKAGES = (
    "msa_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets",
    "transformers", "tokenizers", "numpy", "scikit-learn",
)  # fmt: skip


def refuse_other_run(config: ConfigDict, workdir: Path) -> None:
    """Stops before a folder that holds a run with other settings.

    Args:
      config: of the run that is to start, or to go on.
      workdir: its folder, which need not be there yet.

    Raises:
      UserError: when settings differ; names them.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir: {workdir} is a file; name a folder")
    if not (workdir / "config.json").exists():
        return
    # A config of another version is refused for what it is, and not for the first key that differs.
    old = stored(workdir / "config.json", hint="")
    if changed := differences(old, config, free=RESUME_KEYS):
        (key, (was, now)), *rest = changed.items()
        more = f" (and {', '.join(k for k, _ in rest)})" if rest else ""
        raise UserError(
            f"--workdir: {workdir} holds a run with {key}={was}, not {now}{more}; "
            "name another folder, or repeat that run's settings"
        )


def claim(config: ConfigDict, workdir: Path, data: dict[str, Any]) -> None:
    """Writes what the run is, or, on a resume, checks that its data are still the same.

    Args:
      config: its settings.
      workdir: its folder.
      data: `source`, `hash` of the content and `cut` of what it trains on.

    Raises:
      UserError: when the content has changed.
    """
    if (workdir / "environment.json").exists():
        if trained_on(workdir)["hash"] != data["hash"]:
            raise UserError(
                f"--workdir: {workdir} was trained on other data: the content of {data['source']} has "
                "changed; name another folder"
            )
        return
    write_json(workdir / "config.json", config.to_dict())
    write_json(workdir / "environment.json", {**environment(), "data": data})


def trained_on(workdir: Path) -> dict[str, Any]:
    """The `source`, `hash` and `cut` of the data of the run in a folder."""
    return read_json(workdir / "environment.json", hint=f"{workdir} holds no trained run").get("data", {})


def write_predictions(
    path: Path, ids: Sequence[str], predictions: np.ndarray, labels: np.ndarray | None = None
) -> None:
    """A CSV of id, label (where there are labels) and prediction, one clip a line.

    Args:
      path: the file.
      ids: N clip names.
      predictions: [N] scores; [N, 2] logits, which give the columns prediction (the class) and probability
        (of class 1); or [N, 4, 2] logits, which give the same for each emotion, as in prediction_happy.
      labels: [N], or [N, 4].
    """
    named: dict[str, list[str]] = {"id": list(ids)}
    tasks = [f"_{emotion}" for emotion in EMOTIONS] if predictions.ndim == 3 else [""]
    for k, task in enumerate(tasks):
        values = predictions[:, k] if task else predictions
        if labels is not None:
            named[f"label{task}"] = [f"{v:.6g}" for v in (labels[:, k] if task else labels)]
        if values.ndim == 1:
            named["prediction"] = [f"{v:.6f}" for v in values]
        else:
            named[f"prediction{task}"] = [str(v) for v in values.argmax(-1)]
            named[f"probability{task}"] = [f"{v:.6f}" for v in special.softmax(values, -1)[:, 1]]
    with whole_file(path) as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(named)
        writer.writerows(zip(*named.values(), strict=True))


def banner(data: str) -> str:
    """The first line printed: what the scores are scores of."""
    return SYNTHETIC if data == "synthetic" else f"data: {data}"


def show(results: dict[str, Any], workdir: Path) -> None:
    """Prints the main numbers, and says so where the data are synthetic or the splits are not official."""
    for name in (n for n in (*SPLITS, "all") if n in results):
        say(f"{name:5s} ({results[name]['clips']} clips): {metrics.in_words(results[name], SHOWN)}")
        for metric, why in results[name].get("undefined", {}).items():
            if metric in SHOWN:
                say(f"note: {metric} of {name} is {metrics.NOT_DEFINED}: {why}")
    say(f"everything is in {workdir}")
    if results["data"] == "synthetic":
        say(SYNTHETIC)
    elif results.get("official_splits") is False:
        say(OTHER_SPLITS)


def environment() -> dict[str, Any]:
    """The circumstances of a run: versions, device, git commit of the code, the command."""
    versions = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "git_commit": _git_commit(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": sys.argv[1:],
    }


def _git_commit() -> str | None:
    """The commit of this code; None where it is installed, maybe inside a repository that is not ours."""
    checkout = Path(__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return None
    return found.stdout.strip() or None
