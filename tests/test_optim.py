"""Schedule, clip and parameter groups."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from msa_jax import optim
from msa_jax.errors import UserError
from msa_jax.step import split_frozen
from tests.models.tracing import config_of, without_numbers

PARAMS = {"encoder": {"layers": {"kernel": jnp.ones(3)}}, "gmra": {"key": {"kernel": jnp.ones(2)}}}
OPTIM = {
    "learning_rate": 1e-3,
    "warmup": 0.4,
    "warmup_steps": 0,
    "schedule": "linear",
    "coupled": False,
    "clip": 2.0,
    "clip_value": math.inf,
    "accumulate": 1,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "groups": (("^encoder/", 1.0), (".*", 100.0)),
}


def test_linear_warm_up_then_linear_decay():
    rate = optim.schedule("linear", 2.0, total_steps=10, warmup_steps=4)
    expected = [0, 0.5, 1, 1.5, 2, 2 * 5 / 6, 2 * 4 / 6, 2 * 3 / 6, 2 * 2 / 6, 2 / 6, 0]
    np.testing.assert_allclose([float(rate(s)) for s in range(11)], expected, rtol=1e-5, atol=1e-7)


def test_no_warm_up_starts_at_the_peak_and_no_decay_stays_there():
    assert float(optim.schedule("linear", 2.0, total_steps=10, warmup_steps=0)(0)) == 2.0
    flat = optim.schedule("constant", 2.0, total_steps=10, warmup_steps=2)
    assert [float(flat(s)) for s in (1, 2, 9, 10)] == [1.0, 2.0, 2.0, 2.0]


def test_a_frozen_part_is_known_by_no_optimiser():
    """It stays as it is even with weight decay, and has no moments to keep."""
    trained, frozen = split_frozen(PARAMS, ("encoder",))
    assert (set(trained), set(frozen)) == ({"gmra"}, {"encoder"})
    tx, _ = optim.make_optimizer({**OPTIM, "weight_decay": 0.1, "warmup": 0.0}, trained, total_steps=10)
    state = tx.init(trained)
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, trained), state, trained)
    assert all(np.asarray(u).all() for u in jax.tree.leaves(updates["gmra"]))
    assert set(optax.tree_utils.tree_get(state, "mu")) == {"gmra"}


def test_groups_scale_the_learning_rate_and_nothing_else():
    tx, rate = optim.make_optimizer(OPTIM, PARAMS, total_steps=10)
    state = tx.init(PARAMS)
    grads = {
        "encoder": {"layers": {"kernel": jnp.full(3, 0.1)}},
        "gmra": {"key": {"kernel": jnp.full(2, 0.3)}},
    }
    for step in range(4):
        updates, state = tx.update(grads, state, PARAMS)
        # Adam on a constant gradient moves each entry by the learning rate.
        np.testing.assert_allclose(updates["encoder"]["layers"]["kernel"], -rate(step), rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(updates["gmra"]["key"]["kernel"], -100 * rate(step), rtol=1e-4, atol=1e-9)


def test_the_clip_is_of_the_global_norm():
    """Two gradients in one direction beyond the clip give the same moments."""
    tx, _ = optim.make_optimizer(OPTIM, PARAMS, total_steps=10)
    states = []
    for size in (10.0, 1000.0):
        grads = {
            "encoder": {"layers": {"kernel": jnp.full(3, size)}},
            "gmra": {"key": {"kernel": jnp.full(2, -size)}},
        }
        states.append(optax.tree_utils.tree_get(tx.update(grads, tx.init(PARAMS), PARAMS)[1], "mu"))
    np.testing.assert_allclose(
        states[0]["gmra"]["key"]["kernel"], states[1]["gmra"]["key"]["kernel"], rtol=1e-5
    )
    np.testing.assert_allclose(states[0]["encoder"]["layers"]["kernel"], 0.1 * 2.0 / np.sqrt(5), rtol=1e-4)


def test_a_pattern_that_matches_nothing_is_an_error():
    assert optim.unused(PARAMS, (("encodr", 1.0), (".*", 2.0))) == {"encodr"}
    assert optim.unused(PARAMS, ((".*", 2.0), ("^encoder/", 1.0))) == {"^encoder/"}  # never the first
    assert optim.unused(PARAMS, (("^encoder/", 1.0), (".*", 2.0))) == set()
    with pytest.raises(UserError, match="no pattern matches the parameter gmra/key/kernel"):
        optim.group_values(PARAMS, (("^encoder/", 1.0),), weight_decay=0.0)


def test_without_an_encoder_the_other_groups_stay():
    params = {"gmra": PARAMS["gmra"]}
    factors, decays = optim.group_values(params, OPTIM["groups"], weight_decay=0.3)
    assert factors["gmra"]["key"]["kernel"] == 100.0
    assert decays["gmra"]["key"]["kernel"] == 0.3


BY_MODALITY = (("^encoder/.*bias", 0.1, 0.0), ("^audio_", 5.0), ("^vision_", 2.0), (".*", 1.0))


@pytest.mark.parametrize("variants", [(), ("no_audio",), ("text_only",), ("no_text",)])
def test_a_form_of_a_model_need_not_have_all_the_parameters_that_groups_name(variants):
    form = partial(config_of, "lmf", "tiny", *variants, text__encoder="scratch")
    without_numbers(form(optim__groups=BY_MODALITY))  # not refused
    wrong = form(optim__groups=(("^adio_", 5.0), *BY_MODALITY))
    with pytest.raises(UserError, match="'\\^adio_' is never the first match for any parameter"):
        without_numbers(wrong)


def test_the_clip_of_values_comes_before_the_clip_of_the_norm():
    """Adam hides the scale of a gradient, but not which of two is how many times the other."""
    section = {**OPTIM, "clip": 1.0, "clip_value": 0.5, "warmup": 0.0, "groups": ((".*", 1.0),)}
    params = {"x": jnp.zeros(3)}
    tx, _ = optim.make_optimizer(section, params, total_steps=10)
    _, state = tx.update({"x": jnp.array([3.0, -4.0, 0.25])}, tx.init(params), params)
    clipped = np.array([0.5, -0.5, 0.25])  # of a norm of 0.75
    np.testing.assert_allclose(optax.tree_utils.tree_get(state, "mu")["x"], 0.1 * clipped, rtol=1e-5)


@pytest.mark.parametrize("clip", [{}, {"clip": 0.3}, {"clip_value": 0.1}])
def test_accumulated_steps_are_one_step_of_their_mean(clip):
    section = {**OPTIM, "schedule": "constant", "warmup": 0.0, "groups": ((".*", 1.0),), **clip}
    params = {"x": jnp.zeros(2)}
    every, rate = optim.make_optimizer({**section, "accumulate": 3, "warmup_steps": 6}, params, total_steps=9)
    whole, its_rate = optim.make_optimizer({**section, "warmup_steps": 2}, params, total_steps=3)
    state, other = every.init(params), whole.init(params)
    x, y = params, params
    grads = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    for step, grad in enumerate(grads):
        updates, state = every.update({"x": jnp.asarray(grad)}, state, x)
        x = optax.apply_updates(x, updates)
        assert float(rate(step)) == float(its_rate(step // 3))
        if step % 3 == 2:
            mean = {"x": jnp.asarray(grads[step - 2 : step + 1].mean(0))}
            updates, other = whole.update(mean, other, y)
            y = optax.apply_updates(y, updates)
        np.testing.assert_allclose(x["x"], y["x"], rtol=1e-5, atol=1e-9)
    assert np.abs(x["x"]).max() > 1e-4
