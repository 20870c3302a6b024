"""The builders as TFDS users know them: by name, with a manual_dir, read through `as_data_source`."""

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from msa_jax.corpora import CORPORA
from msa_jax.data import datasets
from msa_jax.data.datasets import build, place
from msa_jax.data.example import Example, no_features
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError

NAMES = {
    "cmu_mosi": "mosi",
    "cmu_mosei": "mosei",
    "ch_sims": "sims",
    "ur_funny": "ur_funny",
    "iemocap": "iemocap",
}


@pytest.fixture
def config(source, tmp_path):
    """A manual_dir with the words pickle in it, under the user's home."""
    folder = Path.home() / "features"
    folder.mkdir(parents=True)
    source.rename(folder / "words.pkl")
    (folder / ".DS_Store").write_text("")
    return tfds.download.DownloadConfig(manual_dir="~/features")


def _prepared(tmp_path, config, **options):
    builder = datasets.CmuMosei(data_dir=tmp_path / "tfds", other_counts=True, **options)
    builder.download_and_prepare(download_config=config)
    return builder


@pytest.mark.parametrize("name", list(NAMES))
def test_tfds_knows_the_corpora(name, tmp_path):
    builder = tfds.builder(name, data_dir=tmp_path)
    assert type(builder) is build.BUILDERS[NAMES[name]]
    assert str(builder.version) == "4.2.0"
    assert "4.2.0" in builder.release_notes
    info, facts = builder.info, CORPORA[NAMES[name]]
    assert info.description.startswith(f"{facts.title}: {sum(facts.counts)} ")
    assert info.homepage.startswith("http")
    assert info.citation.startswith("@")
    assert info.features["audio"].shape == (None, None)
    assert ("unimodal_labels" in info.features) is (name == "ch_sims")
    assert not info.splits
    with pytest.raises(UserError, match="nothing is prepared there; call download_and_prepare first"):
        builder.as_data_source(split="train")


def test_synthetic_corpora_are_not_registered():
    with pytest.raises(tfds.core.registered.DatasetNotFoundError):
        tfds.builder_cls("synthetic_mosi")


def test_a_file_is_prepared_and_read(tmp_path, config, content):
    builder = _prepared(tmp_path, config)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {
        "train": 4, "valid": 4, "test": 4
    }  # fmt: skip
    assert builder.info.features["audio"].shape == (None, 5)
    again = tfds.builder("cmu_mosei", data_dir=tmp_path / "tfds", other_counts=True)
    for opened in (builder, again, pickle.loads(pickle.dumps(again))):
        clips = opened.as_data_source(split="train")
        assert len(clips) == 4
        assert clips[1]["id"] == b"train0_1"
        np.testing.assert_array_equal(clips[1]["audio"], content["train"][1][0][2])
        assert opened.info.features["vision"].shape == (None, 4)
        assert opened.info.metadata["official"] is False
        assert opened.info.metadata["source"] == str(Path.home() / "features" / "words.pkl")
    assert sorted(builder.as_data_source()) == ["test", "train", "valid"]
    by_name = tfds.data_source(
        "cmu_mosei", data_dir=tmp_path / "tfds", split="test", builder_kwargs={"other_counts": True}
    )
    assert len(by_name) == 4


def test_clips_without_features_are_read(tmp_path, config, content):
    content["train"][0][0][1][:] = np.nan
    (Path.home() / "features" / "words.pkl").write_bytes(pickle.dumps(content))
    builder = _prepared(tmp_path, config)
    assert builder.as_data_source(split="train")[0]["vision"].shape == (0, 4)
    repaired = datasets.CmuMosei(data_dir=tmp_path / "tfds").info.metadata["repaired"]
    assert repaired == {"no finite number in vision, left out (12 numbers)": ["train0_0"]}


def test_other_counts_are_refused_unless_asked_for(tmp_path, config):
    builder = datasets.CmuMosei(data_dir=tmp_path / "tfds")
    message = r"4 / 4 / 4 clips .* CMU-MOSEI have 16326 / 1871 / 4659; .*\(in Python: other_counts=True\)$"
    with pytest.raises(UserError, match=message):
        builder.download_and_prepare(download_config=config)
    assert not builder.info.splits
    _prepared(tmp_path, config)
    with pytest.raises(UserError, match=message):
        datasets.CmuMosei(data_dir=tmp_path / "tfds").as_data_source(split="train")


def test_official_splits_need_nothing(tmp_path, config, monkeypatch):
    facts = dataclasses.replace(CORPORA["mosei"], counts=(4, 4, 4))
    monkeypatch.setattr(datasets.CmuMosei, "facts", facts)
    builder = datasets.CmuMosei(data_dir=tmp_path / "tfds")
    builder.download_and_prepare(download_config=config)
    assert len(builder.as_data_source(split="train")) == 4
    assert builder.info.metadata["official"] is True


