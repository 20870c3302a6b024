"""Arguments of losses: what is not an array of real numbers, a mask or a weight is refused before tracing."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool

from msa_jax.errors import ArgumentError


def real(values: ArrayLike, name: str) -> Array:
    """The values as an array of its own dtype.

    Raises:
      ArgumentError: when they are not real numbers; a conversion would drop the imaginary parts.
    """
    if any(isinstance(value, str | bytes) for value in jax.tree.leaves(values)):
        raise ArgumentError(f"{name} is not an array of numbers: there is text in it")
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError) as e:
        raise ArgumentError(f"{name} is not an array of numbers: {str(e).splitlines()[0]}") from None
    if not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype.kind in "biu"):
        raise ArgumentError(f"{name} holds {array.dtype} values, not real numbers")
    return array


def check_number(value: float, name: str, *, positive: bool = False) -> None:
    """Refuses a hyperparameter that is not a finite number of at least 0, or above 0; a traced one passes."""
    if isinstance(value, jax.core.Tracer):
        return
    number = np.asarray(value)
    fits = number.ndim == 0 and number.dtype.kind in "iuf" and 0 <= number < np.inf
    if not fits or (positive and number == 0):
        raise ArgumentError(f"{name} is {value!r}, not a number {'above' if positive else 'of at least'} 0")


def kept(mask: ArrayLike | None, *shapes: tuple[int, ...]) -> Bool[Array, "..."]:
    """A mask as bool; None keeps all.

    Args:
      mask: of bool, or of zeros and ones.
      *shapes: that it may have; without a mask it gets the first.

    Raises:
      ArgumentError: when it has another shape, or holds something else, such as NaN.
    """
    if mask is None:
        return jnp.ones(shapes[0], bool)
    array = real(mask, "mask")
    if array.shape not in shapes:
        raise ArgumentError(f"expected mask {' or '.join(map(str, shapes))}, got {array.shape}")
    if not isinstance(array, jax.core.Tracer) and not np.isin(array, (0, 1)).all():
        raise ArgumentError("mask holds other values than True and False")
    return array.astype(bool)
