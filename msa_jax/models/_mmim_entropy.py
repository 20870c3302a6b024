"""Entropy of a modality's vectors, by a Gaussian for each sign of the label, with a memory of few batches."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from msa_jax.losses import present

SHRINK = 4  # an entropy is that of a quarter of a vector's columns; toolkit


class Moments(NamedTuple):
    """What a set of vectors leaves for a covariance, for the clips of each sign: the positive, the negative.

    Attributes:
      count: [2] clips.
      mean: [2, D] of their vectors; 0 without a clip.
      scatter: [2, D, D], the sum over the clips of the outer products of what they differ from the mean.
    """

    count: Array
    mean: Array
    scatter: Array


def moments(x_BD: Float[Array, "B D"], of_2B: Bool[Array, "2 B"]) -> Moments:
    """The moments of the rows that belong to each sign."""
    weight_2B = of_2B.astype(jnp.float32)
    count_2 = weight_2B.sum(1)
    mean_2D = _sum("sb,bd->sd", weight_2B, x_BD) / jnp.maximum(count_2, 1.0)[:, None]
    off_2BD = weight_2B[..., None] * (x_BD[None] - mean_2D[:, None])
    return Moments(count_2, mean_2D, _sum("sbd,sbe->sde", off_2BD, off_2BD))


def covariances(sets: Moments) -> tuple[Float[Array, "2 D D"], Float[Array, "2"]]:
    """The covariances of several sets together.

    Not from the mean of the squares, which would lose what is small beside the square of the mean.

    Args:
      sets: with an axis of the sets in front.

    Returns:
      (for each sign the covariance, divided by the number of clips; that number).
    """
    count_2 = sets.count.sum(0)
    safe_2 = jnp.maximum(count_2, 1.0)
    mean_2D = _sum("ks,ksd->sd", sets.count, sets.mean) / safe_2[:, None]
    off_K2D = sets.mean - mean_2D[None]
    between_2DD = _sum("ks,ksd,kse->sde", sets.count, off_K2D, off_K2D)
    return (sets.scatter.sum(0) + between_2DD) / safe_2[:, None, None], count_2


def entropy(sets: Moments, ridge: float, wanted: Bool[Array, ""]) -> Float[Array, ""]:
    """1/4 of the sum of the signs' log determinants; a sign with too few clips for one adds nothing.

    Args:
      sets: as for `covariances`.
      ridge: added to the diagonals.
      wanted: False gives 0, with gradients of 0 whatever the sets are.
    """
    covariance_2DD, count_2 = covariances(sets)
    D = covariance_2DD.shape[-1]
    used_2 = wanted & (count_2 > D)  # as many clips or fewer have a determinant of 0
    identity_1DD = jnp.eye(D, dtype=covariance_2DD.dtype)[None]
    covariance_2DD = jnp.where(used_2[:, None, None], covariance_2DD + ridge * identity_1DD, identity_1DD)
    diagonal_2D = jnp.diagonal(jnp.linalg.cholesky(covariance_2DD), axis1=1, axis2=2)
    return 0.25 * 2.0 * jnp.log(diagonal_2D).sum()


def _sum(axes: str, *arrays: Array) -> Array:
    # In full precision also where the device would round: a logarithm magnifies what a covariance loses.
    return jnp.einsum(axes, *arrays, precision="highest")


class Entropy(nn.Module):
    """H of each vector's projection, over the clips of the batch and of those before it in the same epoch.

    The batches before are kept by their moments, in the collection "memory", with a count of the visits of
    each clip, which tells one epoch from the next: an epoch begins without a memory. Only training steps read
    it and write to it.

    Attributes:
      clips: of the training split.
      memory_size: batches that are remembered.
      trained: the projections are parameters; otherwise they stay as they were drawn, in the collection
        "fixed".
      ridge: as for `entropy`.
    """

    clips: int
    memory_size: int
    trained: bool
    ridge: float

    @nn.compact
    def __call__(
        self, vectors: Mapping[str, tuple[str, Array]], batch: Mapping[str, Array], *, train: bool
    ) -> Float[Array, ""] | None:
        """The sum of the entropies.

        It is 0 until the memory is full, and in the first step with a full one, too, as in the toolkit.

        Args:
          vectors: by name the modality, and its vectors [B, F].
          batch: `label` [B], `index`, `mask`, and the masks of the modalities.
          train: whether this is a training step; no entropy is estimated otherwise, and None returned.
        """
        S, whole = self.memory_size, jnp.int32
        visits = self.variable("memory", "visits", jnp.zeros, (self.clips,), whole)
        epoch = self.variable("memory", "epoch", jnp.zeros, (), whole)
        batches = self.variable("memory", "batches", jnp.zeros, (), whole)
        projected = {name: self._project(name, x_BF) for name, (_, x_BF) in vectors.items()}
        kept = {
            name: self.variable("memory", name, _blank, S, e_BD.shape[1]) for name, e_BD in projected.items()
        }
        if not train:
            return None
        rows_B = jnp.asarray(batch["mask"], bool)
        # Rows that only pad the batch are sent beyond the end of the table, and dropped.
        index_B = jnp.where(rows_B, batch["index"], self.clips)
        now_B = 1 + visits.value.at[index_B].get(mode="fill", fill_value=-1)
        now = jnp.where(rows_B.any(), now_B.max(), epoch.value)
        # Of the epoch before nothing is left where an entropy reads: S batches have taken its place.
        before = jnp.where(now == epoch.value, batches.value, 0)

        total = jnp.zeros((), jnp.float32)
        for name, e_BD in projected.items():
            here_B = present(batch, vectors[name][0])
            signs_2B = here_B[None] & jnp.stack([batch["label"] > 0, batch["label"] < 0])
            new = moments(jnp.where(here_B[:, None], e_BD, 0.0), signs_2B)
            old = Moments(**kept[name].value)
            both = jax.tree.map(lambda x, y: jnp.concatenate([x, y[None]]), old, new)
            total += entropy(both, self.ridge, before > S)
            after = jax.tree.map(
                lambda x, y: x.at[before % S].set(jnp.where(rows_B.any(), y, x[before % S])), old, new
            )
            kept[name].value = jax.lax.stop_gradient(after._asdict())
        visits.value = visits.value.at[index_B].add(1, mode="drop")
        epoch.value = now
        batches.value = before + rows_B.any().astype(whole)
        return total

    def _project(self, name: str, x_BF: Float[Array, "B F"]) -> Float[Array, "B D"]:
        """tanh of a Dense layer, a quarter as wide."""
        F = x_BF.shape[1]

        def draw(key: Array) -> dict[str, Any]:
            D = max(F // SHRINK, 1)
            kernel_FD = nn.initializers.xavier_normal()(key, (F, D), jnp.float32)
            return {"kernel": kernel_FD, "bias": jnp.zeros(D, jnp.float32)}

        if self.trained:
            layer = self.param(name, draw)
        else:
            layer = self.variable("fixed", name, lambda: draw(self.make_rng("params"))).value
        return jnp.tanh(x_BF @ layer["kernel"] + layer["bias"][None])


def _blank(batches: int, width: int) -> dict[str, Array]:
    """The moments of batches without a clip."""
    shapes = {"count": (2,), "mean": (2, width), "scatter": (2, width, width)}
    return {name: jnp.zeros((batches, *shape), jnp.float32) for name, shape in shapes.items()}
