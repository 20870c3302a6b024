"""Prepared corpora: the clips of a file, checked, and each in its split."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from msa_jax.corpora import CORPORA, SPLITS, Corpus
from msa_jax.data import checks, readers
from msa_jax.data.example import Example
from msa_jax.data.splits import Cut, assign
from msa_jax.errors import UserError
from msa_jax.progress import watched


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The clips of a corpus, checked; `clips` repairs them on the way.

    Attributes:
      source: the clips as they came; each call of `clips` goes through them again.
      splits: the split of each clip.
      widths: features per row of audio, vision and text features; 1 where no clip has them.
      streams: those of audio and vision that some clip has.
      text_width: features per row of the text features; 0 where no clip has them.
      words: whether some clip has words.
      by_modality: the smallest and the largest of the labels by modality; None where there are none.
      chinese: clips whose text is Chinese.
      cut: the cut that made the splits, as a dict; None where the file has them all.
      notes, conventions, open_words, untold_videos: how the file was understood, as in `Reading`.
      nbytes: bytes of all features.
    """

    source: Iterable[Example]
    splits: tuple[str, ...]
    widths: tuple[int, ...]
    streams: tuple[str, ...]
    text_width: int
    words: bool
    cut: dict[str, Any] | None
    nbytes: int
    notes: tuple[str, ...] = ()
    conventions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    open_words: int = 0
    untold_videos: int = 0
    by_modality: tuple[float, float] | None = None
    chinese: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Clips in each split."""
        return {split: self.splits.count(split) for split in SPLITS}

    def clips(self, report: checks.Report) -> Iterator[Example]:
        """Goes through the clips in their order, repaired, holding one at a time.

        Args:
          report: takes note of every repair.
        """
        for clip, split in zip(self.source, self.splits, strict=True):
            repaired = checks.repair(clip, self.widths, report, text=self.words or self.text_width > 0)
            yield dataclasses.replace(repaired, split=split)


def prepare(
    source: Iterable[Example], facts: Corpus, *, where: str, cut: Cut, other_counts: bool = False
) -> Prepared:
    """Checks the clips of a corpus and gives each its split.

    Args:
      source: the clips, such as `readers.read` gives them; gone through once here, and once for each use.
      facts: what is known of the corpus.
      where: what to call the source in messages.
      cut: how to cut what the source leaves undivided.
      other_counts: whether splits of other sizes than the official ones are accepted.

    Returns:
      The checked clips.

    Raises:
      UserError: when the clips cannot be repaired (see `checks.check`) or cut, or their splits are not the
        official ones.
    """
    clips = checks.survey(watched(source, "reading", "clip"))
    try:
        splits = assign([clip.video for clip in clips], [clip.split for clip in clips], cut)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    given = all(clip.split == split for clip, split in zip(clips, splits, strict=True))
    clips = [dataclasses.replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)]
    surplus = source.reading.surplus if isinstance(source, readers.Source) else ""
    widths = checks.check(clips, facts, where, surplus)
    prepared = Prepared(
        source,
        tuple(splits),
        widths,
        streams=tuple(checks.streams(clips)),
        text_width=widths[-1] if checks.has_text_features(clips) else 0,
        words=any(clip.words for clip in clips),
        cut=None if given else dataclasses.asdict(cut),
        nbytes=sum(rows * width for clip in clips for rows, width in clip.shapes) * np.float32().itemsize,
        by_modality=_extremes(clips),
        chinese=sum(clip.chinese for clip in clips),
        **_understood(source),
    )
    if not other_counts:
        require_official(prepared.counts, prepared.cut, facts, where)
    return prepared


def _extremes(clips: Sequence[checks.Clip]) -> tuple[float, float] | None:
    """The smallest and the largest of the labels by modality."""
    every = [label for clip in clips for label in clip.unimodal_labels.tolist() if not np.isnan(label)]
    return (min(every), max(every)) if every else None


def _understood(source: Iterable[Example]) -> dict[str, Any]:
    """The reader's account of a file that was gone through; an empty one for clips that were made."""
    if not isinstance(source, readers.Source):
        return {}
    reading = source.reading
    names = ("conventions", "open_words", "untold_videos")
    return {
        "notes": (*reading.notes, *reading.later_notes()),
        **{name: getattr(reading, name) for name in names},
    }


def is_official(counts: Mapping[str, int], cut: Mapping[str, Any] | None, facts: Corpus) -> bool:
    """Whether splits are the source's own and of the official sizes; never where a corpus has none."""
    return cut is None and tuple(counts[split] for split in SPLITS) in facts.official_counts


def require_official(
    counts: Mapping[str, int], cut: Mapping[str, Any] | None, facts: Corpus, where: str
) -> None:
    """Refuses splits that are not the official ones, where a corpus has official ones.

    Args:
      counts: clips in each split.
      cut: what made the splits; None where the source has them.
      facts: the official counts.
      where: what to call the source in the message.

    Raises:
      UserError: when the source was cut, or its splits are of other sizes.
    """
    if facts.counts is None or is_official(counts, cut, facts):
        return
    found = " / ".join(str(counts[split]) for split in SPLITS)
    official = " / ".join(str(count) for count in facts.counts)
    how = " as this program cut them" if cut else ""
    other = next((name for name, c in CORPORA.items() if is_official(counts, cut, c)), None)
    mend = f"name its corpus, --config.data.corpus={other}" if other else "use a file with these"
    raise UserError(
        f"{where}: {found} clips in {' / '.join(SPLITS)}{how}, but the official splits "
        f"of {facts.title} have {official}; {mend}, or accept results that cannot be "
        "compared with published ones by --config.data.other_counts=True (in Python: other_counts=True)"
    )
