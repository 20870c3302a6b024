"""Cleaning that the readers share: one form for the many spellings of ids, words, labels and features."""

import math
import re

import numpy as np

from msa_jax.data.example import no_features
from msa_jax.data.splits import named_split
from msa_jax.errors import UserError

PAUSE = "sp"  # how the forced aligner writes silence between words
# Names that other scripts give to a modality, so that a stream is not passed over for its name.
OTHER_NAMES = {"video": "vision", "visual": "vision", "acoustic": "audio"}
_LONGEST = 1 << 20  # characters of a text
_WIDEST = 1 << 17  # columns of features
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def split_alias(name: object) -> str | None:
    """ "train", "valid" or "test" for a name that means one of them in any case ("dev", "Val"), else None."""
    return named_split(string(name))


def rename(arrays: dict, where: str) -> None:
    """Gives features under another usual name of their modality ("video", "video_lengths") the known one.

    Raises:
      UserError: when both names hold features.
    """
    for other, name in OTHER_NAMES.items():
        value = arrays.get(other)
        numbers = not isinstance(value, np.ndarray) or value.dtype.kind in "biufO"
        if not numbers or len(shape(value)) < 2 - (isinstance(value, np.ndarray) and value.dtype == object):
            continue
        if arrays.get(name) is not None:
            raise UserError(f"{where}: {other} and {name} both hold features of one modality; remove one")
        arrays[name] = arrays.pop(other)
        if f"{other}_lengths" in arrays:
            arrays[f"{name}_lengths"] = arrays.pop(f"{other}_lengths")


def string(value: object) -> str:
    """Text out of a str, bytes in UTF-8, or an array that holds one of them.

    Raises:
      ValueError: when it is longer than any transcript, is a container, or bytes in another encoding: these
        are decoded before, all of a file by one (see `msa_jax.data.conventions.encodings`).
    """
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else str(value)
    if isinstance(value, (str, bytes)) and len(value) > _LONGEST:
        raise ValueError(f"a text of {len(value)} characters")
    if isinstance(value, (list, tuple, dict, set)):
        raise ValueError(f"a {type(value).__name__} instead of a text")
    if isinstance(value, bytes):
        return value.decode("utf-8")
    value = str(value)
    if not value.isascii():  # halves of characters, as Python 2 wrote them, are joined or replaced
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def text(value: object) -> str:
    """A transcript with its words separated by single spaces."""
    return " ".join(string(value).split())


def id_fields(value: object) -> tuple[str, ...]:
    """The fields of a clip's id: one, or those of a list or array [id, start, end], which may be empty.

    Raises:
      ValueError: when it is not a name.
    """
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.size != 1):
        parts = list(np.asarray(value, dtype=object).ravel()) or [""]
        return string(parts[0]).strip(), *(string(part) for part in parts[1:2])
    return (string(value).strip(),)


def shape(value: object) -> tuple[int, ...]:
    """The shape of an array, or of nested lists as their first elements have it, without making an array.

    `np.shape` would: of a list of texts one in which each takes as much memory as the longest.
    """
    sizes = []
    while isinstance(value, (list, tuple)):
        sizes.append(len(value))
        value = value[0] if value else None
    return (*sizes, *value.shape) if isinstance(value, np.ndarray) else tuple(sizes)


def _numbers(value: object) -> np.ndarray:
    """An array of numbers or objects; lists become float64 at once, which no text in them can blow up.

    Raises:
      ValueError: when there is text in it, or there are lists of uneven length.
    """
    array = value if isinstance(value, np.ndarray) else np.asarray(value, np.float64)
    if array.dtype.kind not in "biufO":
        raise ValueError("text instead of numbers")
    return array


class NoTextFeatures(UserError):
    """The file has no text features, and they were asked for."""

    def __init__(self, where: object) -> None:
        """Builds the message; `where` names the file."""
        super().__init__(
            f"{where} has no text features; use --config.text.encoder=roberta-base or another encoder (in "
            "Python: text_features=False)"
        )


class NoWords(UserError):
    """The file has no words, and they were asked for."""

    def __init__(self, where: object, what: str, *, features: bool) -> None:
        """Builds the message.

        Args:
          where: names the file.
          what: what it lacks.
          features: whether it has features of the text.
        """
        mend = (
            "use --config.text.encoder=features (in Python: text_features=True)"
            if features
            else "train a model without text by the variant no_text, as in --config=FILE:no_text"
        )
        super().__init__(f"{where}: {what}; {mend}")


def unreadable(path: object, error: OSError) -> UserError:
    """The error to raise where the system does not let a file or folder be read."""
    reason = error.strerror or error
    return UserError(f"{path}: cannot be read ({reason}); see to its permissions and to the disk")


def features(value: object) -> np.ndarray:
    """Features as float32 [rows, width]; shape (0, 0) where there are none.

    Raises:
      ValueError: when it is not a matrix of numbers, or has more columns than any features.
    """
    if value is None:
        return no_features()
    array = _numbers(value)
    if array.ndim == 1 and array.dtype == object and array.size:
        array = np.stack([_numbers(row) for row in array])
    if array.size == 0:
        return no_features()
    if array.ndim != 2:
        raise ValueError(f"an array of shape {array.shape} instead of [rows, width]")
    if array.shape[1] > _WIDEST:
        raise ValueError(f"rows of {array.shape[1]} columns")
    with np.errstate(over="ignore", invalid="ignore"):  # a number beyond float32 becomes inf, and is counted
        return np.ascontiguousarray(array, np.float32)


def number(value: object) -> float:
    """A label out of a field of text; NaN for an empty one.

    Raises:
      ValueError: when the field is not a finite number in the plain way: Python alone reads 1_000 and "inf".
    """
    value = string(value).strip()
    if not value:
        return math.nan
    if not _NUMBER.fullmatch(value) or not math.isfinite(found := float(value)):
        raise ValueError(f"{value!r} is not a number")
    return found
