"""MMSA pickles, aligned and unaligned, with the dirt that they are known for."""

import pickle

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError
from tests.data.small_files import write_mmsa

TEXTS = ["a fine film", "i  did not\tlike it", "meh"]


def _split(rng, *, unaligned=False, length=6):
    """Three clips of 3, 5 and 1 words, a row a word; padded at the end, without text_bert."""
    rows = [4, 6, 2] if unaligned else [len(text.split()) for text in TEXTS]
    audio, vision = (np.zeros((3, length, width), np.float32) for width in (5, 4))
    for clip, count in enumerate(rows):
        audio[clip, :count] = rng.uniform(1, 2, (count, 5))
        vision[clip, :count] = rng.uniform(1, 2, (count, 4))
    arrays = {
        "raw_text": np.array(TEXTS),
        "id": [f"vid_{rng.integers(1 << 30)}$_${clip}" for clip in range(3)],
        "text": np.zeros((3, length, 8), np.float32),
        "audio": audio,
        "vision": vision,
        "regression_labels": np.array([1.0, -2.0, 0.4]),
    }
    if unaligned:
        arrays |= {"audio_lengths": list(rows), "vision_lengths": np.array(rows) - 1}
        for clip, count in enumerate(rows):
            vision[clip, count - 1 :] = 0
    return arrays


