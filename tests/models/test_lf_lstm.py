"""LF-LSTM against its equations in NumPy, and what its fields do."""

import functools

import jax
import numpy as np
import pytest

from msa_jax.models._streams import Front
from msa_jax.models.lf_lstm import LFLSTM
from tests.layers.doubles import dense_numpy, double, draw, lstm_numpy

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {"hidden": 6, "width": 4}
LENGTHS = {"text": [6, 2, 1, 4], "audio": [9, 1, 3, 0], "vision": [2, 7, 5, 4]}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


@pytest.fixture
def batch():
    """Four clips with a time line for each modality; the last has no audio."""
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(4, bool)}
    for m, width in WIDTHS.items():
        longest = max(LENGTHS[m])
        out[m] = rng.normal(size=(4, longest, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(longest)[None] < np.array(LENGTHS[m])[:, None]
    return out


def lf_lstm_numpy(p, batch, b):
    """One clip: (the last states side by side, what the head takes, what it gives)."""
    states = []
    for m in WIDTHS:
        x = batch[m][b, : LENGTHS[m][b]].astype(float)
        all_states = lstm_numpy(p[f"{m}_lstm"], x, np.ones(len(x)))
        states.append(all_states[-1] if len(x) else np.zeros(6))
    fused = np.maximum(dense_numpy(np.concatenate(states), p["dense"]), 0)
    return states, fused, dense_numpy(fused, p["head"]["output_dense"])


@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_it_equals_its_equations(batch, outputs):
    model = LFLSTM(outputs=outputs, **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    found = out["logits"] if outputs else out["prediction"]
    assert found.shape == (4, *outputs)
    assert np.std(found, axis=0).min() > 1e-3  # the ReLUs are not 0 for every clip
    for b in range(4):
        states, fused, score = lf_lstm_numpy(double(params), batch, b)
        for m, state in zip(WIDTHS, states, strict=True):
            np.testing.assert_allclose(out[f"hidden_{m}"][b], state, atol=1e-5)
        np.testing.assert_allclose(out["fused"][b], fused, atol=1e-5)
        np.testing.assert_allclose(np.ravel(found[b]), score, atol=1e-5)


def test_padding_and_the_rest_of_the_batch_change_nothing(batch):
    model = LFLSTM(**SMALL)
    params = draw(model, batch)
    alone = {k: v[1:2] for k, v in batch.items()}
    for m in WIDTHS:
        alone[m] = np.pad(alone[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        alone[f"{m}_mask"] = np.pad(alone[f"{m}_mask"], ((0, 0), (0, 3)))
    whole, found = (apply(model, params, b)["prediction"] for b in (batch, alone))
    np.testing.assert_allclose(found, whole[1:2], atol=1e-5)


def test_a_modality_that_is_left_out_has_no_lstm(batch):
    params = draw(LFLSTM(modalities=("text", "vision"), **SMALL), batch)
    assert set(params) == {"text_lstm", "vision_lstm", "dense", "head"}
    assert params["dense"]["kernel"].shape == (2 * 6, 4)


def test_dropout_leaves_the_states_and_changes_the_score(batch):
    model = LFLSTM(dropout=0.9, **SMALL)
    params = draw(model, batch)
    kept, dropped = (apply(model, params, batch, train) for train in (False, True))
    for m in WIDTHS:
        np.testing.assert_allclose(dropped[f"hidden_{m}"], kept[f"hidden_{m}"], atol=1e-6)
    assert np.abs(dropped["prediction"] - kept["prediction"]).max() > 1e-3


def test_the_default_sizes_give_the_count_that_the_file_s_docstring_states():
    batch = {"mask": np.ones(1, bool)}
    for m, width in {"text": 300, "audio": 74, "vision": 47}.items():
        batch |= {m: np.zeros((1, 2, width), np.float32), f"{m}_mask": np.ones((1, 2), bool)}
    params = draw(LFLSTM(), batch)
    assert sum(x.size for x in jax.tree.leaves(params)) == 362_113


def test_with_the_front_each_lstm_reads_what_its_modality_attended_to(batch):
    model = LFLSTM(front=Front(layers=1, width=4, heads=2), **SMALL)
    params = draw(model, batch)
    assert params["audio_lstm"]["input"]["kernel"].shape == (2 * 4, 24)
    out = apply(model, params, batch)
    changed = {**batch, "text": batch["text"] + 1}
    assert np.abs(apply(model, params, changed)["hidden_vision"] - out["hidden_vision"]).max() > 1e-4
