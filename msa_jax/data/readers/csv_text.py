"""CSV files of texts and labels: video_id, clip_id, text, label, and split or mode.

The columns are those of the label.csv that MMSA keeps beside its features, or of any table like it.
"""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path

from msa_jax.data.conventions import NOTHING, Said, encodings, misread
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError, counted

NAME = "CSV of texts and labels"
LEAVES_OPEN: tuple[str, ...] = ("encoding",)  # fields of `Said` that matter here
_SPLIT_COLUMNS = ("split", "mode")
_HEADER = 65536  # bytes in which the first line must end


def matches(path: object) -> bool:
    """True for a text file whose first line names a column "text"."""
    if not isinstance(path, Path):
        return False
    try:
        with path.open("rb") as file:
            first = file.read(_HEADER)
        codec = _wide(first) or "utf-8-sig"  # of the others, all agree on the names of the columns
        lines = first.decode(codec, "replace").splitlines()
        return bool(lines) and "text" in _header(next(csv.reader(lines[:1]), []))
    except csv.Error:
        return False


def reader(
    path: Path,
    where: str,
    require_labels: bool | None,
    split_name: str | None = None,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a CSV file, one line at a time.

    Args:
      path: the file: comma-separated, fields with commas in double quotes, in an encoding that
        `encodings.decide` tells, with or without a mark; lines end by LF, CRLF or CR.
        Columns in any order, upper or lower case; those not named above are ignored.
      where: what to call the file in messages.
      require_labels: whether video_id, clip_id and label are needed; without them a clip is named by its row,
        and has no label where the field is not a number, such as "?". None: labels are not read.
      split_name: the column that divides the clips; needed only where the file has both split and mode.
      said: what the user says of the file.

    Returns:
      What starts the iteration; audio and vision are missing, and so is the split where the file
      has no column for it.

    Raises:
      UserError: when a column is missing (here), or a value is bad (while iterating, with its line).
    """
    raw = path.read_bytes()
    encoding = encodings.decide(_texts(raw), said=said.encoding, where=where)
    lines = set(_decoded(raw, encoding).splitlines())
    beyond = set(filter(_beyond_ascii, lines))
    notes = misread.notes(beyond, where, count=len(lines), said=said.encoding, codec=encoding.codec)
    columns = _header(next(_rows(path, where, encoding))[1])
    split_column = _split_column(columns, where, split_name)
    named = {"video_id", "clip_id"} <= set(columns)
    missing = [name for name in ("video_id", "clip_id", "label") if name not in columns]
    if require_labels and missing:
        raise UserError(
            f"{where}: there is no column {', '.join(missing)} in the {NAME}, only {', '.join(columns)}"
        )

    def examples() -> Iterator[Example]:
        rows = _rows(path, where, encoding)
        next(rows)
        for number, (line, fields) in enumerate(rows, 1):
            if len(fields) != len(columns):
                raise UserError(
                    f"{where}, line {line}: {counted(len(fields), '{field|fields}')} under "
                    f"{counted(len(columns), '{column|columns}')}; put texts with commas in double quotes"
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

    conventions = {"encoding": encoding.line} if encoding.line else {}
    return Reading(examples, notes, conventions)


def _wide(raw: bytes) -> str | None:
    """The codec of text in UTF-16, told by its mark or the zero bytes of its first line; None for others."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for place, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        if raw[place : place + 8 : 2] == b"\0" * 4:
            return codec
    return None


def _texts(raw: bytes) -> list[bytes]:
    """What tells the encoding: the lines, or the whole where a line's end is two bytes."""
    return [raw] if _wide(raw) else raw.splitlines()


def _decoded(raw: bytes, encoding: encodings.Encoding) -> str:
    if encoding.otherwise:
        return "".join(map(encoding.decode, raw.splitlines(keepends=True)))
    return encoding.decode(raw)


def _beyond_ascii(text: str) -> bool:
    return not text.isascii()


def _header(fields: list[str]) -> list[str]:
    return [field.strip().lower() for field in fields]


def _rows(path: Path, where: str, encoding: encodings.Encoding) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each row that is not blank, the header first."""
    line = 1  # where the row begins: an open quote swallows all that follows
    rows = csv.reader(io.StringIO(_decoded(path.read_bytes(), encoding), newline=""), strict=True)
    try:
        for fields in rows:
            if any("\0" in field for field in fields):
                raise UserError(
                    f"{where}, line {line}: zero bytes instead of text, as a copy that was cut short leaves "
                    "them; copy the file again, or remove them"
                )
            if fields:
                yield line, fields
            line = rows.line_num + 1
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


def _label(value: str, where: str, require_labels: bool | None) -> float:
    try:
        if value.strip() and require_labels is not None:
            return clean.number(value)
    except ValueError:
        pass
    if not require_labels:
        return math.nan
    raise UserError(f"{where}: label {value.strip()!r} is not a number")
