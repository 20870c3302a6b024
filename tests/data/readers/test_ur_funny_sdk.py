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


RELEASED = {7: ["so", "he", "fell"], 8: ["it", "was", "a", "fish"], 9: ["why", "not"]}
BEFORE = [["a", "man", "walks"], ["then"]]
INDICES = {7: [1, 2, 3], 8: [4, 5, 6, 7], 9: [8, 9]}


@pytest.fixture
def released(contents):
    """The published form: words as lists, sentences made of them with a "." behind, indices of their own."""
    contents["language_sdk.pkl"] = {
        clip: {
            "punchline_sentence": " ".join([*words, "."]),
            "punchline_features": list(words),
            "punchline_embedding_indexes": list(INDICES[clip]),
            "punchline_intervals": [(0.0, 0.5)] * len(words),
            "context_sentences": [" ".join([*sentence, "."]) for sentence in BEFORE],
            "context_features": [list(sentence) for sentence in BEFORE],
            "context_embedding_indexes": [[10, 11, 12], [0]],
            "context_intervals": [[(0.0, 0.5)] * len(sentence) for sentence in BEFORE],
        }
        for clip, words in RELEASED.items()
    }
    contents["word_embedding_list.pkl"] = list(np.random.default_rng(1).normal(size=(13, 300)))
    return contents


def test_released_form(tmp_path, released):
    clips = _read(tmp_path, released, text_features=True)
    assert [(clip.id, clip.split, clip.label) for clip in clips] == [
        ("8", "train", 0),
        ("7", "valid", 1),
        ("9", "test", 1),
    ]
    vectors = np.float32(released["word_embedding_list.pkl"])
    for clip in clips:
        assert clip.text.split(" ") == RELEASED[int(clip.id)]
        assert clip.aligned
        assert len(clip.audio) == len(clip.vision) == len(RELEASED[int(clip.id)])
        np.testing.assert_array_equal(clip.text_features, vectors[INDICES[int(clip.id)]])
    (clip, *_) = _read(tmp_path, released, context=True, text_features=True)
    assert clip.text == "a man walks then it was a fish"
    assert clip.aligned
    np.testing.assert_array_equal(clip.text_features, vectors[[10, 11, 12, 0, 4, 5, 6, 7]])
    parts = released[AUDIO][8]
    expected = np.vstack([*parts["context_features"], parts["punchline_features"]])
    np.testing.assert_array_equal(clip.audio, expected.astype(np.float32))


def test_the_point_behind_a_sentence_has_no_row(tmp_path, released):
    """Where no words are listed, those of the sentence; its "." counts where there is a row for it."""
    for clip in released["language_sdk.pkl"].values():
        del clip["punchline_features"], clip["context_features"]
    released["language_sdk.pkl"][9]["punchline_sentence"] = "why ."
    for context, before in ((False, ""), (True, "a man walks then ")):
        clips = _read(tmp_path, released, context=context)
        assert [clip.text for clip in clips] == [
            f"{before}it was a fish",
            f"{before}so he fell",
            f"{before}why .",
        ]
        assert all(clip.aligned for clip in clips)
    del released[AUDIO], released[VISION]
    for file in (AUDIO, VISION):
        (tmp_path / file).unlink()
    assert _read(tmp_path, released)[0].text == "it was a fish .", "no rows, nothing to tell by"


def test_words_that_are_odd(tmp_path, released):
    """Bytes, spaces inside, a list that is empty; an empty word has a row, but cannot stand in a text."""
    language = released["language_sdk.pkl"]
    language[7]["punchline_features"] = np.array(["so", " he ", "fell over"])
    language[8]["punchline_features"] = [b"it", b"was", b"a", "f\xeete".encode()]
    language[9]["punchline_features"] = ["why", ""]
    eight, seven, nine = _read(tmp_path, released)
    assert (seven.text, seven.aligned) == ("so he fellover", True)
    assert (eight.text, eight.aligned) == ("it was a f\xeete", True)
    assert (nine.text, nine.aligned) == ("why", False)
    language[7] |= {"context_sentences": [" .", "then ."], "context_features": [[], ["then"]]}
    for file in (AUDIO, VISION):
        released[file][7]["context_features"][0] = []
    (_, seven, _) = _read(tmp_path, released, context=True)
    assert (seven.text, seven.aligned) == ("then so he fellover", True)


def test_words_and_rows_are_compared_sentence_by_sentence(tmp_path, released):
    """As many in all, but a row too many here and one too few there: no row may go to another's word."""
    for file, width in ((AUDIO, 81), (VISION, 371)):
        released[file][8]["context_features"] = [np.ones((2, width)), np.ones((2, width))]
    (eight, seven, _) = _read(tmp_path, released, context=True)
    assert len(eight.text.split()) == len(eight.audio) == len(eight.vision) == 8
    assert not eight.aligned
    assert seven.aligned
    assert _read(tmp_path, released)[0].aligned, "the punchline alone fits"
    released["language_sdk.pkl"][7]["context_features"] = [["a", "man", "walks", "then"]]
    (_, seven, _) = _read(tmp_path, released, context=True)
    assert (seven.text, seven.aligned) == ("a man walks then so he fell", True), "words of the sentences"


def test_a_sentence_of_no_words_shifts_nothing(tmp_path, released):
    """The streams leave it out, or have nothing for it."""
    released["language_sdk.pkl"][8] |= {
        "context_sentences": ["a man walks .", "", "then ."],
        "context_features": [BEFORE[0], [], BEFORE[1]],
        "context_embedding_indexes": [[10, 11, 12], [], [0]],
    }
    released[VISION][8]["context_features"].insert(1, np.zeros((0, 371)))
    eight = _read(tmp_path, released, context=True, text_features=True)[0]
    assert (eight.text, eight.aligned) == ("a man walks then it was a fish", True)
    assert len(eight.audio) == len(eight.vision) == len(eight.text_features) == 8


def test_indices_that_do_not_match_the_words(tmp_path, released):
    """Another number in all does no harm: nothing downstream puts such vectors beside rows one by one."""
    language = released["language_sdk.pkl"]
    language[8]["punchline_embedding_indexes"] = [4, 5]
    (eight, *_) = _read(tmp_path, released, text_features=True)
    np.testing.assert_array_equal(
        eight.text_features, np.float32(released["word_embedding_list.pkl"])[[4, 5]]
    )
    assert (eight.text, eight.aligned, len(eight.audio)) == ("it was a fish", True, 4)
    language[8]["context_embedding_indexes"] = [[10, 11, 12, 1, 1], [0]]
    assert len(_read(tmp_path, released, context=True)) == 3, "without vectors they are not looked at"
    with pytest.raises(
        UserError, match=r"clip 8 is not as .* sentences have 5, 1, 2 word indices, but 3, 1, 4 rows of audio"
    ):
        _read(tmp_path, released, context=True, text_features=True)


def test_words_are_no_indices(tmp_path, released):
    del released["language_sdk.pkl"][7]["punchline_embedding_indexes"]
    with pytest.raises(UserError, match="clip 7 has no 'punchline_embedding_indexes'"):
        _read(tmp_path, released, text_features=True)


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
        (
            lambda c: c["humor_label_sdk.pkl"].update({7: "x"}),
            "not numbers, one a clip: clip 7 has 'x', which",
        ),
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
