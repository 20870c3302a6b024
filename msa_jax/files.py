"""Files: paths as users write them, writing whole or not at all, and JSON that says what is wrong with it."""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from msa_jax.errors import UserError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
OLDER = "was written by another version of msa_jax"


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name only once it is written to the end."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", newline="", encoding="utf-8") as f:
            yield f
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Writes JSON; NaN, which JSON does not know, becomes null."""
    with whole_file(path) as f:
        json.dump(finite(data), f, indent=2)
        f.write("\n")


def finite(data: Any) -> Any:
    """The same data with None for NaN and infinity."""
    if isinstance(data, Mapping):
        return {k: finite(v) for k, v in data.items()}
    if isinstance(data, list | tuple):
        return [finite(v) for v in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def expanded(path: str | Path) -> Path:
    """The path that a user means: `~`, `~name`, `$NAME` and `${NAME}` are replaced by what they stand for.

    A file or folder whose name really holds a `$` is taken as it is written, where it is there.

    Raises:
      UserError: when a variable is not set, or there is no such home.
    """
    written = os.fspath(path)
    if "$" in written and not os.path.lexists(written):
        written = _VARIABLE.sub(lambda match: _variable(match, written), written)
    if not written.startswith("~"):
        return Path(written)
    try:
        return Path(written).expanduser()
    except RuntimeError:
        home = Path(written).parts[0]
        raise UserError(f"{written}: there is no home {home}; write the folder out, or ./{home}") from None


def _variable(match: re.Match[str], path: str) -> str:
    name = match[1] or match[2]
    if not (value := os.environ.get(name)):
        raise UserError(
            f"{path}: the environment variable {name} is not set or empty; set it (export {name}=...), or "
            "write the path out"
        )
    return value


def resolved(path: str | Path) -> Path:
    """The file that a path means, whichever way it is written."""
    return expanded(path).resolve()


def read_json(path: Path, *, hint: str = "") -> dict[str, Any]:
    """Reads a JSON object.

    Args:
      path: the file.
      hint: what to do when it is missing.

    Raises:
      UserError: when the file is missing, cannot be read, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {path.name} in {path.parent}{hint and '; '}{hint}") from None
    except (OSError, ValueError) as e:
        raise UserError(f"cannot read {path}: {e}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} does not hold a JSON object")
    return values
