"""Runs: their files, starting again, other data, scoring new clips, and the switch to made data."""

import csv
import dataclasses
import json
import pickle
import shutil

import numpy as np
import pytest

import msa_jax
from msa_jax import cli, evaluate, train
from msa_jax.data import opening, synthetic
from msa_jax.data.synthetic import SyntheticConfig
from msa_jax.errors import UserError
from msa_jax.main import main
from tests.conftest import make_words_folder, reseal

CONFIG = "--config=configs/crosssent_mosi.py"
# For runs of which only the data are asked about: little to compile.
SMALL = ["--config.epochs=1", "--config.data.buckets=1", "--config.text.scratch.num_layers=1"]


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def read_scores(path):
    with path.open() as f:
        return {row["id"]: float(row["prediction"]) for row in csv.DictReader(f)}


def test_the_same_command_again_says_that_it_is_finished_and_changes_nothing(trained, capsys):
    argv, workdir, _ = trained
    before = files(workdir)
    capsys.readouterr()
    assert main(argv) == 0
    assert "is finished" in capsys.readouterr().out
    assert files(workdir) == before


def test_eval_gives_the_reason_of_a_metric_that_is_not_defined(trained, monkeypatch, capsys):
    _, workdir, _ = trained
    monkeypatch.setattr(
        evaluate, "score", lambda model, variables, batches, clips, layout: np.ones(clips, np.float32)
    )
    assert main(["--mode=eval", f"--workdir={workdir}"]) == 0
    out = capsys.readouterr().out
    assert "corr not defined" in out
    assert "note: corr of test is not defined: all predictions are equal\n" in out
    (file,) = workdir.glob("eval_*/results.json")
    results = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert results["test"]["corr"] is None
    assert results["test"]["undefined"] == {"corr": "all predictions are equal"}


def test_training_says_and_keeps_what_is_odd_in_its_clips(trained_once):
    folder = trained_once[1]
    kept = json.loads((folder / "run" / "results.json").read_text())["findings"]
    assert set(kept) == {"corpus", "train", "valid", "test"}
    assert kept.pop("corpus") == []  # the ids tell the videos
    run = msa_jax.load(folder / "run")
    corpus = opening.open_corpus(run.config)
    for name, found in kept.items():
        split = run.preparation.scan(corpus.split(name))
        told = run.preparation.findings(split, training=name == "train")
        assert found == [dataclasses.asdict(finding) for finding in told]
    said = (folder / "out.txt").read_text()
    assert all(f"note: train: {f['count']} {f['what']}" in said for f in kept["train"])


def test_a_folder_with_another_run_is_refused(trained, capsys):
    argv, workdir, _ = trained
    before = files(workdir)
    assert main([*argv, "--config.seed=4"]) == 2
    assert "holds a run with seed=3, not 4" in capsys.readouterr().err
    assert files(workdir) == before


def test_changed_data_are_not_mixed_into_a_run(trained, tmp_path, capsys):
    argv, workdir, words = trained
    shutil.copytree(words, tmp_path / "changing")
    path = f"--config.data.path={tmp_path / 'changing'}"
    opening.open_corpus(cli.parse([*argv, path]).config)  # built as the run first saw it
    (workdir / "results.json").unlink()  # as if it had not finished
    shutil.rmtree(tmp_path / "changing")
    make_words_folder(tmp_path / "changing", seed=9)
    assert main([*argv, path]) == 2
    assert f"the content of {tmp_path / 'changing'} is not the same" in capsys.readouterr().err


def test_loading_a_run_scores_clips_as_its_own_test_did(trained):
    _, workdir, words = trained
    loaded = msa_jax.load(workdir)
    with (words / "test.pkl").open("rb") as f:
        clips = pickle.load(f)
    expected = read_scores(workdir / "predictions_test.csv")
    got = loaded.predict(
        texts=[" ".join(c[0][3]) for c in clips],
        audio=[c[0][2] for c in clips],
        vision=[c[0][1] for c in clips],
        aligned=True,
    )
    np.testing.assert_allclose(got, list(expected.values()), atol=1e-5)
    texts_only = loaded.predict(texts=[" ".join(c[0][3]) for c in clips])
    assert np.isfinite(texts_only).all()
    assert np.abs(texts_only - got).max() > 1e-6
    assert loaded.predict(texts=[]).shape == (0,)
    rows = np.full((4, 3), 0.5, np.float32)
    plain, *padded = (
        loaded.predict(["good film"], audio=[np.pad(rows, ((front, behind), (0, 0)))])
        for front, behind in ((0, 0), (0, 40), (40, 0))
    )
    np.testing.assert_array_equal(padded, [plain, plain])


