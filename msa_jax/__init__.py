"""Multimodal sentiment analysis (text, audio, vision) in JAX and Flax."""

from typing import TYPE_CHECKING, Any

from msa_jax import forks as forks  # now: it notes what processes that are forked later inherit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from ml_collections import ConfigDict

    from msa_jax.inspect.inspection import Inspection
    from msa_jax.run import Run

__version__ = "0.2.0.dev0"


def configure(spec: str, changes: "Mapping[str, Any] | None" = None) -> "ConfigDict":
    """Makes a config: `configure("tecafn_mosi:synthetic", {"epochs": 10, "model.width": 64})`.

    Args:
      spec: the name of a shipped config, or a file, with :VARIANT after it where wanted, as for --config; or
        the dotted path of a model's module, for a model of one's own with every key at its default.
      changes: keys and their values, as for --config.KEY=VALUE.

    Returns:
      The config. Its keys are fixed, so that one that is not there cannot be set by mistake.

    Raises:
      UserError: when there is no such config, variant or key, or a value is not possible.
    """
    from msa_jax import api  # late: importing msa_jax alone stays light

    return api.configure(spec, {} if changes is None else changes)


def batch(config: "ConfigDict", *, split: str = "train", clips: int = 4) -> "dict[str, np.ndarray]":
    """Makes one batch of clips, as a model of this config is given it, to look at before a training.

    Args:
      config: as `configure` makes it.
      split: "train" or "valid".
      clips: how many, B.

    Returns:
      Arrays by name: `text`, `audio` and `vision`, [B, steps, columns] (where a text encoder reads words,
      `text` is [B, steps] numbers of subwords), each with a mask [B, steps] of what is not padding, `label`,
      and `mask` and `index` of the clips, [B].

    Raises:
      UserError: when data or settings are wrong.
    """
    from msa_jax import api

    return api.batch(config, split=split, clips=clips)


def fit(config: "ConfigDict", workdir: Any, *, quiet: bool = False) -> dict[str, Any]:
    """Trains, keeps the best epoch on the validation split, then reads the test split once.

    The same call goes on where it was stopped: after an interrupt, which is obeyed once all is saved and then
    raised as KeyboardInterrupt, after a crash, or in another session. A finished run is only read.

    Args:
      config: as `configure` makes it; `config.seeds` trains several runs at once.
      workdir: the run's folder, a path, made where it is not there.
      quiet: print nothing.

    Returns:
      What the folder's results.json holds: of a run, metrics by split, as in `["test"]["mae"]`; of several
      seeds, their mean, standard deviation and interval. `load(workdir)` scores clips.

    Raises:
      UserError: when data or settings are wrong, or the folder holds another run.
    """
    from msa_jax import api

    return api.fit(config, workdir, quiet=quiet)


def describe(path: Any, *, corpus: str | None = None, show: bool = True, **options: Any) -> "Inspection":
    """Tells what a feature file holds and what is wrong with it, without training and without changing it.

    Args:
      path: a feature file, or a folder of them.
      corpus: the corpus it belongs to, such as "mosi"; None: a guess.
      show: print the report that `python -m msa_jax.data PATH` prints.
      options: how the file is to be read where it leaves that open, such as `rows="words"`: the options of
        that command.

    Returns:
      The facts, such as `.clips`, `.findings`, `.leaks`, `.refusal`.

    Raises:
      UserError: when the file cannot be read.
    """
    from msa_jax import api

    return api.describe(path, corpus=corpus, show=show, options=options)


def load(workdir: Any) -> "Run":
    """Loads a finished run to score clips: `load(workdir).predict(texts=[...], audio=[...], vision=[...])`.

    Args:
      workdir: the run's folder, a path.

    Raises:
      UserError: when the folder holds no trained run.
    """
    from msa_jax.run import load as load_run  # late: importing msa_jax alone stays light

    return load_run(workdir)


def __getattr__(name: str) -> Any:
    # msa_jax.metrics, msa_jax.losses and msa_jax.text work without an import of their own.
    if name in ("data", "losses", "metrics", "models", "text"):
        import importlib

        return importlib.import_module(f"msa_jax.{name}")
    raise AttributeError(f"module 'msa_jax' has no attribute {name!r}")
