"""Memory fusion network: LSTMs side by side, attention over what their cells changed, and a gated memory.

Source: Zadeh et al., "Memory fusion network for multi-view sequential learning", AAAI 2018, arXiv:1802.00927.
Nothing but the LSTMs and the memory's own update is recurrent: attention, proposals and what the attended
cells add to the gates are products over all steps at once, outside of any scan.
"""

import functools
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import draw_bits, drop
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.recurrent import LSTM, recurrent_product, scan_time

Streams = Mapping[str, tuple[Float[Array, "B T D"], Bool[Array, "B T"]]]


class Network(NamedTuple):
    """What is inside one of the layer's networks, each of two Dense layers.

    Attributes:
      hidden: width between them, behind ReLU.
      dropout: rate there, drawn anew at every step.
    """

    hidden: int
    dropout: float = 0.0


class MemoryFusion(nn.Module):
    """The System of LSTMs, the Delta-memory Attention Network and the Multi-view Gated Memory.

    Attributes:
      hidden: width of the LSTM of each stream, in their order; F below is their sum.
      memory: width of the memory; 0: there is none, and no attention.
      attention: network that scores the cells of two steps.
      proposal: network that proposes what enters the memory.
      retain, update: networks of the two gates.
      delta: False: attention sees the cells of the current step alone.
      dtype: compute type of the products; None: that of the input. Cells, gates and memory are float32 in any
        case.
    """

    hidden: tuple[int, ...]
    memory: int
    attention: Network
    proposal: Network
    retain: Network
    update: Network
    delta: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self, streams: Streams, *, train: bool
    ) -> tuple[dict[str, Float[Array, "B F"]], Float[Array, "B F"], Float[Array, "B T F"] | None]:
        """Runs over the steps of modalities that share a time line.

        Args:
          streams: by modality ([B, T, D], [B, T] its valid steps). An LSTM stands still where its modality
            has no valid step, and the memory where none has one.
          train: whether dropout is active (rng "dropout").

        Returns:
          (the last hidden state of each modality, [B, hidden of it]; the last memory, [B, memory]; the
          attention [B, T, 2 F] over the cells of the step before and of the step, or [B, T, F] without
          `delta`; None where there is no memory).
        """
        last, cells = {}, []
        for (m, (x_BTD, mask_BT)), width in zip(streams.items(), self.hidden, strict=True):
            lstm = LSTM(width, self.dtype, cells=True, name=f"{m}_lstm")
            states_BTF, cell_BTF = lstm(x_BTD, mask_BT)
            last[m] = last_valid(states_BTF, mask_BT)
            cells.append(cell_BTF)
        if not self.memory:
            return last, jnp.zeros((len(cells[0]), 0), jnp.float32), None
        either_BT = functools.reduce(operator.or_, (mask_BT for _, mask_BT in streams.values()))
        now_BTF = jnp.concatenate(cells, axis=-1)
        # An invalid step hands the cell on, and the first cell is 0: before a step is the last valid one.
        before_BTF = jnp.pad(now_BTF[:, :-1], ((0, 0), (1, 0), (0, 0)))
        both_BTF = jnp.concatenate([before_BTF, now_BTF], axis=-1) if self.delta else now_BTF
        memory_BF, attention_BTF = self._remember(both_BTF, either_BT, train)
        return last, memory_BF, attention_BTF

    def _remember(self, cells_BTF: Array, mask_BT: Array, train: bool) -> tuple[Array, Array]:
        """(the last memory, the attention over the cells)."""
        B, T, F = cells_BTF.shape
        networks = (self.attention, self.proposal, self.retain, self.update)
        sizes = [network.hidden for network in networks]
        active = train and any(network.dropout for network in networks)
        bits = draw_bits(self, B, [(T, size) for size in sizes], active=active)
        dense = functools.partial(Dense32, dtype=self.dtype)

        def dropped(inner_ZF: Array, which: int) -> Array:
            own = None if bits[which] is None else bits[which].reshape(inner_ZF.shape)
            return drop(nn.relu(inner_ZF), own, networks[which].dropout)

        # Clips and steps on one axis: over two, a kernel's gradient is a product that copies its operands.
        cells_ZF = cells_BTF.reshape(B * T, F)
        inner_ZF = dropped(dense(sizes[0], name="attention_in")(cells_ZF), 0)
        attention_ZF = nn.softmax(dense(F, name="attention_out")(inner_ZF), axis=-1)
        # The first layers of all that reads the attended cells are one product.
        inner_ZF = dense(sum(sizes[1:]), name="attended_in")(attention_ZF * cells_ZF)
        inner_ZF, gates_ZG = jnp.split(inner_ZF, [sizes[1]], axis=-1)
        proposal_ZF = jnp.tanh(dense(self.memory, name="proposal_out")(dropped(inner_ZF, 1)))

        kernel = functools.partial(self.param, init_fn=nn.initializers.lecun_normal(), dtype=jnp.float32)
        zeros = nn.initializers.zeros
        bias = functools.partial(self.param, init_fn=zeros, shape=(self.memory,), dtype=jnp.float32)
        from_memory_FG = kernel("memory_in", shape=(self.memory, sum(sizes[2:])))
        outs = [
            (kernel(f"{name}_out", shape=(size, self.memory)), bias(f"{name}_bias"))
            for name, size in zip(("retain", "update"), sizes[2:], strict=True)
        ]

        def step(memory_BF: Array, now: Any) -> Array:
            proposal_BF, gates_BG, own = now
            inner_BG = nn.relu(gates_BG + recurrent_product(memory_BF, from_memory_FG, self.dtype))
            gates = []
            for network, part_BF, (out_FF, bias_F), of_part in zip(
                networks[2:], jnp.split(inner_BG, sizes[2:3], axis=-1), outs, own, strict=True
            ):
                part_BF = drop(part_BF, of_part, network.dropout)
                gates.append(nn.sigmoid(recurrent_product(part_BF, out_FF, self.dtype) + bias_F[None]))
            retain_BF, update_BF = gates
            return retain_BF * memory_BF + update_BF * proposal_BF

        start_BF = jnp.zeros((B, self.memory), jnp.float32)
        steps = tuple(x_ZF.reshape(B, T, -1) for x_ZF in (proposal_ZF, gates_ZG))
        memory_BF, _ = scan_time(step, start_BF, (*steps, bits[2:]), mask_BT)
        return memory_BF, attention_ZF.reshape(B, T, F)
