"""Cross-modal attention, directed and pairwise: a front end that any model over several streams can have.

Source: Qin et al., "Multimodal GRU with directed pairwise cross-modal attention for sentiment analysis",
Scientific Reports 2025, eqs. 5-7 and Figures 3 and 5. Where the paper is silent, "ours" marks the choice.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jaxtyping import Array, Bool, Float, UInt16

from msa_jax.layers.attention import MultiHeadAttention, masked_softmax
from msa_jax.layers.dense import Dense, Dense32
from msa_jax.layers.dropout import draw_bits, drop
from msa_jax.layers.pooling import Streams
from msa_jax.layers.residual import add_residual, end_residual, start_residual
from msa_jax.layers.transformer import with_positions

SCORINGS = ("multihead", "bilinear")


class BilinearAttention(nn.Module):
    """e_{t,t'} = x1_t^T W x2_{t'}, a softmax over t', and the average of the source itself (eqs. 5-7).

    Attributes:
      dropout: rate on the attention weights.
      dtype: as in `MultiHeadAttention`.
    """

    dropout: float = 0.0
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        query_BQD: Float[Array, "B Q D"],
        source_BSE: Float[Array, "B S E"],
        source_mask_BS: Bool[Array, "B S"],
        *,
        train: bool,
        bits_BHQS: UInt16[Array, "B 1 Q S"] | None = None,
    ) -> tuple[Float[Array, "B Q E"], Float[Array, "B 1 Q S"]]:
        """As `MultiHeadAttention`, with one head; 0 where the source has no valid step."""
        D, E = query_BQD.shape[-1], source_BSE.shape[-1]
        # This start (ours) gives normalised streams scores of about 1, as nothing scales them later.
        W_DE = self.param("W", nn.initializers.normal((D * E) ** -0.5), (D, E), jnp.float32)
        query_BQD, W_DE, values_BSE = promote_dtype(query_BQD, W_DE, source_BSE, dtype=self.dtype)
        scores_BQS = jnp.einsum("bqe,bse->bqs", query_BQD @ W_DE, values_BSE)
        weights_B1QS = masked_softmax(scores_BQS, source_mask_BS[:, None])[:, None]
        if bits_BHQS is None:
            active = train and self.dropout > 0
            (bits_BHQS,) = draw_bits(self, len(query_BQD), [weights_B1QS.shape[1:]], active=active)
        kept_B1QS = drop(weights_B1QS, bits_BHQS, self.dropout).astype(values_BSE.dtype)
        mixed_BQE = jnp.einsum("bqs,bse->bqe", kept_B1QS[:, 0], values_BSE)
        return mixed_BQE.astype(jnp.float32), weights_B1QS


class _AttentionLayer(nn.Module):
    """Attention and feed-forward network, each with a residual; the body of a scan over layers."""

    heads: int
    ffn_width: int
    scoring: str
    residual: str
    dropout: float
    attention_dropout: float
    train: bool
    dtype: Any

    @nn.compact
    def __call__(
        self, streams: tuple[Array, ...], source_BSE: Array | None, source_mask_BS: Array
    ) -> tuple[tuple[Array, ...], Array]:
        (B, T, D), S, F = streams[0].shape, source_mask_BS.shape[1], self.ffn_width
        if self.scoring == "multihead":
            attention = MultiHeadAttention(self.heads, self.attention_dropout, self.dtype, name="attention")
        elif self.scoring == "bilinear":
            attention = BilinearAttention(self.attention_dropout, self.dtype, name="attention")
        else:
            raise ValueError(f"scoring must be one of {', '.join(SCORINGS)}, got {self.scoring!r}")
        heads = self.heads if self.scoring == "multihead" else 1
        attention_bits, mixed_bits, hidden_bits, out_bits = draw_bits(
            self,
            B,
            [(heads, T, S), (T, D), (T, F), (T, D)],
            active=self.train and bool(self.dropout or self.attention_dropout),
        )
        weights = []

        def attend(x_BTD: Array) -> Array:
            # The source goes in as it came, in every variant: by eq. 7 the values are the source itself.
            source = x_BTD if source_BSE is None else source_BSE
            mixed_BTD, weights_BHTS = attention(
                x_BTD, source, source_mask_BS, train=self.train, bits_BHQS=attention_bits
            )
            weights.append(weights_BHTS)
            return drop(mixed_BTD, mixed_bits, self.dropout)

        def feed_forward(x_BTD: Array) -> Array:
            hidden_BTF = nn.relu(Dense(F, dtype=self.dtype, name="ffn_in")(x_BTD))
            hidden_BTF = drop(hidden_BTF, hidden_bits, self.dropout)
            return drop(Dense32(D, dtype=self.dtype, name="ffn_out")(hidden_BTF), out_bits, self.dropout)

        streams = add_residual(self.residual, streams, attend, nn.LayerNorm(name="attention_norm"))
        streams = add_residual(self.residual, streams, feed_forward, nn.LayerNorm(name="ffn_norm"))
        return streams, weights[0]


class AttentionStack(nn.Module):
    """Layers of attention over one source, or over their own input; compiled once, however many layers.

    Attributes:
      layers: number of layers.
      heads: attention heads of "multihead"; "bilinear" has one.
      ffn_width: width inside the feed-forward network.
      scoring: "multihead" (the "cross-modal Transformer" of Figure 3) or "bilinear" (eqs. 5-7).
      residual: see `add_residual`.
      dropout: rate inside the feed-forward network and on what each half adds.
      attention_dropout: rate on the attention weights.
      positions: add sinusoidal positions to the input and the source (ours: the paper has none, and without
        them attention does not know the time order of its source).
      dtype: compute type of the products and of what lies between them; None: that of the input. Parameters,
        norms, softmax and the streams that layers hand on are float32 in any case.
    """

    layers: int = 2
    heads: int = 4
    ffn_width: int = 160
    scoring: str = "multihead"
    residual: str = "post_ln"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    positions: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        source_BSD: Float[Array, "B S D"] | None,
        source_mask_BS: Bool[Array, "B S"],
        *,
        train: bool,
    ) -> tuple[Float[Array, "B T D"], Float[Array, "L B H T S"]]:
        """Runs the stack.

        Args:
          x_BTD: [B, T, D] the target.
          source_BSD: [B, S, D] what every layer attends to; None is its own input.
          source_mask_BS: valid steps of what is attended to.
          train: whether dropout is active (rng "dropout").

        Returns:
          ([B, T, D], attention weights of all layers [L, B, H, T, S]).
        """
        if self.positions:
            x_BTD = with_positions(x_BTD, scale=False)
            source_BSD = None if source_BSD is None else with_positions(source_BSD, scale=False)
        stack = nn.scan(
            nn.remat(_AttentionLayer, prevent_cse=False),  # its large arrays are made again, not kept
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=self.layers,
        )(
            heads=self.heads,
            ffn_width=self.ffn_width,
            scoring=self.scoring,
            residual=self.residual,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            train=train,
            dtype=self.dtype,
            name="layers",
        )
        streams, weights = stack(start_residual(self.residual, x_BTD), source_BSD, source_mask_BS)
        return end_residual(streams, nn.LayerNorm(name="sum_norm")), weights


class Copies(nn.Module):
    """Several modules of one kind, with parameters of their own that have the copies as first axis.

    Attributes:
      make: makes the module; takes `parent`.
      together: run copies whose inputs agree in shape as one. For a recurrence that means fewer steps in
        all; with attention's large arrays a train step took longer so (on a CPU, batch 128).
    """

    make: Callable[..., nn.Module]
    together: bool

    @nn.compact
    def __call__(self, inputs: Sequence[tuple[Array, ...]], *, train: bool) -> list[Any]:
        """Applies copy i to the arguments inputs[i], and returns what each copy returns.

        Args:
          inputs: for each copy its arguments [B, T, ...]; the times T may differ between copies.
          train: handed on.
        """
        module = self.make(parent=None)
        copies = len(inputs)
        step = [jnp.zeros((1, 1, *x.shape[2:]), x.dtype) for x in inputs[0]]

        def init(key: Array) -> Any:
            # One by one, not by vmap: two batched QR factorisations (of orthogonal starts) at a time can
            # deadlock in XLA's thread pool; seen on a two-core machine.
            keys = jax.random.split(key, copies)
            return jax.lax.map(lambda k: module.init(k, *step, train=False)["params"], keys)

        def apply(own: tuple[Any, Array | None], arguments: tuple[Array, ...]) -> Any:
            params, key = own
            rngs = {} if key is None else {"dropout": key}
            return module.apply({"params": params}, *arguments, train=train, rngs=rngs)

        params = self.param("copies", init)
        draws = train and self.has_rng("dropout")
        owned = (params, jax.random.split(self.make_rng("dropout"), copies) if draws else None)

        groups: dict[Any, list[int]] = {}
        for i, arguments in enumerate(inputs):
            groups.setdefault(tuple(x.shape for x in arguments) if self.together else i, []).append(i)
        outputs: dict[int, Any] = {}
        for members in groups.values():
            if len(members) == 1:
                (i,) = members
                outputs[i] = apply(jax.tree.map(lambda x, i=i: x[i], owned), inputs[i])
                continue
            chosen = jax.tree.map(lambda x, members=members: x[jnp.array(members)], owned)
            stacked = [jnp.stack(x) for x in zip(*(inputs[i] for i in members), strict=True)]
            result = jax.vmap(apply)(chosen, tuple(stacked))
            outputs |= {i: jax.tree.map(lambda x, k=k: x[k], result) for k, i in enumerate(members)}
        return [outputs[i] for i in range(copies)]


class CrossModal(nn.Module):
    """Every stream attends to every other one.

    Attributes:
      layers, heads, ffn_width, scoring, residual, dropout, attention_dropout, positions, dtype: as in
        `AttentionStack`.
    """

    layers: int = 2
    heads: int = 4
    ffn_width: int = 160
    scoring: str = "multihead"
    residual: str = "post_ln"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    positions: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(
        self, streams: Streams, *, train: bool
    ) -> tuple[dict[str, Float[Array, "B T F"]], dict[tuple[str, str], Float[Array, "L B H T S"]]]:
        """Attends in both directions of every pair.

        Args:
          streams: modality to (features [B, T_m, D], valid steps [B, T_m]). D is common and should be
            normalised; the lengths may differ.
          train: whether dropout is active (rng "dropout").

        Returns:
          For each target its attended streams, one for each source by name, joined on features:
          [B, T_target, D * sources], 0 on invalid steps. A single modality is returned as it came.
          For each (target, source) the attention weights [L, B, H, T_target, T_source].
        """
        if len(streams) == 1:
            return {m: x for m, (x, _) in streams.items()}, {}
        # By name: under jit a dict loses its own order, and a direction must keep its parameters.
        names = sorted(streams)
        pairs = [(target, source) for target in names for source in names if source != target]
        make = partial(
            AttentionStack,
            layers=self.layers,
            heads=self.heads,
            ffn_width=self.ffn_width,
            scoring=self.scoring,
            residual=self.residual,
            dropout=self.dropout,
            attention_dropout=self.attention_dropout,
            positions=self.positions,
            dtype=self.dtype,
        )
        inputs = [(streams[target][0], *streams[source]) for target, source in pairs]
        directions = Copies(make, together=False, name="directions")
        attended = dict(zip(pairs, directions(inputs, train=train), strict=True))
        joined = {}
        for target, (_, mask_BT) in streams.items():
            parts = [attended[pair][0] for pair in pairs if pair[0] == target]
            joined[target] = jnp.where(mask_BT[..., None], jnp.concatenate(parts, axis=-1), 0.0)
        return joined, {pair: weights for pair, (_, weights) in attended.items()}
