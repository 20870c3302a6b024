"""MulT pickles: padded in front or behind, scores and IEMOCAP's pairs, every kind of id, and known dirt."""

import io
import pickle
import struct
import tracemalloc
from typing import ClassVar

import numpy as np
import pytest

from msa_jax.corpora import EMOTIONS
from msa_jax.data.readers import mult_pickle, safe_pickle
from msa_jax.errors import UserError

ROWS = {"text": (2, 3), "audio": (4, 2), "vision": (3, 5)}  # used rows of the two clips
LENGTHS = {"text": 5, "audio": 7, "vision": 6}
WIDTHS = {"text": 4, "audio": 3, "vision": 2}


def _split(seed, *, left=True, lengths=LENGTHS):
    """Two clips, and the rows of each without padding."""
    rng = np.random.default_rng(seed)
    arrays, rows = {}, []
    for name, length in lengths.items():
        arrays[name] = np.zeros((2, length, WIDTHS[name]), np.float32)
        for clip, used in enumerate(ROWS[name]):
            place = slice(length - used, None) if left else slice(0, used)
            arrays[name][clip, place] = rng.uniform(1, 2, (used, WIDTHS[name]))
    for clip in range(2):
        rows.append({name: values[clip][values[clip].any(1)] for name, values in arrays.items()})
    arrays["labels"] = rng.uniform(-3, 3, (2, 1, 1)).astype(np.float32)
    arrays["id"] = np.array([[f"vid{seed}", "0.5", "2"], [f"vid{seed}", "2.5", "4"]])
    return arrays, rows


@pytest.fixture
def content():
    return {split: _split(seed)[0] for seed, split in enumerate(("train", "valid", "test"))}


def _reading(path, content, require_labels=True, text_features=True):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol=4))
    loaded = safe_pickle.load(path)
    assert mult_pickle.matches(loaded)
    return mult_pickle.reader(loaded, str(path), require_labels, text_features=text_features)


def _read(*args, **options):
    return _reading(*args, **options).examples


def _with_ids(content, train, valid, test):
    """The ids of the three splits, two clips in each, as bytes."""
    for split, names in (("train", train), ("valid", valid), ("test", test)):
        content[split]["id"] = np.array(names)
        assert content[split]["id"].dtype.kind == "S"
    return content


@pytest.mark.parametrize("left", [True, False])
def test_padding_is_cut_on_either_side(tmp_path, left):
    parts = {split: _split(seed, left=left) for seed, split in enumerate(("train", "valid", "test"))}
    examples = _read(tmp_path / "a", {split: arrays for split, (arrays, _) in parts.items()})
    clips = list(examples())
    assert [clip.split for clip in clips] == ["train", "train", "valid", "valid", "test", "test"]
    for clip, rows in zip(clips, [rows for _, both in parts.values() for rows in both], strict=True):
        np.testing.assert_array_equal(clip.text_features, rows["text"])
        np.testing.assert_array_equal(clip.audio, rows["audio"])
        np.testing.assert_array_equal(clip.vision, rows["vision"])
        assert {clip.audio.dtype, clip.vision.dtype, clip.text_features.dtype} == {np.dtype(np.float32)}
        assert not clip.aligned
        assert clip.text == ""
    assert (clips[1].id, clips[1].video) == ("vid0_2.5", "vid0")
    assert clips[1].label == parts["train"][0]["labels"][1, 0, 0]
    assert [clip.id for clip in examples()] == [clip.id for clip in clips], "can be gone through again"


def test_one_time_line_is_cut_together(tmp_path):
    """A word on which one modality is silent keeps its row of zeros."""
    arrays, _ = _split(0, lengths=dict.fromkeys(LENGTHS, 6))
    clip, other = _read(tmp_path / "a", {"train": arrays})()
    assert {len(clip.text_features), len(clip.audio), len(clip.vision)} == {4}
    assert not clip.text_features[:2].any()
    assert not clip.vision[0].any()
    assert {len(other.text_features), len(other.audio), len(other.vision)} == {5}


def test_a_silent_modality_has_no_rows(tmp_path, content):
    content["train"]["audio"][0] = 0
    first, second = list(_read(tmp_path / "a", content)())[:2]
    assert first.audio.shape == (0, 0)
    assert second.audio.shape == (2, 3)


