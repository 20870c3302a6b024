"""Functions that `import msa_jax` offers to Python programs and notebooks, without a command line."""

import contextlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from msa_jax import bounds, files, progress, specs
from msa_jax import config as configs
from msa_jax.assemble import assemble
from msa_jax.config import base
from msa_jax.corpora import CORPORA
from msa_jax.data import opening
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError, check_count, check_flags, nearest
from msa_jax.forks import refuse_forked
from msa_jax.inspect import advice, report
from msa_jax.inspect.inspection import OPTIONS, Inspection, inspect
from msa_jax.process import prepare_process
from msa_jax.train import train_and_evaluate


def configure(spec: str, changes: Mapping[str, Any]) -> ConfigDict:
    """The config that `msa_jax.configure` makes."""
    if not isinstance(spec, str):
        raise UserError(f"the config is {spec!r}; name a config by a text")
    if not isinstance(changes, Mapping):
        raise UserError(f"the changes are {changes!r}; give a dict of keys and values, as in {{'epochs': 3}}")
    config = _of_module(spec) or configs.load(spec)[0]
    for key, value in changes.items():
        known = configs.keys(config)
        if key not in known:
            raise UserError(f"{key}: there is no such key; {configs.near_key(str(key), known)}")
        try:
            base.set_key(config, key, _plain(value))
        except (TypeError, ValueError) as e:
            raise UserError(f"{key}: {value!r} is of the wrong type ({str(e).splitlines()[0]})") from None
    bounds.check(config)
    return config


def _plain(value: Any) -> Any:
    """A value as configs have it: notebooks bring paths, lists and numbers of NumPy."""
    if isinstance(value, list | tuple):
        return tuple(_plain(inner) for inner in value)
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _of_module(spec: str) -> ConfigDict | None:
    """The config of a model's module with its variants; None where the spec names a config or nothing."""
    module, *variants = configs.split_spec(spec)
    if not all(part.isidentifier() for part in module.split(".")) or module.endswith(".py"):
        return None
    with contextlib.suppress(UserError):
        specs.find(module, variants)
        return None
    if module in base.models.names() or not _is_there(module):
        return None
    config = base.config(module)
    for name in variants:
        try:
            base.apply(config, name)
        except KeyError:
            known = list(configs.variants_of(module, {}))
            raise UserError(f"{module} has no variant {name!r}; {nearest(name, known)}") from None
    return config


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # a package above it is not there; it is the program itself
        return False


def batch(config: ConfigDict, *, split: str, clips: int) -> dict[str, np.ndarray]:
    """The batch that `msa_jax.batch` makes."""
    refuse_forked()
    if clips is None:
        raise UserError("clips is None; say how many")
    check_count(clips=clips)
    if split not in ("train", "valid"):  # what is looked at before a training is not what it is tested on
        raise UserError(f"the split is {split!r}; before a training there are train and valid")
    _ready(config)
    pieces = assemble(config, opening.open_corpus(config))
    return next(pieces.preparation.in_order(pieces.splits[split], batch_size=clips, threads=0))


def fit(config: ConfigDict, workdir: str | Path, *, quiet: bool) -> dict[str, Any]:
    """The results of the training that `msa_jax.fit` does."""
    check_flags(quiet=quiet)
    _ready(config)
    with progress.muted() if quiet else contextlib.nullcontext():
        return train_and_evaluate(config, files.expanded(workdir))


def _ready(config: ConfigDict) -> None:
    """Prepares the process for what a config asks for; UserError where that cannot be."""
    if not isinstance(config, ConfigDict):
        raise UserError(f"the config is {config!r}; make one by msa_jax.configure")
    bounds.check(config)
    prepare_process(opening.cache_folder(config))
    if not opening.has_data(config):
        raise UserError(
            f"data.path is not set, and no {config.data.corpus} corpus has been built; name a file by "
            "data.path, or take the variant `synthetic` of the config"
        )


def describe(path: str | Path, *, corpus: str | None, show: bool, options: Mapping[str, Any]) -> Inspection:
    """The facts that `msa_jax.describe` tells."""
    check_flags(show=show)
    if unknown := [name for name in options if name not in OPTIONS]:
        raise UserError(f"{unknown[0]}: there is no such option; there are {', '.join(OPTIONS)}")
    if corpus is not None and (not isinstance(corpus, str) or corpus not in CORPORA):
        raise UserError(f"corpus: {corpus!r} is none of {', '.join(CORPORA)}")
    cut = Cut(**base.common().data.cut)
    found = inspect(
        path,
        cut=cut,
        corpus=corpus,
        watch=lambda clips: progress.watched(clips, "reading", "clip"),
        **options,
    )
    if show:
        reading = [f"--config.data.{name}={value}" for name, value in options.items()]
        report.show(found, advice.training(found, reading), advice.prediction(found, reading))
    return found
