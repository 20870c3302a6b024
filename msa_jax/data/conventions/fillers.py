"""Fillers: rows that are not zero, and only bring the clips of a stream to one length.

Scripts fill arrays with one row, such as -1 or 1e-8, or repeat the last or first row of each clip. Where a
file does not say the lengths, that is told by many clips at once, and the rows are made zeros, which are what
`padding` looks for.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from msa_jax.data.conventions.padding import Padding
from msa_jax.data.conventions.used import in_use, matrix, spread
from msa_jax.errors import counted

_LEAST = 5  # clips that must be filled up
_SEVERAL = 2  # clips of a stream that are filled up as those of another are
_LENGTHS = 3  # different numbers of rows that they are filled up by
_SAME_LENGTH = 0.9  # share of the clips that must have arrays of one length
_ZEROS = 0.1  # share of the clips that may have zeros at an end: with more, zeros are the padding there
_OTHER_ZEROS = 0.5  # the same of the other end
_ONE_ROW = 0.1  # share of the clips that one row must end; long clips are often cut, and not filled up
_INSIDE = 0.01  # share of the clips that may have this row elsewhere: silence stands there too
_OWN_ROW = 0.5  # share of the clips that must end in a row of their own that repeats
_OTHER_END = 0.1  # share of the clips in which the other end may repeat likewise
_LONG = 3  # equal rows that repeat a row, and are no chance
_TIMES = 2  # so many times longer than any other stretch of equal rows: upsampled rows repeat throughout
_ENDS = ("behind", "front")
_VERBS = {"behind": ("ends", "end"), "front": ("begins", "begin")}


@dataclasses.dataclass(frozen=True)
class Filler:
    """How the clips of a stream are filled up.

    Attributes:
      ends: those that are, of "behind" and "front".
      row: the row [d] that does it in all clips; None where each repeats its own.
    """

    ends: tuple[str, ...]
    row: np.ndarray | None = None

    def __str__(self) -> str:
        if self.row is None:
            return f"by rows that repeat the {'last' if self.ends == ('behind',) else 'first'} one"
        values = np.unique(self.row)
        return f"by rows of {values[0]:g}" if len(values) == 1 else "by one row in all clips"

    def blanked(self, rows: np.ndarray) -> np.ndarray:
        """A clip [L, d] with zeros in place of the rows that fill it up; itself where there are none."""
        filled = np.zeros(len(rows), bool)
        for end in self.ends if len(rows) else ():
            one_way = rows if end == "front" else rows[::-1]
            run = _run(one_way, one_way[0] if self.row is None else self.row)
            run -= self.row is None  # a row of the clip's own counts once
            (filled if end == "front" else filled[::-1])[:run] = True
        return np.where(filled[:, None], rows.dtype.type(0), rows) if filled.any() else rows

    def blanked_all(self, values: Any) -> Any:
        """Clips, (N, L, d) or N matrices, each `blanked`; those that are not numbers as they are."""
        if isinstance(values, np.ndarray) and values.dtype != object:
            found = np.empty_like(values)
            for k, rows in enumerate(values):
                found[k] = self.blanked(rows)
            return found
        return [rows if (found := matrix(rows)) is None else self.blanked(found) for rows in values]


class Found(NamedTuple):
    """What fills up the streams of a file.

    Attributes:
      fillers: by stream.
      notes: on streams whose clips are too few to tell.
    """

    fillers: dict[str, Filler]
    notes: list[str]


def decide(parts: Mapping[str, Sequence[Sequence[Any]]], said: str | None = None) -> Found:
    """Tells whether, and by what, the clips of a file's streams are filled up.

    One row in all clips is a filler where it ends many of them, in stretches of several lengths, and is
    nowhere else. A row of the clip's own is one where it ends most of them, in longer stretches than any
    other that repeats, at one end alone. Where the user says the end, or another stream is filled up like
    that, a few clips are enough.

    Args:
      parts: of each stream the arrays (N, L, d), or N matrices, of its splits. Some of each are looked at.
      said: the end at which clips are padded, or "none", where the user says it.

    Returns:
      The streams that something fills up other than zeros, and what to say of those that may be.
    """
    looks = {}
    for name, splits in parts.items():
        looks[name] = [look for look in map(_Look.at, _sample(splits)) if look is not None]
    own = {name: filler for name, some in looks.items() if (filler := _find(some, said))}
    usual = [filler for filler in own.values() if said in (None, *filler.ends)]
    found = {}
    for name, some in looks.items():
        if filler := own.get(name) or next(filter(None, (_like(some, other) for other in usual)), None):
            found[name] = filler
    notes = [
        f"{name}: {line}"
        for name, some in looks.items()
        if said is None and name not in found and (line := _doubt(some))
    ]
    return Found(found, notes)


def find(parts: Sequence[Sequence[Any]]) -> Filler | None:
    """What fills up one stream, as `decide` tells it."""
    return decide({"": parts}).fillers.get("")


def blank(splits: Sequence[MutableMapping[str, Any]], names: Sequence[str], said: str | None) -> Found:
    """Puts zeros in place of the fillers of all splits of a file.

    Args:
      splits: of each the arrays by name; those that are filled up are replaced.
      names: the streams to look at, as far as a split has them.
      said: see `decide`.

    Returns:
      What was found.
    """
    having = {name: [arrays for arrays in splits if arrays.get(name) is not None] for name in names}
    found = decide({name: [arrays[name] for arrays in some] for name, some in having.items()}, said)
    for name, filler in found.fillers.items():
        for arrays in having[name]:
            arrays[name] = filler.blanked_all(arrays[name])
    return found


def _doubt(looks: "Sequence[_Look]") -> str:
    """What to say of clips that are too few to tell that the rows that repeat at an end are padding."""
    for end in _ENDS:
        count = sum(look.repeats(end) for look in looks)
        if _find(looks, end) is not None and count >= _OWN_ROW * len(looks):
            what = counted(count, f"{{clip {_VERBS[end][0]}|clips {_VERBS[end][1]}}} with rows that repeat")
            return f"{what}; they count, unless you say --config.data.padding={end} (in Python: padding=...)"
    return ""


def _find(looks: "Sequence[_Look]", said: str | None) -> Filler | None:
    ends = [end for end in _ENDS if said in (None, end) and _in_use(looks, end)]
    strict = said is None
    return _one_row(looks, ends, strict=strict) or _own_rows(looks, ends, strict=strict)


def _like(looks: "Sequence[_Look]", other: Filler) -> Filler | None:
    """The filler of a stream in which fewer clips are filled up than in another, and like there."""
    ends = tuple(end for end in other.ends if _in_use(looks, end))
    if other.row is None:
        repeat = sum(any(look.repeats(end) for end in ends) for look in looks) >= _SEVERAL
        others = [end for end in _ENDS if end not in ends]
        return Filler(ends) if repeat and not any(look.repeats(e) for e in others for look in looks) else None
    values = np.unique(other.row)
    if len(values) > 1 or not looks or not ends:
        return None
    filler = Filler(ends, np.full(looks[0].rows.shape[1], values[0], looks[0].rows.dtype))
    filled = sum(filler.blanked(look.rows) is not look.rows for look in looks)
    return filler if filled >= _SEVERAL and _only_at_ends(filler, looks) else None


def told(ends: Mapping[str, Padding], fillers: Mapping[str, Filler]) -> dict[str, Padding]:
    """What was decided of the streams, with what fills them up.

    Args:
      ends: by stream, and under "" those on one time line.
      fillers: by stream.
    """
    lines = {name: str(filler) for name, filler in fillers.items()}
    found = dict(ends)
    for name, padding in ends.items():
        parts = dict.fromkeys(lines.values()) if name == "" else [lines[name]] if name in lines else []
        if parts and padding.evidence:
            keep = "--config.data.padding=none keeps them"
            found[name] = dataclasses.replace(
                padding, evidence=f"{padding.evidence}, {' and '.join(parts)} ({keep})"
            )
    return found


class _Look(NamedTuple):
    """A clip, and the equal rows at its ends and between.

    Attributes:
      rows: [L, d], some of them in use.
      runs: by end, how many equal rows stand there; 0 where all rows are equal, or these are not in use.
      inside: how many equal rows stand together elsewhere, at most.
    """

    rows: np.ndarray
    runs: Mapping[str, int]
    inside: int

    @classmethod
    def at(cls, rows: np.ndarray) -> "_Look | None":
        """Looks at a clip; None where no row is in use."""
        use = in_use(rows)
        if not use.any():
            return None
        turns = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + 1
        if not len(turns):
            return cls(rows, dict.fromkeys(_ENDS, 0), len(rows))
        lengths = np.diff(turns, prepend=0, append=len(rows))
        inside = int(lengths[1:-1].max(initial=1))
        return cls(rows, {"front": int(lengths[0] * use[0]), "behind": int(lengths[-1] * use[-1])}, inside)

    def end(self, end: str) -> np.ndarray:
        return self.rows[0 if end == "front" else -1]

    def repeats(self, end: str) -> bool:
        return self.runs[end] >= max(_LONG, _TIMES * self.inside + 1)


def _in_use(looks: Sequence[_Look], end: str) -> bool:
    """Whether nearly no clip has zeros at an end, and not most at the other."""
    zeros = {end: np.mean([not in_use(look.end(end)[None])[0] for look in looks] or [1]) for end in _ENDS}
    other = _ENDS[end == _ENDS[0]]
    return bool(zeros[end] <= _ZEROS and zeros[other] <= _OTHER_ZEROS)


def _one_row(looks: Sequence[_Look], ends: Sequence[str], *, strict: bool) -> Filler | None:
    """The one row that fills up many clips, at one end or both."""
    found: dict[bytes, tuple[list[str], np.ndarray]] = {}
    for end in ends:
        rows = Counter(look.end(end).tobytes() for look in looks if look.runs[end])
        (most, _), *_ = rows.most_common(1) or [(b"", 0)]
        filled = [look for look in looks if look.runs[end] and look.end(end).tobytes() == most]
        lengths = {look.runs[end] for look in filled}
        if strict:
            enough = len(filled) >= max(_LEAST, _ONE_ROW * len(looks)) and len(lengths) >= _LENGTHS
        else:  # a row that repeats, as -1 in all columns or in several clips
            same = len(filled) > 1 or any(len(set(look.end(end).tolist())) == 1 for look in filled)
            enough = same and max(lengths) >= _LONG
        if enough:
            found.setdefault(most, ([], filled[0].end(end)))[0].append(end)
    for at, row in found.values():
        filler = Filler(tuple(at), row)
        if _only_at_ends(filler, looks):
            return filler
    return None


def _only_at_ends(filler: Filler, looks: Sequence[_Look]) -> bool:
    """Whether the row of a filler is nowhere else."""
    elsewhere = sum(bool((filler.blanked(look.rows) == filler.row).all(axis=1).any()) for look in looks)
    return elsewhere <= _INSIDE * len(looks)


def _own_rows(looks: Sequence[_Look], ends: Sequence[str], *, strict: bool) -> Filler | None:
    """The end at which clips repeat a row of their own."""
    filled = {end: [look for look in looks if look.repeats(end)] for end in _ENDS}
    for end, other in (_ENDS, _ENDS[::-1]):
        many = len(filled[end]) >= max(_LEAST if strict else 1, _OWN_ROW * len(looks))
        lengths = {look.runs[end] for look in filled[end]}
        alone = len(filled[other]) <= _OTHER_END * len(looks)
        if end in ends and many and alone and len(lengths) >= (_LENGTHS if strict else 1):
            return Filler((end,))
    return None


def _sample(parts: Sequence[Sequence[Any]]) -> Iterator[np.ndarray]:
    """Some clips [L, d] of each split; none where they are not of one length, as those filled up are."""
    clips = [matrix(values[k]) for values in parts for k in spread(len(values))]
    found = [rows for rows in clips if rows is not None and rows.size]
    lengths = Counter(map(len, found))
    (length, count), *_ = lengths.most_common(1) or [(0, 0)]
    if length > _LONG and count >= _SAME_LENGTH * len(found):
        yield from (rows for rows in found if len(rows) == length)


def _run(rows: np.ndarray, row: np.ndarray) -> int:
    """How many rows, from the first on, are equal to a row."""
    same = (rows == row).all(axis=1)
    return len(same) if same.all() else int(same.argmin())