def test_missing_modality(tmp_path, content):
    for arrays in content.values():
        del arrays["vision"]
    assert all(clip.vision.shape == (0, 0) for clip in _read(tmp_path / "a", content)())


def test_text_features_on_request(tmp_path, content):
    assert all(
        clip.text_features.shape == (0, 0) for clip in _read(tmp_path / "a", content, text_features=False)()
    )
    del content["valid"]["text"]
    with pytest.raises(UserError, match="has no text features"):
        _read(tmp_path / "a", content)


def test_emotions(tmp_path, content):
    """One clip of each emotion, as the file orders them, and one of none."""
    stored = ("neutral", "happy", "sad", "angry")
    for split in ("train", "valid", "test"):
        one = {name: np.repeat(content[split][name][:1], 5, 0) for name in ROWS}
        pairs = np.eye(2)[np.eye(5, 4, dtype=int)]
        content[split] = one | {"labels": pairs.tolist() if split == "valid" else pairs}
    objects = np.empty(5, object)
    objects[:] = list(content["test"]["labels"])
    content["test"]["labels"] = objects
    for split in ("train", "valid", "test"):
        clips = [clip for clip in _read(tmp_path / "a", content)() if clip.split == split]
        for clip, emotion in zip(clips, [*stored, None], strict=True):
            assert dict(zip(EMOTIONS, clip.label, strict=True)) == {
                name: name == emotion for name in EMOTIONS
            }


def test_a_tie_is_class_0_and_nan_has_no_label(tmp_path, content):
    pairs = np.eye(2)[np.array([[0, 1, 0, 1], [1, 0, 0, 0]])]
    pairs[0, 0] = 1, 1
    pairs[0, 2] = 0, 0
    pairs[1, 2, 1] = np.nan
    pairs[1, 3] = np.nan, np.nan
    for arrays in content.values():
        arrays["labels"] = pairs
    first, second = list(_read(tmp_path / "a", content)())[:2]
    argmax = np.argmax(pairs[0], axis=-1)  # as MulT's loader takes it: neutral, happy, sad, angry
    np.testing.assert_array_equal(first.label, argmax[[1, 2, 3, 0]])
    np.testing.assert_array_equal(first.label, [1, 0, 1, 0])
    np.testing.assert_array_equal(second.label, [0, np.nan, np.nan, 1])


def test_ids_of_mosi_name_the_clip(tmp_path, content):
    """Bytes; the first field differs between all clips of the file, and its last part is the clip."""
    _with_ids(
        content,
        [[b"video_3", b"12.3", b"15.0"], [b"_dI--eQ6qVU_10", b"12.3", b"15.0"]],
        [[b"v_1", b"0.0", b"1.5"], [b"v_2", b"1.5", b"4.0"]],
        [[b"w_2", b"0.0", b"2.5"], [b"2iD-tVS8NPw_1", b"0.0", b"2.5"]],
    )
    reading = _reading(tmp_path / "a", content)
    assert [(clip.id, clip.video) for clip in reading.examples()] == [
        ("video_3", "video"),
        ("_dI--eQ6qVU_10", "_dI--eQ6qVU"),
        ("v_1", "v"),
        ("v_2", "v"),
        ("w_2", "w"),
        ("2iD-tVS8NPw_1", "2iD-tVS8NPw"),
    ]
    (note,) = reading.notes
    assert "different in every clip" in note
    assert "<video>_<clip>" in note
    assert "times beside it are not used" in note


def test_ids_of_mosei_name_the_video(tmp_path, content):
    """One video with two clips decides for the file, those with one clip or an underscore among them."""
    _with_ids(
        content,
        [[b"a_b", b"0.0", b"2.5"], [b"c", b"1.25", b"2.5"]],
        [[b"d_1", b"0.0", b"1.0"], [b"d_1", b"1.0", b"2.0"]],
        [[b"e", b"3.0", b"4.0"], [b"f", b"3.0", b"4.0"]],
    )
    reading = _reading(tmp_path / "a", content)
    assert [(clip.id, clip.video) for clip in reading.examples()] == [
        ("a_b_0.0", "a_b"),
        ("c_1.25", "c"),
        ("d_1_0.0", "d_1"),
        ("d_1_1.0", "d_1"),
        ("e_3.0", "e"),
        ("f_3.0", "f"),
    ]
    (note,) = reading.notes
    assert "same in several clips" in note
    assert "named by their start times" in note


