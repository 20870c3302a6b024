"""Tests of batches that are computed in parts: the same loss and gradient as in one."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import assemble, bounds, step
from msa_jax import config as configs
from msa_jax.errors import UserError
from tests.models.tracing import config_of, make_state, prepared

CLIPS = 12


def gradient(name, parts):
    """(loss, gradient) of a batch whose last row is padding, without dropout, which draws by part."""
    config = config_of(name, "tiny")
    config.batch_size, config.parts = CLIPS, parts
    for key in configs.flatten(config):
        if key.endswith("dropout") or key == "model.gumbel":
            configs.base.set_key(config, key, 0.0)
    pieces, batch = prepared(config)
    make = jax.jit(lambda key: assemble.init_variables(pieces.model, pieces.preparation, key, None))
    pieces = dataclasses.replace(pieces, variables=make(jax.random.key(3)))
    batch["mask"][-1] = False
    state = make_state(config, pieces).replace(step=np.int32(100))
    (loss, _), found = jax.jit(step.gradient)(state, batch)
    return float(loss), [np.asarray(g) for g in jax.tree.leaves(found)]


@pytest.mark.parametrize("name", ["crosssent", "amsgfn"])
def test_a_loss_that_compares_clips_sees_those_of_all_parts(name):
    (loss, whole), (in_parts, found) = (gradient(name, parts) for parts in (1, 3))
    assert in_parts == pytest.approx(loss, rel=1e-6)
    largest = max(np.abs(g).max() for g in whole)
    assert max(np.abs(a - b).max() for a, b in zip(whole, found, strict=True)) < 1e-5 * largest


def test_a_collection_of_the_model_goes_from_part_to_part():
    """Each part changes what the one before has left."""

    def apply(variables, batch, *, train, rngs, mutable):
        del train, rngs, mutable
        table = variables["seen"].at[batch["index"]].add(1.0)
        x = batch["x"] * variables["params"]["w"]
        return {"prediction": x, "pairs": x[:, None] * x[None], "mean": x.mean(), "two": jnp.zeros(2)}, {
            "seen": table
        }

    def objective(outputs, batch, *, step, key):
        del step, key
        assert outputs.keys() == {"prediction"}  # no other output is one of single clips
        return (outputs["prediction"] * batch["weight"]).sum(), {}

    objective.output = "prediction"

    state = step.TrainState(
        step=np.int32(0),
        params={"w": np.float32(2.0)},
        opt_state=(),
        collections={"seen": jnp.zeros(4)},
        key=jax.random.key(0),
        apply_fn=apply,
        tx=None,
        objective=objective,
        frozen=(),
        whole=lambda tree: tree,
        parts=2,
    )
    batch = {"mask": np.ones(4, bool), "index": np.array([0, 1, 1, 3], np.int32)}
    batch["x"] = np.arange(4.0, dtype=np.float32)
    batch["weight"] = np.array([1, 10, 100, 1000], np.float32)
    (loss, (_, changed)), found = step.gradient(state, batch)
    assert changed["seen"].tolist() == [1, 2, 0, 1]
    assert float(loss) == 2 * (10 + 200 + 3000)  # each output beside the weight of its own clip
    assert float(found["w"]) == 10 + 200 + 3000


def test_more_parts_than_clips_are_refused():
    config, _ = configs.load("crosssent_mosi")
    config.batch_size, config.parts = 4, 5
    with pytest.raises(UserError, match=r"--config.parts: 5 is more than batch_size 4"):
        bounds.check(config)
