"""Scoring with a finished run: what is refused, what is named, other scales, and where the results go."""

import csv
import dataclasses
import json
import pickle

import jax
import numpy as np
import pytest

import msa_jax
from msa_jax import metrics
from msa_jax.errors import UserError
from msa_jax.main import main
from tests.conftest import make_words_folder, reseal


def table(path):
    with path.open() as f:
        return list(csv.DictReader(f))


def column(path, name):
    return np.array([float(row[name]) for row in table(path)])


def texts_file(path, labels, texts=None):
    """A CSV of test clips."""
    texts = texts or [f"good movie {'bad ' * (k % 4)}" for k in range(len(labels))]
    rows = [f"v{k},{k},{text},{label:.1f},test" for k, (text, label) in enumerate(zip(texts, labels))]  # noqa: B905
    rows += [f"w{k},{k},bad,0.5,{split}" for k, split in enumerate(("train", "train", "valid"))]
    path.write_text("\n".join(["video_id,clip_id,text,label,split", *rows]) + "\n")
    return path


def evaluated(trained, *more):
    """(exit code, folders of evaluations) after --mode=eval."""
    _, workdir, _ = trained
    code = main(["--mode=eval", f"--workdir={workdir}", *more])
    return code, sorted(p.name for p in workdir.glob("eval_*"))


def results(trained, folder):
    return json.loads((trained[1] / folder / "results.json").read_text())


def test_labels_on_another_scale_are_refused_or_mapped(trained, tmp_path, capsys):
    labels = np.linspace(-1, 1, 24).round(1)
    path = f"--config.data.path={texts_file(tmp_path / 'other.csv', labels)}"
    other = [path, "--config.data.corpus=sims"]
    assert evaluated(trained, *other) == (2, [])
    error = capsys.readouterr().err
    assert "trained on scores in [-3, 3] (CMU-MOSI), those of sims lie in [-1, 1] (CH-SIMS)" in error
    assert "--config.data.rescale=True" in error
    assert error.count("\n") == 1

    code, (folder,) = evaluated(trained, *other, "--config.data.rescale=True")
    assert code == 0
    assert "mapped linearly from [-3, 3] (CMU-MOSI) onto [-1, 1] (CH-SIMS)" in capsys.readouterr().out
    found = results(trained, folder)
    assert found["rescaled"] == "from [-3, 3] (CMU-MOSI) onto [-1, 1] (CH-SIMS)"
    written = trained[1] / folder / "predictions_test.csv"
    raw = msa_jax.load(trained[1]).predict([f"good movie {'bad ' * (k % 4)}" for k in range(24)])
    np.testing.assert_allclose(column(written, "prediction"), raw / 3, atol=2e-6)
    assert found["test"]["mae"] == pytest.approx(np.abs(raw / 3 - labels).mean(), abs=1e-5)
    assert found["test"]["mae"] == pytest.approx(metrics.evaluate("sims", raw / 3, labels)["mae"], abs=1e-5)

    # Without the corpus the same file is taken on the run's own scale, which is said.
    code, folders = evaluated(trained, path)
    assert code == 0
    assert (
        "all labels lie in [-1, 1], as CH-SIMS's do, and are taken as CMU-MOSI's" in capsys.readouterr().out
    )
    (own,) = set(folders) - {folder}
    assert results(trained, own)["rescaled"] is None
    np.testing.assert_allclose(
        column(trained[1] / own / "predictions_test.csv", "prediction"), raw, atol=2e-6
    )


def sims_like(path, labels, texts, unimodal=None):
    """An MMSA pickle of test clips, with labels by modality where they are given."""
    count = len(labels)
    split = {
        "id": [f"v{k}$_$0" for k in range(count)],
        "raw_text": texts,
        "regression_labels": np.array(labels, np.float32),
        "audio": np.ones((count, 2, 3), np.float32),
        "vision": np.ones((count, 2, 2), np.float32),
    }
    if unimodal is not None:
        split |= {f"regression_labels_{m}": np.array(unimodal, np.float32) for m in "TAV"}
    few = {name: values[:1] for name, values in split.items()}
    splits = {"train": {**few, "id": ["w$_$0"]}, "valid": {**few, "id": ["x$_$0"]}, "test": split}
    path.write_bytes(pickle.dumps(splits))
    return path


