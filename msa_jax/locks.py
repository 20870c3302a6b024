"""Locks between processes: each ends with the process that holds it, and names that process to others."""

import contextlib
import datetime
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from msa_jax import stopping
from msa_jax.files import overwrite

_PATIENCE = 0.5  # seconds between two looks at whether the job is to stop


@contextlib.contextmanager
def alone(file: Path, taken: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock.

    Args:
      file: of the lock; made where it is missing, with the folders above it, and left there.
      taken: called where another process holds it, with words for that process, its machine and since when;
        raises, or returns to wait until the lock is free.

    Raises:
      OSError: when the file cannot be made.
      Stopped: when a signal has asked for it while this process waits.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(file)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        taken(file.read_text("utf-8", "replace") or "another process")
        while not lock.is_locked:
            stopping.check()
            with contextlib.suppress(filelock.Timeout):
                lock.acquire(timeout=_PATIENCE)
    try:
        with contextlib.suppress(OSError), overwrite(file) as f:  # a full disk; it is only for messages
            now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
            f.write(f"process {os.getpid()} on {socket.gethostname()} since {now}")
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def unless_taken(file: Path) -> Iterator[bool]:
    """Holds a lock where no process holds it; gives whether it does, and does not wait.

    Args:
      file: of the lock, which is made where it is missing.
    """
    lock = filelock.FileLock(file, blocking=False)
    with contextlib.suppress(filelock.Timeout, OSError):
        lock.acquire()
    try:
        yield lock.is_locked
    finally:
        lock.release()
