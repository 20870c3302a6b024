"""Recurrences that honour a mask."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32
from msa_jax.layers.pooling import first_valid, last_valid

Pair = tuple[Array, Array]


def scan_time(
    step: Callable[[Any, Any], Any],
    carry: Any,
    inputs_BTD: Any,
    mask_BT: Bool[Array, "B T"],
) -> tuple[Any, Any]:
    """Runs a recurrence over the valid steps; on an invalid one the state is handed on unchanged.

    Args:
      step: (state, input of one step) to the next state; both trees of [B, ...].
      carry: the state before the first step.
      inputs_BTD: a tree of [B, T, ...].
      mask_BT: [B, T] valid steps, wherever they lie.

    Returns:
      (the state after the last valid step, the states after every step with T as second axis).
    """

    def masked(state: Any, now: tuple[Any, Array]) -> tuple[Any, Any]:
        inputs, valid_B = now

        def keep(new: Array, old: Array) -> Array:
            return jnp.where(valid_B.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

        state = jax.tree.map(keep, step(state, inputs), state)
        return state, state

    time_first = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (inputs_BTD, mask_BT))
    last, states = jax.lax.scan(masked, carry, time_first)
    return last, jax.tree.map(lambda x: jnp.moveaxis(x, 0, 1), states)


def recurrent_product(
    state_BF: Float[Array, "B F"], kernel_FG: Float[Array, "F G"], dtype: Any
) -> Float[Array, "B G"]:
    """A state's part of the next gates, for the step of `scan_time`.

    Args:
      state_BF: [B, F] the state.
      kernel_FG: [F, G], as it is kept: cast here, at every step, and not once before the scan, so that its
        gradient is summed over the steps in float32.
      dtype: compute type of the product; None: that of the state.

    Returns:
      [B, G] float32.
    """
    state_BF, kernel_FG = promote_dtype(state_BF, kernel_FG, dtype=dtype)
    return (state_BF @ kernel_FG).astype(jnp.float32)


class LSTM(nn.Module):
    """One LSTM layer in one direction (Hochreiter and Schmidhuber 1997; with a forget gate).

    Attributes:
      features: width of the state.
      dtype: compute type of the products; None: that of the input. Gates, cell and hidden state are float32
        in any case: a cell of bfloat16 would lose what many steps add to it little by little.
      cells: return the cell after every step, too.
    """

    features: int
    dtype: Any = None
    cells: bool = False

    @nn.compact
    def __call__(self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Any:
        """Hidden states after every step, [B, T, features]; 0 on invalid steps.

        With `cells` a pair: those, and the cells, [B, T, features], which an invalid step hands on.
        """
        hidden_BTF, cell_BTF = lstm_scan(self.dtype, *_parameters(self, x_BTD), mask_BT)
        hidden_BTF = jnp.where(mask_BT[..., None], hidden_BTF, 0.0)
        return (hidden_BTF, cell_BTF) if self.cells else hidden_BTF


class BiLSTM(nn.Module):
    """One LSTM layer in each direction, both in one scan.

    Attributes:
      features: width of each state.
      dtype: as in `LSTM`.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]
    ) -> tuple[Float[Array, "B T F"], Float[Array, "B F"]]:
        """Both hidden states side by side.

        Returns:
          (those after every step, [B, T, 2 * features], 0 on invalid steps; the last of each direction, which
          has read the whole clip, [B, 2 * features], 0 where a clip has no valid step).
        """
        forward, backward = (
            _Gates(self.features, self.dtype, name=name)(x_BTD) for name in ("forward", "backward")
        )
        gates = jnp.stack([forward[0], backward[0][:, ::-1]])
        masks = jnp.stack([mask_BT, mask_BT[:, ::-1]])
        both = jax.vmap(partial(lstm_scan, self.dtype))(gates, jnp.stack([forward[1], backward[1]]), masks)[0]
        forward_BTF, backward_BTF = (
            jnp.where(mask_BT[..., None], x_BTF, 0.0) for x_BTF in (both[0], both[1][:, ::-1])
        )
        ends = (last_valid(forward_BTF, mask_BT), first_valid(backward_BTF, mask_BT))
        return jnp.concatenate([forward_BTF, backward_BTF], axis=-1), jnp.concatenate(ends, axis=-1)


class _Gates(nn.Module):
    """The parameters of an `LSTM`, and its inputs' part of the gates."""

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x_BTD: Float[Array, "B T D"]) -> Pair:
        return _parameters(self, x_BTD)


def _parameters(module: Any, x_BTD: Float[Array, "B T D"]) -> Pair:
    """(the inputs' part of the gates, one product for all steps, [B, T, 4F]; the state's kernel)."""
    F = module.features
    gates_BTG = Dense32(4 * F, dtype=module.dtype, name="input")(x_BTD)
    orthogonal = nn.initializers.orthogonal()
    return gates_BTG, module.param("recurrent_kernel", orthogonal, (F, 4 * F), jnp.float32)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def lstm_scan(
    dtype: Any,
    gates_BTG: Float[Array, "B T G"],
    kernel_FG: Float[Array, "F G"],
    mask_BT: Bool[Array, "B T"],
) -> tuple[Float[Array, "B T F"], Float[Array, "B T F"]]:
    """The recurrence of an LSTM from a state of 0; an invalid step hands its state on.

    Its backward pass is written out: the kernel's gradient is one product over all steps at the end, where
    the transpose of a scan would add to the whole kernel at every step. Steps come first within the scan
    alone, so that this product, and that of the inputs, go over clips and steps as they lie.

    Args:
      dtype: compute type of the products; None: float32.
      gates_BTG: [B, T, 4F], the inputs' part of input gate, forget gate, candidate, output gate.
      kernel_FG: [F, 4F], the state's part.
      mask_BT: [B, T] valid steps, wherever they lie.

    Returns:
      (hidden state, cell) after every step, [B, T, F].
    """
    return _forward(dtype, gates_BTG, kernel_FG, mask_BT)[0]


