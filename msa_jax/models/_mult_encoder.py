"""Encoder of transformer layers over one sequence, or of one over another; several run side by side.

Source: Tsai et al., ACL 2019, section 3.2, and the MMSA toolkit for what the paper leaves open. Shapes as in
`_mult_attention`: J stacks side by side, as one batched product where their sequences agree in length.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from msa_jax.layers.dropout import drop, hashed_bits
from msa_jax.layers.pooling import last_valid
from msa_jax.layers.transformer import sinusoids
from msa_jax.models._mult_attention import attend

Steps = tuple[Float[Array, "B T D"], Bool[Array, "B T"]]  # of a sequence, and which of them are valid
Masks = tuple[Int[Array, "J B T"], Int[Array, "J B S"], Bool[Array, "J B"]]  # limit, order, any key at all
_NEVER = np.iinfo(np.int32).max  # the order of a step that no query may see


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
          targets: for each stack the sequence that asks, at least one.
          sources: for each stack what every layer of it asks; None: its own input.
          train: whether dropout is active (rng "dropout").

        Returns:
          For each stack [B, T, D]; with `last` [B, D], of no meaning where a clip has no valid step.
        """
        params = self._parameters(len(targets))
        rates = (*self.rates, self.embed_dropout, self.relu_dropout, self.residual_dropout)
        key = self.make_rng("dropout") if train and any(rates) else None
        groups: dict[Any, list[int]] = {}
        for i, (x_BTD, _) in enumerate(targets):
            groups.setdefault((x_BTD.shape, sources and sources[i][0].shape), []).append(i)
        out: dict[int, Array] = {}
        for g, members in enumerate(groups.values()):

            def stacked(pairs: Sequence[Steps], members: list[int] = members) -> tuple[Array, Array]:
                x, mask = zip(*(pairs[i] for i in members), strict=True)
                return jnp.stack(x), jnp.stack(mask)

            x_JBTD = self._run(
                {name: p[:, np.array(members)] for name, p in params.items()},
                stacked(targets),
                None if sources is None else stacked(sources),
                tuple(self.rates[i] for i in members),
                None if key is None else jax.random.fold_in(key, g),
            )
            out |= dict(zip(members, x_JBTD, strict=True))
        return [out[i] for i in range(len(targets))]

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
        source: tuple[Array, Array] | None,
        rates: tuple[float, ...],
        key: Key[Array, ""] | None,
    ) -> Float[Array, "J B ..."]:
        """Runs stacks whose sequences agree in length: [J, B, T, D], or with `last` [J, B, D]."""
        x_JBTD, mask_JBT = target
        embed_keys, layer_keys = (None,) * 3, None
        if key is not None:
            embed_keys = jax.random.split(jax.random.fold_in(key, 0), 3)
            layer_keys = jax.random.split(jax.random.fold_in(key, 1), self.layers)
        x_JBTD = self._embedded(x_JBTD, mask_JBT, embed_keys[0])
        source_JBSD = None
        if source is not None:  # the same in every layer: normalised once
            draws = embed_keys[1:] if key is not None and self.embed_dropout else (None,)
            source_JBSD = [_normalised(self._embedded(*source, draw)) for draw in draws]
        masks = self._masks(mask_JBT, mask_JBT if source is None else source[1])

        # Backward, all of a layer but its attention is computed again: to keep it takes more time than that.
        policy = jax.checkpoint_policies.save_only_these_names("mixed", "level")

        def layer(x_JBTD: Array, own: Any) -> tuple[Array, None]:
            return self._layer(x_JBTD, *own, source_JBSD, masks, rates), None

        own = {name: p for name, p in params.items() if not name.startswith("norm_")}, layer_keys
        most = self.layers - self.last
        if most:
            body = jax.checkpoint(layer, prevent_cse=False, policy=policy)
            x_JBTD, _ = jax.lax.scan(body, x_JBTD, jax.tree.map(lambda p: p[:most], own))
        if self.last:
            of_last = jax.tree.map(lambda p: p[most], own)
            x_JBTD = self._layer(x_JBTD, *of_last, source_JBSD, masks, rates, mask_JBT)
        x_JBTD = _normalised(x_JBTD, params["norm_scale"][0], params["norm_bias"][0])
        return x_JBTD[:, :, 0] if self.last else x_JBTD

    def _embedded(
        self, x_JBTD: Float[Array, "J B T D"], mask_JBT: Bool[Array, "J B T"], key: Key[Array, ""] | None
    ) -> Float[Array, "J B T D"]:
        """Scaled, with positions counted from 1 over the valid steps, and dropped from."""
        _, _, T, D = x_JBTD.shape
        x_JBTD = x_JBTD * D**0.5
        if self.positions:
            table = np.concatenate([np.zeros((1, D), np.float32), sinusoids(T + 1, D)[1:]])
            x_JBTD = x_JBTD + jnp.asarray(table)[jnp.where(mask_JBT, jnp.cumsum(mask_JBT, -1), 0)]
        return _dropped(x_JBTD, key, self.embed_dropout)

    def _masks(self, mask_JBT: Bool[Array, "J B T"], source_mask_JBS: Bool[Array, "J B S"]) -> Masks:
        """A query sees the valid keys whose order, counted over the valid ones, is not above its limit.

        The lengths are the clip's own, so that padding changes nothing.
        """
        order_JBS = jnp.where(source_mask_JBS, jnp.cumsum(source_mask_JBS, -1), _NEVER)
        length_JB1, source_length_JB1 = (m.sum(-1, keepdims=True) for m in (mask_JBT, source_mask_JBS))
        limit_JBT = jnp.cumsum(mask_JBT, -1)
        if self.future_mask:
            limit_JBT = limit_JBT + jnp.abs(length_JB1 - source_length_JB1)
        else:
            limit_JBT = jnp.broadcast_to(source_length_JB1, limit_JBT.shape)
        return limit_JBT, order_JBS, source_mask_JBS.any(-1)

    def _layer(
        self,
        x_JBTD: Float[Array, "J B T D"],
        p: Mapping[str, Array],
        key: Key[Array, ""] | None,
        source_JBSD: list[Array] | None,
        masks: Masks,
        rates: tuple[float, ...],
        last_JBT: Bool[Array, "J B T"] | None = None,
    ) -> Float[Array, "J B T D"]:
        """One layer; with the mask `last_JBT` for the last valid step alone, [J, B, 1, D]."""
        limit_JBT, order_JBS, any_JB = masks
        words_2, keys = None, (None,) * 3
        if key is not None:
            words_2 = jax.random.bits(jax.random.fold_in(key, 0), (2,), jnp.uint32)
            keys = jax.random.split(jax.random.fold_in(key, 1), 3)
        normed_JBTD = _normalised(x_JBTD)
        asking_JBTD = normed_JBTD
        if last_JBT is not None:
            x_JBTD, asking_JBTD, limit_JBT = (
                jax.vmap(last_valid)(a, last_JBT)[:, :, None]
                for a in (x_JBTD, normed_JBTD, limit_JBT[..., None])
            )
            limit_JBT = limit_JBT[..., 0]
        q, k, v = self._projected(p, asking_JBTD, source_JBSD or [normed_JBTD])
        form = {"heads": self.heads, "rates": rates, "dtype": self.dtype}
        mixed_JBTD = attend(q, k, v, limit_JBT, order_JBS, words_2, **form)
        mixed_JBTD = self._dense(mixed_JBTD, p["out_kernel"], p["out_bias"])
        mixed_JBTD = jnp.where(
            any_JB[..., None, None], mixed_JBTD, 0.0
        )  # a source without a step says nothing
        x_JBTD = x_JBTD + _dropped(mixed_JBTD, keys[0], self.residual_dropout)

        hidden = _normalised(x_JBTD, p["ffn_norm_scale"], p["ffn_norm_bias"])
        hidden = nn.relu(self._dense(hidden, p["ffn_in_kernel"], p["ffn_in_bias"]))
        hidden = _dropped(hidden, keys[1], self.relu_dropout)
        out_JBTD = self._dense(hidden, p["ffn_out_kernel"], p["ffn_out_bias"])
        return x_JBTD + _dropped(out_JBTD, keys[2], self.residual_dropout)

    def _projected(
        self, p: Mapping[str, Array], asking_JBTD: Array, asked: list[Array]
    ) -> tuple[Array, Array, Array]:
        """Queries, keys and values, [J, B, T or S, D].

        One norm serves all three. Its scale and bias, a layer's own, are taken into the product, so that what
        every layer asks is normalised once.

        Args:
          p: of the layer.
          asking_JBTD: what the queries are made of, normalised.
          asked: what the keys and what the values are made of, likewise; one array where it is the same.
        """
        D = self.width
        kernel = p["attention_norm_scale"][..., None] * p["in_kernel"]
        bias = p["in_bias"] + jnp.einsum("jd,jdf->jf", p["attention_norm_bias"], p["in_kernel"])

        def of(x: Array, first: int, stop: int) -> Array:
            part = slice(first * D, stop * D)
            return self._dense(x, kernel[..., part], bias[..., part])

        if asked[0] is asking_JBTD:
            return tuple(jnp.split(of(asking_JBTD, 0, 3), 3, -1))
        if len(asked) == 1:
            return (of(asking_JBTD, 0, 1), *jnp.split(of(asked[0], 1, 3), 2, -1))
        return of(asking_JBTD, 0, 1), of(asked[0], 1, 2), of(asked[1], 2, 3)

    def _dense(self, x: Array, kernel_JDF: Array, bias_JF: Array) -> Float[Array, "J B T F"]:
        """A product in the compute type, and the bias in float32."""
        x, kernel_JDF = x.astype(self.dtype), kernel_JDF.astype(self.dtype)
        return jnp.einsum("jbtd,jdf->jbtf", x, kernel_JDF).astype(jnp.float32) + bias_JF[:, None, None]


def _normalised(x: Array, scale_JD: Array | None = None, bias_JD: Array | None = None) -> Array:
    """LayerNorm over the last axis of [J, B, T, D]; without scale and bias where none are given."""
    x = x - x.mean(-1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)
    return x if scale_JD is None else x * scale_JD[:, None, None] + bias_JD[:, None, None]


def _dropped(x_JBTD: Array, key: Key[Array, ""] | None, rate: float) -> Array:
    """Dropout by a key; None drops nothing."""
    if key is None or not rate:
        return x_JBTD
    J, B, T, D = x_JBTD.shape
    bits = hashed_bits(key, B, J * T * D).reshape(B, J, T, D).swapaxes(0, 1)
    return drop(x_JBTD, bits, rate)
