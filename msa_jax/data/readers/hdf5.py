"""HDF5 files, opened read-only, with a one-line error for damaged ones."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import h5py

from msa_jax.data.readers import foreign
from msa_jax.errors import UserError


@contextlib.contextmanager
def opened(path: Path, where: str | None = None) -> Iterator[h5py.File]:
    """Opens an HDF5 file read-only and closes it again.

    Args:
      path: the file.
      where: what to call the part that is read in messages; the path where it is None.

    Raises:
      UserError: when the file cannot be opened, or h5py fails on what is read from it inside the `with`: HDF5
        finds most damage only when it gets there.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        foreign.refuse(path)
        reason = str(error.args[-1] if error.args else error)
        reason = reason.replace("Unable to synchronously open file ", "")[:120].strip("()")
        raise UserError(
            f"{where or path}: cannot be read as HDF5 ({reason}); copy or download the file again"
        ) from error