def _forward(dtype: Any, gates_BTG: Array, kernel_FG: Array, mask_BT: Array) -> tuple[Pair, Any]:
    def step(state: Pair, now: Pair) -> tuple[Pair, Any]:
        (hidden_BF, cell_BF), (gates_BG, valid_B1) = state, now
        z_BG = gates_BG + recurrent_product(hidden_BF, kernel_FG, dtype)
        # One operation for all gates: sigmoid(z) is tanh(z / 2) / 2 + 1 / 2.
        active_BG = jnp.tanh((z_BG + shift_1G) * scale_1G) * scale_1G + (1.0 - scale_1G)
        i, f, g, o = jnp.split(active_BG, 4, axis=-1)
        new_BF = f * cell_BF + i * g
        state = (
            jnp.where(valid_B1, o * jnp.tanh(new_BF), hidden_BF),
            jnp.where(valid_B1, new_BF, cell_BF),
        )
        return state, (state, active_BG)

    F = kernel_FG.shape[0]
    scale_1G = np.repeat(np.float32([[0.5, 0.5, 1.0, 0.5]]), F, axis=1)
    # + 1 on the forget gate: remember at first (Jozefowicz et al. 2015).
    shift_1G = np.repeat(np.float32([[0.0, 1.0, 0.0, 0.0]]), F, axis=1)
    zero_BF = jnp.zeros((len(gates_BTG), F), jnp.float32)
    inputs = _swapped(gates_BTG), mask_BT.T[..., None]
    _, ((hidden_TBF, cell_TBF), active_TBG) = jax.lax.scan(step, (zero_BF, zero_BF), inputs)
    states = _swapped(hidden_TBF), _swapped(cell_TBF)
    return states, (states[0], cell_TBF, active_TBG, kernel_FG, mask_BT)


def _backward(dtype: Any, kept: Any, change: Pair) -> tuple[Array, Array, None]:
    hidden_BTF, cell_TBF, active_TBG, kernel_FG, mask_BT = kept
    transposed_GF, valid_TB1 = kernel_FG.T, mask_BT.T[..., None]
    zero_BF = jnp.zeros_like(cell_TBF[0])
    cell_before_TBF = jnp.concatenate([zero_BF[None], cell_TBF[:-1]])
    i, f, g, o = jnp.split(active_TBG, 4, axis=-1)
    squashed_TBF = jnp.tanh(cell_TBF)

    def where_valid(x: Array, otherwise: float) -> Array:
        return jnp.where(valid_TB1, x, otherwise)

    # What does not depend on the change is computed for all steps at once: small operations are slow.
    of_hidden_TBF = where_valid(o * (1.0 - squashed_TBF**2), 0.0)  # d hidden / d cell
    forget_TBF = where_valid(f, 1.0)
    slopes = [  # of the gates: the first three through the cell, the last through the hidden state
        where_valid(x, 0.0)
        for x in (
            g * i * (1.0 - i),
            cell_before_TBF * f * (1.0 - f),
            i * (1.0 - g**2),
            squashed_TBF * o * (1.0 - o),
        )
    ]

    def step(state: Pair, now: Any) -> tuple[Pair, Array]:
        (d_hidden_BF, d_cell_BF), (d_out, d_cell_out, of_hidden_BF, forget_BF, of_gates, valid_B1) = (
            state,
            now,
        )
        d_hidden_BF = d_hidden_BF + d_out
        d_cell_BF = d_cell_BF + d_cell_out + d_hidden_BF * of_hidden_BF
        through = (d_cell_BF, d_cell_BF, d_cell_BF, d_hidden_BF)
        d_gates_BG = jnp.concatenate([d * slope for d, slope in zip(through, of_gates, strict=True)], axis=-1)
        d_before_BF = recurrent_product(d_gates_BG, transposed_GF, dtype)
        return (jnp.where(valid_B1, d_before_BF, d_hidden_BF), d_cell_BF * forget_BF), d_gates_BG

    inputs = (*map(_swapped, change), of_hidden_TBF, forget_TBF, slopes, valid_TB1)
    _, d_gates_TBG = jax.lax.scan(step, (zero_BF, zero_BF), inputs, reverse=True)
    d_gates_BTG = _swapped(d_gates_TBG)
    before_BTF = jnp.concatenate([zero_BF[:, None], hidden_BTF[:, :-1]], axis=1)
    typed = (x if dtype is None else x.astype(dtype) for x in (before_BTF, d_gates_BTG))
    rows = (x.reshape(-1, x.shape[-1]) for x in typed)
    d_kernel_FG = jax.lax.dot_general(*rows, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
    return d_gates_BTG, d_kernel_FG, None


def _swapped(x: Array) -> Array:
    return x.swapaxes(0, 1)


lstm_scan.defvjp(_forward, _backward)
