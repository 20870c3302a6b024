"""Forms of CrossSent that a field chooses, and what of the adapter arrives in the scores."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import bounds, config
from msa_jax.models.crosssent import GMRA, CrossSent
from msa_jax.models.fields import build
from msa_jax.text import Encoder, EncoderConfig

B, T, D, A, V = 4, 10, 32, 7, 5


def make_inputs(seed=0):
    """Text states, audio, vision and their masks, all valid."""
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=(B, T, d)).astype(np.float32) for d in (D, A, V)]
    return [*arrays, np.ones((B, T), bool), np.ones((B, T), bool)]


def away_from_the_start(params, seed=1, size=0.1):
    """The parameters plus noise, so that every term shows."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noisy = [p + size * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, noisy)


def cross_numpy(params, row):
    """H_cross where one key alone is valid: attention can only take its value, (row W) W_V W_O."""
    return row @ params["audio_projection"]["kernel"] @ params["value"]["kernel"] @ params["output"]["kernel"]


@functools.cache
def injection(feature_norm):
    """A function from a factor on audio and vision to what the adapter injects at the start."""
    x, audio, vision, *masks = make_inputs()
    gmra = GMRA(heads=4, bottleneck=6, feature_norm=feature_norm)
    params = jax.jit(lambda key: gmra.init(key, x, audio, vision, *masks, train=False))(jax.random.key(0))
    return jax.jit(lambda s: gmra.apply(params, x, s * audio, s * vision, *masks, train=False)[1]["injected"])


@pytest.mark.parametrize("scale", [0.01, 0.1, 10.0])
def test_the_size_of_the_features_counts_only_in_the_printed_form(scale):
    sizes = {}
    for feature_norm in (True, False):
        plain, scaled = (np.linalg.norm(injection(feature_norm)(s)) for s in (1.0, scale))
        sizes[feature_norm] = scaled / plain
    np.testing.assert_allclose(sizes[True], 1.0, atol=0.02)
    # Attention, too, sees the size, so the injection is not quite proportional to it.
    assert 0.4 * scale < sizes[False] < 4 * scale


def test_the_printed_form_injects_the_projected_features_themselves():
    x, audio, vision, audio_mask, vision_mask = make_inputs()
    gmra = GMRA(heads=4, bottleneck=6, feature_norm=False)
    audio_mask, vision_mask = np.zeros_like(audio_mask), np.zeros_like(vision_mask)
    audio_mask[:, 3] = True  # one key
    inputs = (x, audio, vision, audio_mask, vision_mask)
    params = away_from_the_start(gmra.init(jax.random.key(0), *inputs, train=False)["params"])
    assert not {"audio_norm", "vision_norm"} & set(params)
    _, extras = gmra.apply({"params": params}, *inputs, train=False)
    double = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    cross = cross_numpy(double, audio[:, 3])[:, None]
    np.testing.assert_allclose(extras["injected"], extras["gate"] * cross, atol=1e-4)


def test_the_variant_is_the_printed_form_and_the_default_is_not():
    for spec, expected in (("", True), (":no_feature_norm", False)):
        shipped, _ = config.load(f"configs/crosssent_mosi.py{spec}")
        bounds.check(shipped)
        section = {k: v for k, v in shipped.model.to_dict().items() if k != "name"}
        assert build(CrossSent, section).gmra == GMRA(feature_norm=expected)


@functools.cache
def start(model):
    """Its parameters before the first step."""
    return jax.jit(lambda key: model.init(key, text_batch(), train=False)["params"])(jax.random.key(0))


def text_batch():
    """The clips of `make_inputs` with tokens."""
    _, *inputs = make_inputs()
    return {
        "text": np.random.default_rng(2).integers(1, 30, (B, T)),
        "text_mask": np.ones((B, T), bool),
        **dict(zip(("audio", "vision", "audio_mask", "vision_mask"), inputs, strict=True)),
    }


def change_by_the_adapter(dtype):
    """What LayerScale at 1e-4 changes in the states after the adapter, and in the vector before the score."""
    sizes = EncoderConfig(
        family="bert", vocab_size=30, hidden_size=D, num_layers=3, num_heads=4, intermediate_size=2 * D,
        max_positions=T,
    )  # fmt: skip
    inputs, batch = make_inputs(), text_batch()
    plain, model = (
        CrossSent(encoder=Encoder(sizes, dtype=d), gmra=GMRA(heads=4, bottleneck=6))
        for d in (jnp.float32, dtype)
    )
    with_adapter = start(plain)

    @jax.jit
    def apply(params):
        out = GMRA(4, 6).apply({"params": params["gmra"]}, *inputs, train=False, dtype=dtype)[0]
        return out, model.apply({"params": params}, batch, train=False)["fused"]

    gmra = {**with_adapter["gmra"], "adapter_scale": jnp.zeros(D)}
    states, vectors = [], []
    for params in (with_adapter, {**with_adapter, "gmra": gmra}):
        for kept, found in zip((states, vectors), apply(params), strict=True):
            kept.append(found)
    return [np.asarray(a, np.float64) - np.asarray(b, np.float64) for a, b in (states, vectors)]


def test_what_the_adapter_adds_survives_bfloat16():
    exact, rounded = (change_by_the_adapter(dtype) for dtype in (jnp.float32, jnp.bfloat16))
    for changes in (exact, rounded):
        for place in changes:
            assert np.mean(place != 0) > 0.98  # of the outputs; sums in bfloat16 left 1 to 2 % of the states
    # After the adapter it is the same change, not only some change.
    assert np.corrcoef(exact[0].ravel(), rounded[0].ravel())[0, 1] > 0.99
    np.testing.assert_allclose(np.std(rounded[0]), np.std(exact[0]), rtol=0.05)
