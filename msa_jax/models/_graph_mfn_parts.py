"""Parts of Graph-MFN: the dynamic fusion graph, and what its vertices are made of."""

import functools
import operator
from collections.abc import Mapping, Sequence
from itertools import chain, combinations
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32

Vertex = tuple[str, ...]


def subsets(names: Sequence[str], *, whole: bool) -> list[Vertex]:
    """Subsets of some names from the smallest to the largest, without the empty one.

    Args:
      names: in their order, which each subset keeps.
      whole: the set itself is one of them.
    """
    sizes = range(1, len(names) + whole)
    return list(chain.from_iterable(combinations(names, size) for size in sizes))


def edges(names: Sequence[str]) -> list[tuple[Vertex | None, Vertex]]:
    """The edges of the graph as (end, start), in the order of the efficacies; the end None is the summary.

    Every vertex of at least two modalities has an edge from each of its smaller subsets, and the summary has
    one from every vertex: 19 for three modalities, 5 for two, 1 for one.
    """
    vertices = subsets(names, whole=True)
    inner = [(end, start) for end in vertices if len(end) > 1 for start in subsets(end, whole=False)]
    return [*inner, *((None, start) for start in vertices)]


class TwoSteps(nn.Module):
    """A Dense layer with ReLU over the state of the step before and that of the step.

    Attributes:
      width: of the result.
      dtype: compute type of the product; None: that of the input. The result is float32 in any case.
    """

    width: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x_BTF: Float[Array, "B T F"]) -> Float[Array, "B T D"]:
        """[B, T, F] to [B, T, width]; before the first step the state is 0."""
        # Both halves in one product, and the shift behind it.
        both_BTD = Dense32(2 * self.width, use_bias=False, dtype=self.dtype, name="dense")(x_BTF)
        before_BTD, now_BTD = jnp.split(both_BTD, 2, axis=-1)
        before_BTD = jnp.pad(before_BTD[:, :-1], ((0, 0), (1, 0), (0, 0)))
        bias_D = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        return nn.relu(before_BTD + now_BTD + bias_D[None, None])


class FusionGraph(nn.Module):
    """The dynamic fusion graph (section 4.1).

    Every edge carries a vertex to a larger one, times a number that a network infers from the vertices of the
    single modalities: its efficacy. A network makes each larger vertex of what reaches it.

    Attributes:
      width: of a vertex of several modalities, and of the summary.
      hidden: width inside each network.
      sigmoid_efficacy: the efficacies end in a sigmoid.
      relu_between: a ReLU between the Dense layers of each network.
      dtype: compute type of the products; None: that of the input. What is handed on is float32 in any case.
    """

    width: int
    hidden: int
    sigmoid_efficacy: bool = True
    relu_between: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self, vertices: Mapping[str, Float[Array, "B T F"]]
    ) -> tuple[Float[Array, "B T D"], Float[Array, "B T E"]]:
        """Of all steps at once, since a step does not depend on another one.

        Args:
          vertices: of the single modalities, modality to [B, T, its width].

        Returns:
          (the summary [B, T, width]; the efficacies [B, T, edges] in the order of `edges`).
        """
        known: dict[Vertex, Array] = {(m,): x_BTF for m, x_BTF in vertices.items()}
        ways = edges(list(vertices))
        parts: dict[tuple[str, Vertex], Array] = {}

        def spread(vertex: Vertex) -> None:
            """What a vertex adds to the networks that it goes to, without the efficacies, in one product.

            An efficacy multiplies a vertex as a whole, so it may as well multiply what comes out.
            """
            names = ["efficacy"] if len(vertex) == 1 else []
            names += [_name(end) for end, start in ways if start == vertex]
            width, name = len(names) * self.hidden, f"from_{_name(vertex)}"
            x_BTD = Dense32(width, use_bias=False, dtype=self.dtype, name=name)(known[vertex])
            for network, part_BTD in zip(names, jnp.split(x_BTD, len(names), axis=-1), strict=True):
                parts[network, vertex] = part_BTD

        for m in vertices:
            spread((m,))
        efficacy_BTE = self._network(
            "efficacy", [parts["efficacy", (m,)] for m in vertices], self.width, len(ways)
        )
        if self.sigmoid_efficacy:
            efficacy_BTE = nn.sigmoid(efficacy_BTE)

        def reached(end: Vertex | None) -> Array:
            carried = [
                parts[_name(end), start] * efficacy_BTE[..., k, None]
                for k, (e, start) in enumerate(ways)
                if e == end
            ]
            return self._network(_name(end), carried, self.width)

        for end in dict.fromkeys(end for end, _ in ways if end is not None):
            known[end] = reached(end)
            spread(end)
        return reached(None), efficacy_BTE

    def _network(self, name: str, parts: list[Array], *widths: int) -> Array:
        """A network of the sum of what comes to its first layer, and of the widths of the others."""
        bias_D = self.param(f"{name}_bias", nn.initializers.zeros, (self.hidden,), jnp.float32)
        x_BTD = functools.reduce(operator.add, parts) + bias_D[None, None]
        for k, width in enumerate(widths):
            x_BTD = nn.relu(x_BTD) if self.relu_between else x_BTD
            x_BTD = Dense32(width, dtype=self.dtype, name=f"{name}_{k + 1}")(x_BTD)
        return x_BTD


def _name(vertex: Vertex | None) -> str:
    return "summary" if vertex is None else "_".join(vertex)


def last_state_so_far(x_BTF: Float[Array, "B T F"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B T F"]:
    """On each step the last valid one up to it; 0 before the first, where x must be 0."""
    T = mask_BT.shape[1]
    last_BT = jax.lax.cummax(jnp.where(mask_BT, jnp.arange(T), 0), axis=1)
    return jnp.take_along_axis(x_BTF, last_BT[..., None], axis=1)