def test_a_file_that_looks_like_another_corpus_is_not_taken_for_the_runs_own(trained, tmp_path, capsys):
    labels, unimodal = [-0.4, 0.6, 1.0], [0.2, -1.0, 0.8]
    english = ["good", "bad movie", "a film"]
    path = f"--config.data.path={sims_like(tmp_path / 'a.pkl', labels, english, unimodal)}"
    assert evaluated(trained, path) == (2, [])
    error = capsys.readouterr().err
    assert "all labels lie in [-1, 1], as CH-SIMS's do, and so do its labels by modality" in error
    assert "--config.data.corpus=sims --config.data.rescale=True" in error
    assert error.count("\n") == 1
    code, (mapped,) = evaluated(trained, path, "--config.data.corpus=sims", "--config.data.rescale=True")
    assert code == 0
    assert results(trained, mapped)["rescaled"] == "from [-3, 3] (CMU-MOSI) onto [-1, 1] (CH-SIMS)"
    capsys.readouterr()
    # What the refusal says for labels that are on the run's scale; then it is the user who says so.
    assert "or --config.data.corpus=mosi where they are on that scale" in error
    code, folders = evaluated(trained, path, "--config.data.corpus=mosi")
    assert code == 0
    (said,) = set(folders) - {mapped}
    assert results(trained, said)["rescaled"] is None
    # The labels alone say nothing for sure, however few they are.
    path = f"--config.data.path={sims_like(tmp_path / 'b.pkl', labels, english)}"
    assert evaluated(trained, path)[0] == 0
    assert "as CH-SIMS's do, and are taken as CMU-MOSI's" in capsys.readouterr().out
    # A label of 2 does.
    path = f"--config.data.path={sims_like(tmp_path / 'c.pkl', [*labels[:2], 2.0], english, unimodal)}"
    assert evaluated(trained, path)[0] == 0
    assert "CH-SIMS" not in capsys.readouterr().out


def test_predictions_can_be_mapped_and_are_not_mapped_unasked(trained, tmp_path, capsys):
    (tmp_path / "clips.csv").write_text("text\ngood movie\nbad\n")
    argv = [
        "--mode=predict",
        f"--workdir={trained[1]}",
        f"--config.data.path={tmp_path / 'clips.csv'}",
        f"--output={tmp_path / 'scores.csv'}",
    ]
    assert main([*argv, "--config.data.corpus=sims"]) == 2
    assert "--config.data.rescale=True" in capsys.readouterr().err
    assert not (tmp_path / "scores.csv").exists()
    assert main(argv) == 0
    raw = column(tmp_path / "scores.csv", "prediction")
    assert main([*argv, "--config.data.corpus=sims", "--config.data.rescale=True"]) == 0
    assert f"what was in {tmp_path / 'scores.csv'} is replaced" in capsys.readouterr().out
    np.testing.assert_allclose(column(tmp_path / "scores.csv", "prediction"), raw / 3, atol=2e-6)


def test_each_evaluation_has_a_folder_of_its_own(trained, capsys):
    _, (plain,) = evaluated(trained)
    before = {p: p.read_bytes() for p in (trained[1] / plain).iterdir()}
    assert set(results(trained, plain)) >= {"test"}
    assert evaluated(trained, "--config.data.eval_split=test") == (0, [plain])  # the same again
    for more in (
        ["--config.data.eval_split=valid"],
        ["--config.data.modalities=('vision', 'text')"],
        ["--config.data.eval_split=valid", "--config.data.modalities=('text',)"],
        ["--config.data.corpus=mosei"],
    ):
        assert evaluated(trained, *more)[0] == 0
    assert evaluated(trained)[1] == [
        plain,
        f"{plain}_corpus-mosei",
        f"{plain}_text+vision",
        f"{plain}_valid",
        f"{plain}_valid_text",
    ]
    assert {p: p.read_bytes() for p in (trained[1] / plain).iterdir()} == before
    both, text = (results(trained, f"{plain}{of}") for of in ("_valid", "_valid_text"))
    assert (both["modalities"], text["modalities"]) == (["text", "audio", "vision"], ["text"])
    assert both["valid"]["mae"] != text["valid"]["mae"]


