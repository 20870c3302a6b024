"""Files: paths as users write them, writing whole or not at all, and JSON that says what is wrong with it."""

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from msa_jax.errors import UserError

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
OLDER = "was written by another version of msa_jax"
_PART = ".part"
_LONGEST = 255  # bytes of a name, on nearly every system
_KEPT = 200  # bytes of a file's name in that of its part
_ABANDONED = 24 * 3600  # seconds after which nobody writes a part any more
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
_SPECIAL = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_LARGEST_JSON, _MOST_VALUES = 1 << 26, 4_000_000  # bytes; a tokenizer has some 20 MB, and a million values
_DEEPEST = 64  # objects and lists in each other; whoever walks through deeper ones runs out of stack


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name only once it is written to the end.

    It is written under a random name beside it, which is made for it alone; what stood under its own name is
    replaced, and where that was a symbolic link, the link is. What a killed process has left under such a
    name is removed a day later, when the same file is written again.

    Raises:
      UserError: when the name is taken by a folder, a pipe or a device.
    """
    refuse_special(path)
    _sweep(path)
    part = path.with_name(f"{_part_start(path)}{secrets.token_hex(8)}{_PART}")
    try:
        with os.fdopen(os.open(part, _NEW, 0o666), "w", newline="", encoding="utf-8") as f:
            yield f
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _part_start(path: Path) -> str:
    return f".{_beginning(path.name, _KEPT)}."


def _beginning(name: str, most: int) -> str:
    """As many whole characters of a name as so many bytes hold: systems count bytes."""
    return os.fsencode(name)[:most].decode("utf-8", "ignore")


def fitting(before: str, name: str, after: str = "") -> str:
    """The three together as the name of a file or folder; of a name that is too long for that the beginning.

    A hash then stands for the rest, so that other names give another one.
    """
    room = _LONGEST - len(os.fsencode(before)) - len(os.fsencode(after))
    if len(os.fsencode(name)) > room:
        rest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
        name = f"{_beginning(name, room - len(rest) - 1)}-{rest}"
    return f"{before}{name}{after}"


def _sweep(path: Path) -> None:
    """Removes the parts of the file that killed processes have left."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            ours = entry.name.startswith(_part_start(path)) and entry.name.endswith(_PART)
            if ours and time.time() - entry.stat(follow_symlinks=False).st_mtime > _ABANDONED:
                os.unlink(entry.path)  # of a link the link


def append(path: Path) -> IO[str]:
    """Opens a text file for lines at its end, and makes it where it is missing.

    Raises:
      UserError: when it is a symbolic link, a folder, a pipe or a device.
    """
    return _opened(path, os.O_APPEND)


def overwrite(path: Path) -> IO[str]:
    """Opens a text file to write it anew, in place, for files that other processes hold open; as `append`."""
    return _opened(path, os.O_TRUNC)


def _opened(path: Path, how: int) -> IO[str]:
    refuse_link(path)
    refuse_special(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | how | _NO_LINK, 0o666), "w", encoding="utf-8")


def mark(path: Path) -> None:
    """Makes an empty file under a name that is free, and follows no link.

    Raises:
      OSError: when the name is taken, also by a link that leads nowhere, or the disk has no room.
    """
    os.close(os.open(path, _NEW, 0o666))


def to_disk(folder: Path) -> None:
    """Has the system write out what it holds back of a folder's files."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refuse_link(path: Path) -> None:
    """UserError for a symbolic link where this program writes into a file or folder, or deletes one."""
    if path.is_symlink():
        raise UserError(f"{path}: is a symbolic link, which is not written through; remove it")


def links_in(folder: Path) -> Iterator[Path]:
    """The symbolic links in a folder and the folders below it, which are not followed."""
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if (path := Path(place, name)).is_symlink())


def refuse_special(path: Path) -> None:
    """Does nothing but for a name that is neither free nor a file's, nor a link to one.

    To open a named pipe waits for another program, and a device has no end.

    Raises:
      UserError: when it is a folder, a named pipe, a socket or a device.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # whoever opens it says what is wrong
        return
    if not stat.S_ISREG(mode):
        kind = next((what for is_it, what in _SPECIAL if is_it(mode)), "no file")
        raise UserError(f"{path}: is {kind}, and a file is needed there; remove it or name a file")


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
      UserError: when it is not a path, a variable is not set, or there is no such home.
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"the path is {path!r}, which is neither a text nor a pathlib.Path")
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
      UserError: when the file is missing, is not a file, is too large or nested too deeply, cannot be read,
        or holds something else.
    """
    refuse_special(path)
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise UserError(f"{path}: is larger than {_LARGEST_JSON >> 20} MiB, as no such file is")
        text = path.read_text(encoding="utf-8")
        if sum(map(text.count, "[{,")) > _MOST_VALUES:  # each may take a hundred times as much memory
            raise UserError(f"{path}: holds over {_MOST_VALUES} values, as no such file does")
        values = json.loads(text)
        _refuse_deep(values)
    except FileNotFoundError:
        raise UserError(f"there is no {path.name} in {path.parent}{hint and '; '}{hint}") from None
    except RecursionError:
        raise UserError(f"cannot read {path}: it is nested too deeply") from None
    except (OSError, ValueError) as e:
        raise UserError(f"cannot read {path}: {e}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} does not hold a JSON object")
    return values


def _refuse_deep(values: Any) -> None:
    """RecursionError where objects and lists are nested more than `_DEEPEST` deep."""
    level, depth = [values], 0
    while level := [v for v in level if isinstance(v, dict | list)]:
        if (depth := depth + 1) > _DEEPEST:
            raise RecursionError
        level = [inner for v in level for inner in (v.values() if isinstance(v, dict) else v)]
