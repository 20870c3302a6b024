"""Devices: what a model's step gives on one and on several virtual ones, one JSON line for each layout.

    JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m tests.devices MODEL ... [--devices 1 8] [--processes 2]

With the last number of devices the state is sharded, too. With --processes there are lines for as many
processes on this machine as well, which have that number of devices together; these say nothing of
`bytes_of_state` and `restored`.

Of each line `loss`, `gradient` and `scores` are the largest differences from one device: relative to the
loss, and to the largest entry of the gradient and of the scores. `restored` says whether a checkpoint of the
layout before is restored onto this one, and of this one onto one device, bit for bit.
"""

import argparse
import dataclasses
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np

from msa_jax import agreement, arrays_on_disk, assemble, evaluate, parallel, step
from msa_jax.data.plan import BatchPlan
from tests.models.tracing import STEPS, config_of, prepared

CLIPS = 12  # which eight do not divide
DEVICES = (1, 8)


def padded(batch, layout):
    """The rows of the batch that this process makes, with rows of padding where the devices need them."""
    rows, size = layout.share.of(np.arange(len(batch["mask"])), len(batch["mask"]))
    more = size - len(rows)
    out = {k: np.concatenate([v[rows], np.zeros((more, *v.shape[1:]), v.dtype)]) for k, v in batch.items()}
    out["index"][len(rows) :] = -1
    return out


@functools.cache
def start(name):
    """(config, pieces with numbers on the host, batch) of a small model."""
    config = config_of(name, "tiny")
    config.batch_size = CLIPS
    pieces, batch = prepared(config)
    make = jax.jit(lambda key: assemble.init_variables(pieces.model, pieces.preparation, key, None))
    variables = jax.tree.map(np.asarray, make(jax.random.key(3)))
    return config, dataclasses.replace(pieces, variables=variables), batch


def measure(name, devices, sharded):
    """Loss, gradient and scores of a batch near the end of a run, so that every schedule weighs."""
    config, pieces, batch = start(name)
    layout = parallel.layout(devices, shard_state=sharded)
    plan = BatchPlan(np.full((100, 3), STEPS), ((STEPS,) * 3,), CLIPS, epochs=config.epochs, seed=0)
    state, _ = step.make_state(config, pieces, plan, layout)
    state = state.replace(step=parallel.put(np.int32(len(plan) - 1), layout.repeated))
    batch = layout.batch(padded(batch, layout))
    (loss, _), gradient = jax.jit(step.gradient)(state, batch)
    variables = layout.gathered({"params": state.params, **state.collections})
    scores = next(iter(evaluate.forward(pieces.model, variables, batch).values()))
    first = jax.local_devices()[0]
    own = (s.data for x in jax.tree.leaves(state) for s in x.addressable_shards if s.device == first)
    return {
        "loss": float(loss),
        "state": state,
        "gradient": [agreement.on_host(g) for g in jax.tree.leaves(gradient)],
        "scores": agreement.on_host(scores)[:CLIPS],
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


def differences(one, found):
    """The largest differences in what two layouts give."""
    largest = max(float(np.abs(g).max()) for g in one["gradient"])
    pairs = zip(one["gradient"], found["gradient"], strict=True)
    return {
        "largest_gradient": largest,
        "loss": abs(found["loss"] - one["loss"]) / abs(one["loss"]),
        "gradient": max(float(np.abs(a - b).max()) for a, b in pairs) / largest,
        "scores": float(np.abs(found["scores"] - one["scores"]).max() / np.abs(one["scores"]).max()),
    }


def main(names, counts=DEVICES, processes=1):
    """Prints a line for each model and number of devices, the first of which all others are compared with."""
    first = {}
    for name in names:
        one = before = None
        for devices, sharded in (*((count, False) for count in counts), (counts[-1], True)):
            found = measure(name, devices, sharded)
            one, before = one or found, before or found
            restored = moves(before["state"], found["state"]) and moves(found["state"], one["state"])
            more = {"bytes_of_state": found["bytes"], "restored": restored}
            show(name, 1, devices, sharded, differences(one, found) | more)
            before = found
        first[name] = {k: one[k] for k in ("loss", "gradient", "scores")}
        jax.clear_caches()
    for devices in (n for n in counts if processes > 1 and n % processes == 0):
        for name, found in of_processes(names, devices, processes):
            show(name, processes, devices, False, differences(first[name], found))


def show(name, processes, devices, sharded, values):
    """Prints a line."""
    layout = {"model": name, "processes": processes, "devices": devices, "sharded": sharded}
    print(json.dumps(layout | values), flush=True)


def of_processes(names, devices, processes):
    """What `measure` finds of each model in several processes that have so many devices together."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    env = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices // processes)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.devices", *names, f"--processes={processes}"]
        command += [f"--address={address}", f"--written={folder}"]
        running = [
            subprocess.Popen([*command, f"--process={k}"], env=env, stdout=subprocess.DEVNULL)
            for k in range(processes)
        ]
        try:
            codes = [process.wait(250) for process in running]
        finally:
            for process in running:
                process.kill()
        assert not any(codes), f"the processes ended with codes {codes}"
        for name in names:
            with np.load(f"{folder}/{name}.npz") as arrays:
                found = dict(arrays)
            gradient = [found[f"gradient_{k}"] for k in range(len(found) - 2)]
            yield name, {"loss": float(found["loss"]), "scores": found["scores"], "gradient": gradient}


def one_of_several(args):
    """Takes part in the measurement as one of several processes; the first one writes it."""
    jax.distributed.initialize(args.address, args.processes, args.process)
    for name in args.models:
        found = measure(name, None, False)
        if agreement.is_first():
            gradient = {f"gradient_{k}": g for k, g in enumerate(found["gradient"])}
            path = f"{args.written}/{name}.npz"
            np.savez(path, loss=found["loss"], scores=found["scores"], **gradient)
        jax.clear_caches()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", metavar="MODEL", nargs="+")
    parser.add_argument("--devices", nargs="+", type=int, default=list(DEVICES))
    parser.add_argument("--processes", type=int, default=1, help="also in so many processes")
    for hidden in ("--address", "--written"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.processes > 1 and all(n % arguments.processes for n in arguments.devices):
        parser.error(f"{arguments.processes} processes divide none of the numbers of devices")
    if arguments.process is None:
        main(arguments.models, tuple(arguments.devices), arguments.processes)
    else:
        one_of_several(arguments)
