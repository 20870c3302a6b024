"""Destination of what eval and predict write: never in silence over what was written before."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from msa_jax.config import RESUME_KEYS, TRAINED_KEYS, get
from msa_jax.corpora import MODALITIES
from msa_jax.errors import UserError
from msa_jax.files import fitting, refuse_link, resolved
from msa_jax.results import is_predicted
from msa_jax.seals import FILE
from msa_jax.workdir import CHECKPOINTS, OWN

# Of what may change once a run is trained: what the name of an evaluation's folder says otherwise, or what
# changes no score.
_SAID = ("data.path", "data.eval_split", "data.modalities", "data.other_counts", *RESUME_KEYS)


def evaluation_folder(
    workdir: Path, output: Path | None, data: str, config: ConfigDict, trained: ConfigDict, split: str
) -> Path:
    """The folder of an evaluation's files, which need not be there yet.

    Args:
      workdir: the run's folder.
      output: the folder that the user names; None: one in the workdir, whose name says all that the results
        depend on, so that another evaluation has another.
      data: name and hash of what is scored, as in "mosi_1a2b3c4d".
      config: the settings of the evaluation.
      trained: those of the run, as far as they hold for these data.
      split: the split that is scored; "" where it is the one that is scored unless asked otherwise.

    Raises:
      UserError: when the folder cannot be used.
    """
    parts = [f"eval_{data}", split]
    if used := _modalities(config, trained):
        parts.append("+".join(used))
    for key in sorted(TRAINED_KEYS):
        if key not in _SAID:
            parts += _changed(key, get(config, key), get(trained, key))
    folder = output or workdir / fitting("", "_".join(part for part in parts if part))
    if output is None:
        refuse_link(folder)
    elif (output / "config.json").exists():
        raise UserError(f"--output: {output} is the folder of a run; name one of its own for the results")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output: {folder} is a file; name a folder")
    _refuse_own(workdir, folder)
    if not folder.parent.is_dir():
        raise UserError(f"--output: {folder}: there is no folder {folder.parent}")
    _refuse_read_only(folder.parent if not folder.exists() else folder, "FOLDER")
    return folder


def _modalities(config: ConfigDict, trained: ConfigDict) -> tuple[str, ...]:
    now, was = (tuple(m for m in MODALITIES if m in c.data.modalities) for c in (config, trained))
    return now if now != was else ()


def _changed(key: str, now: Any, was: Any) -> list[str]:
    """What the folder's name says of a key, or of each key of a section; [] where nothing has changed."""
    if isinstance(now, ConfigDict):
        return [part for k in sorted(now) for part in _changed(f"{key}.{k}", now[k], was[k])]
    if now == was:
        return []
    value = str(now)
    if not re.fullmatch(r"[\w.-]{1,20}", value):  # a path, say
        value = hashlib.sha256(value.encode()).hexdigest()[:8]
    return [f"{key.removeprefix('data.')}-{value}"]


def predictions_file(workdir: Path, output: Path | None, path: Path) -> Path:
    """The CSV that the scores of a file's clips go into.

    Args:
      workdir: the run's folder.
      output: what the user names; None: predictions_<file name>.csv in the workdir.
      path: the file of the clips.

    Raises:
      UserError: when it cannot be written, is the file of the clips, or stands in the folder of a run and is
        not of predictions.
    """
    file = output or workdir / fitting("predictions_", path.stem, ".csv")
    if output is None and file.name in OWN:  # test.csv: predictions_test.csv is the run's own
        file = workdir / f"predictions_file_{path.stem}.csv"
    if file.is_dir() or not file.parent.is_dir():
        wrong = "is a folder" if file.is_dir() else f"there is no folder {file.parent}"
        raise UserError(f"--output: {file}: {wrong}")
    if resolved(file) == resolved(path):
        raise UserError(f"--output: {file} is the file that is scored; name another")
    if _refuse_own(workdir, file) and file.exists() and not is_predicted(file):
        raise UserError(
            f"--output: {file} is in the folder of a run, and was not written by predict; name another file"
        )
    _refuse_read_only(file if file.exists() else file.parent, "FILE")
    return file


def _refuse_own(workdir: Path, place: Path) -> bool:
    """Whether a place is in the folder of a run, this one or another.

    Raises:
      UserError: when it is one of the run's own files, or in one of its own folders.
    """
    run = workdir.resolve()
    there = place.parent.resolve() / place.name
    runs = [folder for folder in there.parents if folder == run or _is_run(folder)]
    if any(there.relative_to(folder).parts[0] in OWN for folder in runs):
        raise UserError(f"--output: {place} is one of the run's own files, or among them; name another")
    return bool(runs)


def _is_run(folder: Path) -> bool:
    """Whether a folder holds a run, of this version or of another."""
    return (folder / "config.json").exists() and any((folder / name).exists() for name in (FILE, CHECKPOINTS))


def _refuse_read_only(place: Path, what: str) -> None:
    if place.exists() and not os.access(place, os.W_OK):
        raise UserError(f"{place} cannot be written; name another place by --output={what}")
