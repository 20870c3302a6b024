"""Tests of a step of several seeds: for each seed it is the step of that seed alone."""

import functools
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

import jax
import numpy as np
import pytest

from msa_jax import evaluate, parallel, step
from msa_jax.data.plan import BatchPlan
from msa_jax.together import Together
from tests import kinds
from tests.models.tracing import config_of, make_state, prepared

ROOT = Path(__file__).parents[1]
SEEDS = (3, 5)


@pytest.mark.parametrize("name", kinds.by_default(kinds.SEEDS))
def test_a_step_of_several_seeds_is_the_step_of_each(name):
    """Dropout and every other draw included; orthogonal starts of several seeds are made one by one."""
    config = config_of(name, "tiny")
    pieces, batch = prepared(config)
    alone = []
    for seed in SEEDS:
        config.seed = seed
        alone.append(make_state(config, pieces.of_seed(seed)))
    together = Together(len(SEEDS), (), parallel.layout().for_seeds(len(SEEDS)))
    state = together.state(alone)
    of_one, of_all = jax.jit(step.train_step), jax.jit(together.step(step.train_step, state))
    for number in range(3):
        state, terms = of_all(state, batch)
        losses = []
        for k, one in enumerate(alone):
            alone[k], own = of_one(one, batch)
            losses.append(float(own["loss"]))
        np.testing.assert_allclose(terms["loss"], losses, rtol=1e-5)
        if number == 0:  # then Adam's moments are the gradient and its square
            for one, lane in zip(alone, together.states_of(state), strict=True):
                assert_close(one.opt_state, lane.opt_state)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def assert_close(one, other):
    """Two trees are equal to 1e-5 of the largest number of one of their arrays."""
    one, other = ([np.asarray(x) for x in jax.tree.leaves(tree)] for tree in (one, other))
    largest = max(np.abs(x).max() for x in one if x.dtype.kind == "f" and x.size)
    for a, b in zip(one, other, strict=True):
        assert a.shape == b.shape
        assert not a.size or np.abs(a - b).max() <= 1e-5 * largest


def test_a_frozen_encoder_is_one_for_all_seeds():
    config = config_of("lmf", "tiny", text__encoder="scratch", text__frozen=True)
    pieces, batch = prepared(config)
    states = [make_state(config, pieces.of_seed(seed)) for seed in SEEDS]
    encoder = states[0].params["encoder"]  # a pretrained one is the same for all
    states = [state.replace(params={**state.params, "encoder": encoder}) for state in states]
    together = Together(2, ("encoder",), parallel.layout())
    state = together.state(states)
    plain, both = (jax.tree.leaves(tree.params["encoder"])[0].shape for tree in (states[0], state))
    assert plain == both
    after, terms = jax.jit(together.step(step.train_step, state))(state, batch)
    wanted = [float(jax.jit(step.train_step)(one, batch)[1]["loss"]) for one in states]
    np.testing.assert_allclose(terms["loss"], wanted, rtol=1e-5)
    assert [x.shape for x in jax.tree.leaves(after)] == [x.shape for x in jax.tree.leaves(state)]
    scores = jax.jit(lambda v: evaluate.forward_lanes(pieces.model, together, v, batch))(
        {"params": after.params}
    )
    assert scores["prediction"].shape == (2, len(batch["mask"]))


@functools.cache
def said(names):
    """What a process with two devices says of some models, by model."""
    program = "import sys\nfrom tests.test_seeds_steps import compare_all\ncompare_all(sys.argv[1:])"
    two = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"}
    command = [sys.executable, "-c", program, *names]
    done = subprocess.run(
        command, cwd=ROOT, env=two, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", kinds.by_default(kinds.STATE))
def test_a_step_of_seeds_on_devices_of_their_own_is_the_step_of_each(name):
    assert said(kinds.neighbours(name, kinds.STATE))[name] == "equal"


def compare_all(names):
    """Prints for each model whether it is equal, or what `compare_on_devices` said."""
    found = {}
    for name in names:
        try:
            compare_on_devices(name)
            found[name] = "equal"
        except Exception:
            found[name] = traceback.format_exc()
        jax.clear_caches()
    print(json.dumps(found))


def compare_on_devices(name):
    """A seed on each of two devices, and the same alone on one: first loss and gradient."""
    config = config_of(name, "tiny")
    pieces, batch = prepared(config)
    plan = BatchPlan(np.full((100, 3), 4), ((4, 4, 4),), config.batch_size, epochs=config.epochs, seed=0)
    one_device = parallel.layout(1)
    together = Together(len(SEEDS), (), parallel.layout(2).for_seeds(len(SEEDS)))
    assert together.layout.groups == 2
    states, of_one, alone = [], jax.jit(step.train_step), []
    for seed in SEEDS:
        config.seed = seed
        own = pieces.of_seed(seed)
        states.append(step.make_state(config, own, plan, together.layout)[0])
        state, _ = step.make_state(config, own, plan, one_device)
        alone.append(of_one(state, one_device.batch(batch)))
    state = together.state(states)
    state, terms = jax.jit(together.step(step.train_step, state))(state, together.layout.batch(batch))
    np.testing.assert_allclose(terms["loss"], [float(own["loss"]) for _, own in alone], rtol=1e-5)
    for (one, _), lane in zip(alone, together.states_of(state), strict=True):
        assert_close(one.opt_state, lane.opt_state)
