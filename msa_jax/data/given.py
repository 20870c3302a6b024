"""Given clips: what a caller hands over in Python, checked and made into examples."""

import decimal
import numbers
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import psutil

from msa_jax.data.conventions import padding
from msa_jax.data.example import Example, is_silent, no_features
from msa_jax.data.preprocessing import Preprocessing
from msa_jax.errors import UserError, check_flags, counted, named
from msa_jax.progress import say

_REAL = (numbers.Real, decimal.Decimal)
_LARGE = 1 << 26  # bytes from which on it is asked how many are free
_ROWS = {"audio": "frames", "vision": "frames", "text_features": "tokens"}


def examples(
    texts: Sequence[str],
    features: Mapping[str, Sequence[np.ndarray | None] | None],
    how: Preprocessing,
    *,
    aligned: bool,
    texts_count: bool = True,
) -> list[Example]:
    """Examples of clips that are at hand, named by their places.

    Args:
      texts: N transcripts.
      features: "audio", "vision" and "text_features": N arrays [rows, columns], with None for clips that have
        none, or None for all of them.
      how: the run's preprocessing.
      aligned: whether audio and vision have one row per word.
      texts_count: whether the run makes use of a text (see `Preparation.texts_count`); where not, there must
        be none, but where the rows are counted by its words.

    Returns:
      The clips. A stream that is zero throughout is what extraction tools write where they found nothing:
      it has no rows, as in a file, which is said. Unless rows are words, zeros at an end are padding,
      as in a file of that clip alone, and are cut off, which is said as well. Arrays of one length, of a clip
      without words, are on one time line, of which only steps are cut off where all are zero.

    Raises:
      UserError: when a text is not a text, features are not numbers or are masked, the numbers of clips
        differ, `aligned` is neither a bool nor None, or there is something that the run does not read; says
        what to write.
    """
    check_flags(aligned=aligned)
    texts = _texts(texts)
    arrays: dict[str, list[np.ndarray]] = {}
    for name, given in features.items():
        listed = enumerate(_list(name, given, len(texts)))
        arrays[name] = [_array(f"clip {i}: {name}", rows) for i, rows in listed]
        _refuse_unread(name, arrays[name], how)
    if texts and how.text_width and "text" in how.modalities and features["text_features"] is None:
        raise UserError(
            f"the run reads text features of {how.text_width} columns, not texts; write "
            "text_features=[array, ...] with an array [tokens, columns] for each clip"
        )
    unread = [i for i, text in enumerate(texts) if text.strip()] if not (texts_count or aligned) else []
    if unread:
        raise UserError(f"clip {unread[0]}: the run reads {how.reads}, and takes no text; write '' instead")
    for name, given in arrays.items():
        zeros = [str(i) for i, rows in enumerate(given) if is_silent(rows)]
        if zeros:
            what = f"{{clip has|clips have}} only zeros in {name.replace('_', ' ')}, which count as none"
            say(f"note: {named(what, zeros)}")
        arrays[name] = [rows[:0] if is_silent(rows) else rows for rows in given]
    if not aligned:
        _trim(arrays, texts)
    clips = []
    for i, text in enumerate(texts):
        own = {name: given[i] for name, given in arrays.items()}
        words = " ".join(text.split())
        clips.append(Example(str(i), str(i), "", words, **own, aligned=aligned, label=np.nan))
    return clips


def _trim(arrays: dict[str, list[np.ndarray]], texts: Sequence[str]) -> None:
    """Cuts the padding off each clip, which does not depend on the other clips, and says it."""
    cut: dict[str, list[str]] = {name: [] for name in arrays}
    both_ends = dict.fromkeys((*arrays, ""), padding.Padding(None))
    for i, text in enumerate(texts):
        rows = {name: given[i] for name, given in arrays.items() if given[i].ndim == 2 and given[i].size}
        if not all(np.isfinite(array).all() for array in rows.values()):  # refused later
            continue
        one_line = not text.strip() and len({len(array) for array in rows.values()}) == 1
        for name, part in padding.trim(rows, both_ends, together=one_line).items():
            if len(part) < len(rows[name]):
                cut[name].append(str(i))
                arrays[name][i] = part
    for name, clips in cut.items():
        if clips:
            what = f"{{clip has|clips have}} zeros at an end of {name.replace('_', ' ')}, which are cut off"
            say(f"note: {named(what, clips)}")


