"""Properties of the encoder that need no reference: hooks, masks, dropout, dtypes."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.errors import UserError
from msa_jax.text import Encoder, EncoderConfig

CONFIG = EncoderConfig(
    family="bert",
    vocab_size=31,
    hidden_size=12,
    num_layers=3,
    num_heads=2,
    intermediate_size=20,
    max_positions=9,
    initializer_range=0.3,
)
IDS = np.random.default_rng(0).integers(1, CONFIG.vocab_size, (2, 7)).astype(np.int32)
MASK = np.arange(7)[None] < np.array([[7], [4]])


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(1)

    def draw(path, leaf):
        centre = 1.0 if path[-1].key == "scale" else 0.0
        return jnp.asarray(rng.normal(centre, 0.3, leaf.shape), leaf.dtype)

    shapes = jax.eval_shape(Encoder(CONFIG).init, jax.random.key(0), IDS)
    return jax.tree_util.tree_map_with_path(draw, shapes)


def apply(variables, config=CONFIG, dtype=jnp.float32, ids=IDS, mask=MASK, **kwargs):
    return Encoder(config, dtype=dtype).apply(variables, ids, mask, **kwargs)


def test_outputs_have_the_documented_shapes_and_names(variables):
    out = apply(variables)
    assert out["last_hidden_state"].shape == (2, 7, 12)
    assert out["hidden_states"].shape == (4, 2, 7, 12)
    assert out["attentions"].shape == (3, 2, 2, 7, 7)
    np.testing.assert_allclose(out.attentions.sum(-1), 1.0, rtol=1e-5)
    with pytest.raises(KeyError):
        out["pooled"]
    bare = apply(variables, output_hidden_states=False, output_attentions=False)
    assert bare.hidden_states is None
    assert bare.attentions is None


def test_identity_hooks_change_nothing(variables):
    out = apply(variables, hooks={k: lambda x: x for k in range(-1, 3)})
    for got, want in zip(jax.tree.leaves(out), jax.tree.leaves(apply(variables)), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_hook_replaces_its_layers_output_and_reaches_the_layers_above(variables):
    plain = apply(variables)
    out = apply(variables, hooks={1: lambda x_BTD: x_BTD.at[..., 0].add(1.0)})
    np.testing.assert_array_equal(out.hidden_states[:2], plain.hidden_states[:2])
    np.testing.assert_array_equal(out.hidden_states[2], plain.hidden_states[2].at[..., 0].add(1.0))
    np.testing.assert_array_equal(out.attentions[:2], plain.attentions[:2])
    assert np.abs(out.attentions[2] - plain.attentions[2]).max() > 1e-3
    assert np.abs(out.last_hidden_state - plain.last_hidden_state).max() > 1e-3


def test_a_hook_on_the_embeddings_is_the_first_layers_input(variables):
    plain = apply(variables)
    out = apply(variables, hooks={-1: lambda x_BTD: x_BTD.at[..., 0].add(1.0)})
    np.testing.assert_array_equal(out.hidden_states[0], plain.hidden_states[0].at[..., 0].add(1.0))
    assert np.abs(out.attentions[0] - plain.attentions[0]).max() > 1e-3
    replaced = apply(variables, ids=IDS[::-1], hooks={-1: lambda x_BTD: plain.hidden_states[0]})
    np.testing.assert_array_equal(replaced.last_hidden_state, plain.last_hidden_state)


def test_a_hook_on_the_last_layer_is_the_output(variables):
    out = apply(variables, hooks={2: jnp.zeros_like})
    assert not np.any(out.last_hidden_state)


def test_a_hook_may_call_a_module_of_the_caller():
    class Shifted(nn.Module):
        @nn.compact
        def __call__(self, ids):
            shift = nn.Dense(CONFIG.hidden_size, name="shift")
            encoder = Encoder(dataclasses.replace(CONFIG, num_layers=1), name="encoder")
            return encoder(ids, hooks={0: lambda x: x + shift(x)}).last_hidden_state

    shapes = jax.eval_shape(Shifted().init, jax.random.key(0), IDS)
    assert set(shapes["params"]) == {"shift", "encoder"}
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01).at[..., 0].set(1.0), shapes)
    grads = jax.jit(jax.grad(lambda v: jnp.sum(Shifted().apply(v, IDS)[:, 0, :3])))(variables)
    assert np.any(grads["params"]["shift"]["kernel"])


@pytest.mark.parametrize("key", [-2, 3, "last"])
def test_a_hook_for_no_layer_is_an_error(variables, key):
    with pytest.raises(ValueError, match="layers are 0 to 2, and -1 the embeddings"):
        apply(variables, hooks={key: lambda x: x})


def test_a_hook_that_changes_the_shape_is_an_error(variables):
    for key in (-1, 1):
        with pytest.raises(ValueError, match=f"hook {key} turned"):
            apply(variables, hooks={key: lambda x: x[:, 1:]})


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_padding_does_not_reach_valid_tokens(family, variables):
    config = dataclasses.replace(CONFIG, family=family)
    padded = np.where(MASK, IDS, config.pad_id)
    out = apply(variables, config, ids=padded)
    alone = jax.jit(lambda ids: apply(variables, config, ids=ids, mask=None))(padded[1:, :4])
    np.testing.assert_allclose(out.hidden_states[:, 1:, :4], alone.hidden_states, atol=2e-6)
    other = apply(variables, ids=np.where(MASK, IDS, 5))
    np.testing.assert_array_equal(
        np.asarray(apply(variables).hidden_states)[:, MASK], other.hidden_states[:, MASK]
    )


def test_a_row_without_valid_tokens_is_finite_forward_and_backward(variables):
    config = dataclasses.replace(CONFIG, num_layers=2)

    def loss(v):
        return jnp.sum(apply(v, config, mask=jnp.zeros((2, 7), bool)).last_hidden_state[..., 0])

    value, grads = jax.jit(jax.value_and_grad(loss))(variables)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))


def test_dropout_is_active_in_training_only(variables):
    def run(key, train):
        return apply(variables, train=train, rngs={"dropout": key})

    first, again, second = (run(jax.random.key(k), True).last_hidden_state for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_allclose(
        run(jax.random.key(0), False).hidden_states, apply(variables).hidden_states, atol=2e-6
    )
    still = dataclasses.replace(CONFIG, hidden_dropout=0.0, attention_dropout=0.0)
    np.testing.assert_array_equal(
        apply(variables, still, train=True).last_hidden_state, apply(variables).last_hidden_state
    )


@pytest.mark.parametrize("place", ["hidden_dropout", "attention_dropout"])
def test_each_dropout_rate_acts_alone(variables, place):
    rates = {"hidden_dropout": 0.0, "attention_dropout": 0.0, place: 0.5}
    config = dataclasses.replace(CONFIG, **rates)
    out = apply(variables, config, train=True, rngs={"dropout": jax.random.key(0)})
    dropped = np.mean(
        np.asarray(out.hidden_states[0]) == 0
    )  # only the embeddings' dropout leaves exact zeros
    assert dropped == (0 if place == "attention_dropout" else pytest.approx(0.5, abs=0.15))
    assert np.abs(out.last_hidden_state - apply(variables).last_hidden_state).max() > 1e-3


def products_of(program):
    """The matrix products of a program and of all programs in it."""
    for equation in program.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products_of(inner)


def test_bfloat16_multiplies_in_it_and_stays_close(variables):
    out, exact = apply(variables, dtype=jnp.bfloat16), apply(variables)
    np.testing.assert_allclose(out.last_hidden_state, exact.last_hidden_state, atol=0.1)
    program = jax.make_jaxpr(lambda v: apply(v, dtype=jnp.bfloat16).last_hidden_state)(variables)
    products = list(products_of(program.jaxpr))
    assert len(products) >= 6 * CONFIG.num_layers
    assert {v.aval.dtype for e in products for v in e.invars} == {jnp.dtype("bfloat16")}
    params = jax.eval_shape(Encoder(CONFIG, dtype=jnp.bfloat16).init, jax.random.key(0), IDS)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_hidden_states_are_float32_so_that_bfloat16_keeps_what_a_hook_adds(variables):
    added = 1e-4 * jax.random.normal(jax.random.key(0), (2, 7, CONFIG.hidden_size))
    plain, hooked = (
        apply(variables, dtype=jnp.bfloat16, hooks={0: hook}) for hook in (lambda x: x, lambda x: x + added)
    )
    assert hooked.hidden_states.dtype == hooked.attentions.dtype == jnp.float32
    np.testing.assert_allclose(hooked.hidden_states[1] - plain.hidden_states[1], added, atol=1e-6)
    # In bfloat16 nearly every state would be the same at first, and half of them still at the end.
    assert np.mean(hooked.hidden_states[2:] != plain.hidden_states[2:]) > 0.99


def test_initial_parameters_have_the_configured_scale():
    config = dataclasses.replace(CONFIG, num_layers=1)
    params = jax.jit(Encoder(config).init)(jax.random.key(0), IDS)["params"]
    for kernel in (params["embeddings"]["word"], params["layer_0"]["qkv"]["kernel"]):
        np.testing.assert_allclose(np.std(kernel), config.initializer_range, rtol=0.15)
    assert not np.any(params["layer_0"]["mlp_in"]["bias"])
    np.testing.assert_array_equal(params["layer_0"]["mlp_norm"]["scale"], 1.0)


def test_too_many_tokens_is_an_error(variables):
    with pytest.raises(ValueError, match="10 tokens"):
        apply(variables, ids=np.ones((1, 10), np.int32), mask=None)
    assert dataclasses.replace(CONFIG, family="roberta", pad_id=1).max_tokens == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "gpt2.*bert, roberta"),
        ({"hidden_act": "mish"}, "mish.*gelu_new"),
        ({"position_embedding_type": "relative_key"}, "relative_key.*absolute"),
        ({"num_attention_heads": 5}, "12.*5"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout"),
    ],
)
def test_an_unsupported_config_says_what_is_supported(change, message):
    values = {
        "model_type": "bert",
        "vocab_size": 31,
        "hidden_size": 12,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 20,
        "max_position_embeddings": 9,
        "initializer_range": 0.3,
    }
    assert EncoderConfig.from_json(values) == CONFIG
    with pytest.raises(UserError, match=message):
        EncoderConfig.from_json({**values, **change})


def test_layers_that_are_computed_again_give_the_same_gradient_and_keep_less():
    """What the forward pass keeps for the backward one; XLA on a CPU keeps it all the same, on a GPU not."""
    config = dataclasses.replace(CONFIG, num_layers=6, hidden_dropout=0.1, attention_dropout=0.1)
    params = jax.jit(Encoder(config).init)(jax.random.key(0), IDS)
    weights = jax.random.normal(jax.random.key(2), (*IDS.shape, config.hidden_size))

    def loss(params, remat):
        encoder, keys = Encoder(config, remat=remat), {"dropout": jax.random.key(1)}
        out = encoder.apply(
            params, IDS, train=True, rngs=keys, output_hidden_states=False, output_attentions=False
        )
        return (out.last_hidden_state * weights).sum()

    plain, again = (jax.jit(jax.grad(lambda p, r=r: loss(p, r)))(params) for r in (False, True))
    assert jax.tree.structure(plain) == jax.tree.structure(again)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(a).max())
    kept, less = (
        jax.tree.leaves(jax.eval_shape(lambda p, r=r: jax.vjp(lambda p: loss(p, r), p)[1], params))
        for r in (False, True)
    )
    size = sum(x.size for x in jax.tree.leaves(params))
    assert sum(x.size for x in less) - size < 0.3 * (sum(x.size for x in kept) - size)
