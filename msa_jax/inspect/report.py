"""Report of an inspection, as lines for a terminal of 80 columns or a pipe, and as JSON."""

import dataclasses
import json
import shlex
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from msa_jax import terminal
from msa_jax.corpora import CORPORA, SPLITS
from msa_jax.data import conventions
from msa_jax.data.findings import KEPT, Finding
from msa_jax.files import finite
from msa_jax.inspect.inspection import BATCH, Inspection
from msa_jax.inspect.scan import PERCENTILES

_BAR = 24  # characters of the longest bar
_NAME = 40  # characters of the longest id shown
_PROGRAM = "python -m msa_jax.main"


def as_json(found: Inspection, **more: object) -> str:
    """One JSON object in ASCII: the fields of `Inspection`, `next` and whatever is added; without NaN."""
    return json.dumps(finite(dataclasses.asdict(found) | more), indent=1)


def command(arguments: Sequence[str]) -> str:
    """A command line that can be copied into a shell."""
    return f"{_PROGRAM} {shlex.join(arguments)}"


def show(found: Inspection, train: Sequence[str], predict: Sequence[str], file: TextIO | None = None) -> None:
    """Prints an inspection.

    Args:
      found: the facts.
      train: arguments of the command that trains on the file; empty where nothing can.
      predict: arguments of the command that scores its clips; empty where there is nothing to score.
      file: where to; None = stdout.
    """
    # In a notebook rich would make a display of each line, and a table would break in two.
    plain = {"highlight": False, "markup": False, "emoji": False, "force_jupyter": False}
    console = Console(file=file or sys.stdout, **plain)
    console.print(terminal.printable(found.path), style="bold", soft_wrap=True)
    _print(console, f"{found.format}, {_size(found.bytes)}")
    if found.published and (line := found.published.line()):
        _print(console, line)
    for line in conventions.lines(found.conventions):
        _print(console, line)
    for note in found.notes:
        _print(console, note)
    if found.unread:
        _print(console, f"also in the folder, and not read: {', '.join(map(_short, found.unread))}")
    _corpus(console, found)
    _splits(console, found)
    _modalities(console, found)
    _labels(console, found)
    _findings(console, "Dirt (-> what a build does about it)", found.findings, "none found")
    shared = "nothing" if len(found.clips) > 1 else "nothing to compare: there are no two splits"
    _findings(console, "Shared between splits", found.leaks, shared)
    _sizes(console, found)
    _next(console, found, train, predict)


def _corpus(console: Console, found: Inspection) -> None:
    _heading(console, "Corpus")
    if found.corpus is None:
        _print(console, f"none of {', '.join(CORPORA)} ({found.reason}); --corpus=NAME says otherwise")
        return
    facts = CORPORA[found.corpus]
    _print(console, f"{facts.title} ({found.corpus}): {found.reason}")
    if not found.official:
        official = ", ".join(f"{split} {count}" for split, count in zip(SPLITS, facts.counts, strict=True))
        _print(console, f"not the official splits, which are {official}: do not compare scores with papers")


def _splits(console: Console, found: Inspection) -> None:
    _heading(console, "Clips")
    table = _table(("", *(split or "no split" for split in found.clips), "all"))
    for name, counts in (("clips", found.clips), ("videos", found.videos)):
        total = sum(counts.values()) if name == "clips" else found.distinct_videos
        table.add_row(name, *map(str, counts.values()), str(total))
    _rows(console, table)
    if found.cut:
        given = ", ".join(f"{split} {count}" for split, count in found.given.items() if split)
        how = (
            f"the file has {given}; valid is cut from train"
            if given
            else "the file has no splits; they are cut"
        )
        _print(console, f"{how}, by video (--config.data.cut of the training command)")
    if sum(found.clips.values()) == found.distinct_videos > 1:
        _print(console, "each clip counts as a video of its own: cuts and leaks by video mean nothing here")


