"""Axes of arrays: whether the clips come first, and a clip's rows before its columns.

In files that MATLAB wrote column by column all axes are reversed; scripts for convolutions leave the last two
swapped, (clips, width, rows). Swapped ones are told by the zeros that pad them, by lengths that only the last
axis has room for, by clips that differ in it alone, and by the text's rows.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from msa_jax.data.conventions.rows import edges
from msa_jax.errors import UserError

_FORMS = {2: ("(width, {0})", "({0}, width)"), 3: ("(width, rows, {0})", "({0}, rows, width)")}


def are_reversed(shape: Sequence[int], count: int) -> bool:
    """Whether an array has its `count` clips (or rows, of one clip) on its last axis and not on its first."""
    return len(shape) > 1 and shape[0] != count and shape[-1] == count


def all_reversed(shapes: Sequence[Sequence[int]]) -> bool:
    """Whether arrays of the same clips agree in their last axes, not in the first; axes of 1 are none."""
    sizes = [tuple(size for size in shape if size != 1) or (1,) for shape in shapes]
    return len({shape[0] for shape in sizes}) > 1 and len({shape[-1] for shape in sizes}) == 1


def mend(dimensions: int = 3, first: str = "clips") -> str:
    """What to say of reversed arrays of so many axes; `first` is what their first axis should count."""
    wrong, right = (form.format(first) for form in _FORMS[dimensions])
    return f"the axes are reversed, {wrong} in place of {right}, as MATLAB writes them; save array.T"


_SAMPLE = 64  # clips that are looked at
_SHARE = 0.25  # of the clips that are padded, of which one lacks _PART of the axis, where an axis is padded
_PART = 0.2
_NO_LENGTHS: Mapping[str, Sequence[int]] = MappingProxyType({})


class _Look(NamedTuple):
    """The rows and columns of a stream's clips.

    Attributes:
      shape: of each clip; of the first where they differ.
      known: whether the first axis is that of the rows for certain, or it makes no difference.
      why: what tells that it is the second; "" where nothing does.
    """

    shape: tuple[int, ...]
    known: bool
    why: str = ""


def refuse_swapped(
    parts: Mapping[str, Sequence[Sequence[Any]]],
    where: str,
    *,
    lengths: Mapping[str, Sequence[int]] = _NO_LENGTHS,
    tokens: int = 0,
    mend: str = "array.swapaxes(1, 2)",
) -> None:
    """Refuses a file whose arrays are (clips, width, rows).

    Args:
      parts: of each stream, by its name in the file, the arrays (N, L, d) or N matrices of its splits.
      where: what to call the file in a message.
      lengths: of some streams the rows of the clips, as the file says.
      tokens: the rows of the text, as another array tells them; 0 where none does.
      mend: what to say of an array that is swapped.

    Raises:
      UserError: when the evidence says that they are swapped; names them.
    """
    looks = {name: _look(clips, lengths.get(name, ())) for name, clips in parts.items()}
    looks = {name: look for name, look in looks.items() if look is not None}
    found = {name: look.why for name, look in looks.items() if look.why}
    found |= {name: why for name, why in _by_shapes(looks, tokens) if name not in found}
    if found:
        named = ", ".join(f"{name} {looks[name].shape} a clip: {why}" for name, why in found.items())
        raise UserError(
            f"{where}: rows and columns are swapped, (clips, width, rows) in place of (clips, rows, width), "
            f"in {named}; save {mend}"
        )


def _by_shapes(looks: Mapping[str, _Look], tokens: int) -> Iterator[tuple[str, str]]:
    """The streams, and why, that only agree with the others once their axes are swapped."""
    told = {name: look.shape for name, look in looks.items() if not look.known}
    for name, (rows, columns) in told.items():
        same = [shape for shape in told.values() if shape[1] == columns]
        others = [look.shape[0] for other, look in looks.items() if other != name and not look.why]
        if len({shape[0] for shape in same}) > 1 and max(same)[0] > columns and len(same) > 2:
            yield name, f"{len(same)} streams have {columns} columns and other numbers of rows"
        elif rows != columns and rows != tokens == columns:
            yield name, f"the text has {columns} rows"
        elif rows not in others and others.count(columns) > 1:
            yield name, f"the others have {columns} rows"


def _look(parts: Sequence[Sequence[Any]], lengths: Sequence[int]) -> _Look | None:
    """What the clips of a stream tell; None where there are none."""
    clips = [clip for clip in map(_matrix, _spread(parts)) if clip is not None and clip.size]
    shapes = {clip.shape for clip in clips}
    if not clips:
        return None
    heights, widths = ({shape[axis] for shape in shapes} for axis in (0, 1))
    if len(shapes) > 1:
        differ = f"its clips differ in their columns ({min(widths)} to {max(widths)}) and not in their rows"
        varied = len(heights) == 1 < max(heights) and len(widths) > 2
        return _Look(clips[0].shape, True, differ if varied else "")
    ((rows, columns),) = shapes
    longest = max(lengths, default=0)
    counts = list(_spread([lengths]))
    if rows == columns or columns < longest <= rows or _padded(clips) or _fit(clips, counts):
        return _Look((rows, columns), True)
    if _padded([clip.T for clip in clips]):
        return _Look((rows, columns), False, "zeros fill up its columns, not its rows")
    why = f"its lengths go up to {longest}" if rows < longest <= columns else ""
    return _Look((rows, columns), False, why)


def _padded(clips: Sequence[np.ndarray]) -> bool:
    """Whether rows of clips [L, d] are padded up to one number, some of them far and not all alike."""
    first, stop, limit = edges(np.stack(clips)).T
    some = stop > 0
    unused = (limit - stop + first)[some]
    if len({*zip(first[some].tolist(), stop[some].tolist(), strict=True)}) < 2:
        return False
    return bool(np.mean(unused > 0) >= _SHARE and unused.max() >= _PART * limit[0])


def _fit(clips: Sequence[np.ndarray], counts: Sequence[int]) -> bool:
    """Whether the clips that are shorter than their arrays have zeros there, at one end."""
    if len(clips) != len(counts):
        return False
    first, stop, limit = edges(np.stack(clips)).T
    count = np.array(counts, int)
    short = (count < limit) & (count > 0) & (stop > 0)
    fits = [(stop <= count)[short], (first >= limit - count)[short]]
    return bool(short.any()) and any(map(np.all, fits))


def _spread(parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """Some clips of all parts, from their beginnings to their ends."""
    places = [(part, index) for part in parts for index in range(len(part))]
    for part, index in itertools.islice(places, 0, None, 1 + (len(places) - 1) // _SAMPLE if places else 1):
        yield part[index]


def _matrix(value: Any) -> np.ndarray | None:
    """A clip as numbers [rows, columns]; None for what is none, of which others tell."""
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value, np.float64)
        array = array.astype(np.float64) if array.dtype == object else array
    except (TypeError, ValueError):
        return None
    return array if array.ndim == 2 and array.dtype.kind in "biuf" else None
