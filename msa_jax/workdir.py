"""Working folder of a run: its files, each written whole or not at all."""

import contextlib
import csv
import datetime
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict
from scipy import special

from msa_jax import json_kinds, locks, metrics, seals
from msa_jax.corpora import EMOTIONS, SPLITS
from msa_jax.data.opening import Recorded
from msa_jax.data.preparation import Preparation
from msa_jax.errors import UserError
from msa_jax.files import OLDER, read_json, whole_file, write_json
from msa_jax.json_kinds import Kind, is_a, number, or_none, whole
from msa_jax.parallel import by_first
from msa_jax.progress import say

SYNTHETIC = "SYNTHETIC DATA (the scores say nothing about a real corpus)"
OTHER_SPLITS = "NOT THE OFFICIAL SPLITS (the scores compare with no published ones)"
SHOWN = (
    *("mae", "corr", "acc7", "acc5", "acc2_has0", "acc2_non0", "acc2", "f1_non0", "f1"),
    *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("acc", "f1")),
)
_SCORED = (*SPLITS, "all")  # in results.json
_CONFIG, _RESULTS = "config.json", "results.json"
_ENVIRONMENT = "environment.json"
SEALED = (_CONFIG, _ENVIRONMENT, "preparation.json", "tokenizer.json")
_FACTS: Mapping[str, Kind] = {"run": is_a(str), "epochs": whole(1, 1 << 62), "finished": is_a(bool)}
_RECORDED: Mapping[str, Mapping[str, Kind]] = {
    "data": {"source": is_a(str), "hash": is_a(str), "cut": lambda v: v is None or isinstance(v, str | dict)},
    "content": {"text.encoder": or_none(is_a(str))},
}
PACKAGES = (
    "msa_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "tensorflow-datasets",
    "transformers", "tokenizers", "numpy", "scikit-learn",
)  # fmt: skip


@contextlib.contextmanager
def alone(workdir: Path) -> Iterator[None]:
    """Keeps a run's folder for this process, which alone may write the run; makes it where there is none.

    The lock ends with the process that holds it, however it ends. Who only reads a run needs none.

    Args:
      workdir: the run's folder.

    Raises:
      UserError: when another process holds it; names the process, its machine, and since when.
    """

    def taken(holder: str) -> None:
        raise UserError(
            f"--workdir: {workdir} is being trained by {holder}; wait for it to end, or name another folder"
        )

    with locks.alone(workdir / ".lock", taken):
        yield


@by_first
def claim(
    config: ConfigDict,
    workdir: Path,
    run: str,
    data: dict[str, Any],
    content: dict[str, Any],
    preparation: Preparation,
) -> int | None:
    """Writes what a run is and seals it, or, on a resume, checks that it is still the same.

    Args:
      config: its settings.
      workdir: its folder, which this process holds by `alone`.
      run: its identity.
      data: `source`, `hash` of the content and `cut` of what it trains on.
      content: of everything that it names by a place, as `identity.contents` gives it.
      preparation: what turns its clips into arrays.

    Returns:
      The epochs that the run was to have until now; None for a new run.

    Raises:
      UserError: when the content of the data or of the encoder has changed, or a file is damaged.
    """
    before = None
    if (workdir / seals.FILE).exists():
        # The config counts by the identity; its file is written again below where it is not this one.
        facts = check(workdir, only=[name for name in SEALED if name != _CONFIG])
        if facts.get("run") != run:
            raise UserError(
                f"--workdir: {workdir} was trained with other "
                f"{_what_differs(workdir, config, data, content)}; name another folder"
            )
        before = facts["epochs"]
    elif (workdir / "checkpoints").exists():
        raise UserError(f"{workdir} {OLDER}; train again in another folder")
    else:
        write_json(workdir / _ENVIRONMENT, {**environment(), "data": data, "content": content})
        preparation.save(workdir)
    if before != config.epochs:
        write_json(workdir / _CONFIG, config.to_dict())
        _seal(workdir, run=run, epochs=config.epochs, finished=False)
    return before


