"""Destination of what eval and predict write: over nothing of a run, through no link, under any name."""

import csv

import numpy as np

from msa_jax import results
from msa_jax import workdir as files_of_runs
from msa_jax.main import main


def table(path):
    with path.open() as f:
        return list(csv.DictReader(f))


def evaluated(trained, *more):
    """The exit code of --mode=eval."""
    return main(["--mode=eval", f"--workdir={trained[1]}", *more])


def test_nothing_of_a_run_is_in_the_way_of_an_output(trained, tmp_path, capsys):
    """Whatever the name, whichever of the two commands, and in whichever way the place is written."""
    _, workdir, _ = trained
    assert evaluated(trained) == 0
    (evaluation,) = workdir.glob("eval_*")
    (workdir / "notes.txt").write_text("precious")
    (tmp_path / "same").symlink_to(workdir)
    before = {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()}
    clips = tmp_path / "clips.csv"
    clips.write_text("text\ngood movie\n")
    argv = ["--mode=predict", f"--workdir={workdir}", f"--config.data.path={clips}"]
    own = [name for name in files_of_runs.OWN if (workdir / name).is_file() or not (workdir / name).exists()]
    assert {"seal.json", ".lock", "config.json", "tokenizer.json", "metrics.jsonl", "results.json"} <= {*own}
    inside = ("checkpoints/latest/7", "checkpoints/best/x.csv", "tensorboard/x.csv")
    for place in [*own, *inside]:
        (workdir / place).parent.mkdir(exist_ok=True, parents=True)
        for run in (workdir, tmp_path / "same"):
            assert main([*argv, f"--output={run / place}"]) == 2
            assert "is one of the run's own files, or among them; name another" in capsys.readouterr().err
    for place in ("checkpoints", "checkpoints/latest/7", "tensorboard/x", "seal.json/x"):
        assert evaluated(trained, f"--output={workdir / place}") == 2
        assert "run's own files" in (said := capsys.readouterr().err) or "no folder" in said
    others = [workdir / "notes.txt", *(p for p in evaluation.iterdir())]
    for place in others:
        assert main([*argv, f"--output={place}"]) == 2
        assert "was not written by predict; name another file" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()} == before
    for _ in range(2):  # its own earlier file is replaced
        assert main([*argv, f"--output={workdir / 'scores.csv'}"]) == 0
    assert len(table(workdir / "scores.csv")) == 1


def test_what_predict_wrote_is_known_by_its_columns(tmp_path):
    rng = np.random.default_rng(0)
    for shape in ((3,), (3, 2), (3, 4, 2)):
        for labels in (None, np.zeros((3, 4) if len(shape) == 3 else 3)):
            file = tmp_path / "scores.csv"
            results.write_predictions(file, "abc", rng.normal(size=shape), labels)
            assert results.is_predicted(file) == (labels is None)


def test_a_file_with_a_long_name_has_its_scores_beside_the_run(trained, tmp_path):
    _, workdir, _ = trained
    clips = tmp_path / ("\u6a21" * 80 + ".csv")
    clips.write_text("text\ngood movie\n")
    assert main(["--mode=predict", f"--workdir={workdir}", f"--config.data.path={clips}"]) == 0
    (scores,) = workdir.glob("predictions_\u6a21*.csv")
    assert len(table(scores)) == 1


def test_an_evaluation_does_not_go_through_a_link(trained, tmp_path, capsys):
    _, workdir, _ = trained
    assert evaluated(trained) == 0
    (folder,) = workdir.glob("eval_*")
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "results.json").write_text("precious")
    assert evaluated(trained) == 2
    assert f"{folder}: is a symbolic link, which is not written through; remove it" in capsys.readouterr().err
    assert (tmp_path / "elsewhere" / "results.json").read_text() == "precious"
