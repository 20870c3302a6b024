"""CSV files of texts and labels: video_id, clip_id, text, label, and split or mode.

The columns are those of the label.csv that MMSA keeps beside its features, or of any table like it; that of
CH-SIMS has labels by modality too (label_T, label_A, label_V).
"""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from msa_jax.data.conventions import NOTHING, Said, encodings, misread
from msa_jax.data.example import Example, no_features, no_unimodal_labels
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError, counted, named

NAME = "CSV of texts and labels"
LEAVES_OPEN: tuple[str, ...] = ("encoding",)  # fields of `Said` that matter here
_SPLIT_COLUMNS = ("split", "mode")
_UNIMODAL = ("label_t", "label_a", "label_v")  # in the order of `Example.unimodal_labels`
_SIGNS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}  # that divide columns
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
        return bool(lines) and _divided_by(lines[0]) is not None
    except csv.Error:
        return False


def _divided_by(line: str) -> str | None:
    """The sign that divides the columns: it names the most, and "text" among them; None if none does."""
    columns = {sign: _header(next(csv.reader([line], delimiter=sign), [])) for sign in _SIGNS}
    naming = [sign for sign in _SIGNS if "text" in columns[sign]]
    return max(naming, key=lambda sign: len(columns[sign])) if naming else None


def reader(
    path: Path,
    where: str,
    require_labels: bool | None,
    split_name: str | None = None,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a CSV file, one line at a time.

    Args:
      path: the file: divided by commas, or by semicolons, tabs or vertical bars where the first line is;
        fields with that sign in double quotes, in an encoding that `encodings.decide` tells, with or without
        a mark; lines end by LF, CRLF or CR. Columns in any order, upper or lower case; those not named above
        are not read, and a note names them. Where semicolons divide, the comma of a label is a decimal one.
      where: what to call the file in messages.
      require_labels: whether video_id, clip_id and label are needed; without them a clip is named by its row,
        and has no label where the field is not a number, such as "?". None: labels are not read.
      split_name: the column that divides the clips; needed only where the file has both split and mode.
      said: what the user says of the file.

    Returns:
      What starts the iteration; audio and vision are missing, and so is the split where the file
      has no column for it.

    Raises:
      UserError: when a column is missing or there twice (here), or a value is bad (while iterating, with its
        line).
    """
    raw = path.read_bytes()
    encoding = encodings.decide(_texts(raw), said=said.encoding, where=where)
    text = _decoded(raw, encoding)
    lines = text.splitlines()
    different = set(lines)
    beyond = set(filter(_beyond_ascii, different))
    notes = misread.notes(beyond, where, count=len(different), said=said.encoding, codec=encoding.codec)
    sign = _divided_by(next(filter(str.strip, lines), "")) or ","
    columns = _header(next(_rows(text, sign, where))[1])
    if sign != ",":
        decimal = "; a comma in a label is a decimal one" if sign == ";" else ""
        notes = (*notes, f"{where}: the columns are divided by {_SIGNS[sign]}{decimal}.")
    split_column = _split_column(columns, where, split_name)
    labels = () if require_labels is None else ("label", *_UNIMODAL)
    _refuse_repeated(columns, ("video_id", "clip_id", "text", *labels, split_column), where)
    by_id = {"video_id", "clip_id"} <= set(columns)
    read = {"text", "label", *_UNIMODAL, split_column, *(("video_id", "clip_id") if by_id else ())}
    if others := [name or f"number {k}" for k, name in enumerate(columns, 1) if name not in read]:
        notes = (*notes, f"{where}: {named('{column is|columns are} not read', others)}.")
    missing = [name for name in ("video_id", "clip_id", "label") if name not in columns]
    if require_labels and missing:
        raise UserError(
            f"{where}: there is no column {', '.join(missing)} in the {NAME}, only {', '.join(columns)}"
        )

    def examples() -> Iterator[Example]:
        rows = _rows(text, sign, where)
        next(rows)
        for number, (line, fields) in enumerate(rows, 1):
            if len(fields) != len(columns):
                raise UserError(
                    f"{where}, line {line}: {counted(len(fields), '{field|fields}')} under "
                    f"{counted(len(columns), '{column|columns}')}; put texts with {_SIGNS[sign]} in double "
                    "quotes"
                )
            row = dict(zip(columns, fields, strict=True))
            place = f"{where}, line {line}"
            video = row["video_id"].strip() if by_id else str(number)
            identity = f"{video}_{row['clip_id'].strip()}" if by_id else str(number)
            yield Example(
                id=identity,
                video=video,
                split=_split(row.get(split_column, ""), place),
                text=clean.text(row["text"]),
                audio=no_features(),
                vision=no_features(),
                aligned=False,
                label=_label(row.get("label", ""), place, require_labels, sign),
                unimodal_labels=_by_modality(row, place, require_labels, sign),
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


def _rows(text: str, sign: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each row that is not blank, the header first."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=sign)
    line = 1  # where the row begins: an open quote swallows all that follows
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
        what = "comma-separated fields" if sign == "," else f"fields divided by {_SIGNS[sign]}"
        raise UserError(f"{where}, row from line {line}: not {what} ({error})") from None


def _refuse_repeated(columns: Sequence[str], read: Sequence[str | None], where: str) -> None:
    """Refuses two columns of one name, where it is read: nothing tells which of them counts."""
    for name in read:
        places = [str(k) for k, column in enumerate(columns, 1) if column == name]
        if name and len(places) > 1:
            raise UserError(
                f"{where}: {len(places)} columns are called {name!r} (columns {' and '.join(places)}, "
                "counted from 1, in upper or lower case alike); rename or remove all but the one that counts"
            )


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


def _label(value: str, where: str, require_labels: bool | None, sign: str, name: str = "label") -> float:
    value = value.strip()
    try:
        if value and require_labels is not None:
            return clean.number(value.replace(",", ".") if sign == ";" else value)
    except ValueError:
        pass
    if not require_labels:
        return math.nan
    raise UserError(f"{where}: {name} {value!r} is not a number; write it as in -1 or 0.5")


def _by_modality(row: dict[str, str], where: str, require_labels: bool | None, sign: str) -> np.ndarray:
    """`Example.unimodal_labels`: NaN where a field is empty, nothing where the file has no such column."""
    if require_labels is None or not any(name in row for name in _UNIMODAL):
        return no_unimodal_labels()
    fields = {name: row.get(name, "") for name in _UNIMODAL}
    return np.array(
        [
            _label(value, where, require_labels and bool(value.strip()), sign, name)
            for name, value in fields.items()
        ],
        np.float64,
    )