def test_a_video_in_two_splits_is_the_video_too(tmp_path, content):
    _with_ids(
        content,
        [[b"a_1", b"0", b"1"], [b"b_1", b"0", b"1"]],
        [[b"a_1", b"5", b"6"], [b"c_1", b"0", b"1"]],
        [[b"d_1", b"0", b"1"], [b"e_1", b"0", b"1"]],
    )
    clips = list(_read(tmp_path / "a", content)())
    assert [(clips[k].id, clips[k].video) for k in (0, 2, 3)] == [
        ("a_1_0", "a_1"),
        ("a_1_5", "a_1"),
        ("c_1_0", "c_1"),
    ]


def test_videos_with_one_clip_each_are_read_as_clips(tmp_path, content):
    _with_ids(
        content,
        *([[f"{split}_1".encode(), b"0", b"1"], [f"{split}_x_2".encode(), b"0", b"1"]] for split in "abc"),
    )
    reading = _reading(tmp_path / "a", content)
    assert [(clip.id, clip.video) for clip in reading.examples()][:2] == [("a_1", "a"), ("a_x_2", "a_x")]
    assert "different in every clip" in reading.notes[0]


def test_ids_of_one_field_need_no_decision(tmp_path, content):
    _with_ids(content, *([[f"{split}[1]".encode()], [f"{split}[2]".encode()]] for split in "abc"))
    reading = _reading(tmp_path / "a", content)
    assert [(clip.id, clip.video) for clip in reading.examples()][:2] == [("a_1", "a"), ("a_2", "a")]
    assert reading.notes == ()
    for arrays in content.values():
        del arrays["id"]  # as IEMOCAP
    reading = _reading(tmp_path / "a", content)
    assert [clip.id for clip in reading.examples()][::2] == ["train_0", "valid_0", "test_0"]
    assert reading.notes == ()


def test_four_classes_are_in_the_order_of_the_file(tmp_path, content):
    for arrays in content.values():
        arrays["labels"] = np.array([[1, 0, 0, 0], [0, 1, 0, 0]])
    first, second = list(_read(tmp_path / "a", content)())[:2]
    assert EMOTIONS[int(np.argmax(first.label))] == "neutral"
    assert EMOTIONS[int(np.argmax(second.label))] == "happy"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, [("train_0", "train_0"), ("train_1", "train_1")]),
        (np.array([]), [("train_0", "train_0"), ("train_1", "train_1")]),
        ([["v[1]"], ["w_x[12]"]], [("v_1", "v"), ("w_x_12", "w_x")]),
        (np.array([b"v[1]", b"w[2]"]), [("v_1", "v"), ("w_2", "w")]),
        (np.array([["v$_$1"], ["w_2"]], object), [("v_1", "v"), ("w_2", "w")]),
        ([[b"v", b"0.5", b"2"], ["w", 3, 4.5]], [("v_0.5", "v"), ("w_3", "w")]),
        (np.array([[7], [8]]), [("train_7", "train_7"), ("train_8", "train_8")]),
    ],
)
def test_ids_in_every_spelling(tmp_path, content, names, expected):
    content["train"]["id"] = names
    if names is None:
        del content["train"]["id"]
    clips = list(_read(tmp_path / "a", content)())[:2]
    assert [(clip.id, clip.video) for clip in clips] == expected


def test_dirt(tmp_path, content):
    """-inf, NaN, float64, object arrays, lists, `dev`, seven labels."""
    train, valid = content["train"], content["valid"]
    train["audio"] = train["audio"].astype(np.float64)
    train["audio"][0, -4, 0] = -np.inf
    train["vision"][0, -1, 1] = np.nan
    train["text"] = train["text"].astype(object)
    train["labels"] = [[1.5, *[0] * 6], [-1.0, *[0] * 6]]
    content["test"]["labels"] = np.zeros((2, 7, 1))
    objects = np.empty(2, object)
    objects[:] = list(valid["vision"])
    valid |= {"vision": objects, "audio": valid["audio"].tolist(), "labels": np.arange(14).reshape(2, 7) / 5}
    expected = {name: np.array(list(valid[name]))[0] for name in ("audio", "vision")}
    content["dev"] = content.pop("valid")
    clips = list(_read(tmp_path / "a", content)())
    assert np.isneginf(clips[0].audio[0, 0])
    assert np.isnan(clips[0].vision[-1, 1])
    assert [clip.label for clip in clips[:2]] == [1.5, -1.0]
    assert clips[0].text_features.shape == (2, 4)
    (first, second) = [clip for clip in clips if clip.split == "valid"]
    assert (first.label, second.label) == (0, 7 / 5)
    np.testing.assert_array_equal(first.audio, expected["audio"][-4:].astype(np.float32))
    np.testing.assert_array_equal(first.vision, expected["vision"][-3:])


