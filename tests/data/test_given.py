"""Clips given in Python: what is a text, what are features, and the line that everything else gets."""

import decimal
import pickle
import types

import numpy as np
import pytest

from msa_jax.data import given, readers
from msa_jax.data.preprocessing import Preprocessing
from msa_jax.errors import UserError

WIDTHS = {"audio": 3, "vision": 2}


def reading(*modalities, text_width=0):
    return Preprocessing(
        max_content=8, lowercase=False, modalities=modalities, widths=WIDTHS, text_width=text_width
    )


def examples(texts, how=None, *, audio=None, vision=None, text_features=None):
    features = {"audio": audio, "vision": vision, "text_features": text_features}
    return given.examples(texts, features, how or reading("text", "audio", "vision"), aligned=False)


def test_texts_and_features_become_clips_named_by_their_places():
    rows = [[1, 2, 3], [4, 5, 6]]
    clips = examples(np.array(["  a\tb ", ""]), audio=[rows, None], vision=(None, np.ones((1, 2), bool)))
    assert [(clip.id, clip.text) for clip in clips] == [("0", "a b"), ("1", "")]
    np.testing.assert_array_equal(clips[0].audio, np.array(rows, np.float32))
    assert clips[0].audio.dtype == np.float32
    assert [clip.audio.shape for clip in clips] == [(2, 3), (0, 0)]
    assert [clip.vision.shape for clip in clips] == [(0, 0), (1, 2)]
    assert np.isnan(clips[0].label)


def test_nothing_given_is_no_clips():
    assert examples([]) == []


def test_a_number_beyond_float32_becomes_an_infinity_without_a_warning():
    assert examples(["a"], audio=[np.full((1, 3), 1e300)])[0].audio.tolist() == [[np.inf] * 3]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a good film", r"texts is a string, not a list of texts; write \[\.\.\.\] around it"),
        (b"a good film", "texts is bytes, not a list of texts"),
        (np.array("a good film"), "texts is an array, not a list of texts"),
        (None, "texts is None, not a list of texts; write a list with a text for each clip"),
        (7, "texts is an int, not a list of texts"),
        ({"a": "b"}, "texts is a dict, not a list of texts"),
        ({"a"}, "texts is a set, not a list of texts"),
        ((text for text in "ab"), "texts is a generator, not a list of texts"),
        (["a", None], r"texts\[1\] is None, not a text; write '' where a clip has none"),
        (["a", b"b"], r"texts\[1\] is bytes, not a text; write texts\[1\]\.decode\('utf-8'\)"),
        (["a", "b\ud83d"], r"texts\[1\] holds half of a character \(a surrogate\); decode the text again"),
        ([3], r"texts\[0\] is an int, not a text; write str\(texts\[0\]\), or '' where the clip has none"),
        ([np.float32(2.5)], r"texts\[0\] is a float32, not a text; write str\(texts\[0\]\), or ''"),
        ([float("nan")], r"texts\[0\] is a float, not a text; write '' where a clip has none"),
        ([decimal.Decimal("sNaN")], r"texts\[0\] is a Decimal, not a text; write '' where a clip has none"),
        ([["a", "b"]], r"texts\[0\] is a list, not a text; write ' '\.join\(texts\[0\]\)"),
        (["a", np.array(["a", "b"])], r"texts\[1\] is an array, not a text; write ' '\.join\(texts\[1\]\)"),
        ([[b"a"]], r"texts\[0\] is a list, not a text; write b' '\.join\(texts\[0\]\)\.decode\('utf-8'\)"),
        ([["a", 3]], r"texts\[0\] is a list, not a text; write '' where a clip has none"),
        ([[]], r"texts\[0\] is a list, not a text; write '' where a clip has none"),
    ],
)
def test_what_is_not_a_text_is_refused(texts, message):
    with pytest.raises(UserError, match=message):
        examples(texts)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.ones((4, 3)), r"audio is one array of shape \(4, 3\); write a list .* as in audio=\[array\]"),
        ([np.ones((4, 3))] * 2, "audio has 2 clips, texts has 1; write a list"),
        ("sound.wav", "audio is a string; write a list"),
        (3.0, "audio is a float; write a list"),
        ({0: np.ones((4, 3))}, "audio is a dict; write a list"),
        ([np.ones((4, 3)) * 1j], "clip 0: audio holds complex numbers"),
        ([[[1j, 2, 3]]], "clip 0: audio holds complex numbers"),
        ([np.array([[1j]], object)], "clip 0: audio holds complex numbers"),
        ([[[np.complex128(1j), 2, 3]]], "clip 0: audio holds complex numbers"),
        ([np.array([["1", 2, 3]], object)], "clip 0: audio holds text, not numbers"),
        ([[["1", "2", "3"]]], "clip 0: audio holds text, not numbers"),
        ([np.ones((1, 3), "datetime64[s]")], r"clip 0: audio holds datetime64\[s\], not numbers"),
        (
            [[[1, 2, 3], [4, 5]]],
            r"clip 0: audio is not an array of numbers; write an array \[rows, columns\]",
        ),
        ([{"rows": 1}], "clip 0: audio is not an array of numbers"),
        ([0.0], r"clip 0: audio must be \[rows, columns\], got shape \(\)"),
        ([np.zeros(3)], r"clip 0: audio must be \[rows, columns\], got shape \(3,\)"),
        ([np.zeros((1, 2, 3), object)], r"clip 0: audio must be \[rows, columns\], got shape \(1, 2, 3\)"),
    ],
)
def test_what_is_not_an_array_of_numbers_is_refused(audio, message):
    with pytest.raises(UserError, match=message):
        examples(["a"], audio=audio)


