"""Table of counts: what each part of the attack tried, how it was answered, and the faults."""

import dataclasses

FAULTS = {
    "tracebacks": "trace",
    "silent differences": "silent",
    "code executed": "code",
    "files changed": "changed",
    "hangs over 60 s": "hang",
    "memory over 4 times the file plus 1 GB": "memory",
    "signals swallowed": "swallowed",
    "lost": "lost",
}
_COUNTS = {"tried": "tried", "refused": "one line", "stopped": "ended as asked", "equal": "read or equal"}
_SHOWN = 600  # characters of a fault


@dataclasses.dataclass
class Row:
    """Counts of one part.

    Attributes:
      part: its name.
      tried: inputs, damages, signals or processes.
      refused: those that were answered by one line.
      stopped: processes that ended as a signal asked them to.
      equal: those that were read, or went on to what an unharmed run gives.
      faults: (a key of `FAULTS`, what happened) for each.
    """

    part: str
    tried: int = 0
    refused: int = 0
    stopped: int = 0
    equal: int = 0
    faults: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def fault(self, kind: str, what: str) -> None:
        """Notes a fault, with what is needed to see it again."""
        assert kind in FAULTS
        self.faults.append((kind, what))

    def summary(self) -> str:
        """The counts in a line, and each fault in one more."""
        counts = (f"{getattr(self, name)} {words}" for name, words in _COUNTS.items())
        line = f"{self.part}: {', '.join(counts)}, {len(self.faults)} faults"
        return "\n".join([line, *(f"  {k}: {w}" for k, w in self.faults)])

    def count(self, kind: str) -> int:
        """Faults of a kind."""
        return sum(1 for one, _ in self.faults if one == kind)


def text(rows: list[Row]) -> str:
    """The table, in Markdown, and below it each fault."""
    head = ["part", *_COUNTS.values(), *FAULTS]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    lines += [
        [row.part, *(str(getattr(row, n)) for n in _COUNTS), *(str(row.count(kind)) for kind in FAULTS)]
        for row in rows
    ]
    faults = [f"{row.part}: {kind}: {what[:_SHOWN]}" for row in rows for kind, what in row.faults]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), *faults])
