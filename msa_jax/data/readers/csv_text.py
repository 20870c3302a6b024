"""CSV files of texts and labels: video_id, clip_id, text, label, and split or mode.

The columns are those of the label.csv that MMSA keeps beside its features, or of any table like it.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from msa_jax.data.conventions import NOTHING, Said
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "CSV of texts and labels"
LEAVES_OPEN: tuple[str, ...] = ()  # fields of `Said` that matter here
_SPLIT_COLUMNS = ("split", "mode")


def matches(path: object) -> bool:
    """True for a text file whose first line names a column "text"."""
    if not isinstance(path, Path):
        return False
    try:
        # Bytes further on that are not UTF-8 are reported by the reader.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return "text" in _header(next(csv.reader([file.readline(65536)]), []))
    except csv.Error:
        return False


def reader(
    path: Path,
    where: str,
    require_labels: bool,
    split_name: str | None = None,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a CSV file, one line at a time.

    Args:
      path: the file: comma-separated, fields with commas in double quotes, UTF-8 with or without a mark.
        Columns in any order, upper or lower case; those not named above are ignored.
      where: what to call the file in messages.
      require_labels: whether video_id, clip_id and label are needed; without them a clip is named by its row.
      split_name: the column that divides the clips; needed only where the file has both split and mode.
      said: what the user says of the file.

    Returns:
      What starts the iteration; audio and vision are missing, and so is the split where the file
      has no column for it.

    Raises:
      UserError: when a column is missing (here), or a value is bad (while iterating, with its line).
    """
    columns = _header(next(_rows(path, where))[1])
    split_column = _split_column(columns, where, split_name)
    named = {"video_id", "clip_id"} <= set(columns)
    missing = [name for name in ("video_id", "clip_id", "label") if name not in columns]
    if require_labels and missing:
        raise UserError(
            f"{where}: there is no column {', '.join(missing)} in the {NAME}, only {', '.join(columns)}"
        )

    def examples() -> Iterator[Example]:
        rows = _rows(path, where)
        next(rows)
        for number, (line, fields) in enumerate(rows, 1):
            if len(fields) != len(columns):
                raise UserError(
                    f"{where}, line {line}: {len(fields)} fields under {len(columns)} columns; "
                    "put texts with commas in double quotes"
                )
            row = dict(zip(reversed(columns), reversed(fields), strict=True))  # the first of equal names wins
            video = row["video_id"].strip() if named else str(number)
            identity = f"{video}_{row['clip_id'].strip()}" if named else str(number)
            yield Example(
                id=identity,
                video=video,
                split=_split(row.get(split_column, ""), f"{where}, line {line}"),
                text=clean.text(row["text"]),
                audio=no_features(),
                vision=no_features(),
                aligned=False,
                label=_label(row.get("label", ""), f"{where}, line {line}", require_labels),
            )

    return Reading(examples)


def _header(fields: list[str]) -> list[str]:
    return [field.strip().lower() for field in fields]


def _rows(path: Path, where: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each row that is not blank, the header first."""
    line = 1  # where the row begins: an open quote swallows all that follows
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            for fields in rows:
                if fields:
                    yield line, fields
                line = rows.line_num + 1
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: the file is not UTF-8 ({error.reason}); save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{where}, row from line {line}: not comma-separated fields ({error})") from None


def _split_column(columns: list[str], where: str, split_name: str | None) -> str | None:
    if split_name is not None:
        if split_name.strip().lower() not in columns:
            raise UserError(
                f"{where}: data.split_name is {split_name!r}, but the columns are {', '.join(columns)}"
            )
        return split_name.strip().lower()
    found = [name for name in _SPLIT_COLUMNS if name in columns]
    if len(found) > 1:
        raise UserError(
            f"{where}: both {' and '.join(found)} divide the clips; set --config.data.split_name to one "
            "of them"
        )
    return found[0] if found else None


def _split(value: str, where: str) -> str:
    if not value.strip():
        return ""
    split = clean.split_alias(value)
    if split is None:
        raise UserError(f"{where}: split {value.strip()!r} is none of train, valid (dev, val), test")
    return split


def _label(value: str, where: str, require_labels: bool) -> float:
    try:
        if value.strip() or not require_labels:
            return clean.number(value)
    except ValueError:
        pass
    raise UserError(f"{where}: label {value.strip()!r} is not a number")