@pytest.mark.parametrize("kind", [float, int, bool, np.float32, decimal.Decimal])
def test_numbers_as_objects_are_numbers(kind, capsys):
    """As pandas gives them."""
    rows = np.array([[kind(0), kind(1), kind(1)], [kind(1), kind(0), kind(0)]], object)
    (clip,) = examples(["a"], audio=[rows])
    assert (clip.audio.dtype, clip.audio.tolist()) == (np.float32, [[0, 1, 1], [1, 0, 0]])
    assert capsys.readouterr().out == ""


def test_an_array_that_fits_no_memory_is_refused(monkeypatch):
    """A view may have any number of rows without any memory; the copy of it has not."""
    view = np.broadcast_to(np.float32(1), (10**12, 3))
    with pytest.raises(
        UserError, match=r"clip 0: audio of shape \(1000000000000, 3\) takes 24000\.0 GB of mem"
    ):
        examples(["a"], audio=[view])
    wide = np.ones((10**6, 10), np.float32)
    assert len(examples(["a"], audio=[wide])[0].audio) == 10**6
    monkeypatch.setattr("psutil.virtual_memory", lambda: types.SimpleNamespace(available=79_000_000))
    with pytest.raises(UserError, match=r"takes 0\.1 GB of memory, of which 0\.1 are free; give fewer rows"):
        examples(["a"], audio=[wide])


def test_an_empty_list_of_rows_is_no_audio():
    assert examples(["a"], audio=[[]])[0].audio.shape == (0, 0)


@pytest.mark.parametrize("name", ["audio", "vision", "text_features"])
def test_a_modality_that_the_run_does_not_read_is_refused(name):
    rows = {name: [None, np.ones((2, 3))]}
    what = name.replace("_", " ")
    with pytest.raises(UserError, match=f"clip 1: the run reads text, and takes no {what}; leave {name} out"):
        examples(["a", "b"], reading("text"), **rows)
    none = {name: [None, np.zeros((0, 3))]}  # says that there is nothing, which is so
    assert len(examples(["a", "b"], reading("text"), **none)) == 2


def test_a_run_on_text_features_reads_these_and_no_words():
    how = reading("text", "audio", text_width=5)
    assert how.reads == "text features of 5 columns, audio"
    with pytest.raises(
        UserError, match=r"reads text features of 5 columns, not texts; write text_features=\["
    ):
        examples(["a good film"], how)
    assert examples([""], how, text_features=[np.ones((4, 5))])[0].text_features.shape == (4, 5)
    with pytest.raises(UserError, match="the run reads audio, and takes no text features"):
        examples([""], reading("audio", text_width=5), text_features=[np.ones((4, 5))])


def _masked(rows):
    return np.ma.array(np.ones((rows, 3)), mask=np.arange(rows * 3).reshape(rows, 3) == 1)


