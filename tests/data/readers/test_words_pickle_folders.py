"""Folders of words pickles: names that belong together, and what else may lie beside them."""

import pickle

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError
from tests.data.small_files import csd_folder, ur_funny_folder, words_folder


def _write(folder, *names):
    """A clip in each file, whose word is the name of the file."""
    folder.mkdir(exist_ok=True)
    for name in names:
        parts = (np.arange(1), np.ones((1, 3), np.float32), np.ones((1, 2), np.float32), [name])
        clip = (parts, np.array([[1.0]], np.float32), f"{name}[0]")
        (folder / f"{name}.pkl").write_bytes(pickle.dumps([clip]))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("train", "dev", "test"),
        ("train", "val", "test"),
        ("train_align", "dev_align", "test_align"),
        ("mosi_train", "mosi_valid", "mosi_test"),
        ("mosi-train-50", "mosi-dev-50", "mosi-test-50"),
        ("new_train_align_v4_0610", "new_dev_align_v4_0610", "new_test_align_v4_0610"),
    ],
)
def test_names_that_belong_together(tmp_path, names):
    folder = _write(tmp_path / "mosi", *names)
    (folder / "embedding_and_mapping.pt").write_bytes(b"PK\x03\x04")
    (folder / "test_results.pkl").write_bytes(pickle.dumps({"Acc-2": 0.8}))
    for name in names:
        (folder / f"._{name}.pkl").write_bytes(b"Mac OS X")
    assert readers.recognise(folder) == "words pickle"
    assert readers.files(folder) == sorted(folder / f"{name}.pkl" for name in names)
    source = readers.read(folder)
    assert {clip.split: clip.text for clip in source} == dict(
        zip(("train", "valid", "test"), names, strict=True)
    )
    assert source.reading.notes == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("train", "dev", "test"), ("train_align", "dev_align", "test_align")),
        (("mosi_train", "mosi_test"), ("mosei_train", "mosei_dev", "mosei_test")),
    ],
)
def test_two_sets_in_a_folder(tmp_path, one, other):
    folder = _write(tmp_path / "mosi", *one, *other)
    for use in (readers.read, readers.recognise, readers.files):
        with pytest.raises(
            UserError, match=r"several sets of words pickles.*name one file, or keep"
        ) as error:
            use(folder)
        assert str(folder) in str(error.value)
        assert "\n" not in str(error.value)
        for names in (one, other):
            assert f"({', '.join(f'{name}.pkl' for name in sorted(names))})" in str(error.value)
    (clip,) = readers.read(folder / f"{other[0]}.pkl")
    assert clip.text == other[0]


def test_two_names_for_a_split(tmp_path):
    folder = _write(tmp_path / "mosi", "mosi_train", "mosi_dev", "mosi_valid", "mosi_test")
    with pytest.raises(UserError, match="mosi_dev and mosi_valid both mean the valid split"):
        readers.read(folder)


def test_pickles_of_something_else(tmp_path):
    folder = _write(tmp_path / "mosi", "mosi_train")
    (folder / "mosi_test.pkl").write_bytes(pickle.dumps({"id": []}))
    with pytest.raises(UserError, match=r"mosi_test.pkl, mosi_train.pkl must each hold a list of clips"):
        readers.read(folder)


@pytest.mark.parametrize("names", [("mosi_train",), ("train_test", "dev_test"), ("trainer", "contest")])
def test_no_set(tmp_path, names):
    with pytest.raises(UserError, match="the folder holds no corpus"):
        readers.read(_write(tmp_path / "mosi", *names))


def test_misa_writes_beside_the_csd_files(tmp_path):
    folder = csd_folder(tmp_path)
    words_folder(tmp_path)  # into the same folder
    source = readers.read(folder)
    assert readers.recognise(folder) == source.format == "words pickle"
    assert [file.name for file in readers.files(folder)] == ["dev.pkl", "test.pkl", "train.pkl"]
    assert {clip.id for clip in source} == {f"{s}{k}_0" for s in ("train", "dev", "test") for k in range(4)}
    assert source.reading.notes == (
        "The folder holds words pickles and .csd files: the pickles are read, the .csd files are not.",
    )


def test_csd_files_with_results_beside_them(tmp_path):
    folder = csd_folder(tmp_path)
    (folder / "test_results.pkl").write_bytes(pickle.dumps([1.0]))
    assert readers.recognise(folder) == "CMU-MultimodalSDK .csd"


def test_ur_funny_is_no_words_pickle(tmp_path):
    folder = ur_funny_folder(tmp_path)
    assert readers.recognise(folder) == "UR-FUNNY SDK pickles"
    (folder / "language_sdk.pkl").unlink()
    with pytest.raises(UserError, match="the folder holds no corpus"):
        readers.recognise(folder)
