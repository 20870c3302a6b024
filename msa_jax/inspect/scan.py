"""Scan of the texts and features of a file's clips, each looked at once as it goes by."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from msa_jax.data import checks
from msa_jax.data.example import Example
from msa_jax.data.findings import KEPT, LEFT_OUT, NO_TEXT, REFUSED, SHOWN, ZEROED, Finding, beyond, is_no_text
from msa_jax.data.ranges import Sample, robust_range
from msa_jax.errors import counted, worded

PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
LONG = 6  # words, or twice as many Chinese characters: "thank you so much" is said in every other video
_CHINESE = re.compile(r"[\u3400-\u9fff]")


@dataclasses.dataclass(frozen=True)
class Modality:
    """One modality of a file.

    Attributes:
      name: "text", "audio", "vision" or "text_features".
      unit: what its length counts: "words", "characters" (of Chinese) or "rows".
      clips: clips that have it.
      rows: the sum of their lengths.
      widths: clips by features per row; empty for text.
      lengths: `PERCENTILES` of the lengths of the clips that have it.
      low, high: the smallest and the largest finite feature; None for text.
    """

    name: str
    unit: str
    clips: int
    rows: int
    widths: dict[int, int]
    lengths: dict[str, int]
    low: float | None = None
    high: float | None = None


class _Tally:
    """Findings that grow while clips go by."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[list[str], list[int]]] = {}

    def add(self, what: str, effect: str, clip: str, cells: int = 0) -> None:
        first, sums = self._found.setdefault((what, effect), ([], [0, 0]))
        sums[0] += 1
        sums[1] += cells
        if len(first) < SHOWN:
            first.append(clip)

    def findings(self) -> Iterator[Finding]:
        for (what, effect), (first, (count, cells)) in self._found.items():
            cells_said = f" ({counted(cells, '{number|numbers}')})" if cells else ""
            yield Finding(worded(count, what) + cells_said, count, first, effect)


