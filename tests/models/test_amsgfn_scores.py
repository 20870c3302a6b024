"""AMSGFN's scores: what they see and weigh, what noise may change, and what a choice costs."""

import dataclasses
import functools
import importlib.util
import sys
from pathlib import Path
from unittest.mock import Mock

import jax
import numpy as np
import pytest

from msa_jax.config import base, flatten, load
from msa_jax.corpora import MODALITIES
from msa_jax.data import synthetic
from msa_jax.data.synthetic import oracle
from msa_jax.data.synthetic.posterior import LABELS
from msa_jax.models._amsgfn_scores import deviation_over_time, relative_scores
from msa_jax.models.amsgfn import AMSGFN
from msa_jax.run import Run

B, L, D = 6, 5, 8
WIDTHS = {"text": 6, "audio": 5, "vision": 4}
# Quick to compile: what lies behind the scores is the plain average of the weighted streams.
TINY = {"width": D, "heads": 2, "align_width": 3, "fusion": False, "transformer_block": False}


def make_batch(rows=B, seed=0):
    """Clips of 1 to L steps with all three modalities."""
    rng = np.random.default_rng(seed)
    mask = np.arange(L) < rng.integers(1, L + 1, rows)[:, None]
    batch = {f"{m}_mask": mask.copy() for m in MODALITIES}
    for m, width in WIDTHS.items():
        batch[m] = rng.normal(size=(rows, L, width)).astype(np.float32)
    return batch


def make_model(**fields):
    return AMSGFN(**{**TINY, **fields})


def init(model, batch, seed=0, size=0.5):
    """Random parameters, away from the special values of the start."""
    shapes = jax.eval_shape(lambda b: model.init(jax.random.key(0), b, train=False)["params"], batch)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: (size * rng.normal(size=leaf.shape)).astype(np.float32), shapes)


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False, key=0):
    """Outputs; training with the noise of a key."""
    rngs = {"sample": jax.random.key(key), "dropout": jax.random.key(0)}
    return model.apply({"params": params}, batch, train=train, rngs=rngs)


def test_noise_changes_the_choice_and_not_the_scores():
    batch = make_batch(rows=60)
    model = make_model(gumbel=3.0, dropout=0.0, attention_dropout=0.0)
    params = init(model, batch)
    still, *noisy = (
        apply(model, params, batch, train, key) for train, key in ((False, 0), (True, 0), (True, 1))
    )
    for out in noisy:
        np.testing.assert_array_equal(out["scores"], still["scores"])
        moved = np.asarray(out["dominant"] != still["dominant"])
        assert 10 < moved.sum() < 60
        # Where the same modality leads, nothing at all has changed.
        same = ~moved
        np.testing.assert_allclose(out["prediction"][same], still["prediction"][same], rtol=1e-5, atol=1e-6)
        assert np.abs(out["prediction"] - still["prediction"])[moved].max() > 1e-3
    assert (noisy[0]["dominant"] != noisy[1]["dominant"]).any()


def test_the_chance_of_the_noisy_choice_is_the_softmax_of_the_scores():
    """The Gumbel trick, at scale 1: over many draws each modality leads as often as its score says."""
    batch = {k: v[:1].repeat(4000, 0) for k, v in make_batch().items()}
    model = make_model(gumbel=1.0, dropout=0.0, attention_dropout=0.0)
    out = apply(model, init(model, batch), batch, True)
    share = np.bincount(out["dominant"], minlength=3) / 4000
    np.testing.assert_allclose(share, out["scores"][0], atol=0.03)
    assert 0.05 < share.max() < 0.95


