"""Files that are written whole or not at all, and JSON that says what is wrong with it."""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from msa_jax.errors import UserError

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


def resolved(path: str | Path) -> Path:
    """The file that a path means, whichever way it is written."""
    return Path(path).expanduser().resolve()


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
