"""Clips on disk for a while: the same bits, in any order and from any thread, and nothing left behind."""

import errno
import os
import resource
import tempfile
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.clip_store import ClipStore
from msa_jax.data.example import Example
from msa_jax.errors import UserError
from tests.data.small_files import WRITERS


def clip(name="v_0", **fields):
    rows = np.zeros((0, 0), np.float32)
    return Example(**{"id": name, "video": "v", "split": "", "text": "gut, 好", "audio": rows, "vision": rows,
                      "aligned": False, "label": np.nan, **fields})  # fmt: skip


def same(stored, example):
    """Whether a stored clip is an example bit for bit, down to the types of its arrays and texts."""
    assert stored.keys() == vars(example).keys()
    for name, value in vars(example).items():
        found = stored[name]
        if isinstance(value, np.ndarray):
            assert (found.dtype, found.shape) == (value.dtype, value.shape), name
            assert found.tobytes() == value.tobytes(), name
        elif isinstance(value, str):
            assert (type(found), found) == (str, value)
        else:
            np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("name", WRITERS)
def test_clips_of_every_format_come_back_as_they_were(tmp_path, name):
    source = readers.read(WRITERS[name](tmp_path), require_labels=None, text_features=None)
    examples = list(source)
    with ClipStore(tmp_path) as store:
        for example in source:
            store.add(example)
        assert len(store) == len(examples) > 0
        order = np.random.default_rng(0).permutation(len(examples)).tolist()
        for place, stored in zip(order, store.__getitems__(order), strict=True):
            same(stored, examples[place])


def test_odd_clips_come_back_too(tmp_path):
    odd = [
        clip(np.str_("ä_1"), text=np.str_("")),
        clip(audio=np.zeros((0, 5), np.float32), vision=np.full((2, 3), np.nan, np.float32)),
        clip(audio=np.arange(12, dtype=np.float32).reshape(3, 4).T, label=np.array([0.0, np.nan, 1, 1])),
        clip(tokens=np.arange(3, dtype=np.int32), aligned=np.bool_(True), label=np.float32(0.1)),
    ]
    with ClipStore(tmp_path) as store:
        for one in odd:
            store.add(one)
        for stored, one in zip(store.__getitems__(range(4)), odd, strict=True):
            same(stored, one)


def test_threads_read_at_once(tmp_path):
    rng = np.random.default_rng(0)
    clips = [clip(str(k), audio=rng.normal(size=(k, 9)).astype(np.float32)) for k in range(60)]
    with ClipStore(tmp_path) as store:
        for one in clips:
            store.add(one)
        with futures.ThreadPoolExecutor(8) as threads:
            for stored in threads.map(lambda k: store.__getitems__(range(k, 60)), [0, 9, 0, 50, 30] * 4):
                for found in stored:
                    same(found, clips[int(found["id"])])


def test_nothing_of_it_is_seen_or_left(tmp_path, monkeypatch):
    """The folder is the one that TMPDIR names, then the cache, then that of the system."""
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "system"))
    for name in ("mine", "system"):
        (tmp_path / name).mkdir()

    def place(cache=tmp_path / "cache" / "of"):
        with ClipStore(cache) as store:
            store.add(clip(audio=np.ones((4000, 9), np.float32)))
            assert [name for _, _, files in os.walk(tmp_path) for name in files] == []
            assert os.fstat(store._file.fileno()).st_nlink == 0
            return store._place

    assert place() == tmp_path / "cache" / "of"  # made
    monkeypatch.setenv("TMPDIR", str(tmp_path / "mine"))
    assert place() == tmp_path / "mine"
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    assert place() == tmp_path / "cache" / "of"
    assert place(Path("/proc/nowhere")) == tmp_path / "system"
    (tmp_path / "system").rmdir()
    with pytest.raises(
        UserError, match=r"no folder to keep the clips in .*nowhere: .*; name another"
    ) as error:
        place(Path("/proc/nowhere"))
    assert all(f"{name}: " in str(error.value) for name in (f"{tmp_path}/nowhere", "/proc/nowhere", "system"))


def test_a_system_without_a_folder_for_temporary_files_does_not_matter_where_the_cache_is_one(
    tmp_path, monkeypatch
):
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])
    with ClipStore(tmp_path / "cache") as store:
        assert store._place == tmp_path / "cache"
    with pytest.raises(UserError, match=r"no folder to keep the clips in .*the system: "):
        ClipStore(Path("/proc/nowhere"))


def test_a_disk_without_room_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with ClipStore(tmp_path) as store:
        store.add(clip(audio=np.ones((10, 9), np.float32)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        try:
            with pytest.raises(UserError, match=f"{tmp_path}: the clips cannot .*{os.strerror(errno.EFBIG)}"):
                store.add(clip(audio=np.ones((4000, 9), np.float32)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
