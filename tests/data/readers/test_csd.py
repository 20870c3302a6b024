"""Computational sequences: words, frames and labels with their times."""

import csv
import json
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from msa_jax.data.readers import csd
from msa_jax.data.readers.timed_rows import TimedRows
from msa_jax.errors import UserError

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosi"
LABELS = "CMU_MOSI_Opinion_Labels.csd"
STILL = "2WGyTLYerpo_43"  # the real label of no length


def _write(path, root, videos):
    """videos: {video: (intervals, features)}"""
    with h5py.File(path, "w") as file:
        data = file.create_group(root).create_group("data")
        for video, (intervals, features) in videos.items():
            data[f"{video}/intervals"] = intervals
            data[f"{video}/features"] = features
        file[root].create_group("metadata")
    return path


def _frames(start, stop, rate, width, seed=0):
    """Frames without gaps from start to stop."""
    edges = np.arange(start * rate, stop * rate + 1) / rate
    features = np.random.default_rng(seed).normal(size=(len(edges) - 1, width))
    return np.stack([edges[:-1], edges[1:]], axis=1), features


def _spoken(*words):
    """words: (word, start, end)"""
    return (
        np.array([[start, end] for _, start, end in words], np.float32).reshape(-1, 2),
        np.array([[word.encode()] for word, _, _ in words], "S32").reshape(-1, 1),
    )


CORPUS = {
    LABELS: (
        "Opinion Segment Labels",
        {
            "a": (np.array([[1.0, 2.0], [2.0, 4.0]], np.float32), np.array([[1.5], [-2.0]], np.float32)),
            "b_c": (np.array([[0.0, 3.0]]), np.array([[0.25]])),
        },
    ),
    "CMU_MOSI_TimestampedWords.csd": (
        "words",
        {
            "a": _spoken(
                ("late", 3.5, 4.5),  # out of order, and beyond the end of its segment
                ("before", 0.5, 1.0),  # only touches
                ("sp", 1.0, 1.25),
                ("so", 1.25, 1.5),
                ("very good", 1.5, 2.25),  # in both segments
                ("", 2.25, 2.5),
                ("point", 2.5, 2.5),  # has no length
                ("end", 3.0, 3.5),
            ),
            "b_c": _spoken(("caf\xe9", 0.5, 1.0)),
        },
    ),
    "CMU_MOSI_COVAREP.csd": ("COVAREP", {"a": _frames(0, 4, 16, 5), "b_c": _frames(0, 3, 16, 5, seed=1)}),
    "CMU_MOSI_Visual_Facet_42.csd": ("FACET_4.2", {"a": _frames(0, 3, 4, 3, seed=2)}),
    "CMU_MOSI_TimestampedWordVectors.csd": (
        "glove_vectors",
        {
            "a": (np.array([[1.25, 1.5], [1.5, 2.25], [3.0, 3.5]]), np.eye(3)),
            "b_c": ([[0.5, 1.0]], np.ones((1, 3))),
        },
    ),
}


def _corpus(folder, *names):
    for name in names or CORPUS:
        _write(folder / name, *CORPUS[name])
    return folder


def _read(path, require_labels=True, **options):
    return list(csd.reader(path, str(path), require_labels, **options).examples())


def _plain_mean(intervals, features, start, end):
    """Mean over the frames that overlap [start, end], frame by frame and column by column."""
    sums, counts, any_frame = [0.0] * features.shape[1], [0] * features.shape[1], False
    for (left, right), row in zip(intervals, features, strict=True):
        if min(right, end) - max(left, start) > 1e-5:
            any_frame = True
            for column, value in enumerate(row):
                if np.isfinite(value):
                    sums[column] += value
                    counts[column] += 1
    if not any_frame:
        return None
    return [total / count if count else np.nan for total, count in zip(sums, counts, strict=True)]