class _Python2(pickle._Pickler):
    """Writes text and bytes as Python 2's `str`."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _string(self, value):
        raw = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = _string


def test_python_2(tmp_path, content):
    content["train"]["id"] = ["é[3]", "w[4]"]
    file = io.BytesIO()
    _Python2(file, 2).dump(content)
    raw = file.getvalue().replace(b"numpy._core", b"numpy.core")
    clips = list(_read(tmp_path / "a", raw)())
    again = list(_read(tmp_path / "b", content)())
    assert clips[0].id == "é_3"
    for one, other in zip(clips, again, strict=True):
        assert (one.id, one.split, one.label) == (other.id, other.split, other.label)
        np.testing.assert_array_equal(one.audio, other.audio)


def test_labels_are_optional_on_request(tmp_path, content):
    for arrays in content.values():
        del arrays["labels"]
    assert all(np.isnan(clip.label) for clip in _read(tmp_path / "a", content, require_labels=False)())
    with pytest.raises(UserError, match="train: a MulT pickle needs 'labels', found only audio, id, text"):
        _read(tmp_path / "a", content)


def test_empty_splits_are_left_out(tmp_path, content):
    content["valid"] = {}
    content["test"] = {name: values[:0] for name, values in content["test"].items()}
    assert {clip.split for clip in _read(tmp_path / "a", content)()} == {"train"}
    with pytest.raises(UserError, match="holds no clips"):
        _read(tmp_path / "a", {"test": content["test"]})


def test_what_it_is_not(content):
    assert not mult_pickle.matches({split: arrays | {"raw_text": ["a"]} for split, arrays in content.items()})
    assert not mult_pickle.matches({"train": {"audio": [], "regression_labels": []}})
    assert not mult_pickle.matches({"train": {}})
    assert not mult_pickle.matches({"train": [1]})
    assert not mult_pickle.matches({"other": {"audio": []}})
    assert not mult_pickle.matches([content])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.update(audio=a["audio"][:1]), "2 clips, but audio 1;"),
        (lambda a: a.update(audio=a["audio"][:, 0]), r"audio must be \(clips, rows, width\), found \(2, 3\)"),
        (lambda a: a.update(id=["v"]), "2 clips, but id 1;"),
        (lambda a: a.update(labels=a["labels"][:1]), "2 clips, but labels 1;"),
        (
            lambda a: a.update(labels=np.zeros((2, 3))),
            r"differ in their number of labels \(1 in valid and 3 in train\)",
        ),
        (lambda a: a.update(labels=["x", "y"]), "labels are not numbers, one a clip: clip 0 has 'x', which"),
        (
            lambda a: a.update(labels=np.array(["x", "y"])),
            "labels are not numbers, one a clip: clip 0 has 'x', which",
        ),
        (lambda a: a.update(vision=np.full((2, 6, 4), "x")), "train clip 0: .* text instead of numbers"),
        (lambda a: [a.pop(name) for name in ROWS], "needs text, audio or vision, found only id, labels"),
    ],
)
def test_bad_arrays(tmp_path, content, change, message):
    change(content["train"])
    path = tmp_path / "a"
    with pytest.raises(UserError, match=message) as error:
        list(_read(path, content, text_features=False)())
    assert str(error.value).startswith((f"{path}, train", f"{path}: clips differ"))
    assert "\n" not in str(error.value)


def test_no_copy_of_whole_arrays(tmp_path):
    arrays = {name: np.ones((400, 50, 100), np.float32) for name in ROWS}
    examples = _read(tmp_path / "a", {"train": arrays | {"labels": np.zeros((400, 1, 1))}})
    tracemalloc.start()
    try:
        assert sum(len(clip.audio) for clip in examples()) == 400 * 50
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
