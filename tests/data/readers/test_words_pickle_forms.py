"""Words pickles as the scripts of MISA, BBFN and MMIM write them, and as their heirs changed them."""

import pickle
from collections import defaultdict

import numpy as np
import pytest

from msa_jax.data import checks, readers
from msa_jax.data.readers import words_streams
from msa_jax.errors import UserError

EPS = 1e-6


def _get_length(x):
    """MMIM's: rows that are not zero; an np.int64 a clip."""
    return x.shape[1] - (np.sum(x, axis=-1) == 0).sum(1)


def _padded(lengths, width, seed):
    """[N, 9, width] with zeros in front, as in MulT's unaligned pickles."""
    rows = np.random.default_rng(seed).normal(size=(len(lengths), 9, width)).astype(np.float32)
    for clip, length in zip(rows, lengths, strict=True):
        clip[: 9 - length] = 0
    return rows


def _mmim(texts, names, labels, vision, audio):
    """The entry that MMIM's src/create_dataset.py appends for each clip."""
    v_lens, a_lens, clips = _get_length(vision), _get_length(audio), []
    for i, name in enumerate(names):
        v_rows, a_rows = vision[i][9 - v_lens[i] :, :], audio[i][9 - a_lens[i] :, :]
        label = np.array([[labels[i]]]).astype(np.float32)
        clips.append((([], v_rows, a_rows, texts[i].split(), v_lens[i], a_lens[i]), label, name))
    return clips


def _misa(words, label, name=None, seed=0):
    """The entry of MISA's create_dataset.py: with a segment for MOSI and MOSEI, without for UR-FUNNY."""
    word2id = defaultdict(lambda: len(word2id))
    rng = np.random.default_rng(seed)
    vision, audio = (rng.normal(size=(len(words), width)).astype(np.float32) for width in (4, 5))
    vision = np.nan_to_num(
        (vision - vision.mean(0, keepdims=True)) / (EPS + np.std(vision, 0, keepdims=True))
    )
    audio = np.nan_to_num((audio - audio.mean(0, keepdims=True)) / (EPS + np.std(audio, 0, keepdims=True)))
    parts = (np.asarray([word2id[word] for word in words]), vision, audio, words)
    return (parts, label) if name is None else (parts, label, name)


def _read(tmp_path, content, **options):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content))
    source = readers.read(path, **options)
    clips = list(source)
    again = list(source)
    assert [(c.id, c.video, c.text) for c in again] == [(c.id, c.video, c.text) for c in clips]
    return clips, source.reading.notes


def test_mmim(tmp_path):
    vision, audio = _padded([7, 2], 4, 0), _padded([3, 9], 5, 1)
    clips = _mmim(["so sp good", "bad"], ["a_b_3", "c_12"], [1.8, -2], vision, audio)
    (first, second), notes = _read(tmp_path, clips)
    assert (first.id, first.video, first.text, first.aligned) == ("a_b_3", "a_b", "so good", False)
    assert (second.id, second.video, second.text, second.aligned) == ("c_12", "c", "bad", False)
    np.testing.assert_array_equal(first.vision, vision[0, 2:])
    np.testing.assert_array_equal(first.audio, audio[0, 6:])
    np.testing.assert_array_equal(second.vision, vision[1, 7:])
    np.testing.assert_array_equal(second.audio, audio[1])
    assert first.audio.dtype == first.vision.dtype == np.float32
    assert (first.label, second.label) == (np.float32(1.8), -2)
    assert len(notes) == 1
    assert notes[0].startswith("In 2 of 2 clips there are more than four parts")


def test_a_stream_as_long_as_the_text_is_not_aligned_and_keeps_its_pauses(tmp_path):
    vision, audio = _padded([3], 4, 0), _padded([3], 5, 1)
    (clip,), _ = _read(tmp_path, _mmim(["so sp good"], ["a_0"], [1], vision, audio))
    assert (clip.text, clip.aligned) == ("so good", False)
    np.testing.assert_array_equal(clip.vision, vision[0, 6:])
    np.testing.assert_array_equal(clip.audio, audio[0, 6:])