def _same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert (a.id, a.video, a.split, a.text, a.aligned) == (b.id, b.video, b.split, b.text, b.aligned)
        for name in ("audio", "vision", "text_features", "label"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_words_cut_the_streams(tmp_path):
    clips = _read(_corpus(tmp_path))
    assert [(clip.id, clip.video, clip.split, clip.label) for clip in clips] == [
        ("a_0", "a", "", 1.5),
        ("a_1", "a", "", -2.0),
        ("b_c_0", "b_c", "", 0.25),
    ]
    assert [clip.text for clip in clips] == ["so verygood", "verygood end late", "caf\xe9"]
    assert all(clip.aligned and clip.text_features.shape == (0, 0) for clip in clips)
    spans = [[(1.25, 1.5), (1.5, 2.25)], [(1.5, 2.25), (3.0, 3.5), (3.5, 4.5)], [(0.5, 1.0)]]
    for name, read in (("CMU_MOSI_COVAREP.csd", "audio"), ("CMU_MOSI_Visual_Facet_42.csd", "vision")):
        for clip, words in zip(clips, spans, strict=True):
            frames = CORPUS[name][1].get(clip.video)
            if frames is None:
                assert getattr(clip, read).shape == (0, 0)
                continue
            means = [_plain_mean(*frames, *span) for span in words]
            width = frames[1].shape[1]
            expected = [[0.0] * width if mean is None else mean for mean in means]
            np.testing.assert_allclose(getattr(clip, read), expected, rtol=1e-6)
    assert not clips[1].vision[1:].any()  # the frames end at 3 s
    assert clips[1].vision[0].all()


def test_word_vectors_on_request(tmp_path):
    clips = _read(_corpus(tmp_path), text_features=True)
    np.testing.assert_array_equal(clips[0].text_features, np.eye(3)[:2])
    np.testing.assert_array_equal(clips[1].text_features, [[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    (tmp_path / "CMU_MOSI_TimestampedWordVectors.csd").unlink()
    with pytest.raises(UserError, match="no text features"):
        _read(tmp_path, text_features=True)


def test_frames_of_a_segment_without_words(tmp_path):
    _corpus(tmp_path)
    (tmp_path / "CMU_MOSI_TimestampedWords.csd").unlink()
    clips = _read(tmp_path, text_features=True)
    assert {(clip.text, clip.aligned) for clip in clips} == {("", False)}
    audio, vision = (
        CORPUS[name][1]["a"][1].astype(np.float32)
        for name in ("CMU_MOSI_COVAREP.csd", "CMU_MOSI_Visual_Facet_42.csd")
    )
    np.testing.assert_array_equal(clips[0].audio, audio[16:32])
    np.testing.assert_array_equal(clips[1].audio, audio[32:64])
    np.testing.assert_array_equal(clips[1].vision, vision[8:12])
    np.testing.assert_array_equal(clips[1].text_features, np.eye(3)[1:])
    assert clips[2].vision.shape == (0, 0)


def test_seven_labels_and_doubles_in_any_order(tmp_path):
    _corpus(tmp_path, "CMU_MOSI_COVAREP.csd")
    scores = np.arange(14.0).reshape(2, 7) / 5
    _write(
        tmp_path / "x.csd",
        "All Labels",
        {"a": ([[2.0, 3.0], [0.5, 1.0]], scores), "z": ([[0.0, 1.0]], scores[:1])},
    )
    clips = _read(tmp_path)
    assert [(clip.id, clip.label) for clip in clips] == [("a_0", 0.0), ("a_1", 1.4), ("z_0", 0.0)]
    np.testing.assert_array_equal(
        clips[1].audio, CORPUS["CMU_MOSI_COVAREP.csd"][1]["a"][1][8:16].astype(np.float32)
    )
    assert clips[2].audio.shape == (0, 0)


def test_a_video_without_segments_has_no_clips(tmp_path):
    _write(tmp_path / LABELS, "labels", {"a": (np.zeros((0, 2)), np.zeros((0, 1))), "b": ([[0, 1]], [[1]])})
    assert [clip.id for clip in _read(tmp_path)] == ["b_0"]


def _notes(path):
    return csd.reader(path, str(path), True).notes


def test_labels_of_no_length_make_no_clip(tmp_path):
    """As in the SDK's align, which leaves the numbers of the other clips as they are."""
    _corpus(tmp_path, "CMU_MOSI_COVAREP.csd", "CMU_MOSI_TimestampedWords.csd")
    still = [[1.0, 2.0], [1.3, 1.3], [2.0, 4.0], [3.0, 3.0 + 5e-6]]
    _write(
        tmp_path / LABELS,
        "Opinion Segment Labels",
        {
            "a": (np.array(still), np.array([[1.5], [3.0], [-2.0], [-3.0]])),
            "b_c": (np.array([[1.0, 1.0], [0.0, 3.0], [2.0, 2.0], [3.0, 3.0]]), np.ones((4, 1))),
            "only": (np.array([[7.0, 7.0]]), np.ones((1, 1))),
        },
    )
    clips = _read(tmp_path)
    assert [(clip.id, clip.label, clip.text) for clip in clips] == [
        ("a_0", 1.5, "so verygood"),
        ("a_2", -2.0, "verygood end late"),
        ("b_c_1", 1.0, "caf\xe9"),
    ]
    assert [len(clip.audio) for clip in clips] == [2, 3, 1]
    assert _notes(tmp_path) == (
        "Labels of no length make no clip, as in the CMU-MultimodalSDK; "
        f"{LABELS} has 6 of them: a_1, a_3, b_c_0, ....",
    )
    _write(tmp_path / LABELS, *CORPUS[LABELS])
    assert _notes(tmp_path) == ()


def test_labels_that_end_before_they_start_are_told_apart(tmp_path):
    _corpus(tmp_path, "CMU_MOSI_COVAREP.csd")
    times = np.array([[2.0, 1.0], [1.0, 1.0], [1.0, 3.0], [2.0, 2.0 - 5e-6]])
    _write(tmp_path / LABELS, "labels", {"a": (times, np.ones((4, 1)))})
    assert [clip.id for clip in _read(tmp_path)] == ["a_2"]
    assert _notes(tmp_path) == (
        f"Labels of no length make no clip, as in the CMU-MultimodalSDK; {LABELS} has 2 of them: a_1, a_3.",
        f"Labels that end before they start make no clip; {LABELS} has 1 of them: a_0.",
    )


def test_times_before_zero_and_in_no_order(tmp_path):
    """CMU-MOSEI's files have both."""
    intervals, features = _frames(-2, 4, 4, 3)
    mixed = np.random.default_rng(1).permutation(len(intervals))
    _write(tmp_path / "COAVAREP.csd", "COAVAREP", {"a": (intervals[mixed], features[mixed])})
    segments = np.array([[2.0, 4.0], [-1.5, 0.5], [0.5, 2.0], [-3.0, -2.0]])
    _write(tmp_path / LABELS, "All Labels", {"a": (segments, np.arange(4.0)[:, None])})
    first, second, third, fourth = _read(tmp_path)
    assert [clip.id for clip in (first, second, third, fourth)] == ["a_0", "a_1", "a_2", "a_3"]
    assert [clip.label for clip in (first, second, third, fourth)] == [0, 1, 2, 3]
    single = features.astype(np.float32)
    for clip, rows in ((first, single[16:]), (second, single[2:10]), (third, single[10:16])):
        np.testing.assert_array_equal(clip.audio, rows)
    assert fourth.audio.shape == (0, 0), "the frames begin where it ends"
    words = _spoken(("second", 0.0, 0.5), ("third", 0.5, 1.0), ("first", -1.5, -0.25), ("early", -2.0, -1.5))
    words = tuple(np.concatenate(both) for both in zip(words, _spoken(("late", 3.0, 4.0)), strict=True))
    _write(tmp_path / "words.csd", "words", {"a": words})
    clip = _read(tmp_path)[1]
    assert clip.text == "first second"
    np.testing.assert_allclose(
        clip.audio, [features[2:7].mean(axis=0), features[8:10].mean(axis=0)], rtol=1e-6
    )


def test_numbers_that_are_not_finite(tmp_path):
    _corpus(tmp_path, LABELS, "CMU_MOSI_TimestampedWords.csd")
    intervals, features = _frames(0, 4, 16, 3)
    features[20] = np.nan  # one frame of "so" (20 to 24)
    features[20:24, 1] = -np.inf  # a whole column of it
    features[24:36, :] = np.inf  # all of "very good"
    _write(tmp_path / "COVAREP.csd", "COVAREP", {"a": (intervals, features)})
    clips = _read(tmp_path)
    np.testing.assert_allclose(
        clips[0].audio[0], [features[21:24, 0].mean(), np.nan, features[21:24, 2].mean()]
    )
    assert np.isnan(clips[0].audio[1]).all()
    np.testing.assert_allclose(clips[1].audio[1], features[48:56].mean(axis=0), rtol=1e-6)


def test_overlap_of_arbitrary_intervals():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 10, 200).round(1)  # rounded, so that many only touch
    intervals = np.stack([starts, starts + rng.choice([0, 0.1, 0.5, 4], 200)], axis=1)
    rows = rng.normal(size=(200, 2))
    rows[rng.integers(0, 200, 40), rng.integers(0, 2, 40)] = np.nan
    timed = TimedRows(intervals, rows)
    found = 0
    for start, length in zip(rng.uniform(-1, 11, 100).round(1), rng.choice([0, 0.1, 1], 100), strict=True):
        expected = _plain_mean(intervals, rows, start, start + length)
        mean = timed.mean(start, start + length)
        if expected is None:
            assert mean is None
        else:
            found += 1
            np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-15)
    assert 20 < found < 100
    times = timed.intervals[timed.within(2.0, 5.0), 0]
    assert len(times) > 20
    assert (np.diff(times) >= 0).all()


def test_rows_that_only_touch_are_outside():
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    timed = TimedRows(np.stack([edges[:-1], edges[1:]], axis=1), np.arange(3))
    for start, end, rows in (
        (1, 2, [1]),
        (1 - 1e-6, 2 + 1e-6, [1]),
        (0.999, 2, [0, 1]),
        (3, 4, []),
        (1, 1, []),
    ):
        assert timed.within(start, end).tolist() == rows


def test_splits_beside_the_files(tmp_path):
    _corpus(tmp_path)
    assert csd.members(tmp_path) == sorted(tmp_path / name for name in CORPUS)
    file = tmp_path / "splits.json"
    for valid in ("valid", "dev"):
        file.write_text(json.dumps({"train": ["a"], valid: ["b_c"], "test": ["elsewhere"]}))
        assert [clip.split for clip in _read(tmp_path)] == ["train", "train", "valid"]
    assert csd.members(tmp_path) == sorted([file, *(tmp_path / name for name in CORPUS)])
    assert csd.members(tmp_path / LABELS) == [tmp_path / LABELS, file]
    assert [clip.split for clip in _read(tmp_path / LABELS)] == ["train", "train", "valid"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"train": [], "test": ["b_c"]},
            r"1 video of CMU_MOSI_Opinion_Labels\.csd is in no split, the first is a;",
        ),
        ({"train": ["a", "b_c"], "test": ["a"]}, "video a is in two splits, train and test"),
        ({"train": ["a", "b_c"], "fold": []}, "'fold' is none of train, valid"),
        ({"train": "a"}, "expected {"),
        (["a", "b_c"], "expected {"),
        ("{", "cannot read .*splits.json"),
    ],
)
def test_bad_splits(tmp_path, content, message):
    _corpus(tmp_path, LABELS)
    (tmp_path / "splits.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        csd.reader(tmp_path, str(tmp_path), True)
    assert str(tmp_path / "splits.json") in str(error.value)


@pytest.mark.parametrize(
    ("root", "name", "role"),
    [
        ("All Labels", "x", "labels"),
        ("Sentiment Labels", "x", "labels"),
        ("COVAREP", "CMU_MOSEI_COVAREP", "audio"),
        ("COAVAREP", "x", "audio"),  # as the SDK's CMU-MOSEI spells it
        ("x", "COAVAREP", "audio"),
        ("OpenSmile-emobase2010", "CMU_MOSI_OpenSmile_EB10", "audio"),
        ("OpenSMILE", "x", "audio"),
        ("FACET 4.2", "CMU_MOSEI_VisualFacet42", "vision"),
        ("OpenFace_2", "x", "vision"),
        ("x", "my-visual-features", "vision"),
        ("HuBERT", "x", "audio"),
        ("BERT embeddings", "x", "word vectors"),
        ("glove_vectors", "CMU_MOSEI_TimestampedWordVectors", "word vectors"),
    ],
)
def test_roles_by_root_or_file_name(tmp_path, root, name, role):
    path = _write(tmp_path / f"{name}.csd", root, {"a": ([[0.0, 1.0]], [[7.0]])})
    if role != "labels":
        _write(tmp_path / "labels.csd", "labels", {"a": ([[0.0, 1.0]], [[0.5]])})
    (clip,) = _read(tmp_path, text_features=role == "word vectors")
    held = {
        "labels": clip.label,
        "audio": clip.audio,
        "vision": clip.vision,
        "word vectors": clip.text_features,
    }
    np.testing.assert_array_equal(held[role], 7.0 if role == "labels" else [[7.0]])
    assert csd.matches(path)


def test_phones_are_no_words(tmp_path):
    _corpus(tmp_path, LABELS, "CMU_MOSI_TimestampedWords.csd")
    before = _read(tmp_path)
    _write(tmp_path / "CMU_MOSI_TimestampedPhones.csd", "phones", {"a": _spoken(("AH", 1.0, 1.25))})
    (tmp_path / "._hidden.csd").write_text("left by another system")
    (tmp_path / "notes.txt").write_text("no sequence")
    _same(_read(tmp_path), before)


def test_words_as_strings_of_any_length(tmp_path):
    _corpus(tmp_path, LABELS)
    words = np.array([["gr\xfc\xdf"], ["dich"], ["spät"]], dtype=object)
    with h5py.File(tmp_path / "x.csd", "w") as file:
        file["text/data/a/intervals"] = [[1.0, 1.5], [1.5, 2.0], [3.5, 4.0]]
        file.create_dataset("text/data/a/features", data=words, dtype=h5py.string_dtype())
    assert [clip.text for clip in _read(tmp_path)] == ["gr\xfc\xdf dich", "spät", ""]


def test_matches_by_content(tmp_path):
    path = _corpus(tmp_path, LABELS) / LABELS
    assert csd.matches(path.rename(tmp_path / "renamed"))
    with h5py.File(tmp_path / "array.h5", "w") as file:
        file["d1"] = np.zeros(3)
    (tmp_path / "x.csv").write_text("text")
    assert not csd.matches(tmp_path / "array.h5")
    assert not csd.matches(tmp_path / "x.csv")
    assert not csd.matches({"train": []})
    (tmp_path / "cut").write_bytes((tmp_path / "renamed").read_bytes()[:-50])
    with pytest.raises(UserError, match=r"cut: cannot be read as HDF5 \(truncated file"):
        csd.matches(tmp_path / "cut")
    (tmp_path / "empty").mkdir()
    assert csd.members(tmp_path / "empty") == []


def test_twice_the_same_and_nothing_left_open(tmp_path, monkeypatch):
    _corpus(tmp_path)
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    modes = []
    file = h5py.File
    monkeypatch.setattr(h5py, "File", lambda path, mode: modes.append(mode) or file(path, mode))
    examples = csd.reader(tmp_path, "x", True, text_features=True).examples
    started = examples()
    next(started)
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0
    _same(list(examples()), list(examples()))
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0
    assert set(modes) == {"r"}
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before


def test_one_video_at_a_time(tmp_path):
    frames = _frames(0, 40, 100, 64)  # 2 MB a video
    videos = {f"v{k:02d}": frames for k in range(20)}
    _write(tmp_path / "COVAREP.csd", "COVAREP", videos)
    _write(tmp_path / LABELS, "labels", {video: ([[39.0, 40.0]], [[1.0]]) for video in videos})
    examples = csd.reader(tmp_path, "x", True).examples
    tracemalloc.start()
    try:
        assert sum(len(clip.audio) for clip in examples()) == 20 * 100
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5 * frames[1].nbytes


def _damaged(name, video, **arrays):
    """Replaces arrays of one video, or removes them."""

    def spoil(folder):
        with h5py.File(folder / name, "a") as file:
            (root,) = file
            group = file[root]["data"][video]
            for key, array in arrays.items():
                del group[key]
                if array is not None:
                    group[key] = array

    return spoil


def _cut_short(folder):
    path = folder / "CMU_MOSI_COVAREP.csd"
    path.write_bytes(path.read_bytes()[:-100])


def _array_in_place_of_a_video(folder):
    with h5py.File(folder / "CMU_MOSI_COVAREP.csd", "a") as file:
        del file["COVAREP/data/b_c"]
        file["COVAREP/data/b_c"] = np.zeros((2, 3))


def _added(name, root, videos):
    return lambda folder: _write(folder / name, root, videos)


def _two_roots(folder):
    with h5py.File(folder / LABELS, "a") as file:
        file.create_group("more/data")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _damaged("CMU_MOSI_COVAREP.csd", "b_c", features=None),
            r"COVAREP\.csd, video b_c: has no array features",
        ),
        (
            _damaged("CMU_MOSI_COVAREP.csd", "b_c", intervals=None),
            r"COVAREP\.csd, video b_c: has no array intervals",
        ),
        (
            _damaged("CMU_MOSI_COVAREP.csd", "a", features=None),
            r"COVAREP\.csd, video a: has no array features",
        ),
        (
            _damaged("CMU_MOSI_COVAREP.csd", "b_c", intervals=np.zeros((7, 2))),
            r"COVAREP\.csd, video b_c: 7 intervals but features of shape \(48, 5\)",
        ),
        (
            _damaged("CMU_MOSI_COVAREP.csd", "b_c", intervals=np.zeros((48, 3))),
            r"COVAREP\.csd, video b_c: intervals must be \(n, 2\) numbers, .* found \(48, 3\)",
        ),
        (
            _damaged("CMU_MOSI_COVAREP.csd", "b_c", intervals=np.full((48, 2), np.nan)),
            r"COVAREP\.csd, video b_c: intervals hold NaN",
        ),
        (
            _damaged("CMU_MOSI_COVAREP.csd", "b_c", features=np.zeros(48)),
            r"video b_c: the features of audio must be \(n, width\) numbers, found \(48,\)",
        ),
        (
            _damaged("CMU_MOSI_TimestampedWords.csd", "b_c", features=np.zeros((1, 1))),
            r"TimestampedWords\.csd, video b_c: the features of words must be one string a row",
        ),
        (
            _damaged(LABELS, "b_c", features=np.zeros((1, 3))),
            r"Opinion_Labels\.csd: clips differ in their number of labels \(1 in a and 3 in b_c\)",
        ),
        (_damaged(LABELS, "b_c", intervals=None), r"Opinion_Labels\.csd, video b_c: has no array intervals"),
        (_array_in_place_of_a_video, r"COVAREP\.csd, video b_c: has no array intervals"),
        (_cut_short, r"COVAREP\.csd: cannot be read as HDF5 \(truncated file"),
        (
            _added("CMU_MOSI_openSMILE_IS09.csd", "OpenSMILE", CORPUS["CMU_MOSI_COVAREP.csd"][1]),
            r"CMU_MOSI_COVAREP\.csd and CMU_MOSI_openSMILE_IS09\.csd both hold audio; leave one",
        ),
        (
            _added("x.csd", "pose", {"a": ([[0, 1]], [[1.0]])}),
            r"x\.csd: neither its root name 'pose' nor its file name",
        ),
        (_added("x.csd", "audio_visual", {"a": ([[0, 1]], [[1.0]])}), "neither its root name 'audio_visual'"),
        (lambda folder: (folder / LABELS).unlink(), r"no labels among CMU_MOSI_COVAREP\.csd, .*, by which"),
        (_added("CMU_MOSI_COVAREP.csd", "COVAREP", {}), r"COVAREP\.csd: holds no videos"),
        (
            _added("CMU_MOSI_COVAREP.csd", "COVAREP", {"z": ([[0, 1]], [[1.0]])}),
            r"COVAREP\.csd has none of the videos",
        ),
        (
            _added(LABELS, "labels", {"a[0]": ([[0, 1]], [[1.0]])}),
            r"a\[0\] names a clip, .* use the original",
        ),
        (
            _two_roots,
            r"Opinion_Labels\.csd: a \.csd file has one root group .* found Opinion Segment Labels, more",
        ),
    ],
)
def test_bad_files(tmp_path, spoil, message):
    spoil(_corpus(tmp_path))
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_damage_inside_names_its_file_and_video(tmp_path):
    _corpus(tmp_path)
    path = tmp_path / "CMU_MOSI_COVAREP.csd"
    with h5py.File(path, "a") as file:
        group = file["COVAREP/data/b_c"]
        features = group["features"][()]
        del group["features"]
        data = group.create_dataset("features", data=features, compression="gzip", chunks=features.shape)
        start = data.id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + 40] = bytes(40)
    path.write_bytes(raw)
    examples = csd.reader(tmp_path, str(tmp_path), True).examples()
    assert [next(examples).video for _ in range(2)] == ["a", "a"]
    with pytest.raises(UserError, match=r"COVAREP\.csd, video b_c: cannot be read as HDF5"):
        next(examples)