def test_results_go_where_output_says_but_never_over_a_run(trained, tmp_path, capsys):
    out = tmp_path / "results"
    assert evaluated(trained, f"--output={out}") == (0, [])
    assert sorted(p.name for p in out.iterdir()) == ["predictions_test.csv", "results.json"]
    capsys.readouterr()
    assert evaluated(trained, f"--output={out}", "--config.data.eval_split=valid")[0] == 0
    assert f"the results that were in {out} are replaced" in capsys.readouterr().out
    for folder, message in (
        (trained[1], "is the folder of a run"),
        (tmp_path / "no" / "where", "there is no folder"),
        (trained[1] / "config.json", "is a file"),
    ):
        assert evaluated(trained, f"--output={folder}")[0] == 2
        assert message in capsys.readouterr().err


def test_scores_go_over_no_file_of_the_run_and_not_over_the_clips(trained, tmp_path, capsys):
    _, workdir, _ = trained
    own = (workdir / "predictions_test.csv").read_bytes()
    clips = tmp_path / "test.csv"
    clips.write_text("text\ngood movie\n")
    argv = ["--mode=predict", f"--workdir={workdir}", f"--config.data.path={clips}"]
    assert main(argv) == 0
    assert (workdir / "predictions_test.csv").read_bytes() == own
    assert len(table(workdir / "predictions_file_test.csv")) == 1
    capsys.readouterr()
    for output, message in (
        (clips, "is the file that is scored"),
        (workdir / "predictions_test.csv", "is one of the run's own files"),
        (workdir / "results.json", "is one of the run's own files"),
    ):
        assert main([*argv, f"--output={output}"]) == 2
        assert message in capsys.readouterr().err
    assert clips.read_text() == "text\ngood movie\n"
    assert (workdir / "predictions_test.csv").read_bytes() == own


def test_a_clip_without_anything_that_the_run_reads(trained, tmp_path, capsys):
    _, workdir, _ = trained
    loaded = msa_jax.load(workdir)
    audio = np.ones((2, 3), np.float32)
    assert np.isfinite(loaded.predict([""], audio=[audio])).all()
    with pytest.raises(UserError, match=r"1 clip has nothing of what the run reads: 1; it reads text, aud"):
        loaded.predict(["a", " \n"], audio=[audio, None])
    # From a file to predict it is refused by its name, and nothing is written.
    (tmp_path / "clips.csv").write_text("video_id,clip_id,text\nv,1,good\nv,2,\n")
    argv = ["--mode=predict", f"--workdir={workdir}", f"--config.data.path={tmp_path / 'clips.csv'}"]
    assert main(argv) == 2
    assert "nothing of what the run reads: v_2" in capsys.readouterr().err
    assert not (workdir / "predictions_clips.csv").exists()
    # Among labelled clips it is named, and counts.
    path = texts_file(tmp_path / "labelled.csv", [1, -1, 0.5], ["good", "", "bad"])
    code, (folder,) = evaluated(trained, f"--config.data.path={path}")
    assert code == 0
    assert "nothing of what the run reads: v1_1 (text, audio, vision)" in capsys.readouterr().out
    assert results(trained, folder)["test"]["clips"] == 3
    # Where it is so with all of them, there is nothing to evaluate.
    heard = ["--config.data.modalities=('audio',)", f"--config.data.path={path}"]
    assert evaluated(trained, *heard)[0] == 2
    assert "no clip has anything of what the run reads (audio)" in capsys.readouterr().err


def test_findings_of_the_clips_are_said_and_kept(trained, tmp_path, capsys):
    file = texts_file(tmp_path / "odd.csv", [0.5, -1.0], texts=["good movie " * 40, "电 影 " * 10 + "good"])
    path = f"--config.data.path={file}"
    code, (folder,) = evaluated(trained, path)
    said = capsys.readouterr().out
    assert code == 0
    kept = results(trained, folder)["findings"]["test"]
    cut, unknown, *without = [f["what"] for f in kept]
    assert cut == "text is cut at 47 subwords, its end is not read"
    assert kept[0]["first"] == ["v0_0"]
    assert unknown.startswith("text has [UNK], ")
    assert without == ["clips are without audio", "clips are without vision"]
    assert all(f"note: test: {f['count']} {f['what']}: {f['first'][0]}" in said for f in kept)

    output = f"--output={tmp_path / 'out.csv'}"
    assert main(["--mode=predict", f"--workdir={trained[1]}", path, output]) == 0
    assert "note: 1 text is cut at 47 subwords, its end is not read: v0_0" in capsys.readouterr().out

    run = msa_jax.load(trained[1])
    audio = np.full((3, 3), 5.0, np.float32)
    audio[1, 2] = -9999
    run.predict(["good movie"], audio=[audio])
    assert capsys.readouterr().out == (
        "note: 1 clip has values in audio far outside the usual range (columns 2): 0\n"
    )


