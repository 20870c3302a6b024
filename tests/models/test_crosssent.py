"""CrossSent: the adapter against NumPy, and what must hold for any input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import bounds
from msa_jax import config as configs
from msa_jax.errors import UserError
from msa_jax.models.crosssent import GMRA, CrossSent, Loss
from msa_jax.text import Encoder, EncoderConfig
from tests.models.tracing import config_of, traced

ENCODER = EncoderConfig(
    family="bert", vocab_size=50, hidden_size=16, num_layers=3, num_heads=4, intermediate_size=32,
    max_positions=12, type_vocab_size=1, activation="gelu", layer_norm_eps=1e-12, hidden_dropout=0.1,
    attention_dropout=0.1, pad_id=0,
)  # fmt: skip
B, T, A, V = 3, 7, 5, 4


def make_batch(seed=0, rows=B, length=T):
    rng = np.random.default_rng(seed)
    mask = np.arange(length) < np.array([length, 5, 3] + [2] * (rows - 3))[:rows, None]
    inner = mask & (np.arange(length) > 0)
    return {
        "text": np.where(mask, rng.integers(1, 50, (rows, length)), 0).astype(np.int32),
        "text_mask": mask,
        "audio": (rng.normal(size=(rows, length, A)) * inner[..., None]).astype(np.float32),
        "vision": (rng.normal(size=(rows, length, V)) * inner[..., None]).astype(np.float32),
        "audio_mask": inner,
        "vision_mask": inner,
        "label": rng.uniform(-3, 3, rows).astype(np.float32),
        "mask": np.ones(rows, bool),
        "index": np.arange(rows, dtype=np.int32),
    }


def make_model(**fields):
    fields.setdefault("gmra", GMRA(heads=4, bottleneck=6))
    return CrossSent(encoder=Encoder(ENCODER), **fields)


@functools.cache
def init(model):
    """Random parameters, away from the special values of the start, so that every term shows."""
    rng, batch = np.random.default_rng(0), make_batch()

    def draw(path, leaf):
        mean = 1.0 if path[-1].key == "scale" else 0.0
        fan = leaf.shape[0] if len(leaf.shape) > 1 else 100
        return (mean + rng.normal(size=leaf.shape) / np.sqrt(fan)).astype(np.float32)

    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), batch, train=False)["params"])
    return jax.tree_util.tree_map_with_path(draw, shapes)


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(model, params, batch, train, key):
    return model.apply({"params": params}, batch, train=train, rngs={"dropout": jax.random.key(key)})


def run(model, batch, train=False, key=0):
    """Outputs for the parameters of `init`."""
    return jax.device_get(apply(model, init(model), batch, train, key))


@functools.partial(jax.jit, static_argnums=0)
def slopes(model, params, batch):
    def error(params):
        out = model.apply({"params": params}, batch, train=False)
        return jnp.mean((out["prediction"] - batch["label"]) ** 2), out

    return jax.value_and_grad(error, has_aux=True)(params)


def learn(model, params, batch):
    """((mean squared error, outputs), its gradient)."""
    return jax.device_get(slopes(model, params, batch))


def norm_numpy(x, p):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * p["scale"] + p["bias"]


def gmra_numpy(p, x, audio, vision, audio_mask, vision_mask, heads, key_embeddings=True):
    """One clip, straight from section 3.2 of the paper and its restatement."""
    h_text = x @ p["text_projection"]["kernel"]
    h_audio = norm_numpy(audio @ p["audio_projection"]["kernel"], p["audio_norm"])
    h_vision = norm_numpy(vision @ p["vision_projection"]["kernel"], p["vision_norm"])
    values = np.concatenate([h_audio, h_vision])
    keys = values.copy()
    if key_embeddings:
        position, modality = p["key_position"][: len(x)], p["key_modality"]
        keys += np.concatenate([position + modality[0], position + modality[1]])
    valid = np.concatenate([audio_mask, vision_mask])
    width = x.shape[1] // heads
    q, k, v = (h @ p[name]["kernel"] for h, name in ((h_text, "query"), (keys, "key"), (values, "value")))
    mixed = np.zeros_like(x)
    for i in range(heads):
        part = slice(i * width, (i + 1) * width)
        scores = q[:, part] @ k[:, part].T / np.sqrt(width)
        weights = np.exp(scores - scores.max()) * valid
        mixed[:, part] = weights / weights.sum(-1, keepdims=True) @ v[:, part]
    cross = mixed @ p["output"]["kernel"]
    gate = 1 / (1 + np.exp(-(np.concatenate([h_text, cross], -1) @ p["gate"]["kernel"] + p["gate"]["bias"])))
    fusion = h_text + gate * cross
    down = norm_numpy(fusion, p["adapter_norm"]) @ p["adapter_down"]["kernel"] + p["adapter_down"]["bias"]
    up = (
        np.asarray(jax.nn.gelu(down, approximate=False)) @ p["adapter_up"]["kernel"] + p["adapter_up"]["bias"]
    )
    return fusion + p["adapter_scale"] * up, gate, gate * cross


@pytest.mark.parametrize("key_embeddings", [True, False])
def test_gmra_equals_its_equations(key_embeddings):
    gmra, batch = GMRA(heads=4, bottleneck=6, key_embeddings=key_embeddings), make_batch()
    x = np.random.default_rng(1).normal(size=(B, T, 16)).astype(np.float32)
    inputs = [x, *(batch[k] for k in ("audio", "vision", "audio_mask", "vision_mask"))]
    shapes = jax.eval_shape(lambda: gmra.init(jax.random.key(0), *inputs, train=False)["params"])
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda s: (0.4 * rng.normal(size=s.shape)).astype(np.float32), shapes)
    with jax.default_matmul_precision("highest"):
        out, extras = jax.jit(lambda p: gmra.apply({"params": p}, *inputs, train=False))(params)
    double = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    for b in range(B):
        expected = gmra_numpy(double, *(i[b] for i in inputs), 4, key_embeddings)
        for got, want in zip((out[b], extras["gate"][b], extras["injected"][b]), expected, strict=True):
            np.testing.assert_allclose(got, want, atol=2e-5)


def test_the_adapter_starts_as_nearly_the_identity_on_text():
    gmra, batch = GMRA(heads=4, bottleneck=6), make_batch()
    x = np.random.default_rng(1).normal(size=(B, T, 16)).astype(np.float32)
    none = np.zeros((B, T), bool)
    inputs = [x, batch["audio"], batch["vision"], none, none]
    out, _ = jax.jit(lambda key: gmra.init_with_output(key, *inputs, train=False))(jax.random.key(0))
    assert np.abs(out[0] - x).max() < 1e-3  # the adapter's LayerScale is 1e-4


def test_a_missing_modality_injects_exactly_nothing_and_stays_finite():
    model, batch = make_model(), make_batch()
    one = {**batch, "vision_mask": np.zeros((B, T), bool), "vision": np.full((B, T, V), 7.0, np.float32)}
    silent = {**one, "audio_mask": np.zeros((B, T), bool)}
    (_, out), grads = learn(model, init(model), silent)
    np.testing.assert_array_equal(out["injected"], 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((out, grads)))
    np.testing.assert_array_equal(grads["gmra"]["audio_projection"]["kernel"], 0)
    # What stands in a masked stream changes nothing.
    without, with_ = (run(model, {**one, "vision": np.full((B, T, V), x, np.float32)}) for x in (0.0, 7.0))
    np.testing.assert_array_equal(with_["prediction"], without["prediction"])
    assert np.abs(with_["injected"]).max() > 0


def test_predictions_depend_on_audio_and_vision_and_not_without_gmra():
    batch = make_batch()
    for gmra, depends in ((GMRA(heads=4, bottleneck=6), True), (None, False)):
        model = make_model(gmra=gmra)
        scores = [
            run(model, {**batch, **change})["prediction"]
            for change in ({}, {"audio": batch["audio"][::-1]}, {"vision": batch["vision"][::-1]})
        ]
        for other in scores[1:]:
            assert bool(np.abs(other - scores[0]).max() > 1e-6) is depends
        assert ("gmra" in init(model)) is depends


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_in_time_and_batch_and_the_order_of_clips_change_no_prediction(pooling):
    model, batch = make_model(pooling=pooling), make_batch()

    def predict(batch):
        return run(model, batch)["prediction"]

    plain = predict(batch)
    longer = {
        k: np.pad(v, [(0, 0), (0, 4)] + [(0, 0)] * (v.ndim - 2)) if v.ndim > 1 else v
        for k, v in batch.items()
    }
    taller = {k: np.pad(v, [(0, 2)] + [(0, 0)] * (v.ndim - 1)) for k, v in batch.items()}
    np.testing.assert_allclose(predict(longer), plain, atol=1e-5)
    np.testing.assert_allclose(predict(taller)[:B], plain, atol=1e-5)
    assert np.isfinite(predict(taller)).all()
    np.testing.assert_allclose(predict({k: v[::-1] for k, v in batch.items()})[::-1], plain, atol=1e-5)


def test_outputs_are_named_and_shaped():
    model, batch = make_model(), make_batch()
    out = run(model, batch)
    shapes = {k: v.shape for k, v in out.items()}
    assert shapes == {
        "prediction": (B,), "fused": (B, 16), "gate": (B, T, 16), "injected": (B, T, 16),
        "attention": (B, 4, T, T), "cross_attention": (B, 4, T, 2 * T),
    }  # fmt: skip
    assert (out["gate"] >= 0).all()
    assert (out["gate"] <= 1).all()


def test_time_order_of_audio_matters_only_with_key_embeddings():
    batch = make_batch()
    full = {**batch, **{k: np.ones((B, T), bool) for k in ("text_mask", "audio_mask", "vision_mask")}}
    for key_embeddings in (True, False):
        model = make_model(gmra=GMRA(heads=4, bottleneck=6, key_embeddings=key_embeddings))
        a, b = (
            run(model, {**full, "audio": audio})["prediction"]
            for audio in (full["audio"], full["audio"][:, ::-1])
        )
        assert bool(np.abs(a - b).max() > 1e-5) is key_embeddings


def test_dropout_is_active_in_training_only():
    model, batch = make_model(), make_batch()
    runs = [run(model, batch, True, key)["prediction"] for key in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-4


def test_every_branch_learns_and_100_steps_fit_a_batch():
    """By the sign of the gradient, in ever smaller steps."""
    model, batch = make_model(), make_batch()
    start = params = init(model)
    errors = []
    for step in range(100):
        (error, _), grads = learn(model, params, batch)
        errors.append(error)
        rate = np.float32(0.01 * (1 - step / 100))
        params = jax.tree.map(lambda p, g, r=rate: p - r * np.sign(g), params, grads)
    assert errors[-1] < errors[0] / 10, errors[::20]
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), start["gmra"], params["gmra"])
    assert all(m > 0 for m in jax.tree.leaves(moved)), moved


def test_what_does_not_fit_is_refused():
    batch = make_batch()
    for fields, message in (
        ({"gmra": GMRA(heads=5)}, "heads: 5 does not divide the encoder's width 16"),
        ({"gmra": GMRA(heads=4, max_length=3)}, "max_length: 3 is less than text.max_length 7"),
        ({"layer": 4}, "layer: 4, but the encoder has 3 layers"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda f=fields: make_model(**f).init(jax.random.key(0), batch, train=False))


def test_a_pooling_that_there_is_not_is_refused_where_the_config_is_read():
    config = configs.base.config("crosssent")
    config.model.pooling = "max"
    with pytest.raises(UserError, match=r"model\.pooling: 'max' is not one of"):
        bounds.check(config)


def loss_at(step, **changes):
    """(total, values by name) of eight clips, two of which pad, after `step` of 10 x 10 steps."""
    rng = np.random.default_rng(0)
    outputs = {"prediction": jnp.asarray(rng.normal(size=8), jnp.float32)}
    batch = {"label": jnp.asarray(rng.uniform(-3, 3, 8), jnp.float32), "mask": jnp.arange(8) < 6}
    objective = Loss(**{"mpr_ramp": 0.4, "eioi_ramp": 0.4, **changes}).objective(
        None, epochs=10, steps_per_epoch=10
    )
    return objective(outputs, batch, step=jnp.asarray(step), key=jax.random.key(0))


def test_the_loss_adds_a_ranking_and_an_interval():
    rng = np.random.default_rng(0)
    p, y = rng.normal(size=8)[:6], rng.uniform(-3, 3, 8)[:6]
    hinges = [
        max(0.0, 0.3 * abs(a - b) - np.sign(a - b) * (q - r))
        for a, q in zip(y, p, strict=True)
        for b, r in zip(y, p, strict=True)
        if abs(a - b) >= 0.3
    ]
    expected = {
        "mse": np.mean((p - y) ** 2),
        "mpr": np.mean(hinges),
        "eioi": np.mean(np.maximum(0, np.abs(p - y) - 0.25) ** 2),
    }
    _, terms = loss_at(0, mpr_ramp=0.0, eioi_ramp=0.0)
    assert set(terms) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5)


@pytest.mark.parametrize(
    ("step", "ramp"),
    [(0, 0.0), (9, 0.0), (10, 0.5 * (1 - np.cos(np.pi / 4))), (25, 0.5), (40, 1.0), (999, 1.0)],
)
def test_both_weights_rise_along_one_ramp(step, ramp):
    total, terms = loss_at(step)
    np.testing.assert_allclose(terms["mpr_weight"], 0.5 * ramp, atol=1e-6)
    np.testing.assert_allclose(terms["eioi_weight"], 0.06 * ramp, atol=1e-6)
    expected = terms["mse"] + ramp * (0.5 * terms["mpr"] + 0.06 * terms["eioi"])
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_a_ramp_of_no_length_is_up_at_once():
    total, terms = loss_at(0, mpr_ramp=0.0, eioi_ramp=0.0)
    assert not {"mpr_weight", "eioi_weight"} & set(terms)
    np.testing.assert_allclose(total, terms["mse"] + 0.5 * terms["mpr"] + 0.06 * terms["eioi"], rtol=1e-6)


def test_a_weight_of_zero_leaves_its_term_out():
    total, terms = loss_at(99, mpr_weight=0.0, eioi_weight=0.0)
    assert set(terms) == {"mse"}
    assert total == terms["mse"]


@functools.cache
def form(*variants):
    return traced(config_of("crosssent", "tiny", *variants))


@pytest.mark.parametrize(
    ("variant", "parameters", "terms"),
    [
        ("no_gmra", {"gmra"}, set()),
        ("no_mpr", set(), {"mpr", "mpr_weight"}),
        ("no_eioi", set(), {"eioi", "eioi_weight"}),
        ("mse_only", set(), {"mpr", "mpr_weight", "eioi", "eioi_weight"}),
        ("no_key_embeddings", set(), set()),
    ],
)
def test_what_a_variant_takes_away(variant, parameters, terms):
    full, changed = form(), form(variant)
    assert set(full.shapes) - set(changed.shapes) == parameters
    assert full.terms - changed.terms == terms
    if variant == "no_key_embeddings":
        gone = set(full.shapes["gmra"]) - set(changed.shapes["gmra"])
        assert gone == {"key_position", "key_modality"}
