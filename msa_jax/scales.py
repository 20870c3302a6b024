"""Scales of labels: whether scores of one corpus may be held against another's, and the map between them."""

import dataclasses

import numpy as np

from msa_jax.corpora import CORPORA
from msa_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Rescaling:
    """A linear map of scores from the range of one corpus onto that of another.

    Attributes:
      source, target: names of the corpora, as in `msa_jax.corpora.CORPORA`.
    """

    source: str
    target: str

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """The scores, float32 [N], on the target's scale; both ends of the range go to both ends."""
        was, now = CORPORA[self.source], CORPORA[self.target]
        factor = (now.high - now.low) / (was.high - was.low)
        return (now.low + (scores.astype(np.float64) - was.low) * factor).astype(np.float32)

    def __str__(self) -> str:
        return f"from {_range(self.source)} onto {_range(self.target)}"


def _range(corpus: str) -> str:
    facts = CORPORA[corpus]
    return f"[{facts.low:g}, {facts.high:g}] ({facts.title})"


def rescaling(trained: str, scored: str, *, allowed: bool) -> Rescaling | None:
    """The map that takes a run's scores to the scale of the corpus that it scores; None where they share one.

    Args:
      trained: the corpus whose labels the run was trained on.
      scored: that whose labels the scores are held against.
      allowed: the config's `data.rescale`.

    Raises:
      UserError: when the scales differ and no map is allowed.
    """
    was, now = CORPORA[trained], CORPORA[scored]
    if was.outputs or now.outputs or (was.low, was.high) == (now.low, now.high):
        return None
    if not allowed:
        raise UserError(
            f"the run was trained on scores in {_range(trained)}, those of {scored} lie in {_range(scored)}; "
            "say --config.data.rescale=True to map its scores linearly, or --config.data.corpus="
            f"{trained} where the file has labels on that scale"
        )
    return Rescaling(trained, scored)
