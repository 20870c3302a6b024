"""UR-FUNNY's folder of pickles: with and without context, missing files and clips, and known dirt."""

import pickle

import numpy as np
import pytest

from msa_jax.data.readers import ur_funny_sdk
from msa_jax.errors import UserError

PUNCHLINES = {7: "so he fell", 8: "it was  a fish", 9: "why not"}
CONTEXT = ["a man walks", "then"]
AUDIO, VISION = "covarep_features_sdk.pkl", "openface_features_sdk.pkl"


def _features(rng, width):
    return {
        clip: {
            "punchline_features": rng.normal(size=(len(text.split()), width)),
            "context_features": [rng.normal(size=(len(part.split()), width)) for part in CONTEXT],
        }
        for clip, text in PUNCHLINES.items()
    }


@pytest.fixture
def contents():
    rng = np.random.default_rng(0)
    return {
        "language_sdk.pkl": {
            clip: {
                "punchline_sentence": text,
                "context_sentences": list(CONTEXT),
                "punchline_features": list(range(len(text.split()))),
                "context_features": [[0, 1, 2], [3]],
                "punchline_intervals": [(0.0, 0.5)] * len(text.split()),
            }
            for clip, text in PUNCHLINES.items()
        },
        AUDIO: _features(rng, 81),
        VISION: _features(rng, 371),
        "humor_label_sdk.pkl": {7: 1, 8: 0, 9: 1},
        "data_folds.pkl": {"train": [8], "dev": [7], "test": [9]},
        "word_embedding_list.pkl": rng.normal(size=(5, 6)).tolist(),
    }


def _write(folder, contents):
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
    return folder


def _read(folder, contents, require_labels=True, **options):
    reading = ur_funny_sdk.reader(_write(folder, contents), str(folder), require_labels, **options)
    return list(reading.examples())


def test_punchlines(tmp_path, contents):
    reading = ur_funny_sdk.reader(_write(tmp_path, contents), str(tmp_path), True)
    clips = list(reading.examples())
    assert [(clip.id, clip.video, clip.split, clip.label) for clip in clips] == [
        ("8", "8", "train", 0),
        ("7", "7", "valid", 1),
        ("9", "9", "test", 1),
    ]
    assert clips[0].text == "it was a fish"
    assert all(clip.aligned for clip in clips)
    np.testing.assert_array_equal(clips[0].audio, np.float32(contents[AUDIO][8]["punchline_features"]))
    np.testing.assert_array_equal(clips[0].vision, np.float32(contents[VISION][8]["punchline_features"]))
    assert clips[0].text_features.shape == (0, 0)
    assert [clip.id for clip in reading.examples()] == ["8", "7", "9"], "can be gone through again"


def test_context_comes_first(tmp_path, contents):
    clip = _read(tmp_path, contents, context=True, text_features=True)[0]
    assert clip.text == "a man walks then it was a fish"
    assert clip.aligned
    for rows, file in ((clip.audio, AUDIO), (clip.vision, VISION)):
        parts = contents[file][8]
        expected = np.vstack([*parts["context_features"], parts["punchline_features"]])
        np.testing.assert_array_equal(rows, expected.astype(np.float32))
    vectors = np.float32(contents["word_embedding_list.pkl"])
    np.testing.assert_array_equal(clip.text_features, vectors[[0, 1, 2, 3, 0, 1, 2, 3]])


@pytest.mark.parametrize("kind", [list, np.array])
def test_word_vectors_on_request(tmp_path, contents, kind):
    vectors = np.float32(contents["word_embedding_list.pkl"])
    contents["word_embedding_list.pkl"] = kind(vectors)
    clip = _read(tmp_path, contents, text_features=True)[1]
    np.testing.assert_array_equal(clip.text_features, vectors[:3])
    contents["language_sdk.pkl"][7]["punchline_features"] = [0, 5, 1]
    with pytest.raises(UserError, match=r"clip 7 .* word 5, but word_embedding_list\.pkl has 5"):
        _read(tmp_path, contents, text_features=True)
    (tmp_path / "word_embedding_list.pkl").unlink()
    with pytest.raises(UserError, match=r"without word_embedding_list\.pkl it has no text features"):
        ur_funny_sdk.reader(tmp_path, str(tmp_path), True, text_features=True)


def test_rows_that_do_not_match_the_words_are_a_stream(tmp_path, contents):
    contents[AUDIO][8]["punchline_features"] = np.ones((3, 81))
    contents[VISION][7]["context_features"][0] = np.ones((1, 371))
    assert [clip.aligned for clip in _read(tmp_path, contents)] == [False, True, True]
    assert [clip.aligned for clip in _read(tmp_path, contents, context=True)] == [False, False, True]


