"""What is asked of every model's file, and of every variant that it declares."""

import dataclasses
import functools

import jax
import pytest

from msa_jax import config as configs
from msa_jax import models, train
from tests.models.tracing import config_of, make_state, prepared, traced, without_weights

BASE = configs.base.VARIANTS
# The embedded corpus takes another run, and need not take another model.
SAME_MODEL = ("synthetic",)
VARIANTS = [(name, variant) for name in models.names() for variant in {**models.find(name).variants, **BASE}]


@functools.cache
def full(name, *variants):
    """The full form of a model."""
    return traced(config_of(name, *variants))


def differs(one, other):
    """Whether two forms of a model have other parameters, another loss or another program, or, with the same
    program, whether what the config leaves of the clips changes the loss."""
    if (one.shapes, one.terms) != (other.shapes, other.terms) or one.program() != other.program():
        return True
    return abs(one.value() - other.value()) > 1e-5


@pytest.mark.parametrize("name", models.names())
def test_a_model_does_not_differ_from_itself(name):
    assert not differs(traced(config_of(name, "tiny")), full(name, "tiny"))


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_every_variant_traces_and_differs_from_the_full_model(name, variant):
    size = () if variant == "tiny" else ("tiny",)
    changed = traced(config_of(name, *size, variant))
    assert variant in SAME_MODEL or differs(changed, full(name, *size))


@pytest.mark.parametrize("name", models.names())
def test_a_model_without_text_has_an_encoder_only_where_it_lives_in_one(name):
    for variant in ("no_text", "audio_only", "vision_only"):
        assert ("encoder" in traced(config_of(name, "tiny", variant)).shapes) is (
            models.find(name).needs_encoder
        )


@pytest.mark.parametrize("path", configs.shipped_files(), ids=lambda path: path.stem)
def test_one_step_of_each_shipped_config_traces(path):
    config = without_weights(configs.load(str(path))[0])
    pieces, batch = prepared(config)

    def first(variables):
        return make_state(config, dataclasses.replace(pieces, variables=variables))

    state = jax.eval_shape(first, pieces.variables)
    after, terms = jax.eval_shape(train.train_step, state, batch)
    assert config.loss.task in terms
    assert after == state  # shapes and types: a second step compiles nothing
