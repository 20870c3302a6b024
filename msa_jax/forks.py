"""Forks: whether this process was forked from one in which JAX had started."""

import os
import sys
import threading

from msa_jax.errors import UserError

# The process in which JAX has started, as far as is known, 0 for one before this; a fork has its parent's.
_used: dict[str, int] = {}


def refuse_forked() -> None:
    """Refuses to go on in a process that was forked from one in which JAX had started.

    JAX has threads, of which a forked process has none: its first computation would wait for ever. A process
    whose parent had only imported JAX may go on. Where the parent had not imported this package, that can be
    told on Linux only.

    Raises:
      UserError: in such a process; says how else to start one.
    """
    here = os.getpid()
    if (first := _used.get("process", here)) != here:
        parent = f"process {first}, which" if first else "one that"
        raise UserError(
            f"process {here} was forked from {parent} has used JAX, and JAX does not work in a "
            'forked process; start processes by multiprocessing.get_context("spawn"), and load the run there'
        )


def _note() -> None:
    """In a process that is about to fork: notes whether JAX has started, with a run of ours or without."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    # No public function tells, nor one that takes no lock; where this one is gone, JAX may have started.
    if bridge is not None and getattr(bridge, "_backends", True):
        _used.setdefault("process", os.getpid())


def _note_earlier() -> None:
    """When this is imported: notes whether the process is such a fork already, as far as the system tells.

    JAX has threads that are not Python's wherever it has started, and a fork has none of them.
    """
    if not getattr(sys.modules.get("jax._src.xla_bridge"), "_backends", None):
        return
    try:
        there = {int(name) for name in os.listdir("/proc/self/task")}
    except OSError:  # another system than Linux
        return
    if there <= {threading.get_native_id(), *(thread.native_id for thread in threading.enumerate())}:
        _used.setdefault("process", 0)


_note_earlier()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note)
