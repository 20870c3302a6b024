"""Tests of several devices: the same numbers on one and on eight, whatever batch they have to divide."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from msa_jax import parallel
from msa_jax.data.batching import Share
from msa_jax.errors import UserError
from tests import kinds

ROOT = Path(__file__).parents[1]
REST = tuple(name for name in kinds.BATCH if name not in kinds.STATE)


@functools.cache
def measured(names):
    """What `tests.devices` prints of some models in a process with eight devices, by model.

    Two processes run the program of one on eight devices: the models of `kinds.STATE` are asked there, too.
    """
    count = 2 if names[0] in kinds.STATE else 1
    command = [sys.executable, "-m", "tests.devices", *names, f"--processes={count}"]
    eight = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8"}
    done = subprocess.run(
        command, cwd=ROOT, env=eight, capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {name: [line for line in lines if line["model"] == name] for name in names}


@pytest.fixture(scope="module", params=kinds.by_default(kinds.BATCH))
def on_eight(request):
    """By layout, what was measured of a model."""
    return measured(kinds.neighbours(request.param, kinds.STATE, REST))[request.param]


def test_loss_and_gradient_are_those_of_one_device(on_eight):
    """Dropout is on, and 12 clips make a batch, which eight devices do not divide."""
    layouts = [(row["processes"], row["devices"], row["sharded"]) for row in on_eight]
    several = [(2, 8, False)] if on_eight[0]["model"] in kinds.STATE else []
    assert layouts == [(1, 1, False), (1, 8, False), (1, 8, True), *several]
    assert on_eight[0]["largest_gradient"] > 0
    for row in on_eight[1:]:
        assert row["gradient"] < 1e-5
        assert row["loss"] < 1e-5
        assert row["scores"] < 1e-5


def test_a_sharded_state_is_split_over_the_devices(on_eight):
    whole, repeated, split = (row["bytes_of_state"] for row in on_eight if row["processes"] == 1)
    assert repeated == whole
    assert split < 0.6 * whole  # tiny models have many arrays that eight do not divide


def test_a_checkpoint_is_restored_onto_other_devices_bit_for_bit(on_eight):
    assert all(row["restored"] for row in on_eight if row["processes"] == 1)


def test_rows_that_devices_do_not_divide_are_padded():
    rows = np.arange(10)
    shares = [Share(process, 2, 4) for process in (0, 1)]
    (first, size), (second, _) = (share.of(rows, 12) for share in shares)
    assert size == 8
    assert [*first, *second] == [*rows]
    assert Share().of(rows, 12)[1] == 12


def test_more_devices_than_there_are_is_one_line():
    with pytest.raises(UserError, match=r"--config.parallel.devices: 99, but this process has \d"):
        parallel.layout(99)


def test_batches_are_sent_ahead_in_order():
    layout = parallel.layout(1)
    taken = []

    def batches():
        for k in range(3):
            taken.append(k)
            yield {"x": np.full(2, k)}

    ahead = layout.ahead(batches())
    for k in range(3):
        host, device = next(ahead)
        assert host["x"][0] == k == int(device["x"][0])
        assert isinstance(device["x"], jax.Array)
        assert len(taken) == min(k + 2, 3)
