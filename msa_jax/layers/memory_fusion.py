"""Memory fusion network: LSTMs side by side, attention over what their cells changed, and a gated memory.

Source: Zadeh et al., "Memory fusion network for multi-view sequential learning", AAAI 2018, arXiv:1802.00927.
Nothing but the LSTMs and the memory's own update is recurrent: attention, proposals and what the attended
cells add to the gates are products over all steps at once, outside of any scan.
"""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32
from msa_jax.layers.dropout import draw_bits, drop
from msa_jax.layers.pooling import Streams, any_step, last_valid
from msa_jax.layers.recurrent import LSTM, recurrent_product, scan_time


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
        now_BTF = jnp.concatenate(cells, axis=-1)
        # An invalid step hands the cell on, and the first cell is 0: before a step is the last valid one.
        before_BTF = jnp.pad(now_BTF[:, :-1], ((0, 0), (1, 0), (0, 0)))
        both_BTF = jnp.concatenate([before_BTF, now_BTF], axis=-1) if self.delta else now_BTF
        memory_BF, attention_BTF = self._remember(both_BTF, any_step(streams), train)
        return last, memory_BF, attention_BTF

    def _remember(self, cells_BTF: Array, mask_BT: Array, train: bool) -> tuple[Array, Array]:
        """(the last memory, the attention over the cells)."""
        B, T, F = cells_BTF.shape
        networks = (self.attention, self.proposal)
        sizes = [self.attention.hidden, self.proposal.hidden, self.retain.hidden + self.update.hidden]
        active = train and any(network.dropout for network in networks)
        bits = draw_bits(self, B, [(T, size) for size in sizes[:2]], active=active)
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
        memory = GatedMemory(self.retain, self.update, self.dtype, name="memory")
        steps = (x_ZF.reshape(B, T, -1) for x_ZF in (gates_ZG, proposal_ZF))
        return memory(*steps, mask_BT, train=train), attention_ZF.reshape(B, T, F)


class GatedMemory(nn.Module):
    """The Multi-view Gated Memory, m_t = g1 m_{t-1} + g2 c_t.

    Each gate is a sigmoid of two Dense layers, ReLU and dropout between them, over [x_t; m_{t-1}].

    Attributes:
      retain, update: networks of the two gates.
      dtype: compute type of the products; None: that of the input. Gates and memory are float32 in any case.
    """

    retain: Network
    update: Network
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        inner_BTG: Float[Array, "B T G"],
        proposed_BTF: Float[Array, "B T F"],
        mask_BT: Bool[Array, "B T"],
        *,
        train: bool,
    ) -> Float[Array, "B F"]:
        """The memory after the last valid step; 0 where there is none.

        Args:
          inner_BTG: [B, T, retain.hidden + update.hidden], what x adds to the first layers of the gates,
            biases included: it does not depend on the memory, and is a product for all steps.
          proposed_BTF: [B, T, F] what may be written, c.
          mask_BT: [B, T] steps on which the memory changes.
          train: whether dropout is active.
        """
        B, T, F = proposed_BTF.shape
        gates = {"retain": self.retain, "update": self.update}
        lecun = nn.initializers.lecun_normal()
        memory_kernel_FG = self.param("memory_kernel", lecun, (F, inner_BTG.shape[-1]), jnp.float32)
        outs = [
            (
                self.param(f"{name}_kernel", lecun, (gate.hidden, F), jnp.float32),
                self.param(f"{name}_bias", nn.initializers.zeros, (F,), jnp.float32),
            )
            for name, gate in gates.items()
        ]
        active = train and any(gate.dropout for gate in gates.values())
        bits_BTG = draw_bits(self, B, [(T, gate.hidden) for gate in gates.values()], active=active)

        def step(memory_BF: Array, now: Any) -> Array:
            inner_BG, proposed_BF, bits = now
            inner_BG = nn.relu(inner_BG + recurrent_product(memory_BF, memory_kernel_FG, self.dtype))
            parts = jnp.split(inner_BG, [self.retain.hidden], axis=-1)
            retain_BF, update_BF = (
                nn.sigmoid(recurrent_product(drop(part, b, gate.dropout), kernel, self.dtype) + bias[None])
                for part, b, gate, (kernel, bias) in zip(parts, bits, gates.values(), outs, strict=True)
            )
            return retain_BF * memory_BF + update_BF * proposed_BF

        start_BF = jnp.zeros((B, F), jnp.float32)
        return scan_time(step, start_BF, (inner_BTG, proposed_BTF, bits_BTG), mask_BT)[0]


def fusion_of(model: Any, names: Iterable[str], **fields: Any) -> MemoryFusion:
    """The memory fusion network at the sizes that a model's fields say.

    Args:
      model: a module with `memory`, `dtype`, `<name>_hidden` of each stream, and `<network>_hidden` and
        `<network>_dropout` of each network; called as a submodule of it.
      names: of the streams.
      **fields: others of `MemoryFusion`.
    """
    networks = ("attention", "proposal", "retain", "update")
    return MemoryFusion(
        hidden=tuple(getattr(model, f"{name}_hidden") for name in names),
        memory=model.memory,
        dtype=model.dtype,
        name="fusion",
        **{n: Network(getattr(model, f"{n}_hidden"), getattr(model, f"{n}_dropout")) for n in networks},
        **fields,
    )
