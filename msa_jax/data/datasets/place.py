"""Exclusive, crash-safe build folders, with a one-line error when the disk is full or read-only."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from msa_jax import locks
from msa_jax.errors import UserError
from msa_jax.progress import say

_ELSEWHERE = "choose another place with --config.data.cache (in Python: cache, or data_dir of a builder)"
_SCRATCH = ".building"
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

    def taken(holder: str) -> None:
        say(f"{folder}: is being built by {holder}; waiting for it to end")

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locks.alone(_lock_file(folder), taken))
        except OSError as error:
            raise UserError(
                f"{folder.parent}: cannot keep a build there ({error.strerror or error}); {_ELSEWHERE}"
            ) from None
        yield


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
            of = left.with_name(left.name[1:].removesuffix(_SCRATCH))
            if left == scratch:
                _remove(left)
                continue
            # Held until it is removed: another process may be about to begin this very build.
            with locks.unless_taken(_lock_file(of)) as mine:
                if mine:
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