def test_predict_refuses_arrays_that_do_not_fit(trained):
    loaded = msa_jax.load(trained[1])
    ones = np.ones((2, 3))
    for arguments, message in (
        ({"texts": ["a b"], "audio": [np.ones((2, 5))]}, "audio has 5 columns, the run was trained on 3"),
        ({"texts": ["a b"], "audio": [np.zeros((2, 5))]}, "audio has 5 columns, the run was trained on 3"),
        (
            {"texts": ["a b"], "audio": [np.ones((3, 5))]},
            r"\(3, 5\), .* 3 columns: .* swapped; write array\.T",
        ),
        ({"texts": ["a b"], "audio": [ones, ones]}, "audio has 2 clips, texts has 1"),
        ({"texts": ["a b c"], "audio": [ones], "aligned": True}, "audio has 2 rows for 3 words"),
        ({"texts": ["a b"], "audio": [ones[0]]}, r"audio must be \[rows, columns\]"),
        ({"texts": ["a b"], "audio": [ones * np.nan]}, "NaN or infinity"),
    ):
        with pytest.raises(UserError, match=message):
            loaded.predict(**arguments)


def test_eval_on_another_corpus_leaves_the_run_alone(trained, tmp_path, capsys):
    _, workdir, _ = trained
    before = files(workdir)
    other = make_words_folder(tmp_path / "other", seed=5)
    argv = ["--mode=eval", f"--workdir={workdir}", f"--config.data.path={other}"]
    assert main([*argv, "--config.data.eval_split=all"]) == 0
    folder = next(workdir.glob("eval_other_*"))
    results = json.loads((folder / "results.json").read_text())
    assert results["all"]["clips"] == 22
    assert len(read_scores(folder / "predictions_all.csv")) == 22
    after = files(workdir)
    assert {k: v for k, v in after.items() if k in before} == before


def test_eval_takes_all_of_a_foreign_file_without_splits(trained, tmp_path):
    _, workdir, words = trained
    clips = [
        clip
        for name in ("train", "dev", "test")
        for clip in pickle.loads((words / f"{name}.pkl").read_bytes())
    ]
    (tmp_path / "one.pkl").write_bytes(pickle.dumps(clips))
    argv = ["--mode=eval", f"--workdir={workdir}", f"--config.data.path={tmp_path / 'one.pkl'}"]
    assert main([*argv, "--config.data.cut.folds=3"]) == 0
    results = json.loads(next(workdir.glob("eval_one_*/results.json")).read_text())
    assert results["all"]["clips"] == 22
    assert "test" not in results


def test_eval_on_the_runs_own_data_gives_its_results(trained):
    _, workdir, _ = trained
    assert main(["--mode=eval", f"--workdir={workdir}"]) == 0
    again = json.loads(next(workdir.glob("eval_words_*/results.json")).read_text())["test"]
    assert again == json.loads((workdir / "results.json").read_text())["test"]


def test_eval_on_other_widths_needs_the_modality_left_out(trained, tmp_path, capsys):
    _, workdir, _ = trained
    other = make_words_folder(tmp_path / "other", widths=(4, 2))
    argv = ["--mode=eval", f"--workdir={workdir}", f"--config.data.path={other}"]
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert "audio has 4 columns, the run was trained on 3" in error
    assert main([*argv, "--config.data.modalities=('text', 'vision')"]) == 0


