"""A model with a number for each training clip: the mean of its own past predictions."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from msa_jax import losses
from msa_jax.layers.head import Head
from msa_jax.layers.pooling import mean_over_time
from msa_jax.losses import Term, masked_mean
from msa_jax.models.fields import NonNegative, Positive


class Memory(nn.Module):
    """Averages audio and vision; remembers what it said of each clip."""

    clips: int = 0
    outputs: tuple[int, ...] = ()
    width: Positive = 4

    @nn.compact
    def __call__(self, batch, *, train):
        """`prediction` [B], and in training `remembered` [B], what was said of these clips before."""
        said = self.variable("memory", "said", jnp.zeros, (self.clips,))
        visits = self.variable("memory", "visits", jnp.zeros, (self.clips,), jnp.int32)
        vectors = [mean_over_time(batch[m], batch[f"{m}_mask"]) for m in ("audio", "vision")]
        x_BD = nn.relu(nn.Dense(self.width, name="dense")(jnp.concatenate(vectors, axis=-1)))
        out = Head(self.outputs, name="head")(x_BD)
        if train:
            out["remembered"] = said.value[batch["index"]]
            # Rows that only pad the batch have the index -1: they are sent beyond the end, and dropped.
            index_B = jnp.where(batch["mask"], batch["index"], self.clips)
            count_B = visits.value.at[index_B].get(mode="fill", fill_value=0) + 1
            moved_B = (out["prediction"] - said.value.at[index_B].get(mode="fill", fill_value=0)) / count_B
            said.value = said.value.at[index_B].add(moved_B, mode="drop")
            visits.value = visits.value.at[index_B].add(1, mode="drop")
        return out


@dataclasses.dataclass(frozen=True)
class Loss(losses.Loss):
    """The task's loss, and a pull towards what was said before."""

    steady_weight: NonNegative = 0.5

    def terms(self, model):
        """`steady`."""
        yield Term(
            "steady",
            self.steady_weight,
            lambda out, batch, key: masked_mean(
                jnp.square(out["prediction"] - out["remembered"]), jnp.asarray(batch["mask"], bool)
            ),
        )


Model = Memory
