"""The loop: resume, selection, compilation, broken losses, and every shipped config."""

import json
import os
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

from msa_jax import cli, metrics, predict, run, setup, train
from msa_jax.corpora import CORPORA
from msa_jax.data.datasets import Built
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.losses import make_objective

CONFIG = "--config=configs/crosssent_mosi.py"


def config_with(overrides, *more):
    return cli.parse([CONFIG, *overrides, *more]).config


def lines(workdir, *, timed=False):
    out = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return out if timed else [{k: v for k, v in line.items() if k != "clips_per_second"} for line in out]


def leaves(workdir):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(predict.load(workdir).params)]


def test_resume_after_a_kill_equals_the_unbroken_run_bit_for_bit(tiny_overrides, tmp_path):
    more = ["--config.epochs=16", "--config.checkpoint_every=2"]  # three steps an epoch: also inside epochs
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    config = config_with(tiny_overrides, *more)
    run.train_and_evaluate(config, whole)

    command = [sys.executable, "-m", "msa_jax.main", CONFIG, *tiny_overrides, *more, f"--workdir={broken}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        latest = broken / "checkpoints" / "latest"
        steps = [int(p.name) for p in latest.glob("*") if p.name.isdigit()] if latest.exists() else []
        if steps and max(steps) >= 5:
            break
        time.sleep(0.01)
    assert process.poll() is None, "the run ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "results.json").exists()
    killed_after = (broken / "metrics.jsonl").read_text().count("\n")
    assert killed_after < len(lines(whole))

    resumed = run.train_and_evaluate(config, broken)
    assert resumed["best_epoch"] == json.loads((whole / "results.json").read_text())["best_epoch"]
    for name in ("predictions_valid.csv", "predictions_test.csv", "preparation.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert lines(broken) == lines(whole)
    for a, b in zip(leaves(broken), leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_epoch_by_validation_is_what_is_tested(tiny_overrides, tmp_path):
    config = config_with(tiny_overrides, "--config.epochs=8", "--config.optim.learning_rate=0.02")
    results = run.train_and_evaluate(config, tmp_path / "run")
    by_epoch = {line["epoch"]: line["valid_mse"] for line in lines(tmp_path / "run") if "valid_mse" in line}
    assert len(by_epoch) == 8
    assert results["best_epoch"] == min(by_epoch, key=by_epoch.get)
    rows = (tmp_path / "run" / "predictions_valid.csv").read_text().splitlines()
    errors = [float(p) - float(y) for _, y, p in (row.split(",") for row in rows[1:])]
    np.testing.assert_allclose(np.mean(np.square(errors)), by_epoch[results["best_epoch"]], rtol=1e-4)


def test_the_test_split_is_read_once_after_training(tiny_overrides, tmp_path, monkeypatch):
    events = []
    opened, trained = Built.split, train.train
    monkeypatch.setattr(Built, "split", lambda self, name: (events.append(name), opened(self, name))[1])
    monkeypatch.setattr(run, "train", lambda *a, **k: (trained(*a, **k), events.append("trained"))[0])
    run.train_and_evaluate(config_with(tiny_overrides), tmp_path / "run")
    assert events.count("test") == 1
    assert events.index("test") > events.index("trained")


def test_one_compilation_per_bucket(tiny_overrides, tmp_path, monkeypatch):
    shapes = []
    step = train.train_step

    def counting(state, batch):
        shapes.append(batch["text"].shape)
        return step(state, batch)

    monkeypatch.setattr(train, "train_step", counting)
    run.train_and_evaluate(config_with(tiny_overrides, "--config.epochs=6"), tmp_path / "run")
    buckets = json.loads((tmp_path / "run" / "preparation.json").read_text())["buckets"]
    assert len(buckets) == 2
    assert sorted(shapes) == [(4, text) for text, _, _ in buckets]


def test_a_broken_loss_stops_the_run_and_names_the_last_good_checkpoint(
    tiny_overrides, tmp_path, monkeypatch
):
    step = train.train_step

    def breaks(state, batch):
        state, terms = step(state, batch)
        return state, {**terms, "loss": jnp.where(state.step >= 8, jnp.nan, terms["loss"])}

    monkeypatch.setattr(train, "train_step", breaks)
    with pytest.raises(UserError, match=r"not finite at step 8 .*last good checkpoint: step 6 in .*latest"):
        run.train_and_evaluate(config_with(tiny_overrides, "--config.epochs=9"), tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "checkpoints" / "latest").glob("[0-9]*")] == ["6"]
    assert lines(tmp_path / "run")[-1]["step"] == 7
    # The run is not lost: with the cause gone, the same command carries on.
    monkeypatch.setattr(train, "train_step", step)
    run.train_and_evaluate(config_with(tiny_overrides, "--config.epochs=9"), tmp_path / "run")
    assert lines(tmp_path / "run")[-1]["step"] == 27


def test_metrics_jsonl_names_every_term(tiny_overrides, tmp_path):
    run.train_and_evaluate(config_with(tiny_overrides), tmp_path / "run")
    first = lines(tmp_path / "run", timed=True)[0]
    wanted = {"step", "epoch", "loss", "mse", "mpr", "eioi", "ramp", "grad_norm", "learning_rate"}
    assert set(first) == {*wanted, "clips_per_second"}
    assert (first["step"], first["epoch"], first["ramp"]) == (1, 0, 0.0)
    assert first["loss"] == first["mse"]
    later = [line for line in lines(tmp_path / "run") if line.get("ramp") == 1.0]
    for line in later:
        expected = line["mse"] + 0.5 * line["mpr"] + 0.06 * line["eioi"]
        assert line["loss"] == pytest.approx(expected, rel=1e-5)
    assert later
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def prepared(config, widths=(3, 2)):
    """(model, preprocessing, batch) for a config, without data or weights on disk."""
    how = setup.preprocessing(
        config, dict(zip(("audio", "vision"), widths, strict=True)), ("audio", "vision"), 5
    )
    tokenizer = setup.make_tokenizer(config, ["some words to learn a vocabulary from"])
    encoder, _ = setup.make_encoder(config, tokenizer, how)
    model = setup.make_model(config, encoder, how)
    B, K = config.batch_size, CORPORA[setup.metric_set(config)].outputs[:-1]
    batch = setup.blank_batch(how, rows=B, length=12)
    batch |= {f"{m}_mask": np.full((B, 12), m in how.modalities) for m in ("text", "audio", "vision")}
    rows = np.arange(B)
    extra = {"label": np.broadcast_to(rows.reshape(-1, *(1,) * len(K)) % 2, (B, *K)).astype(np.float32)}
    return model, how, {**batch, **extra, "index": rows.astype(np.int32)}


def make_state(config, model, how, params):
    plan = BatchPlan(np.full((100, 3), 12), ((12, 12, 12),), config.batch_size, epochs=config.epochs, seed=0)
    return train.make_state(config, model, params, plan, how.modalities)[0]


NAMES = sorted(p.name for p in cli.shipped_configs().glob("*_*.py"))
SCRATCH = ["--config.text.encoder=scratch"]  # roberta-base, bert-base-* are not on disk
VARIANTS = [
    (model, variant)
    for model in ("crosssent", "tecafn", "mulg", "amsgfn")
    for variant in cli._import_config(cli.shipped_configs() / f"{model}_mosi.py").VARIANTS
]


@pytest.mark.parametrize("name", NAMES)
def test_one_step_of_each_shipped_config_traces(name):
    config = cli.parse([f"--config=configs/{name}"]).config
    if config.text.encoder != "features":
        config = cli.parse([f"--config=configs/{name}", *SCRATCH]).config
    config.batch_size = min(config.batch_size, 8)
    model, how, batch = prepared(config)

    def first():
        return make_state(config, model, how, setup.init_params(model, how, jax.random.key(0), None))

    state = jax.eval_shape(first)
    after, terms = jax.eval_shape(train.train_step, state, batch)
    assert config.loss.task in terms
    assert after == state  # shapes and types: a second step compiles nothing


def test_a_frozen_encoder_does_not_count_in_the_norm_that_gradients_are_clipped_by():
    argv = ["--config=configs/crosssent_mosi.py", *SCRATCH, "--config.text.scratch.num_layers=2"]
    config = cli.parse([*argv, "--config.text.frozen=True"]).config
    model, how, batch = prepared(config)
    state = make_state(config, model, how, setup.init_params(model, how, jax.random.key(0), None))
    after, terms = jax.jit(train.train_step)(state, batch)
    moments = optax.tree_utils.tree_get(after.opt_state, "mu")
    assert all(not np.asarray(m).any() for m in jax.tree.leaves(moments["encoder"]))
    assert np.asarray(moments["output_dense"]["kernel"]).any()
    rest = float(optax.tree.norm({k: v for k, v in moments.items() if k != "encoder"}))
    assert rest == pytest.approx(0.1 * min(float(terms["grad_norm"]), config.optim.clip), rel=1e-4)


def traced(model, variant, *more):
    """(shapes of the parameters, names of the logged terms) of a shipped config."""
    config = cli.parse([f"--config=configs/{model}_mosi.py:{variant}", *SCRATCH, *more]).config
    module, how, batch = prepared(config)
    model, loss = config.model.to_dict(), config.loss.to_dict()
    objective = make_objective(model, loss, how.modalities, epochs=1, steps_per_epoch=1)

    def forward(batch):
        keys = dict(zip(("params", "dropout", "sample"), jax.random.split(jax.random.key(0), 3), strict=True))
        outputs, variables = module.init_with_output(keys, batch, train=True)
        return variables["params"], objective(outputs, batch, step=0, key=keys["sample"])[1]

    shapes, terms = jax.eval_shape(forward, batch)
    return shapes, set(terms)


@pytest.fixture(scope="module")
def full():
    """Parameters and terms of each model's full form."""
    return {model: traced(model, "") for model in ("crosssent", "tecafn", "mulg", "amsgfn")}


@pytest.mark.parametrize(("model", "variant"), VARIANTS)
def test_every_variant_traces_and_differs_from_the_full_model(model, variant, full):
    shapes, terms = traced(model, variant)
    gone = GONE[model].get(variant)
    if gone is not None:
        assert full[model][1] - terms == gone
    lost = LOST[model].get(variant)
    if lost is not None:
        assert {name for name in full[model][0] if name not in shapes} == lost
    if model != "crosssent" and variant in ("audio_only", "vision_only", "no_text"):
        assert "encoder" not in shapes
    assert gone is not None or lost is not None or variant in ELSE


# What an ablation takes from the loss, and from the parameters.
GONE = {
    "crosssent": {"no_mpr": {"mpr"}, "no_eioi": {"eioi"}, "mse_only": {"mpr", "eioi"}},
    "tecafn": {
        "no_ta": {"contrast_audio"},
        "no_tv": {"contrast_vision"},
        "no_tccon": {"contrast_audio", "contrast_vision"},
        "no_bicon": {"bicon"},
        "no_tap": {"pair_audio", "replaced_audio", "candidates_audio"},
        "no_tvp": {"pair_vision", "replaced_vision", "candidates_vision"},
        "no_ap": {f"{t}_{m}" for t in ("pair", "replaced", "candidates") for m in ("audio", "vision")},
        "no_vision": {"bicon", *(f"{t}_vision" for t in ("contrast", "pair", "replaced", "candidates"))},
    },
    "mulg": {},
    "amsgfn": {"no_ccam": {"align"}, "no_cor": {"cor"}, "no_vision": {"share_vision"}},
}
LOST = {
    "crosssent": {"no_gmra": {"gmra"}},
    "tecafn": {
        "no_ta": {"stage1_audio_projection"},
        "no_tccon": {f"stage1_{m}_projection" for m in ("text", "audio", "vision")},
        "no_bicon": {"stage2_audio_projection", "stage2_vision_projection"},
        "no_tap": {"pair_audio"},
        "no_lstm": {"audio_lstm", "vision_lstm"},
    },
    "mulg": {"no_cross_modal": {"cross_modal_attention"}},
    "amsgfn": {
        "no_ccam": {"align_text", "align_audio", "align_vision"},
        "no_cor": {"cor_text", "cor_audio", "cor_vision"},
        "no_dmgf": {"fusion_layers"},
        "no_tb": {"transformer_block"},
    },
}
# Variants that change how something is computed: their own models' tests look at what they do.
ELSE = {
    "no_key_embeddings", "no_hard_ta", "no_hard_tv", "no_hard", "audio_centred", "vision_centred",
    "printed_residual", "self_attention", "no_cross_modal_self_attention", "pre_ln", "residual_dual",
    "bilinear", "flax_gru", "no_positions", "t_oriented", "v_oriented", "a_oriented", "balance", "gumbel",
    "balance_gumbel", "text_only", "audio_only", "vision_only", "no_vision", "no_audio", "no_text",
}  # fmt: skip


def test_results_hold_every_metric_of_the_corpus(tiny_overrides, tmp_path):
    workdir = tmp_path / "run"
    results = run.train_and_evaluate(config_with(tiny_overrides), workdir)
    on_disk = json.loads((workdir / "results.json").read_text())
    rng = np.random.default_rng(0)
    keys = {"clips", *metrics.evaluate("mosi", rng.normal(size=20), rng.normal(size=20))}
    for split in ("valid", "test"):
        assert set(on_disk[split]) == keys
        rows = (workdir / f"predictions_{split}.csv").read_text().splitlines()
        assert rows[0] == "id,label,prediction"
        y, p = np.array([[float(v) for v in row.split(",")[1:]] for row in rows[1:]]).T
        assert on_disk[split]["mae"] == pytest.approx(np.mean(np.abs(y - p)), abs=1e-5)
    assert on_disk["data"] == str(tmp_path / "words")
    assert on_disk["seed"] == 3
    assert on_disk["parameters"] == sum(leaf.size for leaf in leaves(workdir))
    assert on_disk["wall_seconds"] > 0
    assert results["best_epoch"] == on_disk["best_epoch"]
    assert Path(workdir / "environment.json").exists()


def test_golden_first_step(tiny_overrides, tmp_path):
    """The very first loss and gradient: data order, tokens, alignment, initialisation and dropout in one."""
    run.train_and_evaluate(config_with(tiny_overrides), tmp_path / "run")
    first = lines(tmp_path / "run")[0]
    assert first["loss"] == pytest.approx(1.21586, rel=1e-3)
    assert first["grad_norm"] == pytest.approx(38.7657, rel=1e-3)


@pytest.mark.parametrize(("overrides", "expected"), [([], 3), (["--config.data.seed=11"], 11)])
def test_the_order_of_batches_can_have_a_seed_of_its_own(
    tiny_overrides, tmp_path, monkeypatch, overrides, expected
):
    """Runs of several seeds can share a plan, and with it shapes and clips of each step."""

    class Planned(Exception):
        pass

    def plan(*args, seed, **kwargs):
        raise Planned(seed)

    monkeypatch.setattr(train, "BatchPlan", plan)
    with pytest.raises(Planned) as planned:
        run.train_and_evaluate(config_with([*tiny_overrides, *overrides]), tmp_path / "run")
    assert planned.value.args == (expected,)
