"""Encoder of transformer layers over one sequence, or of one over another; several run side by side.

Source: Tsai et al., ACL 2019, section 3.2, and the MMSA toolkit for what the paper leaves open. As there,
what attention and feed-forward network give is added to what goes into their norm. Shapes as in
`_mult_attention`: J stacks side by side, in one program where the sequences of the queries agree in length.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from msa_jax.layers.dense import product
from msa_jax.layers.dropout import bits_at, drop
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.transformer import sinusoids
from msa_jax.models._mult_attention import attend

Steps = tuple[Float[Array, "B T D"], Bool[Array, "B T"]]  # of a sequence, and which of them are valid
_NEVER = np.iinfo(np.int32).max  # the order of a step that no query may see


@dataclasses.dataclass(frozen=True)
class _KeySide:
    """The keys' side of neighbouring stacks of a program, whose keys have one length.

    Attributes:
      stacks: which of the J.
      steps_JBSD: what the keys and what the values are made of, normalised; one array where it is the same,
        none where the stacks attend to their own input.
      limit_JBT, order_JBS: a query sees the keys whose order is not above its limit.
      any_JB: whether there is a key at all.
      rates: of the dropout on the attention weights.
    """

    stacks: slice
    steps_JBSD: list[Array]
    limit_JBT: Int[Array, "J B T"]
    order_JBS: Int[Array, "J B S"]
    any_JB: Bool[Array, "J B"]
    rates: tuple[float, ...]


class Encoder(nn.Module):
    """Stacks of layers with parameters of their own, [layers, stacks, ...].

    Attributes:
      width: D.
      heads: of each attention.
      layers: of each stack.
      rates: dropout on the attention weights, for each stack.
      embed_dropout: on what goes into a stack; queries, keys and values have draws of their own.
      relu_dropout: inside the feed-forward networks.
      residual_dropout: on what attention and feed-forward network add.
      positions: add sinusoids to what goes in.
      future_mask: a query sees keys up to its own place plus the difference of the two lengths.
      last: give the last valid step alone; the last layer then computes no other.
      dtype: compute type of the products; norms, softmax and what layers hand on are float32.
    """

    width: int
    heads: int
    layers: int
    rates: tuple[float, ...]
    embed_dropout: float = 0.0
    relu_dropout: float = 0.0
    residual_dropout: float = 0.0
    positions: bool = True
    future_mask: bool = True
    last: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, targets: Sequence[Steps], sources: Sequence[Steps] | None, *, train: bool
    ) -> list[Float[Array, "B ..."]]:
        """Runs stack i over targets[i].

        Args:
          targets: for each stack the sequence of the queries, at least one.
          sources: for each stack what every layer of it attends to; None: its own input.
          train: whether dropout is active (rng "dropout").

        Returns:
          For each stack [B, T, D]; with `last` [B, D], of no meaning where a clip has no valid step.
        """
        J, params = len(targets), self._parameters(len(targets))
        draws = None
        if train and any((*self.rates, self.embed_dropout, self.relu_dropout, self.residual_dropout)):
            # All that is drawn at random: two numbers for each mask, which a hash makes the mask of.
            draws = jax.random.bits(self.make_rng("dropout"), (J, self.layers, 7, 2), jnp.uint32)
        groups: dict[int, list[int]] = {}
        for i in sorted(range(J), key=lambda i: 0 if sources is None else sources[i][0].shape[1]):
            groups.setdefault(targets[i][0].shape[1], []).append(i)
        out: dict[int, Array] = {}
        for members in groups.values():
            own = {name: p[:, np.array(members)] for name, p in params.items()}
            queried = _stacked([targets[i] for i in members])
            attended = None if sources is None else [sources[i] for i in members]
            rates = tuple(self.rates[i] for i in members)
            x_JBTD = self._run(own, queried, attended, rates, None if draws is None else draws[members[0]])
            out |= dict(zip(members, x_JBTD, strict=True))
        return [out[i] for i in range(J)]

    def _parameters(self, J: int) -> dict[str, Array]:
        """All of them: [layers, J, ...], of the last norm [1, J, D]."""
        L, D = self.layers, self.width
        xavier = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", batch_axis=(0, 1))
        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        wanted: dict[str, tuple[Any, tuple[int, ...]]] = {}
        # Queries, keys and values are one matrix at the start, as in the toolkit: their fan is that of all.
        widths = {"in": (D, 3 * D), "out": (D, D), "ffn_in": (D, 4 * D), "ffn_out": (4 * D, D)}
        for name, (rows, columns) in widths.items():
            wanted[f"{name}_kernel"] = xavier, (L, J, rows, columns)
            wanted[f"{name}_bias"] = zeros, (L, J, columns)
        for name, count in (("attention_norm", L), ("ffn_norm", L), ("norm", 1)):
            wanted[f"{name}_scale"] = ones, (count, J, D)
            wanted[f"{name}_bias"] = zeros, (count, J, D)
        return {name: self.param(name, init, shape, jnp.float32) for name, (init, shape) in wanted.items()}

    def _run(
        self,
        params: Mapping[str, Array],
        target: tuple[Array, Array],
        sources: list[Steps] | None,
        rates: tuple[float, ...],
        draws: UInt32[Array, "L 7 2"] | None,
    ) -> Float[Array, "J B ..."]:
        """Runs stacks whose targets agree in length: [J, B, T, D], or with `last` [J, B, D]."""
        x_JBTD, mask_JBT = target
        x_JBTD = self._embedded(x_JBTD, mask_JBT, None if draws is None else draws[0, 0])
        keys = self._key_sides(mask_JBT, sources, rates, draws)

        def layer(x_JBTD: Array, own: Any) -> tuple[Array, None]:
            return self._layer(x_JBTD, *own, keys), None

        own = {name: p for name, p in params.items() if not name.startswith("norm_")}, draws
        most = self.layers - self.last
        if most:
            x_JBTD, _ = jax.lax.scan(layer, x_JBTD, jax.tree.map(lambda p: p[:most], own))
        if self.last:
            x_JBTD = self._layer(x_JBTD, *jax.tree.map(lambda p: p[most], own), keys, mask_JBT)
        x_JBTD = _normalised(x_JBTD, params["norm_scale"][0], params["norm_bias"][0])
        return x_JBTD[:, :, 0] if self.last else x_JBTD

    def _embedded(
        self, x_JBTD: Float[Array, "J B T D"], mask_JBT: Bool[Array, "J B T"], draws_2: Array | None
    ) -> Float[Array, "J B T D"]:
        """Scaled, with positions counted from 1 over the valid steps, and dropped from."""
        _, _, T, D = x_JBTD.shape
        x_JBTD = x_JBTD * D**0.5
        if self.positions:
            table = np.concatenate([np.zeros((1, D), np.float32), sinusoids(T + 1, D)[1:]])
            x_JBTD = x_JBTD + jnp.asarray(table)[jnp.where(mask_JBT, jnp.cumsum(mask_JBT, -1), 0)]
        return _dropped(x_JBTD, draws_2, self.embed_dropout)

    def _key_sides(
        self, mask_JBT: Array, sources: list[Steps] | None, rates: tuple[float, ...], draws: Array | None
    ) -> list[_KeySide]:
        """The keys' side of the stacks. Lengths are the clips' own: padding changes nothing."""
        lengths = [0] * len(rates) if sources is None else [x_BSD.shape[1] for x_BSD, _ in sources]
        found = []
        for k, S in enumerate(dict.fromkeys(lengths)):
            stacks = slice(lengths.index(S), lengths.index(S) + lengths.count(S))
            query_JBT, steps = mask_JBT[stacks], []
            key_JBS = query_JBT
            if sources is not None:  # it is the same in every layer: normalised once
                x_JBSD, key_JBS = _stacked(sources[stacks])
                drawn = draws is not None and self.embed_dropout
                each = [draws[0, which] + np.uint32(k) for which in (1, 2)] if drawn else [None]
                steps = [_normalised(self._embedded(x_JBSD, key_JBS, draw)) for draw in each]
            rank_JBT, rank_JBS = (jnp.cumsum(mask, -1) for mask in (query_JBT, key_JBS))
            count_JB1, key_count_JB1 = (mask.sum(-1, keepdims=True) for mask in (query_JBT, key_JBS))
            limit_JBT = jnp.broadcast_to(key_count_JB1, rank_JBT.shape)
            if self.future_mask:
                limit_JBT = rank_JBT + jnp.abs(count_JB1 - key_count_JB1)
            order_JBS = jnp.where(key_JBS, rank_JBS, _NEVER)
            found.append(_KeySide(stacks, steps, limit_JBT, order_JBS, key_JBS.any(-1), rates[stacks]))
        return found

    def _layer(
        self,
        x_JBTD: Float[Array, "J B T D"],
        p: Mapping[str, Array],
        draws: UInt32[Array, "7 2"] | None,
        keys: list[_KeySide],
        last_JBT: Bool[Array, "J B T"] | None = None,
    ) -> Float[Array, "J B T D"]:
        """One layer; with the mask `last_JBT` for the last valid step alone, [J, B, 1, D]."""
        draws = [None] * 7 if draws is None else draws
        normed_JBTD = query_in_JBTD = _normalised(x_JBTD)
        if last_JBT is not None:
            x_JBTD, query_in_JBTD = (_last_of(x, last_JBT) for x in (x_JBTD, normed_JBTD))
        # One norm serves queries, keys and values. Its scale and bias, the layer's own, are taken into their
        # product, so that what every layer attends to need not be normalised in each.
        kernel = p["attention_norm_scale"][..., None] * p["in_kernel"]
        bias = p["in_bias"] + jnp.einsum("jd,jdf->jf", p["attention_norm_bias"], p["in_kernel"])
        D, mixed = self.width, []
        query_JBTD = self._dense(query_in_JBTD, kernel[..., :D], bias[..., :D])
        for k, one in enumerate(keys):
            w, b = kernel[one.stacks], bias[one.stacks]
            steps = one.steps_JBSD or [normed_JBTD]
            if len(steps) == 1:
                both = self._dense(steps[0], w[..., D:], b[..., D:])
            else:
                parts = (slice(D, 2 * D), slice(2 * D, None))
                both = jnp.concatenate(
                    [self._dense(x, w[..., at], b[..., at]) for x, at in zip(steps, parts, strict=True)], -1
                )
            limit = one.limit_JBT
            if last_JBT is not None:
                limit = _last_of(limit[..., None], last_JBT)[..., 0]
            form = {"heads": self.heads, "rates": one.rates, "dtype": self.dtype}
            drawn = None if draws[3] is None else draws[3] + np.uint32(k)
            out = attend(
                query_JBTD[one.stacks], both[..., :D], both[..., D:], limit, one.order_JBS, drawn, **form
            )
            mixed.append(out)
        mixed_JBTD = self._dense(jnp.concatenate(mixed), p["out_kernel"], p["out_bias"])
        any_JB = jnp.concatenate([one.any_JB for one in keys])
        mixed_JBTD = jnp.where(any_JB[..., None, None], mixed_JBTD, 0.0)  # without a key nothing is added
        x_JBTD = x_JBTD + _dropped(mixed_JBTD, draws[4], self.residual_dropout)

        hidden = _normalised(x_JBTD, p["ffn_norm_scale"], p["ffn_norm_bias"])
        hidden = nn.relu(self._dense(hidden, p["ffn_in_kernel"], p["ffn_in_bias"]))
        hidden = _dropped(hidden, draws[5], self.relu_dropout)
        out_JBTD = self._dense(hidden, p["ffn_out_kernel"], p["ffn_out_bias"])
        return x_JBTD + _dropped(out_JBTD, draws[6], self.residual_dropout)

    def _dense(self, x: Array, kernel_JDF: Array, bias_JF: Array) -> Float[Array, "J B T F"]:
        """A product in the compute type, and the bias in float32."""
        x, kernel_JDF = x.astype(self.dtype), kernel_JDF.astype(self.dtype)
        return product(x, kernel_JDF).astype(jnp.float32) + bias_JF[:, None, None]


def _normalised(x: Array, scale_JD: Array | None = None, bias_JD: Array | None = None) -> Array:
    """LayerNorm over the last axis of [J, B, T, D]; without scale and bias where none are given."""
    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x if scale_JD is None else x * scale_JD[:, None, None] + bias_JD[:, None, None]


def _stacked(sequences: Sequence[Steps]) -> tuple[Float[Array, "J B T D"], Bool[Array, "J B T"]]:
    """Sequences of one length side by side."""
    x, masks = zip(*sequences, strict=True)
    return jnp.stack(x), jnp.stack(masks)


def _last_of(x_JBTD: Array, mask_JBT: Bool[Array, "J B T"]) -> Array:
    """[J, B, 1, D], the last valid step."""
    return jax.vmap(last_valid)(x_JBTD, mask_JBT)[:, :, None]


def _dropped(x_JBTD: Array, draws_2: UInt32[Array, "2"] | None, rate: float) -> Array:
    """Dropout by two random numbers; None drops nothing."""
    if draws_2 is None or not rate:
        return x_JBTD
    J, _, T, D = x_JBTD.shape
    j, b, t, d = (jax.lax.broadcasted_iota(jnp.uint32, x_JBTD.shape, axis) for axis in range(4))
    place = ((b * np.uint32(J) + j) * np.uint32(T) + t) * np.uint32(D) + d
    return drop(x_JBTD, bits_at(place, draws_2), rate)
