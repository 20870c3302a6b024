"""MAG-BERT: the gate against NumPy, and where it stands in the encoder."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.models.fields import Misfit
from msa_jax.models.mag_bert import MAG, MAGBERT
from msa_jax.text import Encoder, EncoderConfig
from tests.layers.doubles import dense_numpy, double, draw

ENCODER = EncoderConfig(
    family="bert",
    vocab_size=30,
    hidden_size=8,
    num_layers=2,
    num_heads=2,
    intermediate_size=8,
    max_positions=12,
    hidden_dropout=0.0,
    attention_dropout=0.0,
)
D, T = 8, 6


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


def make(**fields):
    return MAGBERT(encoder=Encoder(ENCODER), **fields)


@pytest.fixture
def batch():
    """Three texts; audio and vision lie beside the words, not beside [CLS] and [SEP]."""
    rng = np.random.default_rng(0)
    mask = np.arange(T) < np.array([[6], [4], [3]])
    inner = mask & (np.arange(T) > 0) & np.roll(mask, -1, axis=1)
    inner[:, -1] = False
    out = {"text": np.where(mask, rng.integers(1, 30, (3, T)), 0).astype(np.int32), "text_mask": mask}
    for m, width in (("audio", 4), ("vision", 3)):
        out[m], out[f"{m}_mask"] = rng.normal(size=(3, T, width)).astype(np.float32), inner
    return {**out, "mask": np.ones(3, bool)}


@pytest.mark.parametrize("beta", [1e-3, 6.0, 1e3])
def test_the_gate_is_the_papers(beta):
    """And a shift is at most beta times as long as the state."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5, T, D)).astype(np.float32) * rng.uniform(0.1, 3, (5, T, 1)).astype(np.float32)
    rows = {m: rng.normal(size=(5, T, n)).astype(np.float32) for m, n in (("audio", 4), ("vision", 3))}
    gate = functools.partial(MAG(beta=beta).apply, train=False, dtype=jnp.float32)
    shapes = jax.eval_shape(lambda: MAG().init(jax.random.key(0), z, rows, train=False, dtype=jnp.float32))
    params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes["params"])
    out, extras = gate({"params": params}, z, rows)
    p, h = double(params), 0.0
    for m, x in rows.items():
        weight = np.maximum(dense_numpy(np.concatenate([x, z], -1), p[f"{m}_gate"]), 0)
        h = h + weight * dense_numpy(x, p[f"{m}_dense"])
    length = np.linalg.norm(np.float64(z), axis=-1)
    ratio = length / (np.linalg.norm(h, axis=-1) + 1e-6)
    alpha = np.minimum(beta * ratio, 1)
    assert {1e-3: np.all(alpha < 1), 6.0: 0.2 < np.mean(alpha < 1) < 0.8, 1e3: np.all(alpha == 1)}[beta]
    np.testing.assert_allclose(extras["alpha"], alpha, rtol=1e-4)
    np.testing.assert_allclose(extras["shift"], alpha[..., None] * h, rtol=1e-4, atol=1e-4)
    assert np.all(np.linalg.norm(extras["shift"], axis=-1) <= 1.001 * beta * length)
    x = z + alpha[..., None] * h
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(out, x * p["norm"]["scale"] + p["norm"]["bias"], rtol=1e-3, atol=1e-4)


def test_the_simpler_forms_are_a_sum_and_one_layer():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2, T, D)).astype(np.float32)
    rows = {m: rng.normal(size=(2, T, n)).astype(np.float32) for m, n in (("audio", 4), ("vision", 3))}
    for form in ("addition", "concatenation"):
        gate = MAG(form=form)
        shapes = jax.eval_shape(
            lambda g=gate: g.init(jax.random.key(0), z, rows, train=False, dtype="float32")
        )
        params = jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), shapes["params"])
        out, _ = gate.apply({"params": params}, z, rows, train=False, dtype="float32")
        p = double(params)
        x = z + sum(dense_numpy(x, p[f"{m}_dense"]) for m, x in rows.items() if form == "addition")
        if form == "concatenation":
            x = dense_numpy(np.concatenate([z, *rows.values()], -1), p["joined"])
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(out, x * p["norm"]["scale"] + p["norm"]["bias"], rtol=1e-3, atol=1e-4)


