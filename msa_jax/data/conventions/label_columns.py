"""Label columns: the numbers that a file has for each clip, and which of them is the label.

One column is the label. Four of zeros and ones are IEMOCAP's classes, seven are CMU-MOSEI's sentiment and six
emotions where their ranges say so. Of others nothing tells which one counts, and the file is refused.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from msa_jax.corpora import CORPORA, EMOTIONS
from msa_jax.errors import UserError

_MOSEI = 7  # columns: the sentiment, then happy, sad, anger, surprise, disgust, fear, each from 0 to 3
_SLACK = 1e-6  # labels went through float32 in most files
_ENOUGH = 20  # clips of which at least one has a negative sentiment, as a quarter of CMU-MOSEI's have
_RANGES = 4  # ranges named in a message
_SHOWN = 40  # characters of a value named in a message


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns that are the label of a clip, decided once for all clips of a file.

    Attributes:
      count: columns that the file has.
      taken: the one that is the label; None where all of them are.
      evidence: the same in a few words; "" where there was nothing to decide.
    """

    count: int = 1
    taken: int | None = 0
    evidence: str = ""

    def of(self, labels_NK: np.ndarray) -> np.ndarray:
        """The labels [N], or [N, K] where all columns are, out of those that the file has."""
        return labels_NK if self.taken is None else labels_NK[:, self.taken]

    @property
    def conventions(self) -> dict[str, str]:
        """Says what was decided, as `Reading.conventions` has it."""
        return {"labels": self.evidence} if self.evidence else {}


def one(label: np.ndarray | float) -> float | np.ndarray:
    """One clip's entry of `Columns.of`, as an example holds it."""
    return label if np.ndim(label) else float(label)


def decide(parts: Mapping[str, np.ndarray], *, asked: int | None, where: object) -> Columns:
    """Tells which columns are the label, from the numbers of all clips.

    Args:
      parts: the labels [n, K] that `numbers` gives, by the name of a split, video or file.
      asked: the column that the user says, counted from 0.
      where: what to call the file in a message.

    Returns:
      The columns; one where there are no clips.

    Raises:
      UserError: when the parts differ in K, there is no such column as the user says, or nothing tells which
        of several is the label.
    """
    parts = {name: labels_NK for name, labels_NK in parts.items() if len(labels_NK)}
    sizes = {labels_NK.shape[1]: name for name, labels_NK in reversed(parts.items())}
    if len(sizes) > 1:
        found = " and ".join(f"{size} in {name}" for size, name in sorted(sizes.items()))
        raise UserError(f"{where}: clips differ in their number of labels ({found}); give all the same")
    count = next(iter(sizes), 1)
    if asked is not None and parts:
        if asked >= count:
            raise UserError(
                f"{where}: data.label_column is {asked}, but the file has {_columns(count)} of labels, "
                "counted from 0; name one of them, or leave it out"
            )
        return Columns(count, asked, f"column {asked} of {count}, as you said" if count > 1 else "")
    if count == 1 or not parts:
        return Columns()
    labels_NK = np.concatenate(list(parts.values()))
    known_NK = labels_NK[~np.isnan(labels_NK).all(axis=1)]
    if count == len(EMOTIONS) and _classes(known_NK):
        names = ", ".join(EMOTIONS[:-1])
        return Columns(
            count, None, f"4 columns of 0 and 1, IEMOCAP's: {names} and {EMOTIONS[-1]}, each or not"
        )
    if count == _MOSEI and not len(known_NK):
        return Columns(count)
    if _sentiment_first(known_NK):
        return Columns(
            count,
            0,
            f"the first of 7 columns, CMU-MOSEI's sentiment: {_ranges(known_NK)}, {len(known_NK)} clips",
        )
    raise UserError(f"{where}: {_unclear(known_NK)}")


def numbers(values: object, count: int, name: Callable[[int], str]) -> np.ndarray:
    """The numbers of each clip, as the file has them.

    Args:
      values: N entries, each a number or an array or list of numbers of any shape: (N,), (N, 1), (N, 1, 1),
        (N, K); texts that are numbers, too. None and NaN stand for no label.
      count: N.
      name: the name of a clip by its place, for messages.

    Returns:
      float64 [N, K], K the same for all clips.

    Raises:
      ValueError: when there are not N entries, or one of them is not numbers, has none or has another number
        of them; names the clip.
    """
    there = (*np.shape(values), 0)[0] if isinstance(values, np.ndarray) else _length(values)
    if there != count:
        raise ValueError(f"{there} numbers for {count} clips")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        values = _converted(list(values), name)
    if not count:
        return np.zeros((0, 1))
    labels_NK = values.astype(np.float64).reshape(count, -1)
    if not labels_NK.shape[1]:
        raise ValueError(f"clip {name(0)} has none")
    return labels_NK


