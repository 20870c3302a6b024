"""Multistage fusion of RMFN: what the states of all modalities on one time step say together."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from msa_jax.layers.recurrent import recurrent_product

Params = Mapping[str, Array]


def lstm_cell(
    gates_BG: Float[Array, "*B G"], cell_BF: Float[Array, "*B F"]
) -> tuple[Float[Array, "*B F"], Float[Array, "*B F"]]:
    """(cell, hidden state) after a step of an LSTM, of its gates before their activations, [..., 4 F]."""
    i, f, g, o = jnp.split(gates_BG, 4, axis=-1)
    # + 1 on the forget gate: remember at first (Jozefowicz et al. 2015).
    cell_BF = nn.sigmoid(f + 1.0) * cell_BF + nn.sigmoid(i) * jnp.tanh(g)
    return cell_BF, nn.sigmoid(o) * jnp.tanh(cell_BF)


class MultistageFusion(nn.Module):
    """The K stages of HIGHLIGHT and FUSE, and SUMMARIZE.

    They see the states of one time step and keep nothing from step to step, so that they can be asked inside
    a recurrence as well as of all steps at once.

    Attributes:
      stages: K.
      highlight: False: every stage fuses the states as they are.
      memory_hidden: width inside the network that HIGHLIGHT's memory starts from.
      fuse_width: of FUSE's state.
      summary_hidden: width inside the network of SUMMARIZE.
      width: of what it returns.
      dtype: compute type of the products; None: that of the states. Gates, states and attention are float32
        in any case.
    """

    stages: int
    highlight: bool
    memory_hidden: int
    fuse_width: int
    summary_hidden: int
    width: int
    dtype: Any = None

    @nn.compact
    def __call__(self, H: int) -> Callable[[Array], tuple[Array, Array | None]]:
        """The process as a function, which may be called inside a scan.

        Args:
          H: width of the modalities' states side by side.

        Returns:
          A function from the states [..., H] to (z [..., width]; the attention of every stage
          [..., stages, H], None without HIGHLIGHT).
        """
        K, F, p = self.stages, self.fuse_width, {}
        kernel, zeros = nn.initializers.lecun_normal(), nn.initializers.zeros

        def make(name: str, shape: tuple[int, ...], init: Any) -> None:
            p[name] = self.param(name, init, shape, jnp.float32)

        def dense(name: str, inputs: int, width: int) -> None:
            make(f"{name}_kernel", (inputs, width), kernel)
            make(f"{name}_bias", (width,), zeros)

        if self.highlight:
            dense("memory_in", H, self.memory_hidden)
            dense("memory_out", self.memory_hidden, H)
            make("highlight_bias", (4 * H,), zeros)
            if K > 1:  # the first stage has neither an attention nor a state before it
                make("highlight_kernel", (2 * H, 4 * H), kernel)
        dense("fuse", H, 4 * F)
        # A row of a random orthogonal matrix, as the paper starts; that it is learned, and one for all time
        # steps, is ours.
        make("fuse_start", (1, F), nn.initializers.orthogonal())
        if K > 1:
            make("fuse_recurrent_kernel", (F, 4 * F), nn.initializers.orthogonal())
        dense("summary_in", K * F, self.summary_hidden)
        dense("summary_out", self.summary_hidden, self.width)

        def process(joined_BH: Array) -> tuple[Array, Array | None]:
            chosen_BKH, attention_BKH = joined_BH[..., None, :], None
            if self.highlight:
                attention_BKH = highlights(p, joined_BH, K, self.dtype)
                chosen_BKH = chosen_BKH * attention_BKH
            states_BG = fused(p, chosen_BKH, K, self.dtype)
            hidden_BD = nn.relu(_dense(p, "summary_in", states_BG, self.dtype))
            # SUMMARIZE; the paper leaves the network open: two layers, ReLU and tanh are ours.
            return jnp.tanh(_dense(p, "summary_out", hidden_BD, self.dtype)), attention_BKH

        return process


def highlights(p: Params, joined_BH: Array, stages: int, dtype: Any) -> Float[Array, "*B K H"]:
    """The attention of every stage, by an LSTM that reads its own last attention (HIGHLIGHT).

    Its memory starts from the states (two layers and ReLU are ours), its input and its hidden state
    from 0 (ours).

    Args:
      p: arrays by name.
      joined_BH: [..., H] the modalities' states side by side.
      stages: K.
      dtype: compute type of the products.

    Returns:
      [..., K, H], each of sum 1.
    """
    cell_BH = _dense(p, "memory_out", nn.relu(_dense(p, "memory_in", joined_BH, dtype)), dtype)
    gates_BG, attention = _row(p["highlight_bias"], joined_BH), []
    for k in range(stages):
        if k:
            before_BE = jnp.concatenate([attention[-1], hidden_BH], axis=-1)
            gates_BG = _dense(p, "highlight", before_BE, dtype)
        cell_BH, hidden_BH = lstm_cell(gates_BG, cell_BH)
        attention.append(nn.softmax(hidden_BH))
    return jnp.stack(attention, axis=-2)


def fused(p: Params, chosen_BKH: Array, stages: int, dtype: Any) -> Float[Array, "*B G"]:
    """The states of FUSE after every stage, side by side: an LSTM over them (FUSE).

    Args:
      p: arrays by name.
      chosen_BKH: [..., K, H] what the stages highlight, or [..., 1, H], the same for all.
      stages: K.
      dtype: compute type of the products.

    Returns:
      [..., K F].
    """
    inputs_BKG = _dense(p, "fuse", chosen_BKH, dtype)  # no stage's input waits for another stage's state
    start_F = p["fuse_start"][0]
    cell_BF, states = jnp.broadcast_to(start_F, (*chosen_BKH.shape[:-2], len(start_F))), []
    for k in range(stages):
        gates_BG = inputs_BKG[..., min(k, inputs_BKG.shape[-2] - 1), :]
        if k:
            gates_BG += recurrent_product(states[-1], p["fuse_recurrent_kernel"], dtype)
        cell_BF, hidden_BF = lstm_cell(gates_BG, cell_BF)
        states.append(hidden_BF)
    return jnp.concatenate(states, axis=-1)


def _dense(p: Params, name: str, x: Array, dtype: Any) -> Array:
    return recurrent_product(x, p[f"{name}_kernel"], dtype) + _row(p[f"{name}_bias"], x)


def _row(x_D: Array, like: Array) -> Array:
    """[D] as [1, ..., 1, D], with the axes of another array."""
    return jnp.expand_dims(x_D, tuple(range(like.ndim - 1)))
