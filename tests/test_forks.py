"""Forks: a process whose parent had used JAX is refused, though it knew nothing of this package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CHILDREN = """
import os, sys, threading

def told():
    from msa_jax import forks
    try:
        return forks.refuse_forked()
    except Exception as e:
        return f"{type(e).__name__}: {e}"

def child(name):
    sys.stdout.flush()
    if not (pid := os.fork()):
        waiting = threading.Event()
        threading.Thread(target=waiting.wait, daemon=True).start()  # one of Python's own tells nothing
        print(name, told(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
    print("child", pid)

import jax, numpy
child("imported")
jax.numpy.ones(3).sum().block_until_ready()
child("used")
print("itself", told())
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell threads")
def test_a_fork_that_imports_the_package_first_is_refused():
    """A real process that uses JAX, and forks before anything imports this package."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", _CHILDREN], env=environment, capture_output=True, text=True, timeout=120
    )
    imported, _, used, child, itself = done.stdout.splitlines()
    assert (imported, itself) == ("imported None", "itself None")
    line = (
        f"process {child.split()[1]} was forked from one that has used JAX, and JAX does not work in a forked"
    )
    assert used.startswith(f"used UserError: {line} process; start processes by multiprocessing.get_context(")
