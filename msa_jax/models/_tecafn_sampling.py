"""TeCaFN's replacement gate: which clip of the batch lends its modality to which.

Source: Huang et al., "Text-centered cross-sample fusion network for multimodal sentiment analysis",
Multimedia Systems 2024, 30, 228, sections 3.2.2 (mining) and 3.2.3 (the gate).

All shapes are fixed by the batch size and all randomness comes from an explicit key.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key


def allowed_pairs(target_B: Bool[Array, "B"], usable_B: Bool[Array, "B"]) -> Bool[Array, "B B"]:
    """[i, j] True where row i may take its modality from row j: never from itself.

    Args:
      target_B: rows that may be given another's.
      usable_B: rows that are clips and have the modality.
    """
    return ~jnp.eye(len(usable_B), dtype=bool) & target_B[:, None] & usable_B[None, :]


def nearest(
    similarity_BB: Float[Array, "B B"], allowed_BB: Bool[Array, "B B"], num: int
) -> tuple[Int[Array, "B J"], Int[Array, "B"]]:
    """The most similar rows among the allowed ones (Algorithm 1).

    Args:
      similarity_BB: cosines; no gradient flows through the choice.
      allowed_BB: see `allowed_pairs`.
      num: how many are wanted; from B - 1 on, all are taken.

    Returns:
      (rows [B, J], the most similar first, with J = min(num, B); how many of them count [B]: what stands
      behind has no meaning).
    """
    scores_BB = jnp.where(allowed_BB, jax.lax.stop_gradient(similarity_BB), -jnp.inf)
    J = min(num, len(scores_BB))
    _, rows_BJ = jax.lax.top_k(scores_BB, J)
    return rows_BJ.astype(jnp.int32), jnp.minimum(allowed_BB.sum(1), J).astype(jnp.int32)


def draw_sources(
    key: Key[Array, ""], rows_BJ: Int[Array, "B J"], count_B: Int[Array, "B"], p: float
) -> tuple[Int[Array, "B"], Bool[Array, "B"]]:
    """The gate: with probability p one of the candidates, each as likely as the others, else the row itself.

    Args:
      key: of this draw.
      rows_BJ: candidates.
      count_B: how many of them count; a row without any keeps its own modality.
      p: probability of a replacement.

    Returns:
      (row whose modality is used [B], whether it is another's [B]).
    """
    # The batch axis leads, so that a clip draws the same however many rows pad the batch.
    gate_B, row_B = jax.random.uniform(key, (len(count_B), 2)).T
    replaced_B = (gate_B < p) & (count_B > 0)
    slot_B = (row_B * count_B).astype(jnp.int32)
    drawn_B = jnp.take_along_axis(rows_BJ, slot_B[:, None], axis=1)[:, 0]
    own_B = jnp.arange(len(count_B), dtype=jnp.int32)
    return jnp.where(replaced_B, drawn_B, own_B), replaced_B


def replacement(
    key: Key[Array, ""],
    similarity_BB: Float[Array, "B B"],
    target_B: Bool[Array, "B"],
    usable_B: Bool[Array, "B"],
    *,
    num: int,
    p: float,
) -> tuple[Int[Array, "B"], Bool[Array, "B"], Int[Array, "B"]]:
    """Whose modality each row gets: mining, then the gate.

    Args:
      key: of this draw.
      similarity_BB: cosines.
      target_B: rows with the core modality, which may be given another's where they are usable themselves.
      usable_B: rows that are clips and have the modality.
      num: hard negatives to draw from.
      p: probability of a replacement.

    Returns:
      (row whose modality is used [B], whether it is another's [B], how many there were to draw from [B]).
    """
    rows_BJ, count_B = nearest(similarity_BB, allowed_pairs(usable_B & target_B, usable_B), num)
    source_B, replaced_B = draw_sources(key, rows_BJ, count_B, p)
    return source_B, replaced_B, count_B
