"""Attention with many narrow heads over long sources, a block of its scores at a time.

A head of width 5 makes hundreds of scores out of ten numbers: what takes time is to write, keep and read the
scores of all heads. Here a block of them is made, used and forgotten, and made again in the backward pass,
as in FlashAttention (Dao et al. 2022), but with whole rows of the softmax in a block.

Shapes, besides those of `msa_jax.layers`: J attentions side by side; X blocks one after the other; R rows of
a block, each a clip of one of the J.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from msa_jax.layers.attention import MASKED
from msa_jax.layers.dropout import LEVELS, bits_at

# Scores of a block: on a CPU they should stay in a core's cache, elsewhere the device should be busy.
_ON_CPU, _ELSEWHERE = 1 << 19, 1 << 26


def attend(
    q_JBTD: Float[Array, "J B T D"],
    k_JBSD: Float[Array, "J B S D"],
    v_JBSD: Float[Array, "J B S D"],
    limit_JBT: Int[Array, "J B T"],
    order_JBS: Int[Array, "J B S"],
    draws_2: UInt32[Array, "2"] | None,
    *,
    heads: int,
    rates: tuple[float, ...],
    dtype: Any,
) -> Float[Array, "J B T D"]:
    """Scaled dot-product attention, in which a query sees the keys whose order is not above its limit.

    Args:
      q_JBTD, k_JBSD, v_JBSD: [J, B, T or S, D] queries, keys and values of all heads.
      limit_JBT, order_JBS: as said. A query that sees no key gives an average of all values,
        and its gradient has no meaning: leave it out.
      draws_2: two random numbers, for the dropout on the weights; None drops nothing.
      heads: that share D.
      rates: of the dropout, for each of the J.
      dtype: compute type of the products; the scores and their softmax are float32.

    Returns:
      [J, B, T, D] float32, the heads side by side.
    """
    J, B, T, D = q_JBTD.shape
    S, K = k_JBSD.shape[2], D // heads
    clips, some = _block(J * T * S, B, heads)
    form = _Form(rates if draws_2 is not None else (0.0,) * J, dtype)

    def blocks(x: Array) -> Array:
        """[J, B, heads or 1, ...] to [X, R, heads of a block or 1, ...]."""
        own = (x.shape[2] // some, some) if x.shape[2] == heads else (1, 1)
        # The clips k, k + B / clips, ... make a block: of several devices, each has some of its clips.
        x = jnp.moveaxis(x.reshape(J, clips, B // clips, *own, *x.shape[3:]), (2, 3), (0, 1))
        x = jnp.broadcast_to(x, (B // clips, heads // some, *x.shape[2:]))
        return x.reshape(-1, J * clips, *x.shape[4:])

    def split(x_JBTD: Array) -> Array:
        return blocks(x_JBTD.reshape(J, B, -1, heads, K).transpose(0, 1, 3, 4, 2))

    # The number of a score among all, by clip first: more clips change no draw of the others.
    shape = (J, B, heads, 1, 1)
    j, b, h = (jax.lax.broadcasted_iota(jnp.uint32, shape, axis) for axis in range(3))
    place = ((b * np.uint32(J) + j) * np.uint32(heads) + h) * np.uint32(T * S)
    first = None if draws_2 is None else blocks(place + draws_2[0])
    masks = blocks(limit_JBT[:, :, None, :, None]), blocks(order_JBS[:, :, None, None, :])
    second = None if draws_2 is None else draws_2[1]
    out = _attended(form, split(q_JBTD * K**-0.5), split(k_JBSD), split(v_JBSD), masks, first, second)
    out = out.reshape(B // clips, heads // some, J, clips, some, K, T)
    return out.transpose(2, 3, 0, 6, 1, 4, 5).reshape(J, B, T, D)


def _block(scores: int, clips: int, heads: int) -> tuple[int, int]:
    """(clips, heads) of a block, for so many scores of a head of one clip: as many as the limit allows."""
    most = max(1, (_ON_CPU if jax.default_backend() == "cpu" else _ELSEWHERE) // scores)
    some = max(h for h in range(1, heads + 1) if heads % h == 0 and h <= most)
    if some < heads:
        return 1, some
    return max(b for b in range(1, clips + 1) if clips % b == 0 and b <= max(1, most // heads)), heads


@dataclasses.dataclass(frozen=True)
class _Form:
    """What is the same for all blocks: the dropout of each of the J, and the compute type."""

    rates: tuple[float, ...]
    dtype: Any

    def thresholds(self, rows: int) -> Any:
        """[R, 1, 1, 1], or one number where the J agree: what 16 random bits must reach to keep a weight."""
        found = [min(round(rate * LEVELS), LEVELS - 1) for rate in self.rates]
        if len(set(found)) == 1:
            return np.uint16(found[0])
        return np.repeat(np.array(found, np.uint16), rows // len(found)).reshape(-1, 1, 1, 1)

    def scale(self, rows: int) -> Any:
        """What the kept weights are multiplied by, likewise."""
        return np.float32(LEVELS / (LEVELS - np.float64(self.thresholds(rows))))

    def dot(self, spec: str, x: Array, y: Array) -> Array:
        """A product of [R, H, ., .] in the compute type, as float32."""
        x_axes, y_axes = spec.split()
        axes = (((2 + x_axes.index("+"),), (2 + y_axes.index("+"),)), ((0, 1), (0, 1)))
        x, y = x.astype(self.dtype), y.astype(self.dtype)
        return jax.lax.dot_general(x, y, axes, preferred_element_type=jnp.float32)

    def scores(self, q: Array, k: Array, masks: Any) -> Array:
        """[R, H, T, S]."""
        limit, order = masks
        return jnp.where(order <= limit, self.dot(".+ +.", q.swapaxes(2, 3), k), MASKED)

    def kept(self, first: Any, second: Any, shape: tuple[int, ...]) -> Array | None:
        """[R, H, T, S] which weights the dropout keeps; None: all.

        The bits are those of `layers.dropout`, by the number of a score, so that a block is drawn alone.
        """
        if first is None or not any(self.rates):
            return None
        step, key = (jax.lax.broadcasted_iota(jnp.uint32, (1, 1, *shape[2:]), axis) for axis in (2, 3))
        place = first + (step * np.uint32(shape[3]) + key)
        return bits_at(place, (np.uint32(0), second)) >= self.thresholds(shape[0])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attended(form: _Form, q: Array, k: Array, v: Array, masks: Any, first: Any, second: Any) -> Array:
    """[X, R, H, K, T] from blocks of queries, keys and values."""
    return _forward(form, q, k, v, masks, first, second)[0]


def _forward(
    form: _Form, q: Array, k: Array, v: Array, masks: Any, first: Any, second: Any
) -> tuple[Array, Any]:
    def block(inputs: Any) -> tuple[Array, Array]:
        q, k, v, masks, first = inputs
        scores = form.scores(q, k, masks)
        top = scores.max(-1, keepdims=True)
        weights = jnp.exp(scores - top)
        total = weights.sum(-1, keepdims=True)
        kept = form.kept(first, second, scores.shape)
        weights = weights if kept is None else jnp.where(kept, weights, 0.0)
        mixed = form.dot(".+ .+", v, weights)
        return mixed * (form.scale(len(q)) / total.swapaxes(2, 3)), top + jnp.log(total)

    out, level = _one_by_one(block, (q, k, v, masks, first))
    return out, (q, k, v, masks, first, second, out, level)


def _backward(form: _Form, kept_of_forward: Any, d_out: Array) -> tuple[Any, ...]:
    q, k, v, masks, first, second, out, level = kept_of_forward

    def block(inputs: Any) -> tuple[Array, Array, Array]:
        q, k, v, masks, first, out, level, d_out = inputs
        weights = jnp.exp(form.scores(q, k, masks) - level)
        mean = (out * d_out).sum(2)[..., None]
        d_out = d_out * form.scale(len(q))
        d_weights = form.dot(".+ +.", d_out.swapaxes(2, 3), v)
        kept = form.kept(first, second, weights.shape)
        used = weights if kept is None else jnp.where(kept, weights, 0.0)
        d_weights = d_weights if kept is None else jnp.where(kept, d_weights, 0.0)
        d_scores = weights * (d_weights - mean)
        return form.dot(".+ .+", k, d_scores), form.dot(".+ +.", q, d_scores), form.dot(".+ +.", d_out, used)

    return *_one_by_one(block, (q, k, v, masks, first, out, level, d_out)), None, None, None


_attended.defvjp(_forward, _backward)


def _one_by_one(block: Any, inputs: Any) -> Any:
    """Maps a function over the blocks."""
    if len(inputs[0]) > 1:
        return jax.lax.map(block, inputs)
    return jax.tree.map(lambda x: x[None], block(jax.tree.map(lambda x: x[0], inputs)))
