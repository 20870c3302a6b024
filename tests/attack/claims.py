"""Claims: files in which little is stored and much is declared."""

import zlib
from pathlib import Path

import h5py
import numpy as np

from tests.attack import altered, bombs
from tests.data import small_files


def npz_of_zeros(folder: Path) -> Path:
    """4.3 GB of zeros in 4 MB."""
    members = [_texts("id", 16), _texts("text", 16), bombs.npz_member("audio.npy", "<f8", (16, 1 << 25))]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_wide_texts(folder: Path) -> Path:
    """Texts of 4 MiB of zeros each, of which NumPy would keep 4 GB."""
    members = [_texts("id", 1 << 10), bombs.npz_member("text.npy", "<U1048576", (1 << 10,))]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_one_wide_text(folder: Path) -> Path:
    """A single text of 1 GiB."""
    members = [_texts("id", 1), bombs.npz_member("text.npy", f"<U{1 << 28}", (1,))]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_many_clips(folder: Path) -> Path:
    """1e8 clips in 100 kB."""
    count = 96 << 20
    members = [bombs.npz_member(f"{name}.npy", "|S1", (count,)) for name in ("id", "text", "label")]
    return bombs.write_zip(folder / "features.npz", members)


def npz_of_brackets(folder: Path) -> Path:
    """9000 brackets where a header has a tuple."""
    return _npz_header(folder, b"[" * 9000)


def npz_of_few_brackets(folder: Path) -> Path:
    """Brackets in a header that is short enough for NumPy."""
    brackets = b"(" * 1500 + b")" * 1500
    return _npz_header(folder, b"{'descr':'<f4','fortran_order':False,'shape':" + brackets + b"}")


def npz_of_negative_shape(folder: Path) -> Path:
    """An array of -1 rows."""
    return _npz_header(folder, b"{'descr':'<f4','fortran_order':False,'shape':(-1,)}\n")


def h5_never_written(folder: Path) -> Path:
    """Arrays of 5.6 GB that hold nothing but the promise of zeros."""
    shape, chunks = (4, 1 << 20, 350), (1, 256, 350)
    return altered.h5(folder, lambda file, name: file.create_dataset("d1", shape, "f4", chunks=chunks))


def h5_of_one_chunk(folder: Path) -> Path:
    """Arrays whose one chunk unpacks to 2 GiB."""
    shape = (4, 1 << 19, 256)
    return altered.h5(folder, lambda file, name: bombs.zero_dataset(file, "d1", shape, shape))


def h5_of_long_clips(folder: Path) -> Path:
    """Clips of 2 GiB in chunks of a MiB."""
    shape, chunks = (4, 1 << 21, 256), (1, 1 << 17, 256)
    return altered.h5(folder, lambda file, name: bombs.zero_dataset(file, "d1", shape, chunks))


def h5_of_many_clips(folder: Path) -> Path:
    """1e8 clips, of which labels and features were never written."""

    def many(file: h5py.File, name: str) -> None:
        file.create_dataset("d1", (10**8,) if name == "y" else (10**8, 1, 1), "f4", chunks=True)

    return altered.h5(folder, many, labels=True)


def h5_of_many_zero_clips(folder: Path) -> Path:
    """1e8 clips of zeros in some 100 kB a file."""

    def many(file: h5py.File, name: str) -> None:
        rest = (1,) if name == "y" else (1, 2)
        bombs.zero_dataset(file, "d1", (25 << 22, *rest), (1 << 22, *rest))

    return altered.h5(folder, many, labels=True)


def csd_never_written(folder: Path) -> Path:
    """A video with features of 5.9 GB, never written."""
    shape, chunks = (40, 37_000_000), (1, 10_000)
    return altered.csd(folder, lambda group: group.create_dataset("features", shape, "f4", chunks=chunks))


def csd_of_one_chunk(folder: Path) -> Path:
    """A video whose features unpack to 2.5 GB out of 2.5 MB."""
    return altered.csd(
        folder, lambda group: bombs.zero_dataset(group, "features", (40, 1 << 24), (40, 1 << 24))
    )


