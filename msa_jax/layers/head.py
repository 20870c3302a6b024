"""Head: the last layer of a model, for one score or for the logits of classes."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Head(nn.Module):
    """Dense, in float32: bfloat16 has three digits, labels have steps of 0.2 and less.

    Attributes:
      outputs: () for one score per clip, (2,) for two classes, (4, 2) for four two-way tasks.
    """

    outputs: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x_BD: Float[Array, "B D"]) -> dict[str, Float[Array, "B ..."]]:
        """`prediction` [B] for a score, else `logits` [B, *outputs]."""
        out_BO = nn.Dense(math.prod(self.outputs), name="output_dense")(x_BD.astype(jnp.float32))
        return named(out_BO, self.outputs)


def named(out_BO: Float[Array, "B O"], outputs: tuple[int, ...]) -> dict[str, Float[Array, "B ..."]]:
    """`prediction` [B] where `outputs` is (), else `logits` [B, *outputs], of O = prod(outputs) columns."""
    return {output_name(outputs): out_BO.reshape(len(out_BO), *outputs)}


def output_name(outputs: tuple[int, ...]) -> str:
    """The name of a model's output that is scored: "prediction" where `outputs` is (), else "logits"."""
    return "logits" if outputs else "prediction"
