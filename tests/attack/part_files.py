"""Mutated feature files of every format: read, or refused by one line."""

from pathlib import Path

import h5py
import numpy as np

from tests.attack import damage, tiny_run
from tests.attack.judge import judge
from tests.attack.table import Row
from tests.attack.worker import Worker
from tests.data import small_files
from tests.data.conventions import matrix

_EACH = 37  # of the matrix's many files one in so many is taken


def compressed_npz(folder: Path) -> Path:
    """An utterance .npz whose arrays are compressed."""
    with np.load(small_files.npz_file(folder)) as arrays:
        np.savez_compressed(folder / "features.npz", **arrays)
    return folder / "features.npz"


def compressed_hdf5(folder: Path) -> Path:
    """HDF5 per array in compressed chunks with checksums."""
    path = small_files.hdf5_folder(folder)
    for file in path.iterdir():
        with h5py.File(file, "r+") as content:
            (name,) = content
            array = content[name][()]
            del content[name]
            content.create_dataset(name, data=array, chunks=True, compression="gzip", fletcher32=True)
    return path


def seeds(folder: Path, *, each: int = _EACH) -> list[Path]:
    """Good files and folders of every format, in folders of their own."""
    writers = [*small_files.WRITERS.values(), small_files.mfn_folder, compressed_npz, compressed_hdf5]
    cases = [case.write for case in matrix.cases()][::each]
    paths = []
    for count, write in enumerate([*writers, *cases]):
        place = folder / f"seed{count}"
        place.mkdir(parents=True)
        paths.append(write(place))
    return paths


def mutated_files(
    row: Row, folder: Path, rng: np.random.Generator, worker: Worker, count: int, *, each: int = _EACH
) -> None:
    """Reads so many mutated files.

    Args:
      row: counts them.
      folder: empty.
      rng: draws the mutations.
      worker: reads.
      count: of files.
      each: as of `seeds`.
    """
    paths = seeds(folder, each=each)
    worker.ask("read", watched=folder, path=paths[0])  # what a process does once must not count
    for number in range(count):
        path = paths[number % len(paths)]
        files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
        file = files[rng.integers(len(files))]
        whole = file.read_bytes()
        how = damage.OF_CONTENT[rng.integers(len(damage.OF_CONTENT))]
        file.write_bytes(how(whole, rng))
        before, size = tiny_run.content(path), sum(f.stat().st_size for f in files)
        answer = worker.ask("read", watched=path.parent, path=path)
        what = f"{file} {how.__name__}, number {number}"
        judge(row, answer, what, size=size, may_write=())
        if tiny_run.content(path) != before:
            row.fault("files changed", what)
        file.write_bytes(whole)
