"""Forks: a child of a process in which JAX has started gets a line; one of a mere import of JAX works."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_IN_A_CHILD = """
import os, sys, warnings
warnings.simplefilter("ignore")
import msa_jax, jax, jax.numpy as jnp
from msa_jax.errors import UserError
{before}
pid = os.fork()
if not pid:
    try:
        {job}
        print("done", flush=True)
    except UserError as e:
        print(e, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print("parent", jnp.ones(3).sum(), os.getpid(), pid, flush=True)
"""
_LOAD = "msa_jax.load(sys.argv[1])"
_TRAIN = "from msa_jax.train import train_and_evaluate; train_and_evaluate(None, None)"


def _said(before, job, argument=""):
    command = [sys.executable, "-c", _IN_A_CHILD.format(before=before, job=job), str(argument)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.stderr == ""
    child, parent = done.stdout.splitlines()
    return child, parent.split()[2:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.parametrize("job", [_LOAD, _TRAIN])
def test_a_child_of_a_process_that_used_jax_gets_a_line(job, tmp_path):
    child, (parent, pid) = _said("jnp.ones(3).sum().block_until_ready()", job, tmp_path)
    assert child.startswith(f"process {pid} was forked from process {parent}, which has used JAX")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_child_of_a_process_that_only_imported_jax_works(trained_once):
    job = f"{_LOAD}.predict(['good film'])"
    before = "import msa_jax.run\ntry: msa_jax.load('nowhere')\nexcept UserError: pass"
    assert _said(before, job, trained_once[1] / "run")[0] == "done"
