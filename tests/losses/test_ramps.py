"""Ramps of CrossSent's two terms: when each starts, how long it rises, and in which steps it does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import bounds, config
from msa_jax.errors import UserError
from msa_jax.losses import CosineRamp, Objective, Term, ramped
from msa_jax.losses.objective import Clock
from msa_jax.models import fields
from msa_jax.models.crosssent import Loss

EPOCHS, STEPS = 10, 4  # of a run, and of each epoch
RUN = np.arange(EPOCHS * STEPS)


def ramp_numpy(step, weight, share, start=0, unit="epoch"):
    """(1 - cos(pi min(1, e / E))) / 2 of the weight, e counted from the start; 0 before it."""
    done = step // STEPS if unit == "epoch" else step / STEPS
    if done < start:
        return 0.0
    progress = min(1.0, (done - start) / (share * EPOCHS)) if share else 1.0
    return weight * (1 - np.cos(np.pi * progress)) / 2


def weights(schedule):
    return np.array([schedule(Clock(jnp.asarray(s), STEPS, EPOCHS)) for s in RUN])


def loss_at(step, **changes):
    """(total, values) of a batch of made scores with the fields of `Loss` that are given."""
    rng = np.random.default_rng(0)
    outputs = {"prediction": jnp.asarray(rng.normal(size=8), jnp.float32)}
    batch = {"label": jnp.asarray(rng.uniform(-3, 3, 8), jnp.float32), "mask": jnp.arange(8) < 6}
    objective = Loss(**changes).objective(None, epochs=EPOCHS, steps_per_epoch=STEPS)
    return objective(outputs, batch, step=jnp.asarray(step), key=jax.random.key(0))


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_ramp_equals_its_formula_at_every_step(share, start, unit):
    expected = [ramp_numpy(s, 0.5, share, start, unit) for s in RUN]
    got = weights(CosineRamp(0.5, share, start, unit))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    np.testing.assert_array_equal(got[: start * STEPS], 0)  # exactly, and not only nearly
    assert start == 0 or share or got[start * STEPS] == 0.5


def test_the_default_is_to_the_bit_the_ramp_over_whole_epochs_without_a_start():
    schedule = ramped(0.06, 0.5)
    for step in RUN:
        epoch = jnp.asarray(step) // STEPS
        progress = jnp.minimum(epoch / (0.5 * EPOCHS), 1.0)
        assert schedule(Clock(jnp.asarray(step), STEPS, EPOCHS)) == 0.06 * 0.5 * (
            1.0 - jnp.cos(jnp.pi * progress)
        )


def test_the_units_agree_where_an_epoch_begins_and_only_step_rises_within_one():
    by_epoch, by_step = (weights(CosineRamp(1.0, 0.5, 2, unit)) for unit in ("epoch", "step"))
    np.testing.assert_allclose(by_step[::STEPS], by_epoch[::STEPS], atol=1e-6)
    rises = {}
    for unit, weight in (("epoch", by_epoch), ("step", by_step)):
        rises[unit] = np.diff(weight.reshape(EPOCHS, STEPS), axis=1) > 0
    assert not rises["epoch"].any()
    assert rises["step"][2:7].all()  # 2 epochs of 0, then 5 of the ramp
    assert not rises["step"][:2].any()
    assert not rises["step"][7:].any()


def test_what_never_changes_is_no_schedule():
    assert ramped(0.5, 0.0) == 0.5
    assert ramped(0.0, 0.5, start=2, unit="step") == 0.0
    assert ramped(0.5, 0.0, start=2) == CosineRamp(0.5, 0.0, start=2)
    assert ramped(0.5, 0.5, unit="step") == CosineRamp(0.5, 0.5, unit="step")


def test_by_default_both_terms_weigh_nothing_in_the_first_epoch_and_then_rise_together():
    for step in RUN:
        total, values = loss_at(step)
        share = ramp_numpy(step, 1.0, 0.5)
        np.testing.assert_allclose(values["mpr_weight"], 0.50 * share, atol=1e-6)
        np.testing.assert_allclose(values["eioi_weight"], 0.06 * share, atol=1e-6)
        expected = values["mse"] + share * (0.50 * values["mpr"] + 0.06 * values["eioi"])
        np.testing.assert_allclose(total, expected, rtol=1e-6)
        assert step >= STEPS or total == values["mse"]
        assert values["mpr"] > 0
        assert values["eioi"] > 0


def test_each_term_has_a_start_and_a_length_of_its_own():
    changes = {"mpr_start": 2, "mpr_ramp": 0.3, "eioi_start": 1, "eioi_ramp": 0.8, "ramp_unit": "step"}
    for step in RUN:
        total, values = loss_at(step, **changes)
        mpr, eioi = ramp_numpy(step, 0.5, 0.3, 2, "step"), ramp_numpy(step, 0.06, 0.8, 1, "step")
        np.testing.assert_allclose(values["mpr_weight"], mpr, atol=1e-6)
        np.testing.assert_allclose(values["eioi_weight"], eioi, atol=1e-6)
        np.testing.assert_allclose(
            total, values["mse"] + mpr * values["mpr"] + eioi * values["eioi"], rtol=1e-6
        )


@pytest.mark.parametrize(
    ("changes", "idle"),
    [
        ({}, ()),
        ({"eioi_start": EPOCHS}, ("eioi",)),
        ({"eioi_start": EPOCHS - 1}, ("eioi",)),  # its ramp is still 0 in the epoch that it starts in
        ({"eioi_start": EPOCHS - 1, "eioi_ramp": 0.0}, ()),
        ({"mpr_start": EPOCHS - 1, "ramp_unit": "step"}, ()),
        ({"mpr_start": 3 * EPOCHS, "eioi_start": EPOCHS}, ("mpr", "eioi")),
    ],
)
def test_a_term_that_never_gets_a_weight_is_named(changes, idle):
    assert Loss(**changes).objective(None, epochs=EPOCHS, steps_per_epoch=STEPS).idle() == idle


def test_a_term_that_is_on_only_in_the_middle_of_a_run_is_not_named():
    falls = Term("falls", lambda clock: jnp.maximum(0.0, 1 - clock.step / 20), lambda *_: jnp.zeros(()))
    objective = Objective("mse", lambda *_: jnp.zeros(()), (falls,), epochs=EPOCHS, steps_per_epoch=STEPS)
    assert objective.idle() == ()


def test_the_variant_counts_eioi_in_full_from_the_first_step_and_leaves_mpr_as_it_is():
    shipped, _ = config.load("configs/crosssent_mosi.py:eioi_from_start")
    bounds.check(shipped)
    section = shipped.loss.to_dict()
    assert fields.build(Loss, section) == Loss(eioi_ramp=0.0)
    for step in RUN:
        total, values = loss_at(step, **section)
        assert "eioi_weight" not in values  # a plain number, which no schedule gives
        mpr = ramp_numpy(step, 0.5, 0.5)
        np.testing.assert_allclose(values["mpr_weight"], mpr, atol=1e-6)
        np.testing.assert_allclose(
            total, values["mse"] + mpr * values["mpr"] + 0.06 * values["eioi"], rtol=1e-6
        )


def test_the_step_is_no_constant_of_the_program():
    traced = []

    @jax.jit
    def weight(step):
        traced.append(step)
        return CosineRamp(0.5, 0.5, 1, "step")(Clock(step, STEPS, EPOCHS))

    got = [weight(jnp.asarray(s)) for s in RUN]
    np.testing.assert_allclose(got, [ramp_numpy(s, 0.5, 0.5, 1, "step") for s in RUN], atol=1e-6)
    assert len(traced) == 1


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("ramp_unit", "batch", "is not one of epoch, step"),
        ("mpr_start", -1, "is less than 0"),
        ("eioi_ramp", 1.5, r"does not lie in \[0, 1\]"),
    ],
)
def test_values_that_no_ramp_has_are_refused(key, value, message):
    shipped, _ = config.load("configs/crosssent_mosi.py")
    shipped.loss[key] = value
    with pytest.raises(UserError, match=rf"loss\.{key}: \S+ {message}"):
        bounds.check(shipped)
