"""Labels that Self-MM makes for its unimodal heads, and the tables by training clip that they come from."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

COLLECTION = "labels"
SMALL = 1e-8  # beside what is divided by; toolkit

Relative = Literal["toolkit", "squared", "centres"]
FUSION = "fusion"  # the table of the multimodal head, beside those of the modalities


@dataclasses.dataclass(frozen=True)
class Table:
    """What one head has had of each of N training clips, 0 before.

    Attributes:
      label: [N] its label of the clip, as of the last visit.
      features: [N, F] its features at the last visit.
      visits: [N] int32, the steps that the clip was in, with something for this head to see.
    """

    label: nn.Variable
    features: nn.Variable
    visits: nn.Variable

    @classmethod
    def of(cls, module: nn.Module, name: str, clips: int, width: int) -> "Table":
        """The table of a head, kept in a module's collection "labels"."""

        def variable(what: str, shape: tuple[int, ...], dtype: Any) -> nn.Variable:
            return module.variable(COLLECTION, f"{name}_{what}", jnp.zeros, shape, dtype)

        return cls(
            label=variable("label", (clips,), jnp.float32),
            features=variable("features", (clips, width), jnp.float32),
            visits=variable("visits", (clips,), jnp.int32),
        )

    def places(self, batch: Mapping[str, Array], rows_B: Bool[Array, " B"]) -> Int[Array, " B"]:
        """Where the clips of a batch stand; beyond the end, where nothing is written, for the other rows."""
        return jnp.where(rows_B, batch["index"], len(self.visits.value))

    def read(
        self, places_B: Int[Array, " B"], own_B: Float[Array, " B"]
    ) -> tuple[Float[Array, " B"], Int[Array, " B"]]:
        """(labels, the clip's own before its first visit; visits so far) of clips."""
        label_B, visits_B = (
            variable.value.at[places_B].get(mode="fill", fill_value=0)
            for variable in (self.label, self.visits)
        )
        return jnp.where(visits_B > 0, label_B, own_B), visits_B

    def write(
        self, places_B: Int[Array, " B"], label_B: Float[Array, " B"], x_BF: Float[Array, "B F"]
    ) -> None:
        """Puts labels and features in, and counts the visit."""
        self.label.value = self.label.value.at[places_B].set(label_B, mode="drop")
        self.features.value = self.features.value.at[places_B].set(x_BF, mode="drop")
        self.visits.value = self.visits.value.at[places_B].add(1, mode="drop")

    def centres(self, *, exclude_zero: bool) -> tuple[Float[Array, "2 F"], Bool[Array, ""]]:
        """Mean features of the clips of positive label, and of those of negative label.

        Only visited clips count: the toolkit takes the others' rows of 0 in, but makes no label before all
        clips were visited.

        Args:
          exclude_zero: a label of 0 is in neither mean; False puts it among the positive ones.

        Returns:
          ([2, F], whether there are clips of either sign).
        """
        label_N, seen_N = self.label.value, self.visits.value > 0
        positive_N = (label_N > 0) if exclude_zero else (label_N >= 0)
        member_2N = jnp.stack([seen_N & positive_N, seen_N & (label_N < 0)]).astype(jnp.float32)
        count_2 = member_2N.sum(1)
        sum_2F = jnp.matmul(member_2N, self.features.value, precision="highest")
        return sum_2F / jnp.maximum(count_2, 1)[:, None], (count_2 > 0).all()


def offsets(
    x_BF: Float[Array, "B F"], centres_2F: Float[Array, "2 F"], relative: Relative
) -> Float[Array, " B"]:
    """How much nearer to the positive centre than to the negative one features lie, above 0 where they do.

    Args:
      x_BF: [B, F] features.
      centres_2F: [2, F] the positive centre and the negative one.
      relative: what the difference of the two distances is divided by: "toolkit", the distance from the
        positive centre; "squared", likewise with squares of distances over sqrt(F); "centres", the distance
        between the centres, which keeps the result in [-1, 1].
    """
    positive_B, negative_B = (jnp.square(x_BF - centres_2F[k, None]).sum(-1) for k in range(2))
    if relative == "squared":
        positive_B, negative_B = (x_B / x_BF.shape[1] ** 0.5 for x_B in (positive_B, negative_B))
    else:
        positive_B, negative_B = jnp.sqrt(positive_B), jnp.sqrt(negative_B)
    unit = positive_B
    if relative == "centres":
        unit = jnp.sqrt(jnp.square(centres_2F[0] - centres_2F[1]).sum())
    return (negative_B - positive_B) / (unit + SMALL)


def shifted(
    own_B: Float[Array, " B"],
    offset_B: Float[Array, " B"],
    of_fusion_B: Float[Array, " B"],
    bound: float,
) -> Float[Array, " B"]:
    """Labels of one modality: the clips' own times the ratio of the offsets, and plus their difference.

    Args:
      own_B: [B] the clips' labels.
      offset_B: [B] offsets of the modality's features.
      of_fusion_B: [B] those of the fusion's.
      bound: the mean of both, the new label, is cut to [-bound, bound].
    """
    below_B = of_fusion_B + SMALL
    # Finite also where the fusion lies between the centres: 0 times the ratio must be 0.
    below_B = jnp.where(jnp.abs(below_B) < SMALL, SMALL, below_B)
    new_B = 0.5 * (offset_B / below_B * own_B + own_B + offset_B - of_fusion_B)
    return jnp.clip(new_B, -bound, bound)


def mixed(
    before_B: Float[Array, " B"], new_B: Float[Array, " B"], visits_B: Int[Array, " B"]
) -> Float[Array, " B"]:
    """Labels after visit n = visits + 1: those before it moved towards the new ones by 2 / (n + 1).

    The first visit moves none.
    """
    share_B = jnp.where(visits_B > 0, 2.0 / (visits_B + 2), 0.0)
    return (1.0 - share_B) * before_B + share_B * new_B


def step(
    tables: Mapping[str, Table],
    features: Mapping[str, Float[Array, "B F"]],
    rows: Mapping[str, Bool[Array, " B"]],
    batch: Mapping[str, Array],
    *,
    relative: Relative,
    exclude_zero: bool,
    bound: float,
) -> dict[str, Float[Array, " B"]]:
    """The labels of a batch as they were before this step; afterwards the tables hold those after it.

    The centres are those after the step before. Where a head has no clips of one sign yet, its labels stay.

    Args:
      tables: by head, `FUSION` among them.
      features: of this step, by head; no gradient goes through them.
      rows: by head, the clips that it has seen something of.
      batch: `label` [B], `index` [B].
      relative, exclude_zero, bound: as in `offsets`, `Table.centres`, `shifted`.

    Returns:
      [B] for each modality with a table.
    """
    own_B = jnp.where(rows[FUSION], batch["label"], 0).astype(jnp.float32)
    vectors = {name: jax.lax.stop_gradient(x_BF).astype(jnp.float32) for name, x_BF in features.items()}
    offset, known, before = {}, {}, {}
    for name, table in tables.items():
        centres_2F, known[name] = table.centres(exclude_zero=exclude_zero)
        offset[name] = offsets(vectors[name], centres_2F, relative)
    for name, table in tables.items():
        places_B = table.places(batch, rows[name])
        before[name], visits_B = table.read(places_B, own_B)
        after_B = own_B
        if name != FUSION:
            new_B = shifted(own_B, offset[name], offset[FUSION], bound)
            after_B = mixed(before[name], new_B, visits_B)
            after_B = jnp.where(known[name] & known[FUSION], after_B, before[name])
        table.write(places_B, after_B, vectors[name])
    del before[FUSION]
    return before
