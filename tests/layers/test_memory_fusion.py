"""Memory fusion network against its equations in NumPy, clip by clip and step by step."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from msa_jax.layers.memory_fusion import MemoryFusion, Network
from tests.layers.doubles import dense_numpy, double, draw, lstm_all_numpy, sigmoid

HIDDEN = {"text": 4, "audio": 2, "vision": 3}
WIDTHS = {"text": 5, "audio": 3, "vision": 2}
LAYER = MemoryFusion(tuple(HIDDEN.values()), 5, Network(3), Network(4), Network(6), Network(2))
# By clip the steps of text, audio, vision: whole; with holes, not the same ones; one modality alone; nothing.
MASKS = {
    "text": [[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
    "audio": [[1, 1, 1, 1, 1], [0, 1, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]],
    "vision": [[1, 1, 1, 1, 1], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
}


def relu(x):
    return np.maximum(x, 0)


def fusion_numpy(p, streams, delta=True):
    """(last hidden states by modality, memory, attention by step) of one clip."""
    hidden, before, after = {}, [], []
    for m, (x, valid) in streams.items():
        states, own = lstm_all_numpy(p[f"{m}_lstm"], x, valid)
        hidden[m] = states[-1]
        before.append(own[:-1])
        after.append(own[1:])
    either = np.any([valid for _, valid in streams.values()], axis=0)
    cells = np.concatenate([*before, *after] if delta else after, axis=-1)
    proposals = len(p["proposal_out"]["kernel"])
    retains = len(p["memory"]["retain_kernel"])
    memory, attention = np.zeros(len(p["memory"]["memory_kernel"])), []
    for t in range(len(either)):
        scores = dense_numpy(relu(dense_numpy(cells[t], p["attention_in"])), p["attention_out"])
        weights = np.exp(scores) / np.exp(scores).sum()
        attention.append(weights)
        if not either[t]:
            continue
        inner = dense_numpy(weights * cells[t], p["attended_in"])
        proposal = np.tanh(dense_numpy(relu(inner[:proposals]), p["proposal_out"]))
        gates = relu(inner[proposals:] + memory @ p["memory"]["memory_kernel"])
        retain = sigmoid(gates[:retains] @ p["memory"]["retain_kernel"] + p["memory"]["retain_bias"])
        update = sigmoid(gates[retains:] @ p["memory"]["update_kernel"] + p["memory"]["update_bias"])
        memory = retain * memory + update * proposal
    return hidden, memory, np.array(attention)


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(layer, params, streams, train=False):
    streams = {m: streams[m] for m in HIDDEN if m in streams}  # jit has sorted them
    return layer.apply({"params": params}, streams, train=train, rngs={"dropout": jax.random.key(1)})


@pytest.fixture
def streams():
    rng = np.random.default_rng(0)
    return {
        m: (rng.normal(size=(4, 5, width)).astype(np.float32), np.array(MASKS[m], bool))
        for m, width in WIDTHS.items()
    }


@pytest.mark.parametrize("delta", [True, False])
@pytest.mark.parametrize("used", [("text", "audio", "vision"), ("audio",)])
def test_the_layer_equals_its_equations(streams, used, delta):
    layer = dataclasses.replace(LAYER, delta=delta, hidden=tuple(HIDDEN[m] for m in used))
    streams = {m: streams[m] for m in used}
    params = draw(layer, streams)
    hidden, memory, attention = apply(layer, params, streams)
    for b in range(4):
        own = {m: (x[b].astype(float), mask[b]) for m, (x, mask) in streams.items()}
        states, remembered, weights = fusion_numpy(double(params), own, delta)
        for m in used:
            np.testing.assert_allclose(hidden[m][b], states[m], atol=1e-5)
        np.testing.assert_allclose(memory[b], remembered, atol=1e-5)
        np.testing.assert_allclose(attention[b], weights, atol=1e-5)


def test_what_does_not_count_changes_nothing_and_has_no_gradient(streams):
    params = draw(LAYER, streams)

    def total(params, streams):
        hidden, memory, _ = LAYER.apply({"params": params}, streams, train=False)
        return sum((x**2).sum() for x in (*hidden.values(), memory))

    masks = {m: mask for m, (_, mask) in streams.items()}
    other = {m: (np.where(masks[m][..., None], x, 1e4), masks[m]) for m, (x, _) in streams.items()}
    run = jax.jit(
        jax.value_and_grad(lambda p, xs: total(p, {m: (xs[m], masks[m]) for m in HIDDEN}), argnums=(0, 1))
    )
    value, (of_params, of_inputs) = run(params, {m: x for m, (x, _) in streams.items()})
    np.testing.assert_allclose(run(params, {m: x for m, (x, _) in other.items()})[0], value, rtol=1e-6)
    assert all(np.isfinite(g).all() and np.abs(g).max() > 0 for g in jax.tree.leaves(of_params))
    for m, mask in masks.items():
        np.testing.assert_array_equal(of_inputs[m][~mask], 0)
        assert np.abs(of_inputs[m][mask]).max() > 0


def test_without_a_memory_only_the_lstms_are_left(streams):
    layer = dataclasses.replace(LAYER, memory=0)
    params = draw(layer, streams)
    assert set(params) == {f"{m}_lstm" for m in streams}
    hidden, memory, attention = apply(layer, params, streams)
    assert memory.shape == (4, 0)
    assert attention is None
    full = draw(LAYER, streams) | params
    for m, state in apply(LAYER, full, streams)[0].items():
        np.testing.assert_allclose(hidden[m], state, atol=1e-6)


@pytest.mark.parametrize("name", ["attention", "proposal", "retain", "update"])
def test_each_network_drops_what_is_inside_of_it(streams, name):
    """At a rate of nearly 1 what a network gives is its second layer's bias, as with a first layer of 0."""
    params = draw(LAYER, streams)
    size = getattr(LAYER, name).hidden
    layer = dataclasses.replace(LAYER, **{name: Network(size, 0.9999)})
    places = {"proposal": slice(0, 4), "retain": slice(4, 10), "update": slice(10, 12)}
    silent = jax.tree.map(np.array, params)
    if name == "attention":
        silent["attention_in"] = jax.tree.map(np.zeros_like, silent["attention_in"])
    else:
        silent["attended_in"]["kernel"][:, places[name]] = 0
        silent["attended_in"]["bias"][places[name]] = 0
    if name in ("retain", "update"):
        place = slice(places[name].start - 4, places[name].stop - 4)
        silent["memory"]["memory_kernel"][:, place] = 0
    dropped = apply(layer, params, streams, True)[1]
    np.testing.assert_allclose(dropped, apply(LAYER, silent, streams)[1], atol=1e-6)
    assert np.abs(dropped - apply(layer, params, streams)[1]).max() > 1e-3


def test_dropout_draws_anew_at_every_step(streams):
    """One clip whose steps are alike would have the same attention at all of them from the third on."""
    layer = dataclasses.replace(LAYER, attention=Network(64, 0.5), delta=False)
    params = draw(layer, streams)
    for m in HIDDEN:  # gates that forget all at once: every cell is that of the step alone
        params[f"{m}_lstm"]["input"]["bias"][HIDDEN[m] : 2 * HIDDEN[m]] = -1e4
        params[f"{m}_lstm"]["recurrent_kernel"][:] = 0
    alike = {m: (np.ones_like(x), np.ones_like(mask)) for m, (x, mask) in streams.items()}
    still, drawn = (apply(layer, params, alike, train)[2][0] for train in (False, True))
    np.testing.assert_allclose(still, still[:1].repeat(5, 0), atol=1e-6)
    assert all(np.abs(drawn[t] - drawn[t + 1]).max() > 1e-4 for t in range(4))
