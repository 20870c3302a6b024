"""Conventions of feature files: what a file's numbers and names mean, where its format leaves that open.

Each convention has a file here, which decides it from evidence in the file, once for all its clips. What is
decided is said to the user and kept with the built corpus; where the evidence does not decide, the file is
refused with the field of `Said` that does.
"""

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msa_jax.data.conventions import times
from msa_jax.errors import UserError

# What is decided, by its name in JSON, as it is called in lines for the user.
TITLES: Mapping[str, str] = {
    "axes": "axes",
    "rows": "rows of audio and vision",
    "padding": "padding",
    "times": "times",
    "labels": "labels",
    "encoding": "text encoding",
    "videos": "videos",
}


@dataclasses.dataclass(frozen=True)
class Said:
    """What the user says of a file, each a key of the config's section `data`; None: told by the file.

    Attributes:
      rows: what a row of audio and vision is: "tokens", "words" or "stream".
      axes: "rows_first": arrays are (clips, rows, width), even where they look like (clips, width, rows).
      bert_vocab: the BERT vocabulary that made the file's tokens (see
        `msa_jax.text.bert_vocab.load_vocabulary`).
      padding: the end at which clips are padded: "front" or "behind"; "none": all rows count.
      encoding: the encoding of texts in bytes, by its name in Python, such as "gb18030".
      video_id: a regular expression that finds the video in a clip's id, by its one group.
      time_units: (stream, how many of its units of time make a second) for streams of .csd files, such as
        (("audio", 1000.0),); see `times.STREAMS`.
      label_column: the column that is the label, counted from 0, where clips have several.
    """

    rows: Literal["tokens", "words", "stream"] | None = None
    axes: Literal["rows_first"] | None = None
    bert_vocab: str | None = None
    padding: Literal["front", "behind", "none"] | None = None
    encoding: str | None = None
    video_id: str | None = None
    time_units: tuple[tuple[str, float], ...] | None = None
    label_column: int | None = None

    def __post_init__(self) -> None:
        """Refuses a value that a field does not have."""
        for name, kind in typing.get_type_hints(type(self)).items():
            (plain, *_) = typing.get_args(kind)
            value, choices = getattr(self, name), typing.get_args(plain)
            if value is not None and typing.get_origin(plain) is Literal and value not in choices:
                raise UserError(f"data.{name}: {value!r} is not one of {', '.join(choices)}")
        column = self.label_column
        if column is not None and (type(column) is not int or column < 0):
            raise UserError(f"data.label_column: {column!r} is not a column; count them 0, 1, 2, ...")
        if self.time_units is not None:
            object.__setattr__(self, "time_units", times.checked(self.time_units))

    def given(self) -> dict[str, Any]:
        """Gives the fields that the user has set."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value is not None}


FIELDS = tuple(field.name for field in dataclasses.fields(Said))

NOTHING = Said()  # the file tells it all


def lines(conventions: Mapping[str, str]) -> Iterator[str]:
    """Writes a line for each convention of a file, as `Reading.conventions` has them."""
    return (f"{TITLES[name]}: {value}" for name, value in conventions.items())
