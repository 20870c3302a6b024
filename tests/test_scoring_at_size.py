"""Scoring of large files: clips go by one by one, nothing else changes, and few programs are compiled."""

import csv
import errno
import gc
import io
import json
import os
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import msa_jax
from msa_jax import evaluate, scoring
from msa_jax.data import checks, clip_store, readers
from msa_jax.main import main
from tests.conftest import make_words_folder
from tests.data.small_files import mmsa, write

ROOT = Path(__file__).parents[1]


def predicted(workdir, path, output, *more, code=0):
    argv = ["--mode=predict", f"--workdir={workdir}", f"--config.data.path={path}", f"--output={output}"]
    assert main([*argv, *more]) == code
    if code:
        assert not output.exists()
        return None
    return scores(output)


def scores(output):
    with output.open() as f:
        rows = list(csv.DictReader(f))
    return [row["id"] for row in rows], np.array([float(row["prediction"]) for row in rows], np.float32)


def features(folder, change=lambda splits: None):
    """An MMSA pickle with the columns of the run's clips."""
    splits = mmsa()
    change(splits)
    return write(folder, pickle.dumps(splits))


def test_scores_are_those_of_the_clips_in_memory_bit_for_bit(trained, tmp_path, monkeypatch):
    _, workdir, words = trained
    run, written, write_them = msa_jax.load(workdir), [], scoring.write_predictions
    monkeypatch.setattr(
        scoring, "write_predictions", lambda *what: written.append(what[1:]) or write_them(*what)
    )
    how, report = run.preparation.preprocessing, checks.Report()
    widths = (*(how.widths[m] for m in ("audio", "vision")), 1)
    for path in (words, features(tmp_path)):
        source = readers.read(path, require_labels=None)
        clips = [checks.repair(example, widths, report) for example in source]
        split = run.preparation.scan(run.preparation.check(clips, source.reading.surplus))
        assert predicted(workdir, path, tmp_path / "out.csv")[0] == split.ids
        ids, found = written.pop()
        assert ids == split.ids
        np.testing.assert_array_equal(found, run.score(split))


def test_the_content_of_the_file_is_let_go_of_before_the_first_score(trained, tmp_path, monkeypatch):
    held, score, opened = [], scoring.Run.score, readers.read

    def read(*args, **kwargs):
        source = opened(*args, **kwargs)
        held.append(weakref.ref(source.reading.examples))
        return source

    def scored(run, split):
        gc.collect()
        assert [one() for one in held] == [None]
        assert isinstance(split._source, clip_store.ClipStore)
        return score(run, split)

    monkeypatch.setattr(scoring.readers, "read", read)
    monkeypatch.setattr(scoring.Run, "score", scored)
    assert len(predicted(trained[1], features(tmp_path), tmp_path / "out.csv")[0]) == 12


def test_what_is_wrong_with_a_clip_is_said_after_the_notes_on_all(trained, tmp_path, capsys):
    def change(splits):
        for arrays in splits.values():
            arrays["audio"] = np.concatenate([arrays["audio"], arrays["audio"]], 2)
        splits["test"]["vision"][-1, 0, 0] = np.nan

    predicted(trained[1], features(tmp_path, change), tmp_path / "out.csv", code=2)
    said = capsys.readouterr()
    assert "1 clip with NaN or infinity in vision, set to 0 (1 number): test1_3\n" in said.out
    assert "clip train0_0: audio has 6 columns, the run was trained on 3" in said.err
    assert said.err.count("\n") == 1


def test_a_full_disk_is_one_line_and_nothing_is_written(trained, tmp_path, monkeypatch, capsys):
    class Full(io.RawIOBase):
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(clip_store.tempfile, "TemporaryFile", lambda **_: Full())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    predicted(trained[1], features(tmp_path), tmp_path / "out.csv", code=2)
    error = capsys.readouterr().err
    assert f"{tmp_path}: the clips cannot be kept there while they are scored (No space left" in error
    assert error.endswith("by the environment variable TMPDIR\n")
    assert error.count("\n") == 1


def test_files_whose_longest_clips_differ_compile_the_same_programs(trained, tmp_path):
    """And the scores of clips that are longer than any in training depend on no padding."""
    _, workdir, _ = trained
    run, compiled = msa_jax.load(workdir), []
    longest = run.preparation.buckets[-1][0]
    for words in (13, 19, 16):
        assert longest < words + 2 <= 25
        texts = ["good movie", " ".join(("bad film " * 10).split()[:words]), "awful"]
        path = tmp_path / f"{words}.csv"
        path.write_text("\n".join(["text", *texts]) + "\n")
        _, found = predicted(workdir, path, tmp_path / "out.csv")
        compiled.append(evaluate.forward._cache_size())
        np.testing.assert_allclose(found, run.predict(texts), rtol=1e-5, atol=2e-6)
    assert compiled == compiled[:1] * 3


@pytest.fixture(scope="module")
def elsewhere(trained_once, tmp_path_factory):
    """(modules, CSV): a process with eight devices that predicts, the last batches not full."""
    folder = tmp_path_factory.mktemp("elsewhere")
    path = make_words_folder(folder / "words", seed=5)
    code = f"""
import json, sys
import msa_jax
from msa_jax.main import main
assert main(["--mode=predict", {f"--workdir={trained_once[1] / 'run'}"!r}, "--config.data.path={path}",
             "--config.eval_batch_size=5", "--output={folder / "out.csv"}"]) == 0
msa_jax.load({str(trained_once[1] / "run")!r}).predict(["good movie"])
import jax
print(json.dumps([jax.device_count(), sorted(sys.modules)]))
"""
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, modules = json.loads(done.stdout.splitlines()[-1])
    assert count == 8
    return modules, path, folder / "out.csv"


def test_predicting_needs_no_tfds(elsewhere):
    modules, _, _ = elsewhere
    assert "msa_jax.data.clip_store" in modules
    assert not {"tensorflow_datasets", "tensorflow", "msa_jax.data.datasets"} & set(modules)


def test_eight_devices_give_the_scores_of_one(elsewhere, trained, tmp_path):
    _, path, output = elsewhere
    ids, found = scores(output)
    assert len(ids) == 22  # of which neither 5 nor 8 is a divisor
    expected = predicted(trained[1], path, tmp_path / "out.csv", "--config.eval_batch_size=22")
    assert ids == expected[0]
    np.testing.assert_allclose(found, expected[1], atol=1e-5)
