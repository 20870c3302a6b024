"""MFN: what it hands to the memory fusion network, what it makes of that, and its ablations."""

import functools

import jax
import numpy as np
import pytest

from msa_jax.models.mfn import MFN, VARIANTS
from tests.layers.doubles import dense_numpy, double, draw
from tests.layers.test_memory_fusion import fusion_numpy, relu

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {key.removeprefix("model."): value for key, value in VARIANTS["tiny"].items()}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(4, bool)}
    for m, width in WIDTHS.items():
        out[m] = rng.normal(size=(4, 6, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(6)[None] < np.array([[6], [2], [1], [4]])
    out["audio_mask"][0, 3:] = False  # the audio of a clip may end before its text
    return out


@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_the_score_is_two_layers_over_last_states_and_memory(batch, outputs):
    model = MFN(outputs=outputs, **SMALL)
    params = draw(model, batch)
    out, p = apply(model, params, batch), double(params)
    for b in range(4):
        streams = {m: (batch[m][b].astype(float), batch[f"{m}_mask"][b]) for m in WIDTHS}
        hidden, memory, _ = fusion_numpy(p["fusion"], streams)
        fused = np.concatenate([*hidden.values(), memory])
        np.testing.assert_allclose(out["fused"][b], fused, atol=1e-5)
        x = dense_numpy(relu(dense_numpy(fused, p["output_hidden_dense"])), p["head"]["output_dense"])
        found = out["logits"][b] if outputs else out["prediction"][b]
        np.testing.assert_allclose(np.ravel(found), x, atol=1e-5)
        assert found.shape == outputs


def test_a_modality_that_is_left_out_has_no_parameters(batch):
    params = draw(MFN(modalities=("text", "vision"), **SMALL), batch)
    whole = draw(MFN(**SMALL), batch)
    assert set(whole["fusion"]) - set(params["fusion"]) == {"audio_lstm"}
    width = 2 * (SMALL["text_hidden"] + SMALL["vision_hidden"])
    assert params["fusion"]["attention_in"]["kernel"].shape == (width, 8)


def test_padding_and_the_rest_of_the_batch_change_nothing_unless_padding_counts(batch):
    params = draw(MFN(**SMALL), batch)
    first = {k: v[3:] for k, v in batch.items()}
    for m in WIDTHS:
        first[m] = np.pad(first[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        first[f"{m}_mask"] = np.pad(first[f"{m}_mask"], ((0, 0), (0, 3)))
    for count, holds in ((False, True), (True, False)):
        model = MFN(count_padding=count, **SMALL)
        whole, alone = (apply(model, params, b)["prediction"][-1] for b in (batch, first))
        assert bool(abs(whole - alone) < 1e-5) is holds


def test_the_ablations_leave_out_what_they_name(batch):
    full = draw(MFN(**SMALL), batch)
    without = {**SMALL, "memory": 0}
    none = draw(MFN(**without), batch)
    assert set(none["fusion"]) == {"text_lstm", "audio_lstm", "vision_lstm"}
    assert "attention" not in apply(MFN(**without), none, batch)
    now = draw(MFN(delta=False, **SMALL), batch)
    assert len(full["fusion"]["attended_in"]["kernel"]) == 2 * len(now["fusion"]["attended_in"]["kernel"])


def test_dropout_on_the_layer_before_the_head_is_its_field(batch):
    still = dict.fromkeys(("attention_dropout", "retain_dropout", "update_dropout"), 0.0)
    params = draw(MFN(**SMALL), batch)
    kept, dropped = (
        apply(MFN(**SMALL, **still, output_dropout=rate), params, batch, True) for rate in (0.0, 0.9999)
    )
    np.testing.assert_allclose(dropped["fused"], kept["fused"], atol=1e-6)
    np.testing.assert_allclose(dropped["prediction"], params["head"]["output_dense"]["bias"][0], atol=1e-6)
    assert np.abs(kept["prediction"] - dropped["prediction"]).max() > 1e-2
