"""Models that compute in bfloat16: which products do, what stays in float32, and that a run goes through."""

import collections
import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import msa_jax
from msa_jax import bounds, models, parallel, step
from msa_jax import config as configs
from msa_jax.data import synthetic
from msa_jax.errors import UserError
from msa_jax.layers.convolution import MaskedConv
from msa_jax.layers.dense import Dense, Dense32
from msa_jax.main import main
from msa_jax.together import Together
from tests import kinds
from tests.models.tracing import config_of, make_state, prepared

HEAD_ALONE = ("ef_lstm", "lf_lstm", "lf_dnn", "tfn", "mfn", "graph_mfn", "mfm", "rmfn", "misa")
# The products that stay in float32, by the module or the equation that they stand in, and how many there are:
# scores that choose, what gives the score or logits itself, and the head.
EXACT = {
    "tecafn": {"TeCaFN": 2, "pair_audio": 1, "pair_vision": 1, "head_dense": 1, "output_dense": 1},
    "mulg": {"output_dense": 1},
    "amsgfn": {"score_in": 1, "score_out": 1, "hidden_dense": 1, "output_dense": 1},
    "lmf": {"bd,rdo->bro": 3, "r,bro->bo": 1},
    **{name: {"output_dense": 1} for name in HEAD_ALONE},
    "self_mm": {"output_dense": 4, "SelfMM": 4},  # the centres of the tables
    "mmim": {
        "output_dense": 1,
        **dict.fromkeys(("mean_in", "mean_out", "log_variance_in", "log_variance_out"), 4),
        # The entropies, whose logarithm magnifies what is lost.
        **{"entropy._project": 2, "sb,bd->sd": 2, "sbd,sbe->sde": 2, "ks,ksd->sd": 2, "ks,ksd,kse->sde": 4},
    },
    # The shift of a norm goes into the bias of the product after it.
    "mult": {"jd,jdf->jf": 2, "output_dense": 1},
}
# Products of bfloat16, at least, where those in float32 are many and small: forward, and with the gradient.
FEW = {"mmim": (13, 26), "self_mm": (14, 28)}
REMADE = {"mult": 1}  # products in float32 that the backward pass makes again, in layers that keep nothing
# Outputs that no product makes, and errors that hardly depend on what a model makes of them.
UNMOVED = {
    "self_mm": ["vector_text"],
    "mmim": ["vector_text"],
    "mfm": ["error_text", "error_audio", "error_vision"],
}
EXPONENTIALS = ("tecafn", "mulg", "amsgfn", "mfn", "mfm", "rmfn", "mult", "misa", "mmim")
# One of each kind: products alone, a recurrence, collections, stacks side by side.
KINDS = ("lmf", "mulg", "mmim", "mult")
FORMS = [
    *((name,) for name in (*HEAD_ALONE, "mult", "self_mm", "mmim")),
    ("tecafn",),
    ("tecafn", "printed_order"),
    ("mulg",),
    ("mulg", "flax_gru"),
    ("mulg", "bilinear"),
    ("mulg", "no_cross_modal_self_attention"),
    ("amsgfn",),
    ("lmf",),
]
# The programs of all are looked at; those of one of each kind are run.
RUN = kinds.by_default([form for form in FORMS if form[0] in KINDS], FORMS)
RNGS = {"dropout": 1, "sample": 2}


def small(name, *variants, dtype="bfloat16"):
    """A small model's config; its text is features, so that all products are its own."""
    return config_of(name, "tiny", *variants, text__encoder="features", model__dtype=dtype)


@functools.cache
def start(name, *variants):
    """(parameters of a small model at a start that both types share, a batch)."""
    pieces, batch = prepared(small(name, *variants, dtype="float32"))
    return jax.jit(pieces.initial)(jax.random.key(0)), batch


@functools.cache
def shapes(form):
    """Those of `start`'s parameters, for what only looks at a program."""
    return prepared(small(*form))[0].variables


def forward(form, dtype, *, train=False):
    """A function of the parameters that gives all outputs."""
    pieces, batch = prepared(small(*form, dtype=dtype))
    rngs = {name: jax.random.key(seed) for name, seed in RNGS.items()}
    apply = functools.partial(pieces.model.apply, batch=batch, train=train, rngs=rngs)
    if not train:
        return apply

    def trained(variables):
        return apply(variables, mutable=[name for name in variables if name != "params"])[0]

    return trained


@functools.cache
def traced(form):
    """The program of a training's forward pass in bfloat16."""
    return jax.make_jaxpr(forward(form, "bfloat16", train=True))(shapes(form)).jaxpr


