"""Recognition of formats by content: a file of none, or of two, is refused with the known ones listed."""

import gzip
import pickle

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError

CLIP = ((["a"], np.ones((1, 3)), np.ones((1, 3))), [[1.0]], "v[0]")
MMSA = {"train": {"id": ["v$_$0"], "raw_text": ["a"], "regression_labels": [1.0]}}


def test_by_content_whatever_the_name(tmp_path):
    np.savez(tmp_path / "x.npz", id=["v_0"], text=["a"], label=[1.0])
    contents = {
        "MMSA pickle": pickle.dumps(MMSA),
        "words pickle": pickle.dumps([CLIP]),
        "CSV of texts and labels": b"video_id,clip_id,text,label\nv,0,a,1\n",
        "utterance .npz": (tmp_path / "x.npz").read_bytes(),
    }
    for suffix in (".pkl", ".csv", ".npz", ""):
        for name, raw in contents.items():
            path = tmp_path / f"file{suffix}"
            path.write_bytes(raw)
            assert readers.recognise(path) == readers.read(path).format == name
            assert len(list(readers.read(path))) == 1
            assert path.read_bytes() == raw


def test_protocol_0_pickle(tmp_path):
    (tmp_path / "x").write_bytes(pickle.dumps({"train": [CLIP]}, protocol=0))
    assert readers.recognise(tmp_path / "x") == "words pickle"


def test_ambiguous_lists_the_candidates(tmp_path):
    # A pickle of the list ["a,text,b"] in protocol 0, and just as well a CSV with a column "text".
    (tmp_path / "x").write_bytes(b"(S'a,text,b'\nl.")
    with pytest.raises(UserError, match="could be words pickle or CSV of texts and labels"):
        readers.read(tmp_path / "x")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "the file is empty"),
        (
            b"hello\n",
            "is not a pickle, .npz or HDF5, and not text whose.*known are: MMSA pickle, MulT",
        ),
        (b"a,b,c\n1,2,3\n", "first line has a column 'text'"),
        ("title\nä".encode("utf-16"), "is not a pickle, .npz"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (gzip.compress(b"x", mtime=0), "compressed by gzip"),
        (b"PK\x03\x04broken", "archive is truncated or damaged"),
        (b"\x80\x04broken", "pickle is truncated or damaged"),
        (pickle.dumps({"a": 1, "b": 2}), r"no known format \(keys a, b\); known are"),
        (pickle.dumps(3), r"no known format \(int\)"),
        (pickle.dumps({"train": [CLIP], "test": {"id": []}}), r"no known format \(keys train, test\)"),
        (
            pickle.dumps({"train": [CLIP], "dev": [CLIP], "valid": [CLIP]}),
            "dev and valid both mean the valid split",
        ),
        (pickle.dumps([]), "no clips"),
    ],
)
def test_unknown_and_broken(tmp_path, raw, message):
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(UserError, match=message) as error:
        readers.read(tmp_path / "x")
    assert str(tmp_path / "x") in str(error.value)
    assert "\n" not in str(error.value)


def test_foreign_archive(tmp_path):
    np.savez(tmp_path / "x.npz", weights=np.ones(3))
    with pytest.raises(UserError, match=r"no known format \(arrays weights\)"):
        readers.recognise(tmp_path / "x.npz")


def test_folders(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        readers.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="the folder is empty"):
        readers.read(tmp_path)
    (tmp_path / "notes").touch()
    with pytest.raises(UserError, match=r"no corpus \(train.pkl, .*, only notes"):
        readers.read(tmp_path)
    (tmp_path / "train.pkl").write_bytes(pickle.dumps(MMSA))
    with pytest.raises(UserError, match="each hold a list of clips"):
        readers.read(tmp_path)
    for name in ("train", "dev", "valid"):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps([CLIP]))
    with pytest.raises(UserError, match="dev and valid both mean the valid split"):
        readers.read(tmp_path)


def test_two_corpora_in_one_folder(tmp_path):
    (tmp_path / "train.pkl").write_bytes(pickle.dumps([CLIP]))
    (tmp_path / "language_sdk.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match="holds words pickle and UR-FUNNY SDK pickles; keep one corpus"):
        readers.read(tmp_path)


def test_a_file_without_words_is_read_for_its_features_only(tmp_path):
    arrays = {m: np.ones((2, 3, 4), np.float32) for m in ("text", "audio", "vision")}
    content = {"train": {**arrays, "labels": np.zeros((2, 1, 1))}}
    (tmp_path / "x").write_bytes(pickle.dumps(content))
    assert readers.recognise(tmp_path / "x") == "MulT pickle"
    with pytest.raises(UserError, match=r"keeps no words.*--config\.text\.encoder=features"):
        readers.read(tmp_path / "x")
    for wanted in (True, None):
        assert next(iter(readers.read(tmp_path / "x", text_features=wanted))).text_features.shape == (3, 4)
    content["train"] |= {"raw_text": ["a", "b"], "id": ["v_1", "v_2"]}
    (tmp_path / "y").write_bytes(pickle.dumps(content))
    assert readers.recognise(tmp_path / "y") == "MMSA pickle"


def test_context_where_there_is_none(tmp_path):
    (tmp_path / "x").write_bytes(pickle.dumps([CLIP]))
    with pytest.raises(UserError, match=r"no context of its clips; remove data\.context"):
        readers.read(tmp_path / "x", context=True)


def test_split_name_where_there_is_nothing_to_choose(tmp_path):
    (tmp_path / "x").write_bytes(pickle.dumps([CLIP]))
    with pytest.raises(UserError, match="one division into splits"):
        readers.read(tmp_path / "x", split_name="a")


def test_unreadable(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"text\n")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(UserError, match=r"x: cannot be read \(Permission denied\)"):
        readers.read(path)


def test_contents_of_another_form_are_one_line(tmp_path):
    wrong = {name: {"raw_text": ["a"], "id": 7, "audio": 5, "vision": 5, "regression_labels": [0]} for name in
             ("train", "valid", "test")}  # fmt: skip
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps(wrong))
    with pytest.raises(UserError) as error:
        list(readers.read(path))
    assert str(path) in str(error.value)
