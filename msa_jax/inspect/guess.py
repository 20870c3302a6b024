"""Guess of a file's corpus, from the number of its clips, its labels, its widths and its language."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from msa_jax.corpora import CORPORA, SPLITS, Corpus

_NEAR = 0.01  # share by which a split may miss its official count: some versions of a corpus lack a few clips
_FITS = 0.95  # share of the labels that must be possible; the others are dirt
# Widths of vision that one of the two corpora with labels in [-3, 3] has: FACET's versions, and a choice.
_VISION = {35: "mosei", 47: "mosi", 20: "mosi"}


@dataclasses.dataclass(frozen=True)
class Evidence:
    """The facts that a guess rests on.

    Attributes:
      counts: clips by split as the file has them; "" for those without.
      labels: those that the file gives.
      vision: the widths of vision.
      chinese: whether most texts are Chinese.
    """

    counts: Mapping[str, int]
    labels: Sequence[float | np.ndarray]
    vision: frozenset[int]
    chinese: bool


def guess(evidence: Evidence) -> tuple[str | None, str]:
    """The corpus and why, in a few words; (None, why) where no corpus fits.

    The number of clips decides where it is an official one and the labels allow it, else the labels do.
    """
    labels = evidence.labels
    possible = {name: facts for name, facts in CORPORA.items() if _share(labels, facts) >= _FITS}
    if evidence.chinese:
        possible = {name: facts for name, facts in possible.items() if name == "sims"}
    by_count = _by_count(evidence.counts, possible)
    if by_count:
        return by_count
    if evidence.chinese:
        return ("sims", "its texts are Chinese") if possible else (None, _unfit(labels, " of Chinese texts"))
    if not labels:
        return None, "there are no labels to tell it by"
    if "iemocap" in possible:
        return "iemocap", "four classes a clip"
    if not possible:
        return None, _unfit(labels)
    values = np.asarray(labels)
    if "ur_funny" in possible and np.isin(values, (0, 1)).all() and len(np.unique(values)) == 2:
        return "ur_funny", "all labels are 0 or 1"
    if len(labels) >= 20 and set(np.unique(values)) == {-1, 1}:
        return None, "all labels are -1 or 1, two classes; write -1 as 0"
    if "sims" in possible and len(labels) >= 20:
        return "sims", "all labels lie in [-1, 1]"
    named = [name for width, name in _VISION.items() if evidence.vision == {width}]
    if named:
        return named[0], f"labels lie in [-3, 3], and vision has {min(evidence.vision)} columns"
    if len(labels) > sum(CORPORA["mosi"].counts):
        return "mosei", "labels lie in [-3, 3], and the clips are more than CMU-MOSI has"
    return "mosi", "labels lie in [-3, 3]; so do those of mosei"


def fits(label: float | np.ndarray, facts: Corpus) -> bool:
    """Whether a corpus may have a label."""
    if np.shape(label) != facts.label_shape:
        return False
    if facts.outputs:
        return bool(np.isin(label, (0, 1)).all())
    return facts.low <= round(float(label), 5) <= facts.high  # most labels went through float32


def _share(labels: Sequence[float | np.ndarray], facts: Corpus) -> float:
    """The share of the labels that the corpus may have."""
    return sum(fits(label, facts) for label in labels) / len(labels) if labels else 1.0


def _by_count(counts: Mapping[str, int], possible: Mapping[str, Corpus]) -> tuple[str, str] | None:
    total = sum(counts.values())
    split_counts = tuple(counts.get(split, 0) for split in SPLITS)
    official = [(name, counts) for name, facts in possible.items() for counts in facts.official_counts]
    for name, known in official:
        if split_counts == known:
            return name, "each split has its official count"
    for name, known in official:
        if total == sum(known):
            return name, f"{total} clips in all, as the official splits have together"
    for name, known in official:
        off = [abs(n - m) / m for n, m in zip(split_counts, known, strict=True)]
        if max(off) <= _NEAR:
            return name, f"each split has its official count to within {100 * max(off):.1f} %"
    for name, known in official:
        by_split = dict(zip(SPLITS, known, strict=True))
        for split, count in counts.items():
            same = [key for key in ((split,) if split else SPLITS) if by_split[key] == count]
            if same:
                return name, f"{count} clips, as its official {same[0]} split has"
    return None


def _unfit(labels: Sequence[float | np.ndarray], where: str = "") -> str:
    shapes = {np.shape(label) for label in labels}
    if shapes != {()}:
        return f"labels{where} of shape {', '.join(map(str, sorted(shapes)))}"
    return f"labels{where} from {min(labels):g} to {max(labels):g}"
