"""Working folder of a run: its files, each written whole or not at all."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from msa_jax import circumstances, json_kinds, locks, seals
from msa_jax.agreement import by_first
from msa_jax.checkpoint_folders import FOLDER as CHECKPOINTS
from msa_jax.checkpoint_folders import MOST_STEPS
from msa_jax.corpora import SPLITS
from msa_jax.data.opening import Recorded
from msa_jax.data.preparation import Preparation
from msa_jax.errors import UserError
from msa_jax.files import OLDER, read_json, write_json
from msa_jax.json_kinds import Kind, is_a, number, or_none, whole
from msa_jax.results import SCORED, SHOWN

_CONFIG, _RESULTS = "config.json", "results.json"
_ENVIRONMENT = "environment.json"
# What a training that is done adds; the same command makes it again.
_MADE_AGAIN = (_RESULTS, "predictions_valid.csv", "predictions_test.csv")
SEALED = (_CONFIG, _ENVIRONMENT, "preparation.json", "tokenizer.json")
_MEND = "bring it back from a copy of the run, or train again in another folder"
# Names in a run's folder that nothing else may take: of files, and of folders with all that is in them.
OWN = (
    *SEALED,
    *(_RESULTS, seals.FILE, "metrics.jsonl", ".lock", CHECKPOINTS, "tensorboard"),
    *(f"predictions_{split}.csv" for split in SPLITS),
)
_FACTS: Mapping[str, Kind] = {"run": is_a(str), "epochs": whole(1, 1 << 62), "finished": is_a(bool)}
_RECORDED: Mapping[str, Mapping[str, Kind]] = {
    "data": {"source": is_a(str), "hash": is_a(str), "cut": lambda v: v is None or isinstance(v, str | dict)},
    "content": {"text.encoder": or_none(is_a(str)), "data.bert_vocab": or_none(is_a(str))},
}


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
    *,
    refuse_longer: Callable[[int], None],
) -> None:
    """Writes what a run is and seals it, or, on a resume, checks that it is still the same.

    Nothing is written before all is decided. The identity of a run proves its settings: a config.json that is
    damaged or gone is written again.

    Args:
      config: its settings.
      workdir: its folder, which this process holds by `alone`.
      run: its identity.
      data: `source`, `hash` of the content and `cut` of what it trains on.
      content: of everything that it names by a place, as `identity.contents` gives it.
      preparation: what turns its clips into arrays.
      refuse_longer: raises where a run that was to have fewer epochs, which it is given, cannot have more.

    Raises:
      UserError: when the content of the data or of the encoder has changed, a file is damaged, or the run
        cannot have that many epochs.
    """
    if (workdir / seals.FILE).exists():
        facts = _check(workdir, only=[name for name in SEALED if name != _CONFIG])
        if facts["run"] != run:
            raise UserError(
                f"--workdir: {workdir} was trained with other "
                f"{_what_differs(workdir, config, data, content)}; name another folder"
            )
        if (before := facts["epochs"]) > config.epochs:
            raise UserError(
                f"--workdir: {workdir} holds a run with epochs={before}, not {config.epochs}; name another "
                "folder, or repeat that run's settings"
            )
        if before == config.epochs and config_is_whole(workdir):
            return
        if before < config.epochs:
            refuse_longer(before)
    elif (workdir / CHECKPOINTS).exists():
        raise UserError(f"{workdir} {OLDER}; train again in another folder")
    else:
        write_json(workdir / _ENVIRONMENT, {**circumstances.environment(), "data": data, "content": content})
        preparation.save(workdir)
    write_json(workdir / _CONFIG, config.to_dict())
    _seal(workdir, run=run, epochs=config.epochs, finished=False)


def config_is_whole(workdir: Path) -> bool:
    """Whether a run's config.json is what was sealed; also where there is no seal to hold it against.

    Raises:
      UserError: when the seal itself is damaged.
    """
    if not (workdir / seals.FILE).exists():
        return True
    _check(workdir, only=())
    try:
        _check(workdir, only=(_CONFIG,))
    except UserError:
        return False
    return True


def _seal(workdir: Path, *, finished: bool, **facts: Any) -> None:
    names = [*SEALED, *(_MADE_AGAIN if finished else ())]
    there = [name for name in names if (workdir / name).exists()]
    seals.write(workdir, there, finished=finished, **facts)


def other_code(workdir: Path, code: str | None) -> bool:
    """Whether a run was trained with another file of its model; False where it does not say which.

    Args:
      workdir: the run's folder.
      code: hash of the file of the model that computes now, as `models.code` gives it.
    """
    return _environment_of(workdir)["content"].get("model.name") not in (None, code)


def _what_differs(workdir: Path, config: ConfigDict, data: dict[str, Any], content: dict[str, Any]) -> str:
    was = _environment_of(workdir)["content"]
    named = {"data": data["source"], "text.encoder": config.text.encoder}
    named |= {"data.bert_vocab": config.data.bert_vocab, "model.name": config.model.name}
    for key, now in content.items():
        if was.get(key) != now:
            place = f": the content of {named[key]} is not the same" if key in named else ""
            place = place if key in was else ", which it did not record"
            return f"{key}{place}"
    return "settings"


def check(workdir: Path, only: Sequence[str] = SEALED) -> dict[str, Any]:
    """Compares files of a run with its seal; `run` of what it returns is the run's identity.

    Raises:
      UserError: when one is missing or damaged, or there is no run.
    """
    if not (workdir / seals.FILE).exists():
        if not (workdir / _CONFIG).exists():
            raise UserError(f"there is no config.json in {workdir}; {workdir} holds no trained run")
        raise UserError(f"{workdir} {OLDER}, or its training had not begun; train again in another folder")
    facts = _check(workdir, [name for name in only if name != _CONFIG])
    if _CONFIG in only:
        _check(workdir, [_CONFIG], "repeat the command that trained the run, which writes it again")
    return facts


def _check(
    workdir: Path,
    only: Sequence[str],
    mend: str = _MEND,
) -> dict[str, Any]:
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


def recorded(workdir: Path, own: Collection[str] = ()) -> Recorded:
    """What the run in a folder recorded of the places that it names.

    Args:
      workdir: the folder.
      own: the keys whose places the run names, and not the user.

    Raises:
      UserError: when there is no such run, or the file is damaged.
    """
    stored = _environment_of(workdir)
    content = stored["content"]
    return Recorded(stored["data"]["hash"], content["text.encoder"], content["data.bert_vocab"], own)


def trained_on(workdir: Path) -> dict[str, Any]:
    """The `source`, `hash` and `cut` of the data of the run in a folder.

    Raises:
      UserError: as `recorded`.
    """
    return _environment_of(workdir)["data"]


@by_first
def finish(workdir: Path, results: dict[str, Any], best_step: int) -> None:
    """Writes the results of a run that is done, and seals them with the step of its best checkpoint."""
    write_json(workdir / _RESULTS, results)
    facts = check(workdir, only=())
    _seal(workdir, **{**facts, "finished": True, "best_step": best_step})


def best_step(workdir: Path) -> int | None:
    """The step of the best checkpoint of a run that is done; None where it is not.

    Raises:
      UserError: as `check`.
    """
    facts = check(workdir, only=())
    step = facts.get("best_step") if facts["finished"] else None
    if not or_none(whole(0, MOST_STEPS))(step):
        raise UserError(
            f"{workdir / seals.FILE} is damaged: facts.best_step is {json_kinds.shown(step)}; {_MEND}"
        )
    return step


def read_results(workdir: Path, epochs: int) -> dict[str, Any] | None:
    """The results of a run that is done; None where it is not, has fewer epochs, or lacks a file of them.

    Raises:
      UserError: when they, or its predictions, are damaged.
    """
    if not (workdir / seals.FILE).exists():
        return None
    facts = check(workdir, only=())
    there = all((workdir / name).exists() for name in _MADE_AGAIN)
    if not (facts.get("finished") and facts.get("epochs") == epochs and there):
        return None
    for name in _MADE_AGAIN:
        seals.check(workdir, mend="delete it, and the same command writes it again", only=(name,))
    again = f"delete {workdir / _RESULTS}, and the same command writes it again"
    results = read_json(workdir / _RESULTS)
    try:
        json_kinds.check("", results, {"data": is_a(str)})
        for name in (name for name in SCORED if name in results):
            json_kinds.check(f"{name}.", results[name], {"clips": whole(0, 1 << 62)})
            shown = {k: or_none(number) for k in SHOWN if k in results[name]}
            json_kinds.check(f"{name}.", results[name], shown)
            json_kinds.check(f"{name}.undefined.", results[name].get("undefined", {}), {})
    except (KeyError, UserError) as e:
        raise UserError(f"{workdir / _RESULTS} is damaged: {e}; {again}") from None
    return results
