"""Corpora without any text: every model with branches for audio and vision trains on them and scores."""

import csv
import dataclasses
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import msa_jax
from msa_jax import config as configs
from msa_jax import models
from msa_jax.data import time_line
from msa_jax.data.pipeline import Clips
from msa_jax.data.preparation import Preparation
from msa_jax.data.preprocessing import Preprocessing
from msa_jax.errors import UserError
from msa_jax.main import main
from tests import kinds
from tests.data.small_files import hdf5_folder, mmsa, mult_pickle, write, write_mmsa

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "mmmo_av"
TINY = {"epochs": 1, "batch_size": 8, "eval_batch_size": 32, "data.other_counts": True, "data.threads": 0}


def _config_file(folder, name):
    path = folder / f"{name.rpartition('.')[2]}_mosi.py"
    code = f"def get_config():\n    return base.config({name!r})\n"
    path.write_text(f"from msa_jax.config import base\n\n\n{code}")
    return path


def _train(folder, config, path, *, variants="no_text:tiny", **more):
    values = {**TINY, "data.path": path, "data.cache": folder / "cache", **more}
    arguments = [f"--config={config}:{variants}", f"--workdir={folder / 'run'}"]
    assert main([*arguments, *(f"--config.{key}={value}" for key, value in values.items())]) == 0
    return folder / "run"


def _predict(run, path, capsys, code=0):
    output = run / "out.csv"
    arguments = ["--mode=predict", f"--workdir={run}", f"--config.data.path={path}", f"--output={output}"]
    assert main(arguments) == code
    said = capsys.readouterr()
    return said.err if code else list(csv.DictReader(output.read_text().splitlines()))


def _wordless(folder):
    """An MMSA pickle without words or features of them."""
    content = mmsa()
    for arrays in content.values():
        del arrays["raw_text"]
    return write(folder, pickle.dumps(content))


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """ICT-MMMO's audio and video with its labels, 1 to 5, mapped to [-3, 3]."""
    if not REAL.exists():
        pytest.skip("needs the real ICT-MMMO arrays in ../shared")
    folder = tmp_path_factory.mktemp("mmmo") / "mapped"
    shutil.copytree(REAL, folder)
    for path in folder.glob("y_*.h5"):
        with h5py.File(path, "r+") as file:
            file["d1"][...] = (file["d1"][()] - 3) * 1.5
    return folder


def test_a_real_corpus_without_text_trains_and_scores(mapped, tmp_path, capsys):
    run = _train(tmp_path, "configs/lmf_mosi.py", mapped)
    out = capsys.readouterr().out
    assert "220 clips to train on, 40 to validate" in out
    assert "empty text" not in out
    scores = _predict(run, mapped, capsys)
    assert len(scores) == 340
    values = np.array([float(row["prediction"]) for row in scores])
    assert np.isfinite(values).all()
    assert len(np.unique(values)) > 300


# Before a step, tests/test_models_run.py asks all of them.
@pytest.mark.parametrize("name", kinds.by_default(("lmf", "mulg", "crosssent", "mag_bert")))
def test_every_model_builds_and_scores(untrained, tmp_path, capsys, name):
    path = hdf5_folder(tmp_path)
    for file in path.glob("text_*"):
        file.unlink()
    run = _train(tmp_path, _config_file(tmp_path, name), path)
    scores = _predict(run, path, capsys)
    values = [float(row["prediction"]) for row in scores]
    assert [row["id"] for row in scores] == [f"{s}_{k}" for s in ("train", "valid", "test") for k in range(4)]
    assert np.isfinite(values).all()
    assert len(set(values)) == 12  # of what each clip's audio and vision say
    loaded, heard = msa_jax.load(run), [np.ones((6, 3)), np.full((6, 3), 2.0)]
    one, other = loaded.predict([""] * 2, audio=heard)
    assert one != other
    with pytest.raises(
        UserError, match="clip 1: the run reads audio, vision, and takes no text; write '' instead"
    ):
        loaded.predict(["", "x"], audio=heard)


