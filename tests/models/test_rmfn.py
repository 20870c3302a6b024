"""RMFN against its equations in float64, one clip and one step at a time."""

import functools

import jax
import numpy as np
import pytest

from msa_jax.models._streams import Front
from msa_jax.models.rmfn import RMFN
from tests.layers.doubles import dense_numpy, double, draw, sigmoid

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {
    "text_hidden": 5,
    "audio_hidden": 4,
    "vision_hidden": 3,
    "cross_width": 4,
    "memory_hidden": 6,
    "fuse_width": 5,
    "summary_hidden": 7,
    "output_hidden": 12,
}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


@pytest.fixture
def batch():
    """Clips of ragged lengths; in the first, audio has no row on the third step, and no modality on the
    fourth."""
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(4, bool)}
    for m, width in WIDTHS.items():
        out[m] = rng.normal(size=(4, 6, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(6)[None] < np.array([[6], [2], [1], [4]])
        out[f"{m}_mask"][0, 3] = False
    out["audio_mask"][0, 2] = False
    return out


def cell_numpy(gates, cell):
    i, f, g, o = np.split(gates, 4)
    cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
    return cell, sigmoid(o) * np.tanh(cell)


def fusion_numpy(p, h, stages, highlight):
    """(z, attention by stage) of the states h of one step, stage by stage: highlight, then fuse."""

    def dense(x, name):
        return x @ p[f"{name}_kernel"] + p[f"{name}_bias"]

    attention, fused = [], []
    looked, looking = np.zeros_like(h), np.zeros_like(h)
    if highlight:
        memory = dense(np.maximum(dense(h, "memory_in"), 0), "memory_out")
    start = p["fuse_start"][0]
    state = np.zeros_like(start)
    for k in range(stages):
        chosen = h
        if highlight:
            # Of the first stage's inputs, which are 0, nothing but the bias is left.
            gates = dense(np.concatenate([looked, looking]), "highlight") if k else p["highlight_bias"]
            memory, looking = cell_numpy(gates, memory)
            looked = np.exp(looking) / np.exp(looking).sum()
            attention.append(looked)
            chosen = looked * h
        gates = dense(chosen, "fuse") + (state @ p["fuse_recurrent_kernel"] if k else 0)
        start, state = cell_numpy(gates, start)
        fused.append(state)
    z = np.tanh(dense(np.maximum(dense(np.concatenate(fused), "summary_in"), 0), "summary_out"))
    return z, attention


def forward_numpy(p, batch, row, stages, fusion, highlight):
    """(score, last z, attention by step and stage) of one clip."""
    hidden, cell = ({m: np.zeros(SMALL[f"{m}_hidden"]) for m in WIDTHS} for _ in range(2))
    z, attention, start = np.zeros(SMALL["cross_width"]), [], 0
    for t in range(6):
        seen, start = z, 0  # every LSTHM reads the z of the step before
        for m in WIDTHS:
            width = SMALL[f"{m}_hidden"]
            columns, start = slice(start, start + 4 * width), start + 4 * width
            if not batch[f"{m}_mask"][row, t]:
                continue
            gates = dense_numpy(batch[m][row, t], p[f"{m}_input"]) + hidden[m] @ p[f"{m}_recurrent_kernel"]
            gates = gates + (seen @ p["cross_kernel"][:, columns] if fusion else 0)
            cell[m], hidden[m] = cell_numpy(gates, cell[m])
        if fusion:
            new, weights = fusion_numpy(p["fusion"], np.concatenate(list(hidden.values())), stages, highlight)
            attention.append(weights)
            z = new if any(batch[f"{m}_mask"][row, t] for m in WIDTHS) else z
    fused = np.concatenate([*hidden.values(), *([z] if fusion else [])])
    score = dense_numpy(np.maximum(dense_numpy(fused, p["output"]), 0), p["head"]["output_dense"])
    return score[0], z, np.array(attention)


@pytest.mark.parametrize(
    ("stages", "fusion", "highlight"),
    [(1, True, True), (3, True, True), (2, True, False), (3, False, True)],
)
def test_each_clip_is_what_the_equations_give(batch, stages, fusion, highlight):
    model = RMFN(**SMALL, stages=stages, fusion=fusion, highlight=highlight)
    params = draw(model, batch)
    out = apply(model, params, batch)
    assert ("cross" in out, "highlight" in out) == (fusion, fusion and highlight)
    for row in range(4):
        score, z, attention = forward_numpy(double(params), batch, row, stages, fusion, highlight)
        np.testing.assert_allclose(out["prediction"][row], score, rtol=1e-4, atol=1e-5)
        if fusion:
            np.testing.assert_allclose(out["cross"][row], z, rtol=1e-4, atol=1e-5)
        if fusion and highlight:
            np.testing.assert_allclose(out["highlight"][row], attention, rtol=1e-4, atol=1e-5)
            assert np.abs(np.diff(attention, axis=1)).max(initial=1 if stages == 1 else 0) > 1e-3


def test_padding_and_the_rest_of_the_batch_change_nothing(batch):
    model = RMFN(**SMALL)
    params = draw(model, batch)
    whole = apply(model, params, batch)["prediction"]
    one = {k: v[1:2] for k, v in batch.items()}
    for m in WIDTHS:
        one[m] = np.pad(one[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        one[f"{m}_mask"] = np.pad(one[f"{m}_mask"], ((0, 0), (0, 3)))
    np.testing.assert_allclose(apply(model, params, one)["prediction"], whole[1:2], atol=1e-5)


@pytest.mark.parametrize(("fusion", "layers"), [(False, 0), (True, 0), (False, 1)])
def test_a_modality_hears_of_another_by_the_fusion_or_by_the_front_alone(batch, fusion, layers):
    model = RMFN(**SMALL, fusion=fusion, front=Front(layers=layers, width=8, heads=2))
    params = draw(model, batch)
    other = {**batch, "text": batch["text"] + 1}
    moved = np.abs(
        apply(model, params, batch)["hidden_audio"] - apply(model, params, other)["hidden_audio"]
    ).max()
    assert (moved > 1e-4) == (fusion or layers > 0)


def test_every_parameter_is_trained_and_none_is_there_in_vain(batch):
    for fields in ({}, {"stages": 1}, {"highlight": False}, {"fusion": False}, {"modalities": ("audio",)}):
        model = RMFN(**SMALL, **fields)
        params = draw(model, batch)
        grads = jax.grad(lambda p, model=model: apply(model, p, batch)["prediction"].sum())(params)
        assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads)), fields
    assert {name for name in params if "text" in name or "vision" in name} == set()


def test_the_rate_drops_inside_the_output_network(batch):
    params = draw(RMFN(**SMALL), batch)
    kept, dropped = (apply(RMFN(**SMALL, output_dropout=r), params, batch, True) for r in (0.0, 0.9))
    np.testing.assert_array_equal(kept["fused"], dropped["fused"])
    assert np.abs(kept["prediction"] - dropped["prediction"]).max() > 1e-3


def test_classes_have_logits(batch):
    model = RMFN(**SMALL, outputs=(4, 2))
    assert apply(model, draw(model, batch), batch)["logits"].shape == (4, 4, 2)
