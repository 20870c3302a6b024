"""Recurrences of MulG, and the self-attention that may stand in their place."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.layers.crossmodal import AttentionStack
from msa_jax.layers.dense import Dense32
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.recurrent import recurrent_product, scan_time


class GRU(nn.Module):
    """A stack of GRU layers over the valid steps, as the paper prints it (eqs. 1-4, no biases).

    Attributes:
      features: width of the state.
      layers: number of layers.
      dtype: compute type of the products; None: that of the input. Gates and state are float32 in any case.
    """

    features: int = 40
    layers: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """State of the last layer after the last valid step; 0 where there is none."""
        del train
        F, product = self.features, partial(recurrent_product, dtype=self.dtype)
        h_BF = jnp.zeros((len(x_BTD), F), jnp.float32)
        for layer in range(self.layers):
            # What the inputs give is one product for all steps, outside the recurrence.
            inputs_BTG = nn.Dense(3 * F, use_bias=False, dtype=self.dtype, name=f"input_{layer}")(x_BTD)
            orthogonal = nn.initializers.orthogonal()
            gates_FG = self.param(f"gates_{layer}", orthogonal, (F, 2 * F), jnp.float32)
            candidate_FF = self.param(f"candidate_{layer}", orthogonal, (F, F), jnp.float32)

            def step(h_BF: Array, inputs_BG: Array, gates_FG=gates_FG, candidate_FF=candidate_FF) -> Array:
                F = h_BF.shape[-1]
                r_BF, z_BF = jnp.split(
                    nn.sigmoid(inputs_BG[:, : 2 * F] + product(h_BF, gates_FG)), 2, axis=-1
                )
                candidate_BF = jnp.tanh(inputs_BG[:, 2 * F :] + product(r_BF * h_BF, candidate_FF))
                # Eq. 4; the prose has the two the other way round.
                return (1 - z_BF) * h_BF + z_BF * candidate_BF

            last_BF, x_BTD = scan_time(step, h_BF, inputs_BTG, mask_BT)
        return last_BF


class FlaxGRU(nn.Module):
    """The same stack of `nn.GRUCell`: r comes after its product, z swaps its parts, there are biases.

    Attributes:
      features, layers: as in `GRU`.
      dtype: compute type of the cell, gates included; None: that of the input. The state is float32 in any
        case.
    """

    features: int = 40
    layers: int = 2
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """State of the last layer after the last valid step; 0 where there is none."""
        del train
        cell = nn.GRUCell(self.features, dtype=self.dtype, parent=None)
        h_BF = jnp.zeros((len(x_BTD), self.features), jnp.float32)
        for layer in range(self.layers):
            # Outside Linen's bookkeeping: a bound cell cannot be called inside the scan.
            params = self.param(
                f"cell_{layer}", lambda key, x_BTD=x_BTD: cell.init(key, h_BF, x_BTD[:, 0])["params"]
            )
            last_BF, x_BTD = scan_time(
                lambda h_BF, x_BD, params=params: cell.apply({"params": params}, h_BF, x_BD)[1],
                h_BF,
                x_BTD,
                mask_BT,
            )
        return last_BF


class SelfAttention(nn.Module):
    """Self-attention in the GRU's place: its output on the last valid step.

    Attributes:
      features: width, which the input is projected to (ours: so that the states are as wide as a GRU's).
      layers, heads, residual, dropout, attention_dropout, positions, dtype: as in `AttentionStack`.
    """

    features: int
    layers: int
    heads: int
    residual: str
    dropout: float
    attention_dropout: float
    positions: bool
    dtype: Any = None

    @nn.compact
    def __call__(
        self, x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"], *, train: bool
    ) -> Float[Array, "B F"]:
        """[B, T, D] to [B, features]; 0 where no step is valid."""
        stack = AttentionStack(
            layers=self.layers,
            heads=self.heads,
            ffn_width=4 * self.features,
            residual=self.residual,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            positions=self.positions,
            dtype=self.dtype,
            name="stack",
        )
        x_BTF = Dense32(self.features, dtype=self.dtype, name="input")(x_BTD)
        return last_valid(stack(x_BTF, None, mask_BT, train=train)[0], mask_BT)
