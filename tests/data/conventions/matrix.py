"""The matrix: sixty clips, written in every convention, container, encoding and type of number.

Every combination is read equal to the bit to the clips, as far as its format holds them, or refused with a
line that names a mend; none is read differently.

python -m tests.data.conventions.matrix     prints the counts, by format
"""

import dataclasses
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax.data import readers
from msa_jax.errors import UserError
from tests.data.conventions.clips import Expected

MEND = re.compile(
    r"say .*--config\.data\.\w+=|save it as UTF-8|"
    r"save array\.(T|swapaxes\(1, 2\)), or, .* say --config\.data\.axes=rows_first"
)


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to write the clips.

    Attributes:
      format: the format's name.
      options: what is varied, for messages.
      write: writes the file or folder into a folder; returns its path.
      expected: what must be read, in the order of the file.
      reading: options of `readers.read`.
      undecided: whether the file does not tell what is meant, and must be refused.
      named: what a refusal must name besides the mend, such as the stream; a regular expression.
      untold: clips whose videos cannot be told.
    """

    format: str
    options: str
    write: Callable[[Path], Path]
    expected: list[Expected]
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    undecided: bool = False
    named: str = ""
    untold: int = 0


def generators() -> tuple[Callable[[], Iterator[Case]], ...]:
    """What makes the cases, a module for each family of formats."""
    from tests.data.conventions import (
        csd_files,
        mmsa_files,
        padded_files,
        swapped_files,
        text_files,
        words_files,
    )

    modules = (csd_files, mmsa_files, words_files, padded_files, text_files, swapped_files)
    return tuple(module.cases for module in modules)


def cases() -> Iterator[Case]:
    """All cases."""
    for generate in generators():
        yield from generate()


def outcome(case: Case, folder: Path) -> str:
    """ "equal", "refused" with a mend, or what is wrong."""
    try:
        source = readers.read(case.write(folder), **case.reading)
        found = list(source)
    except UserError as error:
        named = MEND.search(str(error)) and re.search(case.named, str(error)) and "\n" not in str(error)
        return "refused" if named and case.undecided else f"refused: {error}"
    if case.undecided:
        return "read, although the file does not tell what is meant"
    if source.format != case.format:
        return f"taken for {source.format}"
    if source.reading.untold_videos != case.untold:
        return f"{source.reading.untold_videos} videos not told"
    if len(found) != len(case.expected):
        return f"{len(found)} clips"
    for clip, right in zip(found, case.expected, strict=True):
        for field in dataclasses.fields(right):
            if wrong := _differs(getattr(clip, field.name), getattr(right, field.name)):
                return f"clip {right.id}, {field.name}: {wrong}"
    return "equal"


def _differs(found: object, right: object) -> str:
    if right is None:
        return ""
    if isinstance(right, np.ndarray):
        same = found.dtype == np.float32 and found.shape == right.shape and np.array_equal(found, right)
        return "" if same else f"{found.shape} instead of {right.shape}, or other numbers"
    return "" if found == right else f"{found!r} instead of {right!r}"


def main() -> None:
    """Writes and reads all cases; prints the counts."""
    counts: dict[str, Counter[str]] = {}
    wrong = []
    with tempfile.TemporaryDirectory() as place:
        for number, case in enumerate(cases()):
            folder = Path(place) / str(number)
            folder.mkdir()
            found = outcome(case, folder)
            counts.setdefault(case.format, Counter())[
                found if found in ("equal", "refused") else "wrong"
            ] += 1
            if found not in ("equal", "refused"):
                wrong.append(f"{case.format}, {case.options}: {found}")
    print("format | combinations | equal | refused | wrong")
    for name, count in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        print(f"{name} | {count.total()} | {count['equal']} | {count['refused']} | {count['wrong']}")
    print(*wrong, sep="\n")


if __name__ == "__main__":
    main()
