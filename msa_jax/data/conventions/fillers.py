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
from msa_jax.data.conventions.used import in_use

SAMPLE = 64  # clips of a split that are looked at
_LEAST = 5  # clips that must be filled up
_LENGTHS = 3  # different numbers of rows that they are filled up by
_SAME_LENGTH = 0.9  # share of the clips that must have arrays of one length
_ZEROS = 0.1  # share of the clips that may begin or end in zeros: with more, zeros are the padding
_ONE_ROW = 0.25  # share of the clips that one row must end; long clips are often cut, and not filled up
_INSIDE = 0.01  # share of the clips that may have this row elsewhere: silence stands there too
_OWN_ROW = 0.5  # share of the clips that must end in a row of their own that repeats
_OTHER_END = 0.1  # share of the clips in which the other end may repeat likewise
_LONG = 3  # equal rows that repeat a row, and are no chance
_TIMES = 2  # so many times longer than any other stretch of equal rows: upsampled rows repeat throughout
_ENDS = ("behind", "front")


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
            return np.stack([self.blanked(rows) for rows in values]) if len(values) else values
        return [rows if (found := _matrix(rows)) is None else self.blanked(found) for rows in values]


def find(parts: Sequence[Sequence[Any]], said: str | None = None) -> Filler | None:
    """Tells whether, and by what, the clips of a stream are filled up.

    One row in all clips is a filler where it ends many of them, in stretches of several lengths, and is
    nowhere else. A row of the clip's own is one where it ends most of them, in longer stretches than any
    other that repeats, at one end alone.

    Args:
      parts: the arrays (N, L, d), or N matrices, of the splits of the stream. Some of each are looked at.
      said: the end at which clips are padded, or "none", where the user says it.

    Returns:
      None where nothing fills them up but zeros, or too little tells it.
    """
    ends = tuple(end for end in _ENDS if said in (None, end))
    used = [(rows, in_use(rows)) for rows in _sample(parts)]
    looks = [_Look.at(rows) for rows, use in used if use[0] and use[-1]]
    some = sum(bool(use.any()) for _, use in used)
    if not ends or len(looks) < max(_LEAST, (1 - _ZEROS) * some):
        return None
    return _one_row(looks, ends) or _own_rows(looks, ends)


def blank(
    splits: Sequence[MutableMapping[str, Any]], names: Sequence[str], said: str | None
) -> dict[str, Filler]:
    """Puts zeros in place of the fillers of all splits of a file.

    Args:
      splits: of each the arrays by name; those that are filled up are replaced.
      names: the streams to look at, as far as a split has them.
      said: see `find`.

    Returns:
      What was found, by stream.
    """
    found = {}
    for name in names:
        having = [arrays for arrays in splits if arrays.get(name) is not None]
        if filler := find([arrays[name] for arrays in having], said):
            found[name] = filler
            for arrays in having:
                arrays[name] = filler.blanked_all(arrays[name])
    return found


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
      rows: [L, d], in use at both ends.
      runs: by end, how many equal rows stand there; 0 where all rows are equal.
      inside: how many equal rows stand together elsewhere, at most.
    """

    rows: np.ndarray
    runs: Mapping[str, int]
    inside: int

    @classmethod
    def at(cls, rows: np.ndarray) -> "_Look":
        turns = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + 1
        if not len(turns):
            return cls(rows, dict.fromkeys(_ENDS, 0), len(rows))
        lengths = np.diff(turns, prepend=0, append=len(rows))
        inside = int(lengths[1:-1].max(initial=1))
        return cls(rows, {"front": int(lengths[0]), "behind": int(lengths[-1])}, inside)

    def end(self, end: str) -> np.ndarray:
        return self.rows[0 if end == "front" else -1]

    def repeats(self, end: str) -> bool:
        return self.runs[end] >= max(_LONG, _TIMES * self.inside + 1)


def _one_row(looks: Sequence[_Look], ends: Sequence[str]) -> Filler | None:
    """The one row that fills up many clips, at one end or both."""
    found: dict[bytes, tuple[list[str], np.ndarray]] = {}
    for end in ends:
        most, _ = Counter(look.end(end).tobytes() for look in looks).most_common(1)[0]
        filled = [look for look in looks if look.runs[end] and look.end(end).tobytes() == most]
        lengths = {look.runs[end] for look in filled}
        if len(filled) >= max(_LEAST, _ONE_ROW * len(looks)) and len(lengths) >= _LENGTHS:
            found.setdefault(most, ([], filled[0].end(end)))[0].append(end)
    for at, row in found.values():
        filler = Filler(tuple(at), row)
        elsewhere = sum(bool((filler.blanked(look.rows) == row).all(axis=1).any()) for look in looks)
        if elsewhere <= _INSIDE * len(looks):
            return filler
    return None


def _own_rows(looks: Sequence[_Look], ends: Sequence[str]) -> Filler | None:
    """The end at which clips repeat a row of their own."""
    filled = {end: [look for look in looks if look.repeats(end)] for end in _ENDS}
    for end, other in (_ENDS, _ENDS[::-1]):
        many = len(filled[end]) >= max(_LEAST, _OWN_ROW * len(looks))
        lengths = {look.runs[end] for look in filled[end]}
        alone = len(filled[other]) <= _OTHER_END * len(looks)
        if end in ends and many and alone and len(lengths) >= _LENGTHS:
            return Filler((end,))
    return None


def _sample(parts: Sequence[Sequence[Any]]) -> Iterator[np.ndarray]:
    """Some clips [L, d] of each split; none where they are not of one length, as those filled up are."""
    found = []
    for values in parts:
        places = range(0, len(values), 1 + (len(values) - 1) // SAMPLE) if len(values) else ()
        found += [rows for k in places if (rows := _matrix(values[k])) is not None and rows.size]
    lengths = Counter(map(len, found))
    (length, count), *_ = lengths.most_common(1) or [(0, 0)]
    if length > _LONG and count >= _SAME_LENGTH * len(found):
        yield from (rows for rows in found if len(rows) == length)


def _matrix(rows: Any) -> np.ndarray | None:
    """A clip's numbers [L, d]; None where they are not."""
    try:
        array = rows if isinstance(rows, np.ndarray) and rows.dtype != object else np.asarray(rows, float)
    except (TypeError, ValueError, OverflowError):  # letters, or rows of several widths
        return None
    return array if array.ndim == 2 and array.dtype.kind in "fiu" else None


def _run(rows: np.ndarray, row: np.ndarray) -> int:
    """How many rows, from the first on, are equal to a row."""
    same = (rows == row).all(axis=1)
    return len(same) if same.all() else int(same.argmin())
