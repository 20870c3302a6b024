"""Builds beside each other, builds that are killed, and disks that are full or closed."""

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from msa_jax import stopping
from msa_jax.data import datasets
from msa_jax.data.datasets import place
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
HEAD = """
import os, resource, signal, sys, time
from pathlib import Path
from msa_jax import stopping
from msa_jax.data import datasets
from msa_jax.data import checks
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
repair, seen = checks.repair, []
"""
LOAD = 'datasets.load("mosi", sys.argv[1], cache=sys.argv[2], cut=Cut(), other_counts=True)\n'


def _load(path, cache):
    return datasets.load("mosi", path, cache=cache, cut=Cut(), other_counts=True)


def _names(cache):
    return sorted(set(os.listdir(cache)) - {".locks"})


def _start(script, *arguments):
    command = [sys.executable, "-W", "error", "-c", HEAD + script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_second_process_waits_and_opens_the_build(source, cache, tmp_path, monkeypatch, count_builds):
    started, go = tmp_path / "started", tmp_path / "go"
    script = """
def slow(*args, **options):
    Path(sys.argv[3]).touch()
    while not Path(sys.argv[4]).exists():
        time.sleep(0.01)
    return repair(*args, **options)
checks.repair = slow
"""
    other = _start(script + LOAD, source, cache, started, go)
    _wait_for(started, other)
    said = []
    monkeypatch.setattr(place, "say", lambda line: (said.append(line), go.touch()))
    built = _load(source, cache)
    assert other.communicate(timeout=30) == (b"", b"")
    assert other.returncode == 0
    (line,) = said
    assert f"{built.folder}: is being built by process {other.pid} on " in line
    assert count_builds == []
    assert _names(cache) == [built.folder.name]
    assert len(built.split("train")) == 4


def test_a_killed_build_is_removed_at_once_and_built_anew(source, cache):
    script = """
def die(*args, **options):
    seen.append(1)
    if len(seen) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return repair(*args, **options)
checks.repair = die
"""
    killed = _start(script + LOAD, source, cache)
    _, stderr = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, stderr.decode()
    (left,) = _names(cache)
    assert left.endswith(".building")
    assert datasets.find_built("mosi", cache) == []
    built = _load(source, cache)
    assert built.counts == {"train": 4, "valid": 4, "test": 4}
    assert _names(cache) == [built.folder.name]


def test_what_other_builds_left_is_removed_unless_they_still_run(source, cache):
    dead = cache / ".mosei-dead.building"
    dead.mkdir(parents=True)
    with place.workshop(cache / "mosei-alive") as alive:
        built = _load(source, cache)
        assert _names(cache) == [alive.name, built.folder.name]
    assert _names(cache) == [built.folder.name]


def test_a_build_that_begins_meanwhile_is_not_removed(cache, monkeypatch):
    """What a killed build left is removed under its lock: who builds it now waits, and finds it gone."""
    dead = cache / "mosei-dead"
    dead.with_name(f".{dead.name}.building").mkdir(parents=True)
    remove, begun, done = place._remove, [], threading.Event()

    def build():
        with place.workshop(dead) as scratch:
            begun.append(scratch)
            done.wait(20)
            (scratch / "records").touch()  # raises where the folder is gone

    def removes(left):
        thread.start()
        thread.join(0.5)
        assert begun == [], "the build begins while what was left of it is removed"
        remove(left)

    monkeypatch.setattr(place, "_remove", removes)
    thread = threading.Thread(target=build)
    with place.workshop(cache / "mosei-alive"):
        done.set()
        thread.join(20)
    assert [scratch.name for scratch in begun] == [".mosei-dead.building"]


def test_a_full_disk_leaves_old_builds_and_nothing_else(source, cache, content, monkeypatch):
    old = _load(source, cache)
    content["train"][0][0][2][0, 0] = 0.25
    source.write_bytes(pickle.dumps(content))

    def full(self, examples):
        raise RuntimeError(f"write() failed: {os.strerror(errno.ENOSPC)}; writing x; at byte 5")

    with monkeypatch.context() as patch:
        patch.setattr(tfds.core.SequentialWriter, "add_examples", full)
        with pytest.raises(UserError) as error:
            _load(source, cache)
    message = str(error.value)
    assert message.startswith(
        f"{cache}: the build could not be written (write() failed: No space left on device); "
        "it needs about 0.0 MB, "
    )
    assert "GB are free: make room, or choose another place with --config.data.cache" in message
    assert _names(cache) == [old.folder.name]
    assert len(datasets.open_built(old.folder).split("train")) == 4
    assert len(_load(source, cache).split("train")) == 4


def test_a_disk_that_really_fills_up(source, cache, content):
    """The file system refuses to let a file grow, which the writer notices at the end of a split."""
    old = _load(source, cache)
    rng = np.random.default_rng(0)
    words = [f"w{k}" for k in range(500)]
    for split, clips in content.items():
        vision, audio = rng.normal(size=(2, 500, 30)).astype(np.float32)
        clips[0] = ((np.arange(500), vision, audio, words), np.array([[0.5]]), f"{split}9[0]")
        for k in range(1, 4):
            (indices, vision, audio, spoken), label, name = clips[k]
            clips[k] = ((indices, np.ones((3, 30)), np.ones((3, 30)), spoken), label, name)
    source.write_bytes(pickle.dumps(content))
    script = f"""
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    {LOAD}
except UserError as error:
    print(error)
"""
    stdout, stderr = _start(script, source, cache).communicate()
    assert stderr == b""
    assert b"could not be written (write() failed: File too large); it needs about 0.4 MB, " in stdout
    assert stdout.count(b"\n") == 1
    assert _names(cache) == [old.folder.name]
    assert len(old.split("train")) == 4


def test_no_room_is_told_before_anything_is_written(source, cache, monkeypatch, count_builds):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(place.shutil, "disk_usage", lambda folder: usage(2000, 1600, 400))
    with pytest.raises(
        UserError, match=r"cache: there is no room for the build; it needs about 0\.0 MB, 0\.0 MB are free"
    ):
        _load(source, cache)
    assert _names(cache) == []
    # 12 clips of 3 rows, 4 + 5 wide, 4 bytes each
    monkeypatch.setattr(place.shutil, "disk_usage", lambda folder: usage(9999, 0, 12 * 3 * 9 * 4 + 100))
    assert len(_load(source, cache).split("train")) == 4


def test_metadata_that_cannot_be_written(source, cache, monkeypatch):
    def denied(self, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tfds.core.DatasetInfo, "write_to_directory", denied)
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        _load(source, cache)
    assert _names(cache) == []


def test_a_cache_that_cannot_be_made(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/cache: cannot keep a build there \(Not a directory\); choose"):
        _load(source, tmp_path / "file" / "cache")


def test_a_cache_without_permission(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    user = os.geteuid()
    if user == 0:  # whom no permission stops
        os.seteuid(65534)
    try:
        with (
            pytest.raises(UserError, match=r"closed/cache: cannot keep a build there \(Permission denied\)"),
            place.workshop(tmp_path / "closed" / "cache" / "mosi-0"),
        ):
            pass
    finally:
        os.seteuid(user)


def test_a_signal_is_obeyed_while_another_process_builds(tmp_path, capsys):
    folder = tmp_path / "corpus"

    @stopping.orderly()
    def builds():
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with place.alone(folder):
            raise AssertionError("the lock was given twice")

    with place.alone(folder), pytest.raises(stopping.Stopped):
        builds()
    assert "waiting for it to end" in capsys.readouterr().out