def test_eval_may_not_change_what_was_trained(trained, capsys):
    assert main(["--mode=eval", f"--workdir={trained[1]}", "--config.model.layer=2"]) == 2
    assert "--config.model.layer is fixed by the trained run" in capsys.readouterr().err
    assert main(["--mode=eval", f"--workdir={trained[1]}", "--config.data.lowercase=True"]) == 2
    assert "--config.data.lowercase is fixed by the trained run" in capsys.readouterr().err


def test_a_damaged_run_is_one_line(trained, capsys):
    _, workdir, _ = trained
    for name, content in (("config.json", "{bad"), ("config.json", "{}"), ("preparation.json", '{"a": 1}')):
        before = (workdir / name).read_text()
        (workdir / name).write_text(content)
        assert main(["--mode=eval", f"--workdir={workdir}"]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        (workdir / name).write_text(before)
    for file in (workdir / "checkpoints" / "best").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    assert main(["--mode=eval", f"--workdir={workdir}"]) == 2
    error = capsys.readouterr().err
    assert "cannot read" in error
    assert "bring it back from a copy" in error


def test_a_run_of_another_version_is_one_line(trained, capsys):
    argv, workdir, _ = trained
    content = json.loads((workdir / "config.json").read_text())
    del content["loss"]["mpr_ramp"]
    (workdir / "config.json").write_text(json.dumps(content))
    reseal(workdir)
    capsys.readouterr()
    assert main(["--mode=eval", f"--workdir={workdir}"]) == 2
    error = capsys.readouterr().err
    assert "another version of msa_jax or of the model's file (it has no key loss.mpr_ramp)" in error
    assert error.count("\n") == 1
    assert main(argv) == 2  # the training command meets the same folder
    error = capsys.readouterr().err
    assert "another version of msa_jax or of the model's file (it has no key loss.mpr_ramp)" in error
    assert error.count("\n") == 1
    with pytest.raises(UserError, match="was written by another version"):
        msa_jax.load(workdir)


def test_folders_that_cannot_be_written_are_one_line(trained, tiny_overrides, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([CONFIG, *tiny_overrides, f"--workdir={tmp_path / 'file' / 'run'}"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "clips.csv").write_text("text\ngood\n")
    argv = ["--mode=predict", f"--workdir={trained[1]}", f"--config.data.path={tmp_path / 'clips.csv'}"]
    assert main([*argv, f"--output={tmp_path}"]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_groups_that_match_nothing_leave_no_run_behind(tiny_overrides, tmp_path, capsys):
    groups = "--config.optim.groups=(('encodr', 1.0), ('.*', 2.0))"
    assert main([CONFIG, *tiny_overrides, groups, f"--workdir={tmp_path / 'run'}"]) == 2
    assert "'encodr' is never the first match for any parameter" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_eval_never_scores_training_clips_under_another_cut(untrained, tmp_path, tiny_overrides, capsys):
    words = tmp_path / "words"
    clips = [
        c for name in ("train", "dev", "test") for c in pickle.loads((words / f"{name}.pkl").read_bytes())
    ]
    (tmp_path / "one.pkl").write_bytes(pickle.dumps(clips))
    path = f"--config.data.path={tmp_path / 'one.pkl'}"
    workdir = f"--workdir={tmp_path / 'run'}"
    assert main([CONFIG, *tiny_overrides, *SMALL, path, "--config.data.cut.folds=3", workdir]) == 0
    assert main(["--mode=eval", workdir]) == 0
    assert main(["--mode=eval", workdir, "--config.data.cut.fold=1"]) == 2
    assert "clips that it has seen" in capsys.readouterr().err


def test_a_text_run_ignores_the_audio_and_vision_of_another_corpus(trained_once, tmp_path, capsys):
    """Trained on a CSV, scored on a file with features: there is nothing learned to inject."""
    rows = ["video_id,clip_id,text,label,split"]
    for split, count in (("train", 8), ("valid", 4), ("test", 4)):
        rows += [f"{split}{k // 2},{k},good movie {'bad ' * k},{k / 4 - 1},{split}" for k in range(count)]
    (tmp_path / "clips.csv").write_text("\n".join(rows) + "\n")
    argv, folder = trained_once
    argv = [a for a in argv if "data.path" not in a]
    workdir = f"--workdir={tmp_path / 'run'}"
    assert main([*argv, *SMALL, f"--config.data.path={tmp_path / 'clips.csv'}", workdir]) == 0
    assert main(["--mode=eval", workdir, f"--config.data.path={folder / 'words'}"]) == 0
    assert "audio is left out: the run was trained without it" in capsys.readouterr().out


def test_predict_scores_a_csv_of_texts_without_labels(trained, tmp_path, capsys):
    _, workdir, _ = trained
    (tmp_path / "clips.csv").write_text('video_id,clip_id,text\nv,1,"good, movie"\nv,2,bad\n')
    argv = ["--mode=predict", f"--workdir={workdir}", f"--config.data.path={tmp_path / 'clips.csv'}"]
    assert main(argv) == 0
    scores = read_scores(workdir / "predictions_clips.csv")
    assert list(scores) == ["v_1", "v_2"]
    expected = msa_jax.load(workdir).predict(texts=["good, movie", "bad"])
    np.testing.assert_allclose(list(scores.values()), expected, atol=1e-5)
    assert main([*argv, f"--output={tmp_path / 'nowhere' / 'x.csv'}"]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main([*argv, f"--output={tmp_path / 'x.csv'}"]) == 0
    assert read_scores(tmp_path / "x.csv") == scores


def test_predict_without_a_file_says_so(trained, tmp_path, capsys):
    argv = ["--mode=predict", f"--workdir={trained[1]}"]
    assert main([*argv, "--config.data.path=nowhere.csv"]) == 2
    assert "nowhere.csv" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no trained run"):
        msa_jax.load(tmp_path)


def test_without_data_the_embedded_corpus_is_used_and_said_loudly(tmp_path, monkeypatch, capsys):
    small = SyntheticConfig(counts=(40, 16, 16))
    monkeypatch.setitem(synthetic.PRESETS, "synthetic", small)
    more = [
        *SMALL,
        "--config.text.scratch.hidden_size=16",
        f"--config.data.cache={tmp_path / 'cache'}",
        f"--workdir={tmp_path / 'run'}",
    ]
    assert main([CONFIG + ":no_mpr", *more]) == 0
    out = capsys.readouterr().out.strip().splitlines()
    assert out[0].endswith("so this runs configs/crosssent_mosi.py:synthetic:no_mpr")
    assert "SYNTHETIC" in out[0]
    assert "SYNTHETIC" in out[-1]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["data"] == "synthetic"
    assert results["test"]["clips"] == 16
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["text"]["encoder"] == "scratch"
    assert stored["loss"]["mpr_weight"] == 0


def test_a_corpus_that_was_built_is_used_when_no_path_is_given(untrained, tiny_overrides, tmp_path, capsys):
    def without_path(argv):
        return [a for a in argv if not a.startswith("--config.data.path")]

    opening.open_corpus(cli.parse([CONFIG, *tiny_overrides]).config)
    command = cli.parse([CONFIG, *without_path(tiny_overrides), *SMALL])
    assert opening.has_data(command.config)
    assert command.config.data.corpus == "mosi"
    results = train.train_and_evaluate(command.config, tmp_path / "run")
    assert results["data"] == str(tmp_path / "words")
    # A damaged one: no training on the corpus that is made, as if there were none.
    (folder,) = (tmp_path / "cache").glob("mosi-*")
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size):
        whole = file.read_bytes()
        file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
        capsys.readouterr()
        assert main([CONFIG, *without_path(tiny_overrides), f"--workdir={tmp_path / 'no'}"]) == 2
        said = capsys.readouterr().err
        assert (said.count("\n"), said.count(file.name)) == (1, 1)
        assert f"; delete {folder}, and name its data by --config.data.path" in said
        assert not (tmp_path / "no" / "results.json").exists()
        file.write_bytes(whole)
    # Two built corpora: no guessing.
    other = make_words_folder(tmp_path / "other", seed=5)
    opening.open_corpus(cli.parse([CONFIG, *tiny_overrides, f"--config.data.path={other}"]).config)
    with pytest.raises(UserError, match="several mosi corpora are built"):
        opening.open_corpus(command.config)