def of_clips(
    values: Sequence[object], *, name: Callable[[int], str], asked: int | None, where: object
) -> tuple[list[float | np.ndarray], Columns]:
    """The labels of clips that come one by one.

    Args:
      values: of each clip its number or numbers; None where it has none.
      name: the name of a clip by its place, for messages.
      asked, where: as in `decide`.

    Returns:
      (of each clip its label, NaN where it has none; the columns that they are).

    Raises:
      UserError: when they are not numbers, or it is not clear which of several is the label.
    """
    there = [place for place, value in enumerate(values) if value is not None]
    try:
        found = numbers([values[place] for place in there], len(there), lambda k: name(there[k]))
    except ValueError as error:
        raise UserError(f"{where}: the labels are not numbers, one a clip: {error}") from None
    columns = decide({"labels": found}, asked=asked, where=where)
    labels: list[float | np.ndarray] = [np.nan] * len(values)
    for place, label in zip(there, columns.of(found), strict=True):
        labels[place] = one(label)
    return labels, columns


def _length(values: object) -> int:
    return len(values) if isinstance(values, (list, tuple)) else 1


def _converted(values: list, name: Callable[[int], str]) -> np.ndarray:
    """[N, ...] of float64 out of anything; text in it cannot blow it up, as its type is fixed."""
    try:
        if not any(map(_is_complex, values)):  # of these NumPy would drop the imaginary part
            return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        pass
    rows = []
    for index, value in enumerate(values):
        try:
            if _is_complex(value):
                raise TypeError
            rows.append(np.asarray(value, np.float64).ravel())
        except (TypeError, ValueError):
            raise ValueError(f"clip {name(index)} has {_shown(value)}, which is not a number") from None
        if len(rows[-1]) != len(rows[0]):
            raise ValueError(
                f"clip {name(index)} has {len(rows[-1])} numbers, and clip {name(0)} has {len(rows[0])}"
            )
    return np.stack(rows)


def _is_complex(value: object) -> bool:
    return isinstance(value, complex) or (isinstance(value, np.ndarray) and value.dtype.kind == "c")


def _single(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.size == 1
    return isinstance(value, (list, tuple)) and len(value) == 1


def _shown(value: object) -> str:
    """Shows a value that is not a number in a few characters, without going through a container."""
    while _single(value):
        value = value.item() if isinstance(value, np.ndarray) else value[0]
    if isinstance(value, (str, bytes)):
        return repr(value[:_SHOWN])
    return f"the complex number {value}" if isinstance(value, complex) else f"a {type(value).__name__}"


def _columns(count: int) -> str:
    return "one column" if count == 1 else f"{count} columns"


def _classes(labels_NK: np.ndarray) -> bool:
    """Whether all numbers that are there are 0 or 1."""
    return bool((np.isin(labels_NK, (0, 1)) | np.isnan(labels_NK)).all())


def _one_hot(labels_NK: np.ndarray) -> bool:
    return len(labels_NK) > 0 and bool(
        np.isin(labels_NK, (0, 1)).all() and (labels_NK.sum(axis=1) == 1).all()
    )


def _sentiment_first(labels_NK: np.ndarray) -> bool:
    """Whether seven columns are CMU-MOSEI's; seven emotions or seven classes are not."""
    if labels_NK.shape[1] != _MOSEI or _one_hot(labels_NK):
        return False
    first_N, others_NK = labels_NK[:, :1], labels_NK[:, 1:]
    facts = CORPORA["mosei"]
    if not (_within(first_N, facts.low, facts.high) and _within(others_NK, 0.0, facts.high)):
        return False
    return len(labels_NK) < _ENOUGH or bool((first_N < 0).any())


def _within(labels_NK: np.ndarray, low: float, high: float) -> bool:
    return bool((((low - _SLACK) <= labels_NK) & (labels_NK <= high + _SLACK) | np.isnan(labels_NK)).all())


def _ranges(labels_NK: np.ndarray) -> str:
    """Lists the ranges of the columns; neighbours that have one range are named together."""
    spans: list[tuple[str, list[int]]] = []
    for column, values_N in enumerate(labels_NK.T):
        known = values_N[~np.isnan(values_N)]
        span = f"in [{known.min():.3g}, {known.max():.3g}]" if len(known) else "empty"
        if not spans or spans[-1][0] != span:
            spans.append((span, []))
        spans[-1][1].append(column)
    shown = [
        f"{group[0]}{f' to {group[-1]}' if len(group) > 1 else ''} {span}" for span, group in spans[:_RANGES]
    ]
    return ", ".join(shown) + (", ..." if len(spans) > _RANGES else "")


def _unclear(labels_NK: np.ndarray) -> str:
    count = labels_NK.shape[1]
    seen = f"the labels have {count} columns ({_ranges(labels_NK)})"
    say = "say which column counts by --config.data.label_column=K, from 0 (in Python: label_column=K)"
    if _one_hot(labels_NK):
        pair = "a pair" if count == 2 else "one column a class"
        return f"{seen}, one class a clip: write the class, not {pair}, or {say}"
    return f"{seen}, and nothing tells which one is the label; {say}"