def _modalities(console: Console, found: Inspection) -> None:
    _heading(console, "Lengths")
    if not found.modalities:
        _print(console, "no text, no audio, no vision: nothing but labels")
        return
    table = _table(("", "clips", "width", *map(_percentile, PERCENTILES)))
    for modality in found.modalities:
        name = f"{modality.name.replace('_', ' ')}, {modality.unit}"
        widths = "/".join(str(width) for width in modality.widths)
        lengths = [str(length) for length in modality.lengths.values()]
        table.add_row(name, str(modality.clips), widths, *lengths)
    _rows(console, table)
    ranges = [
        f"{m.name.replace('_', ' ')} {m.low:.4g} to {m.high:.4g}"
        for m in found.modalities
        if m.low is not None
    ]
    if ranges:
        _print(console, f"values: {'; '.join(ranges)}")
    missing = [name for name in ("text", "audio", "vision") if not found.has(name)]
    if missing:
        _print(console, f"not in the file: {', '.join(missing)}")
    if "rows" not in found.conventions and found.has("text") and (found.has("audio") or found.has("vision")):
        _print(console, f"aligned word by word: {_of(found.aligned, sum(found.clips.values()))} clips")


def _percentile(share: int) -> str:
    return {0: "min", 50: "median", 100: "max"}.get(share, f"{share}%")


def _labels(console: Console, found: Inspection) -> None:
    _heading(console, "Labels")
    total = sum(found.clips.values())
    if found.label_range is None:
        _print(console, "none")
        return
    low, high = found.label_range
    _print(console, f"{_of(found.labelled, total)} clips have one, from {low:g} to {high:g}")
    if not found.labels:
        return
    table = _table(("", *(split or "no split" for split in found.clips), ""))
    table.columns[-1].justify = "left"
    sums = [sum(bar.clips.values()) for bar in found.labels]
    for bar, count in zip(found.labels, sums, strict=True):
        length = -(-_BAR * count // max(*sums, 1))  # one clip is still seen
        table.add_row(bar.label, *map(str, bar.clips.values()), "#" * length)
    _rows(console, table)


def _findings(console: Console, title: str, findings: Sequence[Finding], none: str) -> None:
    _heading(console, title)
    if not findings:
        _print(console, none)
    for finding in findings:
        short = dataclasses.replace(finding, first=[_short(name) for name in finding.first])
        effect = "" if finding.effect == KEPT else f" -> {finding.effect}"
        _print(console, f"{short}{effect}")


def _sizes(console: Console, found: Inspection) -> None:
    _heading(console, "Size")
    if found.reading_bytes:
        _print(console, f"a pickle is read whole: {_size(found.reading_bytes)} of memory to convert it")
    if not found.rows_bytes:
        _print(console, "no features: little more than the texts, built or in memory")
        return
    _print(console, f"all features as float32: {_size(found.rows_bytes)}; a build takes at most that on disk")
    batch = _size(found.batch_bytes)
    _print(
        console, f"in memory, a batch of {BATCH} clips: {batch} where one of them is as long as the longest"
    )


def _next(console: Console, found: Inspection, train: Sequence[str], predict: Sequence[str]) -> None:
    _heading(console, "Next")
    if found.refusal:
        _print(console, f"cannot be trained on: {found.refusal}")
    elif not train:
        _print(console, "cannot be trained on: it holds nothing but labels")
    if not train and predict:
        _print(console, "a run that was trained on another file (RUN: its folder) can score the clips:")
    if arguments := train or predict:
        console.print(f"  {terminal.printable(command(arguments))}", soft_wrap=True)


def _table(columns: Iterable[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="", show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _heading(console: Console, title: str) -> None:
    console.print(f"\n{title}", style="bold")


def _print(console: Console, line: str) -> None:
    """Prints a line of prose, folded to the console's width without cutting names in two."""
    folded = textwrap.wrap(
        terminal.line(line), console.width - 2, break_long_words=False, break_on_hyphens=False
    )
    for part in folded:
        console.print(f"  {part}", soft_wrap=True)


def _rows(console: Console, table: Table) -> None:
    """Prints a table without the blanks that rich leaves at the ends of lines."""
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        console.print(f"  {terminal.cut(line.rstrip())}", soft_wrap=True)


def _of(count: int, total: int) -> str:
    return f"all {total}" if count == total else f"{count} of {total}"


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."


def _size(count: int) -> str:
    """Bytes as people say them."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.3g} {unit}"
    return f"{count} bytes"
