"""Loss of TeCaFN: which terms it has, and over which clips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.corpora import MODALITIES
from msa_jax.models.tecafn import Loss, TeCaFN

B, D = 6, 4
LOSS = Loss(contrast_weight=0.2, pair_weight=0.4, temperature=0.1)


@pytest.fixture
def outputs():
    rng = np.random.default_rng(1)
    vectors = [f"{stage}_{m}" for m in MODALITIES for stage in ("stage1", "stage2")]
    out = {name: rng.normal(size=(B, D)) / 2 for name in vectors} | {"prediction": rng.normal(size=B)}
    for m in MODALITIES:
        out |= {f"pair_logits_{m}": rng.normal(size=(B, 2)), f"pair_label_{m}": np.array([1, 0, 1, 0, 1, 1])}
        out[f"candidates_{m}"] = np.array([3, 0, 2, 3, 1, 0])
    return {k: jnp.asarray(v) for k, v in out.items()}


def call(loss, outputs, batch, **fields):
    """(total, values by name) for a model with these fields."""
    objective = loss.objective(TeCaFN(**fields), epochs=3, steps_per_epoch=5)
    total, values = objective(outputs, batch, step=jnp.asarray(0), key=jax.random.key(0))
    return float(total), {k: float(v) for k, v in values.items()}


def info_nce(q, k, rows, temperature):
    """Mean over the rows of minus the log softmax of the diagonal."""
    q, k = (np.asarray(a, np.float64)[rows] for a in (q, k))
    scores = q @ k.T / temperature
    return np.mean(np.log(np.exp(scores).sum(1)) - np.diag(scores))


def test_it_is_the_sum_of_its_weighed_terms_over_the_clips_that_have_both_modalities(outputs, batch):
    total, terms = call(LOSS, outputs, batch)
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


def test_what_the_model_lacks_has_no_term(outputs, batch):
    def terms(**fields):
        return set(call(LOSS, outputs, batch, **fields)[1])

    assert terms(contrast=("vision",), replace=()) == {"l1", "contrast_vision", "bicon"}
    gate = {f"{name}_text" for name in ("pair", "replaced", "candidates")}
    assert terms(core="audio", modalities=("audio", "text")) == {"l1", "contrast_text"} | gate
    assert terms(modalities=("vision",)) == {"l1"}
    assert "bicon" not in terms(bicon=False)
    assert not {"pair_audio", "replaced_audio", "candidates_audio"} & terms(p=0.0)


def test_a_batch_without_any_pair_of_modalities_is_finite(outputs, batch):
    nothing = {**batch, "audio_mask": np.zeros((B, 3), bool), "vision_mask": np.zeros((B, 3), bool)}
    objective = LOSS.objective(TeCaFN(), epochs=1, steps_per_epoch=1)
    floats = {k: v for k, v in outputs.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    rest = {k: v for k, v in outputs.items() if k not in floats}
    value, grads = jax.value_and_grad(
        lambda f: objective({**f, **rest}, nothing, step=0, key=jax.random.key(0))[0]
    )(floats)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in grads.values())
