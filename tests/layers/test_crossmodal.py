"""Cross-modal front end against NumPy, and what must hold for any streams."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msa_jax.layers.crossmodal import SCORINGS, BilinearAttention, CrossModal
from msa_jax.layers.residual import RESIDUALS
from msa_jax.layers.transformer import sinusoids
from tests.layers.doubles import dense_numpy, double, draw

D = 8
LENGTHS = {"text": 4, "audio": 6, "vision": 3}


def norm_numpy(x, p):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * p["scale"] + p["bias"]


def softmax_numpy(scores, mask):
    weights = np.exp(scores - scores.max(-1, keepdims=True)) * mask
    return weights / weights.sum(-1, keepdims=True)


def bilinear_numpy(p, x, source, mask):
    """Eqs. 5-7, element by element."""
    e = np.array([[x1 @ p["W"] @ x2 for x2 in source] for x1 in x])
    weights = softmax_numpy(e, mask)
    return np.array([sum(a * x2 for a, x2 in zip(row, source, strict=True)) for row in weights]), weights[
        None
    ]


def multihead_numpy(p, x, source, mask, heads):
    width = x.shape[1] // heads
    q = dense_numpy(x, p["query"])
    k, v = np.split(dense_numpy(source, p["key_value"]), 2, axis=-1)
    parts = [slice(i * width, (i + 1) * width) for i in range(heads)]
    weights = [softmax_numpy(q[:, part] @ k[:, part].T / np.sqrt(width), mask) for part in parts]
    mixed = np.concatenate([w @ v[:, part] for w, part in zip(weights, parts, strict=True)], axis=-1)
    return dense_numpy(mixed, p["output"]), np.stack(weights)


def residual_numpy(variant, x, functions_and_norms, last_norm):
    """Figure 5 for a chain of functions; what each gives is summed up for ResiDual."""
    start, added = x, []
    for f, norm in functions_and_norms:
        if variant == "pre_ln":
            x = x + f(norm_numpy(x, norm))
        else:
            added.append(f(x))
            x = norm_numpy(x + added[-1], norm)
    return x + norm_numpy(start + sum(added), last_norm) if variant == "residual_dual" else x


def stack_numpy(p, x, source, mask, *, heads, scoring="multihead", residual="post_ln", positions=True):
    """One clip through a stack of layers; source None is the layer's own input."""
    if positions:
        x = x + sinusoids(*x.shape)
        source = None if source is None else source + sinusoids(*source.shape)
    chain, weights = [], []
    for i in range(len(p["layers"]["ffn_in"]["kernel"])):
        layer = jax.tree.map(lambda v, i=i: v[i], p["layers"])

        def attend(x, layer=layer):
            keys = x if source is None else source
            if scoring == "multihead":
                mixed, w = multihead_numpy(layer["attention"], x, keys, mask, heads)
            else:
                mixed, w = bilinear_numpy(layer["attention"], x, keys, mask)
            weights.append(w)
            return mixed

        def feed_forward(x, layer=layer):
            return dense_numpy(np.maximum(dense_numpy(x, layer["ffn_in"]), 0), layer["ffn_out"])

        chain += [(attend, layer["attention_norm"]), (feed_forward, layer["ffn_norm"])]
    return residual_numpy(residual, x, chain, p.get("sum_norm")), np.stack(weights)


def make_streams(modalities=tuple(LENGTHS), seed=0, lengths=LENGTHS):
    rng = np.random.default_rng(seed)
    streams = {}
    for m in modalities:
        mask = np.ones((2, lengths[m]), bool)
        mask[1, [0, -1]] = False  # the second clip begins late and ends early
        streams[m] = (rng.normal(size=(2, lengths[m], D)).astype(np.float32), mask)
    return streams


def make(streams, **fields):
    front = CrossModal(**{"heads": 2, "ffn_width": 12, **fields})
    return front, {"params": draw(front, streams)}


def run(front, variables, streams):
    # As an argument of jit the streams would come in the order of their names already.
    return jax.jit(lambda v: front.apply(v, streams, train=False))(variables)


