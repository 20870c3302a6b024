"""Recurrences against NumPy and Flax's own cell, and what the mask must do."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.recurrent import LSTM, BiLSTM, lstm_scan, scan_time
from tests.layers.doubles import double, lstm_numpy
from tests.layers.test_attention import shake

MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)


@pytest.fixture
def case():
    x = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    params = shake(LSTM(3).init(jax.random.key(0), x, MASK)["params"])
    return params, x


def test_lstm_equals_its_equations(case):
    params, x = case
    out = LSTM(3).apply({"params": params}, x, MASK)
    for b in range(3):
        np.testing.assert_allclose(out[b], lstm_numpy(double(params), x[b].astype(float), MASK[b]), atol=1e-5)


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


@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 1e-6), (jnp.bfloat16, 3e-2)])
def test_the_backward_pass_written_out_is_that_of_the_scan(dtype, tolerance):
    """Of both outputs, with holes, against the transpose that JAX makes of the plain recurrence."""
    rng = np.random.default_rng(1)
    gates, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 5, 12), (3, 12)))
    weights = rng.normal(size=(2, 3, 5, 3)).astype(np.float32)

    def plain(gates, kernel):
        def step(state, now):
            i, f, g, o = jnp.split(now + state[1] @ kernel, 4, axis=-1)
            cell = nn.sigmoid(f + 1.0) * state[0] + nn.sigmoid(i) * jnp.tanh(g)
            return cell, nn.sigmoid(o) * jnp.tanh(cell)

        _, (cell, hidden) = scan_time(step, (jnp.zeros((3, 3)), jnp.zeros((3, 3))), gates, MASK)
        return hidden, cell

    def gradient(recurrence):
        def total(gates, kernel):
            hidden, cell = recurrence(gates, kernel)
            return (weights[0] * hidden).sum() + (weights[1] * cell).sum()

        return jax.jit(jax.grad(total, argnums=(0, 1)))(gates, kernel)

    def written_out(gates, kernel):
        return lstm_scan(dtype, gates, kernel, jnp.asarray(MASK))

    found, expected = gradient(written_out), gradient(plain)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        assert np.abs(other).max() > 0.5
        np.testing.assert_allclose(one, other, atol=tolerance * np.abs(other).max())


def test_the_backward_direction_reads_the_clip_from_its_end(case):
    _, x = case
    params = shake(BiLSTM(3).init(jax.random.key(0), x, MASK)["params"])
    states, ends = BiLSTM(3).apply({"params": params}, x, MASK)
    forward, backward = (double(params[name]) for name in ("forward", "backward"))
    for b in range(3):
        there = lstm_numpy(forward, x[b], MASK[b])
        back = lstm_numpy(backward, x[b][::-1], MASK[b][::-1])[::-1]
        np.testing.assert_allclose(states[b], np.concatenate([there, back], axis=-1), atol=1e-5)
        valid = np.flatnonzero(MASK[b])
        last, first = (there[valid[-1]], back[valid[0]]) if len(valid) else (np.zeros(3), np.zeros(3))
        np.testing.assert_allclose(ends[b], np.concatenate([last, first]), atol=1e-5)


def test_the_cells_of_an_invalid_step_are_those_before_it(case):
    params, x = case
    hidden, cells = LSTM(3, cells=True).apply({"params": params}, x, MASK)
    np.testing.assert_array_equal(hidden, LSTM(3).apply({"params": params}, x, MASK))
    np.testing.assert_array_equal(cells[1, 2], cells[1, 1])
    np.testing.assert_array_equal(cells[1, 0], 0)
    assert np.abs(cells[1, 3] - cells[1, 1]).max() > 1e-3
