"""Transformer against NumPy, layer by layer, though it runs as one scan."""

import jax
import numpy as np
import pytest

from msa_jax.layers.transformer import Transformer, sinusoids, with_positions
from tests.layers.doubles import dense_numpy, double
from tests.layers.test_attention import attention_numpy, shake

MASK = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)


def norm_numpy(p, x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def transformer_numpy(params, x, source, valid, heads, residual_on_norm=False):
    """One clip: pre-LN layers and a last norm; TeCaFN's eqs. 2-3 and 11-12 where `residual_on_norm`."""
    layers = len(params["layers"]["ffn_norm"]["scale"])
    weights = []
    for k in range(layers):
        p = jax.tree.map(lambda leaf, k=k: leaf[k], params["layers"])
        normed = norm_numpy(p["attention_norm"], x)
        keys = normed if source is None else norm_numpy(p["source_norm"], source)
        mixed, w = attention_numpy(p["attention"], normed, keys, valid, heads)
        weights.append(w)
        x = (normed if residual_on_norm else x) + mixed
        normed = norm_numpy(p["ffn_norm"], x)
        out = dense_numpy(np.maximum(dense_numpy(normed, p["ffn_in"]), 0), p["ffn_out"])
        x = (normed if residual_on_norm else x) + out
    return norm_numpy(params["norm"], x), np.stack(weights)


def positions_numpy(x):
    """x sqrt(D) + sines, then cosines, of step / 10000^(i / (D/2 - 1))."""
    x = np.array(x, np.float64) * np.sqrt(x.shape[1])
    half = (x.shape[1] + 1) // 2
    for t in range(len(x)):
        for i in range(half):
            angle = t * np.exp(-np.log(10000) * i / max(half - 1, 1))
            x[t, i] += np.sin(angle)
            if half + i < x.shape[1]:
                x[t, half + i] += np.cos(angle)
    return x


def make(crossed, **fields):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 3 if crossed else 4, 6)).astype(np.float32)
    source = rng.normal(size=(3, 4, 5)).astype(np.float32) if crossed else None
    model = Transformer(layers=2, heads=2, ffn_width=8, **fields)
    params = shake(model.init(jax.random.key(0), x, source, MASK, train=False)["params"])
    return model, params, x, source


@pytest.mark.parametrize("residual_on_norm", [False, True])
@pytest.mark.parametrize("crossed", [False, True])
def test_equals_its_equations(crossed, residual_on_norm):
    model, params, x, source = make(crossed, residual_on_norm=residual_on_norm)
    out, weights = model.apply({"params": params}, x, source, MASK, train=False)
    assert weights.shape == (2, 3, 2, x.shape[1], 4)
    for b in range(3):
        y, w = transformer_numpy(
            double(params),
            x[b].astype(float),
            None if source is None else source[b].astype(float),
            MASK[b],
            2,
            residual_on_norm,
        )
        np.testing.assert_allclose(out[b], y, atol=2e-5)
        np.testing.assert_allclose(weights[:, b], w, atol=1e-5)


def test_layers_start_with_parameters_of_their_own_and_draw_dropout_of_their_own():
    model, _, x, source = make(True, dropout=0.5, attention_dropout=0.0)
    params = model.init(jax.random.key(0), x, source, MASK, train=False)["params"]
    kernel = params["layers"]["ffn_in"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).min() > 0
    # Two layers alike, on a stream of zeros with a feed-forward network that gives all ones: what dropout
    # lets through is what differs. One mask for both layers would leave 0 and twice the kept value only.
    ones = jax.tree.map(np.zeros_like, params)
    ones["layers"]["ffn_out"]["bias"] += 1.0
    ones["norm"]["scale"] += 1.0
    many = np.zeros((3, 3, 6), np.float32)
    out, _ = model.apply(
        {"params": ones}, many, source, MASK, train=True, rngs={"dropout": jax.random.key(0)}
    )
    levels = {len(np.unique(np.round(row, 4))) for row in np.asarray(out).reshape(-1, 6)}
    assert 3 in levels, levels


def test_masked_steps_change_no_valid_one():
    model, params, x, _ = make(False)
    run = jax.jit(lambda x: model.apply({"params": params}, x, None, MASK, train=False)[0])
    other = run(np.where(MASK[..., None], x, 1e3).astype(np.float32))
    np.testing.assert_array_equal(np.asarray(run(x))[MASK], np.asarray(other)[MASK])


def test_dropout_depends_on_the_key_in_training_only():
    model, params, x, source = make(True)

    def run(key, train):
        return model.apply(
            {"params": params}, x, source, MASK, train=train, rngs={"dropout": jax.random.key(key)}
        )[0]

    np.testing.assert_array_equal(run(0, True), run(0, True))
    np.testing.assert_array_equal(run(0, False), run(1, False))
    assert np.abs(run(0, True) - run(1, True)).max() > 1e-2


@pytest.mark.parametrize("width", [1, 2, 5, 6])
def test_positions(width):
    x = np.random.default_rng(0).normal(size=(2, 7, width)).astype(np.float32)
    scaled, plain = (np.asarray(with_positions(x, scale=s)) for s in (True, False))
    for b in range(2):
        np.testing.assert_allclose(scaled[b], positions_numpy(x[b]), atol=1e-5)
    np.testing.assert_allclose(plain - x, np.broadcast_to(sinusoids(7, width), x.shape), atol=1e-6)
    # A longer clip does not move the positions of a shorter one.
    np.testing.assert_array_equal(sinusoids(9, width)[:7], sinusoids(7, width))