def test_the_weights_are_1_on_average_over_the_modalities_that_a_clip_has():
    rng = np.random.default_rng(0)
    present = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], bool)
    scores = np.where(present, rng.uniform(0.1, 1, present.shape), 0)
    scores = (scores / np.maximum(scores.sum(1, keepdims=True), 1e-9)).astype(np.float32)
    scores[3] = 1 / 3  # as `present_scores` gives them where all are missing
    weights = np.asarray(relative_scores(scores, present))
    for b in range(3):
        np.testing.assert_allclose(weights[b, present[b]].mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(weights[0], 3 * scores[0], rtol=1e-6)
    np.testing.assert_array_equal(weights[2], [0, 1, 0])
    np.testing.assert_array_equal(weights[3], 0)


def test_a_clip_of_text_alone_is_weighed_by_1_whatever_branches_the_model_has():
    """The model of three modalities scores it as the model of text with the same weights does."""
    batch = make_batch()
    for m in ("audio", "vision"):
        batch[f"{m}_mask"][:] = False
    model, alone = make_model(modality_embedding=False), make_model(modalities=("text",))
    params = init(model, batch)
    kept = {k: v for k, v in params.items() if k in init(alone, batch)}
    whole, part = apply(model, params, batch), apply(alone, kept, batch)
    for name in ("prediction", "fused", "scores", "dominant"):
        np.testing.assert_allclose(whole[name], part[name], rtol=1e-5, atol=1e-6, err_msg=name)
    # As printed, a score of 1 weighs by 1 too: for clips of one modality the two forms are one.
    printed = make_model(modality_embedding=False, score_scale=False)
    np.testing.assert_allclose(apply(printed, params, batch)["prediction"], whole["prediction"], rtol=1e-5)


def dense(x, p):
    return x @ p["kernel"] + p["bias"]


def test_the_deviation_equals_numpy_s_over_the_valid_steps():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 7, 3)).astype(np.float32) * 4 + 9
    mask = rng.random((5, 7)) < 0.6
    mask[3], mask[4] = False, np.arange(7) == 2
    x[2, :, 1] = -1.5
    found = deviation_over_time(np.where(mask[..., None], x, 1e6), mask)
    expected = [x[b, mask[b]].astype(np.float64).std(0) if mask[b].any() else np.zeros(3) for b in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[3:], 0)


def test_the_deviation_has_a_finite_slope_for_constant_empty_and_single_steps():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=(1, 6, 2)), np.full((4, 6, 2), 0.7)]).astype(np.float32)
    mask = np.ones((5, 6), bool)
    mask[2], mask[3] = False, np.arange(6) == 1
    slope = jax.grad(lambda x: deviation_over_time(x, mask).sum())(x)
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[2:4], 0)
    apart = x[0].astype(np.float64) - x[0].mean(0)
    np.testing.assert_allclose(slope[0], apart / (6 * x[0].std(0)), rtol=1e-4, atol=1e-5)


def test_with_spread_the_scores_equal_numpy_on_means_and_deviations():
    batch = make_batch()
    batch["vision_mask"][2] = False
    for spread in (False, True):
        model = make_model(score_spread=spread)
        params = init(model, batch)
        assert params["score_in"]["kernel"].shape == ((6 if spread else 3) * D, D)
        out = apply(model, params, batch)
        for b in range(B):
            means, deviations, present = [], [], []
            for m in MODALITIES:
                rows = dense(batch[m][b, batch[f"{m}_mask"][b]].astype(np.float64), params[f"{m}_projection"])
                present.append(len(rows) > 0)
                means.append(rows.mean(0) if len(rows) else np.zeros(D))
                deviations.append(rows.std(0) if len(rows) else np.zeros(D))
            seen = np.concatenate(means + deviations if spread else means)
            logits = dense(np.maximum(dense(seen, params["score_in"]), 0), params["score_out"])
            expected = np.where(present, np.exp(logits - logits.max()), 0)
            np.testing.assert_allclose(out["scores"][b], expected / expected.sum(), rtol=1e-4, atol=1e-5)


def test_only_with_spread_do_the_scores_tell_a_noisy_stream_from_a_clear_one():
    batch = make_batch()
    for m in MODALITIES:
        batch[f"{m}_mask"][:] = True
    middle = batch["audio"].mean(1, keepdims=True)
    noisy = {**batch, "audio": middle + 5 * (batch["audio"] - middle)}
    for spread in (False, True):
        model = make_model(score_spread=spread)
        params = init(model, batch)
        moved = np.abs(apply(model, params, batch)["scores"] - apply(model, params, noisy)["scores"])
        assert bool(moved.max() > 0.01) is spread
        assert spread or moved.max() < 1e-5


