"""Which terms a model's loss has, over which clips, and how they are weighed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import losses
from msa_jax.corpora import MODALITIES

B, D = 6, 4
TECAFN = {
    "name": "tecafn", "core": "text", "contrast": MODALITIES, "replace": MODALITIES, "bicon": True, "p": 0.5,
}  # fmt: skip
TECAFN_LOSS = {"task": "l1", "contrast_weight": 0.2, "pair_weight": 0.4, "temperature": 0.1}
AMSGFN = {"name": "amsgfn", "align": True, "cor": True}
AMSGFN_LOSS = {
    "task": "mse", "align_weight": 0.3, "temperature": 0.07, "cor_weight": 0.2, "cor_temperature": 0.5,
    "balance_weight": 0.7,
}  # fmt: skip


@pytest.fixture
def batch():
    """Six rows: the last pads, the second has no audio, the third no vision."""
    rng = np.random.default_rng(0)
    out = {f"{m}_mask": np.ones((B, 3), bool) for m in MODALITIES}
    out["audio_mask"][1] = out["vision_mask"][2] = False
    for m in MODALITIES:
        out[f"{m}_mask"][5] = False
    return {**out, "mask": np.arange(B) < 5, "label": rng.uniform(-3, 3, B).astype(np.float32)}


@pytest.fixture
def outputs():
    rng = np.random.default_rng(1)
    vectors = [f"{p}_{m}" for m in MODALITIES for p in ("stage1", "stage2", "align", "cor_prediction")]
    vectors += [f"cor_target_{m}" for m in MODALITIES]
    out = {name: rng.normal(size=(B, D)) / 2 for name in vectors} | {"prediction": rng.normal(size=B)}
    for m in MODALITIES:
        out |= {f"pair_logits_{m}": rng.normal(size=(B, 2)), f"pair_label_{m}": np.array([1, 0, 1, 0, 1, 1])}
        out[f"candidates_{m}"] = np.array([3, 0, 2, 3, 1, 0])
    scores = np.abs(rng.normal(size=(B, 3)))
    out |= {"scores": scores / scores.sum(1, keepdims=True), "dominant": np.array([0, 0, 1, 2, 0, 0])}
    return {k: jnp.asarray(v) for k, v in out.items()}


def call(model, loss, outputs, batch, modalities=MODALITIES):
    objective = losses.make_objective(model, loss, modalities, epochs=3, steps_per_epoch=5)
    total, values = objective(outputs, batch, step=jnp.asarray(0), key=jax.random.key(0))
    return float(total), {k: float(v) for k, v in values.items()}


def info_nce(q, k, rows, temperature):
    """Mean over the rows of minus the log softmax of the diagonal."""
    q, k = (np.asarray(a, np.float64)[rows] for a in (q, k))
    scores = q @ k.T / temperature
    return np.mean(np.log(np.exp(scores).sum(1)) - np.diag(scores))


def test_tecafn_is_the_sum_of_its_weighed_terms_over_the_clips_that_have_both_modalities(outputs, batch):
    total, terms = call(TECAFN, TECAFN_LOSS, outputs, batch)
    rows = {"audio": [0, 2, 3, 4], "vision": [0, 1, 3, 4]}
    for m, kept in rows.items():
        expected = info_nce(outputs["stage1_text"], outputs[f"stage1_{m}"], kept, 0.1)
        np.testing.assert_allclose(terms[f"contrast_{m}"], expected, rtol=1e-5)
        logits, label = (np.asarray(outputs[f"pair_{x}_{m}"])[kept] for x in ("logits", "label"))
        chosen = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(kept)), label]
        np.testing.assert_allclose(terms[f"pair_{m}"], chosen.mean(), rtol=1e-5)
        np.testing.assert_allclose(terms[f"replaced_{m}"], np.mean(label == 0), rtol=1e-6)
        candidates = np.asarray(outputs[f"candidates_{m}"])[kept].mean()
        np.testing.assert_allclose(terms[f"candidates_{m}"], candidates, rtol=1e-6)
    first, second = outputs["stage2_audio"], outputs["stage2_vision"]
    both = [0, 3, 4]
    expected = info_nce(first, second, both, 0.1) + info_nce(second, first, both, 0.1)
    np.testing.assert_allclose(terms["bicon"], expected, rtol=1e-5)
    error = np.abs(np.asarray(outputs["prediction"]) - batch["label"])[:5].mean()
    np.testing.assert_allclose(terms["l1"], error, rtol=1e-5)
    contrasts = terms["contrast_audio"] + terms["contrast_vision"] + terms["bicon"]
    pairs = terms["pair_audio"] + terms["pair_vision"]
    np.testing.assert_allclose(total, terms["l1"] + 0.2 * contrasts + 0.4 * pairs, rtol=1e-5)


def test_what_tecafn_lacks_has_no_term(outputs, batch):
    _, terms = call({**TECAFN, "contrast": ("vision",), "replace": ()}, TECAFN_LOSS, outputs, batch)
    assert set(terms) == {"l1", "contrast_vision", "bicon"}
    _, terms = call({**TECAFN, "core": "audio"}, TECAFN_LOSS, outputs, batch, ("audio", "text"))
    assert set(terms) == {"l1", "contrast_text"} | {f"{t}_text" for t in ("pair", "replaced", "candidates")}
    assert set(call(TECAFN, TECAFN_LOSS, outputs, batch, ("vision",))[1]) == {"l1"}
    assert "pair_audio" not in call({**TECAFN, "p": 0.0}, TECAFN_LOSS, outputs, batch)[1]


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_amsgfn_aligns_three_pairs_and_keeps_the_choice_in_balance(outputs, batch):
    total, terms = call(AMSGFN, AMSGFN_LOSS, outputs, batch)
    kept = {"text": [0, 1, 2, 3, 4], "audio": [0, 2, 3, 4], "vision": [0, 1, 3, 4]}
    align = 0.0
    for m, n in (("text", "audio"), ("text", "vision"), ("audio", "vision")):
        rows = sorted(set(kept[m]) & set(kept[n]))
        a, b = (unit(outputs[f"align_{x}"]) for x in (m, n))
        align += info_nce(a, b, rows, 0.07) + info_nce(b, a, rows, 0.07)
    np.testing.assert_allclose(terms["align"], align, rtol=1e-4)
    cor = [
        info_nce(unit(outputs[f"cor_prediction_{m}"]), unit(outputs[f"cor_target_{m}"]), kept[m], 0.5)
        for m in MODALITIES
    ]
    np.testing.assert_allclose(terms["cor"], sum(cor), rtol=1e-4)
    mean = np.asarray(outputs["scores"])[[0, 3, 4]].mean(0)  # clips that have all three
    np.testing.assert_allclose(terms["balance"], np.sum(mean * np.log(3 * mean)), rtol=1e-4)
    np.testing.assert_allclose([terms[f"share_{m}"] for m in MODALITIES], [3 / 5, 1 / 5, 1 / 5], rtol=1e-6)
    weighed = 0.3 * terms["align"] + 0.2 * terms["cor"] + 0.7 * terms["balance"]
    np.testing.assert_allclose(total, terms["mse"] + weighed, rtol=1e-5)


def test_equal_scores_are_in_balance(outputs, batch):
    even = {**outputs, "scores": jnp.full((B, 3), 1 / 3)}
    assert abs(call(AMSGFN, AMSGFN_LOSS, even, batch)[1]["balance"]) < 1e-6


def test_a_batch_without_any_pair_of_modalities_is_finite(outputs, batch):
    nothing = {**batch, "audio_mask": np.zeros((B, 3), bool), "vision_mask": np.zeros((B, 3), bool)}
    for model, loss in ((TECAFN, TECAFN_LOSS), (AMSGFN, AMSGFN_LOSS)):

        def total(vectors, model=model, loss=loss):
            objective = losses.make_objective(model, loss, MODALITIES, epochs=1, steps_per_epoch=1)
            return objective(vectors, nothing, step=0, key=jax.random.key(0))[0]

        floats = {k: v for k, v in outputs.items() if jnp.issubdtype(v.dtype, jnp.floating)}
        rest = {k: v for k, v in outputs.items() if k not in floats}
        value, grads = jax.value_and_grad(lambda f, rest=rest: total({**f, **rest}))(floats)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in grads.values())


def test_classes_are_counted_over_clips_and_tasks():
    rng = np.random.default_rng(0)
    logits, label = rng.normal(size=(3, 4, 2)), rng.integers(0, 2, (3, 4)).astype(np.float32)
    batch = {"label": label, "mask": np.array([True, True, False])}
    total, terms = call({"name": "mulg"}, {"task": "cross_entropy"}, {"logits": jnp.asarray(logits)}, batch)
    chosen = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, label.astype(int)[..., None], -1)[..., 0]
    )
    np.testing.assert_allclose(total, chosen[:2].mean(), rtol=1e-5)
    assert set(terms) == {"cross_entropy"}