class _Columns:
    """The columns of one width: some rows, and the finite extent of every column in every clip."""

    def __init__(self) -> None:
        self.rows = 0
        self.sample = Sample()
        self._clips: list[str] = []
        self._lows: list[np.ndarray] = []
        self._highs: list[np.ndarray] = []

    def add(self, clip: str, rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.rows += len(rows)
        self.sample.add(rows)
        self._clips.append(clip)
        self._lows.append(low)
        self._highs.append(high)

    @property
    def low(self) -> np.ndarray:
        return np.min(self._lows, axis=0)

    @property
    def high(self) -> np.ndarray:
        return np.max(self._highs, axis=0)

    def beyond(self, name: str) -> Iterator[Finding]:
        ends = robust_range(self.sample.rows())
        names = np.array(self._clips, object)
        yield from beyond(spoken(name), names, np.stack(self._lows), np.stack(self._highs), ends)


class Scan:
    """The tallies of texts and features, filled while `checks.survey` goes through the clips.

    Attributes:
      texts: of each clip a hash of its words; None where it has few.
      contents: of each clip a hash of its words and features; None where it has no features.
      chinese: clips with Chinese characters.
    """

    def __init__(self) -> None:
        self.texts: list[bytes | None] = []
        self.contents: list[bytes | None] = []
        self.chinese = 0
        self._lengths: list[tuple[int, int]] = []  # words, characters
        self._columns: dict[str, dict[int, _Columns]] = {name: {} for name in checks.FEATURES}
        self._missing: dict[str, _Tally] = {name: _Tally() for name in ("text", *checks.FEATURES)}
        self._tally = _Tally()

    def over(self, examples: Iterable[Example]) -> Iterator[Example]:
        """Hands the clips on, having looked at each."""
        for example in examples:
            self._text(example)
            content = hashlib.blake2b(example.text.encode(errors="replace"), digest_size=16)
            some = False
            for name in checks.FEATURES:
                rows = np.ascontiguousarray(getattr(example, name))
                if rows.size and self._features(name, rows, example.id):
                    content.update(rows)
                    some = True
                elif not rows.size:
                    self._missing[name].add(f"{{clip|clips}} without {spoken(name)}", KEPT, example.id)
            self.contents.append(content.digest() if some else None)
            yield example

    def _text(self, example: Example) -> None:
        text = example.text
        words, chinese = re.findall(r"\w+", text.casefold()), len(_CHINESE.findall(text))
        self._lengths.append((len(text.split()), len(text)))
        self.chinese += chinese > 0
        long = max(len(words), chinese / 2) >= LONG
        spoken = " ".join(words).encode(errors="replace")
        self.texts.append(hashlib.blake2b(spoken, digest_size=16).digest() if long else None)
        if is_no_text(text):
            self._tally.add(NO_TEXT, KEPT, example.id)
        if not text:
            self._missing["text"].add("{clip|clips} without text", KEPT, example.id)

    def _features(self, name: str, rows: np.ndarray, clip: str) -> bool:
        """Takes note of a clip's features; False where they tell nothing."""
        columns = self._columns[name].setdefault(rows.shape[1], _Columns())
        low, high = rows.min(0), rows.max(0)
        some = True
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            finite = np.isfinite(rows)
            some = bool(finite.any())
            if not some:
                self._tally.add(f"{{clip|clips}} whose {spoken(name)} has no finite number", LEFT_OUT, clip)
            else:
                for what, cells in (("NaN", np.isnan(rows).sum()), ("infinity", np.isinf(rows).sum())):
                    if cells:
                        self._tally.add(
                            f"{{clip|clips}} with {what} in {spoken(name)}", ZEROED, clip, int(cells)
                        )
            low, high = np.where(finite, rows, np.inf).min(0), np.where(finite, rows, -np.inf).max(0)
        elif not low.any() and not high.any():
            self._tally.add(f"{{clip|clips}} with nothing but zeros in {spoken(name)}", LEFT_OUT, clip)
            some = False
        columns.add(clip, rows, low, high)
        return some

    def modalities(self, clips: Sequence[checks.Clip]) -> list[Modality]:
        """Those that some clip has."""
        unit, place = ("characters", 1) if 2 * self.chinese > len(clips) else ("words", 0)
        lengths = [both[place] for both in self._lengths if both[0]]
        found = [Modality("text", unit, len(lengths), sum(lengths), {}, _percentiles(lengths))]
        for place, name in enumerate(checks.FEATURES):
            shapes = [clip.shapes[place] for clip in clips if clip.shapes[place][0]]
            lengths = [rows for rows, _ in shapes]
            widths = {width: sum(w == width for _, w in shapes) for _, width in dict.fromkeys(shapes)}
            columns = self._columns[name].values()
            low = min((float(c.low.min()) for c in columns), default=np.inf)
            high = max((float(c.high.max()) for c in columns), default=-np.inf)
            lows = (low, high) if low <= high else (None, None)
            found.append(
                Modality(name, "rows", len(shapes), sum(lengths), widths, _percentiles(lengths), *lows)
            )
        return [modality for modality in found if modality.clips]

    def findings(self, count: int) -> Iterator[Finding]:
        """The oddities in texts and features of `count` clips; a modality that no clip has is not odd."""
        for tally in self._missing.values():
            yield from (found for found in tally.findings() if found.count < count)
        yield from self._tally.findings()
        for name, widths in self._columns.items():
            if len(widths) > 1:
                named = [
                    f"{width} columns ({counted(columns.rows, '{row|rows}')})"
                    for width, columns in widths.items()
                ]
                yield Finding(f"widths of {spoken(name)}", len(widths), named[:SHOWN], REFUSED)
            for width, columns in widths.items():
                yield from columns.beyond(name)
                constant = np.flatnonzero(columns.low == columns.high)
                if columns.rows > 1 and len(constant):
                    first = [str(column) for column in constant[:SHOWN]]
                    what = f"of {width} columns of {spoken(name)} {{is|are}} constant (counted from 0)"
                    yield Finding(worded(len(constant), what), len(constant), first, KEPT)


def spoken(name: str) -> str:
    return name.replace("_", " ")


def _percentiles(lengths: Sequence[int]) -> dict[str, int]:
    if not lengths:
        return {}
    found = np.percentile(lengths, PERCENTILES, method="inverted_cdf")
    return {str(share): int(length) for share, length in zip(PERCENTILES, found, strict=True)}