def equations(program, stack=""):
    """(where it stands, equation) of a program and all programs in it."""
    for equation in program.eqns:
        where = f"{stack}/{equation.source_info.name_stack}"
        yield where, equation
        for value in equation.params.values():
            for part in value if isinstance(value, list | tuple) else [value]:
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from equations(inner, where)


def operands(equation):
    """The types of an equation's operands."""
    return {str(v.aval.dtype) for v in equation.invars}


def products(program):
    """(where it stands, equation) of the matrix products and convolutions."""
    return [e for e in equations(program) if e[1].primitive.name in ("dot_general", "conv_general_dilated")]


def test_every_model_around_an_encoder_has_the_field():
    having = {name for name in models.names() if "dtype" in configs.base.config(name).model}
    assert having == set(EXACT)
    assert {name for name in models.names() if models.find(name).needs_encoder} == {*models.names()} - having


def test_another_type_is_refused_in_one_line():
    config = configs.override(configs.base.config("lmf"), ["--config.model.dtype=float16"])
    with pytest.raises(UserError, match=r"--config\.model\.dtype: 'float16' is not one of float32, bfloat16"):
        bounds.check(config)


@pytest.mark.parametrize("layer", ["Dense", "Dense32", "MaskedConv"])
def test_the_gradient_of_a_bias_is_summed_in_float32(layer):
    """In bfloat16 a sum of ones stops at 256 or, in parts, some thousands."""
    rows, steps = 32, 500
    x = jax.random.normal(jax.random.key(0), (rows, steps, 3))
    made = {
        "Dense": (Dense(4, dtype="bfloat16"), ()),
        "Dense32": (Dense32(4, dtype="bfloat16"), ()),
        "MaskedConv": (MaskedConv(4, 3, "bfloat16"), (jnp.ones((rows, steps), bool),)),
    }
    module, rest = made[layer]
    variables = module.init(jax.random.key(1), x, *rest)
    assert module.apply(variables, x, *rest).dtype == ("bfloat16" if layer == "Dense" else "float32")
    gradient = jax.grad(lambda v: module.apply(v, x, *rest).astype(jnp.float32).sum())(variables)
    (bias,) = (v for path, v in jax.tree_util.tree_leaves_with_path(gradient) if "bias" in str(path))
    np.testing.assert_array_equal(bias, rows * steps)


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_products_take_bfloat16_but_those_that_are_named(form):
    program = traced(form)
    exact = collections.Counter()
    for where, equation in products(program):
        assert len(operands(equation)) == 1, where
        if operands(equation) != {"bfloat16"}:
            exact[where.rpartition("/")[2]] += 1
    assert exact == EXACT[form[0]]
    least = FEW.get(form[0], (exact.total() + 1,))[0]
    assert len(products(program)) - exact.total() >= least


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_softmax_norms_and_what_steps_and_layers_hand_on_are_float32(form):
    program = traced(form)
    found = collections.Counter()
    for where, equation in equations(program):
        kind = equation.primitive.name
        if kind in ("exp", "rsqrt", "div"):  # of a softmax, of a norm, of a mean
            assert "bfloat16" not in operands(equation), where
            found[kind] += 1
        if kind == "scan":
            carried = equation.outvars[: equation.params["num_carry"]]
            assert "bfloat16" not in {str(v.aval.dtype) for v in carried}, where
            found[kind] += 1
    assert found["scan"]
    assert bool(found["exp"]) is (form[0] in EXPONENTIALS)


@pytest.mark.parametrize("form", FORMS, ids="-".join)
def test_the_backward_pass_multiplies_in_bfloat16_too(form):
    """No product of both types: a gradient in float32 would turn the large products into such."""
    apply = forward(form, "bfloat16", train=True)
    rest = dict(shapes(form))
    params = rest.pop("params")
    gradient = jax.grad(lambda p, rest: apply({"params": p, **rest})["prediction"].sum())
    program = jax.make_jaxpr(gradient)(params, rest).jaxpr
    types = collections.Counter()
    for where, equation in products(program):
        assert len(operands(equation)) == 1, where
        types.update(operands(equation))
    exact = sum(EXACT[form[0]].values())
    # Each forward, and for the gradients of both operands.
    assert 0 < types["float32"] <= 3 * exact + REMADE.get(form[0], 0)
    assert types["bfloat16"] >= FEW.get(form[0], (0, 6 * exact))[1]