def csd_of_shared_words(folder: Path) -> Path:
    """65536 words of a MiB, which are one in the file."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_TimestampedWords.csd", "a") as file:
        group = file["words/data/video0"]
        del group["features"], group["intervals"]
        times = np.linspace(0, 4, (1 << 16) + 1)
        group["intervals"] = np.stack([times[:-1], times[1:]], 1)
        shape, text = (1 << 16, 1), h5py.string_dtype()
        words = group.create_dataset("features", shape, text, chunks=shape, compression=9)
        words[0, 0] = "a" * (1 << 20)
        _, packed = words.id.read_direct_chunk((0, 0))
        raw = bytearray(zlib.decompress(packed))
        words.id.write_direct_chunk((0, 0), zlib.compress(bytes(raw[:16]) * (1 << 16)))
    return path


def h5_of_a_long_stream(folder: Path) -> Path:
    """A chunk of 96 bytes whose stream unpacks to 2 GB of zeros."""
    return altered.h5(folder, lambda file, name: _stream(file, bombs.zlib_zeros(2 << 30), "gzip"))


def h5_of_streams_in_streams(folder: Path) -> Path:
    """A chunk of 96 bytes, packed twice: some kB that unpack to 8 MB, and these to 8 GB."""
    packed = zlib.compress(bombs.zlib_zeros(8 << 30), 9)

    def write(file: h5py.File, name: str) -> None:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_chunk((4, 6, 1))
        created.set_deflate(9)
        created.set_deflate(9)
        space = h5py.h5s.create_simple((4, 6, 1))
        h5py.h5d.create(file.id, b"d1", h5py.h5t.IEEE_F32LE, space, created).write_direct_chunk(
            (0, 0, 0), packed
        )

    return altered.h5(folder, write)


def h5_of_a_long_lzf_stream(folder: Path) -> Path:
    """A chunk of 96 bytes whose 24 MB unpack to 2 GB, by LZF."""
    packed = b"\x00\x00" + b"\xe0\xff\x00" * (8 << 20)
    return altered.h5(folder, lambda file, name: _stream(file, packed, "lzf"))


def csd_of_a_long_stream(folder: Path) -> Path:
    """Words of which one chunk unpacks to 2 GB of zeros."""
    path = small_files.csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_TimestampedWords.csd", "a") as file:
        group = file["words/data/video0"]
        shape = group["features"].shape
        del group["features"]
        words = group.create_dataset("features", shape, h5py.string_dtype(), chunks=shape, compression=9)
        words.id.write_direct_chunk((0, 0), bombs.zlib_zeros(2 << 30))
    return path


def csd_of_long_streams(folder: Path) -> Path:
    """A video's features in chunks of 320 kB, each of which is stored in less and unpacks to 256 MiB."""

    def write(group: h5py.Group) -> None:
        shape, packed = (40, 40_000), bombs.zlib_zeros(256 << 20)
        features = group.create_dataset("features", shape, "f4", chunks=(2, 40_000), compression="gzip")
        for row in range(0, 40, 2):
            features.id.write_direct_chunk((row, 0), packed)

    return altered.csd(folder, write)


def _stream(file: h5py.File, packed: bytes, compression: str) -> None:
    """An array of one chunk of 96 bytes, for which this is stored."""
    shape = (4, 6, 1)
    array = file.create_dataset("d1", shape, "f4", chunks=shape, compression=compression)
    array.id.write_direct_chunk((0, 0, 0), packed)


def _texts(name: str, count: int) -> tuple[str, bytes, int, int]:
    return bombs.npz_plain(f"{name}.npy", np.array([f"v{k}_{k}" for k in range(count)]))


def _npz_header(folder: Path, text: bytes) -> Path:
    raw = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    audio = ("audio.npy", packer.compress(raw) + packer.flush(), zlib.crc32(raw), len(raw))
    return bombs.write_zip(folder / "features.npz", [_texts("id", 16), _texts("text", 16), audio])
