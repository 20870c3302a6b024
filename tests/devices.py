"""Devices: what a model's step gives on one and on several virtual ones, one JSON line for each layout.

    JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m tests.devices MODEL [DEVICES ...]

Without DEVICES it tries one and eight; with the last number the state is sharded, too.

Of each line `loss`, `gradient` and `scores` are the largest differences from one device: relative to the
loss, and to the largest entry of the gradient and of the scores. `restored` says whether a checkpoint of the
layout before is restored onto this one, and of this one onto one device, bit for bit.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from msa_jax import arrays_on_disk, assemble, evaluate, parallel, step
from msa_jax.data.plan import BatchPlan
from tests.models.tracing import STEPS, config_of, prepared

CLIPS = 12  # which eight do not divide
DEVICES = (1, 8)


def padded(batch, rows):
    """The batch with so many rows, those that were not there as padding."""
    more = rows - len(batch["mask"])
    out = {k: np.concatenate([v, np.zeros((more, *v.shape[1:]), v.dtype)]) for k, v in batch.items()}
    out["index"][len(batch["mask"]) :] = -1
    return out


def measure(name, devices, sharded):
    """Loss, gradient and scores of a batch near the end of a run, so that every schedule weighs."""
    config = config_of(name, "tiny")
    config.batch_size = CLIPS
    pieces, batch = prepared(config)
    make = jax.jit(lambda key: assemble.init_variables(pieces.model, pieces.preparation, key, None))
    pieces = dataclasses.replace(pieces, variables=make(jax.random.key(3)))
    layout = parallel.layout(devices, shard_state=sharded)
    plan = BatchPlan(np.full((100, 3), STEPS), ((STEPS,) * 3,), CLIPS, epochs=config.epochs, seed=0)
    state, _ = step.make_state(config, pieces, plan, layout)
    state = state.replace(step=parallel.put(np.int32(len(plan) - 1), layout.repeated))
    batch = layout.batch(padded(batch, layout.share.of(np.arange(CLIPS), CLIPS)[1]))
    (loss, _), gradient = jax.jit(step.gradient)(state, batch)
    variables = layout.gathered({"params": state.params, **state.collections})
    scores = next(iter(evaluate.forward(pieces.model, variables, batch).values()))
    first = jax.devices()[0]
    own = (s.data for x in jax.tree.leaves(state) for s in x.addressable_shards if s.device == first)
    return {
        "loss": float(loss),
        "state": state,
        "gradient": [np.asarray(g) for g in jax.tree.leaves(gradient)],
        "scores": np.asarray(scores)[:CLIPS],
        "bytes": sum(data.nbytes for data in own if hasattr(data, "nbytes")),
    }


def moves(state, onto):
    """Whether a state that is written and read onto another layout has the same bits, and lies as it says."""
    with tempfile.TemporaryDirectory() as folder:
        arrays_on_disk.write(Path(folder) / "arrays", arrays_on_disk.on_host(state))
        found = arrays_on_disk.read(Path(folder) / "arrays", onto, "")
    before, after = (jax.tree.leaves(arrays_on_disk.on_host(tree)) for tree in (state, found))
    same = all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))
    places = zip(jax.tree.leaves(found), jax.tree.leaves(onto), strict=True)
    return same and all(a.sharding.is_equivalent_to(b.sharding, a.ndim) for a, b in places)


def main(name, counts=DEVICES):
    """Prints a line for each number of devices, the first of which all others are compared with."""
    one = before = None
    for devices, sharded in (*((count, False) for count in counts), (counts[-1], True)):
        found = measure(name, devices, sharded)
        one, before = one or found, before or found
        largest = max(float(np.abs(g).max()) for g in one["gradient"])
        pairs = zip(one["gradient"], found["gradient"], strict=True)
        row = {
            "model": name,
            "devices": devices,
            "sharded": sharded,
            "largest_gradient": largest,
            "loss": abs(found["loss"] - one["loss"]) / abs(one["loss"]),
            "gradient": max(float(np.abs(a - b).max()) for a, b in pairs) / largest,
            "scores": float(np.abs(found["scores"] - one["scores"]).max() / np.abs(one["scores"]).max()),
            "bytes_of_state": found["bytes"],
            "restored": moves(before["state"], found["state"]) and moves(found["state"], one["state"]),
        }
        print(json.dumps(row), flush=True)
        before = found


if __name__ == "__main__":
    main(sys.argv[1], tuple(map(int, sys.argv[2:])) or DEVICES)
