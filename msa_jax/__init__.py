"""Multimodal sentiment analysis (text, audio, vision) in JAX and Flax."""

from typing import TYPE_CHECKING, Any

from msa_jax import forks as forks  # now: it notes what processes that are forked later inherit

if TYPE_CHECKING:
    from msa_jax.run import Run

__version__ = "0.2.0.dev0"


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