def test_bilinear_scoring_is_eqs_5_to_7():
    rng = np.random.default_rng(0)
    x, source = rng.normal(size=(2, 4, 5)), rng.normal(size=(2, 6, 3))  # widths may differ there
    mask = np.array([[1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0]], bool)
    x, source = x.astype(np.float32), source.astype(np.float32)
    params = draw(BilinearAttention(), x, source, mask)
    assert jax.tree.map(np.shape, params) == {"W": (5, 3)}
    out, weights = BilinearAttention().apply({"params": params}, x, source, mask, train=False)
    params = double(params)
    for b in range(2):
        want, alpha = bilinear_numpy(params, x[b].astype(np.float64), source[b].astype(np.float64), mask[b])
        np.testing.assert_allclose(out[b], want, atol=1e-5)
        np.testing.assert_allclose(weights[b], alpha, atol=1e-5)


@pytest.mark.parametrize(
    ("modalities", "scoring", "residual", "positions"),
    [
        (("text", "audio", "vision"), "multihead", "post_ln", True),
        (("text", "vision"), "multihead", "pre_ln", False),
        (("audio", "vision"), "multihead", "residual_dual", True),
        (("text", "vision"), "bilinear", "post_ln", False),
        (("audio", "vision"), "bilinear", "pre_ln", True),
        (("text", "audio"), "bilinear", "residual_dual", True),
    ],
)
def test_every_direction_equals_its_equations(modalities, scoring, residual, positions):
    streams = make_streams(modalities)
    fields = {"scoring": scoring, "residual": residual, "positions": positions}
    front, variables = make(streams, **fields)
    joined, attention = run(front, variables, streams)
    copies = double(variables["params"]["directions"]["copies"])
    pairs = [(t, s) for t in sorted(modalities) for s in sorted(modalities) if s != t]
    assert sorted(attention) == pairs
    for b in range(2):
        want = {m: [] for m in modalities}
        for i, (target, source) in enumerate(pairs):
            p = jax.tree.map(lambda v, i=i: v[i], copies)
            x, keys = (streams[m][0][b].astype(np.float64) for m in (target, source))
            out, weights = stack_numpy(p, x, keys, streams[source][1][b], heads=2, **fields)
            np.testing.assert_allclose(attention[target, source][:, b], weights, atol=1e-4)
            want[target].append(out)
        for m in modalities:
            valid = streams[m][1][b]
            np.testing.assert_allclose(
                joined[m][b][valid], np.concatenate(want[m], -1)[valid], atol=1e-4, rtol=1e-4
            )
            np.testing.assert_array_equal(joined[m][b][~valid], 0)


def test_residual_variants_share_parameters_but_not_results():
    streams = make_streams(("text", "audio"))
    outs, shapes = [], []
    for residual in RESIDUALS:
        front, variables = make(streams, residual=residual)
        shapes.append(jax.tree.map(jnp.shape, variables["params"]["directions"]["copies"]["layers"]))
        outs.append(run(front, variables, streams)[0]["text"])
    assert shapes[0] == shapes[1] == shapes[2]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(outs[a] - outs[b]).max() > 0.1


def test_streams_for_one_two_and_three_modalities():
    for count in (1, 2, 3):
        modalities = tuple(LENGTHS)[:count]
        streams = make_streams(modalities)
        front, variables = make(streams)
        if count == 1:
            joined, attention = front.apply(variables, streams, train=False)
            assert joined["text"] is streams["text"][0]
            assert (variables, attention) == ({"params": {}}, {})
            continue
        joined, attention = jax.eval_shape(
            lambda v, f=front, s=streams: f.apply(v, s, train=False), variables
        )
        assert {m: x.shape for m, x in joined.items()} == {
            m: (2, LENGTHS[m], D * (count - 1)) for m in modalities
        }
        assert {pair: w.shape for pair, w in attention.items()} == {
            (t, s): (2, 2, 2, LENGTHS[t], LENGTHS[s]) for t in modalities for s in modalities if t != s
        }
        first_axes = {p.shape[0] for p in jax.tree.leaves(variables["params"]["directions"])}
        assert first_axes == {count * (count - 1)}


