"""LMF against the tensor that its factors stand for."""

import functools

import jax
import numpy as np
import pytest

from msa_jax.models.lmf import LMF
from tests.layers.doubles import draw

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {"text_hidden": 6, "text_width": 4, "audio_width": 3, "vision_width": 2, "rank": 3}


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
    return out


@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_the_factors_give_what_the_whole_tensor_would(batch, outputs):
    """Eqs. 2-4: W is a sum over the ranks of outer products, Z the outer product of the vectors."""
    model = LMF(outputs=outputs, **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    weight = np.asarray(params["rank_weight"], np.float64)
    factors = [np.asarray(params[f"{m}_factor"], np.float64) for m in WIDTHS]
    tensor = np.einsum("r,rto,rao,rvo->tavo", weight, *factors)
    ones = [np.concatenate([np.ones((4, 1)), out[f"vector_{m}"]], axis=1) for m in WIDTHS]
    z = np.einsum("bt,ba,bv->btav", *ones)
    expected = np.einsum("btav,tavo->bo", z, tensor) + params["bias"]
    found = out["logits"] if outputs else out["prediction"]
    np.testing.assert_allclose(np.reshape(found, (4, -1)), expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (4, *outputs)


def test_a_modality_that_is_left_out_has_no_factor(batch):
    model = LMF(modalities=("text", "vision"), **SMALL)
    params = draw(model, batch)
    assert {name for name in params if "audio" in name} == set()
    assert {"text_factor", "vision_factor"} <= set(params)


def test_padding_and_the_rest_of_the_batch_change_nothing(batch):
    model = LMF(**SMALL)
    params = draw(model, batch)
    whole = apply(model, params, batch)["prediction"]
    first = {k: v[:1] for k, v in batch.items()}
    for m in WIDTHS:
        first[m] = np.pad(first[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        first[f"{m}_mask"] = np.pad(first[f"{m}_mask"], ((0, 0), (0, 3)))
    alone = apply(model, params, first)["prediction"]
    np.testing.assert_allclose(alone, whole[:1], atol=1e-5)


def test_every_field_that_is_a_size_or_a_rate_reaches_the_parameters_or_the_draw(batch):
    params = draw(LMF(**SMALL), batch)
    assert params["text_subnet"]["lstm"]["recurrent_kernel"].shape == (6, 24)
    assert params["audio_factor"].shape == (3, 4, 1)
    assert params["rank_weight"].shape == (3,)
    for m in WIDTHS:
        rates = {f"{n}_dropout": 0.9 if n == m else 0.0 for n in WIDTHS}
        dropped, kept = (
            apply(LMF(**SMALL, **r), params, batch, True)["vector_" + m]
            for r in (rates, dict.fromkeys(rates, 0.0))
        )
        assert np.abs(dropped - kept).max() > 1e-3
