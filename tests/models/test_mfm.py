"""MFM: codes, factors and what is generated of them, against NumPy; its losses; its ablations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.models import _mfm_parts as parts
from msa_jax.models.mfm import MFM, VARIANTS, Loss
from tests.layers.doubles import dense_numpy, double, draw, lstm_all_numpy, sigmoid
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
    out["text_mask"][3] = [False, True, False, True, True, False]  # it need not begin at the first step
    return out


def factor_numpy(code, p):
    return relu(dense_numpy(relu(dense_numpy(code, p["dense_0"])), p["dense_1"]))


def decoder_numpy(factors, p, valid):
    """One clip; None on an invalid step. Both kernels are apart: what is read, and the state."""
    read, hidden, cell = factors, np.zeros_like(factors), np.zeros_like(factors)
    out = []
    for counts in valid:
        if not counts:
            out.append(None)
            continue
        gates = read @ p["input_kernel"] + hidden @ p["recurrent_kernel"] + p["bias"]
        i, f, g, o = np.split(gates, 4)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
        read = hidden = sigmoid(o) * np.tanh(cell)
        out.append(dense_numpy(hidden, p["dense"]))
    return out


@pytest.mark.parametrize("generated_from", ["both", "discriminative", "own"])
@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_the_model_equals_its_equations(batch, outputs, generated_from):
    model = MFM(outputs=outputs, generated_from=generated_from, **SMALL)
    params = draw(model, batch)
    out, p = apply(model, params, batch), double(params)
    for b in range(4):
        streams = {m: (batch[m][b].astype(float), batch[f"{m}_mask"][b]) for m in WIDTHS}
        hidden, memory, _ = fusion_numpy(p["fusion"], streams)
        code = dense_numpy(np.concatenate([*hidden.values(), memory]), p["code_dense"])
        np.testing.assert_allclose(out["code_all"][b], code, atol=1e-5)
        factor = factor_numpy(code, p["factor_layers"])
        x = dense_numpy(relu(dense_numpy(factor, p["output_hidden_dense"])), p["head"]["output_dense"])
        found = out["logits"][b] if outputs else out["prediction"][b]
        np.testing.assert_allclose(np.ravel(found), x, atol=1e-5)
        for m, (x, valid) in streams.items():
            factors = [] if generated_from == "own" else [factor]
            if generated_from != "discriminative":
                state = lstm_all_numpy(p[f"{m}_coder"]["lstm"], x, valid)[0][-1]
                own = dense_numpy(state, p[f"{m}_coder"]["dense"])
                np.testing.assert_allclose(out[f"code_{m}"][b], own, atol=1e-5)
                factors.append(factor_numpy(own, p[f"{m}_factor_layers"]))
            generated = decoder_numpy(np.concatenate(factors), p[f"{m}_decoder"], valid)
            for t in np.flatnonzero(valid):
                np.testing.assert_allclose(out[f"generated_{m}"][b, t], generated[t], atol=1e-5)
                error = np.mean((generated[t] - x[t]) ** 2)
                np.testing.assert_allclose(out[f"error_{m}"][b, t], error, atol=1e-4)


def test_the_discrepancy_is_three_means_of_kernels_over_the_rows_that_count():
    rng = np.random.default_rng(0)
    codes, noise = (rng.normal(size=(5, 4)).astype(np.float32) for _ in range(2))
    rows = np.array([True, False, True, True, False])
    codes[~rows] = np.nan

    def mean(xs, ys):
        return np.mean([np.exp(-np.mean((x - y) ** 2) / 4) for x in xs for y in ys])

    z, g = codes[rows].astype(float), noise[rows].astype(float)
    expected = mean(z, z) + mean(g, g) - 2 * mean(g, z)
    value, gradient = jax.value_and_grad(lambda x: parts.mmd(x, noise, rows))(codes)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_array_equal(gradient[~rows], 0)
    assert np.abs(gradient[rows]).min() > 0
    assert parts.mmd(codes, noise, np.zeros(5, bool)) == 0
    np.testing.assert_allclose(parts.mmd(noise, noise, rows), 0, atol=1e-7)


def terms_of(model, **weights):
    return {term.name: term for term in Loss(**weights).terms(model)}


def test_generation_counts_the_valid_steps_of_clips_alone_unless_padding_counts(batch):
    rng = np.random.default_rng(1)
    error = rng.uniform(1, 2, (4, 6)).astype(np.float32)
    batch["mask"] = np.array([True, True, True, False])
    key = jax.random.key(0)
    for m in WIDTHS:
        found = {f"error_{m}": error}
        valid = batch[f"{m}_mask"] & batch["mask"][:, None]
        value = terms_of(MFM(**SMALL))[f"generation_{m}"].value(found, batch, key)
        np.testing.assert_allclose(value, error[valid].mean(), rtol=1e-5)
        value = terms_of(MFM(count_padding=True, **SMALL))[f"generation_{m}"].value(found, batch, key)
        np.testing.assert_allclose(value, error[:3].mean(), rtol=1e-5)


def test_the_terms_are_those_of_what_is_generated_with_their_weights():
    weights = {m: term.weight for m, term in terms_of(MFM(**SMALL)).items()}
    assert weights == {
        "generation_text": 0.5,
        "generation_audio": 0.01,
        "generation_vision": 0.5,
        "mmd": 100.0,
    }
    assert set(terms_of(MFM(modalities=("text", "audio"), **SMALL))) == {
        "generation_text",
        "generation_audio",
        "mmd",
    }
    assert set(terms_of(MFM(generated_from="nothing", **SMALL))) == {"mmd"}


def test_the_discrepancy_draws_anew_for_each_key_and_leaves_out_codes_of_nothing(batch):
    model = MFM(**SMALL)
    params = draw(model, batch)
    batch["audio_mask"][1] = False
    out = apply(model, params, batch)
    value = terms_of(model)["mmd"].value
    one = value(out, batch, jax.random.key(0))
    assert abs(one - value(out, batch, jax.random.key(1))) > 1e-7
    changed = {**out, "code_audio": out["code_audio"].at[1].set(50.0)}
    assert value(changed, batch, jax.random.key(0)) == one
    for name in ("code_all", "code_text", "code_audio", "code_vision"):
        assert value({**out, name: out[name].at[0].add(5.0)}, batch, jax.random.key(0)) != one


def test_rows_that_pad_the_batch_change_no_term(batch):
    model = MFM(**SMALL)
    params = draw(model, batch)
    batch["mask"] = np.array([True, True, True, False])
    other = {k: v.copy() for k, v in batch.items()}
    for m in WIDTHS:
        other[m][3] += 3
    for name, term in terms_of(model).items():
        one, two = (term.value(apply(model, params, b), b, jax.random.key(0)) for b in (batch, other))
        np.testing.assert_allclose(one, two, rtol=1e-6, err_msg=name)


def test_what_is_left_out_has_no_parameters(batch):
    params = draw(MFM(modalities=("text", "vision"), **SMALL), batch)
    assert not any("audio" in name for name in {*params, *params["fusion"]})
    whole = set(draw(MFM(**SMALL), batch))
    generating = {f"{m}_{what}" for m in WIDTHS for what in ("coder", "factor_layers", "decoder")}
    assert generating < whole
    assert set(draw(MFM(generated_from="nothing", **SMALL), batch)) == whole - generating
    own = {name for name in generating if "decoder" not in name}
    assert set(draw(MFM(generated_from="discriminative", **SMALL), batch)) == whole - own
    assert set(draw(MFM(generated_from="own", **SMALL), batch)) == whole


def test_the_target_of_generation_has_no_gradient(batch):
    model = MFM(generated_from="discriminative", **SMALL)
    params = draw(model, batch)
    params["text_decoder"]["dense"]["kernel"][:] = 0  # what is generated depends on nothing

    def error(text):
        return apply(model, params, {**batch, "text": text})["error_text"].sum()

    np.testing.assert_array_equal(jax.grad(error)(jnp.asarray(batch["text"])), 0)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("factor_dropout", "factor_all"),
        *((f"{m}_factor_dropout", f"factor_{m}") for m in WIDTHS),
        ("output_dropout", "prediction"),
    ],
)
def test_each_dropout_reaches_what_it_names(batch, field, name):
    rates = {f"{n}_dropout": 0.0 for n in ("attention", "proposal", "retain", "update", "factor", "output")}
    rates |= {f"{m}_factor_dropout": 0.0 for m in WIDTHS}
    params = draw(MFM(**SMALL), batch)
    for place in (params["factor_layers"], params["output_hidden_dense"]):
        place = place.get("dense_0", place)
        place["bias"][:] = 3.0  # every unit is above 0, so that dropping shows
    for m in WIDTHS:
        params[f"{m}_factor_layers"]["dense_0"]["bias"][:] = 3.0
        params[f"{m}_factor_layers"]["dense_1"]["bias"][:] = 3.0
    params["factor_layers"]["dense_1"]["bias"][:] = 3.0
    kept, dropped = (
        apply(MFM(**{**SMALL, **rates, field: rate}), params, batch, True) for rate in (0.0, 0.9)
    )
    assert np.abs(kept[name] - dropped[name]).max() > 1e-3