def _write(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture
def aligned():
    rng = np.random.default_rng(0)
    return {split: _split(rng) for split in ("train", "valid", "test")}


@pytest.fixture
def unaligned():
    rng = np.random.default_rng(0)
    return {split: _split(rng, unaligned=True) for split in ("train", "valid", "test")}


def test_aligned(tmp_path, aligned):
    source = readers.read(_write(tmp_path / "aligned_50.pkl", aligned))
    clips = list(source)
    assert source.format == "MMSA pickle"
    assert len(clips) == 9
    assert [clip.split for clip in clips] == ["train"] * 3 + ["valid"] * 3 + ["test"] * 3
    first, second = clips[0], clips[1]
    name = aligned["train"]["id"][0]
    assert (first.id, first.video) == (name.replace("$_$", "_"), name.split("$_$")[0])
    assert second.text == "i did not like it"
    assert second.label == -2.0
    assert all(clip.aligned for clip in clips)
    np.testing.assert_array_equal(second.audio, aligned["train"]["audio"][1, :5])
    np.testing.assert_array_equal(second.vision, aligned["train"]["vision"][1, :5])
    assert second.audio.dtype == np.float32
    assert [clip.id for clip in source] == [clip.id for clip in clips], "can be gone through again"


def test_a_silent_last_word_keeps_its_row(tmp_path, aligned):
    aligned["train"]["audio"][1, 4] = 0
    clip = list(readers.read(_write(tmp_path / "a.pkl", aligned)))[1]
    assert clip.aligned
    assert clip.audio.shape == (5, 5)
    assert clip.vision.shape == (5, 4)


def test_last_words_on_which_all_are_silent_keep_their_rows(tmp_path, aligned):
    train = aligned["train"]
    train["audio"][1, 4] = train["vision"][1, 4] = 0
    clip = list(readers.read(_write(tmp_path / "a.pkl", aligned)))[1]
    assert clip.aligned
    np.testing.assert_array_equal(clip.audio, train["audio"][1, :5])
    np.testing.assert_array_equal(clip.vision, train["vision"][1, :5])


def test_words_beyond_the_last_row_have_rows_of_zeros(tmp_path, aligned):
    train = aligned["train"]
    train["raw_text"] = [*TEXTS[:2], "one two three four five six seven eight"]  # the arrays have 6 rows
    train["audio"][2], train["vision"][2] = 1, 2
    clip = list(readers.read(_write(tmp_path / "a.pkl", aligned)))[2]
    assert clip.aligned
    np.testing.assert_array_equal(clip.audio, np.pad(train["audio"][2], ((0, 2), (0, 0))))
    assert clip.vision.shape == (8, 4)


def test_a_file_whose_rows_are_mostly_not_words_has_no_aligned_clip(tmp_path, aligned):
    for split in ("train", "test"):
        aligned[split]["raw_text"] = [f"{text} and more" for text in TEXTS[:2]] + [TEXTS[2]]
    source = readers.read(_write(tmp_path / "a.pkl", aligned))
    assert not any(clip.aligned for clip in source)
    assert source.reading.conventions["rows"] == "a stream of their own"


def test_rows_that_do_not_match_the_words_are_a_stream(tmp_path, aligned):
    """One clip in a hundred may go beyond its words."""
    many = {key: np.concatenate([np.asarray(value)] * 40) for key, value in aligned["train"].items()}
    many["id"] = [f"v{k}$_$0" for k in range(120)]
    many["audio"][2, 1] = many["vision"][2, 1] = 1
    source = readers.read(_write(tmp_path / "a.pkl", {"train": many}))
    assert source.reading.conventions["rows"] == "words, 119 of 120 clips (119 end with the last one)"
    clips = list(source)
    assert [clip.aligned for clip in clips[:4]] == [True, True, False, True]
    assert clips[2].audio.shape == (2, 5)
    many["audio"][5, 1] = 1
    assert (
        readers.read(_write(tmp_path / "b.pkl", {"train": many})).reading.conventions["rows"]
        == "a stream of their own"
    )


def test_rows_can_be_named(tmp_path, aligned):
    path = _write(tmp_path / "a.pkl", aligned)
    assert not any(clip.aligned for clip in readers.read(path, rows="stream"))
    assert all(clip.aligned for clip in readers.read(path, rows="words"))
    for arrays in aligned.values():
        arrays["raw_text"] = ["two words", *TEXTS[1:]]
    forced = list(readers.read(_write(tmp_path / "b.pkl", aligned), rows="words"))
    assert all(clip.aligned for clip in forced)
    np.testing.assert_array_equal(forced[0].audio, aligned["train"]["audio"][0, :2])
    with pytest.raises(UserError, match=r"data\.rows=tokens, but there is no text_bert"):
        readers.read(path, rows="tokens")


def test_unaligned_uses_the_lengths(tmp_path, unaligned):
    unaligned["train"]["audio"][0, 3] = 0  # a silent end inside the valid length stays
    clips = list(readers.read(_write(tmp_path / "unaligned_50.pkl", unaligned)))
    assert [len(clip.audio) for clip in clips[:3]] == [4, 6, 2]
    assert [len(clip.vision) for clip in clips[:3]] == [3, 5, 1]
    assert not any(clip.aligned for clip in clips)


def test_lengths_that_the_zeros_contradict(tmp_path, unaligned):
    """Padding in front with true lengths (MMSA-FET); lengths up to the first silent row (getLengths.py)."""
    train = unaligned["train"]
    front = np.roll(train["audio"][0], 2, axis=0)  # its 4 rows stand at the end of 6
    train["audio"][0] = front
    train["vision"][1, 2] = 0
    train["vision_lengths"][1] = 2  # of 5
    source = readers.read(_write(tmp_path / "a.pkl", unaligned))
    clips = list(source)
    np.testing.assert_array_equal(clips[0].audio, front[2:])
    np.testing.assert_array_equal(clips[1].vision, train["vision"][1, :5])
    assert [len(clip.audio) for clip in clips[1:3]] == [6, 2]
    names = [clip.id for clip in clips]
    assert [note.split(": ", 1)[1] for note in source.reading.notes] == [
        f"{stream}_lengths contradict the rows in use of 1 clip ({name}); there the zeros at both ends were "
        "cut off instead."
        for stream, name in (("audio", names[0]), ("vision", names[1]))
    ]


def test_words_without_padding_are_words(tmp_path, aligned):
    for arrays in aligned.values():
        for stream in ("audio", "vision"):
            rows = [clip[: len(text.split())] for clip, text in zip(arrays[stream], TEXTS, strict=True)]
            arrays[stream] = np.array([*rows, None], object)[:-1]
    clips = list(readers.read(_write(tmp_path / "a.pkl", aligned)))
    assert [clip.audio.shape for clip in clips[:3]] == [(3, 5), (5, 5), (1, 5)]
    assert all(clip.aligned is True for clip in clips)


def test_a_split_without_audio_and_vision(tmp_path, aligned):
    del aligned["valid"]["audio"], aligned["valid"]["vision"]
    clips = list(readers.read(_write(tmp_path / "a.pkl", aligned)))
    assert [clip.aligned for clip in clips] == [True] * 3 + [False] * 3 + [True] * 3
    assert clips[3].audio.shape == (0, 0)


def test_a_split_without_text_bert_is_said(tmp_path, aligned):
    aligned["train"]["text_bert"] = np.ones((3, 3, 6))
    source = readers.read(_write(tmp_path / "a.pkl", aligned))
    (note,) = source.reading.notes
    assert "valid" in note
    assert "without text_bert here, rows cannot be told to belong to tokens" in note


def test_the_same_rows_from_padding_at_either_end(tmp_path, unaligned):
    for arrays in unaligned.values():
        for stream in ("audio", "vision"):
            for clip, length in enumerate(arrays[f"{stream}_lengths"]):
                arrays[stream][clip] = np.roll(arrays[stream][clip], 6 - length, axis=0)
    in_front = list(readers.read(_write(tmp_path / "front.pkl", unaligned)))
    for arrays in unaligned.values():
        del arrays["audio_lengths"], arrays["vision_lengths"]
        arrays["vision"] = np.pad(arrays["vision"], ((0, 0), (3, 0), (0, 0)))  # on another time line
    without = list(readers.read(_write(tmp_path / "without.pkl", unaligned)))
    for arrays in unaligned.values():
        for stream in ("audio", "vision"):
            for rows in arrays[stream]:
                rows[:] = np.roll(rows, -np.flatnonzero(rows.any(1))[0], axis=0)
    behind = list(readers.read(_write(tmp_path / "behind.pkl", unaligned)))
    for clips in (without, behind):
        for clip, other in zip(in_front, clips, strict=True):
            np.testing.assert_array_equal(clip.audio, other.audio)
            np.testing.assert_array_equal(clip.vision, other.vision)
    assert [len(clip.vision) for clip in behind[:3]] == [3, 5, 1]


def test_lengths_above_the_number_of_rows_are_cut_and_said(tmp_path, unaligned):
    unaligned["train"]["audio_lengths"] = [4, 9, 2]
    source = readers.read(_write(tmp_path / "a.pkl", unaligned))
    clips = list(source)
    assert [len(clip.audio) for clip in clips[:3]] == [4, 6, 2]
    (note,) = source.reading.notes
    assert f"audio_lengths exceed the rows of 1 clip ({clips[1].id}); cut to them." in note


def test_clips_without_split_or_label(tmp_path, unaligned):
    """CH-SIMS v2's unlabelled clips: the arrays of one split alone."""
    flat = unaligned["test"]
    del flat["regression_labels"]
    path = _write(tmp_path / "ch-simsv2u.pkl", flat)
    clips = list(readers.read(path, require_labels=False))
    assert [(clip.split, clip.text) for clip in clips] == [("", " ".join(text.split())) for text in TEXTS]
    assert [len(clip.audio) for clip in clips] == [4, 6, 2]
    with pytest.raises(UserError, match="needs 'regression_labels'"):
        readers.read(path)


def test_dirt(tmp_path, unaligned):
    """bytes, object arrays, float64, (N, 1, 1), lists, [id, start, end], `dev`, infinities."""
    train = unaligned["train"]
    train["audio"] = train["audio"].astype(np.float64)
    train["audio"][0, 0, 0] = -np.inf
    train["vision"][0, 0, 0] = np.nan
    train["audio"][1, 0, 0] = 1e300
    train["regression_labels"] = train["regression_labels"].reshape(3, 1, 1).astype(object)
    train["raw_text"] = [text.encode() for text in TEXTS]
    train["id"] = np.array([[b"vid[3]", b"0.1", b"2"], [b"other", b"1.5", b"2"], [b"v$_$9", b"0", b"1"]])
    train["audio_lengths"] = np.array([[4], [6], [2]])
    unaligned["dev"] = unaligned.pop("valid")
    clips = list(readers.read(_write(tmp_path / "a.pkl", unaligned)))
    assert [(clip.id, clip.video) for clip in clips[:3]] == [
        ("vid_3", "vid"),
        ("other_1.5", "other"),
        ("v_9", "v"),
    ]
    assert [clip.label for clip in clips[:3]] == [1.0, -2.0, 0.4]
    assert clips[1].text == "i did not like it"
    assert clips[0].audio.dtype == np.float32
    assert np.isneginf(clips[0].audio[0, 0])
    assert np.isnan(clips[0].vision[0, 0])
    assert np.isposinf(clips[1].audio[0, 0])
    assert {clip.split for clip in clips} == {"train", "valid", "test"}


def test_missing_modality_and_chinese_text(tmp_path, aligned):
    for arrays in aligned.values():
        del arrays["vision"]
        arrays["raw_text"] = ["我不想嫁给李茶"] * 3
    clip = next(iter(readers.read(_write(tmp_path / "a.pkl", aligned))))
    assert clip.text == "我不想嫁给李茶"
    assert clip.vision.shape == (0, 0)
    assert clip.audio.shape == (3, 5)


def test_a_modality_that_is_silent_throughout_keeps_its_rows(tmp_path, aligned):
    aligned["train"]["audio"][0] = 0
    clip = next(iter(readers.read(_write(tmp_path / "a.pkl", aligned))))
    assert clip.aligned
    assert clip.audio.shape == (3, 5)
    assert not clip.audio.any()


def test_labels_are_optional_on_request(tmp_path, aligned):
    test = {"test": aligned["test"]}
    del test["test"]["regression_labels"]
    path = _write(tmp_path / "a.pkl", test)
    assert all(np.isnan(clip.label) for clip in readers.read(path, require_labels=False))
    with pytest.raises(UserError, match="needs 'regression_labels', found only audio"):
        readers.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("raw_text"), "needs 'raw_text'"),
        (lambda a: a.pop("id"), "needs 'id'"),
        (lambda a: a.update(audio=a["audio"][:2]), "3 ids but audio 2"),
        (lambda a: a.update(audio=a["audio"][:, 0]), r"audio must be \(clips, rows, width\), found \(3, 5\)"),
        (lambda a: a.update(vision_lengths=[-1, 1, 1]), "vision_lengths are below 0 in 1 clip"),
        (lambda a: a.update(vision_lengths=["x", 1, 1]), "vision_lengths are not numbers"),
        (lambda a: a.update(vision_lengths="111"), "vision_lengths are not numbers: found the text '111'"),
        (
            lambda a: a.update(vision_lengths=[1, 1.5, 1]),
            r"vision_lengths are not whole numbers in 1 clip \(.*: 1\.5\)",
        ),
        (
            lambda a: a.update(vision_lengths=[np.nan, 1, 1]),
            "vision_lengths are not whole numbers in 1 clip",
        ),
        (
            lambda a: a.update(raw_text="abc"),
            "raw_text is a str 'abc', not a list with an entry for each clip",
        ),
        (lambda a: a.update(raw_text={"a": 1, "b": 2, "c": 3}), "raw_text is a dict, not a list"),
        (lambda a: a.update(id="abc"), "id is a str 'abc', not a list with an entry for each clip"),
        (lambda a: a.update(regression_labels="123"), "regression_labels is a str '123', not a list"),
        (
            lambda a: a.update(regression_labels=np.zeros((3, 3))),
            r"differ in their number of labels \(1 in valid and 3 in train\)",
        ),
        (
            lambda a: a.update(regression_labels=["x", "y", "z"]),
            "regression_labels are not numbers, one a clip: clip .* has 'x', which",
        ),
        (lambda a: a.update(vision=np.full((3, 6, 4), "x")), r"vision must be .* found .* of <U1"),
        (lambda a: a.update(vision=[[["x"]], [["y"]], [["z"]]]), "train clip 0"),
    ],
)
def test_bad_arrays(tmp_path, unaligned, change, message):
    change(unaligned["train"])
    path = _write(tmp_path / "a.pkl", unaligned)
    with pytest.raises(UserError, match=message) as error:
        list(readers.read(path))
    assert str(path) in str(error.value)
    assert "train" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_clips(tmp_path):
    with pytest.raises(UserError, match="no clips"):
        readers.read(_write(tmp_path / "a.pkl", {"train": {}}))