def test_a_score_that_is_not_finite_names_the_clip_and_the_column(trained, tmp_path, capsys):
    _, workdir, _ = trained
    words = make_words_folder(tmp_path / "odd", seed=4)
    clips = pickle.loads((words / "test.pkl").read_bytes())
    clips[2][0][2][1, 0] = 3e38  # vision, text, audio, words: of audio the second row's first column
    (words / "test.pkl").write_bytes(pickle.dumps(clips))
    column = r"column 0 of audio \(counted from 0\) holds 3e\+38 in row 1"
    loaded = msa_jax.load(workdir)
    given = {"audio": [c[0][2] for c in clips], "vision": [c[0][1] for c in clips], "aligned": True}
    texts = [" ".join(c[0][3]) for c in clips]
    with pytest.raises(UserError, match=f"1 clip has a score that is not finite: 2; in clip 2 {column}"):
        loaded.predict(texts, **given)
    path = f"--config.data.path={words}"
    assert evaluated(trained, path) == (2, [])  # and leaves no folder
    assert "in clip test0_2 column 0 of audio (counted from 0) holds 3e+38" in capsys.readouterr().err
    assert main(["--mode=predict", f"--workdir={workdir}", path, "--config.data.modalities=('text',)"]) == 0


def test_a_score_that_no_column_explains_is_laid_to_the_parameters(trained):
    loaded = msa_jax.load(trained[1])
    params = jax.tree.map(np.array, loaded.params)
    params["output_dense"]["bias"][:] = np.nan
    broken = dataclasses.replace(loaded, variables={**loaded.variables, "params": params})
    with pytest.raises(UserError, match="the run's parameters output_dense/bias are not finite; train again"):
        broken.predict(["good", "bad"])
    params["output_dense"]["bias"][:] = 3e38
    params["output_dense"]["kernel"] = params["output_dense"]["kernel"] * 0 + 3e38
    with pytest.raises(UserError, match=r"neither their features explain it .* nor the parameters"):
        broken.predict(["good", "bad"])


def test_what_a_run_on_texts_does_not_read_is_refused_or_said(trained, tmp_path, capsys):
    _, workdir, words = trained
    file = workdir / "preparation.json"  # as if it had been trained on a CSV of texts
    content = json.loads(file.read_text())
    content["preprocessing"]["modalities"] = ["text"]
    file.write_text(json.dumps(content))
    reseal(workdir)
    with pytest.raises(UserError, match="clip 0: the run reads text, and takes no audio; leave audio out"):
        msa_jax.load(workdir).predict(["a b"], audio=[np.ones((2, 3))])
    path = [f"--workdir={workdir}", f"--config.data.path={words / 'test.pkl'}"]
    assert main(["--mode=predict", *path]) == 0
    out = capsys.readouterr().out
    for m in ("audio", "vision"):
        assert f"note: {m} is left out: the run was trained without it\n" in out
    assert main(["--mode=predict", *path, "--config.data.modalities=('audio',)"]) == 2
    assert "('audio',), but the run reads only text" in capsys.readouterr().err


def test_another_config_than_the_runs_is_refused_and_its_own_is_not(trained, capsys):
    argv, workdir, _ = trained
    code, (folder,) = evaluated(trained, *argv)  # the training command itself
    assert code == 0
    capsys.readouterr()
    for more, message in (
        (["--config=lmf_mosi"], "trained with model.name=crosssent, and lmf_mosi has lmf"),
        ([*argv, "--config.seed=4"], "trained with seed=3, and configs/crosssent_mosi.py has 4"),
        ([*argv, "--config=configs/crosssent_mosi.py:text_only"], "trained with data.modalities="),
        (["--config=crosssent_mosi:no_mpr"], "trained with batch_size=4, and crosssent_mosi:no_mpr has 8"),
    ):
        for mode in ("eval", "predict"):
            assert main([f"--workdir={workdir}", *more, f"--mode={mode}"]) == 2
            error = capsys.readouterr().err
            assert message in error
            assert "leave --config out" in error
    assert evaluated(trained)[1] == [folder]
