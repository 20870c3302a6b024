"""Tests of runs of several seeds: each has a folder of its own, is what it is alone, and goes on alike."""

import dataclasses
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import msa_jax
from msa_jax import (
    bounds,
    cli,
    lane_memory,
    lanes,
    loop,
    parallel,
    seeds,
    stopping,
    train,
)
from msa_jax.errors import UserError
from msa_jax.files import write_json
from tests.models.tracing import config_of
from tests.test_faults import lines
from tests.test_faults import tiny as tiny_of_faults

ROOT = Path(__file__).parents[1]
tiny = functools.partial(tiny_of_faults, data__buckets=1)  # one program for all seeds of a test


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """(folder, results) of three seeds in `run`, and of the second alone in `alone`."""
    folder = tmp_path_factory.mktemp("seeds")
    found = train.train_and_evaluate(tiny(folder, seeds=(4, 7, 9)), folder / "run")
    train.train_and_evaluate(tiny(folder, seed=7, data__seed=4), folder / "alone")
    return folder, found


def test_a_seed_s_folder_is_that_of_its_run_alone(three):
    folder, _ = three
    own, alone = folder / "run" / "seed_7", folder / "alone"
    assert sorted(p.name for p in own.iterdir()) == sorted(p.name for p in alone.iterdir())
    assert (own / "config.json").read_bytes() == (alone / "config.json").read_bytes()
    facts = [json.loads((run / "seal.json").read_text())["facts"] for run in (own, alone)]
    assert facts[0]["run"] == facts[1]["run"]
    for mine, theirs in zip(lines(own), lines(alone), strict=True):
        assert mine.keys() == theirs.keys()
        np.testing.assert_allclose(
            [mine[k] for k in ("loss", "loss_epoch") if k in mine],
            [theirs[k] for k in ("loss", "loss_epoch") if k in theirs],
            rtol=1e-5 if mine["step"] <= 3 else 1e-3,
        )
    scores = [msa_jax.load(run).predict(["good plot", "bad"]) for run in (own, alone)]
    np.testing.assert_allclose(*scores, atol=1e-3)


def test_the_results_of_all_have_mean_deviation_and_interval(three):
    folder, found = three
    assert json.loads((folder / "run" / "results.json").read_text()) == json.loads(json.dumps(found))
    own = [json.loads((folder / "run" / f"seed_{k}" / "results.json").read_text()) for k in (4, 7, 9)]
    mae = [one["test"]["mae"] for one in own]
    assert found["seeds"] == [4, 7, 9]
    assert found["best_epoch"] == [one["best_epoch"] for one in own]
    assert found["test"]["mae"]["values"] == mae
    assert found["test"]["mae"]["mean"] == pytest.approx(sum(mae) / 3)
    assert len({*mae}) == 3


def test_statistics():
    found = seeds.statistics([1.0, 2.0, 4.0])
    assert found["mean"] == pytest.approx(7 / 3)
    assert found["std"] == pytest.approx(1.5275252)  # with n - 1
    assert found["ci95"] == pytest.approx([7 / 3 - 3.7946, 7 / 3 + 3.7946], abs=1e-3)  # t of 2: 4.3027
    assert seeds.statistics([1.5]) == {"mean": 1.5, "std": None, "ci95": None}
    assert seeds.statistics([1.0, None])["mean"] is None


def test_more_seeds_are_added_and_more_epochs_go_on(three, tmp_path, capsys):
    folder, before = three
    shutil.copytree(folder / "run", tmp_path / "run")
    config = tiny(folder, seeds=(4, 7, 9, 11))
    kept = (tmp_path / "run" / "seed_7" / "metrics.jsonl").read_bytes()
    found = train.train_and_evaluate(config, tmp_path / "run")
    train.train_and_evaluate(tiny(folder, seed=11, data__seed=4), tmp_path / "alone")
    first, wanted = (lines(run)[0]["loss"] for run in (tmp_path / "run" / "seed_11", tmp_path / "alone"))
    assert first == pytest.approx(wanted, rel=1e-5)  # it does not begin as the first of all
    assert found["test"]["mae"]["values"][:3] == before["test"]["mae"]["values"]
    assert (tmp_path / "run" / "seed_7" / "metrics.jsonl").read_bytes() == kept
    assert "seeds are trained at once" not in capsys.readouterr().out  # one is left, which is alone
    train.train_and_evaluate(config, tmp_path / "run")
    assert "is finished; its results:" in capsys.readouterr().out
    fewer = train.train_and_evaluate(tiny(folder, seeds=(4,)), tmp_path / "run")
    assert fewer["test"]["mae"]["ci95"] is None
    out = capsys.readouterr().out
    assert "results.json keeps the results of seeds 4, 7, 9, 11" in out
    assert "of seed 4; a mean and its deviation need several" in out
    assert json.loads((tmp_path / "run" / "results.json").read_text())["seeds"] == [4, 7, 9, 11]
    config.epochs = 5
    train.train_and_evaluate(config, tmp_path / "run")
    out = capsys.readouterr().out
    assert "4 of the 4 seeds are trained at once" in out
    assert "resuming at step 12 of 15" in out
    assert "epoch 5/5  mean of 4 seeds" in out


