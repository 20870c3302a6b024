"""Axes of arrays: whether the clips come first, or last as in files that MATLAB wrote column by column."""

from collections.abc import Sequence

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