def test_labels_are_needed_to_cut_clips(tmp_path):
    path = _corpus(tmp_path, "CMU_MOSI_COVAREP.csd") / "CMU_MOSI_COVAREP.csd"
    for source in (path, tmp_path):
        with pytest.raises(
            UserError, match=r"no labels among CMU_MOSI_COVAREP\.csd, .*add the corpus's label file"
        ):
            csd.reader(source, str(source), False)


@pytest.mark.skipif(not (REAL / LABELS).exists(), reason="needs the real MOSI label sequence in ../shared")
def test_real_labels():
    clips = _read(REAL / LABELS)
    assert len(clips) == 2198
    assert len({clip.video for clip in clips}) == 93
    with (REAL / "mosi_text_labels.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert _notes(REAL / LABELS) == (
        f"Labels of no length make no clip, as in the CMU-MultimodalSDK; {LABELS} has 1 of them: {STILL}.",
    )
    with h5py.File(REAL / LABELS) as file:
        videos = file["Opinion Segment Labels/data"]
        ids = [f"{video}_{k}" for video in videos for k in range(len(videos[video]["intervals"]))]
    assert len(ids) == 2199
    ids.remove(STILL)
    assert [clip.id for clip in clips] == ids
    rows.sort(key=lambda row: (row["video_id"], int(row["clip_id"])))
    clips.sort(key=lambda clip: (clip.video, int(clip.id.rpartition("_")[2])))
    (left_out,) = (row for row in rows if f"{row['video_id']}_{int(row['clip_id']) - 1}" == STILL)
    assert left_out["mode"] == "train", "so the official count of that split is one less"
    rows.remove(left_out)
    assert [clip.video for clip in clips] == [row["video_id"] for row in rows]
    np.testing.assert_allclose(
        [clip.label for clip in clips], [float(row["label"]) for row in rows], atol=1e-6
    )
    _same(_read(REAL), _read(REAL / LABELS))