def test_a_shift_of_zeros_and_a_state_of_zeros_have_finite_gradients():
    rows = {"audio": jnp.zeros((1, 2, 4))}
    z = jnp.stack([jnp.ones(D), jnp.zeros(D)])[None]

    def total(params, z, rows):
        out, _ = MAG().apply({"params": params}, z, rows, train=False, dtype=jnp.float32)
        return (out @ jnp.arange(D)).sum()

    shapes = jax.eval_shape(lambda: MAG().init(jax.random.key(0), z, rows, train=False, dtype=jnp.float32))
    for value in (0.0, 0.3):  # 0: the gate is shut, and so is what it lets through
        params = jax.tree.map(lambda x, v=value: jnp.full(x.shape, v), shapes["params"])
        gradients = jax.grad(total, argnums=(0, 1, 2))(params, z, rows)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradients))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_gate_stands_before_the_layer_that_the_field_names(batch, layer):
    """Layer 2, of an encoder with two, is its output."""
    model = make(layer=layer)
    params = draw(model, batch)
    rows = {m: np.where(batch[f"{m}_mask"][..., None], batch[m], 0) for m in ("audio", "vision")}
    gate = functools.partial(MAG().apply, {"params": params["mag"]}, train=False, dtype=jnp.float32)
    encoded = Encoder(ENCODER).apply(
        {"params": params["encoder"]},
        batch["text"],
        batch["text_mask"],
        hooks={layer - 1: lambda z: gate(z, rows)[0]},
    )
    p = double(params)
    pooled = np.tanh(dense_numpy(np.float64(encoded.last_hidden_state[:, 0]), p["pooler"]))
    out = apply(model, params, batch)
    np.testing.assert_allclose(out["fused"], pooled, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        out["prediction"], dense_numpy(pooled, p["head"]["output_dense"])[:, 0], rtol=1e-4, atol=1e-5
    )
    others = (apply(make(layer=k), params, batch)["prediction"] for k in range(3) if k != layer)
    assert all(np.abs(other - out["prediction"]).max() > 1e-3 for other in others)
    with pytest.raises(Misfit, match="layer: 3, but the encoder has 2 layers"):
        make(layer=3).check(max_length=T)


def test_a_layer_beside_every_layer_is_refused():
    with pytest.raises(Misfit, match=r"layer: 1, but model\.every_layer has a gate before each"):
        make(layer=1, every_layer=True).check(max_length=T)


def test_before_every_layer_stands_a_gate_of_its_own(batch):
    model = make(every_layer=True)
    params = draw(model, batch)
    assert {name for name in params if name.startswith("mag")} == {"mag_0", "mag_1"}
    rows = {m: np.where(batch[f"{m}_mask"][..., None], batch[m], 0) for m in ("audio", "vision")}

    def moved(k, z):
        return MAG().apply({"params": params[f"mag_{k}"]}, z, rows, train=False, dtype=jnp.float32)[0]

    encoded = Encoder(ENCODER).apply(
        {"params": params["encoder"]},
        batch["text"],
        batch["text_mask"],
        hooks={k - 1: functools.partial(moved, k) for k in range(2)},
    )
    p = double(params)
    pooled = np.tanh(dense_numpy(np.float64(encoded.last_hidden_state[:, 0]), p["pooler"]))
    np.testing.assert_allclose(apply(model, params, batch)["fused"], pooled, rtol=1e-4, atol=1e-5)
    alone = apply(make(), {**params, "mag": params["mag_0"]}, batch)["fused"]
    assert np.abs(alone - pooled).max() > 1e-3


def test_without_audio_and_vision_there_is_the_encoder_alone(batch):
    model = make(modalities=("text",))
    params = draw(model, batch)
    assert set(params) == {"encoder", "pooler", "head"}
    assert set(apply(model, params, batch)) == {"prediction", "fused"}
    silent = {**batch, "audio": 0 * batch["audio"], "vision": 0 * batch["vision"]}
    np.testing.assert_array_equal(
        apply(model, params, silent)["prediction"], apply(model, params, batch)["prediction"]
    )
    assert "mag" in draw(make(modalities=("text", "audio")), batch)
    assert {k for k in draw(make(modalities=("text", "audio")), batch)["mag"] if "vision" in k} == set()


def test_what_stands_beside_tokens_without_features_does_not_count(batch):
    params = draw(make(), batch)
    other = dict(batch)
    for m in ("audio", "vision"):
        other[m] = np.where(batch[f"{m}_mask"][..., None], batch[m], 9.0).astype(np.float32)
    score = apply(make(), params, batch)["prediction"]
    np.testing.assert_array_equal(apply(make(), params, other)["prediction"], score)
    shifted = apply(make(), params, {**batch, "audio": batch["audio"] + 1})["prediction"]
    assert np.abs(shifted - score).max() > 1e-3


def test_a_frozen_encoder_has_no_dropout_and_what_is_around_it_does(batch):
    noisy = Encoder(dataclasses.replace(ENCODER, hidden_dropout=0.5))
    still = MAGBERT(encoder=noisy, frozen=True, mag=MAG(dropout=0.0), dropout=0.0)
    params = draw(still, batch)
    plain = apply(still, params, batch)["prediction"]
    np.testing.assert_allclose(apply(still, params, batch, True)["prediction"], plain, rtol=1e-5, atol=1e-6)
    for fields in ({"frozen": False}, {"mag": MAG(dropout=0.5)}, {"dropout": 0.5}):
        dropped = apply(still.clone(**fields), params, batch, True)["prediction"]
        assert np.abs(dropped - plain).max() > 1e-4


def test_classes_have_logits(batch):
    model = make(outputs=(4, 2))
    assert apply(model, draw(model, batch), batch)["logits"].shape == (3, 4, 2)