@pytest.mark.parametrize("form", RUN, ids="-".join)
def test_outputs_are_float32_and_near_those_of_float32(form):
    variables, _ = start(*form)
    exact, near = (jax.jit(forward(form, dtype))(variables) for dtype in ("float32", "bfloat16"))
    assert exact.keys() == near.keys()
    for name, wanted in exact.items():
        found = near[name]
        assert found.dtype == wanted.dtype
        if wanted.dtype != jnp.float32:
            np.testing.assert_array_equal(found, wanted)
            continue
        away = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        assert away < 10 * 2**-8, name
        assert away > 2**-14 or name in UNMOVED.get(form[0], ())


@pytest.mark.parametrize("name", kinds.by_default(KINDS, EXACT))
def test_loss_and_gradients_are_finite_and_near_those_of_float32(name):
    variables, batch = start(name)
    found = []
    for dtype in ("float32", "bfloat16"):
        config = small(name, dtype=dtype)
        state = make_state(config, dataclasses.replace(prepared(config)[0], variables=variables))
        (loss, _), gradient = jax.jit(step.gradient)(state, batch)
        assert np.isfinite(loss)
        assert {str(x.dtype) for x in jax.tree.leaves(gradient)} == {"float32"}
        found.append(np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient)]))
    exact, near = found
    assert np.isfinite(near).all()
    assert 2**-14 < np.linalg.norm(near - exact) / np.linalg.norm(exact) < 0.1


def types_of(state):
    """The types of a state's parameters, and of what the optimiser keeps."""
    return tuple({str(x.dtype) for x in jax.tree.leaves(tree)} for tree in (state.params, state.opt_state))


@pytest.mark.parametrize("name", EXACT)
def test_parameters_and_what_the_optimiser_keeps_stay_float32(name):
    config = small(name)
    pieces, batch = prepared(config)
    state = jax.eval_shape(
        lambda v: make_state(config, dataclasses.replace(pieces, variables=v)), pieces.variables
    )
    after, _ = jax.eval_shape(step.train_step, state, batch)
    params, kept = types_of(after)
    assert params == {"float32"}
    assert kept <= {"float32", "int32"}


@pytest.mark.parametrize("name", kinds.by_default(("lmf", "mmim"), KINDS))
def test_several_seeds_take_the_steps_of_each(name):
    config = small(name)
    pieces, batch = prepared(config)
    alone = []
    for seed in (3, 5):
        config.seed = seed
        alone.append(make_state(config, pieces.of_seed(seed)))
    together = Together(2, (), parallel.layout().for_seeds(2))
    state = together.state(alone)
    after, terms = jax.jit(together.step(step.train_step, state))(state, batch)
    one_step = jax.jit(step.train_step)
    ends, losses = zip(*(one_step(one, batch) for one in alone), strict=True)
    wanted = [float(of_one["loss"]) for of_one in losses]
    np.testing.assert_allclose(terms["loss"], wanted, rtol=2**-8)
    assert wanted[0] != pytest.approx(wanted[1], rel=1e-3)
    for end in (after, *ends):
        params, kept = types_of(end)
        assert params == {"float32"}
        assert kept <= {"float32", "int32"}
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(end.params))


@pytest.mark.parametrize("name", kinds.by_default(("lmf", "mulg"), KINDS))
def test_a_run_goes_through_the_command_and_is_loaded(name, tmp_path, monkeypatch):
    few = dataclasses.replace(synthetic.PRESETS["synthetic"], counts=(8, 8, 8), max_words=4, mean_words=3.0)
    monkeypatch.setitem(synthetic.PRESETS, "synthetic", few)
    seeds = "0,1" if name == "lmf" else "()"
    values = {"data.cache": tmp_path / "cache", "epochs": 1, "data.buckets": 1, "eval_batch_size": 8}
    values |= {"model.dtype": "bfloat16", "text.dtype": "bfloat16", "seeds": seeds}
    argv = [f"--config=configs/{name}_mosi.py:synthetic:tiny", f"--workdir={tmp_path / 'run'}"]
    assert main([*argv, *(f"--config.{key}={value}" for key, value in values.items())]) == 0
    folder = tmp_path / "run" / ("seed_1" if name == "lmf" else "")
    assert json.loads((folder / "config.json").read_text())["model"]["dtype"] == "bfloat16"
    run = msa_jax.load(folder)
    assert run.model.dtype == "bfloat16"
    texts, audio = ["ba be", "bi"], [np.ones((2, 74), np.float32), None]
    scores = run.predict(texts, audio=audio)
    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]
    exact = dataclasses.replace(run, model=run.model.clone(dtype="float32"))
    difference = np.abs(scores - exact.predict(texts, audio=audio)).max()
    assert 0 < difference < 0.1
