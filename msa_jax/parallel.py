"""Parallel layout of a run: the mesh of its devices, and which rows and which part of the state each has.

One jitted step over a mesh is what a "pmapped" step is today: the batch is split by its rows, the state is
repeated (or split, too), and the losses that couple clips see the whole batch. Several processes, each with
devices of its own, are one mesh; each makes its own rows, and the first of them writes the run.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from msa_jax import stopping
from msa_jax.agreement import array_of_first, is_split
from msa_jax.data.batching import Share
from msa_jax.errors import UserError

# Axes of the mesh: that which several seeds are split over, and that of the rows, and of shards of the state.
SEEDS, _DATA = "seeds", "data"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the arrays of a run lie.

    Attributes:
      mesh: of all devices of all processes, in the order of the processes.
      shard_state: split parameters and optimiser state over the devices, too, in place of repeating them.
    """

    mesh: Mesh
    shard_state: bool = False

    @property
    def devices(self) -> int:
        """How many devices the rows of a batch are split over."""
        return self.mesh.shape[_DATA]

    @property
    def groups(self) -> int:
        """How many groups of devices several seeds are split over."""
        return self.mesh.shape[SEEDS]

    @property
    def local_devices(self) -> list[Any]:
        """The devices of this process."""
        return list(self.mesh.local_devices)

    def for_seeds(self, count: int) -> "Layout":
        """The same devices for several seeds that are trained together, split over as many as divide both."""
        # Each process makes its own rows of a batch, and all of them have a part of every seed.
        groups = math.gcd(count, self.mesh.size) if self.alone else 1
        return dataclasses.replace(self, mesh=_mesh(self.mesh.devices.ravel(), groups))

    @property
    def alone(self) -> bool:
        """Whether this process has all the devices."""
        return jax.process_count() == 1

    @property
    def share(self) -> Share:
        """The rows of each batch that this process makes."""
        return Share(jax.process_index(), jax.process_count(), self.devices // jax.process_count())

    def share_in(self, parts: int) -> Share:
        """The same where each device computes its rows in so many parts."""
        return dataclasses.replace(self.share, parts=parts)

    @property
    def repeated(self) -> NamedSharding:
        """Of an array that every device has whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    def batch(self, batch: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """A batch on the devices, split by its rows; each process brings its own."""
        rows = NamedSharding(self.mesh, PartitionSpec(_DATA))
        if jax.process_count() == 1:
            return jax.device_put(dict(batch), rows)
        return {k: jax.make_array_from_process_local_data(rows, v) for k, v in batch.items()}

    def ahead(
        self, batches: Iterator[Mapping[str, np.ndarray]]
    ) -> Iterator[tuple[Mapping[str, np.ndarray], dict[str, Array]]]:
        """(batch, the same on the devices), each sent while the one before is computed on."""
        waiting = None
        for batch in batches:
            following = batch, self.batch(batch)
            if waiting is not None:
                yield waiting
            waiting = following
        if waiting is not None:
            yield waiting

    def state(self, tree: Any) -> Any:
        """A tree of arrays on the devices; of several processes that of the first one counts."""
        return jax.tree.map(lambda x: put(array_of_first(x), self.of_state(x)), tree)

    def of_stacked(self, x: Array) -> NamedSharding:
        """Where such an array lies of arrays of this shape."""
        return NamedSharding(self.mesh, PartitionSpec(SEEDS, *self.of_state(x).spec))

    def stacked(self, arrays: Sequence[Array]) -> Array:
        """The arrays of several seeds, where `state` put them, as one whose first axis is the seeds."""
        place, on_cpu = self.of_stacked(arrays[0]), self.local_devices[0].platform == "cpu"
        is_key = jax.dtypes.issubdtype(arrays[0].dtype, jax.dtypes.prng_key)
        if on_cpu and not is_key and not is_split(arrays):
            return put(np.stack(arrays), place)  # quicker than to compile a program for each shape
        return jax.jit(_stack, out_shardings=place)(*arrays)

    def of_state(self, x: Array) -> NamedSharding:
        """Where an array of the state of one run lies."""
        if not self.shard_state:
            return self.repeated
        # The longest axis that the devices divide: of what none does, such as a bias, each has all.
        axes = [axis for axis, size in enumerate(x.shape) if size and size % self.devices == 0]
        if not axes:
            return self.repeated
        longest = max(axes, key=lambda axis: x.shape[axis])
        return NamedSharding(self.mesh, PartitionSpec(*[None] * longest, _DATA))

    def whole(self, tree: Any) -> Any:
        """A tree of parameters as a step computes with them: whole on every device, their gradients split.

        Without this, XLA may split the products of a model over the devices, too, and move activations about.
        """
        if not self.shard_state:
            return tree
        return jax.tree.map(lambda x: _whole(x, self.repeated, self.of_state(x)), tree)

    def gathered(self, tree: Any) -> Any:
        """A tree of arrays of one run or several seeds, each without a split over the rows' devices."""
        if not self.shard_state:
            return tree
        return jax.jit(_same, out_shardings=jax.tree.map(self._of_seeds, tree))(tree)

    def _of_seeds(self, x: Array) -> NamedSharding:
        axes = (axis if axis == SEEDS else None for axis in x.sharding.spec)
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def everywhere(self, tree: Any) -> Any:
        """A tree of arrays, each whole on every device; of several processes that of the first one counts."""
        return jax.tree.map(lambda x: put(array_of_first(x), self.repeated), tree)


def _same(tree: Any) -> Any:
    return tree


def _stack(*arrays: Array) -> Array:
    return jnp.stack(arrays)


def _mesh(devices: np.ndarray, groups: int = 1) -> Mesh:
    # Linen's Embed knows no explicit axes.
    return Mesh(devices.reshape(groups, -1), (SEEDS, _DATA), axis_types=(AxisType.Auto,) * 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _whole(x: Array, repeated: NamedSharding, split: NamedSharding) -> Array:
    del split
    return jax.lax.with_sharding_constraint(x, repeated)


def _whole_forward(x: Array, repeated: NamedSharding, split: NamedSharding) -> tuple[Array, None]:
    return _whole(x, repeated, split), None


def _whole_backward(repeated: NamedSharding, split: NamedSharding, _: None, g: Array) -> tuple[Array]:
    del repeated
    return (jax.lax.with_sharding_constraint(g, split),)


_whole.defvjp(_whole_forward, _whole_backward)


class Signals:
    """Signals that ask a job to end, whichever process they reach: all hear of one after the same step."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._sent: Array | None = None
        self._largest = jax.jit(jnp.max, out_shardings=layout.repeated)

    def asked(self) -> bool:
        """Whether a signal has asked the job to end; every process asks once after each step."""
        if self._layout.alone:
            return stopping.asked()
        # What was sent after the step before is there by now: the devices never wait for the host.
        before = 0 if self._sent is None else int(self._sent)
        mine = np.full(self._layout.share.devices, stopping.number(), np.int32)
        self._sent = self._largest(self._layout.batch({"number": mine})["number"])
        if before:
            stopping.note(before)
        return before > 0


def layout(devices: int | None = None, *, shard_state: bool = False) -> Layout:
    """The layout over the devices of this process and those that it has met.

    Args:
      devices: how many of those that this process has are used; None: all.
      shard_state: see `Layout`.

    Raises:
      UserError: when there are not so many, or processes have different numbers of devices.
    """
    of_process: dict[int, list[Any]] = {}
    for device in jax.devices():
        of_process.setdefault(device.process_index, []).append(device)
    counts = {process: len(found) for process, found in of_process.items()}
    if len(set(counts.values())) > 1:
        raise UserError(
            f"the processes have different numbers of devices ({counts}); hide some by the variables that do "
            "so, such as CUDA_VISIBLE_DEVICES"
        )
    have = counts[jax.process_index()]
    if devices is not None and devices > have:
        raise UserError(f"--config.parallel.devices: {devices}, but this process has {have}")
    used = [device for process in sorted(of_process) for device in of_process[process][:devices]]
    return Layout(_mesh(np.array(used)), shard_state)


def put(x: Any, sharding: jax.sharding.Sharding) -> Array:
    """An array, or a key, that every process has whole, with a sharding over all their devices."""
    if sharding.is_fully_addressable:
        return jax.device_put(x, sharding)
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        data = put(np.asarray(jax.random.key_data(x)), sharding)
        return jax.jit(functools.partial(jax.random.wrap_key_data, impl=jax.random.key_impl(x)))(data)
    whole = np.asarray(x)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])
