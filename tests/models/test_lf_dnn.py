"""LF-DNN against its equations in NumPy, and what its fields do."""

import functools

import jax
import numpy as np
import pytest

from msa_jax.models.lf_dnn import LFDNN
from tests.layers.doubles import dense_numpy, double, draw, lstm_numpy

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {"text_hidden": 6, "text_width": 7, "audio_width": 9, "vision_width": 8, "fusion_width": 12}
LENGTHS = {"text": [6, 2, 1, 4], "audio": [9, 1, 3, 2], "vision": [2, 7, 5, 4]}


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


@pytest.fixture
def batch():
    """Four clips with a time line for each modality."""
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(4, bool)}
    for m, width in WIDTHS.items():
        longest = max(LENGTHS[m])
        out[m] = rng.normal(size=(4, longest, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(longest)[None] < np.array(LENGTHS[m])[:, None]
    return out


def lf_dnn_numpy(p, batch, b):
    """One clip: (the joined vectors, what the head gives)."""
    steps = {m: batch[m][b, : LENGTHS[m][b]].astype(float) for m in WIDTHS}
    text = lstm_numpy(p["text_subnet"]["lstm"], steps["text"], np.ones(len(steps["text"])))[-1]
    vectors = [dense_numpy(text, p["text_subnet"]["dense"])]
    for m in ("audio", "vision"):
        x = steps[m].mean(0)
        for k in range(3):
            x = np.maximum(dense_numpy(x, p[f"{m}_subnet"][f"dense_{k}"]), 0)
        vectors.append(x)
    fused = x = np.concatenate(vectors)
    for k in range(2):
        x = np.maximum(dense_numpy(x, p[f"dense_{k}"]), 0)
    return fused, dense_numpy(x, p["head"]["output_dense"])


@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_it_equals_its_equations(batch, outputs):
    model = LFDNN(outputs=outputs, **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    found = out["logits"] if outputs else out["prediction"]
    assert found.shape == (4, *outputs)
    assert np.std(found, axis=0).min() > 1e-3  # no layer of ReLUs is 0 for every clip
    for b in range(4):
        fused, score = lf_dnn_numpy(double(params), batch, b)
        np.testing.assert_allclose(out["fused"][b], fused, atol=1e-5)
        np.testing.assert_allclose(np.ravel(found[b]), score, atol=1e-5)
    joined = np.concatenate([out[f"vector_{m}"] for m in WIDTHS], axis=1)
    np.testing.assert_array_equal(out["fused"], joined)


def test_padding_and_the_rest_of_the_batch_change_nothing(batch):
    model = LFDNN(**SMALL)
    params = draw(model, batch)
    alone = {k: v[1:2] for k, v in batch.items()}
    for m in WIDTHS:
        alone[m] = np.pad(alone[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        alone[f"{m}_mask"] = np.pad(alone[f"{m}_mask"], ((0, 0), (0, 3)))
    whole = apply(model, params, batch)
    np.testing.assert_allclose(apply(model, params, alone)["prediction"], whole["prediction"][1:2], atol=1e-5)
    counted = apply(LFDNN(count_padding=True, **SMALL), params, batch)
    for m in ("text", "audio"):  # the second clip's vision has no padding
        assert np.abs(counted[f"vector_{m}"][1] - whole[f"vector_{m}"][1]).max() > 1e-3
    np.testing.assert_array_equal(counted["vector_vision"][1], whole["vector_vision"][1])


def test_a_modality_that_is_left_out_has_no_network(batch):
    params = draw(LFDNN(modalities=("text", "vision"), **SMALL), batch)
    assert set(params) == {"text_subnet", "vision_subnet", "dense_0", "dense_1", "head"}
    assert params["dense_0"]["kernel"].shape == (7 + 8, 12)


def test_every_rate_reaches_its_own_place(batch):
    """`fusion_dropout` falls behind the joined vectors, and so changes no vector."""
    params = draw(LFDNN(**SMALL), batch)
    names = ("text", "audio", "vision", "fusion")
    none = dict.fromkeys([f"{n}_dropout" for n in names], 0.0)
    kept = apply(LFDNN(**SMALL, **none), params, batch, True)
    for name in names:
        dropped = apply(LFDNN(**SMALL, **{**none, f"{name}_dropout": 0.9}), params, batch, True)
        assert np.abs(dropped["prediction"] - kept["prediction"]).max() > 1e-3
        for m in WIDTHS:
            differs = np.abs(dropped[f"vector_{m}"] - kept[f"vector_{m}"]).max() > 1e-3
            assert differs == (m == name)


def test_batch_norm_makes_statistics_of_the_means_of_the_rows_that_count(batch):
    model = LFDNN(batch_norm=True, **SMALL)
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), batch)
    assert set(variables["batch_stats"]) == {"audio_subnet", "vision_subnet"}
    padded = {**batch, "mask": np.array([True, True, True, False])}
    run = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    _, after = run(variables, padded, rngs={"dropout": jax.random.key(1)})
    for m in ("audio", "vision"):
        means = np.stack([batch[m][b, : LENGTHS[m][b]].mean(0) for b in range(3)])
        found = after["batch_stats"][f"{m}_subnet"]["norm"]
        np.testing.assert_allclose(found["mean"], 0.1 * means.mean(0), atol=1e-6)
        np.testing.assert_allclose(found["var"], 0.9 + 0.1 * means.var(0), atol=1e-6)
