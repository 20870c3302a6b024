"""The loop: resume, selection, compilation, broken losses, what is logged and left."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msa_jax import assemble, cli, evaluate, loop, metrics, run, step, train
from msa_jax.checkpoint import Checkpoints
from msa_jax.config import base
from msa_jax.errors import UserError
from tests.conftest import TINY, make_words_folder
from tests.models.tracing import config_of, make_state, prepared

CONFIG = "--config=configs/crosssent_mosi.py"


def config_with(overrides, *more):
    return cli.parse([CONFIG, *overrides, *more]).config


def lines(workdir, *, timed=False):
    out = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return out if timed else [{k: v for k, v in line.items() if k != "clips_per_second"} for line in out]


def leaves(workdir):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(run.load(workdir).variables)]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """(arguments, folder, results) of a run in `run`, at a learning rate that sends validation up and down.

    One bucket and one layer: every run that is compared with it traces its program again.
    """
    folder = tmp_path_factory.mktemp("unbroken")
    make_words_folder(folder / "words")
    values = {**TINY, "epochs": 7, "optim.learning_rate": 0.03, "data.buckets": 1}
    values |= {"text.scratch.num_layers": 1, "data.path": folder / "words", "data.cache": folder / "cache"}
    argv = [f"--config.{key}={value}" for key, value in values.items()]
    return argv, folder, train.train_and_evaluate(config_with(argv), folder / "run")


def test_resume_after_a_kill_equals_the_unbroken_run_bit_for_bit(unbroken, tmp_path):
    argv, folder, results = unbroken
    argv = [*argv, "--config.checkpoint_every=4"]  # three steps an epoch: also inside epochs
    whole, broken = folder / "run", tmp_path / "broken"

    slow = """