@pytest.mark.parametrize("spell", [int, np.int64, np.array, lambda n: np.array([[n]]), lambda n: [n], float])
def test_the_last_rows_of_an_array_that_is_still_padded(tmp_path, spell):
    vision, audio = _padded([7], 4, 0)[0], _padded([3], 5, 1)[0]
    parts = ([], vision, audio, ["so"], spell(7), spell(3))
    (clip,), notes = _read(tmp_path, [(parts, np.array([[1.0]], np.float32), "a_0")])
    np.testing.assert_array_equal(clip.vision, vision[2:])
    np.testing.assert_array_equal(clip.audio, audio[6:])
    assert len(notes) == 1


def test_parts_behind_the_lengths_and_one_length_alone(tmp_path):
    vision, audio = _padded([7], 4, 0)[0], _padded([3], 5, 1)[0]
    label = np.array([[1.0]], np.float32)
    more = (([], vision, audio, ["so"], 7, 3, 1, 1, 1), label, "a_0")
    one = (([], vision, audio, ["so"], 7), label, "a_1")
    (first, second), _ = _read(tmp_path, [more, one])
    assert [len(first.vision), len(first.audio)] == [7, 3]
    assert [len(second.vision), len(second.audio)] == [7, 9]
    assert not second.aligned


def test_no_rows_and_too_many(tmp_path):
    vision, audio = _padded([0, 4], 4, 0), _padded([3, 4], 5, 1)
    clips = _mmim(["so", "so"], ["a_0", "a_1"], [1, 1], vision, audio)
    parts, label, name = clips[1]
    clips[1] = ((*parts[:5], 50), label, name)
    (first, second), notes = _read(tmp_path, clips)
    assert first.vision.shape == (0, 0)
    assert words_streams.rows(([], vision[0], audio[0], [], 0, 3), "vision", {}).shape == (0, 0)
    np.testing.assert_array_equal(second.audio, audio[1, 5:])
    assert [note for note in notes if "larger" in note] == [
        "In 1 of 2 clips a length is larger than the array of vision or audio: the whole array is used there."
    ]


@pytest.mark.parametrize("length", [-1, 2.5, "3", None, [1, 2], float("nan"), float("inf")])
def test_what_is_no_length(tmp_path, length):
    parts = ([], np.ones((3, 4)), np.ones((3, 5)), ["so"], 3, length)
    with pytest.raises(UserError, match=r"x\.pkl, train 0: .* (not a whole number|cannot convert float)"):
        _read(tmp_path, {"train": [(parts, [[1.0]], "a_0")]})


def test_words_joined_to_one_text(tmp_path):
    vision, audio = _padded([7], 4, 0), _padded([3], 5, 1)
    ((parts, _, name),) = _mmim(["so good"], ["a_0"], [1], vision, audio)
    parts = (*parts[:3], " ".join(parts[3]), *parts[4:])
    (clip,), _ = _read(tmp_path, [(parts, "1.5", name)])
    assert (clip.text, clip.label) == ("so good", 1.5)


def test_misa_mosei(tmp_path):
    label = np.array([[-0.5, 1, 0, 0, 0, 0, 2]], np.float32)
    original = _misa(["so", "good"], label, "a_b[3]")
    (clip,), notes = _read(tmp_path, {"train": [original]})
    assert (clip.id, clip.video, clip.text, clip.label) == ("a_b_3", "a_b", "so good", -0.5)
    assert clip.aligned
    np.testing.assert_array_equal(clip.vision, original[0][1])
    np.testing.assert_array_equal(clip.audio, original[0][2])
    assert notes == ()


def test_misa_ur_funny_has_no_ids(tmp_path):
    laughs, not_ = (np.array([np.nan_to_num(np.array(k, dtype=int))])[:, np.newaxis] for k in (1, 0))
    splits = {
        "train": [_misa(["so", "good"], laughs), _misa(["bad"], not_)],
        "dev": [_misa(["well"], laughs)],
        "test": [_misa(["w"], not_)],
    }
    clips, notes = _read(tmp_path, splits)
    assert [(clip.id, clip.split) for clip in clips] == [
        ("train_0", "train"),
        ("train_1", "train"),
        ("valid_0", "valid"),
        ("test_0", "test"),
    ]
    assert all(clip.video == clip.id and clip.aligned for clip in clips)
    assert [clip.label for clip in clips] == [1, 0, 1, 0]
    assert notes == (
        "In 4 of 4 clips the id is missing: clip k of a split is called <split>_<k>, and each of them counts "
        "as a video of its own.",
    )
    (clip, _), _ = _read(tmp_path, splits["train"])
    assert clip.id == clip.video == "clip_0"


