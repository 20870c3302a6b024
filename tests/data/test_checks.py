"""Checks of a corpus: refusals, repairs, and reports of what is only odd."""

import dataclasses

import numpy as np
import pytest

from msa_jax.corpora import CORPORA
from msa_jax.data import checks
from msa_jax.data.example import Example, no_features
from msa_jax.errors import UserError

MOSI = CORPORA["mosi"]


def _clips():
    rng = np.random.default_rng(0)
    return [
        Example(
            id=f"{split}{video}_{clip}",
            video=f"{split}{video}",
            split=split,
            text="so very good",
            audio=rng.normal(size=(3, 5)).astype(np.float32),
            vision=rng.normal(size=(3, 4)).astype(np.float32),
            aligned=True,
            label=float(rng.uniform(-3, 3)),
        )
        for split in ("train", "valid", "test")
        for video in range(2)
        for clip in range(2)
    ]


def _check(clips, facts=MOSI):
    return checks.check(checks.survey(clips), facts, "file")


def test_good_clips_give_the_widths():
    assert _check(_clips()) == (5, 4, 1)


def test_a_modality_missing_everywhere_has_width_1():
    clips = [dataclasses.replace(clip, audio=no_features()) for clip in _clips()]
    assert _check(clips) == (1, 4, 1)


def test_a_clip_may_lack_a_modality():
    clips = _clips()
    clips[0].audio = no_features()
    assert _check(clips) == (5, 4, 1)


def _set(**changes):
    def change(clips):
        for name, value in changes.items():
            setattr(clips[1], name, value)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set(id="train0_0"), "file: 1 clip id occurs twice: train0_0;"),
        (_set(id="test0_0", video="test0"), "1 clip id occurs twice: test0_0; 1 video .* split: test0;"),
        (_set(video="valid1"), "1 video is in more than one split: valid1;"),
        (_set(label=np.nan), "1 clip has no label: train0_1;"),
        (_set(label=3.2), r"1 label lies outside \[-3, 3\]: train0_1;"),
        (_set(label=-np.inf), r"1 label lies outside"),
        (_set(audio=np.ones((2, 5), np.float32)), "1 clip has audio rows that do not match .*: train0_1;"),
        (_set(text="so good"), "1 clip has audio rows .* 1 clip has vision rows"),
        (_set(vision=np.ones((3, 7), np.float32)), r"several widths: 4 in 11 .*, 7 in 1 clip \(train0_1\)"),
        (
            lambda clips: [setattr(clip, "vision", np.ones((3, 7), np.float32)) for clip in clips[4:8]],
            r"vision has another width in another split \(4 in train, 7 in valid, 4 in test\); the",
        ),
        (
            lambda clips: [clip.audio.fill((np.nan, np.inf)[k % 2]) for k, clip in enumerate(clips)],
            "file: audio does not have one finite number in any of 12 clips",
        ),
        (
            _set(unimodal_labels=np.zeros(2)),
            "1 clip has labels by modality that are not 3 numbers: train0_1;",
        ),
        (
            _set(unimodal_labels=np.array([0, np.nan, 4])),
            r"1 clip has labels by modality outside \[-3, 3\]: train",
        ),
        (lambda clips: clips.__delitem__(slice(8, None)), "no clip is in the test split"),
        (
            lambda clips: [setattr(clip, "label", 9) for clip in clips],
            "12 labels .*: train0_0, train0_1, train1_0, .*;",
        ),
    ],
)
def test_refusals(change, message):
    clips = _clips()
    change(clips)
    with pytest.raises(UserError, match=message) as error:
        _check(clips)
    assert "\n" not in str(error.value)


def test_label_range_is_the_corpus_own_with_float32_slack():
    clips = _clips()
    for clip in clips:
        clip.label = float(np.float32(-0.9))
    clips[0].label, clips[1].label = 1 + 1e-7, -1 - 1e-7
    _check(clips, CORPORA["sims"])
    clips[0].label = 1.01
    with pytest.raises(UserError, match=r"outside \[-1, 1\]"):
        _check(clips, CORPORA["sims"])


def test_official_splits_by_clip_may_share_videos():
    clips = _clips()
    for clip in clips:
        clip.video, clip.label = "one", 0.0
    _check(clips, CORPORA["sims"])
    with pytest.raises(UserError, match="more than one split"):
        _check(clips)


