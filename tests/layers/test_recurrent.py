"""Recurrences against NumPy and Flax's own cell, and what the mask must do."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.recurrent import LSTM, scan_time
from tests.layers.test_attention import dense_numpy, float64, shake

MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)


def lstm_numpy(p, x, valid):
    """One clip: the state stands still on invalid steps, and what is read there is 0."""

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    H = len(p["recurrent_kernel"])
    cell, hidden, out = np.zeros(H), np.zeros(H), np.zeros((len(x), H))
    for t in np.flatnonzero(valid):
        i, f, g, o = np.split(dense_numpy(p["input"], x[t]) + hidden @ p["recurrent_kernel"], 4)
        cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        out[t] = hidden
    return out


@pytest.fixture
def case():
    x = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    params = shake(LSTM(3).init(jax.random.key(0), x, MASK)["params"])
    return params, x


def test_lstm_equals_its_equations(case):
    params, x = case
    out = LSTM(3).apply({"params": params}, x, MASK)
    for b in range(3):
        np.testing.assert_allclose(
            out[b], lstm_numpy(float64(params), x[b].astype(float), MASK[b]), atol=1e-5
        )


def test_lstm_equals_flax_s_cell(case):
    params, x = case
    # Flax: one product per gate, biases on the recurrent side, no + 1 on the forget gate.
    gates = {}
    for k, name in enumerate("ifgo"):
        part = slice(3 * k, 3 * k + 3)
        gates[f"i{name}"] = {"kernel": params["input"]["kernel"][:, part]}
        gates[f"h{name}"] = {
            "kernel": params["recurrent_kernel"][:, part],
            "bias": params["input"]["bias"][part] + (name == "f"),
        }
    expected = nn.RNN(nn.OptimizedLSTMCell(3)).apply({"params": {"cell": gates}}, x)
    np.testing.assert_allclose(
        LSTM(3).apply({"params": params}, x, np.ones((3, 5), bool)), expected, atol=1e-5
    )


def test_masked_steps_change_nothing_and_gradients_are_finite(case):
    params, x = case

    def total(params, x):
        out = LSTM(3).apply({"params": params}, x, MASK)
        return jnp.sum(out**2), out

    run = jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))
    (_, out), (grads, grad_x) = run(params, x)
    (_, other), _ = run(params, np.where(MASK[..., None], x, 1e4).astype(np.float32))
    np.testing.assert_array_equal(out, other)
    np.testing.assert_array_equal(out[~MASK], 0)
    np.testing.assert_array_equal(grad_x[~MASK], 0)
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in jax.tree.leaves(grads))


def test_scan_time_hands_the_state_on_over_holes():
    x = np.arange(1.0, 16.0, dtype=np.float32).reshape(3, 5)
    last, states = scan_time(lambda s, x: {"sum": s["sum"] + x["x"]}, {"sum": jnp.zeros(3)}, {"x": x}, MASK)
    np.testing.assert_array_equal(states["sum"], np.cumsum(x * MASK, axis=1))
    np.testing.assert_array_equal(last["sum"], (x * MASK).sum(1))
