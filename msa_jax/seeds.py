"""Seeds of a training: a run for each, in a folder of its own, and what all of them tell together."""

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from scipy import stats

from msa_jax.agreement import by_first
from msa_jax.errors import UserError
from msa_jax.files import read_json, write_json
from msa_jax.metrics import NOT_DEFINED
from msa_jax.progress import say
from msa_jax.results import SCORED, SHOWN, show_place

_FOLDER = "seed_{}"
_RESULTS = "results.json"
_SAME = ("data", "data_hash", "official_splits", "conventions", "findings", "parameters")
_OF_EACH = ("best_epoch", "selected_by", "wall_seconds")


def members(config: ConfigDict, workdir: Path) -> list[tuple[ConfigDict, Path]]:
    """The config and the folder of each seed's run; of a config without `seeds` its own.

    All have the same order of batches: that of `data.seed`, or of the first seed.

    Args:
      config: of the training.
      workdir: its folder.
    """
    if not config.seeds:
        return [(config, workdir)]
    out = []
    for seed in config.seeds:
        own = copy.deepcopy(config)
        own.seeds, own.seed = (), seed
        own.data.seed = order(config)
        out.append((own, workdir / _FOLDER.format(seed)))
    return out


def order(config: ConfigDict) -> int:
    """The seed of the order of batches of all: `data.seed`, or the first one."""
    return config.seeds[0] if config.data.seed is None else config.data.seed


def in_place_of(workdir: Path) -> str | None:
    """What to say where a folder is named that holds the runs of several seeds; None where it does not."""
    if (workdir / "config.json").exists() or not (found := _there(workdir)):
        return None
    names = ", ".join(path.name for path in found[:5]) + ", ..." * (len(found) > 5)
    return f"it has those of several seeds ({names}); name one of these folders"


def _order(folder: Path) -> int | None:
    """The seed that orders the batches of the run in a folder; None where there is none."""
    try:
        return read_json(folder / "config.json")["data"]["seed"]
    except (UserError, KeyError, TypeError):
        return None


def _there(workdir: Path) -> list[Path]:
    """The folders of seeds in a folder that hold a run."""
    return sorted(p for p in workdir.glob(_FOLDER.format("*")) if (p / "config.json").exists())


def refuse_mixed(config: ConfigDict, workdir: Path) -> None:
    """UserError where a folder with the runs of seeds is to hold one run, or the other way round."""
    if config.seeds and (workdir / "config.json").exists():
        raise UserError(
            f"--workdir: {workdir} holds one run, and --config.seeds asks for several; name another folder"
        )
    before = {_order(folder) for folder in _there(workdir)}
    if config.seeds and (others := before - {None, order(config)}):
        other = min(others)
        raise UserError(
            f"--config.seeds: {workdir} has runs whose batches have the order of seed {other}, not of seed "
            f"{order(config)}; say --config.data.seed={other}, or name another folder"
        )
    if not config.seeds and (several := in_place_of(workdir)):
        raise UserError(f"--workdir: {workdir} holds no run: {several}, or say --config.seeds")


def summary(results: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """What the results of several seeds tell together.

    Args:
      results: by seed, what its results.json holds.

    Returns:
      `seeds`; what all have in common; `best_epoch`, `selected_by` and `wall_seconds` in the order of the
      seeds (the seconds of those that are trained together are those of all); and for each split `clips` and
      for each metric `mean`, `std` (of a sample), `ci95` (the 95 % interval of the mean by Student's t) and
      `values`. The first three are None where a metric is not defined for some seed, and the deviation and
      the interval are of one seed.
    """
    every = list(results.values())
    out: dict[str, Any] = {"seeds": list(results), **{key: every[0][key] for key in _SAME if key in every[0]}}
    out |= {key: [one[key] for one in every] for key in _OF_EACH}
    for name in (name for name in SCORED if name in every[0]):
        values = {key: [one[name].get(key) for one in every] for key in every[0][name]}
        out[name] = {"clips": every[0][name]["clips"]}
        out[name] |= {
            key: {**statistics(of_seeds), "values": of_seeds}
            for key, of_seeds in values.items()
            if key not in ("clips", "undefined")
        }
    return out


def statistics(values: Sequence[float | None]) -> dict[str, Any]:
    """`mean`, `std` (n - 1) and `ci95` of a number of each seed; None where one is missing, or of one."""
    if any(value is None or not math.isfinite(value) for value in values):
        return {"mean": None, "std": None, "ci95": None}
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return {"mean": mean, "std": None, "ci95": None}
    std = float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, count - 1)) * std / math.sqrt(count)
    return {"mean": mean, "std": std, "ci95": [mean - half, mean + half]}


@by_first
def write(workdir: Path, found: Mapping[str, Any]) -> None:
    """Writes what `summary` gives, unless the results of more seeds are there."""
    try:
        before = {*read_json(workdir / _RESULTS)["seeds"]}
    except (UserError, KeyError, TypeError):
        before = set()
    if before > {*found["seeds"]}:
        say(f"note: {workdir / _RESULTS} keeps the results of seeds {', '.join(map(str, sorted(before)))}")
        return
    write_json(workdir / _RESULTS, dict(found))


def forget(workdir: Path) -> None:
    """Removes the results of before, which more training makes untrue."""
    (workdir / _RESULTS).unlink(missing_ok=True)


def show(found: Mapping[str, Any], workdir: Path) -> None:
    """Prints the means and standard deviations."""
    for name in (n for n in SCORED if n in found):
        metrics = [f"{key} {_in_words(found[name][key])}" for key in SHOWN if key in found[name]]
        say(f"{name:5s} ({found[name]['clips']} clips): {'  '.join(metrics)}")
    several = ", ".join(map(str, found["seeds"]))
    if len(found["seeds"]) == 1:
        say(f"of seed {several}; a mean and its deviation need several")
    else:
        say(f"mean ± standard deviation of seeds {several}; 95 % intervals are in {workdir / _RESULTS}")
    show_place(found, workdir)


def _in_words(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return NOT_DEFINED
    return f"{one['mean']:.4f}" + ("" if one["std"] is None else f" ± {one['std']:.4f}")
