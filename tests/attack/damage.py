"""Damage to files: what a bad disk, a broken download or a careless hand makes of their bytes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """One bit is another."""
    broken = bytearray(data)
    broken[rng.integers(len(broken))] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def flipped_often(data: bytes, rng: np.random.Generator) -> bytes:
    """Eight bytes are others."""
    broken = bytearray(data)
    for place in rng.integers(len(broken), size=8):
        broken[place] = int(rng.integers(256))
    return bytes(broken)


def truncated(data: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return data[: rng.integers(len(data))]


def doubled(data: bytes, rng: np.random.Generator) -> bytes:
    """A range stands there twice."""
    low, high = _range(data, rng)
    return data[:high] + data[low:]


def zeroed(data: bytes, rng: np.random.Generator) -> bytes:
    """A range is zeros."""
    low, high = _range(data, rng)
    return data[:low] + bytes(high - low) + data[high:]


def swapped(data: bytes, rng: np.random.Generator) -> bytes:
    """Two neighbouring ranges have changed places."""
    low, high = _range(data, rng)
    middle = (low + high) // 2
    return data[:low] + data[middle:high] + data[low:middle] + data[high:]


def missing(data: bytes, rng: np.random.Generator) -> None:
    """The file, or folder, is gone."""
    del data, rng


Damage = Callable[[bytes, np.random.Generator], bytes | None]
OF_CONTENT: tuple[Damage, ...] = (flipped, flipped_often, truncated, doubled, zeroed, swapped)
OF_DISKS: tuple[Damage, ...] = (flipped, flipped, truncated, missing)


def put(file: Path, content: bytes | None) -> None:
    """Gives a file this content; None removes it, or a folder with all that is in it."""
    if content is None:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    else:
        file.write_bytes(content)


def _range(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    low = int(rng.integers(len(data)))
    return low, min(len(data), low + int(2 ** rng.uniform(1, 12)))
