"""Agreement of the processes of a run: what all know alike, and what the first of them does for all.

Where a function says that all must ask, it is a meeting: a process that does not leaves the others waiting. A
run of one process meets nobody.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Array

P, R = ParamSpec("P"), TypeVar("R")


def on_host(x: Array | np.ndarray) -> np.ndarray:
    """The whole of an array, a copy; where several processes have parts of it, all must ask."""
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.array(x)
    return multihost_utils.process_allgather(x, tiled=True)


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def of_first(number: int) -> int:
    """The number that the first process has; all must ask."""
    return number if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.int64(number)))


def least(number: int) -> int:
    """The least of the numbers that the processes have; all must ask."""
    mine = np.frombuffer(np.int64(number).tobytes(), np.uint8)  # JAX would cut 64 bits to 32
    return int(np.ascontiguousarray(multihost_utils.process_allgather(mine)).view(np.int64).min())


def array_of_first(x: Any) -> Any:
    """An array as the first process has it, as others may have another last bit; all must ask.

    A key, which a seed makes, has no last bit to differ in.
    """
    if jax.process_count() == 1 or jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return x
    return multihost_utils.broadcast_one_to_all(np.asarray(x))


def facts_of_first(facts: Any) -> Any:
    """What the first process has, of the kinds that JSON knows; all must ask."""
    if jax.process_count() == 1:
        return facts
    mine = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    text = np.zeros(of_first(len(mine)), np.uint8)
    if is_first():
        text[:] = mine
    return json.loads(bytes(multihost_utils.broadcast_one_to_all(text)))


def differing(facts: str) -> list[int]:
    """The processes whose facts are not those of the first one; all must ask."""
    if jax.process_count() == 1:
        return []
    digest = np.frombuffer(hashlib.sha256(facts.encode()).digest(), np.uint8)
    of_all = multihost_utils.process_allgather(digest)
    return [process for process, other in enumerate(of_all) if not np.array_equal(other, of_all[0])]


def is_split(tree: Any) -> bool:
    """Whether the devices of several processes have parts of an array that none of them has whole."""
    arrays = (x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array))
    return not all(x.is_fully_addressable or x.is_fully_replicated for x in arrays)


def wait_for_all(place: str) -> None:
    """Waits until all processes have come to a place, named by its word."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)


def by_first(function: Callable[P, R]) -> Callable[P, R | None]:
    """A function that the first process alone calls; in the others it does nothing, and returns None."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R | None:
        return function(*args, **kwargs) if is_first() else None

    return called
