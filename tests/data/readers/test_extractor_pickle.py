"""The file that an extraction tool writes for one clip."""

import pickle

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError
from msa_jax.inspect.command import main as inspector

NAME = "extractor's pickle of one clip"
BERT = np.array([[101, 2023, 2143, 2001, 2204, 102], [1] * 6, [0] * 6])


def _clip(**changes):
    rng = np.random.default_rng(0)
    clip = {
        "audio": rng.normal(size=(9, 3)),
        "vision": rng.normal(size=(7, 2)).astype(np.float32),
        "text": rng.normal(size=(6, 8)),
        "text_bert": BERT,
        "raw_text": "this film  was good",
    }
    clip |= changes
    return {name: value for name, value in clip.items() if value is not None}


def _write(tmp_path, clip):
    path = tmp_path / "my_clip.pkl"
    path.write_bytes(pickle.dumps(clip))
    return path


def _read(path, **options):
    (clip,) = readers.read(path, require_labels=None, **options)
    return clip


def test_its_name_is_the_id_and_its_arrays_are_the_clip(tmp_path):
    clip = _clip()
    path = _write(tmp_path, clip)
    assert readers.recognise(path) == NAME
    read = _read(path)
    assert (read.id, read.video, read.split, read.text) == ("my_clip", "my_clip", "", "this film was good")
    assert np.isnan(read.label)
    assert read.text_features.shape == (0, 0)
    np.testing.assert_array_equal(read.audio, clip["audio"].astype(np.float32))
    np.testing.assert_array_equal(read.vision, clip["vision"])
    np.testing.assert_array_equal(_read(path, text_features=True).text_features, clip["text"].astype("f4"))


@pytest.mark.parametrize(
    "changes",
    [
        {"text_bert": BERT.T},
        {"text_bert": None},
        {"raw_text": ["this film was good"]},
        {"raw_text": np.array("this film was good")},
        {"raw_text": b"this film was good"},
        {"raw_text": None, "text": "this film was good"},
        {"label": "?", "regression_labels": "?"},
        {name: _clip()[name][None] for name in ("audio", "vision", "text", "text_bert")},
        {"audio": _clip()["audio"].tolist()},
    ],
)
def test_other_spellings_are_the_same_clip(tmp_path, changes):
    one, two = _read(_write(tmp_path, _clip())), _read(_write(tmp_path, _clip(**changes)))
    assert (one.id, one.text, one.aligned) == (two.id, two.text, two.aligned)
    for name in ("audio", "vision"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_an_id_of_its_own_counts(tmp_path):
    assert _read(_write(tmp_path, _clip(id="film$_$3"))).id == "film_3"
    assert _read(_write(tmp_path, _clip(id=["film$_$3"], raw_text="a"))).id == "film_3"


def test_rows_of_tokens_are_told_by_the_counts(tmp_path):
    rows = np.ones((6, 3))
    rows[[0, 5]] = 0  # as MMSA-FET aligns: nothing for [CLS] and [SEP]
    read = _read(_write(tmp_path, _clip(audio=rows, vision=rows[:, :2])), words=False)
    np.testing.assert_array_equal(read.tokens, BERT[0])
    assert read.audio.shape == (5, 3)


def test_without_words(tmp_path):
    path = _write(tmp_path, _clip(raw_text=None))
    with pytest.raises(UserError, match=r"needs 'raw_text' .*text\.encoder=features"):
        readers.read(path, require_labels=None)
    assert _read(path, need_text=False).audio.shape == (9, 3)
    with pytest.raises(UserError, match=r"needs 'raw_text' .*no_text"):
        readers.read(_write(tmp_path, _clip(raw_text=None, text=None)), require_labels=None)


def test_it_cannot_be_trained_on(tmp_path, capsys):
    path = _write(tmp_path, _clip())
    with pytest.raises(UserError, match=r"one clip without a label, .*--mode=predict.*MMSA pickle with ids"):
        readers.read(path)
    assert inspector([str(path)]) == 0
    out = capsys.readouterr().out
    assert NAME in out
    assert "cannot be trained on" in out
    assert f"--mode=predict --workdir=RUN --config.data.path={path}" in out


def test_its_lengths_count(tmp_path):
    rows = np.random.default_rng(1).normal(size=(9, 3))
    rows[5:] = 0
    rows[4] = 0  # the clip ends in silence
    for length in (5, [5], np.array([5])):
        read = _read(_write(tmp_path, _clip(audio=rows, audio_lengths=length)))
        np.testing.assert_array_equal(read.audio, rows[:5].astype(np.float32))
    full = rows + 1
    path = _write(tmp_path, _clip(audio=full, audio_lengths=5))
    assert len(_read(path, padding="front").audio) == 5
    np.testing.assert_array_equal(_read(path).audio, full[:5].astype(np.float32))  # the last ones repeat
    with pytest.raises(UserError, match=r"audio: it is not clear at which end .*data\.padding"):
        _read(_write(tmp_path, _clip(audio=_clip()["audio"], audio_lengths=5)))


def test_vision_may_be_called_video(tmp_path):
    clip = _clip()
    video = {"vision": None, "video": clip["vision"], "video_lengths": 7}
    np.testing.assert_array_equal(_read(_write(tmp_path, _clip(**video))).vision, clip["vision"])
    only = {"video": clip["vision"], "raw_text": "a film"}
    np.testing.assert_array_equal(_read(_write(tmp_path, only)).vision, clip["vision"])
    with pytest.raises(UserError, match=r"my_clip\.pkl: video and vision both hold features .*; remove one"):
        _read(_write(tmp_path, _clip(video=clip["vision"])))
    named = _read(_write(tmp_path, _clip(video="film", id="3")))
    assert (named.id, named.video) == ("film_3", "film")


def test_columns_as_many_as_the_tokens_are_read_and_said(tmp_path):
    vision = np.random.default_rng(2).normal(size=(137, 6)).astype(np.float32)
    path = _write(tmp_path, _clip(vision=vision))
    source = readers.read(path, require_labels=None)
    assert source.reading.conventions["axes"] == (
        "taken for rows before columns, also in vision (137, 6) a clip (the text has 6 rows); if they are "
        "swapped, save array.T"
    )
    (read,) = source
    np.testing.assert_array_equal(read.vision, vision)
    np.testing.assert_array_equal(_read(path, axes="rows_first").vision, vision)


def test_three_streams_of_one_width_are_read(tmp_path):
    wide = {
        name: np.full((rows, 5), rows, "f4") for name, rows in (("audio", 7), ("vision", 9), ("text", 30))
    }
    read = _read(_write(tmp_path, _clip(**wide, text_bert=None)), text_features=True)
    np.testing.assert_array_equal(read.audio, wide["audio"])
    np.testing.assert_array_equal(read.vision, wide["vision"])
    np.testing.assert_array_equal(read.text_features, wide["text"])


def test_columns_that_are_padded_from_the_length_on_are_refused(tmp_path):
    rows = np.random.default_rng(1).normal(size=(12, 3))
    rows[5:] = 0
    path = _write(tmp_path, _clip(audio=rows.T, audio_lengths=5))
    with pytest.raises(
        UserError, match=r"my_clip\.pkl: rows and .* swapped, .* in audio \(3, 12\) .* save array\.T"
    ):
        readers.read(path, require_labels=None)