def test_streams_need_not_match_the_words():
    clips = _clips()
    clips[0] = dataclasses.replace(clips[0], aligned=False, audio=np.ones((9, 5), np.float32))
    _check(clips)


def test_a_stream_of_zeros_alone_is_left_out_and_one_with_silence_is_not():
    first, second = _clips()[:2]
    first.audio[:], first.vision[1:] = 0, 0
    second.audio[0], second.audio[1:] = np.nan, 0
    report = checks.Report()
    one, two = (checks.repair(clip, (5, 4, 1), report) for clip in (first, second))
    assert (one.audio.shape, two.audio.shape) == ((0, 5), (0, 5))
    np.testing.assert_array_equal(one.vision, first.vision)
    assert report.problems()["only zeros in audio, left out"] == [first.id, second.id]


def test_repairs_are_counted_and_leave_the_original_alone():
    first, second, third = _clips()[:3]
    first.audio[0, :2] = -np.inf, np.nan
    second.vision[:] = np.nan
    third = dataclasses.replace(third, text="", audio=no_features())
    before = first.audio.copy()
    report = checks.Report()
    repaired = [checks.repair(clip, (5, 4, 1), report) for clip in (first, second, third)]
    np.testing.assert_array_equal(first.audio, before)
    np.testing.assert_array_equal(repaired[0].audio, np.where(np.isfinite(before), before, 0))
    np.testing.assert_array_equal(repaired[0].vision, first.vision)
    assert repaired[1].vision.shape == (0, 4)
    assert repaired[2].audio.shape == (0, 5)
    assert all(clip.audio.dtype == clip.vision.dtype == np.float32 for clip in repaired)
    assert report.problems() == {
        "NaN or infinity in audio, set to 0 (2 numbers)": [first.id],
        "no finite number in vision, left out (12 numbers)": [second.id],
        "empty text": [third.id],
    }


@pytest.mark.parametrize(
    ("corpus", "good", "bad", "message"),
    [
        ("mosi", 0.5, np.zeros(4), "1 label is not one number: train0_1;"),
        ("ur_funny", 1.0, 0.5, "1 label is neither 0 nor 1: train0_1;"),
        ("ur_funny", 0.0, np.nan, "1 clip has no label: train0_1;"),
        ("iemocap", np.array([0.0, 1.0, 1.0, 0.0]), 1.0, "1 label is not 4 numbers: train0_1;"),
        ("iemocap", np.zeros(4), np.array([0.0, 1.0, 2.0, 0.0]), "1 label is neither 0 nor 1: train0_1;"),
        ("iemocap", np.ones(4), np.array([0.0, 1.0, np.nan, 0.0]), "1 clip has no label: train0_1;"),
        ("iemocap", np.ones(4), np.nan, "1 clip has no label: train0_1;"),
    ],
)
def test_labels_of_every_shape(corpus, good, bad, message):
    clips = [dataclasses.replace(clip, label=good) for clip in _clips()]
    assert _check(clips, CORPORA[corpus]) == (5, 4, 1)
    clips[1].label = bad
    with pytest.raises(UserError, match=f"^file: {message}"):
        _check(clips, CORPORA[corpus])


def test_text_features_need_one_width_and_nothing_else():
    clips = _clips()
    for clip in clips:
        clip.text_features = np.ones((7, 6), np.float32)
    clips[0].text_features = no_features()
    assert _check(clips) == (5, 4, 6)
    assert checks.has_text_features(checks.survey(clips))
    assert not checks.has_text_features(checks.survey(_clips()))
    clips[1].text_features = np.full((2, 8), np.inf, np.float32)
    with pytest.raises(UserError, match=r"text_features has several widths: 8 in 1 .*, 6 in 10 clips"):
        _check(clips)
    report = checks.Report()
    assert checks.repair(clips[0], (5, 4, 6), report).text_features.shape == (0, 6)
    assert checks.repair(clips[1], (5, 4, 8), report).text_features.shape == (0, 8)
    assert report.problems() == {"no finite number in text_features, left out (16 numbers)": ["train0_1"]}


def test_one_finite_number_in_a_corpus_is_enough():
    clips = _clips()
    for clip in clips:
        clip.audio[:] = np.nan
    clips[7].audio[2, 3] = 1
    assert _check(clips) == (5, 4, 1)


def test_a_modality_may_lack_its_label():
    clips = _clips()
    clips[0].unimodal_labels = np.array([np.nan, -3, 3])
    assert _check(clips) == (5, 4, 1)