def test_what_is_stopped_goes_on_to_the_same_bits(three, tmp_path, monkeypatch):
    """Also where the seeds are one checkpoint apart, as a kill between two writes leaves them."""
    folder, _ = three
    config = tiny(folder, seeds=(4, 7, 9), checkpoint_every=2)
    added, count = loop.StepLog.add, [0]

    def add(*args):
        added(*args)
        count[0] += 1
        if count[0] == 8:
            stopping.note(15)

    monkeypatch.setattr(loop.StepLog, "add", add)
    with pytest.raises(stopping.Stopped):
        train.train_and_evaluate(config, tmp_path / "run")
    monkeypatch.setattr(loop.StepLog, "add", added)
    latest = tmp_path / "run" / "seed_9" / "checkpoints" / "latest"
    steps = sorted(int(p.name) for p in latest.iterdir())
    assert len(steps) == 2
    shutil.rmtree(latest / str(steps[-1]))
    train.train_and_evaluate(config, tmp_path / "run")
    for seed in (4, 7, 9):
        mine, theirs = (lines(run / f"seed_{seed}") for run in (tmp_path / "run", folder / "run"))
        assert mine == theirs


def test_a_seed_that_waits_too_long_ends_and_the_others_go_on(three, tmp_path, monkeypatch, capsys):
    folder, _ = three
    judged = loop.evaluate.validation
    verdicts = []

    def validation(*args):
        verdict = judged(*args)
        verdicts.append(verdict)
        first_of_three = len(verdicts) <= 9 and len(verdicts) % 3 == 1
        # The first lane is best in its first epoch, the others in every one.
        value = (0.5 if len(verdicts) == 1 else 1.0) if first_of_three else 0.9 - 0.01 * len(verdicts)
        return dataclasses.replace(verdict, value=value)

    monkeypatch.setattr(loop.evaluate, "validation", validation)
    config = tiny(folder, seeds=(4, 7, 9), patience=2, epochs=5)
    found = train.train_and_evaluate(config, tmp_path / "run")
    assert "no better epoch of seed 4 in 2: stopped after epoch 3" in capsys.readouterr().out
    ends = [lines(tmp_path / "run" / f"seed_{seed}")[-1]["epoch"] for seed in (4, 7, 9)]
    assert ends == [2, 4, 4]
    assert found["best_epoch"] == [0, 4, 4]


@pytest.mark.parametrize("frozen", [False, True])
def test_when_half_have_ended_the_others_go_on_alone(three, tmp_path, monkeypatch, capsys, frozen):
    """The first goes on, whose arrays the program of both has taken over."""
    folder, _ = three
    if frozen:
        assembled = train.assemble
        monkeypatch.setattr(
            train, "assemble", lambda *args: dataclasses.replace(assembled(*args), shared=("encoder",))
        )
    judged, count = loop.evaluate.validation, [0]

    def validation(*args):
        count[0] += 1
        second = count[0] <= 6 and count[0] % 2 == 0
        value = (0.5 if count[0] == 2 else 1.0) if second else 0.9 - 0.01 * count[0]
        return dataclasses.replace(judged(*args), value=value)

    monkeypatch.setattr(loop.evaluate, "validation", validation)
    config = tiny(folder, seeds=(4, 7), patience=2, epochs=5, text__frozen=frozen)
    found = train.train_and_evaluate(config, tmp_path / "run")
    out = capsys.readouterr().out
    assert "no better epoch of seed 7 in 2: stopped after epoch 3" in out
    assert "seeds that are left: 4" in out
    assert "resuming at step 9 of 15" in out
    assert re.search(r"epoch 5/5  loss", out)  # without a mean
    assert found["best_epoch"] == [4, 0]
    assert [lines(tmp_path / "run" / f"seed_{seed}")[-1]["epoch"] for seed in (4, 7)] == [4, 2]


