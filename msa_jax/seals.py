"""Seals: content hashes, written beside the files that they protect and compared when those are opened."""

import concurrent.futures
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from msa_jax import json_kinds
from msa_jax.errors import UserError
from msa_jax.files import read_json, refuse_special, write_json

FILE = "seal.json"


def digest(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_json(data: Any) -> str:
    """SHA-256 of what JSON can hold; the order of keys does not count."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def write(folder: Path, names: Iterable[str] | None = None, **facts: Any) -> None:
    """Seals files of a folder.

    Args:
      folder: it gets `seal.json`.
      names: of its files; None: every file in it and in the folders below.
      **facts: what JSON can hold and is to be known of the files, such as the run that they belong to.
    """
    if names is None:
        every = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        names = sorted(set(every) - {FILE})
    content = {"facts": facts, "files": {name: digest(folder / name) for name in names}}
    write_json(folder / FILE, {**content, "seal": digest_json(content)})


def check(
    folder: Path,
    *,
    mend: str,
    only: Iterable[str] | None = None,
    facts: Mapping[str, json_kinds.Kind] | None = None,
) -> dict[str, Any]:
    """Compares a folder with its seal.

    Args:
      folder: as for `write`.
      mend: what to do where something is damaged.
      only: the files to compare; None: all that are sealed.
      facts: the kinds of those that there must be.

    Returns:
      The facts.

    Raises:
      UserError: when a file is not what was sealed; names it.
    """
    try:
        stored = read_json(folder / FILE)
    except UserError as e:
        raise UserError(f"{e}; {mend}") from None
    content = {name: stored.get(name) for name in ("facts", "files")}
    if stored.get("seal") != digest_json(content):
        raise UserError(f"{folder / FILE} is damaged; {mend}")
    try:
        json_kinds.check("", content, {"files": _files})
        json_kinds.check("facts.", content["facts"], facts or {})
    except UserError as e:
        raise UserError(f"{folder / FILE} is damaged: {e}; {mend}") from None
    except KeyError as e:
        raise UserError(f"{folder / FILE} is damaged: it has no fact {e.args[0]}; {mend}") from None
    files = {folder / name: h for name, h in content["files"].items() if only is None or name in only}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for file, wanted, found in zip(files, files.values(), pool.map(_found, files), strict=True):
            if isinstance(found, OSError):
                why = "is missing" if isinstance(found, FileNotFoundError) else f"cannot be read ({found})"
                raise UserError(f"{file} {why}; {mend}")
            if found != wanted:
                raise UserError(f"{file} is damaged: it is not what was written; {mend}")
    return content["facts"]


def _files(v: Any) -> bool:
    """Hashes of files inside the folder, by name."""
    return isinstance(v, dict) and all(
        isinstance(h, str) and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        for name, h in v.items()
    )


def _found(file: Path) -> str | OSError:
    try:
        refuse_special(file)
        return digest(file)
    except OSError as e:
        return e
