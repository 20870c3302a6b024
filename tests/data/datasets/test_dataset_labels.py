"""Builds whose clips bring classes, several labels, or features of the text."""

import dataclasses
import pickle

import numpy as np
import pytest

from msa_jax.data import datasets, synthetic
from msa_jax.data.splits import Cut
from msa_jax.data.synthetic import PRESETS
from msa_jax.errors import UserError


def _write(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


def _load(path, cache, corpus="mosi", **options):
    return datasets.load(corpus, path, cache=cache, cut=Cut(), **{"other_counts": True, **options})


@pytest.mark.parametrize("preset", list(PRESETS))
def test_presets_are_stored_with_their_labels_and_text_features(preset, cache):
    config = dataclasses.replace(PRESETS[preset], counts=(3, 2, 2))
    clips, _ = synthetic.generate(config)
    built = datasets.build_examples(preset, clips, cache=cache, key=synthetic.corpus_key(config))
    assert (built.corpus, built.text_width) == (preset, config.text_width)
    for name in ("train", "valid", "test"):
        for record, clip in zip(built.split(name), (c for c in clips if c.split == name), strict=True):
            np.testing.assert_array_equal(record["label"], clip.label)
            assert type(record["label"]) is type(clip.label)
            assert record["text_features"].dtype == np.float32
            if config.text_width:
                np.testing.assert_array_equal(record["text_features"], clip.text_features)
            else:
                assert record["text_features"].shape == (0, 1)
    assert datasets.find_built(preset, cache) == [built]


def test_files_of_classes(tmp_path, cache):
    splits = np.array(["train", "valid", "test"])
    shared = {"id": ["a_0", "b_0", "c_0"], "text": ["x"] * 3, "split_a": splits}
    np.savez(tmp_path / "x.npz", label=[0, 1, 1], **shared)
    built = _load(tmp_path / "x.npz", cache, "ur_funny")
    assert [built.split(name)[0]["label"] for name in splits] == [0.0, 1.0, 1.0]
    label = np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], np.int64)
    np.savez(tmp_path / "y.npz", label=label, **shared)
    built = _load(tmp_path / "y.npz", cache, "iemocap")
    for name, row in zip(splits, label, strict=True):
        np.testing.assert_array_equal(built.split(name)[0]["label"], row)
        assert built.split(name)[0]["label"].dtype == np.float64
    with pytest.raises(UserError, match=r"x\.npz: 3 labels are not 4 numbers: a_0, b_0, c_0;"):
        _load(tmp_path / "x.npz", cache, "iemocap")
    with pytest.raises(UserError, match=r"y\.npz: 3 labels are not one number: a_0, b_0, c_0;"):
        _load(tmp_path / "y.npz", cache, "ur_funny")


def test_text_features_are_kept_on_request_only(tmp_path, source, cache):
    rng = np.random.default_rng(0)
    content = {
        split: {
            "id": [f"{split}$_${k}" for k in range(2)],
            "raw_text": ["so good", "bad"],
            "text": rng.normal(size=(2, 5, 6)),
            "regression_labels": [1.0, -1.0],
        }
        for split in ("train", "valid", "test")
    }
    content["test"]["text"][0, 3:] = 0
    path = _write(tmp_path / "x.pkl", content)
    plain, kept = _load(path, cache), _load(path, cache, text_features=True)
    assert plain.folder != kept.folder
    assert (plain.text_width, kept.text_width) == (0, 6)
    assert plain.split("test")[0]["text_features"].shape == (0, 1)
    found = kept.split("test")[0]["text_features"]
    np.testing.assert_array_equal(found, content["test"]["text"][0, :3].astype(np.float32))
    assert [_load(path, cache), _load(path, cache, text_features=True)] == [plain, kept]
    with pytest.raises(UserError) as error:
        _load(source, cache, text_features=True)
    assert str(error.value).startswith(f"{source} has no text features; use --config.text.encoder=")
