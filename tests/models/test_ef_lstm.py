"""EF-LSTM against its equations in NumPy, and what its fields do."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.layers.batch_norm import BatchNorm
from msa_jax.layers.dropout import Dropout
from msa_jax.models._streams import Front
from msa_jax.models.ef_lstm import EFLSTM
from msa_jax.models.fields import Misfit
from tests.layers.doubles import dense_numpy, double, draw, lstm_numpy

WIDTHS = {"text": 5, "audio": 4, "vision": 3}
SMALL = {"hidden": 6, "layers": 3}
LENGTHS = np.array([6, 2, 1, 4])


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train=False):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(1)})


@pytest.fixture
def batch():
    """Four clips; the third has vision on other steps than text."""
    rng = np.random.default_rng(0)
    out = {"mask": np.ones(4, bool)}
    for m, width in WIDTHS.items():
        out[m] = rng.normal(size=(4, 6, width)).astype(np.float32)
        out[f"{m}_mask"] = np.arange(6)[None] < LENGTHS[:, None]
    out["vision_mask"][2] = [False, False, True, False, False, False]
    return out


def ef_lstm_numpy(p, batch, b, layers):
    """One clip: what it has of each step side by side, through one LSTM after another."""
    masks = np.stack([batch[f"{m}_mask"][b] for m in WIDTHS])
    parts = [np.where(mask[:, None], batch[m][b], 0.0) for m, mask in zip(WIDTHS, masks, strict=True)]
    x, valid = np.concatenate(parts, axis=1), masks.any(0)
    for k in range(layers):
        x = lstm_numpy(p[f"lstm_{k}"], x, valid)
    hidden = x[np.flatnonzero(valid)[-1]]
    fused = np.maximum(dense_numpy(hidden, p["dense"]), 0)
    return hidden, fused, dense_numpy(fused, p["head"]["output_dense"])


@pytest.mark.parametrize("outputs", [(), (4, 2)])
def test_it_equals_its_equations(batch, outputs):
    model = EFLSTM(outputs=outputs, **SMALL)
    params = draw(model, batch)
    out = apply(model, params, batch)
    found = out["logits"] if outputs else out["prediction"]
    assert found.shape == (4, *outputs)
    assert np.std(found, axis=0).min() > 1e-3  # the ReLUs are not 0 for every clip
    for b in range(4):
        hidden, fused, score = ef_lstm_numpy(double(params), batch, b, 3)
        np.testing.assert_allclose(out["hidden"][b], hidden, atol=1e-5)
        np.testing.assert_allclose(out["fused"][b], fused, atol=1e-5)
        np.testing.assert_allclose(np.ravel(found[b]), score, atol=1e-5)


def test_padding_and_the_rest_of_the_batch_change_nothing(batch):
    model = EFLSTM(**SMALL)
    params = draw(model, batch)
    first = {k: v[1:2] for k, v in batch.items()}
    for m in WIDTHS:
        first[m] = np.pad(first[m], ((0, 0), (0, 3), (0, 0)), constant_values=7)
        first[f"{m}_mask"] = np.pad(first[f"{m}_mask"], ((0, 0), (0, 3)))
    whole, alone = (apply(model, params, b)["prediction"] for b in (batch, first))
    np.testing.assert_allclose(alone, whole[1:2], atol=1e-5)
    counted = EFLSTM(count_padding=True, **SMALL)
    assert np.abs(apply(counted, params, batch)["prediction"][1] - whole[1]) > 1e-3


def test_a_modality_that_is_left_out_has_no_weights(batch):
    model = EFLSTM(modalities=("text", "vision"), **SMALL)
    assert draw(model, batch)["lstm_0"]["input"]["kernel"].shape == (8, 24)


def dropouts(model, params, batch):
    """(what goes in, what comes out) of each dropout of a training step, in their order."""
    found = []

    def watch(call, args, kwargs, context):
        out = call(*args, **kwargs)
        if isinstance(context.module, Dropout):
            found.append((np.asarray(args[0]), np.asarray(out)))
        return out

    with nn.intercept_methods(watch):
        model.apply({"params": params}, batch, train=True, rngs={"dropout": jax.random.key(1)})
    return found


def test_dropout_falls_on_every_lstm_s_states_but_the_last_s_and_around_the_dense_layer(batch):
    model = EFLSTM(hidden=32, layers=3, dropout=0.5)
    found = dropouts(model, draw(model, batch), batch)
    assert [x.shape for x, _ in found] == [(4, 6, 32), (4, 6, 32), (4, 32), (4, 32)]
    for x, dropped in found:
        share = (dropped[x != 0] == 0).mean()
        assert 0.3 < share < 0.7
    np.testing.assert_array_equal(found[2][0] != 0, True)  # the last state, which no dropout met before


def step_norm_numpy(x, counts, p):
    """[B, T, D] by the mean and the variance of each step over the clips that have it and all features."""
    out = np.array(x)
    for t in range(x.shape[1]):
        seen = x[counts[:, t], t]
        out[:, t] = (x[:, t] - seen.mean()) / np.sqrt(seen.var() + 1e-5) * p["scale"][t] + p["bias"][t]
    return out


def test_step_norm_normalises_by_place_and_remembers_what_it_met():
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, size=(4, 5, 3)).astype(np.float32)
    counts = np.arange(5)[None] < np.array([4, 2, 1, 3])[:, None]  # no clip has a fifth step
    norm = BatchNorm(7, axis=1)
    params = draw(norm, x, counts[..., None])
    start = {"mean": rng.normal(size=7), "var": rng.uniform(1, 2, size=7)}
    variables = {"params": params, "batch_stats": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)}
    out, after = norm.apply(variables, x, counts[..., None], train=True, mutable=["batch_stats"])
    after = after["batch_stats"]
    np.testing.assert_allclose(
        out[:, :4], step_norm_numpy(x.astype(float)[:, :4], counts[:, :4], double(params)), atol=1e-5
    )
    for t in range(4):
        seen = x[counts[:, t], t]
        np.testing.assert_allclose(after["mean"][t], 0.9 * start["mean"][t] + 0.1 * seen.mean(), rtol=1e-5)
        np.testing.assert_allclose(after["var"][t], 0.9 * start["var"][t] + 0.1 * seen.var(), rtol=1e-5)
    for name in ("mean", "var"):
        np.testing.assert_array_equal(after[name][4:], np.float32(start[name][4:]))
    ready = norm.apply(variables, x, counts[..., None], train=False)
    mean, std = start["mean"][:5, None], np.sqrt(start["var"][:5, None] + 1e-5)
    expected = (x - mean) / std * params["scale"][:5, None] + params["bias"][:5, None]
    np.testing.assert_allclose(ready, expected, atol=1e-5)


def test_rows_that_only_pad_the_batch_are_in_no_statistics_of_the_steps(batch):
    model = EFLSTM(step_norm=True, dropout=0.0, **SMALL)
    variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), batch)
    assert variables["batch_stats"]["step_norm"]["mean"].shape == (50,)
    batch["mask"][0] = False
    other = {**batch, **{m: batch[m] + (np.arange(4) == 0)[:, None, None] for m in WIDTHS}}
    run = jax.jit(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    (out, after), (changed, also) = (run(variables, b) for b in (batch, other))
    jax.tree.map(np.testing.assert_array_equal, after, also)
    np.testing.assert_array_equal(out["prediction"][1:], changed["prediction"][1:])
    assert out["prediction"][0] != changed["prediction"][0]


def test_step_norm_refuses_texts_that_are_longer_than_its_statistics():
    EFLSTM(step_norm=True, steps=50).check(50)
    EFLSTM(step_norm=False, steps=50).check(80)
    with pytest.raises(Misfit, match=r"steps: 50 is less than text\.max_length 80"):
        EFLSTM(step_norm=True, steps=50).check(80)


def test_with_the_front_the_lstms_read_what_each_modality_attended_to(batch):
    model = EFLSTM(front=Front(layers=1, width=4, heads=2), **SMALL)
    assert draw(model, batch)["lstm_0"]["input"]["kernel"].shape == (3 * 2 * 4, 24)