@pytest.mark.parametrize("rows", [_masked(2), list(_masked(2)), np.ma.masked_all((1, 3))])
def test_masked_entries_are_not_read_as_numbers(rows):
    with pytest.raises(
        UserError, match=r"clip 0: audio is a masked array with [13] masked entries.*filled\(0\)"
    ):
        examples(["a"], audio=[rows])
    plain = np.ma.array(np.ones((2, 3)))
    np.testing.assert_array_equal(examples(["a"], audio=[plain])[0].audio, np.ones((2, 3)))


@pytest.mark.parametrize("value", ["no", "False", 0, 1, [], np.array([True, False])])
def test_aligned_is_true_or_false(value):
    how = reading("text", "audio", "vision")
    features = dict.fromkeys(("audio", "vision", "text_features"))
    with pytest.raises(UserError, match=r"aligned is .*, which is neither True nor False"):
        given.examples(["a"], features, how, aligned=value)
    assert given.examples(["a"], features, how, aligned=np.True_)[0].aligned


def test_zeros_alone_are_no_stream_and_that_is_said(capsys):
    zeros, some = np.zeros((4, 3)), np.eye(4, 3)
    clips = examples(["a", "b", "c"], audio=[zeros, some, None], vision=[np.zeros((2, 2))] * 3)
    assert [clip.audio.shape for clip in clips] == [(0, 3), (3, 3), (0, 0)]  # the width is still checked
    assert [clip.vision.shape for clip in clips] == [(0, 2)] * 3
    assert capsys.readouterr().out == (
        "note: 1 clip has only zeros in audio, which count as none: 0\n"
        "note: 3 clips have only zeros in vision, which count as none: 0, 1, 2\n"
        "note: 1 clip has zeros at an end of audio, which are cut off: 1\n"
    )


def test_a_text_that_makes_no_difference_is_refused():
    features = {"audio": [np.ones((2, 3))] * 2, "vision": None, "text_features": None}
    how = reading("audio")
    with pytest.raises(UserError, match="clip 1: the run reads audio, and takes no text; write '' instead"):
        given.examples([" ", "a b"], features, how, aligned=False, texts_count=False)
    for counts in ({"aligned": True, "texts_count": False}, {"aligned": False, "texts_count": True}):
        assert given.examples(["", "a b"], features, how, **counts)[1].text == "a b"


def _padded(rows, front, behind):
    return np.pad(rows, ((front, behind), (0, 0)))


@pytest.mark.parametrize(("front", "behind"), [(0, 40), (40, 0), (1, 2)])
def test_zeros_at_an_end_are_padding_as_in_a_file_of_the_clip(front, behind, tmp_path, capsys):
    rows = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
    rows[1] = 0  # silence inside
    seen = [[[1.0, 2.0]] * 5, [[3.0, 4.0]] * 2]
    clips = examples(["a b", "c"], audio=[_padded(rows, front, behind), rows], vision=seen)
    for clip in clips:
        np.testing.assert_array_equal(clip.audio, rows)
    assert [clip.vision.shape for clip in clips] == [(5, 2), (2, 2)]
    assert capsys.readouterr().out == "note: 1 clip has zeros at an end of audio, which are cut off: 0\n"
    path = tmp_path / "clip.pkl"
    path.write_bytes(pickle.dumps({"audio": _padded(rows, front, behind), "raw_text": "a b"}))
    (stored,) = readers.read(path, require_labels=False)
    np.testing.assert_array_equal(stored.audio, clips[0].audio)


def test_arrays_of_one_time_line_are_cut_together_and_rows_of_words_not():
    audio, text = np.pad(np.ones((2, 3)), ((1, 4), (0, 0))), np.pad(np.ones((4, 5)), ((0, 3), (0, 0)))
    how = reading("text", "audio", text_width=5)
    (clip,) = examples([""], how, audio=[audio], text_features=[text])
    assert (clip.audio.shape, clip.text_features.shape) == ((4, 3), (4, 5))
    np.testing.assert_array_equal(clip.audio, audio[:4])
    features = {"audio": [audio], "vision": None, "text_features": None}
    (clip,) = given.examples(["a b c d e f g"], features, reading("text", "audio"), aligned=True)
    np.testing.assert_array_equal(clip.audio, audio)