def test_lanes_that_are_over_do_not_hold_the_others_back(three, tmp_path):
    """One that waits for no better epoch has its last state at an earlier step."""
    folder, _ = three
    found = []
    for seed, steps, best in ((4, (6, 9), 0), (7, (9, 12), 3), (9, (9, 12), 3)):
        lane = lanes.Lane(tiny(folder), tmp_path / str(seed), "run")
        for step_ in steps:
            place = lane.workdir / "checkpoints" / "latest" / str(step_)
            place.mkdir(parents=True)
            write_json(place / "progress.json", {"best_epoch": best})
        found.append(lane)
    first, second, third = found
    assert lanes.groups(found, 2, 3, 30) == [[first], [second, third]]
    assert lanes.groups(found, 0, 3, 30) == [found]  # without patience from step 9
    assert lanes.groups(found, 0, 3, 12) == [[second], [third], [first]]
    assert lanes.groups([first, lanes.Lane(tiny(folder), tmp_path / "new", "run")], 0, 3, 30)[0] == [first]


def test_where_memory_does_not_hold_all_they_go_in_groups(three, tmp_path, monkeypatch, capsys):
    folder, before = three
    asked = []

    def needed(config, pieces, layout, count):
        asked.append(count)
        return count * 2**30

    monkeypatch.setattr(lane_memory, "_needed", needed)
    monkeypatch.setattr(lane_memory, "_free", lambda layout: int(2.5 * 2**30))
    found = train.train_and_evaluate(tiny(folder, seeds=(4, 7, 9)), tmp_path / "run")
    said = "2 of the 3 seeds are trained at once: 3 would take 3.0 GiB, and 2.5 GiB are free"
    assert said in capsys.readouterr().out
    assert asked == [3, 2]
    for was, now in zip(before["test"]["mae"]["values"], found["test"]["mae"]["values"], strict=True):
        assert now == pytest.approx(was, rel=1e-3)


def test_several_seeds_in_parts_that_do_not_divide_the_batch(three, tmp_path):
    folder, _ = three
    changes = {"batch_size": 4, "parts": 3, "epochs": 1}
    together = train.train_and_evaluate(tiny(folder, seeds=(4, 7), **changes), tmp_path / "both")
    alone = train.train_and_evaluate(tiny(folder, seed=7, **{"data.seed": 4}, **changes), tmp_path / "one")
    assert together["test"]["mae"]["values"][1] == pytest.approx(alone["test"]["mae"], rel=1e-3)


def test_the_memory_of_a_step_grows_with_the_seeds(three):
    folder, _ = three
    config = tiny(folder)
    pieces, layout = _pieces(config), parallel.layout(1)
    one, four = (lane_memory._needed(config, pieces, layout, count) for count in (2, 4))
    assert 1.5 * one < four < 2.5 * one
    assert lane_memory.fitting(config, pieces, layout, 4) == (4, None)


def _pieces(config):
    from msa_jax.assemble import assemble
    from msa_jax.data import opening

    return assemble(config, opening.open_corpus(config))


def test_a_loss_that_is_not_finite_names_its_seed(three, tmp_path, monkeypatch):
    folder, _ = three
    sound = loop.train_step

    def broken(state, batch):
        state, terms = sound(state, batch)
        odd = (state.step > 2) & (jax.random.key_data(state.key)[-1] == 8)  # of seed 7
        return state, {**terms, "loss": jax.numpy.where(odd, jax.numpy.nan, terms["loss"])}

    monkeypatch.setattr(loop, "train_step", broken)
    with pytest.raises(
        UserError, match=r"loss of seed 7 or its gradient is not finite at step 3.*leave it out"
    ):
        train.train_and_evaluate(tiny(folder, seeds=(4, 7, 9)), tmp_path / "run")