def test_dirt(tmp_path, contents):
    """-inf, NaN, rows as lists, empty sentences, no context, ids and texts as bytes, labels as arrays."""
    contents[AUDIO][8]["punchline_features"][0, 0] = -np.inf
    contents[VISION][8]["punchline_features"] = contents[VISION][8]["punchline_features"].tolist()
    contents[VISION][8]["punchline_features"][1][0] = float("nan")
    contents[AUDIO][7]["context_features"] = [[], np.ones((3, 81), np.float32), np.array([], object)]
    contents[VISION][7]["context_features"] = []
    contents["language_sdk.pkl"][7] |= {"context_sentences": ["", "a man walks", " "]}
    contents[VISION][9]["punchline_features"] = []
    contents["humor_label_sdk.pkl"] = {"7": np.array([[1]]), "8": [0.0], "9": np.int64(1)}
    contents["language_sdk.pkl"][9]["punchline_sentence"] = b"why\tnot"
    contents["data_folds.pkl"] = {"train": np.array(["8"]), "valid": (b"7",), "test": {"9"}}
    first, second, third = _read(tmp_path, contents, context=True)
    assert [clip.label for clip in (first, second, third)] == [0, 1, 1]
    assert np.isneginf(first.audio[4, 0])
    assert np.isnan(first.vision[5, 0])
    assert first.vision.dtype == np.float32
    assert second.text == "a man walks so he fell"
    assert (second.audio.shape, second.vision.shape) == ((6, 81), (3, 371))
    assert third.text == "a man walks then why not"
    (_, _, third) = _read(tmp_path, contents)
    assert third.vision.shape == (0, 0)
    assert third.aligned, "a modality that is not there does not count"


def test_a_modality_may_be_missing(tmp_path, contents):
    del contents[VISION]
    assert all(clip.vision.shape == (0, 0) and clip.aligned for clip in _read(tmp_path, contents))


def test_labels_are_optional_on_request(tmp_path, contents):
    del contents["humor_label_sdk.pkl"][8]
    assert [clip.label for clip in _read(tmp_path, contents, require_labels=False)][1:] == [1, 1]
    (tmp_path / "humor_label_sdk.pkl").unlink()
    del contents["humor_label_sdk.pkl"]
    assert all(np.isnan(clip.label) for clip in _read(tmp_path, contents, require_labels=False))
    with pytest.raises(UserError, match=r"need humor_label_sdk\.pkl; copy it"):
        _read(tmp_path, contents)


def test_members(tmp_path, contents):
    assert ur_funny_sdk.members(tmp_path) == []
    _write(tmp_path, contents)
    (tmp_path / "other.txt").write_text("x")
    assert [file.name for file in ur_funny_sdk.members(tmp_path)] == sorted(contents)
    (tmp_path / "language_sdk.pkl").unlink()
    assert ur_funny_sdk.members(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c[AUDIO].pop(9), f"{AUDIO} lacks 1 of the 3 clips in data_folds.pkl: 9;"),
        (lambda c: c["language_sdk.pkl"].clear(), "language_sdk.pkl lacks 3 .*: 8, 7, 9;"),
        (lambda c: c["data_folds.pkl"]["dev"].extend([1, 2, 3, 4]), "lacks 4 of the 7 .*: 1, 2, 3, ...;"),
        (lambda c: c["humor_label_sdk.pkl"].pop(7), "humor_label_sdk.pkl lacks 1 .*: 7;"),
        (lambda c: c.pop("data_folds.pkl"), "need data_folds.pkl; copy it"),
        (lambda c: c.update({AUDIO: [1]}), f"{AUDIO} holds a list, expected a dict"),
        (lambda c: c.update({"data_folds.pkl": [1]}), "data_folds.pkl must be a dict of train, dev and test"),
        (lambda c: c["data_folds.pkl"].update(valid=[1]), "has the valid split twice"),
        (lambda c: c["data_folds.pkl"].update(dev=3), "no list of clips under 'dev'"),
        (lambda c: c.update({"data_folds.pkl": {"train": []}}), "data_folds.pkl names no clips"),
        (lambda c: c["language_sdk.pkl"][7].pop("punchline_sentence"), "clip 7 has no 'punchline_sentence'"),
        (lambda c: c[VISION][7].update(punchline_features=np.ones(3)), r"clip 7 is not as .* shape \(3,\)"),
        (lambda c: c[VISION][7].update(punchline_features=["x"]), "clip 7 is not as .* could not convert"),
        (lambda c: c[VISION].update({7: 3}), "clip 7 is not as"),
        (lambda c: c["humor_label_sdk.pkl"].update({7: "x"}), "clip 7 is not as .* could not convert"),
    ],
)
def test_bad_files(tmp_path, contents, change, message):
    change(contents)
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path, contents)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_widths_that_differ_between_sentences(tmp_path, contents):
    contents[AUDIO][8]["context_features"][0] = np.ones((3, 80))
    with pytest.raises(UserError, match="clip 8 is not as"):
        _read(tmp_path, contents, context=True)
