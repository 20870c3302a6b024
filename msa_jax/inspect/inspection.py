"""Inspection of a feature file: its facts, found in one pass over its clips and without training."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from msa_jax.corpora import CORPORA, EMOTIONS, SPLITS, STREAMS, Corpus
from msa_jax.data import checks, readers
from msa_jax.data.conventions import FIELDS
from msa_jax.data.example import Example
from msa_jax.data.findings import REFUSED, Finding, found, of_videos
from msa_jax.data.readers import mmsa_pickle
from msa_jax.data.splits import Cut, assign
from msa_jax.errors import UserError
from msa_jax.inspect import published
from msa_jax.inspect.guess import Evidence, fits, guess
from msa_jax.inspect.leakage import leaks
from msa_jax.inspect.passes import gone_through
from msa_jax.inspect.scan import Modality, Scan

OPTIONS = ("split_name", "context", *FIELDS)  # of how a file is read
BATCH = 32  # clips of the batch whose memory is told
_BARS = 12  # different labels that each get a line of the histogram


@dataclasses.dataclass(frozen=True)
class Bar:
    """One line of the labels' histogram: what is counted, and its clips in each split."""

    label: str
    clips: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The facts of a file, in plain values throughout, for JSON.

    Attributes:
      path, format: of the file or folder.
      bytes: its size on disk.
      published: its SHA-256 and what that says of it; None where neither format nor name is MMSA's.
      unread: other feature files in the same folder, where a folder was named.
      corpus: the key in `CORPORA` that it seems to be, or was said to be; None where it fits none.
      reason: why.
      official: whether the clips in each split are the corpus's official ones by number; None without corpus.
      given: clips by split as the file has them; "" for clips without.
      cut: whether a build cuts splits, because the file does not have all of them.
      clips, videos: by split as a build has them, or as given where it refuses to cut.
      distinct_videos: those of all splits together.
      modalities: text, audio, vision, text_features, those that some clip has.
      aligned: clips whose audio and vision have one row a word.
      misfits: clips whose rows do not match their words or tokens.
      labelled: clips with a label.
      labels: the histogram; its bars may overlap where a clip has several labels.
      label_range: the smallest and the largest label; None without any.
      findings: what is odd within clips.
      leaks: what training and test clips share.
      notes: how the file was understood, a line each.
      conventions: what was decided where the format leaves it open, as in `Reading`.
      rows_bytes: all features as float32; also about the most that a build takes on disk.
      batch_bytes: features of `BATCH` clips padded to the longest.
      reading_bytes: memory that its largest part takes while it is read; only pickles are read whole.
      refusal: why a build refuses the file; "" where it takes it.
    """

    path: str
    format: str
    bytes: int
    published: published.Published | None
    unread: list[str]
    corpus: str | None
    reason: str
    official: bool | None
    given: dict[str, int]
    cut: bool
    clips: dict[str, int]
    videos: dict[str, int]
    distinct_videos: int
    modalities: list[Modality]
    aligned: int
    misfits: int
    labelled: int
    labels: list[Bar]
    label_range: tuple[float, float] | None
    findings: list[Finding]
    leaks: list[Finding]
    notes: list[str]
    conventions: dict[str, str]
    rows_bytes: int
    batch_bytes: int
    reading_bytes: int
    refusal: str

    def has(self, modality: str) -> bool:
        """Whether some clip has the modality."""
        return any(found.name == modality for found in self.modalities)

    @property
    def scorable(self) -> bool:
        """Whether nothing in the features keeps a run that fits from scoring the clips."""
        return bool(self.modalities) and not self.misfits and all(len(m.widths) < 2 for m in self.modalities)


def inspect(
    path: str | Path,
    *,
    cut: Cut,
    corpus: str | None = None,
    watch: Callable[[Iterable[Example]], Iterable[Example]] = lambda clips: clips,
    **options: object,
) -> Inspection:
    """Reads a file once, clip by clip, and tells what is in it.

    Args:
      path: a file or folder of any known format.
      cut: how to cut what the file leaves undivided.
      corpus: a key of `CORPORA`; None = to be guessed.
      watch: is handed the clips and hands them on, to show progress.
      options: of `readers.read`: split_name, context, and the fields of `conventions.Said`.

    Returns:
      The facts. Of every clip a few numbers and two hashes are held, of features a clip at a time.

    Raises:
      UserError: when the file cannot be read.
    """
    source, scan, clips, unread = gone_through(path, watch, options)
    if not clips:
        raise UserError(f"{source.path}: the file holds no clips")
    modalities = scan.modalities(clips)
    given = _counts(clips)
    if corpus is None:
        corpus, reason = guess(_evidence(clips, given, scan.chinese, modalities))
    else:
        reason = "as you said"
    facts = CORPORA.get(corpus)
    clips, was_cut, refusal = _divided(clips, cut)
    if unread:
        reason = reason if corpus else "its labels cannot be read"
        refusal = "; ".join(filter(None, (refusal, unread)))
    elif facts is None:
        refusal = "; ".join(filter(None, (refusal, f"it fits none of {', '.join(CORPORA)}: {reason}")))
    elif not refusal:
        refusal = "; ".join(checks.problems(clips, facts, source.reading.surplus))
    counts = _counts(clips)
    labelled = [clip for clip in clips if np.isfinite(clip.label).all()]
    values = [value for clip in labelled for value in np.ravel(clip.label)]
    return Inspection(
        path=str(source.path),
        format=source.format,
        bytes=sum(file.stat().st_size for file in readers.files(path)),
        published=_published(source, corpus),
        unread=_unread(source.path),
        corpus=corpus,
        reason=reason,
        official=None if facts is None else not was_cut and tuple(counts.values()) in facts.official_counts,
        given=given,
        cut=was_cut,
        clips=counts,
        videos={name: len({clip.video for clip in clips if clip.split == name}) for name in counts},
        distinct_videos=len({clip.video for clip in clips}),
        modalities=modalities,
        aligned=sum(clip.aligned for clip in clips),
        misfits=len({name for stream in STREAMS for name in checks.uneven(clips, stream)}),
        labelled=len(labelled),
        labels=_histogram(labelled, list(counts)),
        label_range=(float(min(values)), float(max(values))) if values else None,
        findings=_oddities(scan, clips, facts, source.reading.untold_videos),
        leaks=leaks(
            clips, scan.texts, scan.contents, split_by_clip=facts is not None and facts.split_by_clip
        ),
        notes=[*source.reading.notes, *source.reading.later_notes()],
        conventions=dict(source.reading.conventions),
        rows_bytes=4 * sum(width * rows for clip in clips for rows, width in clip.shapes),
        batch_bytes=4 * BATCH * sum(max(m.widths) * m.lengths["100"] for m in modalities if m.widths),
        reading_bytes=sum(file.stat().st_size for file in readers.files(path) if "pickle" in source.format),
        refusal=refusal,
    )


def _published(source: readers.Source, corpus: str | None) -> published.Published | None:
    """What the content says of a file that is, or could be taken for, one that MMSA has published."""
    if source.format != mmsa_pickle.NAME and source.path.name not in published.NAMES:
        return None
    return None if source.path.is_dir() else published.compare(source.path, corpus)


def _unread(path: Path) -> list[str]:
    """Names of the feature files beside those that a folder's corpus consists of."""
    if not path.is_dir():
        return []
    read = set(readers.files(path))
    kinds = (".pkl", ".npz", ".csv", ".csd", ".h5", ".hdf5")
    return sorted(f.name for f in path.iterdir() if f.suffix.lower() in kinds and f not in read)


