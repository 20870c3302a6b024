"""Batch normalisation over what counts, by the running statistics in evaluation."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

MOMENTUM, EPSILON = 0.9, 1e-5  # of the running statistics; beside the variance. As PyTorch has them


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) of each place along one axis, over all other axes.

    A batch in which nothing counts at a place leaves that place's running statistics as they are, and is
    normalised by them: Linen's own layer would make them NaN.

    Attributes:
      size: the most places that there are, each with a mean and a variance (collection "batch_stats"), a
        scale and a bias.
      axis: of the places; an input may have fewer.
    """

    size: int
    axis: int = -1

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *rest"], counts: Bool[Array, "B #*rest"], *, train: bool
    ) -> Float[Array, "B *rest"]:
        """x normalised by the batch in training, and by the running statistics in evaluation.

        Args:
          x: of any shape; the first axis is the batch.
          counts: which numbers are in the statistics, of a shape that fits that of x.
          train: whether the statistics are the batch's, which move the running ones.
        """
        axis = self.axis % x.ndim
        n, others = x.shape[axis], tuple(k for k in range(x.ndim) if k != axis)
        shape = tuple(n if k == axis else 1 for k in range(x.ndim))
        running = [
            self.variable("batch_stats", name, start, (self.size,), jnp.float32)
            for name, start in (("mean", jnp.zeros), ("var", jnp.ones))
        ]
        scale = self.param("scale", nn.initializers.ones, (self.size,), jnp.float32)[:n]
        bias = self.param("bias", nn.initializers.zeros, (self.size,), jnp.float32)[:n]
        mean, var = (variable.value[:n] for variable in running)
        if train:
            counts = jnp.broadcast_to(counts, x.shape)
            count = counts.sum(others).astype(jnp.float32)

            def average(values: Array) -> Array:
                return jnp.where(counts, values, 0.0).sum(others) / jnp.maximum(count, 1.0)

            own_mean = average(x)
            own_var = average(jnp.square(x - own_mean.reshape(shape)))
            before, (mean, var) = (
                (mean, var),
                (jnp.where(count > 0, own, was) for own, was in ((own_mean, mean), (own_var, var))),
            )
            for variable, own, was in zip(running, (mean, var), before, strict=True):
                moved = was + (1.0 - MOMENTUM) * (own - was)  # to the last digit `was` where nothing counts
                variable.value = variable.value.at[:n].set(moved)
        factor = scale / jnp.sqrt(var + EPSILON)
        return (x - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape)
