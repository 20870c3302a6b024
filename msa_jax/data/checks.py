"""Checks that a corpus must pass before it is stored, and the standard repairs."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from msa_jax.corpora import MODALITIES, SPLITS, STREAMS, Corpus
from msa_jax.data.conventions import letters
from msa_jax.data.example import Example, is_silent
from msa_jax.errors import UserError, counted, named

FEATURES = (*STREAMS, "text_features")
_SLACK = 1e-6  # labels went through float32 in most files


@dataclasses.dataclass(frozen=True)
class Clip:
    """The facts that are kept of every clip while a corpus is checked: everything but its features.

    Attributes:
      id, video, split, label, aligned: as in `Example`.
      words: number of words of the text.
      shapes: (rows, width) of audio, of vision and of the text features.
      finite: of each of the three, whether it has a finite number.
      unimodal_labels: as in `Example`.
      tokens: number of tokens that the rows belong to; 0 where they belong to none.
      chinese: whether the text is Chinese (`letters.is_chinese`).
    """

    id: str
    video: str
    split: str
    label: float | np.ndarray
    aligned: bool
    words: int
    shapes: tuple[tuple[int, int], ...]
    finite: tuple[bool, ...]
    unimodal_labels: np.ndarray
    tokens: int
    chinese: bool = False


def survey(examples: Iterable[Example]) -> list[Clip]:
    """Goes once through the clips and keeps what the checks need."""
    return [
        Clip(
            clip.id,
            clip.video,
            clip.split,
            clip.label,
            clip.aligned,
            len(clip.text.split()),
            tuple(getattr(clip, name).shape for name in FEATURES),
            tuple(_has_finite(getattr(clip, name)) for name in FEATURES),
            clip.unimodal_labels,
            len(clip.tokens),
            letters.is_chinese(clip.text),
        )
        for clip in examples
    ]


def check(clips: Sequence[Clip], facts: Corpus, where: str, surplus: str = "") -> tuple[int, ...]:
    """Refuses a corpus that cannot be repaired.

    Args:
      clips: all clips, each with its final split.
      facts: the shape and range of the labels, and whether a video may be in several splits.
      where: what to call the file in messages.
      surplus: as in `Reading`.

    Returns:
      The widths of audio, vision and text features; 1 for those that no clip has.

    Raises:
      UserError: when an id occurs twice, a video is in two splits, a split is empty, a label is missing, of
        another shape or out of range, an aligned clip does not have one row per word, widths differ, or a
        modality has rows but not one finite number. Lists every kind, with first ids.
    """
    if found := problems(clips, facts, surplus):
        otherwise = "else " if surplus in found else ""
        raise UserError(f"{where}: {'; '.join(found)}; {otherwise}{_remedy(clips, facts)}")
    return tuple(max(_widths(clips, name), default=1) for name in FEATURES)


def problems(clips: Sequence[Clip], facts: Corpus, surplus: str = "") -> list[str]:
    """The reasons for which `check` refuses, a few words on each kind; none where it does not."""
    more = any(
        clip.aligned and rows > clip.words for clip in clips for rows, _ in clip.shapes[: len(STREAMS)]
    )
    return [
        problem
        for problem in (
            named("{clip id occurs|clip ids occur} twice", _twice(clips)),
            named("{video is|videos are} in more than one split", _torn(clips, facts)),
            *_label_problems(clips, facts),
            *(
                named(
                    f"{{clip has|clips have}} {s} rows that do not match {{its|their}} words or tokens",
                    uneven(clips, s),
                )
                for s in STREAMS
            ),
            surplus if more else "",
            *(_width_problem(clips, name) for name in FEATURES),
            *(_void_problem(clips, name) for name in FEATURES),
            *(f"no clip is in the {split} split" for split in SPLITS if all(c.split != split for c in clips)),
        )
        if problem
    ]


def _remedy(clips: Sequence[Clip], facts: Corpus) -> str:
    """The advice at the end of a refusal."""
    labelled = [clip for clip in clips if not np.isnan(clip.label).any()]
    if not labelled:
        return "add labels, or score the clips with a trained run by --mode=predict"
    if not any(np.shape(c.label) == facts.label_shape and _within(c.label, facts) for c in labelled):
        return f"if this is not {facts.title}, choose a config of its corpus; else correct the labels"
    return "correct the file and start again"


def has_text_features(clips: Sequence[Clip]) -> bool:
    """Whether some clip has text features."""
    return bool(_widths(clips, "text_features"))


def streams(clips: Sequence[Clip]) -> list[str]:
    """Those of audio and vision that some clip has."""
    return [stream for stream in STREAMS if _widths(clips, stream)]


class Report:
    """A record of the repairs, and of oddities without harm, while the clips go by."""

    def __init__(self) -> None:
        self._clips: dict[str, list[str]] = {}
        self._cells: dict[str, int] = {}

    def add(self, problem: str, clip: str, cells: int = 0) -> None:
        """Counts one clip, and the numbers that were changed in it."""
        self._clips.setdefault(problem, []).append(clip)
        self._cells[problem] = self._cells.get(problem, 0) + cells

    def problems(self) -> dict[str, list[str]]:
        """The ids of the clips by problem, each problem with its count of changed numbers."""
        return {
            f"{problem} ({counted(self._cells[problem], '{number|numbers}')})"
            if self._cells[problem]
            else problem: clips
            for problem, clips in self._clips.items()
        }


def repair(clip: Example, widths: Sequence[int], report: Report, *, text: bool = True) -> Example:
    """A clip whose features are finite and of the corpus's widths.

    Args:
      clip: a checked clip; not changed.
      widths: as `check` gives them; what is missing becomes (0, width).
      report: takes note of every repair, and of a clip without words or features of them.
      text: whether a clip should have some.

    Returns:
      The clip, with 0 in place of NaN and infinities; where a modality has no finite number or only zeros,
      without it.
    """
    if text and not (clip.text or len(clip.text_features)):
        report.add("empty text", clip.id)
    repaired = {}
    for name, width in zip(FEATURES, widths, strict=True):
        rows = getattr(clip, name)
        finite = np.isfinite(rows)
        if rows.size and not finite.any():
            report.add(f"no finite number in {name}, left out", clip.id, rows.size)
            rows = rows[:0]
        elif not finite.all():
            report.add(f"NaN or infinity in {name}, set to 0", clip.id, int((~finite).sum()))
            rows = np.where(finite, rows, np.float32(0))
        if is_silent(rows):
            report.add(f"only zeros in {name}, left out", clip.id)
            rows = rows[:0]
        repaired[name] = rows if rows.size else np.zeros((0, width), np.float32)
    return dataclasses.replace(clip, **repaired)


def _has_finite(rows: np.ndarray) -> bool:
    return bool(len(rows)) and bool(np.isfinite(rows[0]).any() or np.isfinite(rows).any())


def _repeated(keys: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    twice: dict[str, None] = {}  # in the order of the file
    for key in keys:
        if key in seen:
            twice[key] = None
        seen.add(key)
    return list(twice)


def _twice(clips: Sequence[Clip]) -> list[str]:
    return _repeated(clip.id for clip in clips)


def _torn(clips: Sequence[Clip], facts: Corpus) -> list[str]:
    if facts.split_by_clip:
        return []
    pairs = dict.fromkeys((clip.video, clip.split) for clip in clips)
    return _repeated(video for video, _ in pairs)


def _label_problems(clips: Sequence[Clip], facts: Corpus) -> Iterator[str]:
    """The lines on labels; a clip counts in the first that applies."""
    labelled = [clip for clip in clips if not np.isnan(clip.label).any()]
    shaped = [clip for clip in labelled if np.shape(clip.label) == facts.label_shape]
    yield named("{clip has|clips have} no label", [c.id for c in clips if np.isnan(c.label).any()])
    count = math.prod(facts.label_shape)
    wanted = "one number" if count == 1 else f"{count} numbers"
    yield named(
        f"{{label is|labels are}} not {wanted}",
        [c.id for c in labelled if np.shape(c.label) != facts.label_shape],
    )
    if facts.outputs:
        signs = bool(shaped) and all(np.isin(c.label, (-1, 1)).all() for c in shaped)
        yield named(
            "{label is|labels are} "
            + ("-1, and the others 1 (write -1 as 0)" if signs else "neither 0 nor 1"),
            [c.id for c in shaped if not np.isin(c.label, (0, 1)).all()],
        )
    else:
        yield named(
            f"{{label lies|labels lie}} outside [{facts.low:g}, {facts.high:g}]",
            [c.id for c in shaped if not _within(c.label, facts)],
        )
    unimodal = [clip for clip in clips if len(clip.unimodal_labels)]
    yield named(
        f"{{clip has|clips have}} labels by modality that are not {len(MODALITIES)} numbers",
        [c.id for c in unimodal if np.shape(c.unimodal_labels) != (len(MODALITIES),)],
    )
    yield named(
        f"{{clip has|clips have}} labels by modality outside [{facts.low:g}, {facts.high:g}]",
        [c.id for c in unimodal if not _within(c.unimodal_labels[~np.isnan(c.unimodal_labels)], facts)],
    )


def _within(values: float | np.ndarray, facts: Corpus) -> bool:
    return bool(np.all((facts.low - _SLACK <= values) & (values <= facts.high + _SLACK)))


def uneven(clips: Sequence[Clip], stream: str) -> list[str]:
    """The ids of the clips whose rows in a stream do not match their words or tokens."""
    place = STREAMS.index(stream)
    return [
        clip.id
        for clip in clips
        if (clip.aligned and clip.shapes[place][0] not in (0, clip.words))
        or (clip.tokens and clip.shapes[place][0] > clip.tokens)
    ]


def _widths(clips: Sequence[Clip], name: str) -> dict[int, list[str]]:
    """The ids of the clips by the width of their features, for the clips that have some."""
    widths: dict[int, list[str]] = {}
    for clip in clips:
        rows, width = clip.shapes[FEATURES.index(name)]
        if rows:
            widths.setdefault(width, []).append(clip.id)
    return widths


def _width_problem(clips: Sequence[Clip], name: str) -> str:
    widths = _widths(clips, name)
    if len(widths) < 2:
        return ""
    by_split = {split: _widths([c for c in clips if c.split == split], name) for split in SPLITS}
    if all(len(found) < 2 for found in by_split.values()):
        found = ", ".join(f"{width} in {split}" for split, widths in by_split.items() for width in widths)
        return (
            f"{name} has another width in another split ({found}); the splits must come from one extraction"
        )
    found = ", ".join(
        f"{width} in {counted(len(ids), '{clip|clips}')} ({ids[0]})" for width, ids in widths.items()
    )
    return f"{name} has several widths: {found}"


def _void_problem(clips: Sequence[Clip], name: str) -> str:
    place = FEATURES.index(name)
    there = [clip for clip in clips if clip.shapes[place][0]]
    if not there or any(clip.finite[place] for clip in there):
        return ""
    return (
        f"{name} does not have one finite number in any of {counted(len(there), '{clip|clips}')} "
        "(extract it again, or leave it out)"
    )
