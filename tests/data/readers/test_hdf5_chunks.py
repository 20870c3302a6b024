"""Chunks of HDF5 arrays: sound ones are read, and those that unpack to more than they hold are refused."""

import zlib

import h5py
import numpy as np
import pytest

from msa_jax.data.readers import hdf5_chunks
from msa_jax.data.readers.hdf5 import child, opened, whole
from msa_jax.errors import UserError
from tests.attack.bombs import zlib_zeros

FORMS = {
    "gzip": {"compression": "gzip"},
    "all of gzip": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "all of lzf": {"compression": "lzf", "shuffle": True, "fletcher32": True},
    "shuffle alone": {"shuffle": True, "fletcher32": True},
    "szip": {"compression": "szip"},
    "a scale": {"scaleoffset": 3, "compression": "gzip"},
}
_REFUSED = "/d: a chunk unpacks to more than the"


def _numbers(shape=(50, 3000)):
    return np.random.default_rng(0).normal(size=shape).astype("f4").round(3)


def _read(path):
    with opened(path) as file:
        return whole(child(file, "d"), f"{path}: d")


@pytest.mark.parametrize("chunks", [(7, 1000), (50, 3000)])
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_sound_numbers_are_read(tmp_path, options, chunks, monkeypatch):
    """Also where the last chunks hang over, and every chunk is looked at."""
    monkeypatch.setattr(hdf5_chunks, "_SLACK", 0)
    if options.get("compression") == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
        pytest.skip("this HDF5 has no szip")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=_numbers(), chunks=chunks, **options)
    atol = 1e-3 if "scaleoffset" in options else 0
    np.testing.assert_allclose(_read(tmp_path / "x.h5"), _numbers(), atol=atol)


def _forged(path, packed, *, holds=400_000, filters=("deflate",), names=("d",)):
    """Arrays of one chunk of so many bytes each, for which something else is stored."""
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_chunk((holds // 4,))
    for name in filters:
        if name == "lzf":
            created.set_filter(32000, h5py.h5z.FLAG_OPTIONAL, None)
        else:
            created.set_deflate(4)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple((holds // 4,))
        for name in names:
            array = h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, created)
            array.write_direct_chunk((0,), packed)
    return path


@pytest.mark.parametrize(
    ("packed", "filters"),
    [
        (zlib_zeros(256 << 20), ("deflate",)),  # stored in less than it holds, as it should be
        (zlib.compress(zlib_zeros(512 << 20), 9), ("deflate", "deflate")),
        (b"\0\0" + b"\xe0\xff\0" * 120_000, ("lzf",)),
        (bytes(500_000), ("deflate",)),  # stored in more than it holds
    ],
    ids=["deflate", "deflate twice", "lzf", "longer than it holds"],
)
def test_a_chunk_that_unpacks_to_more_is_refused(tmp_path, packed, filters, monkeypatch):
    if filters == ("lzf",):
        monkeypatch.setattr(hdf5_chunks, "_SLACK", 1 << 20)  # small ones are left to the library
    path = _forged(tmp_path / "x.h5", packed, filters=filters)
    with pytest.raises(UserError, match=f"{_REFUSED} 400000 bytes that it holds; extract or download"):
        _read(path)


def test_many_small_arrays_of_a_file_are_not_left_to_the_library(tmp_path, monkeypatch):
    """What each may unpack to without a look counts together, also where the file is opened again."""
    monkeypatch.setattr(hdf5_chunks, "_SLACK", 1 << 24)
    names = [f"d{k}" for k in range(40)]
    path = _forged(tmp_path / "x.h5", zlib_zeros(9 << 20), holds=96, names=names)
    for name in ("d0", "d0", "d0"):  # one that was judged counts once
        with opened(path) as file:
            child(file, name)
    for name in names[1:]:
        with opened(path) as file, pytest.raises(UserError, match=f"/{name}: a chunk unpacks to more than"):
            child(file, name)
    with h5py.File(tmp_path / "honest.h5", "w") as file:
        for name in names:
            file.create_dataset(name, data=_numbers((50, 300)), compression="gzip")
    with opened(tmp_path / "honest.h5") as file:
        for name in names:
            np.testing.assert_array_equal(child(file, name)[()], _numbers((50, 300)))


def test_what_a_filter_says_that_it_makes_is_bounded(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("d", data=_numbers(), chunks=(50, 3000), scaleoffset=3)
    scale = (h5py.h5z.FILTER_SCALEOFFSET, (0, 3, 1 << 30, 1, 4))
    monkeypatch.setattr(hdf5_chunks, "filters_of", lambda dataset: [scale])
    with pytest.raises(UserError, match=_REFUSED):
        _read(tmp_path / "x.h5")


def test_an_array_is_looked_at_once_and_again_when_its_file_has_changed(tmp_path, monkeypatch):
    path, looked = tmp_path / "x.h5", []
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=_numbers(), chunks=(50, 3000), compression="gzip")
    stored = hdf5_chunks.stored
    monkeypatch.setattr(hdf5_chunks, "stored", lambda dataset: looked.append(1) or stored(dataset))
    for _ in range(3):
        _read(path)
    assert len(looked) == 1
    _forged(path, zlib_zeros(256 << 20))
    with pytest.raises(UserError, match=_REFUSED):
        _read(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"ab" * 4000, bytes(50_000), _numbers((40, 40)).tobytes()])
def test_lzf_is_unpacked_as_the_library_does(tmp_path, content):
    raw = np.frombuffer(content + bytes(range(200)) * 4, np.uint8)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        array = file.create_dataset("d", data=raw, chunks=raw.shape, compression="lzf")
        mask, packed = array.id.read_direct_chunk((0,))
    assert mask == 0, "this content has to be one that LZF can pack"
    assert hdf5_chunks.unpacked(packed, [32000], 0, len(raw)) == raw.tobytes()
    for end in range(1, len(packed), 97):  # damaged ones are no traceback
        assert hdf5_chunks.unpacked(packed[end:], [32000], 0, len(raw)) != raw.tobytes()
    with pytest.raises(hdf5_chunks.TooLarge):
        hdf5_chunks.unpacked(packed, [32000], 0, len(raw) - 65)