def test_other_options_are_another_preparation(tmp_path, config):
    _prepared(tmp_path, config)
    with pytest.raises(
        UserError, match="prepared with text_features=False, not True; choose another data_dir"
    ):
        _prepared(tmp_path, config, text_features=True)
    _prepared(tmp_path, config, cut=Cut(seed=1))  # the file has its splits


def test_another_cut_is_another_preparation(tmp_path, config, undivided):
    (Path.home() / "features" / "words.pkl").write_bytes(pickle.dumps(undivided))
    builder = _prepared(tmp_path, config)
    assert sum(split.num_examples for split in builder.info.splits.values()) == 30
    _prepared(tmp_path, config)
    with pytest.raises(UserError, match=r"prepared with cut=\{'seed': 0, .* not \{'seed': 1, "):
        _prepared(tmp_path, config, cut=Cut(seed=1))
    anew = dataclasses.replace(config, download_mode=tfds.GenerateMode.REUSE_CACHE_IF_EXISTS)
    _prepared(tmp_path, anew, cut=Cut(seed=1))
    assert datasets.CmuMosei(data_dir=tmp_path / "tfds").info.metadata["cut"]["seed"] == 1


def test_a_manual_dir_may_be_a_folder_of_split_files(tmp_path, content):
    folder = tmp_path / "manual"
    folder.mkdir()
    for name, clips in content.items():
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(clips))
    builder = _prepared(tmp_path, tfds.download.DownloadConfig(manual_dir=folder))
    assert builder.info.splits["valid"].num_examples == 4


def test_a_manual_dir_without_the_one_file(tmp_path, config):
    folder = Path.home() / "features"
    (folder / "other.csv").write_text("x")
    with pytest.raises(UserError, match=r"features: .*; manual_dir must hold one feature file, or files"):
        _prepared(tmp_path, config)
    for item in folder.iterdir():
        item.unlink()
    with pytest.raises(UserError, match=r"features does not exist or is empty.* Put one feature file"):
        _prepared(tmp_path, config)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="manual_dir is a file"):
        _prepared(tmp_path, tfds.download.DownloadConfig(manual_dir=tmp_path / "file"))


def test_what_another_process_prepared_is_taken_up(tmp_path, config):
    waiting = datasets.CmuMosei(data_dir=tmp_path / "tfds", other_counts=True)
    _prepared(tmp_path, config)
    waiting.download_and_prepare(download_config=config)
    assert len(waiting.as_data_source(split="train")) == 4


def test_what_a_killed_process_left_is_removed(tmp_path, config):
    left = tmp_path / "tfds" / "cmu_mosei" / "incomplete.ABCDEF_4.2.0"
    left.mkdir(parents=True)
    _prepared(tmp_path, config)
    assert sorted(os.listdir(left.parent)) == [".locks", "4.2.0"]


def test_no_room(tmp_path, config, monkeypatch):
    monkeypatch.setattr(place, "_MARGIN", 1e15)
    with pytest.raises(UserError, match="no room for the build"):
        _prepared(tmp_path, config)
    assert os.listdir(tmp_path / "tfds" / "cmu_mosei") == [".locks"]


def test_labels_by_modality(tmp_path, cache):
    given = {"train": np.array([0.5, -1.0, np.nan]), "valid": np.array([0.0, 0.2, 1.0])}
    clips = [
        Example(f"{split}_0", split, split, "好", np.ones((2, 3), np.float32), no_features(), False, 0.5)
        for split in ("train", "valid", "test")
    ]
    for clip in clips[:2]:
        clip.unimodal_labels = given[clip.split]
    prepared = datasets.prepare(clips, CORPORA["sims"], where="made", cut=Cut(), other_counts=True)
    builder = datasets.ChSims(data_dir=tmp_path, prepared=prepared, other_counts=True)
    builder.download_and_prepare()
    for split in ("train", "valid"):
        found = builder.as_data_source(split=split)[0]["unimodal_labels"]
        np.testing.assert_array_equal(found, given[split])
        assert found.dtype == np.float64
        np.testing.assert_array_equal(datasets.Split(tmp_path, split)[0]["unimodal_labels"], given[split])
    assert datasets.Split(tmp_path, "test")[0]["unimodal_labels"].shape == (0,)


def test_importing_the_package_imports_no_tfds():
    script = """
import sys
import msa_jax
assert not {"tensorflow_datasets", "msa_jax.data"} & set(sys.modules)
import msa_jax.data.datasets
import tensorflow_datasets as tfds
tfds.builder_cls("cmu_mosi")
assert not {"tensorflow", "torch", "jax"} & set(sys.modules), "too many imports"
"""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=root, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