def _featured(aligned):
    rng = np.random.default_rng(1)
    for arrays in aligned.values():
        arrays["text"] = rng.normal(size=(3, 6, 8)).astype(np.float32)
        arrays["text_bert"] = np.zeros((3, 3, 6))
        arrays["text_bert"][:, 1] = [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]]
    return aligned


def test_text_features_follow_the_mask(tmp_path, aligned):
    path = _write(tmp_path / "a.pkl", _featured(aligned))
    clips = list(readers.read(path, text_features=True, rows="words"))
    assert [len(clip.text_features) for clip in clips] == [3, 6, 2] * 3
    np.testing.assert_array_equal(clips[2].text_features, aligned["train"]["text"][2, :2])
    assert clips[2].text_features.dtype == np.float32
    assert all(clip.text_features.shape == (0, 0) for clip in readers.read(path, rows="words"))


@pytest.mark.parametrize("length", [4, 9])
def test_text_bert_of_another_length_than_the_text_features(tmp_path, aligned, length):
    for arrays in _featured(aligned).values():
        arrays["text_bert"] = np.resize(arrays["text_bert"], (3, 3, length))
        arrays["text_bert"][:, 1] = np.arange(length) < np.array([[3], [length], [2]])
    clips = list(readers.read(_write(tmp_path / "a.pkl", aligned), text_features=True, rows="words"))
    assert [len(clip.text_features) for clip in clips] == [3, min(length, 6), 2] * 3


