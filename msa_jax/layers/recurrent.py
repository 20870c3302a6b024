"""Recurrent layers that honour a mask."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Bool, Float

from msa_jax.layers.dense import Dense32
from msa_jax.layers.pooling import first_valid, last_valid


def scan_time(
    step: Callable[[Any, Any], Any],
    carry: Any,
    inputs_BTD: Any,
    mask_BT: Bool[Array, "B T"],
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Runs a recurrence over the valid steps; on an invalid one the state is handed on unchanged.

    Args:
      step: (state, input of one step) to the next state; both trees of [B, ...].
      carry: the state before the first step.
      inputs_BTD: a tree of [B, T, ...].
      mask_BT: [B, T] valid steps, wherever they lie.
      reverse: from the last step to the first; the states stay in the order of the inputs.

    Returns:
      (the state after the last valid step that is run, the states after every step with T as second axis).
    """

    def masked(state: Any, now: tuple[Any, Array]) -> tuple[Any, Any]:
        inputs, valid_B = now

        def keep(new: Array, old: Array) -> Array:
            return jnp.where(valid_B.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

        state = jax.tree.map(keep, step(state, inputs), state)
        return state, state

    time_first = jax.tree.map(lambda x: jnp.moveaxis(x, 1, 0), (inputs_BTD, mask_BT))
    last, states = jax.lax.scan(masked, carry, time_first, reverse=reverse)
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
      reverse: read the steps from the last to the first.
      cells: return the cell after every step, too.
    """

    features: int
    dtype: Any = None
    reverse: bool = False
    cells: bool = False

    @nn.compact
    def __call__(self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]) -> Any:
        """Hidden states after every step, [B, T, features]; 0 on invalid steps.

        With `cells` a pair: those, and the cells, [B, T, features], which an invalid step hands on.
        """
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
        _, (cell_BTF, hidden_BTF) = scan_time(
            step, (zero_BF, zero_BF), gates_BTG, mask_BT, reverse=self.reverse
        )
        hidden_BTF = jnp.where(mask_BT[..., None], hidden_BTF, 0.0)
        return (hidden_BTF, cell_BTF) if self.cells else hidden_BTF


class BiLSTM(nn.Module):
    """One LSTM layer in each direction.

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
        forward_BTF = LSTM(self.features, self.dtype, name="forward")(x_BTD, mask_BT)
        backward_BTF = LSTM(self.features, self.dtype, reverse=True, name="backward")(x_BTD, mask_BT)
        ends = (last_valid(forward_BTF, mask_BT), first_valid(backward_BTF, mask_BT))
        return jnp.concatenate([forward_BTF, backward_BTF], axis=-1), jnp.concatenate(ends, axis=-1)