def test_with_spread_all_gradients_are_finite_and_what_is_masked_changes_nothing():
    batch = make_batch()
    for m in MODALITIES:
        batch[f"{m}_mask"][0], batch[f"{m}_mask"][1] = False, np.arange(L) == 0
        batch[m][2] = batch[m][2, :1]  # the same row at every step
    batch["audio_mask"][3] = False
    model = make_model(score_spread=True)
    params = init(model, batch)

    def loss(params, batch):
        return (model.apply({"params": params}, batch, train=False)["prediction"] ** 2).sum()

    dirty = {**batch, **{m: np.where(batch[f"{m}_mask"][..., None], batch[m], 1e5) for m in MODALITIES}}
    dirty = {k: v.astype(batch[k].dtype) for k, v in dirty.items()}
    slopes = [jax.jit(jax.grad(loss))(params, b) for b in (batch, dirty)]
    for clean, other in zip(*map(jax.tree.leaves, slopes), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, other)
    assert np.abs(slopes[0]["score_in"]["kernel"][3 * D :]).max() > 1e-6


def test_the_variant_score_spread_sets_the_field_and_nothing_else():
    plain = flatten(load("configs/amsgfn_mosi.py")[0])
    spread = flatten(load("configs/amsgfn_mosi.py:score_spread")[0])
    assert {k: v for k, v in spread.items() if plain[k] != v} == {"model.score_spread": True}


@pytest.fixture
def dominance(monkeypatch):
    """The module experiments/amsgfn_dominance.py."""
    folder = Path(__file__).parents[2] / "experiments"
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location("amsgfn_dominance", folder / "amsgfn_dominance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("table", None)


def test_regret_is_what_the_chosen_modality_tells_less_than_the_best(dominance):
    errors = np.array([[0.2, 0.5, 0.9], [0.7, 0.4, 0.6], [0.3, 0.3, 1.0]])
    rng = np.random.default_rng(0)
    for chosen in ([0, 1, 0], [2, 0, 1], rng.integers(0, 3, 3)):
        expected = sum(errors[n][m] - min(errors[n]) for n, m in enumerate(chosen)) / 3
        assert dominance.regret(errors, np.array(chosen)) == pytest.approx(expected, abs=1e-12)
    assert dominance.regret(errors, errors.argmin(1)) == 0
    assert dominance.regret(errors, np.array([0, 1, 1])) == 0  # of two that tell the same, either will do
    # Always text costs (0 + 0.3 + 0) / 3, always audio (0.3 + 0 + 0) / 3: a tie goes to the first.
    modality, cost = dominance.regret_of_one(errors)
    assert modality == 0
    assert cost == pytest.approx(0.1)


def test_the_errors_by_modality_are_the_oracle_s_and_their_least_is_its_choice():
    made = dataclasses.replace(synthetic.PRESETS["synthetic_dominance"], counts=(4, 4, 12))
    examples = [e for e in synthetic.generate(made)[0] if e.split == "test"]
    errors = oracle.errors_by_modality(made, examples)
    for k, m in enumerate(MODALITIES):
        alone = {f"use_{other}": other == m for other in MODALITIES}
        label = oracle.posterior(made, examples, **alone).label
        best = [min((p * np.abs(LABELS - y)).sum() for y in LABELS) for p in label]
        np.testing.assert_allclose(errors[:, k], best, rtol=1e-6)
    np.testing.assert_array_equal(errors.argmin(1), oracle.least_uncertain(made, examples))
    assert len(set(errors.argmin(1))) > 1


def test_a_run_can_be_led_by_each_modality_in_turn(dominance, monkeypatch):
    """Predictions under the run's own choice are those of the run itself."""
    model, batch = make_model(), make_batch()
    params = init(model, batch)
    batch |= {"index": np.arange(B), "mask": np.ones(B, bool)}
    run = Run(Path(), base.common(), model, {"params": params}, Mock())
    monkeypatch.setattr(Run, "_batches", lambda self, split, share=None: [batch])
    monkeypatch.setattr(Run, "_check", lambda self, split: None)  # no clips: the batch is the split
    monkeypatch.setattr(dominance, "load", lambda folder: run)
    run.preparation.scan.return_value = [None] * B
    led, (dominant, scores) = (f(Path(), []) for f in (dominance.led_by_each, dominance.chosen))
    assert led.shape == scores.shape == (B, 3)
    np.testing.assert_allclose(led[np.arange(B), dominant], run.score([None] * B), rtol=1e-5)
    assert np.abs(led - led[:, :1]).max() > 1e-3
