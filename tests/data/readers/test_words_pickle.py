"""Words pickles: one file, a folder, a bare list, MAG-BERT's variant, Python 2."""

import io
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosi" / "mosi_words_valid.pkl"


def _clip(words, name="vid[0]", label=1.8, seed=0):
    rng = np.random.default_rng(seed)
    count = len(words)
    vision, audio = rng.normal(size=(count, 4)).astype(np.float32), rng.normal(size=(count, 5))
    return ((np.arange(count), vision, audio, list(words)), np.array([[label]]), name)


def _write(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def _same(clip, original, keep=slice(None)):
    (_, vision, audio, _), label, _ = original
    np.testing.assert_array_equal(clip.audio, audio[keep].astype(np.float32))
    np.testing.assert_array_equal(clip.vision, vision[keep])
    assert clip.label == label[0, 0]
    assert clip.aligned


def test_bare_list_has_no_split(tmp_path):
    clips = [_clip(["so", "good"], "a_b[3]"), _clip(["bad"], "c[12]", -2, seed=1)]
    first, second = readers.read(_write(tmp_path / "x", clips))
    assert (first.id, first.video, first.split, first.text) == ("a_b_3", "a_b", "", "so good")
    assert (second.id, second.video, second.text) == ("c_12", "c", "bad")
    _same(first, clips[0])
    _same(second, clips[1])


def test_whole_file_and_folder_agree(tmp_path):
    parts = {name: [_clip(["w"] * k, f"{name}[{k}]") for k in (1, 2)] for name in ("train", "dev", "test")}
    _write(tmp_path / "all.pkl", parts)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, clips in parts.items():
        _write(folder / f"{name}.pkl", clips)
    one, many = list(readers.read(tmp_path / "all.pkl")), list(readers.read(folder))
    assert readers.recognise(folder) == readers.recognise(tmp_path / "all.pkl") == "words pickle"
    found = {(clip.id, clip.split) for clip in one}
    assert found == {(clip.id, clip.split) for clip in many}
    assert {split for _, split in found} == {"train", "valid", "test"}
    assert len(found) == 6
    assert ("dev_1", "valid") in found


def test_pauses_leave_with_their_rows(tmp_path):
    clip = _clip(["sp", "so", "sp", "good", "", "sp"])
    (read,) = readers.read(_write(tmp_path / "x", [clip]))
    assert read.text == "so good"
    _same(read, clip, keep=[1, 3])


def test_mag_bert_variant(tmp_path):
    (indices, vision, audio, words), label, name = _clip(["so", "sp", "good"])
    del indices
    for spelled in (words, np.array(words), np.array(words, dtype=object), [word.encode() for word in words]):
        (read,) = readers.read(_write(tmp_path / "x", [((spelled, vision, audio), label, name)]))
        assert read.text == "so good"
        np.testing.assert_array_equal(read.vision, vision[[0, 2]])


def test_rows_that_do_not_match_are_left_for_the_checks(tmp_path):
    (indices, vision, audio, words), label, name = _clip(["so", "sp", "good"])
    (read,) = readers.read(_write(tmp_path / "x", [((indices, vision[:2], audio, words), label, name)]))
    assert read.text == "so sp good"
    assert len(read.vision) == 2
    assert len(read.audio) == 3
    assert read.aligned


def test_spaces_inside_words_do_not_make_two(tmp_path):
    (read,) = readers.read(_write(tmp_path / "x", [_clip(["so so", "good "])]))
    assert read.text == "soso good"


def test_labels_and_ids_in_every_spelling(tmp_path):
    (parts, _, _) = _clip(["w"])
    labels = [
        np.array([[0.5]]),
        np.array([0.5]),
        0.5,
        [0.5],
        np.float32(0.5),
        "0.5",
    ]
    names = ["v[0]", b"v[1]", np.str_("v[2]"), "v_3", "v$_$4", np.array("v[5]")]
    read = list(
        readers.read(_write(tmp_path / "x", [(parts, *pair) for pair in zip(labels, names, strict=True)]))
    )
    assert [clip.label for clip in read] == [0.5] * 6
    assert [clip.id for clip in read] == [f"v_{k}" for k in range(6)]


class _Python2(pickle._Pickler):
    """Writes text and bytes as Python 2's `str`."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def _string(self, value):
        raw = value if isinstance(value, bytes) else value.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = _string


def test_python_2(tmp_path):
    clip = _clip(["so", "caf\xe9"], "a[1]")
    file = io.BytesIO()
    _Python2(file, 2).dump({"train": [clip], "dev": [], "test": []})
    (tmp_path / "x").write_bytes(file.getvalue().replace(b"numpy._core", b"numpy.core"))
    (read,) = readers.read(tmp_path / "x")
    assert (read.id, read.text, read.split) == ("a_1", "so caf\xe9", "train")
    _same(read, clip)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (((np.arange(2), np.ones((2, 3)), np.ones((2, 3))), [[1.0]], "v[0]"), "no list of words"),
        (((np.arange(2), np.ones((2, 3)), np.ones((2, 3)), None), [[1.0]], "v[0]"), "no list of words"),
        (((np.arange(2), np.ones((2, 3))), [[1.0]], "v[0]"), "found 2 parts"),
        ((np.arange(2), [[1.0]], "v[0]"), "expected .* label, id"),
        ("nonsense", "expected .* label, id"),
        (((["a"], np.ones(3), np.ones((1, 3))), [[1.0]], "v[0]"), r"shape \(3,\)"),
        (((["a"], np.ones((1, 3)), [["x"]]), [[1.0]], "v[0]"), "not the numbers expected"),
        (
            ((["a"], np.ones((1, 3)), np.ones((1, 3))), [[1.0, 2.0]], "v[0]"),
            "clip v_0 has 2 numbers, and clip vid_0 has 1",
        ),
        (((["a"], np.ones((1, 3)), np.ones((1, 3))), None, "v[0]"), "no label"),
    ],
)
def test_bad_clips(tmp_path, clip, message):
    path = _write(tmp_path / "x", [_clip(["fine"]), clip])
    with pytest.raises(UserError, match=message) as error:
        list(readers.read(path))
    assert str(path) in str(error.value)
    assert "clip 1" in str(error.value) or "clip v_0" in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_label_is_nan_on_request(tmp_path):
    path = _write(tmp_path / "x", [((["a"], np.ones((1, 3)), np.ones((1, 3))), None, "v[0]")])
    (clip,) = readers.read(path, require_labels=False)
    assert np.isnan(clip.label)


@pytest.mark.skipif(not REAL.exists(), reason="needs the real MOSI validation split in ../shared")
def test_real_validation_split():
    clips = list(readers.read(REAL))
    assert len(clips) == 229
    assert len({clip.video for clip in clips}) == 10
    assert {(clip.vision.shape[1], clip.audio.shape[1], clip.split) for clip in clips} == {(47, 74, "")}
    assert all(len(clip.text.split()) == len(clip.audio) == len(clip.vision) for clip in clips)
    assert clips[0].id == "WKA5OygbEKI_0"
    assert clips[0].text.startswith("uh i really enjoyed")
    assert abs(clips[0].label - 1.8) < 1e-6


def test_four_labels_a_clip(tmp_path):
    clip = _clip(["so", "good"], label=[1, 0, 0, 1])
    (read,) = readers.read(_write(tmp_path / "x", [clip]))
    np.testing.assert_array_equal(read.label, [1, 0, 0, 1])
