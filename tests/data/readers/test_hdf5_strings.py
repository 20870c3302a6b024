"""Strings in HDF5 files: damaged lengths and heaps are refused before the library reads them."""

import os
import struct

import h5py
import numpy as np
import pytest

from msa_jax.data.readers import hdf5_chunks, hdf5_strings
from msa_jax.data.readers.hdf5 import opened, whole
from msa_jax.errors import UserError
from tests.attack.bombs import zlib_zeros

WORDS = ["a", "", "film", "ü" * 40, *(f"word{k}" * (k % 7) for k in range(500)), "long" * 3000]
FORMS = {
    "contiguous": {},
    "chunks": {"chunks": (64, 1)},
    "gzip": {"chunks": (64, 1), "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (64, 1), "compression": "lzf"},
}


def _write(path, userblock=0, **options):
    with h5py.File(path, "w", userblock_size=userblock) as file:
        values = np.array(WORDS, object)[:, None]
        file.create_dataset("words", data=values, dtype=h5py.string_dtype(), **options)
    return path


def _read(path):
    with opened(path) as file:
        return whole(file["words"], f"{path}: words")


def _heap(content):
    return content.index(b"GCOL\x01\0\0\0")


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_sound_strings_are_read(tmp_path, options, userblock):
    found = _read(_write(tmp_path / "x.h5", userblock, **options))
    assert [word.decode() for word in found[:, 0]] == WORDS


@pytest.mark.parametrize("userblock", [0, 512])
@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_a_heap_of_zeros_is_refused_and_not_gone_round_for_ever(tmp_path, options, userblock):
    path = _write(tmp_path / "x.h5", userblock, **options)
    content = bytearray(path.read_bytes())
    at = _heap(content)
    content[at + 16 : at + 200] = bytes(184)
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"words: the strings are damaged \(a heap of them at byte {at}\)"):
        _read(path)


@pytest.mark.parametrize("size", [1 << 40, 1 << 62])
def test_a_heap_beyond_the_file_is_refused(tmp_path, size):
    path = _write(tmp_path / "x.h5")
    content = bytearray(path.read_bytes())
    content[_heap(content) + 8 : _heap(content) + 16] = struct.pack("<Q", size)
    path.write_bytes(content)
    with pytest.raises(UserError, match="the strings are damaged"):
        _read(path)


@pytest.mark.parametrize("form", ["contiguous", "chunks"])
def test_a_length_beyond_the_file_is_refused_before_memory_is_taken(tmp_path, form):
    path = _write(tmp_path / "x.h5", **FORMS[form])
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        dataset = file["words"].id
        at = dataset.get_offset() if form == "contiguous" else dataset.get_chunk_info(0).byte_offset
    content[at + 32 : at + 36] = struct.pack("<I", 3_900_000_000)  # of "film"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"words: is said to be 3\.90 GB, of which the file stores"):
        _read(path)


@pytest.mark.parametrize("form", ["contiguous", "gzip", "lzf"])
def test_strings_are_read_at_once_however_large_their_file_is(tmp_path, form, monkeypatch):
    """A video's words lie in a file with those of all others."""
    path = _write(tmp_path / "x.h5", **FORMS[form])
    os.truncate(path, 1 << 30)  # the rest is a hole
    reads, read = [], h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda *args: reads.append(1) or read(*args))
    assert [word.decode() for word in _read(path)[:, 0]] == WORDS
    assert len(reads) == 1


def test_all_heaps_of_a_file_are_gone_through_once(tmp_path, monkeypatch):
    """Where the entries are packed in a way that is not known here."""
    path, looked, whole_one = _write(tmp_path / "x.h5", **FORMS["gzip"]), [], hdf5_strings._is_whole
    monkeypatch.setattr(hdf5_chunks, "unpacked", lambda *args, **options: None)
    monkeypatch.setattr(hdf5_strings, "_is_whole", lambda *args: looked.append(1) or whole_one(*args))
    for _ in range(3):
        assert [word.decode() for word in _read(path)[:, 0]] == WORDS
    assert len(looked) == path.read_bytes().count(b"GCOL\x01\0\0\0")
    content = bytearray(path.read_bytes())
    content[_heap(content) + 16 : _heap(content) + 200] = bytes(184)
    path.write_bytes(content)
    with pytest.raises(UserError, match="the strings are damaged"):
        _read(path)


def test_a_chunk_of_entries_that_unpacks_to_more_is_refused(tmp_path):
    path = _write(tmp_path / "x.h5", **FORMS["gzip"])
    with h5py.File(path, "r+") as file:
        file["words"].id.write_direct_chunk((0, 0), zlib_zeros(64 << 20))
    with pytest.raises(UserError, match="words: a chunk unpacks to more than the 1024 bytes that it holds"):
        _read(path)
