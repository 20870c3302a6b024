"""Files of configs: found among the shipped ones or the user's own, and imported."""

import importlib.util
import re
import sys
import types
from collections.abc import Sequence
from pathlib import Path

from msa_jax.errors import UserError, nearest


def shipped() -> Path:
    """The folder of the configs that come with the package."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else inside.parents[1] / "configs"


def shipped_files() -> list[Path]:
    """The configs that come with the package; base.py is not one."""
    return sorted(p for p in shipped().glob("*_*.py") if not p.name.startswith("_"))


def run_file(path: Path, name: str) -> types.ModuleType:
    """Executes a Python file as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


base = run_file(shipped() / "base.py", "msa_jax.config.base")


def find(file: str, variants: Sequence[str]) -> Path:
    """The path of a config file, which is looked for among the shipped ones where it is not there.

    Args:
      file: its path.
      variants: that follow it, for a message.

    Raises:
      UserError: when there is none; names the nearest.
    """
    path = Path(file)
    if path.is_file():
        return path
    found = next((p for p in shipped_files() if path == Path("configs", p.name)), None)
    if found is not None:
        return found
    known = [f"configs/{p.name}" for p in shipped_files()]
    # 0.1.0 had files of their own for the embedded corpora.
    model, *rest = [part for part in path.stem.split("_") if part != "synthetic"] or [""]
    names = (f"configs/{model}_{corpus}.py" for corpus in ("_".join(rest), "mosi"))
    now = next((name for name in names if name in known), None)
    if now and "synthetic" in path.stem.split("_"):
        raise UserError(
            f"--config: {file} is now a variant; say --config={':'.join((now, 'synthetic', *variants))}"
        )
    raise UserError(f"--config: there is no file {file}; {nearest(file, known)}")


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
