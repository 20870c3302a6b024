"""Memory that a step gives up stays with the process: the next one does not fetch it again."""

import os
import subprocess
import sys

import pytest

PAGES = 128 * 2**20 // 4096
PROGRAM = """
import resource

from msa_jax import machine

machine.check()

import jax
import jax.numpy as jnp


@jax.jit
def step(x):
    products = x @ x.T  # 128 MB, as one block
    return (products[::-1] * products).sum(0)


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


x = jnp.zeros((5793, 4))
for _ in range(3):
    step(x).block_until_ready()
found = []
for _ in range(11):
    before = faults()
    step(x).block_until_ready()
    found.append(faults() - before)
print(step.lower(x).compile().memory_analysis().temp_size_in_bytes, sorted(found)[5])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc keeps memory as it is asked to")
def test_a_step_fetches_no_page_again():
    plain = {**os.environ, "XLA_FLAGS": ""}  # the other tests ask for code that is compiled quickly
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=plain)
    size, faults = map(float, done.stdout.split())
    assert size >= PAGES * 4096
    assert faults < PAGES / 10
