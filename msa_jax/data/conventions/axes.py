"""Axes of arrays: whether the clips come first, and a clip's rows before its columns.

In files that MATLAB wrote column by column all axes are reversed; scripts for convolutions leave the last two
swapped, (clips, width, rows). Swapped ones are told by the values that pad them, or by clips that differ in
the last axis alone. Equal numbers, such as a width that is the number of the text's rows, happen in honest
files: they are only said.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from msa_jax.data.conventions import fillers
from msa_jax.data.conventions.used import edges, matrix, spread
from msa_jax.errors import UserError

_SHARE = 0.25  # of the clips that are padded, of which one lacks _PART of the axis, where an axis is padded
_PART = 0.2
_ONE_END = 0.75  # share of the clips that columns are padded in at the same end; others begin in silence
_FEW = 8  # columns that are too few for the rows of the longest clip: eight emotions in each row, for example
_ENDS = 3  # different lengths that clips have at least
_FILLED = 0.5  # share of the numbers before the padding that are not zero, as they are in features of speech
_FIT = 0.9  # share of the clips that are padded from their lengths on
_NO_LENGTHS: Mapping[str, Sequence[int]] = MappingProxyType({})
_FORMS = {2: ("(width, {0})", "({0}, width)"), 3: ("(width, rows, {0})", "({0}, rows, width)")}


def are_reversed(shape: Sequence[int], count: int) -> bool:
    """Whether an array has its `count` clips (or rows, of one clip) on its last axis and not on its first."""
    return len(shape) > 1 and shape[0] != count and shape[-1] == count


def all_reversed(shapes: Sequence[Sequence[int]]) -> bool:
    """Whether arrays of the same clips agree in their last axes, not in the first; axes of 1 are none."""
    sizes = [tuple(size for size in shape if size != 1) or (1,) for shape in shapes]
    return len({shape[0] for shape in sizes}) > 1 and len({shape[-1] for shape in sizes}) == 1


def reversed_mend(dimensions: int = 3, first: str = "clips") -> str:
    """Says how to save reversed arrays of so many axes; `first` is what their first axis should count."""
    wrong, right = (form.format(first) for form in _FORMS[dimensions])
    return f"the axes are reversed, {wrong} in place of {right}, as MATLAB writes them; save array.T"


class _Look(NamedTuple):
    """The rows and columns of a stream's clips.

    Attributes:
      shape: of each clip; of the first where they differ.
      known: whether the first axis is that of the rows for certain, or it makes no difference.
      why: what tells that it is the second; "" where nothing does.
      room: the length of the longest clip where only the columns are as many; else 0.
    """

    shape: tuple[int, ...]
    known: bool
    why: str = ""
    room: int = 0


def decide(
    parts: Mapping[str, Sequence[Sequence[Any]]],
    where: str,
    *,
    said: Literal["rows_first"] | None = None,
    lengths: Mapping[str, Sequence[int]] = _NO_LENGTHS,
    tokens: int = 0,
    save: str = "array.swapaxes(1, 2)",
) -> dict[str, str]:
    """Decides whether arrays are (clips, rows, width), and refuses a file in which they are swapped.

    Args:
      parts: of each stream, by its name in the file, the arrays (N, L, d) or N matrices of its splits.
      where: what to call the file in a message.
      said: "rows_first" where the user says that they are (clips, rows, width).
      lengths: of some streams the rows of the clips, as the file says.
      tokens: the rows of the text, as another array tells them; 0 where none does.
      save: what to save in place of an array that is swapped.

    Returns:
      What there is to say, as in `Reading.conventions`: numbers that swapped arrays would have, too.

    Raises:
      UserError: when the evidence says that they are swapped; names them.
    """
    if said:
        return {"axes": "rows before columns, as you said"}
    looks = {name: _look(clips, lengths.get(name, ())) for name, clips in parts.items()}
    looks = {name: look for name, look in looks.items() if look is not None}
    found = {name: look.why for name, look in looks.items() if look.why}
    with_room = {name: look.room for name, look in looks.items() if look.room == look.shape[1]}
    if len(set(with_room.values())) > 1:  # one stream may have it by chance, but not two of different lengths
        found |= {name: f"its lengths go up to {count}" for name, count in with_room.items()}
    if found:
        named = ", ".join(f"{name} {looks[name].shape} a clip: {why}" for name, why in found.items())
        raise UserError(
            f"{where}: rows and columns are swapped, (clips, width, rows) in place of (clips, rows, width), "
            f"in {named}; save {save}, or, if they are not swapped, say --config.data.axes=rows_first (in "
            'Python: axes="rows_first")'
        )
    equal = ", ".join(f"{name} {looks[name].shape} a clip ({why})" for name, why in _equal(looks, tokens))
    if not equal:
        return {}
    return {"axes": f"taken for rows before columns, also in {equal}; if they are swapped, save {save}"}


def _equal(looks: Mapping[str, _Look], tokens: int) -> Iterator[tuple[str, str]]:
    """Names the streams that have numbers which swapped ones would have, and says which these are."""
    told = {name: look.shape for name, look in looks.items() if not look.known}
    for name, (rows, columns) in told.items():
        same = {shape[0] for shape in told.values() if shape[1] == columns}
        others = [look.shape[0] for other, look in looks.items() if other != name]
        if rows != tokens == columns:
            yield name, f"the text has {columns} rows"
        elif looks[name].room:
            yield name, f"its lengths go up to {looks[name].room}"
        elif rows not in others and others.count(columns) > 1:
            yield name, f"the others have {columns} rows"
        elif len(same) == len(told) > 2:
            yield name, f"all streams have {columns} columns"


def _look(parts: Sequence[Sequence[Any]], lengths: Sequence[int]) -> _Look | None:
    """Looks at the clips of a stream; gives None where there are none."""
    clips = [clip for clip in map(matrix, _spread(parts)) if clip is not None and clip.size]
    shapes = {clip.shape for clip in clips}
    if not clips:
        return None
    heights, widths = ({shape[axis] for shape in shapes} for axis in (0, 1))
    if len(shapes) > 1:
        differ = f"its clips differ in their columns ({min(widths)} to {max(widths)}) and not in their rows"
        varied = len(heights) == 1 < max(heights) and len(widths) > 2
        return _Look(clips[0].shape, True, differ if varied else "")
    ((rows, columns),) = shapes
    counts = list(_spread([lengths]))
    if rows == columns or _padded(clips) or _fits(clips, counts) or fillers.find([clips]):
        return _Look((rows, columns), True)
    turned = [clip.T for clip in clips]
    if _looks_padded(turned):
        return _Look((rows, columns), False, "zeros fill up its columns, not its rows")
    if _fits(turned, counts):
        return _Look((rows, columns), False, "its columns, not its rows, are padded from its lengths on")
    filled = fillers.find([turned])
    if filled and _looks_padded(filled.blanked_all(turned)):
        return _Look((rows, columns), False, "numbers that repeat fill up its columns, not its rows")
    longest = max(lengths, default=0)
    return _Look((rows, columns), False, room=longest * (rows < longest <= columns))


def _padded(clips: Sequence[np.ndarray]) -> bool:
    """Whether rows of clips [L, d] are padded up to one number, some of them far and not all alike."""
    first, stop, limit = edges(np.stack(clips)).T
    some = stop > 0
    unused = (limit - stop + first)[some]
    if len({*zip(first[some].tolist(), stop[some].tolist(), strict=True)}) < 2:
        return False
    return bool(np.mean(unused > 0) >= _SHARE and unused.max() >= _PART * limit[0])


def _looks_padded(clips: Sequence[np.ndarray]) -> bool:
    """Whether rows of clips [L, d] are padded as those of clips of many lengths are, and full before that.

    Sparse columns, as a one for the emotion of each row, are zero here and there, not from one column on.
    """
    limit, width = clips[0].shape
    if width < 2 or limit <= _FEW or not _padded(clips):
        return False
    first, stop, _ = edges(np.stack(clips)).T
    some = stop > 0
    at_one_end = max(np.mean(first[some] == 0), np.mean(stop[some] == limit))
    filled = [
        np.count_nonzero(clip[a:b]) / clip[a:b].size
        for clip, a, b in zip(clips, first, stop, strict=True)
        if b
    ]
    return bool(
        at_one_end >= _ONE_END
        and len({*(stop - first)[some].tolist()}) >= _ENDS
        and np.median(filled) >= _FILLED
    )


def _fits(clips: Sequence[np.ndarray], counts: Sequence[int]) -> bool:
    """Whether clips [L, d] repeat one row beyond their counts, at one end, and mostly not before."""
    if len(clips) != len(counts):
        return False
    short = [(clip, count) for clip, count in zip(clips, counts, strict=True) if 0 < count < len(clip) - 1]
    for flip in (False, True) if short else ():
        from_behind = [(clip[::-1] if flip else clip, count) for clip, count in short]
        beyond = np.mean([_repeats(clip[count:]) for clip, count in from_behind])
        before = np.mean([_repeats(clip[count - 1 :]) for clip, count in from_behind])
        if beyond >= _FIT and 2 * before <= 1:
            return True
    return False


def _repeats(rows: np.ndarray) -> bool:
    return bool(np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape), equal_nan=rows.dtype.kind == "f"))


def _spread(parts: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """Some clips of all parts, from their beginnings to their ends."""
    places = [(part, index) for part in parts for index in range(len(part))]
    for k in spread(len(places)):
        part, index = places[k]
        yield part[index]
