"""Circumstances that stand in the way of a command, whatever its input: permissions and disks."""

import contextlib
import errno
import os
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import tensorflow_datasets as tfds

from msa_jax.data.datasets import place

_NOBODY = 65534


@contextlib.contextmanager
def as_nobody(closed: Path, mode: int = 0) -> Iterator[None]:
    """As a user who may do with a file or folder only what its mode says."""
    user, before = os.geteuid(), closed.stat().st_mode & 0o777
    closed.chmod(mode)
    if user == 0:  # whom no permission stops
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        closed.chmod(before)


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Where the disk is full once the clips are written, as ArrayRecord tells it."""

    def full(*_: object) -> None:
        raise RuntimeError(f"write() failed: {os.strerror(errno.ENOSPC)}; writing x; at byte 5")

    with mock.patch.object(tfds.core.SequentialWriter, "add_examples", full):
        yield


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Where the disk is known to have too little room."""
    usage = namedtuple("usage", "total used free")(2000, 1900, 100)
    with mock.patch.object(place.shutil, "disk_usage", return_value=usage):
        yield