def _divided(clips: Sequence[checks.Clip], cut: Cut) -> tuple[list[checks.Clip], bool, str]:
    """(the clips with the splits that a build gives them, whether it has to cut, why it cannot)."""
    given = [clip.split for clip in clips]
    try:
        splits = assign([clip.video for clip in clips], given, cut)
    except UserError as error:
        return list(clips), False, str(error)
    divided = [dataclasses.replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)]
    return divided, splits != given, ""


def _counts(clips: Sequence[checks.Clip]) -> dict[str, int]:
    """Clips by split, those splits that are there."""
    counts = Counter(clip.split for clip in clips)
    return {split: counts[split] for split in (*SPLITS, "") if split in counts}


def _evidence(
    clips: Sequence[checks.Clip], counts: Mapping[str, int], chinese: int, modalities: Sequence[Modality]
) -> Evidence:
    return Evidence(
        counts=counts,
        labels=[clip.label for clip in clips if not np.isnan(clip.label).any()],
        vision=frozenset(width for found in modalities if found.name == "vision" for width in found.widths),
        chinese=2 * chinese > len(clips),
    )


def _histogram(clips: Sequence[checks.Clip], splits: Sequence[str]) -> list[Bar]:
    """Clips by label: by class, by value where there are few, else by nearest whole number or in tenths."""
    if len({np.shape(clip.label) for clip in clips}) != 1:
        return []  # nothing to show, or what a build refuses
    labels = np.array([clip.label for clip in clips])
    values = np.unique(labels)
    if labels.ndim == 2:
        names = EMOTIONS if labels.shape[1] == len(EMOTIONS) else map(str, range(labels.shape[1]))
        bars = {name: labels[:, place] == 1 for place, name in enumerate(names)}
    elif len(values) <= _BARS:
        bars = {f"{value:g}": labels == value for value in values}
    elif 4 <= values[-1] - values[0] <= _BARS:
        nearest = np.rint(labels)
        bars = {f"{level:g}": nearest == level for level in np.arange(nearest.min(), nearest.max() + 1)}
    else:
        edges = np.linspace(values[0], values[-1], 11)
        place = np.clip(np.searchsorted(edges, labels, side="right") - 1, 0, 9)
        bars = {f"{edges[k]:.3g} to {edges[k + 1]:.3g}": place == k for k in range(10)}
    there = np.array([clip.split for clip in clips])
    return [
        Bar(label, {split: int(np.sum(taken & (there == split))) for split in splits})
        for label, taken in bars.items()
    ]


