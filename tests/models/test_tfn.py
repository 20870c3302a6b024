"""TFN against the tensor that its kernels are parts of."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.models.fields import Misfit
from msa_jax.models.tfn import ORDERS, TFN, TensorFusion
from tests.layers.doubles import dense_numpy, double, draw

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
VECTORS = {"text": 4, "audio": 3, "vision": 2}
SMALL = {"text_hidden": 6, **{f"{m}_width": n for m, n in VECTORS.items()}, "hidden": 5}


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


def whole_kernel(params):
    """Of one layer over the tensor of [1; text], [1; audio], [1; vision]: [T + 1, A + 1, V + 1, F].

    A part that there is no kernel for is 0.
    """
    sizes = [n + 1 for n in VECTORS.values()]
    out = np.zeros((*sizes, len(params["bias"])))
    out[0, 0, 0] = params["bias"]
    for name, kernel in params.items():
        if name == "bias":
            continue
        names = name.removeprefix("kernel_").split("_")
        place = tuple(slice(1, None) if m in names else 0 for m in VECTORS)
        out[place] = np.moveaxis(kernel, 1 if len(names) == 3 else 0, -1)
    return out


@pytest.mark.parametrize("outputs", [(), (4, 2)])
@pytest.mark.parametrize("subtensors", [ORDERS, ("bimodal",), ("unimodal", "bimodal"), ("trimodal",)])
def test_the_kernels_are_parts_of_one_layer_over_the_whole_tensor(batch, subtensors, outputs):
    """Eqs. 3 and 4, and two layers with ReLU."""
    model = TFN(outputs=outputs, subtensors=subtensors, **SMALL)
    params = draw(model, batch)
    out, p = apply(model, params, batch), double(params)
    assert len(params["fusion"]) == 1 + sum(
        {"unimodal": 3, "bimodal": 3, "trimodal": 1}[s] for s in subtensors
    )
    ones = [np.concatenate([np.ones((4, 1)), out[f"vector_{m}"]], axis=1) for m in WIDTHS]
    z = np.einsum("bt,ba,bv->btav", *ones)
    x = np.maximum(np.einsum("btav,tavf->bf", z, whole_kernel(p["fusion"])), 0)
    fused = np.maximum(dense_numpy(x, p["dense"]), 0)
    np.testing.assert_allclose(out["fused"], fused, rtol=1e-4, atol=1e-5)
    expected = dense_numpy(fused, p["head"]["output_dense"])
    if outputs:
        return np.testing.assert_allclose(out["logits"].reshape(4, -1), expected, rtol=1e-4, atol=1e-5)
    bounded = 6 / (1 + np.exp(-expected[:, 0])) - 3  # section 4.3: a sigmoid, stretched over the labels
    np.testing.assert_allclose(out["prediction"], bounded, rtol=1e-4, atol=1e-5)
    free = apply(model.clone(bound=0.0), params, batch)["prediction"]
    np.testing.assert_allclose(free, expected[:, 0], rtol=1e-4, atol=1e-5)


def test_scores_and_only_scores_stay_within_the_bound(batch):
    params = draw(TFN(**SMALL), batch)
    params["head"]["output_dense"]["bias"] += 50.0
    for bound in (1.0, 3.0):
        np.testing.assert_allclose(apply(TFN(bound=bound, **SMALL), params, batch)["prediction"], bound)
    logits = apply(TFN(outputs=(2,), **SMALL), draw(TFN(outputs=(2,), **SMALL), batch), batch)["logits"]
    assert logits.shape == (4, 2)


@pytest.mark.parametrize("rate", [0.5, 0.2])
def test_dropout_draws_for_each_entry_and_the_backward_pass_draws_the_same(rate):
    """The layer is linear: its gradient by a kernel is what it multiplied the kernel by."""
    rng = np.random.default_rng(0)
    sizes = {"text": 9, "audio": 8, "vision": 7}
    vectors = {m: jnp.asarray(rng.uniform(0.5, 1.5, (2, n)), jnp.float32) for m, n in sizes.items()}
    layer = TensorFusion(1, ORDERS, rate)
    params = draw(layer, vectors)

    def first(params, vectors):
        rngs = {"dropout": jax.random.key(3)}
        return layer.apply({"params": params}, vectors, train=True, rngs=rngs)[0, 0]

    value, (entries, by_vector) = jax.jit(jax.value_and_grad(first, argnums=(0, 1)))(params, vectors)
    total = sum(np.sum(np.float64(entries[k]) * np.asarray(params[k])) for k in params)
    np.testing.assert_allclose(value, total, rtol=1e-4)
    full = np.einsum("t,a,v->tav", *(x[0] for x in vectors.values())) / (1 - rate)
    found = np.asarray(entries["kernel_text_audio_vision"])[:, 0]
    kept = found != 0
    np.testing.assert_allclose(found[kept], full[kept], rtol=1e-4)
    assert abs(1 - kept.mean() - rate) < 0.08
    slices = kept.reshape(9, -1)  # no two slices share a mask
    assert len(np.unique(slices, axis=0)) == 9
    # The gradient by a vector, of every product that it is in, with the same entries kept.
    text = np.zeros(9)
    for name in ("text", "text_audio", "text_vision", "text_audio_vision"):
        kernel, x = (np.asarray(tree[f"kernel_{name}"]) for tree in (params, entries))
        product = np.moveaxis(kernel * x, 1 if name.count("_") == 2 else 0, -1)
        text += product.reshape(9, -1).sum(1) / np.asarray(vectors["text"][0])
    np.testing.assert_allclose(by_vector["text"][0], text, rtol=1e-3, atol=1e-4)
    assert not np.any(by_vector["text"][1])


def test_without_a_modality_its_products_are_left_out(batch):
    model = TFN(modalities=("text", "vision"), **SMALL)
    kernels = set(draw(model, batch)["fusion"])
    assert kernels == {"bias", "kernel_text", "kernel_vision", "kernel_text_vision"}
    model.check(max_length=50)
    with pytest.raises(Misfit, match=r"subtensors: .* no part for text, vision"):
        model.clone(subtensors=("trimodal",)).check(max_length=50)
    with pytest.raises(Misfit, match="subtensors"):
        model.clone(subtensors=()).check(max_length=50)


def test_padding_counts_where_the_toolkit_counts_it_and_nowhere_else(batch):
    model = TFN(**SMALL)
    params = draw(model, batch)
    longer = dict(batch)
    for m in WIDTHS:
        longer[m] = np.pad(batch[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        longer[f"{m}_mask"] = np.pad(batch[f"{m}_mask"], ((0, 0), (0, 3)))
    short, long = (apply(model, params, b)["prediction"] for b in (batch, longer))
    np.testing.assert_allclose(long, short, atol=1e-5)
    counting = TFN(count_padding=True, **SMALL)
    short, long = (apply(counting, params, b)["prediction"] for b in (batch, longer))
    assert np.abs(long - short).max() > 1e-3


def test_every_rate_acts_in_training_and_the_batch_norm_is_the_batchs(batch):
    params = draw(TFN(**SMALL), batch)
    rates = ("text_dropout", "audio_dropout", "vision_dropout", "fusion_dropout")
    still = dict.fromkeys(rates, 0.0)
    plain = apply(TFN(**SMALL, **still), params, batch, True)["fused"]
    np.testing.assert_allclose(plain, apply(TFN(**SMALL), params, batch)["fused"], rtol=1e-5)
    for rate in rates:
        dropped = apply(TFN(**SMALL, **{**still, rate: 0.6}), params, batch, True)["fused"]
        assert np.abs(dropped - plain).max() > 1e-3
    model = TFN(**SMALL, **still, batch_norm=True)
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), batch)
    assert set(variables["batch_stats"]) == {"audio_subnet", "vision_subnet"}
    out, changed = model.apply(variables, batch, train=True, mutable=["batch_stats"])
    shifted = {**batch, "audio": batch["audio"] * 5 + 2}
    other, _ = model.apply(variables, shifted, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(out["prediction"], other["prediction"], atol=1e-3)
    assert np.any(changed["batch_stats"]["audio_subnet"]["norm"]["mean"])
