"""MFN's folders, in which one array a split holds the columns of all modalities."""

import h5py
import numpy as np
import pytest

from msa_jax.data.readers import hdf5_arrays
from msa_jax.errors import UserError
from tests.data.small_files import mfn_folder


def _read(folder, require_labels=True, **options):
    return list(hdf5_arrays.reader(folder, str(folder), require_labels, **options).examples())


@pytest.fixture
def mfn(tmp_path):
    return mfn_folder(tmp_path)


def test_the_columns_of_mfn_are_text_audio_vision(mfn):
    """As test_mosi.py of MFN joins them; a clip is padded in front, and cut on one time line."""
    path = mfn / "X_valid.h5"
    with h5py.File(path, "a") as file:
        file["data"][1, 1, :300] = 0  # text is silent at the first step that is used
        file["data"][2, :, 300:305] = 0  # no audio at all
    reading = hdf5_arrays.reader(mfn, str(mfn), True, text_features=True)
    clips = list(reading.examples())
    assert [clip.id for clip in clips] == [
        f"{split}_{k}" for split in ("train", "valid", "test") for k in range(4)
    ]
    for number, clip in enumerate(clips):
        place = number % 4
        with h5py.File(mfn / f"X_{clip.split}.h5") as file, h5py.File(mfn / f"y_{clip.split}.h5") as labels:
            rows = file["data"][place, place:]
            assert clip.label == labels["data"][place]
        np.testing.assert_array_equal(clip.text_features, rows[:, :300])
        np.testing.assert_array_equal(clip.vision, rows[:, 305:])
        if clip.id == "valid_2":
            assert clip.audio.shape == (0, 0)
        else:
            np.testing.assert_array_equal(clip.audio, rows[:, 300:305])
        assert not clip.aligned
    assert reading.notes == (
        "The columns of X_train.h5, X_valid.h5, X_test.h5 are split in the order of MFN's test_mosi.py: the "
        "first 300 are read as text, the next 5 as audio and the last 20 as vision.",
    )


def test_the_joint_array_is_read_once_a_block(mfn, monkeypatch):
    whole = _read(mfn, text_features=True)
    read = []
    of_file = hdf5_arrays.Array.read
    monkeypatch.setattr(
        hdf5_arrays.Array, "read", lambda array, rows: read.append(array.path.name) or of_file(array, rows)
    )
    monkeypatch.setattr(hdf5_arrays, "_BLOCK", 2 * 6 * 325 * 8)  # two clips
    for clip, same in zip(_read(mfn, text_features=True), whole, strict=True):
        for name in ("id", "label", "text_features", "audio", "vision"):
            np.testing.assert_array_equal(getattr(clip, name), getattr(same, name))
    assert [read.count(f"X_{split}.h5") for split in ("train", "valid", "test")] == [2, 2, 2]


def test_mfn_without_text_or_labels(mfn):
    clips = _read(mfn)
    assert {(clip.text_features.shape, clip.audio.shape[1], clip.vision.shape[1]) for clip in clips} == {
        ((0, 0), 5, 20)
    }
    (mfn / "y_test.h5").unlink()
    with pytest.raises(UserError, match=r"test split has no label array, only X_test\.h5; add"):
        _read(mfn)
    assert [bool(np.isnan(clip.label)) for clip in _read(mfn, require_labels=False)] == [False] * 8 + [
        True
    ] * 4


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "X_valid.h5",
            np.zeros((4, 6, 377)),  # without MFN's selection of columns: 300 + 34 + 43
            r"X_valid\.h5: data is 377 columns wide, but 300 of text \+ 5 of audio \+ 20 of vision are "
            r"expected; save text, audio and vision in files of their own: text_valid\.h5, audio_valid",
        ),
        ("X_valid.h5", np.zeros((4, 325)), r"X_valid\.h5: data must be \(clips, steps, width\)"),
        ("X_valid.h5", np.zeros((3, 6, 325)), r"valid split differ .*3 in X_valid\.h5, 4 in y_valid\.h5"),
        (
            "audio_test.h5",
            np.zeros((4, 6, 74)),
            r"X_test\.h5 already holds the text, audio and vision of the test split; remove it, or remove "
            r"audio_test\.h5",
        ),
        ("text_test_emb.h5", np.zeros((4, 6, 300)), r"remove it, or remove text_test_emb\.h5"),
        (
            "X_dev.h5",
            np.zeros((4, 6, 325)),
            r"X_dev\.h5 and X_valid\.h5 are both the joint array of the valid",
        ),
    ],
)
def test_bad_joint_arrays(mfn, name, array, message):
    with h5py.File(mfn / name, "w") as file:
        file["data"] = array
    with pytest.raises(UserError, match=message) as error:
        hdf5_arrays.reader(mfn, str(mfn), True)
    assert str(mfn) in str(error.value)
    assert "\n" not in str(error.value)


def test_columns_in_place_of_rows_are_named(mfn):
    with h5py.File(mfn / "X_test.h5", "a") as file:
        rows = file["data"][()]
        del file["data"]
        file["data"] = rows.swapaxes(1, 2)
    with pytest.raises(
        UserError, match=r"X_test\.h5: rows and columns are swapped, .* in data \(4, 325, 6\); save"
    ):
        _read(mfn)