import sys, time
from msa_jax import loop, main
add = loop.StepLog.add
loop.StepLog.add = lambda *args: (time.sleep(0.1), add(*args))
sys.exit(main.main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", slow, CONFIG, *argv, f"--workdir={broken}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        latest = broken / "checkpoints" / "latest"
        steps = [int(p.name) for p in latest.glob("*") if p.name.isdigit()] if latest.exists() else []
        if steps and max(steps) >= 8:
            break
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "results.json").exists()
    killed_after = (broken / "metrics.jsonl").read_text().count("\n")
    assert killed_after < len(lines(whole))

    resumed = train.train_and_evaluate(config_with(argv), broken)
    assert resumed["best_epoch"] == results["best_epoch"]
    for name in ("predictions_valid.csv", "predictions_test.csv", "preparation.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert lines(broken) == lines(whole)
    for a, b in zip(leaves(broken), leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_epoch_by_validation_is_what_is_tested(unbroken):
    _, folder, results = unbroken
    by_epoch = {line["epoch"]: line["valid_mse"] for line in lines(folder / "run") if "valid_mse" in line}
    assert len(by_epoch) == 7
    assert results["best_epoch"] == min(by_epoch, key=by_epoch.get) < 6
    assert results == json.loads((folder / "run" / "results.json").read_text())
    rows = (folder / "run" / "predictions_valid.csv").read_text().splitlines()
    errors = [float(p) - float(y) for _, y, p in (row.split(",") for row in rows[1:])]
    np.testing.assert_allclose(np.mean(np.square(errors)), by_epoch[results["best_epoch"]], rtol=1e-4)


def test_the_test_split_is_read_once_after_training(trained_once):
    events = json.loads((trained_once[1] / "events.json").read_text())
    assert events.count(["read", "test"]) == 1
    assert events.index(["read", "test"]) > events.index(["trained"])


def test_one_compilation_per_bucket(trained_once):
    _, folder = trained_once
    shapes = [event[1] for event in json.loads((folder / "events.json").read_text()) if event[0] == "traced"]
    buckets = json.loads((folder / "run" / "preparation.json").read_text())["buckets"]
    assert len(buckets) == 2
    assert sorted(shapes) == [[4, text] for text, _, _ in buckets]


def test_each_bucket_and_each_epoch_is_told_in_a_line(trained_once):
    """No terminal here: lines, and no bar that would go back to their start."""
    _, folder = trained_once
    out = (folder / "out.txt").read_bytes().decode()
    assert "\r" not in out
    assert sorted(re.findall(r"^compiling .*$", out, re.M)) == [f"compiling bucket {k} of 2" for k in (1, 2)]
    told = re.findall(
        r"^epoch (\d)/3  loss (\S+) \(mse (\S+), mpr (\S+), eioi (\S+)\)  valid: (.*)$", out, re.M
    )
    assert [epoch for epoch, *_ in told] == ["1", "2", "3"]
    logged = lines(folder / "run")
    steps = [line for line in logged if "loss" in line]
    assert len(steps) == 9
    clips = [4, 4, 2]  # of ten; the partial batch is in the longer bucket, wherever that comes
    for epoch, *shown, valid in told:
        (line,) = (x for x in logged if "loss_epoch" in x and x["epoch"] == int(epoch) - 1)
        for name, value in zip(("loss", "mse", "mpr", "eioi"), shown, strict=True):
            values = [s[name] for s in steps if s["epoch"] == line["epoch"]]
            possible = {np.average(values, weights=np.roll(clips, k)) for k in range(3)}
            assert min(abs(line[f"{name}_epoch"] - p) for p in possible) < 1e-12
            assert value == f"{line[f'{name}_epoch']:.4f}"
        wanted = f"mae {line['valid_mae']:.4f}  corr {line['valid_corr']:.4f}  acc2_has0 "
        assert valid.startswith(wanted)
        assert f"judged by mse {line['valid_mse']:.4f} (best" in valid
        assert re.search(r" clips/s(  \d\d:\d\d left)?$", valid)


@pytest.mark.parametrize("never", [True, False])
def test_selecting_by_a_metric_that_is_not_defined(words_folder, tmp_path, monkeypatch, capsys, never):
    """The task loss stands in until some epoch has a value of the metric."""
    config = base.apply(base.config("lmf"), "tiny")
    config.epochs, config.batch_size, config.data.other_counts, config.select = 3, 16, True, "corr"
    config.data.path, config.data.cache = str(words_folder), str(tmp_path / "cache")
    rng, levels = np.random.default_rng(0), iter([3.0, 0.0, -3.0])
    scored = evaluate.score

    def score(model, variables, batches, clips, *where):
        level = next(levels, None)
        if level is None:  # after training
            constant = np.full(clips, 0.5, np.float32)
            return constant if never else scored(model, variables, batches, clips, *where)
        constant = np.full(clips, level, np.float32)
        return constant if never or level > -3 else constant + rng.normal(size=clips).astype(np.float32)

    monkeypatch.setattr(evaluate, "score", score)
    results = train.train_and_evaluate(config, tmp_path / "run")
    out = capsys.readouterr().out
    assert out.count("corr not defined  acc2") == (3 if never else 2)
    assert "(corr is not defined: all predictions are equal; best so far)" in out
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    logged = [line for line in lines(tmp_path / "run") if "valid_corr" in line]
    assert [line["valid_corr"] is None for line in logged] == [True, True, never]
    assert logged[0]["undefined"] == {"valid_corr": "all predictions are equal"}
    if never:
        assert (results["best_epoch"], results["selected_by"]) == (1, "l1")  # 0 is nearest to the labels
        assert results["test"]["corr"] is None
        assert results["test"]["undefined"]["corr"] == "all predictions are equal"
        assert re.search(r"^test .* corr not defined  acc7", out, re.M)
        assert "note: corr of test is not defined: all predictions are equal\n" in out
    else:
        assert (results["best_epoch"], results["selected_by"]) == (2, "corr")
        assert "undefined" not in results["test"]


def test_a_broken_loss_stops_the_run_and_names_the_last_good_checkpoint(unbroken, tmp_path, monkeypatch):
    argv, folder, _ = unbroken
    add = loop.StepLog.add

    def breaks(self, step, terms, clips):
        add(self, step, {**terms, "loss": jnp.where(step >= 8, jnp.nan, terms["loss"])}, clips)

    monkeypatch.setattr(loop.StepLog, "add", breaks)
    with pytest.raises(UserError, match=r"not finite at step 8 .*last good checkpoint: step 6 in .*latest"):
        train.train_and_evaluate(config_with(argv), tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints" / "latest").glob("[0-9]*")] == ["6"]
    assert lines(tmp_path / "run")[-1]["step"] == 7
    # The run is not lost: with the cause gone, the same command carries on.
    monkeypatch.setattr(loop.StepLog, "add", add)
    train.train_and_evaluate(config_with(argv), tmp_path / "run")
    assert lines(tmp_path / "run") == lines(folder / "run")
    assert lines(tmp_path / "run")[-1]["step"] == 21


def test_a_plateau_halves_the_rate_and_a_resume_keeps_it_in_one_program(
    words_folder, tmp_path, monkeypatch, caplog
):
    """The state's new factor must look to the compiler like the old one."""
    config = base.apply(base.config("lmf"), "tiny")
    config.optim.schedule, config.optim.learning_rate, config.optim.plateau.patience = "plateau", 1e-3, 0
    config.epochs, config.batch_size, config.log_every, config.data.other_counts = 6, 16, 1, True
    config.data.path, config.data.cache = str(words_folder), str(tmp_path / "cache")
    config.select = "mae"
    values = iter([3.0, 2.0, 2.0, 2.0, 1.0, 1.0])  # of the validation loss, epoch by epoch
    monkeypatch.setattr(evaluate, "task_loss", lambda *arguments: next(values))
    saved, stopped = Checkpoints.save_latest, []

    def save(self, step, *rest):
        saved(self, step, *rest)
        if step == 3 and not stopped:
            stopped.append(step)
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save_latest", save)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        with pytest.raises(KeyboardInterrupt):
            train.train_and_evaluate(config, tmp_path / "run")
        train.train_and_evaluate(config, tmp_path / "run")
    rates = [line["learning_rate"] for line in lines(tmp_path / "run") if "learning_rate" in line]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-3, 5e-4, 2.5e-4, 2.5e-4])
    said = [record.getMessage() for record in caplog.records]
    assert sum("Finished XLA compilation of jit(train_step)" in line for line in said) == 2  # one a start


def test_metrics_jsonl_names_every_term(trained_once):
    workdir = trained_once[1] / "run"
    first = lines(workdir, timed=True)[0]
    wanted = {"step", "epoch", "loss", "mse", "mpr", "eioi", "grad_norm", "learning_rate"}
    assert set(first) == {*wanted, "mpr_weight", "eioi_weight", "clips_per_second"}
    assert (first["step"], first["epoch"], first["mpr_weight"], first["eioi_weight"]) == (1, 0, 0.0, 0.0)
    assert first["loss"] == first["mse"]
    later = [line for line in lines(workdir) if line.get("mpr_weight") == 0.5]
    for line in later:
        assert line["eioi_weight"] == pytest.approx(0.06)
        expected = line["mse"] + 0.5 * line["mpr"] + 0.06 * line["eioi"]
        assert line["loss"] == pytest.approx(expected, rel=1e-5)
    assert later
    assert list((workdir / "tensorboard").glob("events*"))


def test_a_frozen_encoder_does_not_count_in_the_norm_that_gradients_are_clipped_by():
    config = config_of("crosssent", "tiny", text__scratch__num_layers=1, text__frozen=True)
    pieces, batch = prepared(config)
    variables = assemble.init_variables(pieces.model, pieces.preparation, jax.random.key(0), None)
    state = make_state(config, dataclasses.replace(pieces, variables=variables))
    after, terms = jax.jit(step.train_step)(state, batch)
    moments = optax.tree_utils.tree_get(after.opt_state, "mu")
    assert "encoder" not in moments  # nothing to keep of what is not trained
    for a, b in zip(
        *(jax.tree.leaves(p["encoder"]) for p in (after.params, variables["params"])), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert np.asarray(moments["output_dense"]["kernel"]).any()
    assert terms["grad_norm"] > config.optim.clip  # otherwise there is no clip to ask about
    rest = float(optax.tree.norm(moments))
    assert rest == pytest.approx(0.1 * min(float(terms["grad_norm"]), config.optim.clip), rel=1e-4)


def test_results_hold_every_metric_of_the_corpus(trained_once):
    _, folder = trained_once
    workdir = folder / "run"
    on_disk = json.loads((workdir / "results.json").read_text())
    rng = np.random.default_rng(0)
    keys = {"clips", *metrics.evaluate("mosi", rng.normal(size=20), rng.normal(size=20))}
    for split in ("valid", "test"):
        assert set(on_disk[split]) == keys
        rows = (workdir / f"predictions_{split}.csv").read_text().splitlines()
        assert rows[0] == "id,label,prediction"
        y, p = np.array([[float(v) for v in row.split(",")[1:]] for row in rows[1:]]).T
        assert on_disk[split]["mae"] == pytest.approx(np.mean(np.abs(y - p)), abs=1e-5)
    assert on_disk["data"] == str(folder / "words")
    assert on_disk["seed"] == 3
    assert on_disk["parameters"] == sum(leaf.size for leaf in leaves(workdir))
    assert on_disk["wall_seconds"] > 0
    assert Path(workdir / "environment.json").exists()


def test_golden_first_step(trained_once):
    """The very first loss and gradient: data order, tokens, alignment, initialisation and dropout in one."""
    first = lines(trained_once[1] / "run")[0]
    assert first["loss"] == pytest.approx(1.23901, rel=1e-3)
    assert first["grad_norm"] == pytest.approx(45.8758, rel=1e-3)


@pytest.mark.parametrize(("overrides", "expected"), [([], 3), (["--config.data.seed=11"], 11)])
def test_the_order_of_batches_can_have_a_seed_of_its_own(
    tiny_overrides, tmp_path, monkeypatch, overrides, expected
):
    """Runs of several seeds can share a plan, and with it shapes and clips of each step."""

    class Planned(Exception):
        pass

    def plan(*args, seed, **kwargs):
        raise Planned(seed)

    monkeypatch.setattr(loop, "BatchPlan", plan)
    with pytest.raises(Planned) as planned:
        train.train_and_evaluate(config_with([*tiny_overrides, *overrides]), tmp_path / "run")
    assert planned.value.args == (expected,)