def _oddities(
    scan: Scan, clips: Sequence[checks.Clip], facts: Corpus | None, untold_videos: int
) -> list[Finding]:
    """What is odd within clips: features and texts, labels, ids."""
    uneven = "{clip|clips} whose rows of %s do not match {its|their} words or tokens"
    return [
        *scan.findings(len(clips)),
        *(f for m in STREAMS for f in found(uneven % m, checks.uneven(clips, m), REFUSED)),
        *_label_findings(clips, facts),
        *_id_findings(clips),
        *of_videos(untold_videos),
    ]


def _label_findings(clips: Sequence[checks.Clip], facts: Corpus | None) -> Iterator[Finding]:
    """The clips whose label is missing or, where the corpus is known, not of its kind."""
    given = [clip for clip in clips if not np.isnan(clip.label).any()]
    yield from found(
        "{clip|clips} without label", [clip.id for clip in clips if np.isnan(clip.label).any()], REFUSED
    )
    if facts is None:
        return
    shaped = [clip for clip in given if np.shape(clip.label) == facts.label_shape]
    wanted = "one label" if not facts.label_shape else f"{facts.label_shape[0]} labels"
    wrong = [clip.id for clip in given if np.shape(clip.label) != facts.label_shape]
    yield from found(f"{{clip|clips}} with other than {wanted}", wrong, REFUSED)
    yield from found(
        "{clip|clips} with a label neither 0 nor 1"
        if facts.outputs
        else f"{{clip|clips}} with a label outside [{facts.low:g}, {facts.high:g}]",
        [clip.id for clip in shaped if not fits(clip.label, facts)],
        REFUSED,
    )


def _id_findings(clips: Sequence[checks.Clip]) -> Iterator[Finding]:
    counts = Counter(clip.id for clip in clips)
    yield from found(
        "{id occurs|ids occur} more than once", [name for name, count in counts.items() if count > 1], REFUSED
    )
