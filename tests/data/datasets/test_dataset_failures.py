"""What is refused or breaks off leaves nothing that could be taken for a build."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from msa_jax.data import datasets
from msa_jax.data.datasets import build, checks
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError


def _load(path, cache, corpus="mosi", cut=None, **options):
    return datasets.load(corpus, path, cache=cache, cut=cut or Cut(), **options)


def _names(cache):
    return sorted(os.listdir(cache)) if cache.exists() else []


def _change(split, index, **parts):
    def change(content):
        (indices, vision, audio, words), label, name = content[split][index]
        new = {"vision": vision, "audio": audio, "words": words, "label": label, "name": name, **parts}
        content[split][index] = (
            (indices, new["vision"], new["audio"], new["words"]),
            new["label"],
            new["name"],
        )

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_change("train", 0, name="train0[1]"), "1 clip ids occur twice: train0_1"),
        (_change("train", 0, name="test0[9]"), "1 videos are in more than one split: test0"),
        (_change("train", 0, label=[[np.nan]]), "1 clips have no label: train0_0"),
        (_change("dev", 2, label=[[30]]), r"1 labels lie outside \[-3, 3\]: dev1_2"),
        (_change("train", 0, audio=np.ones((2, 5))), "1 clips have audio rows that do not match their words"),
        (_change("train", 0, vision=np.ones((3, 6))), "vision has several widths: 6 in 1 clips"),
        (_change("train", 0, vision=np.ones(3)), "not the numbers expected"),
        (lambda content: content.pop("test"), "has train, valid but no test split"),
        (lambda content: content.clear(), "no known format"),
    ],
)
def test_refusals_leave_the_cache_clean(source, content, cache, change, message):
    change(content)
    source.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        _load(source, cache)
    assert str(source) in str(error.value)
    assert "\n" not in str(error.value)
    assert _names(cache) == []


def test_a_failure_while_writing_leaves_the_cache_clean(source, cache, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checks, "repair", fail)
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        _load(source, cache)
    assert _names(cache) == []


@pytest.mark.parametrize(
    ("corpus", "path", "message"),
    [
        ("mosi", "nowhere.pkl", "nowhere.pkl: no such file"),
    ],
)
def test_bad_arguments(cache, corpus, path, message):
    with pytest.raises(UserError, match=message):
        _load(path, cache, corpus)


def test_a_cache_that_cannot_be_made(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot keep a build there"):
        _load(source, tmp_path / "file" / "cache")


def test_incomplete_builds_are_ignored(source, cache, count_builds):
    folder = _load(source, cache).folder
    (folder / "source.json").unlink()
    assert datasets.find_built("mosi", cache) == []
    with pytest.raises(UserError, match="not a complete build"):
        datasets.open_built(folder)
    assert _load(source, cache).folder == folder
    assert len(count_builds) == 2
    assert len(datasets.find_built("mosi", cache)) == 1


def test_builds_of_another_version_are_ignored(source, cache):
    folder = _load(source, cache).folder
    facts = json.loads((folder / "source.json").read_text())
    (folder / "source.json").write_text(json.dumps({**facts, "version": "0.0.1"}))
    assert datasets.find_built("mosi", cache) == []
    with pytest.raises(UserError, match=r"built by version 0\.0\.1"):
        datasets.open_built(folder)


def test_a_killed_build_is_not_taken_for_complete(source, cache):
    """The process dies in the middle of writing; the next one builds anew."""
    script = """
import os, signal, sys
from msa_jax.data import datasets
from msa_jax.data.datasets import checks
from msa_jax.data.splits import Cut
repair, seen = checks.repair, []
def die(*args):
    seen.append(1)
    if len(seen) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return repair(*args)
checks.repair = die
datasets.load("mosi", sys.argv[1], cache=sys.argv[2], cut=Cut())
"""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(cache)], cwd=root, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    (left,) = _names(cache)
    assert datasets.find_built("mosi", cache) == []
    built = _load(source, cache)
    assert built.counts == {"train": 4, "valid": 4, "test": 4}
    assert _names(cache) == [left, built.folder.name]
    os.utime(cache / left, (time.time() - 2 * 86400,) * 2)
    (built.folder / "source.json").unlink()
    _load(source, cache)
    assert _names(cache) == [built.folder.name], "what was left long ago is removed by the next build"


def test_two_processes_may_build_at_once(source, cache, monkeypatch):
    """The slower one finds the folder taken when it is done, and uses it."""
    original = build._remove_killed

    def overtaken(folder):
        monkeypatch.setattr(build, "_remove_killed", original)
        assert _load(source, cache).folder == folder
        return original(folder)

    monkeypatch.setattr(build, "_remove_killed", overtaken)
    built = _load(source, cache)
    assert _names(cache) == [built.folder.name]
    assert len(built.split("train")) == 4
