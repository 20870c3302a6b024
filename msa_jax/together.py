"""Togetherness of several seeds: one state of all, with an axis of the seeds in front, and one step.

The step of one seed under `jax.vmap` is one program for all, and takes one pass through the data. With one
seed nothing has such an axis.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from msa_jax import arrays_on_disk
from msa_jax.parallel import SEEDS, Layout

# A dataclass with step, params, opt_state, collections and key, as `step.TrainState`.
State = TypeVar("State")


@dataclasses.dataclass(frozen=True)
class Together:
    """How several lanes are computed as one.

    Attributes:
      count: of the lanes.
      shared: top-level parts of the parameters that all lanes have in common, as a frozen encoder.
      layout: the devices.
    """

    count: int
    shared: tuple[str, ...]
    layout: Layout

    def _axes_of(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Where a model's variables have the axis of the lanes: 0, or None for what is shared."""
        params = {name: None if name in self.shared else 0 for name in variables["params"]}
        return {name: params if name == "params" else 0 for name in variables}

    def state(self, states: Sequence[State]) -> State:
        """The states of the lanes, which are at the same step, as one."""
        first = states[0]
        if self.count == 1:
            return first
        axes = jax.tree.leaves(self._spread(first, self._axes(first)), is_leaf=lambda x: x is None)
        of_lanes = zip(*(jax.tree.leaves(state) for state in states), strict=True)
        # A copy of what is shared: the step takes its arrays over, and others may hold them.
        arrays = [
            jnp.copy(of_each[0]) if axis is None else self.layout.stacked(of_each)
            for axis, of_each in zip(axes, of_lanes, strict=True)
        ]
        return jax.tree.structure(first).unflatten(arrays)

    def shapes(self, state: State) -> State:
        """The shapes and places of what `state` returns for lanes with states of these shapes."""
        spread = self._spread(state, self._axes(state))

        def of_all(axis: int | None, x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            if axis is None:
                return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.layout.of_state(x))
            return jax.ShapeDtypeStruct((self.count, *x.shape), x.dtype, sharding=self.layout.of_stacked(x))

        return jax.tree.map(of_all, spread, state, is_leaf=lambda x: x is None)

    def step(self, one: Callable[..., tuple[State, Any]], state: State) -> Callable[..., Any]:
        """The step of one lane as that of all, (state, batch) -> (state, scalars by lane)."""
        if self.count == 1:
            return one
        axes = self._axes(state)
        return jax.vmap(one, in_axes=(axes, None), out_axes=(axes, 0), spmd_axis_name=SEEDS)

    def forward(self, one: Callable[..., Any], variables: Mapping[str, Any]) -> Callable[..., Any]:
        """A pass of one lane as that of all, (variables, batch) -> outputs by lane."""
        return jax.vmap(one, in_axes=(self._axes_of(variables), None), spmd_axis_name=SEEDS)

    def _axes(self, state: State) -> State:
        axes = self._axes_of({"params": state.params, **state.collections})
        params = axes.pop("params")
        return state.replace(step=None, params=params, opt_state=0, collections=axes, key=0)

    @staticmethod
    def _spread(state: State, axes: State) -> State:
        """The axis of every array, of the axes of subtrees."""
        return jax.tree.map(
            lambda axis, part: jax.tree.map(lambda _: axis, part), axes, state, is_leaf=lambda x: x is None
        )

    def states_of(self, state: State) -> list[State]:
        """The states of the lanes: of one as it is, of several as copies on the host."""
        return [state] if self.count == 1 else self._apart(state, self._axes(state))

    def variables_of(self, variables: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The model's variables of the lanes; as `states_of`."""
        return [variables] if self.count == 1 else self._apart(variables, self._axes_of(variables))

    def _apart(self, tree: Any, axes: Any) -> list[Any]:
        whole = arrays_on_disk.on_host(tree)

        def lane(k: int) -> Any:
            def take(axis: int | None, part: Any) -> Any:
                return part if axis is None else jax.tree.map(lambda x: x[k], part)

            return jax.tree.map(take, axes, whole, is_leaf=lambda x: x is None)

        return [lane(k) for k in range(self.count)]
