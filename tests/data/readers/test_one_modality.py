"""MMSA's feature files of one modality: told by what they hold, and refused in one line."""

import pickle

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.errors import UserError

SPLITS = ("train", "valid", "test")


def _arrays(*names):
    """The content of a file with two clips, under names of MMSA."""
    arrays = {
        "text": np.ones((2, 5, 768), np.float32),
        "text_bert": np.ones((2, 3, 5), np.float32),
        "audio": np.ones((2, 6, 25), np.float32),
        "vision": np.ones((2, 7, 171), np.float32),
        "text_lengths": [5, 3],
        "audio_lengths": [6, 4],
        "vision_lengths": [7, 2],
        "id": ["v$_$1", "v$_$2"],
        "labels": np.zeros((2, 1, 1), np.float32),
    }
    return {name: arrays[name] for name in names}


def _write(path, *names, splits=SPLITS):
    path.write_bytes(pickle.dumps({split: _arrays(*names) for split in splits}))
    return path


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("audio", "audio_lengths"), "audio, audio_lengths"),
        (("vision", "vision_lengths"), "vision, vision_lengths"),
        (("audio",), "audio"),
        (("text",), "text"),
        (("text_bert",), "text_bert"),
        (("text", "text_bert"), "text, text_bert"),
    ],
)
@pytest.mark.parametrize("require_labels", [True, False])
@pytest.mark.parametrize("text_features", [True, False, None])
def test_it_is_told_for_what_it_is(tmp_path, names, shown, require_labels, text_features):
    path = _write(tmp_path / "feature.pkl", *names)
    with pytest.raises(UserError) as error:
        readers.read(path, require_labels=require_labels, text_features=text_features)
    assert str(error.value) == (
        f"{path}: this is the feature file of one modality (it holds only {shown}), which must be merged "
        "with its base file; load the pickle with raw_text, id and labels, put these arrays in place of its "
        "own under the same split, save it and name that file"
    )


def test_one_split_and_other_names_of_splits(tmp_path):
    for splits in (("test",), ("train", "dev", "test")):
        path = _write(tmp_path / "feature.pkl", "audio", "audio_lengths", splits=splits)
        with pytest.raises(UserError, match="feature file of one modality"):
            readers.recognise(path)


@pytest.mark.parametrize(
    "names",
    [
        ("audio", "labels"),
        ("audio", "id"),
        ("audio", "vision"),
        ("text", "audio", "vision", "id"),
    ],
)
def test_a_mult_pickle_is_no_such_file(tmp_path, names):
    """With labels or ids, or with two modalities, a file can be read by itself."""
    source = readers.read(_write(tmp_path / "a.pkl", *names), require_labels=False, text_features=None)
    assert source.format == "MulT pickle"
    assert len(list(source)) == 6


def test_an_mmsa_pickle_of_one_modality_is_no_such_file(tmp_path):
    content = {split: _arrays("audio", "audio_lengths", "id") for split in SPLITS}
    for arrays in content.values():
        arrays["raw_text"] = ["a film", "no"]
        arrays["audio"][1, 4:] = 0
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    source = readers.read(tmp_path / "a.pkl", require_labels=False)
    assert [clip.audio.shape for clip in source] == [(6, 25), (4, 25)] * 3
