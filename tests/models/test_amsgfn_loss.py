"""Loss of AMSGFN: which terms it has, and over which clips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.corpora import MODALITIES
from msa_jax.models.amsgfn import AMSGFN, Loss

B, D = 6, 4
LOSS = Loss(align_weight=0.3, temperature=0.07, cor_weight=0.2, cor_temperature=0.5, balance_weight=0.7)


@pytest.fixture
def outputs():
    rng = np.random.default_rng(1)
    vectors = [f"{name}_{m}" for m in MODALITIES for name in ("align", "cor_prediction", "cor_target")]
    out = {name: rng.normal(size=(B, D)) / 2 for name in vectors} | {"prediction": rng.normal(size=B)}
    scores = np.abs(rng.normal(size=(B, 3)))
    out |= {"scores": scores / scores.sum(1, keepdims=True), "dominant": np.array([0, 0, 1, 2, 0, 0])}
    return {k: jnp.asarray(v) for k, v in out.items()}


def call(loss, outputs, batch, **fields):
    """(total, values by name) for a model with these fields."""
    objective = loss.objective(AMSGFN(**fields), epochs=3, steps_per_epoch=5)
    total, values = objective(outputs, batch, step=jnp.asarray(0), key=jax.random.key(0))
    return float(total), {k: float(v) for k, v in values.items()}


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def info_nce(q, k, rows, temperature):
    """Mean over the rows of minus the log softmax of the diagonal."""
    scores = unit(q)[rows] @ unit(k)[rows].T / temperature
    return np.mean(np.log(np.exp(scores).sum(1)) - np.diag(scores))


def test_it_aligns_three_pairs_and_keeps_the_choice_in_balance(outputs, batch):
    total, terms = call(LOSS, outputs, batch)
    kept = {"text": [0, 1, 2, 3, 4], "audio": [0, 2, 3, 4], "vision": [0, 1, 3, 4]}
    align = 0.0
    for m, n in (("text", "audio"), ("text", "vision"), ("audio", "vision")):
        rows = sorted(set(kept[m]) & set(kept[n]))
        a, b = outputs[f"align_{m}"], outputs[f"align_{n}"]
        align += info_nce(a, b, rows, 0.07) + info_nce(b, a, rows, 0.07)
    np.testing.assert_allclose(terms["align"], align, rtol=1e-4)
    cor = [
        info_nce(outputs[f"cor_prediction_{m}"], outputs[f"cor_target_{m}"], kept[m], 0.5) for m in MODALITIES
    ]
    np.testing.assert_allclose(terms["cor"], sum(cor), rtol=1e-4)
    mean = np.asarray(outputs["scores"])[[0, 3, 4]].mean(0)  # clips that have all three
    np.testing.assert_allclose(terms["balance"], np.sum(mean * np.log(3 * mean)), rtol=1e-4)
    np.testing.assert_allclose([terms[f"share_{m}"] for m in MODALITIES], [3 / 5, 1 / 5, 1 / 5], rtol=1e-6)
    error = np.mean((np.asarray(outputs["prediction"]) - batch["label"])[:5] ** 2)
    np.testing.assert_allclose(terms["mse"], error, rtol=1e-5)
    weighed = 0.3 * terms["align"] + 0.2 * terms["cor"] + 0.7 * terms["balance"]
    np.testing.assert_allclose(total, terms["mse"] + weighed, rtol=1e-5)


def test_equal_scores_are_in_balance(outputs, batch):
    even = {**outputs, "scores": jnp.full((B, 3), 1 / 3)}
    assert abs(call(LOSS, even, batch)[1]["balance"]) < 1e-6


def test_what_the_model_lacks_has_no_term(outputs, batch):
    def terms(loss=LOSS, **fields):
        return set(call(loss, outputs, batch, **fields)[1])

    shares = {f"share_{m}" for m in MODALITIES}
    assert terms() == {"mse", "align", "cor", "balance"} | shares
    assert terms(Loss()) == {"mse", "align", "cor"} | shares
    assert terms(align=False) == {"mse", "cor", "balance"} | shares
    assert terms(cor=False) == {"mse", "align", "balance"} | shares
    assert terms(modalities=("audio", "vision")) == {
        "mse", "align", "cor", "balance", "share_audio", "share_vision"
    }  # fmt: skip
    assert terms(modalities=("audio",)) == {"mse", "cor", "share_audio"}  # nothing to align or to choose


def test_a_batch_without_any_pair_of_modalities_is_finite(outputs, batch):
    nothing = {**batch, "audio_mask": np.zeros((B, 3), bool), "vision_mask": np.zeros((B, 3), bool)}
    objective = LOSS.objective(AMSGFN(), epochs=1, steps_per_epoch=1)
    floats = {k: v for k, v in outputs.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    rest = {k: v for k, v in outputs.items() if k not in floats}
    value, grads = jax.value_and_grad(
        lambda f: objective({**f, **rest}, nothing, step=0, key=jax.random.key(0))[0]
    )(floats)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in grads.values())