def _seal(workdir: Path, *, finished: bool, **facts: Any) -> None:
    names = [*SEALED, *([_RESULTS] if finished else [])]
    there = [name for name in names if (workdir / name).exists()]
    seals.write(workdir, there, finished=finished, **facts)


def _what_differs(workdir: Path, config: ConfigDict, data: dict[str, Any], content: dict[str, Any]) -> str:
    was = _environment_of(workdir)["content"]
    named = {"data": data["source"], "text.encoder": config.text.encoder}
    named["data.bert_vocab"] = config.data.bert_vocab
    for key, now in content.items():
        if was.get(key) != now:
            place = f": the content of {named[key]} is not the same" if key in named else ""
            return f"{key}{place}"
    return "settings"


def check(workdir: Path, only: Sequence[str] = SEALED) -> dict[str, Any]:
    """Compares files of a run with its seal; `run` of what it returns is the run's identity.

    Raises:
      UserError: when one is missing or damaged, or there is no run.
    """
    if not (workdir / _CONFIG).exists():
        raise UserError(f"there is no config.json in {workdir}; {workdir} holds no trained run")
    if not (workdir / seals.FILE).exists():
        raise UserError(f"{workdir} {OLDER}, or its training had not begun; train again in another folder")
    mend = "bring it back from a copy of the run, or train again in another folder"
    return seals.check(workdir, mend=mend, only=only, facts=_FACTS)


def _environment_of(workdir: Path) -> dict[str, Any]:
    """What the run in a folder recorded of its circumstances; `data` and `content` are objects, and whole."""
    check(workdir, only=(_ENVIRONMENT,))
    file = workdir / _ENVIRONMENT
    stored = read_json(file)
    try:
        for part, kinds in _RECORDED.items():
            json_kinds.check(f"{part}.", stored[part], kinds)
    except UserError as e:
        raise UserError(f"{file} is damaged: {e}; train again in another folder") from None
    except KeyError:
        raise UserError(f"{file} {OLDER}; train again in another folder") from None
    return stored


def recorded(workdir: Path) -> Recorded:
    """What the run in a folder recorded of its data and its encoder.

    Raises:
      UserError: when there is no such run, or the file is damaged.
    """
    stored = _environment_of(workdir)
    return Recorded(stored["data"]["hash"], stored["content"]["text.encoder"])


def trained_on(workdir: Path) -> dict[str, Any]:
    """The `source`, `hash` and `cut` of the data of the run in a folder.

    Raises:
      UserError: as `recorded`.
    """
    return _environment_of(workdir)["data"]


@by_first
def finish(workdir: Path, results: dict[str, Any]) -> None:
    """Writes the results of a run that is done, and seals them."""
    write_json(workdir / _RESULTS, results)
    facts = check(workdir, only=())
    _seal(workdir, **{**facts, "finished": True})


def read_results(workdir: Path, epochs: int) -> dict[str, Any] | None:
    """The results of a run that is done; None where it is not, or has fewer epochs.

    Raises:
      UserError: when they are damaged.
    """
    if not (workdir / seals.FILE).exists():
        return None
    facts = check(workdir, only=())
    there = facts.get("finished") and facts.get("epochs") == epochs and (workdir / _RESULTS).exists()
    if not there:
        return None
    again = f"delete {workdir / _RESULTS}, and the same command writes it again"
    seals.check(workdir, mend=again, only=(_RESULTS,))
    results = read_json(workdir / _RESULTS)
    try:
        json_kinds.check("", results, {"data": is_a(str)})
        for name in (name for name in _SCORED if name in results):
            json_kinds.check(f"{name}.", results[name], {"clips": whole(0, 1 << 62)})
            shown = {k: or_none(number) for k in SHOWN if k in results[name]}
            json_kinds.check(f"{name}.", results[name], shown)
            json_kinds.check(f"{name}.undefined.", results[name].get("undefined", {}), {})
    except (KeyError, UserError) as e:
        raise UserError(f"{workdir / _RESULTS} is damaged: {e}; {again}") from None
    return results


@by_first
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
    for name in (n for n in _SCORED if n in results):
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