def test_folders_of_one_run_and_of_seeds_are_not_mixed(three, tmp_path):
    folder, _ = three
    with pytest.raises(UserError, match=r"holds one run, and --config.seeds asks for several"):
        train.train_and_evaluate(tiny(folder, seeds=(1, 2)), folder / "alone")
    several = r"\(seed_4, seed_7, seed_9\); name one of these folders"
    with pytest.raises(UserError, match=several):
        train.train_and_evaluate(tiny(folder), folder / "run")
    with pytest.raises(UserError, match=several):
        msa_jax.load(folder / "run")
    with pytest.raises(UserError, match=several):
        cli.parse(["--mode=eval", f"--workdir={folder / 'run'}"])
    with pytest.raises(UserError, match=r"have the order of seed 4, not of seed 7; say --config.data.seed=4"):
        train.train_and_evaluate(tiny(folder, seeds=(7, 4)), folder / "run")


@pytest.mark.parametrize("wrong", [(1, 1), (-1,), ("a",), (1 << 32,), (0.5,), (True,)])
def test_seeds_that_cannot_be_are_refused(wrong):
    config = config_of("lmf", "tiny")
    config.seeds = wrong
    with pytest.raises(UserError, match=r"--config.seeds: .* must be whole numbers"):
        bounds.check(config)


def test_seeds_have_a_default_folder_of_their_own(monkeypatch, tmp_path):
    parse = lambda *more: cli.parse(["--config=lmf_mosi:tiny", *more]).workdir  # noqa: E731
    with pytest.raises(UserError, match=r"--config.seed: --config.seeds is given, too"):
        parse("--config.seeds=1,2", "--config.seed=3")
    one, two, more = parse(), parse("--config.seeds=1,2"), parse("--config.seeds=1,2,3")
    assert (one.name, two.name) == ("lmf_mosi-tiny", "lmf_mosi-tiny-seeds")
    assert two == more == parse("--config.seeds=3", "--config.data.seed=1")
    assert two != parse("--config.seeds=3")  # another order of batches


def test_a_convolution_is_refused_for_seeds_on_devices_of_their_own(tmp_path):
    """And taken on one device; XLA computes that of several seeds wrongly where they are spread."""
    (tmp_path / "a_conv_of_mine.py").write_text(CONVOLUTION)
    arguments = ["--config=a_config.py:synthetic:tiny", "--config.seeds=3,4", "--config.epochs=1"]
    arguments += ["--config.data.buckets=1"]
    config = (
        "from msa_jax.config import base\n\n\ndef get_config():\n    return base.config('a_conv_of_mine')\n"
    )
    (tmp_path / "a_config.py").write_text(config)
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    for devices, code in (("2", 2), ("1", 0)):
        command = [sys.executable, "-m", "msa_jax.main", *arguments, f"--workdir={tmp_path / devices}"]
        done = subprocess.run(
            [*command, f"--config.data.cache={tmp_path / 'cache'}"],
            cwd=tmp_path,
            env={**env, "JAX_NUM_CPU_DEVICES": devices},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == code, done.stderr[-2000:]
        refused = "the model a_conv_of_mine has a convolution" in done.stderr
        assert refused == (code == 2)


CONVOLUTION = """
import dataclasses
import flax.linen as nn
from msa_jax import losses
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time


class Model(nn.Module):
    modalities: tuple[str, ...] = ("text", "audio", "vision")

    @nn.compact
    def __call__(self, batch, *, train):
        return Head((), name="head")(mean_over_time(nn.Conv(4, (3,))(batch["audio"]), batch["audio_mask"]))


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    pass
"""


def test_seeds_are_spread_over_devices(three, tmp_path):
    """Two seeds on four devices: each on two, which split its rows."""
    folder, _ = three
    program = (
        "import sys, pathlib\nfrom tests.test_seeds import tiny\nfrom msa_jax import train\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "train.train_and_evaluate(tiny(folder, seeds=(4, 7)), pathlib.Path(sys.argv[2]))\n"
    )
    four = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "4"}
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "run")]
    done = subprocess.run(
        command, cwd=ROOT, env=four, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for seed in (4, 7):
        mine, theirs = (
            [line["loss"] for line in lines(run / f"seed_{seed}") if "loss" in line]
            for run in (tmp_path / "run", folder / "run")
        )
        np.testing.assert_allclose(mine, theirs, rtol=1e-3)