def test_parameters_know_nothing_of_lengths():
    shapes = [
        jax.eval_shape(
            lambda lengths=lengths: CrossModal(heads=2).init(
                jax.random.key(0), make_streams(lengths=lengths), train=False
            )
        )
        for lengths in (LENGTHS, {"text": 5, "audio": 5, "vision": 5})
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("scoring", SCORINGS)
def test_a_source_without_a_valid_step_gives_nothing_and_masked_steps_do_not_count(scoring):
    streams = make_streams(("text", "audio"))
    front, variables = make(streams, scoring=scoring)
    apply = jax.jit(lambda streams: front.apply(variables, streams, train=False))
    x, mask = streams["audio"]
    silent = {**streams, "audio": (x, np.zeros_like(mask))}
    joined, attention = apply(silent)
    np.testing.assert_array_equal(attention["text", "audio"], 0)
    np.testing.assert_array_equal(joined["audio"], 0)
    other, _ = apply({**silent, "audio": (x + 5, np.zeros_like(mask))})
    np.testing.assert_array_equal(other["text"], joined["text"])

    plain, _ = apply(streams)
    garbage = {
        m: (np.where(mask[..., None], x, 100).astype(np.float32), mask) for m, (x, mask) in streams.items()
    }
    for m, got in apply(garbage)[0].items():
        np.testing.assert_allclose(got, plain[m], atol=1e-5)
        assert np.abs(got - joined[m]).max() > 1e-3


def test_the_order_of_the_source_shows_through_positions_only():
    streams = {m: (x[:1], mask[:1]) for m, (x, mask) in make_streams(("text", "audio")).items()}
    back = {**streams, "audio": (streams["audio"][0][:, ::-1], streams["audio"][1])}
    for positions in (True, False):
        front, variables = make(streams, positions=positions)
        a, b = (run(front, variables, s)[0]["text"] for s in (streams, back))
        assert bool(np.abs(a - b).max() > 1e-3) is positions


@pytest.mark.parametrize("residual", RESIDUALS)
def test_each_residual_variant_trains(residual):
    streams = make_streams(("text", "audio"))
    front = CrossModal(heads=2, ffn_width=12, residual=residual, dropout=0.0, attention_dropout=0.0)
    params = jax.jit(lambda key: front.init(key, streams, train=False)["params"])(jax.random.key(0))
    mask = streams["text"][1]
    target = (
        np.random.default_rng(1).normal(size=(2, LENGTHS["text"], D)).astype(np.float32) * mask[..., None]
    )
    tx = optax.adam(1e-2)

    def loss(params):
        return jnp.mean((front.apply({"params": params}, streams, train=True)[0]["text"] - target) ** 2)

    def step(carry, _):
        params, opt = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, opt = tx.update(grads, opt)
        return (optax.apply_updates(params, updates), opt), value

    _, values = jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), None, length=150))(params)
    assert values[-1] < values[0] / 10


def test_dropout_differs_between_directions_and_keys():
    # One stream under two names and one set of parameters: only dropout can tell the directions apart.
    x, mask = make_streams(("text",))["text"]
    streams = {"text": (x, mask), "audio": (x, mask)}
    front, variables = make(streams)
    variables = jax.tree.map(lambda p: jnp.stack([p[0], p[0]]), variables)

    @jax.jit
    def noisy(key):
        return front.apply(variables, streams, train=True, rngs={"dropout": key})[0]

    still = run(front, variables, streams)[0]
    np.testing.assert_allclose(still["text"], still["audio"], atol=1e-6)
    first, again, other = (noisy(jax.random.key(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(first["text"], again["text"])
    assert np.abs(first["text"] - other["text"]).max() > 1e-3
    assert np.abs(first["text"] - first["audio"]).max() > 1e-3


def test_bad_settings_are_refused():
    streams = make_streams()
    for fields, message in (
        ({"scoring": "additive"}, "scoring must be"),
        ({"residual": "none"}, "residual must be"),
        ({"heads": 3}, "do not divide"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(lambda f=fields: make(streams, **f)[1])