def test_text_features_without_a_mask_end_with_zeros(tmp_path, aligned):
    for arrays in _featured(aligned).values():
        del arrays["text_bert"]
    aligned["train"]["text"][0, [1, 4, 5]] = 0
    aligned["train"]["text"][1] = 0
    clips = list(readers.read(_write(tmp_path / "a.pkl", aligned), text_features=True))
    assert [len(clip.text_features) for clip in clips[:3]] == [4, 0, 6]
    assert clips[1].text_features.shape == (0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("text"), r"a\.pkl has no text features; use --config.text.encoder=roberta-base"),
        (lambda a: a.update(text=a["text"][:2]), "3 ids but text 2"),
        (lambda a: a.update(text=TEXTS), r"text must be \(clips, rows, width\)"),
        (lambda a: a.update(text_bert=np.ones((3, 5))), r"text_bert must be \(3, 3, tokens\) .* \(3, 5\)"),
    ],
)
def test_bad_text_features(tmp_path, aligned, change, message):
    change(_featured(aligned)["valid"])
    path = _write(tmp_path / "a.pkl", aligned)
    with pytest.raises(UserError, match=message):
        readers.read(path, text_features=True)


def test_four_labels_a_clip(tmp_path, aligned):
    aligned["train"]["regression_labels"] = np.array([[0, 1, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0]])
    aligned["valid"]["regression_labels"] = np.array([[0, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])
    aligned["test"]["regression_labels"] = np.zeros((3, 4, 1))
    source = readers.read(_write(tmp_path / "a.pkl", aligned))
    clips = list(source)
    np.testing.assert_array_equal(clips[1].label, [1, 0, 0, 1])
    np.testing.assert_array_equal(clips[3].label, [0, 0, 0, 1])
    assert source.reading.conventions["labels"] == (
        "4 columns of 0 and 1, IEMOCAP's: happy, sad, angry and neutral, each or not"
    )
    for arrays in aligned.values():
        arrays["regression_labels"] = np.eye(2)[np.asarray(arrays["regression_labels"], int)]
    with pytest.raises(
        UserError, match=r"the labels have 8 columns \(0 to 7 in \[0, 1\]\), and nothing tells"
    ):
        readers.read(_write(tmp_path / "b.pkl", aligned))


@pytest.mark.parametrize("name", ["video", "visual"])
def test_vision_under_another_usual_name(tmp_path, name):
    def rename(content):
        for arrays in content.values():
            arrays[name], arrays[f"{name}_lengths"] = arrays.pop("vision"), arrays.pop("vision_lengths")

    plain = list(readers.read(write_mmsa(tmp_path)))
    for one, two in zip(plain, readers.read(write_mmsa(tmp_path, rename, "other.pkl")), strict=True):
        np.testing.assert_array_equal(one.vision, two.vision)
        assert len(two.vision)
