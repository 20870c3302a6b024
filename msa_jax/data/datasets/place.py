"""Exclusive, crash-safe build folders, with a one-line error when the disk is full or read-only."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import filelock

from msa_jax import stopping
from msa_jax.errors import UserError
from msa_jax.files import overwrite
from msa_jax.progress import say

_ELSEWHERE = "choose another place with --config.data.cache (in Python: cache, or data_dir of a builder)"
_SCRATCH = ".building"
_PATIENCE = 0.5  # seconds between two looks at whether the job is to stop
_MARGIN = 1.05  # what the records and their index add to the features


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Waits until no other process builds `folder`, and keeps the others waiting.

    The lock ends with the process that holds it, however it ends.

    Args:
      folder: what is built; its parent is made where it is missing.

    Raises:
      UserError: when nothing can be written there.
    """
    try:
        path = _lock_file(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            holder = path.read_text("utf-8") or "another process"
            say(f"{folder}: is being built by {holder}; waiting for it to end")
            while not lock.is_locked:  # a signal is obeyed meanwhile
                stopping.check()
                with contextlib.suppress(filelock.Timeout):
                    lock.acquire(timeout=_PATIENCE)
    except OSError as error:
        raise UserError(
            f"{folder.parent}: cannot keep a build there ({error.strerror or error}); {_ELSEWHERE}"
        ) from None
    try:
        with contextlib.suppress(OSError), overwrite(path) as f:  # a full disk; it is only for messages
            f.write(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A place beside `folder` that only this process uses, empty at first and gone afterwards.

    The remains of killed builds, of this or of other folders, are removed on the way.

    Args:
      folder: what is built.

    Raises:
      UserError: when nothing can be written there.
    """
    with alone(folder):
        scratch = folder.with_name(f".{folder.name}{_SCRATCH}")
        for left in folder.parent.glob(f".*{_SCRATCH}"):
            if left == scratch or _nobody_builds(left.with_name(left.name[1:].removesuffix(_SCRATCH))):
                _remove(left)
        try:
            with explained(folder):
                scratch.mkdir()
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _remove(left: Path) -> None:
    """Removes the remains of a build; of a symbolic link the link."""
    if left.is_symlink():
        left.unlink()
    else:
        shutil.rmtree(left, ignore_errors=True)


def check_room(folder: Path, needed: int) -> None:
    """Refuses a build for which the disk has too little room.

    Args:
      folder: an existing folder on the disk that will be written.
      needed: bytes of features.

    Raises:
      UserError: when the disk has less room.
    """
    if needed * _MARGIN > shutil.disk_usage(folder).free:
        raise UserError(f"{_shown(folder)}: there is no room for the build; {_room(folder, needed)}")


@contextlib.contextmanager
def explained(folder: Path, needed: int = 0) -> Iterator[None]:
    """Turns errors of the disk into one line that names the place.

    Args:
      folder: what is built.
      needed: bytes of features, where many are written.

    Raises:
      UserError: when the disk raises an OSError.
    """
    try:
        yield
    except OSError as error:
        there = next(parent for parent in folder.absolute().parents if parent.exists())
        raise UserError(
            f"{_shown(folder)}: the build could not be written ({error.strerror or error}); "
            f"{_room(there, needed)}"
        ) from None


def _shown(folder: Path) -> Path:
    """The folder to name in messages: a scratch folder is gone by then."""
    return folder.parent if folder.name.endswith(_SCRATCH) else folder


def _room(folder: Path, needed: int) -> str:
    free = shutil.disk_usage(folder).free
    return f"it needs about {_size(needed * _MARGIN)}, {_size(free)} are free: make room, or {_ELSEWHERE}"


def _size(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _lock_file(folder: Path) -> Path:
    return folder.parent / ".locks" / f"{folder.name}.lock"


def _nobody_builds(folder: Path) -> bool:
    try:
        with filelock.FileLock(_lock_file(folder), blocking=False):
            return True
    except (filelock.Timeout, OSError):
        return False