def _texts(texts: Any) -> list[str]:
    if isinstance(texts, str | bytes):
        raise UserError(f"texts is {_kind(texts)}, not a list of texts; write [...] around it")
    if not _is_list(texts):
        raise UserError(
            f"texts is {_kind(texts)}, not a list of texts; write a list with a text for each clip, '' where "
            "there is none"
        )
    for i, text in enumerate(given := list(texts)):
        if isinstance(text, bytes):
            raise UserError(f"texts[{i}] is {_kind(text)}, not a text; write texts[{i}].decode('utf-8')")
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(f"texts[{i}] holds half of a character (a surrogate); decode the text again")
        if not isinstance(text, str):
            raise UserError(f"texts[{i}] is {_kind(text)}, not a text; {_as_text(text, i)}")
    return given


def _as_text(value: Any, i: int) -> str:
    """Says what to write in place of what is not a text."""
    if _is_list(value) and len(value):
        if all(isinstance(word, str) for word in value):
            return f"write ' '.join(texts[{i}])"
        if all(isinstance(word, bytes) for word in value):
            return f"write b' '.join(texts[{i}]).decode('utf-8')"
    if isinstance(value, _REAL) and not str(value).lower().endswith("nan"):
        return f"write str(texts[{i}]), or '' where the clip has none"
    return "write '' where a clip has none"


def _list(name: str, given: Any, clips: int) -> list[Any]:
    if given is None:
        return [None] * clips
    mend = f"write a list with an array [{_ROWS[name]}, columns], or None, for each clip"
    if not _is_list(given):
        raise UserError(f"{name} is {_kind(given)}; {mend}")
    if len(given) != clips:
        if getattr(given, "ndim", None) == 2:
            raise UserError(f"{name} is one array of shape {given.shape}; {mend}, as in {name}=[array]")
        raise UserError(f"{name} has {counted(len(given), '{clip|clips}')}, texts has {clips}; {mend}")
    return list(given)


def _is_list(given: Any) -> bool:
    other = isinstance(given, str | bytes | Mapping | Set)
    return not other and hasattr(given, "__len__") and getattr(given, "ndim", 1) > 0


def _refuse_unread(name: str, given: Sequence[np.ndarray], how: Preprocessing) -> None:
    """Refuses what would be passed over in silence."""
    modality = "text" if name == "text_features" else name
    if modality in how.modalities and (name != "text_features" or how.text_width):
        return
    for i, rows in enumerate(given):
        if rows.size:
            what = name.replace("_", " ")
            raise UserError(f"clip {i}: the run reads {how.reads}, and takes no {what}; leave {name} out")


def _array(where: str, rows: Any) -> np.ndarray:
    """float32; a number beyond its range becomes an infinity, which is refused later."""
    if rows is None:
        return no_features()
    masked = sum(
        np.ma.count_masked(part) for part in (rows, *_rows(rows)) if isinstance(part, np.ma.MaskedArray)
    )
    if masked:
        raise UserError(
            f"{where} is a masked array with {masked} masked entries, which would be read as numbers; write "
            "array.filled(0), or cut these rows off"
        )
    try:
        array = np.asarray(rows)
        if array.dtype == object:
            odd = next((v for v in array.ravel().tolist() if not isinstance(v, _REAL)), None)
            if isinstance(odd, numbers.Complex | str | bytes):
                array = np.asarray(odd)  # which says what it is; a conversion would take it for a real number
            else:
                array = array.astype(np.float64)
        elif array.dtype.kind == "V" and array.dtype.names is None:  # bfloat16 and the like
            array = array.astype(np.float32)
    except (TypeError, ValueError):  # rows of several lengths, or what is not a number
        raise UserError(f"{where} is not an array of numbers; write an array [rows, columns]") from None
    if array.dtype.kind == "c":
        raise UserError(f"{where} holds complex numbers; write their real part (.real) or size (np.abs)")
    if array.dtype.kind not in "biuf":
        what = "text" if array.dtype.kind in "US" else array.dtype.name
        raise UserError(f"{where} holds {what}, not numbers; write an array [rows, columns] of numbers")
    if array.shape[:1] == (0,) and array.ndim < 3:  # an empty list, or no rows
        return no_features()
    if array.ndim != 2:
        raise UserError(f"{where} must be [rows, columns], got shape {array.shape}")
    needed = 2 * array.size * np.dtype(np.float32).itemsize  # the copy, and what is computed from it
    if needed > _LARGE and needed > (free := psutil.virtual_memory().available):
        raise UserError(
            f"{where} of shape {array.shape} takes {needed / 1e9:.1f} GB of memory, of which "
            f"{free / 1e9:.1f} are free; give fewer rows"
        )
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _rows(value: Any) -> Sequence[Any]:
    """The entries of a list, each of which may be an array of its own kind."""
    return value if isinstance(value, list | tuple) else ()


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bytes):
        return "None" if value is None else "bytes"
    name = {"str": "string", "ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
