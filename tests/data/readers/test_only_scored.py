"""Clips that are only scored: whatever stands where labels are is not read, in every format."""

import csv
import pickle

import h5py
import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError
from tests.data.small_files import WRITERS


def _pickled(path, change):
    content = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(change(content)))


def _mmsa(path, value):
    def change(content):
        for arrays in content.values():
            arrays |= dict.fromkeys(("regression_labels", "regression_labels_T"), value)
        return content

    _pickled(path, change)


def _mult(path, value):
    _pickled(path, lambda content: {split: {**arrays, "labels": value} for split, arrays in content.items()})


def _words(path, value):
    for file in path.glob("*.pkl"):
        _pickled(file, lambda clips: [(clip[0], value, *clip[2:]) for clip in clips])


def _csv(path, value):
    header, *rows = list(csv.reader(path.read_text().splitlines()))
    place = header.index("label")
    lines = [header, *([*row[:place], str(value)[:1], *row[place + 1 :]] for row in rows if row)]
    path.write_text("\n".join(",".join(row) for row in lines) + "\n")


def _npz(path, value):
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "label": np.array(value, object)}, allow_pickle=True)


def _csd(path, value):
    with h5py.File(path / "CMU_MOSI_Opinion_Labels.csd", "a") as file:
        for group in file["Opinion Segment Labels/data"].values():
            count = len(group["intervals"])
            del group["features"]
            group["features"] = np.full((count, 3), np.nan)


def _hdf5(path, value):
    for file in path.glob("y_*.h5"):
        with h5py.File(file, "w") as opened:
            opened["d1"] = np.array([b"?"] * 7)


def _ur_funny(path, value):
    (path / "humor_label_sdk.pkl").write_bytes(pickle.dumps(value))


SPOIL = {
    "MMSA pickle": _mmsa,
    "MulT pickle": _mult,
    "words pickle": _words,
    "CSV of texts and labels": _csv,
    "utterance .npz": _npz,
    "CMU-MultimodalSDK .csd": _csd,
    "HDF5 per array": _hdf5,
    "UR-FUNNY SDK pickles": _ur_funny,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("value", ["?", ["high", {"a": 1}]], ids=["mark", "rubbish"])
def test_labels_that_are_none_make_no_difference(tmp_path, name, value):
    path = WRITERS[name](tmp_path)
    options = {"require_labels": None, "text_features": None, "need_text": False}
    before = list(readers.read(path, **options))
    SPOIL[name](path, value)
    after = list(readers.read(path, **options))
    assert len(before) == len(after) > 0
    for one, two in zip(before, after, strict=True):
        assert np.isnan(one.label).all()
        assert np.isnan(two.label).all()
        assert (one.id, one.video, one.text, one.aligned) == (two.id, two.video, two.text, two.aligned)
        for stream in ("audio", "vision", "text_features"):
            np.testing.assert_array_equal(getattr(one, stream), getattr(two, stream))
    with pytest.raises(UserError):
        list(readers.read(path, text_features=None, need_text=False))


def test_a_mark_in_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("video_id,clip_id,text,label\nv,0,good,?\nv,1,bad,1.5\n")
    for require_labels, labels in ((False, [np.nan, 1.5]), (None, [np.nan, np.nan])):
        clips = list(readers.read(tmp_path / "a.csv", require_labels=require_labels))
        np.testing.assert_array_equal([clip.label for clip in clips], labels)
    with pytest.raises(UserError, match=r"line 2: label '\?' is not a number"):
        list(readers.read(tmp_path / "a.csv"))