@pytest.mark.parametrize(
    ("make", "variants"), [(_wordless, "no_text"), (write_mmsa, "no_text"), (mult_pickle, "audio_only")]
)
def test_other_formats_without_their_text(untrained, tmp_path, capsys, make, variants):
    run = _train(tmp_path, "configs/crosssent_mosi.py", make(tmp_path), variants=f"{variants}:tiny")
    (tmp_path / "other").mkdir()
    scores = _predict(run, _wordless(tmp_path / "other"), capsys)
    assert len({row["prediction"] for row in scores}) == 12


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (_wordless, "needs 'raw_text' for its words"),
        (lambda folder: _no_text(hdf5_folder(folder)), "there is no text in it"),
    ],
)
def test_a_model_that_reads_text_says_what_to_do(untrained, tmp_path, capsys, make, line):
    path = make(tmp_path)
    arguments = ["--config=configs/crosssent_mosi.py:tiny", f"--config.data.cache={tmp_path / 'cache'}"]
    arguments += [
        f"--config.data.path={path}",
        "--config.data.other_counts=True",
        f"--workdir={tmp_path / 'w'}",
    ]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert line in err
    assert "--config=FILE:no_text" in err
    assert err.count("\n") == 1


def _no_text(path):
    for file in path.glob("text_*"):
        file.unlink()
    return path


def test_a_build_without_words_is_not_taken_for_one_with(untrained, tmp_path, capsys):
    path = _wordless(tmp_path)
    _train(tmp_path, "configs/crosssent_mosi.py", path)
    arguments = ["--config=configs/crosssent_mosi.py:tiny", f"--config.data.cache={tmp_path / 'cache'}"]
    arguments += [f"--config.data.path={path}", "--config.data.other_counts=True"]
    capsys.readouterr()
    assert main([*arguments, f"--workdir={tmp_path / 'other'}"]) == 2
    assert "its clips have no words" in capsys.readouterr().err


def test_a_run_on_words_does_not_score_clips_without(untrained, tmp_path, capsys):
    run = _train(tmp_path, "configs/crosssent_mosi.py", write_mmsa(tmp_path), variants="tiny")
    (tmp_path / "other").mkdir()
    path = write(tmp_path / "other", b"video_id,clip_id,text\nv,0,\n", "x.csv")
    assert "1 clip has nothing of what the run reads: v_0" in _predict(run, path, capsys, code=2)
    wordless = _no_text(hdf5_folder(tmp_path / "other"))
    assert "this run reads words, which the file does not have" in _predict(run, wordless, capsys, code=2)
    path.write_text("video_id,clip_id,text\n")
    assert f"{path}: the file holds no clips" in _predict(run, path, capsys, code=2)


def _clip(audio, vision, text=""):
    none = np.zeros(0, np.int32)
    return {
        "id": "a", "video": "a", "text": text, "audio": audio, "vision": vision, "aligned": False,
        "text_features": np.zeros((0, 0), np.float32), "tokens": none, "token_words": none, "label": 0.0,
        "unimodal_labels": np.zeros(0),
    }  # fmt: skip


def test_without_text_the_steps_are_those_of_the_longer_stream():
    how = Preprocessing(4, False, ("audio", "vision"), {"audio": 1, "vision": 1})
    audio, vision = (np.arange(1, n + 1, dtype=np.float32)[:, None] for n in (3, 2))
    clips, options = Clips([_clip(audio, vision)]), {"buckets": 1, "standardise": False}
    preparation, split = Preparation.fit(clips, None, how, **options)
    assert split.lengths.tolist() == [[5, 5, 5]]  # one more at each end, where a text has a special token
    assert split.routes == [time_line.STEPS]
    batch = split.batch(np.array([0]), (5, 5, 5), 1, preparation.statistics)
    np.testing.assert_array_equal(batch["audio"][0, :, 0], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(batch["vision"][0, :, 0], [0, 1, 1.5, 2, 0])
    np.testing.assert_array_equal(batch["audio_mask"][0], [False, True, True, True, False])
    assert not batch["text_mask"].any()
    short = Preparation.fit(clips, None, dataclasses.replace(how, max_content=2), **options)[1]
    batch = short.batch(np.array([0]), (4, 4, 4), 1, preparation.statistics)
    np.testing.assert_array_equal(batch["audio"][0, :, 0], [0, 1.5, 2.5, 0])  # every step is in play
    own = dataclasses.replace(how, time_line="own")
    assert Preparation.fit(clips, None, own, **options)[1].lengths.tolist() == [[1, 3, 2]]


def test_the_shipped_config_that_is_advised_needs_no_weights():
    config, _ = configs.load("configs/mulg_mosi.py:no_text")
    assert config.data.modalities == ("audio", "vision")
    assert not models.find(config.model.name).needs_encoder
