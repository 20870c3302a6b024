"""Report of a benchmark: its rows as Markdown tables."""

from pathlib import Path
from typing import Any


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, a table for each case; nested values stay in the JSON lines."""
    tables = []
    for case in dict.fromkeys(row["case"].partition(":")[0] for row in rows):
        of_case = [row for row in rows if row["case"].partition(":")[0] == case]
        columns = [
            key
            for key in dict.fromkeys(key for row in of_case for key in row)
            if key != "case" and not any(isinstance(row.get(key), dict | list) for row in of_case)
        ]
        lines = [columns, ["---"] * len(columns)]
        lines += [[str(row.get(key, "")) for key in columns] for row in of_case]
        tables.append(f"### {case}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(tables) + "\n"


def write(rows: list[dict[str, Any]], file: Path | None) -> None:
    """Writes the tables of rows into a file, or prints them where there is none."""
    if file:
        file.write_text(markdown(rows))
    else:
        print("\n" + markdown(rows), end="")
