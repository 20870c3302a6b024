"""Failures of a build: a refused or broken one leaves nothing that could be taken for a build."""

import json
import os
import pickle

import numpy as np
import pytest

from msa_jax import seals
from msa_jax.data import datasets
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError


def _load(path, cache, corpus="mosi", cut=None, **options):
    return datasets.load(corpus, path, cache=cache, cut=cut or Cut(), **{"other_counts": True, **options})


def _names(cache):
    return sorted(set(os.listdir(cache)) - {".locks"}) if cache.exists() else []


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
        (_change("train", 0, name="train0[1]"), "1 clip id occurs twice: train0_1"),
        (_change("train", 0, name="test0[9]"), "1 video is in more than one split: test0"),
        (_change("train", 0, label=[[np.nan]]), "1 clip has no label: train0_0"),
        (_change("dev", 2, label=[[30]]), r"1 label lies outside \[-3, 3\]: dev1_2"),
        (_change("train", 0, audio=np.ones((2, 5))), "1 clip has audio rows that do not match its words"),
        (_change("train", 0, vision=np.ones((3, 6))), "vision has several widths: 6 in 1 clip"),
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


@pytest.mark.parametrize(
    ("corpus", "path", "message"),
    [
        ("mosi", "nowhere.pkl", "nowhere.pkl: no such file"),
    ],
)
def test_bad_arguments(cache, corpus, path, message):
    with pytest.raises(UserError, match=message):
        _load(path, cache, corpus)


def test_incomplete_builds_are_ignored(source, cache, count_builds):
    folder = _load(source, cache).folder
    for name in ("source.json", "seal.json"):
        (folder / name).unlink()
    assert datasets.find_built("mosi", cache) == []
    with pytest.raises(UserError, match=r"no source\.json in .*delete .* and build the corpus again"):
        datasets.open_built(folder)
    assert _load(source, cache).folder == folder
    assert len(count_builds) == 2
    assert len(datasets.find_built("mosi", cache)) == 1


def test_builds_of_another_version_are_ignored(source, cache):
    folder = _load(source, cache).folder
    facts = json.loads((folder / "source.json").read_text())
    (folder / "source.json").write_text(json.dumps({**facts, "version": "0.0.1"}))
    seals.write(folder)
    assert datasets.find_built("mosi", cache) == []
    with pytest.raises(UserError, match=r"built by version 0\.0\.1"):
        datasets.open_built(folder)


def test_builds_that_lack_a_fact_are_ignored(source, cache):
    folder = _load(source, cache).folder
    facts = json.loads((folder / "source.json").read_text())
    del facts["conventions"]
    (folder / "source.json").write_text(json.dumps(facts))
    seals.write(folder)  # of somebody who knows how
    assert datasets.find_built("mosi", cache) == []
    with pytest.raises(UserError, match="is not of a build of this version"):
        datasets.open_built(folder)


def test_a_damaged_build_is_told_and_built_again(source, cache, count_builds, capsys):
    """A bit in each of its files, or a file that is gone: the clips are the same afterwards."""
    folder = _load(source, cache).folder
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    assert len(files) >= 5
    wanted, rng = {path: path.read_bytes() for path in files}, np.random.default_rng(0)
    records = [clip["audio"].tobytes() for clip in datasets.open_built(folder).split("train")]
    for path in files:
        broken = bytearray(path.read_bytes())
        broken[rng.integers(len(broken))] ^= 1 << rng.integers(8)
        path.write_bytes(broken)
        if rng.integers(2):
            path.unlink()
        built = _load(source, cache)
        said = capsys.readouterr().out
        if path.name != "source.json" or "built again" in said:  # without one it is no build
            assert path.name in said
            assert "the corpus is built again" in said
        assert [clip["audio"].tobytes() for clip in built.split("train")] == records
    assert len(count_builds) == 1 + len(files)
    assert {path.name for path in wanted} == {path.name for path in folder.rglob("*") if path.is_file()}


def test_what_a_damaged_build_says_of_itself_is_not_passed_over(
    source, content, cache, tmp_path, monkeypatch
):
    """Unless the wanted content is in another; and builds that are not chosen are not hashed."""
    one = _load(source, cache)
    other = tmp_path / "other.pkl"
    other.write_bytes(pickle.dumps(content, 2))
    two = _load(other, cache)
    hashed, digest = [], seals.digest
    monkeypatch.setattr(seals, "digest", lambda file: hashed.append(file.name) or digest(file))
    assert {built.folder for built in datasets.find_built("mosi", cache)} == {one.folder, two.folder}
    assert hashed == ["source.json"] * 2
    for name in ("source.json", "seal.json"):
        whole = (one.folder / name).read_bytes()
        for place in range(0, len(whole), 17):
            broken = bytearray(whole)
            broken[place] ^= 1
            (one.folder / name).write_bytes(broken)
            with pytest.raises(UserError, match=rf"{name}.*; delete {one.folder}, and name its data"):
                datasets.find_built("mosi", cache)
            assert datasets.find_built("mosi", cache, content=two.content_hash) == [two]
        (one.folder / name).unlink()
        with pytest.raises(UserError, match=rf"{name}.*; delete {one.folder}, and name its data"):
            datasets.find_built("mosi", cache)
        (one.folder / name).write_bytes(whole)
    assert len(datasets.find_built("mosi", cache)) == 2


@pytest.mark.parametrize("tick", [0, 2], ids=["a file of before", "a file of just now"])
def test_a_file_that_changes_while_it_is_read_is_refused(source, cache, content, monkeypatch, tick):
    """Its build would be found under the hash of what it was before, for ever."""
    read = datasets.build.readers.read
    monkeypatch.setattr(datasets.build, "_TICK", tick)

    def changes(path, **options):
        clips, before = read(path, **options), path.stat()
        changed = bytearray(path.read_bytes())
        changed[-2] ^= 1  # as many bytes
        path.write_bytes(changed)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return clips

    monkeypatch.setattr(datasets.build.readers, "read", changes)
    with pytest.raises(UserError, match="changed while it was read"):
        _load(source, cache)
    assert _names(cache) == []


@pytest.mark.parametrize(("tick", "times"), [(0, 1), (2, 2)], ids=["a file of before", "a file of just now"])
def test_a_file_is_hashed_again_only_where_its_marks_cannot_tell(
    source, cache, content, monkeypatch, tick, times
):
    hashed, content_hash = [], datasets.build.content_hash
    monkeypatch.setattr(datasets.build, "_TICK", tick)
    monkeypatch.setattr(
        datasets.build, "content_hash", lambda path: hashed.append(path) or content_hash(path)
    )
    _load(source, cache)
    assert len(hashed) == times
