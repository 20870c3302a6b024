"""Judgement of a worker's answer: counted as refused or read, or as a fault."""

from collections.abc import Iterable
from pathlib import Path

from tests.attack.table import Row
from tests.attack.worker import Answer

_SPARE = 1 << 30  # bytes of memory beside four times the file
_ALWAYS = (Path("/dev"), Path("/proc"))


def judge(
    row: Row,
    answer: Answer,
    what: str,
    *,
    size: int | None = None,
    wanted: str | None = None,
    may_write: Iterable[Path] = (),
) -> None:
    """Counts an answer.

    Args:
      row: where it counts.
      answer: to what was damaged.
      what: was tried, in words that let it be done again.
      size: bytes of the files; None: memory does not count.
      wanted: the value of what is whole, which is the only right one; None: any value is right.
      may_write: folders that the job may write in.
    """
    row.tried += 1
    if answer.kind == "line":
        row.refused += 1
    elif answer.kind == "value":
        if wanted in (None, answer.text):
            row.equal += 1
        else:
            row.fault("silent differences", f"{what}: {answer.text} and not {wanted}")
    else:
        kind = {"hang": "hangs over 60 s", "trace": "tracebacks", "crash": "lost"}[answer.kind]
        row.fault(kind, f"{what}: {answer.kind}: {answer.text[-400:]}")
    if size is not None and answer.memory > 4 * size + _SPARE:
        row.fault("memory over 4 times the file plus 1 GB", f"{what}: {answer.memory} bytes of {size}")
    allowed = (*_ALWAYS, *may_write)
    for deed, where in answer.deeds:
        if deed == "code executed":
            row.fault(deed, f"{what}: {where}")
        elif not any(Path(where).is_relative_to(place) for place in allowed):
            row.fault("files changed", f"{what}: {where}")
