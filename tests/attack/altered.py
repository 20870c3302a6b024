"""Altered containers: HDF5 folders and computational sequences of which one array is written otherwise."""

from collections.abc import Callable
from pathlib import Path

import h5py

from tests.data import small_files


def h5(folder: Path, write: Callable[[h5py.File, str], object], *, labels: bool = False) -> Path:
    """A folder of arrays, of which the audio (and the labels) of the training split are written otherwise."""
    path = small_files.hdf5_folder(folder)
    for name in ("audio", "video", "text", "y") if labels else ("audio",):
        (path / f"{name}_train.h5").unlink()
        with h5py.File(path / f"{name}_train.h5", "w") as file:
            write(file, name)
    return path


def csd(folder: Path, write: Callable[[h5py.Group], object]) -> Path:
    """Computational sequences, in which the audio of one video is written otherwise."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "a") as file:
        group = file["COVAREP/data/video0"]
        del group["features"]
        write(group)
    return path
