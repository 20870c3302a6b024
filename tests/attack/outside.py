"""Outside: files whose content lies elsewhere, or that are none."""

import os
import socket
from pathlib import Path

import h5py
import numpy as np

from tests.attack import altered
from tests.data import small_files


def h5_external_storage(folder: Path) -> Path:
    """Any file of the user's, as audio."""
    secret = _secret(folder)

    def outside(file: h5py.File, name: str) -> None:
        file.create_dataset("d1", (4, 6, 3), "f4", external=[(str(secret), 0, 288)])

    return altered.h5(folder, outside)


def h5_external_link(folder: Path) -> Path:
    """An array of another file."""

    def outside(file: h5py.File, name: str) -> None:
        file["d1"] = h5py.ExternalLink(str(_other(folder)), "d1")

    return altered.h5(folder, outside)


def h5_link_to_link(folder: Path) -> Path:
    """An array of another file, by a link within the file to a link out of it."""

    def outside(file: h5py.File, name: str) -> None:
        file.create_group("g")["elsewhere"] = h5py.ExternalLink(str(_other(folder)), "/")
        file["d1"] = h5py.SoftLink("/g/elsewhere/d1")

    return altered.h5(folder, outside)


def h5_external_pipe(folder: Path) -> Path:
    """A link to a named pipe, to wait for ever."""
    os.mkfifo(folder / "pipe")

    def outside(file: h5py.File, name: str) -> None:
        file["d1"] = h5py.ExternalLink(str(folder / "pipe"), "d1")

    return altered.h5(folder, outside)


def h5_virtual(folder: Path) -> Path:
    """An array that is put together from another file."""

    def outside(file: h5py.File, name: str) -> None:
        layout = h5py.VirtualLayout((4, 6, 3), "f4")
        layout[...] = h5py.VirtualSource(str(_other(folder)), "d1", (4, 6, 3))
        file.create_virtual_dataset("d1", layout)

    return altered.h5(folder, outside)


def h5_link_to_itself(folder: Path) -> Path:
    """A link that never ends."""

    def round_and_round(file: h5py.File, name: str) -> None:
        file["d1"] = h5py.SoftLink("/d2")
        file["d2"] = h5py.SoftLink("/d1")

    return altered.h5(folder, round_and_round)


def csd_external_storage(folder: Path) -> Path:
    """Any file of the user's, as a video's audio."""
    outside = [(str(_secret(folder)), 0, 480)]
    return altered.csd(
        folder, lambda group: group.create_dataset("features", (40, 3), "f4", external=outside)
    )


def csd_external_video(folder: Path) -> Path:
    """A video of another file."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "a") as file:
        del file["COVAREP/data/video0"]
        file["COVAREP/data/video0"] = h5py.ExternalLink(str(_other(folder)), "/")
    return path


def csd_external_root(folder: Path) -> Path:
    """A whole sequence of another file."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "w") as file:
        file["COVAREP"] = h5py.ExternalLink(str(_other(folder)), "/")
    return path


def _secret(folder: Path) -> Path:
    path = folder / "secret"
    path.write_bytes(np.arange(1000, dtype="<f4").tobytes())
    return path


def _other(folder: Path) -> Path:
    path = folder / "other.h5"
    with h5py.File(path, "w") as file:
        file["d1"] = np.ones((4, 6, 3), "f4")
        file["data/video0/features"] = np.ones((40, 3), "f4")
    return path


def pipe(folder: Path) -> Path:
    """A named pipe in place of a file."""
    os.mkfifo(folder / "features.pkl")
    return folder / "features.pkl"


def link_to_device(folder: Path) -> Path:
    """A file that never ends."""
    (folder / "features.pkl").symlink_to("/dev/zero")
    return folder / "features.pkl"


def bound_socket(folder: Path) -> Path:
    """A socket in place of a file."""
    here = os.getcwd()
    os.chdir(folder)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("features.pkl")
    finally:
        os.chdir(here)
    return folder / "features.pkl"


def splits_pipe(folder: Path) -> Path:
    """A named pipe where the file that divides the videos is: passed over, as it is no file."""
    path = small_files.csd_folder(folder)
    (path / "splits.json").unlink()
    os.mkfifo(path / "splits.json")
    return path
