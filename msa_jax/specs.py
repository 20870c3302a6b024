"""Specs of configs, such as crosssent_mosi:no_gmra: the file that one means, and the nearest right name.

Nothing here imports JAX, so that --help is answered at once.
"""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from msa_jax.errors import UserError, nearest
from msa_jax.files import expanded


def shipped() -> Path:
    """The folder of the configs that come with the package."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else inside.parents[1] / "configs"


def shipped_files() -> list[Path]:
    """The configs that come with the package; base.py is not one."""
    return sorted(p for p in shipped().glob("*_*.py") if not p.name.startswith("_"))


def split_spec(spec: str) -> list[str]:
    """FILE and the variants that follow it; a drive letter such as C: belongs to the file."""
    return re.split(r":(?![\\/])", spec)


def find(file: str, variants: Sequence[str] = ()) -> Path:
    """The config file that a spec means.

    Args:
      file: a path, or the short form NAME of configs/NAME.py; a file of the folder configs that is not there
        is looked for among the shipped ones.
      variants: that follow it, for the message.

    Raises:
      UserError: when there is no such file; names the nearest.
    """
    short = re.fullmatch(r"\w+", file) is not None
    path = Path("configs", f"{file}.py") if short else expanded(file)
    if path.is_file():
        return path
    found = next((p for p in shipped_files() if path == Path("configs", p.name)), None)
    if found is not None:
        return found
    known = [f"configs/{p.name}" for p in shipped_files()]
    if now := _synthetic(path, known):
        raise UserError(
            f"--config: {file} is now a variant; say --config={':'.join((now, 'synthetic', *variants))}"
        )
    names = [Path(name).stem for name in known] + [f"{file}.py"] * Path(f"{file}.py").is_file()
    if short and difflib.get_close_matches(file, names, 1):
        known = names
    raise UserError(f"--config: there is no file {file}; {nearest(file, known)}")


def _synthetic(path: Path, known: Sequence[str]) -> str | None:
    """The config that a file of 0.1.0 for an embedded corpus has become a variant of; None for others."""
    if "synthetic" not in path.stem.split("_"):
        return None
    model, *rest = [part for part in path.stem.split("_") if part != "synthetic"] or [""]
    names = (f"configs/{model}_{corpus}.py" for corpus in ("_".join(rest), "mosi"))
    return next((name for name in names if name in known), None)
