"""Scales of labels: whether scores of one corpus may be held against another's, and the map between them."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from msa_jax.corpora import CORPORA, SPLITS, Corpus
from msa_jax.errors import UserError, counted

_CHINESE = 20  # labels from which on Chinese texts are enough: fewer may all be mild by chance
_CLASSES = 5  # different labels that may all be on steps by chance
# Labels from which on steps are enough: of CMU-MOSI's mild labels 9 in 100 are not on those of CH-SIMS.
_STEPS = 100


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


@dataclasses.dataclass(frozen=True)
class Signs:
    """What a file shows of the corpus that it is from, besides its labels.

    Attributes:
      counts: clips in each split, by its name.
      by_modality: the smallest and the largest of the labels by modality; None where there are none.
      chinese: clips whose text is Chinese (`letters.is_chinese`).
    """

    counts: Mapping[str, int]
    by_modality: Sequence[float] | None
    chinese: int


def suspected(labels: np.ndarray, corpus: str, signs: Signs, *, said: bool, where: str) -> str:
    """What to say where labels may be those of another corpus, of a narrower range than they are taken for.

    Args:
      labels: of the clips that are scored.
      corpus: whose labels they are taken for.
      signs: of the file.
      said: whether the user names this corpus, the run's own or another; then it is believed.
      where: what to call the file.

    Returns:
      The line; "" where nothing speaks for it. That all labels lie in the narrower range is not enough for
      more: those of mild clips do.

    Raises:
      UserError: when there are signs of the other corpus besides: labels by modality, its official splits,
        its language in at least 20 clips, or at least 100 labels that are all on its steps.
    """
    facts = CORPORA[corpus]
    fitting = [
        name
        for name, other in CORPORA.items()
        if _is_narrower(other, facts) and len(labels) and _in_range((labels.min(), labels.max()), other)
    ]
    for name in fitting if not said else ():
        other = CORPORA[name]
        if why := list(_reasons(labels, other, facts, signs)):
            raise UserError(
                f"{where}: all labels lie in [{other.low:g}, {other.high:g}], as {other.title}'s do, and "
                f"{' and '.join(why)}, but the run was trained on scores in {_range(corpus)}; say "
                f"--config.data.corpus={name} --config.data.rescale=True to map its scores "
                f"linearly, or --config.data.corpus={corpus} where they are on that scale"
            )
    for name in fitting[:1]:
        other = CORPORA[name]
        return (
            f"all labels lie in [{other.low:g}, {other.high:g}], as {other.title}'s do, and are taken as "
            f"{facts.title}'s; if they are not, say --config.data.corpus={name}"
        )
    return ""


def _is_narrower(other: Corpus, facts: Corpus) -> bool:
    inside = facts.low <= other.low and other.high <= facts.high
    return inside and other.high - other.low < facts.high - facts.low and not (facts.outputs or other.outputs)


def _in_range(ends: Sequence[float], facts: Corpus) -> bool:
    return bool(facts.low <= ends[0] and ends[1] <= facts.high)


def _reasons(labels: np.ndarray, other: Corpus, facts: Corpus, signs: Signs) -> Iterator[str]:
    """The signs of the other corpus that are enough."""
    ends = signs.by_modality if other.by_modality and not facts.by_modality else None
    if ends and _in_range(ends, other):
        yield "so do its labels by modality"
    if tuple(signs.counts[split] for split in SPLITS) in other.official_counts:
        yield "its splits have the official sizes"
    chinese = 2 * signs.chinese > sum(signs.counts.values())
    if chinese and other.chinese and not facts.chinese and len(labels) >= _CHINESE:
        yield counted(signs.chinese, "{text is|texts are} Chinese")
    if other.step and len(labels) >= _STEPS and _on_steps(labels, other.step):
        yield f"they are all multiples of {other.step:g}"


def _on_steps(labels: np.ndarray, step: float) -> bool:
    """Whether labels are multiples of a step, and more than a few classes."""
    steps = labels / step
    return bool(np.allclose(steps, np.round(steps), atol=1e-4)) and len(np.unique(steps.round())) > _CLASSES
