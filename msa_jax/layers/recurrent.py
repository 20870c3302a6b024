"""Recurrent layers that honour a mask."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32


def scan_time(
    step: Callable[[Any, Any], Any], carry: Any, inputs_BTD: Any, mask_BT: Bool[Array, "B T"]
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
    """One unidirectional LSTM layer (Hochreiter and Schmidhuber 1997; with a forget gate).

    Attributes:
      features: width of the state.
      dtype: compute type of the products; None: that of the input. Gates, cell and hidden state are float32
        in any case: a cell of bfloat16 would lose what many steps add to it little by little.
    """

    features: int
    dtype: Any = None

    @nn.compact
    def __call__(self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Float[Array, "B T F"]:
        """Hidden states after every step, [B, T, features]; 0 on invalid steps."""
        F = self.features
        # The inputs' part of the gates is one product for all steps, outside the recurrence.
        gates_BTG = Dense32(4 * F, dtype=self.dtype, name="input")(x_BTD)
        kernel_FG = self.param("recurrent_kernel", nn.initializers.orthogonal(), (F, 4 * F), jnp.float32)

        def step(state: tuple[Array, Array], gates_BG: Array) -> tuple[Array, Array]:
            cell_BF, hidden_BF = state
            i, f, g, o = jnp.split(gates_BG + recurrent_product(hidden_BF, kernel_FG, self.dtype), 4, axis=-1)
            # + 1 on the forget gate: remember at first (Jozefowicz et al. 2015).
            cell_BF = nn.sigmoid(f + 1.0) * cell_BF + nn.sigmoid(i) * jnp.tanh(g)
            return cell_BF, nn.sigmoid(o) * jnp.tanh(cell_BF)

        zero_BF = jnp.zeros((len(x_BTD), F), jnp.float32)
        _, (_, hidden_BTF) = scan_time(step, (zero_BF, zero_BF), gates_BTG, mask_BT)
        return jnp.where(mask_BT[..., None], hidden_BTF, 0.0)
