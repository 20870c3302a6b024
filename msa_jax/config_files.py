"""Files of configs, imported: the common keys, and those that `msa_jax.specs` finds."""

import importlib.util
import re
import sys
import types
from pathlib import Path

from msa_jax.errors import UserError
from msa_jax.specs import shipped


def run_file(path: Path, name: str) -> types.ModuleType:
    """Executes a Python file as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


base = run_file(shipped() / "base.py", "msa_jax.config.base")


def read(path: Path) -> types.ModuleType:
    """The module of a config file.

    Raises:
      UserError: when it cannot be imported, or has no `get_config`.
    """
    try:
        # In a checkout the folder of that name would even be found, and give a second copy of base.py.
        if re.search(r"^\s*(from|import)\s+configs\b", path.read_text(encoding="utf-8"), re.M):
            raise UserError(
                f"--config: {path} imports from `configs`, which is not a package any more; say "
                "`from msa_jax.config import base` and start from base.config(MODEL)"
            )
        module = run_file(path, f"msa_jax_config_{path.stem}")
    except UserError:
        raise
    except Exception as e:
        raise UserError(f"--config: {path} is not a config file: {reason(e)}") from e
    if not callable(getattr(module, "get_config", None)):
        raise UserError(f"--config: {path} is not a config file: it has no function get_config")
    return module


def reason(error: Exception) -> str:
    """The kind of an error and the first line of its text."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