def test_parts_behind_the_id_are_passed_over(tmp_path):
    original = (*_misa(["so", "good"], np.array([[1.0]]), "a[3]"), "happy", 7)
    (clip,), notes = _read(tmp_path, [original])
    assert (clip.id, clip.text, notes) == ("a_3", "so good", ())


def _mmim_named(names):
    count = len(names)
    vision, audio = _padded([4] * count, 4, 0), _padded([5] * count, 5, 1)
    return _mmim([f"w{i}" for i in range(count)], names, np.zeros(count), vision, audio)


@pytest.mark.parametrize("spell", [str, str.encode])
def test_mmim_mosei_ids_are_videos(tmp_path, spell):
    # The order of a folder's files is dev, test, train; the numbers are those of train, dev, test.
    content = {
        "dev": _mmim_named([spell(n) for n in ("c_d", "c_d", "torn")]),
        "test": _mmim_named([spell(n) for n in ("alone_7",)]),
        "train": _mmim_named([spell(n) for n in ("ab_cd", "e", "ab_cd", "torn", "e", "ab_cd")]),
    }
    clips, notes = _read(tmp_path, content)
    assert [(clip.id, clip.video) for clip in clips] == [
        ("c_d_0", "c_d"),
        ("c_d_1", "c_d"),
        ("torn_1", "torn"),
        ("alone_7_0", "alone_7"),
        ("ab_cd_0", "ab_cd"),
        ("e_0", "e"),
        ("ab_cd_1", "ab_cd"),
        ("torn_0", "torn"),
        ("e_1", "e"),
        ("ab_cd_2", "ab_cd"),
    ]
    assert [clip.text for clip in clips if clip.video == "ab_cd"] == ["w0", "w2", "w5"]
    assert notes[1:] == (
        "The ids repeat (10 clips have 5 different ids), so they are taken for the names of videos: the "
        "clips of a video are numbered from 0 in the order of the file.",
    )


def _twice(clips):
    return checks._twice(checks.survey(clips))


@pytest.mark.parametrize("form", ["v{}[{}]", "v{}$_${}"])
def test_a_clip_that_is_there_twice_is_no_video(tmp_path, form):
    names = [form.format(k // 2, k) for k in range(4)]
    clips, notes = _read(tmp_path, [_misa(["w"], [[1.0]], name) for name in names + names])
    assert [clip.id for clip in clips] == ["v0_0", "v0_1", "v1_2", "v1_3"] * 2
    assert set(_twice(clips)) == {"v0_0", "v0_1", "v1_2", "v1_3"}
    assert notes == ()


@pytest.mark.parametrize(("repeated", "videos"), [(2, False), (3, True)])
def test_more_than_half_must_share_their_names(tmp_path, repeated, videos):
    # One of four names twice: 2 of 5 clips share theirs; two of four: 4 of 6.
    names = [f"a_b_{k}" for k in range(4)] + [f"a_b_{k}" for k in range(repeated - 1)]
    assert (2 * 2 * (repeated - 1) > len(names)) is videos
    clips, notes = _read(tmp_path, [_misa(["w"], [[1.0]], name) for name in names])
    assert {clip.video for clip in clips} == (set(names) if videos else {"a_b"})
    assert bool(_twice(clips)) is not videos
    assert any("names of videos" in note for note in notes) is videos


def test_lists_with_a_start_name_clips(tmp_path):
    clips = [_misa(["w"], [[1.0]], ["vid", str(start), "9"]) for start in (0, 4)]
    read, notes = _read(tmp_path, clips)
    assert [(clip.id, clip.video) for clip in read] == [("vid_0", "vid"), ("vid_4", "vid")]
    assert notes == ()


def test_an_id_that_is_no_name(tmp_path):
    clips = [_misa(["w"], [[1.0]], "v[0]"), _misa(["w"], [[1.0]], {"video": "v"})]
    with pytest.raises(UserError, match=r"x\.pkl, train 1: the id is not a name: a dict instead of a text"):
        _read(tmp_path, {"train": clips})
