"""The optimiser's schedules, its two kinds of weight decay, and the decay of a group."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import optim
from msa_jax.config import base

PARAMS = {
    "encoder": {"kernel": np.array([1.0, -2.0])},
    "head": {"kernel": np.array([3.0]), "bias": np.array([0.5])},
}


def section(**changes):
    out = base.common().optim
    out.update_from_flattened_dict({"learning_rate": 0.1, "clip": 1e9, **changes})
    return out


def adam_numpy(params, grads, *, rate, decay, coupled, eps=1e-8):
    """Adam (Kingma and Ba 2015) with L2 in the gradient, or beside the step (Loshchilov and Hutter 2019)."""
    m = v = np.zeros_like(params)
    for t, g in enumerate(grads, 1):
        g = g + decay * params if coupled else g
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + eps)
        params = params - rate * (step + (0 if coupled else decay * params))
    return params


@pytest.mark.parametrize("coupled", [True, False])
def test_both_decays_equal_their_definition_and_a_group_has_its_own(coupled):
    groups = (("bias", 1.0, 0.0), ("^encoder/", 0.5, 0.2), (".*", 1.0))
    tx, _ = optim.make_optimizer(
        section(coupled=coupled, weight_decay=0.4, groups=groups), PARAMS, total_steps=5
    )
    params, state = jax.tree.map(jnp.asarray, PARAMS), tx.init(PARAMS)
    rng = np.random.default_rng(0)
    grads = [jax.tree.map(lambda p: rng.normal(size=p.shape).astype(np.float32), PARAMS) for _ in range(5)]
    for g in grads:
        updates, state = tx.update(g, state, params)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
    for part, name, rate, decay in (
        ("encoder", "kernel", 0.05, 0.2),
        ("head", "kernel", 0.1, 0.4),
        ("head", "bias", 0.1, 0.0),
    ):
        expected = adam_numpy(
            PARAMS[part][name], [g[part][name] for g in grads], rate=rate, decay=decay, coupled=coupled
        )
        np.testing.assert_allclose(params[part][name], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("constant", lambda s: 1.0),
        ("plateau", lambda s: 1.0),
        ("linear", lambda s: 1 - s),
        ("cosine", lambda s: 0.5 * (1 + np.cos(np.pi * s))),
    ],
)
def test_a_schedule_rises_and_then_follows_its_name(kind, expected):
    rate = optim.schedule(kind, 2.0, total_steps=50, warmup_steps=10)
    np.testing.assert_allclose([rate(s) for s in range(10)], [2.0 * s / 10 for s in range(10)], atol=1e-6)
    after = [2.0 * expected((s - 10) / 40) for s in range(10, 51)]
    np.testing.assert_allclose([rate(s) for s in range(10, 51)], after, atol=1e-6)


def test_the_warm_up_is_a_share_of_the_steps_or_a_number_of_them():
    by_share = optim.make_optimizer(section(warmup=0.2), PARAMS, total_steps=50)[1]
    by_steps = optim.make_optimizer(section(warmup_steps=10), PARAMS, total_steps=50)[1]
    assert [float(by_share(s)) for s in range(50)] == [float(by_steps(s)) for s in range(50)]
    assert float(by_share(5)) == pytest.approx(0.05)


def test_the_rate_is_lowered_after_so_many_epochs_without_a_lower_loss():
    losses = [1.0, 0.9, 0.9, 0.89999, 0.95, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]
    # patience 2: the third epoch without progress lowers the rate, and the count starts anew.
    factors = [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]
    seen, found = {}, []
    for loss in losses:
        seen = optim.watch_plateau(seen, loss, factor=0.5, patience=2)
        found.append(seen["rate_factor"])
    assert found == factors


def test_a_loss_that_is_not_finite_is_waited_through_and_never_the_best():
    seen, factors = {}, []
    for loss in (np.nan, 1.0, -np.inf, 0.5, 0.6, 0.6, 0.6):
        seen = optim.watch_plateau(seen, loss, factor=0.5, patience=1)
        factors.append(seen["rate_factor"])
    assert factors == [1, 1, 1, 1, 1, 0.5, 0.5]
    assert seen["best"] == 0.5


def test_a_lowered_rate_scales_the_next_step():
    tx, _ = optim.make_optimizer(section(schedule="plateau"), PARAMS, total_steps=5)
    params = jax.tree.map(jnp.asarray, PARAMS)
    state, grads = tx.init(params), jax.tree.map(jnp.ones_like, params)
    full, _ = tx.update(grads, state, params)
    half, _ = tx.update(grads, optim.lower_rate(state, 0.5), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, 0.5 * a, rtol=1e-6), full, half)
