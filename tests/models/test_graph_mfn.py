"""Graph-MFN against its equations in float64, one clip and one step at a time."""

import functools

import jax
import numpy as np
import pytest

from msa_jax.models._graph_mfn_parts import edges, last_state_so_far
from msa_jax.models.graph_mfn import GraphMFN
from tests.layers.doubles import dense_numpy, double, draw, lstm_all_numpy, sigmoid

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {
    "text_hidden": 5,
    "audio_hidden": 4,
    "vision_hidden": 3,
    "vertex_width": 4,
    "graph_hidden": 9,
    "memory": 5,
    "proposal_hidden": 9,
    "retain_hidden": 8,
    "update_hidden": 7,
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


# The networks that each vertex goes to, in the order of the columns that it keeps for them.
ENDS = {
    "text": ["efficacy", "text_audio", "text_vision", "text_audio_vision", "summary"],
    "audio": ["efficacy", "text_audio", "audio_vision", "text_audio_vision", "summary"],
    "vision": ["efficacy", "text_vision", "audio_vision", "text_audio_vision", "summary"],
    "text_audio": ["text_audio_vision", "summary"],
    "text_vision": ["text_audio_vision", "summary"],
    "audio_vision": ["text_audio_vision", "summary"],
    "text_audio_vision": ["summary"],
}


def graph_numpy(p, known, sigmoid_efficacy, relu_between):
    """The summary and the efficacies of three modalities, edge by edge."""

    def network(name, starts, efficacies, layers=1):
        width = SMALL["graph_hidden"]
        places = {v: width * ENDS[v].index(name) for v in starts}
        kernel = [p[f"from_{v}"]["kernel"][:, at : at + width] for v, at in places.items()]
        x = np.concatenate([e * known[v] for e, v in zip(efficacies, starts, strict=True)])
        x = x @ np.concatenate(kernel) + p[f"{name}_bias"]
        for k in range(layers):
            x = dense_numpy(np.maximum(x, 0) if relu_between else x, p[f"{name}_{k + 1}"])
        return x

    known = dict(known)
    e = network("efficacy", ["text", "audio", "vision"], [1, 1, 1], 2)
    e = sigmoid(e) if sigmoid_efficacy else e
    known["text_audio"] = network("text_audio", ["text", "audio"], e[0:2])
    known["text_vision"] = network("text_vision", ["text", "vision"], e[2:4])
    known["audio_vision"] = network("audio_vision", ["audio", "vision"], e[4:6])
    known["text_audio_vision"] = network("text_audio_vision", list(known), e[6:12])
    return network("summary", list(known), e[12:19]), e


def two_steps(p, m):
    """The kernel over [state of the step before; state of the step]."""
    return np.concatenate(np.split(p[f"{m}_vertex"]["dense"]["kernel"], 2, axis=1))


def forward_numpy(p, batch, row, sigmoid_efficacy, relu_between):
    """(score, memory, efficacies by step) of one clip."""
    states = {m: lstm_all_numpy(p[f"{m}_lstm"], batch[m][row], batch[f"{m}_mask"][row])[0] for m in WIDTHS}
    memory, efficacies = np.zeros(SMALL["memory"]), []
    for t in range(6):
        vertices = {
            m: np.maximum(np.concatenate([s[t], s[t + 1]]) @ two_steps(p, m) + p[f"{m}_vertex"]["bias"], 0)
            for m, s in states.items()
        }
        summary, efficacy = graph_numpy(p["graph"], vertices, sigmoid_efficacy, relu_between)
        efficacies.append(efficacy)
        if not any(batch[f"{m}_mask"][row, t] for m in WIDTHS):
            continue
        proposed = np.tanh(dense_numpy(np.maximum(dense_numpy(summary, p["proposal"]), 0), p["proposal_out"]))
        inner = dense_numpy(summary, p["memory_input"]) + memory @ p["memory"]["memory_kernel"]
        keep, write = np.split(np.maximum(inner, 0), [SMALL["retain_hidden"]])
        keep = sigmoid(keep @ p["memory"]["retain_kernel"] + p["memory"]["retain_bias"])
        write = sigmoid(write @ p["memory"]["update_kernel"] + p["memory"]["update_bias"])
        memory = keep * memory + write * proposed
    fused = np.concatenate([*(s[-1] for s in states.values()), memory])
    score = dense_numpy(np.maximum(dense_numpy(fused, p["output"]), 0), p["head"]["output_dense"])
    return score[0], memory, np.stack(efficacies)


@pytest.mark.parametrize(
    ("efficacy", "activation"), [("sigmoid", "relu"), ("none", "none"), ("sigmoid", "none")]
)
def test_each_clip_is_what_the_equations_give(batch, efficacy, activation):
    model = GraphMFN(**SMALL, efficacy=efficacy, graph_activation=activation)
    params = draw(model, batch)
    out = apply(model, params, batch)
    assert out["efficacies"].shape == (4, 6, 19)
    for row in range(4):
        score, memory, efficacies = forward_numpy(
            double(params), batch, row, efficacy == "sigmoid", activation == "relu"
        )
        steps = batch["text_mask"][row]
        np.testing.assert_allclose(out["prediction"][row], score, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(out["memory"][row], memory, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(out["efficacies"][row][steps], efficacies[steps], rtol=1e-4, atol=1e-5)


def test_the_edges_come_as_the_efficacies_do():
    assert edges(["t"]) == [(None, ("t",))]
    ta = ("t", "a")
    assert edges(["t", "a"]) == [(ta, ("t",)), (ta, ("a",)), (None, ("t",)), (None, ("a",)), (None, ta)]
    assert len(edges(list(WIDTHS))) == 19


def test_a_step_without_a_row_has_the_state_of_the_last_one_with_one():
    mask = np.array([[False, True, False, True, False]])
    x = np.array([0.0, 1.0, 0.0, 2.0, 0.0], np.float32)[None, :, None]
    np.testing.assert_array_equal(last_state_so_far(x, mask)[0, :, 0], [0, 1, 1, 2, 2])


def test_every_parameter_is_trained(batch):
    """Those of the graph's larger vertices, too, which the toolkit leaves as they are at the start."""
    model = GraphMFN(**SMALL)
    params = draw(model, batch)
    grads = jax.grad(lambda p: apply(model, p, batch)["prediction"].sum())(params)
    assert {"from_text_audio_vision", "text_audio_vision_1", "text_audio_vision_bias"} <= set(grads["graph"])
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))


def test_padding_and_the_rest_of_the_batch_change_nothing(batch):
    model = GraphMFN(**SMALL)
    params = draw(model, batch)
    whole = apply(model, params, batch)
    one = {k: v[1:2] for k, v in batch.items()}
    for m in WIDTHS:
        one[m] = np.pad(one[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        one[f"{m}_mask"] = np.pad(one[f"{m}_mask"], ((0, 0), (0, 3)))
    alone = apply(model, params, one)
    np.testing.assert_allclose(alone["prediction"], whole["prediction"][1:2], atol=1e-5)

    counted = apply(GraphMFN(**SMALL, count_padding=True), params, batch)
    full = {k: np.ones_like(v) if k.endswith("_mask") else v for k, v in batch.items()}
    np.testing.assert_allclose(counted["prediction"], apply(model, params, full)["prediction"], atol=1e-5)
    assert np.abs(counted["prediction"] - whole["prediction"])[1:3].min() > 1e-4


@pytest.mark.parametrize("name", ["proposal", "retain", "update", "output"])
def test_each_rate_drops_inside_its_own_network(batch, name):
    """The memory's three change the memory, and the output's the score alone."""
    still = {f"{n}_dropout": 0.0 for n in ("proposal", "retain", "update", "output")}
    params = draw(GraphMFN(**SMALL, **still), batch)
    kept, dropped = (
        apply(GraphMFN(**SMALL, **rates), params, batch, True)
        for rates in (still, still | {f"{name}_dropout": 0.9})
    )
    assert np.abs(kept["prediction"] - dropped["prediction"]).max() > 1e-3
    assert (np.abs(kept["memory"] - dropped["memory"]).max() > 1e-3) == (name != "output")
    np.testing.assert_array_equal(kept["efficacies"], dropped["efficacies"])


def test_fewer_modalities_have_a_smaller_graph(batch):
    for modalities, count in ((("text", "vision"), 5), (("audio",), 1)):
        model = GraphMFN(modalities=modalities, outputs=(4, 2), **SMALL)
        params = draw(model, batch)
        out = apply(model, params, batch)
        assert out["logits"].shape == (4, 4, 2)
        assert out["efficacies"].shape == (4, 6, count)
        assert not any(
            m in name for m in set(WIDTHS) - set(modalities) for name in [*params, *params["graph"]]
        )
