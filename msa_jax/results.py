"""Results of a run as a user gets them: the CSV of the predictions, and the lines that are printed."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from msa_jax import metrics
from msa_jax.corpora import EMOTIONS, SPLITS
from msa_jax.files import whole_file
from msa_jax.progress import say

SYNTHETIC = "SYNTHETIC DATA (the scores say nothing about a real corpus)"
OTHER_SPLITS = "NOT THE OFFICIAL SPLITS (the scores compare with no published ones)"
SHOWN = (
    *("mae", "corr", "acc7", "acc5", "acc2_has0", "acc2_non0", "acc2", "f1_non0", "f1"),
    *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("acc", "f1")),
)
_PREDICTED = (
    *("id,prediction", "id,prediction,probability"),
    ",".join(
        ["id", *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("prediction", "probability"))]
    ),
)
SCORED = (*SPLITS, "all")  # what results.json has scores of


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


def is_predicted(file: Path) -> bool:
    """Whether a file has the columns of predictions without labels, as `predict` writes them."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as f:
        return f.readline(1000).rstrip("\n") in _PREDICTED


def banner(data: str) -> str:
    """The first line printed: what the scores are scores of."""
    return SYNTHETIC if data == "synthetic" else f"data: {data}"


def show(results: dict[str, Any], workdir: Path) -> None:
    """Prints the main numbers, and says so where the data are synthetic or the splits are not official."""
    for name in (n for n in SCORED if n in results):
        say(f"{name:5s} ({results[name]['clips']} clips): {metrics.in_words(results[name], SHOWN)}")
        for metric, why in results[name].get("undefined", {}).items():
            if metric in SHOWN:
                say(f"note: {metric} of {name} is {metrics.NOT_DEFINED}: {why}")
    show_place(results, workdir)


def show_place(results: Mapping[str, Any], workdir: Path) -> None:
    """Prints where everything is, and whether the scores compare with others."""
    say(f"everything is in {workdir}")
    if results["data"] == "synthetic":
        say(SYNTHETIC)
    elif results.get("official_splits") is False:
        say(OTHER_SPLITS)
