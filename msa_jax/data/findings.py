"""Findings on clips: what a user should know of them before a score is believed."""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from msa_jax.corpora import STREAMS
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.errors import worded

if TYPE_CHECKING:
    from msa_jax.data.pipeline import Split

SHOWN = 3  # ids kept of every finding
REFUSED, ZEROED, LEFT_OUT, KEPT = "refused", "set to 0", "left out", "kept"
_NO_TEXTS = ("None", "nan", "NaN", "NULL", "null", "N/A", "n/a", "#N/A", "<NA>", "NaT")
NO_TEXT = '{text is|texts are} "None", "nan" or only question marks, as programs write where they have none'
_LOST = re.compile("[\\s?\ufffd]*[?\ufffd]{2}[\\s?\ufffd]*")
_UNKNOWN = 0.01  # share of [UNK] among the subwords of a split that is worth a line


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something that a user should know of some clips.

    Attributes:
      what: it, in a few words.
      count: how many there are.
      first: the first of them, by id; [] where none stands out.
      effect: what becomes of it: `REFUSED`, `ZEROED`, `LEFT_OUT` or `KEPT`.
    """

    what: str
    count: int
    first: list[str]
    effect: str = KEPT

    def __str__(self) -> str:
        if not self.first:
            return f"{self.count} {self.what}"
        more = ", ..." if self.count > len(self.first) else ""
        return f"{self.count} {self.what}: {', '.join(self.first)}{more}"


def found(what: str, ids: Sequence[str], effect: str = KEPT) -> Iterator[Finding]:
    """The finding of some ids, with {one|many} in what it is, as in `errors.counted`; nothing where none."""
    if len(ids):
        yield Finding(worded(len(ids), what), len(ids), [str(name) for name in ids[:SHOWN]], effect)


def is_no_text(text: str) -> bool:
    """Whether a text is what programs write where there is none, or where they lost all its letters."""
    return text.strip() in _NO_TEXTS or _LOST.fullmatch(text) is not None


def of_videos(untold: int) -> list[Finding]:
    """The finding of clips whose video the ids do not tell."""
    what = worded(
        untold,
        "{clip counts as a video of its|clips count as videos of their} own, since {its id does|their ids "
        "do} not tell which video {it is|they are} from",
    )
    return [Finding(what, untold, [])] if untold else []


def of_split(
    split: "Split",
    how: Preprocessing,
    statistics: Statistics,
    *,
    training: bool = False,
    missing: bool = True,
) -> list[Finding]:
    """What is odd in a split, as a run reads it.

    Args:
      split: scanned.
      how: the preprocessing.
      statistics: of the training split.
      training: whether it is that split, of which constant columns are told too.
      missing: whether to name clips without a modality.

    Returns:
      Texts that are cut, texts with [UNK] where they are more than 1 % of all subwords, texts that are no
      texts, clips without a modality that the run reads, clips with values beyond the range of the training
      clips, constant columns.
    """
    names = np.array(split.ids, object)
    out: list[Finding] = []
    if "text" in how.modalities:
        steps = np.array([len(words) for words in split.words], int)
        side = "beginning" if how.keep_end else "end"
        what = "rows of text features" if how.text_width else "subwords"
        out += found(
            f"{{text is|texts are}} cut at {how.max_content} {what}, {{its|their}} {side} is not read",
            names[steps > how.max_content + 2],
        )
        out += _unknown(split, names)
        out += found(NO_TEXT, names[split.no_text])
    for m in how.modalities if missing else ():
        out += found(f"{{clip is|clips are}} without {m}", names[~split.has[m]])
    for m in STREAMS:
        if m in how.modalities and split.has[m].any():
            low_ND, high_ND = split.extent(m)
            out += beyond(m, names[split.has[m]], low_ND, high_ND, (statistics.low[m], statistics.high[m]))
            constant = np.flatnonzero(low_ND.min(0) == high_ND.max(0))
            if training and len(constant):
                out += found(
                    f"of {low_ND.shape[1]} columns of {m} {{is|are}} constant (counted from 0)", constant
                )
    return out


def beyond(
    modality: str,
    names: np.ndarray,
    low_ND: np.ndarray,
    high_ND: np.ndarray,
    ends: tuple[np.ndarray, np.ndarray],
) -> Iterator[Finding]:
    """The clips that have values outside of a robust range.

    Args:
      modality: whose columns they are.
      names: of the N clips.
      low_ND, high_ND: the smallest and the largest value of each column in each clip.
      ends: (low, high) [D], the range.
    """
    outside_ND = (low_ND < ends[0]) | (high_ND > ends[1])
    columns = np.flatnonzero(outside_ND.any(0))
    listed = ", ".join(map(str, columns[:SHOWN])) + (", ..." if len(columns) > SHOWN else "")
    yield from found(
        f"{{clip has|clips have}} values in {modality} far outside the usual range (columns {listed})",
        names[outside_ND.any(1)],
    )


def _unknown(split: "Split", names: np.ndarray) -> Iterator[Finding]:
    share = split.unknown.sum() / max(split.subwords.sum(), 1)
    if share > _UNKNOWN:
        yield from found(
            f"{{text has|texts have}} [UNK], {100 * share:.0f} % of all subwords: the encoder does not know "
            "{this word|these words}",
            names[split.unknown > 0],
        )
