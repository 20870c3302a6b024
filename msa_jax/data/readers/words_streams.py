"""Streams of a words pickle: vision and audio with lengths of their own, in clips of more than four parts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from msa_jax.data.conventions import axes, padding
from msa_jax.data.conventions.lengths import by_lengths
from msa_jax.data.conventions.used import edges
from msa_jax.data.example import no_features
from msa_jax.data.readers import clean

ALIGNED_PARTS = 4  # with more, a clip has lengths of its own; MMIM's and BBFN's heirs tell the two apart so
_LENGTHS = {"vision": (1, 4), "audio": (2, 5)}  # where a clip has a stream and, if unaligned, its length
_AGREE = 0.75  # share of the clips padded at one end alone that must agree on it
_ODD = (TypeError, ValueError, OverflowError)  # told of while iterating


def is_clip(value: object) -> bool:
    """Whether an entry of a words pickle is a clip, (parts, label, ...)."""
    return isinstance(value, (list, tuple)) and len(value) > 1 and isinstance(value[0], (list, tuple))


def check_axes(clips: Sequence[Sequence], said: Literal["rows_first"] | None, where: str) -> dict[str, str]:
    """Refuses a file whose clips are (width, rows); see `axes.decide`.

    Args:
      clips: the parts of each clip.
      said: "rows_first" where the user says that they are not.
      where: what to call the file in a message.

    Returns:
      What there is to say, as in `Reading.conventions`.

    Raises:
      UserError: when the evidence says that they are.
    """
    arrays: dict[str, list] = {name: [] for name in _LENGTHS}
    lengths: dict[str, list[int]] = {name: [] for name in _LENGTHS}
    for parts in clips:
        for name, (place, _) in _LENGTHS.items():
            try:
                found = _length_of(parts, name)
                arrays[name].append(parts[place])
                lengths[name].append(0 if found is None else found)
            except (*_ODD, IndexError):
                continue
    parts_of = {name: [found] for name, found in arrays.items()}
    return axes.decide(parts_of, where, said=said, lengths=lengths, save="array.T")


def paddings(clips: Sequence[Sequence], said: str | None, where: str) -> dict[str, padding.Padding]:
    """Decides at which end each stream is padded, those apart of which no clip is shorter than its array.

    Args:
      clips: the parts of each clip.
      said: the end, where the user says it.
      where: what to call the file in a message.

    Raises:
      UserError: when the clips do not agree, or do not tell. The scripts that write such files leave no rows
        beyond the lengths.
    """
    found = {}
    for name in _LENGTHS:
        short = []
        for parts in clips:
            try:
                length, stream = _length_of(parts, name), parts[_LENGTHS[name][0]]
                if length is not None and length < (*clean.shape(stream), 0)[0]:
                    rows = clean.features(stream)
                    short.append((edges([rows])[0], length, rows))
            except (*_ODD, IndexError):
                continue
        if short:
            at, lengths, arrays = zip(*short, strict=True)
            found[name] = by_lengths(
                np.stack(at), lengths, said=said, rows=lambda arrays=arrays: arrays, what=f"{where}, {name}"
            )
    return found


def rows(parts: Sequence, name: str, ends: Mapping[str, padding.Padding]) -> np.ndarray:
    """The rows of a stream: all where a row is a word, else as many as the clip says.

    Args:
      parts: of the clip.
      name: "vision" or "audio".
      ends: what `paddings` says.

    Raises:
      ValueError, TypeError, OverflowError: when they are not rows, or the length is not a whole number.
    """
    found = clean.features(parts[_LENGTHS[name][0]])
    length = _length_of(parts, name)
    if length is None or not len(found):
        return found
    used = found[ends.get(name, padding.Padding(None)).counted(*edges([found])[0], length)]
    return used if len(used) else no_features()


def word_padding(clips: Sequence[Sequence], said: str | None) -> padding.Padding | None:
    """Decides at which end rows that are words are padded, where there are more of them than words.

    Args:
      clips: the parts of each clip.
      said: the end, or "none", where the user says it.

    Returns:
      The end at which nearly all clips have zeros alone beyond their words; None where no clip has more rows
      than words, or the zeros do not tell.
    """
    votes, longer = {"behind": 0, "front": 0}, 0
    for parts in clips:
        count = _word_count(parts)
        for place, _ in _LENGTHS.values() if count else ():
            try:
                limit = (*clean.shape(parts[place]), 0)[0]
                if limit <= count:
                    continue
                longer += 1
                first, stop, _ = edges([clean.features(parts[place])])[0] if said is None else (0, 0, 0)
            except (*_ODD, IndexError):
                continue
            fits = {"behind": stop <= count, "front": stop == 0 or first >= limit - count}
            if fits["behind"] != fits["front"]:
                votes["behind" if fits["behind"] else "front"] += 1
    if longer and said is not None:
        return None if said == "none" else padding.asked(said)
    side = max(votes, key=votes.__getitem__)
    if not votes[side] or votes[side] < _AGREE * sum(votes.values()) or 2 * votes[side] < longer:
        return None
    return padding.Padding(side, f"{votes[side]} of {longer} arrays with more rows than words")


def of_words(found: np.ndarray, count: int, padded: padding.Padding | None) -> np.ndarray:
    """Row i for word i of a stream, without its padding; as it is where more than padding would be cut off.

    Args:
      found: [L, d].
      count: the words.
      padded: what `word_padding` says.
    """
    if padded is None or len(found) <= count:
        return found
    part = padded.named(len(found), count)
    first, stop, _ = edges([found])[0]
    inside = not stop or (part.start <= first and stop <= part.stop)
    return found[part] if padded.firm or inside else found


def _word_count(parts: Sequence) -> int | None:
    """The words of a clip whose rows are words; None where they are not, or cannot be counted."""
    if not 3 <= len(parts) <= ALIGNED_PARTS:
        return None
    words = parts[3] if len(parts) > 3 else parts[0]
    if isinstance(words, (str, bytes)):
        return len(words.split())
    return len(words) if isinstance(words, (list, tuple, np.ndarray)) and np.ndim(words) else None


def notes(clips: Sequence[Sequence], count: int, said: str | None, padded: bool) -> Iterator[str]:
    """Notes on the lengths that clips bring along.

    Args:
      clips: the parts of each clip.
      count: all entries of the file.
      said: the end at which they are padded, where the user says it.
      padded: whether words or their rows are padded.
    """
    unaligned = [parts for parts in clips if len(parts) > ALIGNED_PARTS]
    if unaligned:
        yield (
            f"In {len(unaligned)} of {count} clips there are more than four parts: vision and audio have "
            "lengths of their own there, and are not aligned with the words."
        )
    elif said is not None and not padded:
        yield "A row is a word here, without padding: --config.data.padding makes no difference."
    if long := sum(map(_has_long, unaligned)):
        yield (
            f"In {long} of {count} clips a length is larger than the array of vision or audio: the whole "
            "array is used there."
        )


def _length_of(parts: Sequence, name: str) -> int | None:
    """The rows of a stream as the clip says them; None where it does not."""
    place = _LENGTHS[name][1]
    return _length(parts[place]) if len(parts) > max(place, ALIGNED_PARTS) else None


def _has_long(parts: Sequence) -> bool:
    """Whether a length is larger than its array; False where one is not a length, or not an array."""
    try:
        return any(
            len(parts) > place and _length(parts[place]) > (*clean.shape(parts[stream]), 0)[0]
            for stream, place in _LENGTHS.values()
            if parts[stream] is not None
        )
    except _ODD:
        return False


def _length(value: object) -> int:
    """A length out of an int, or an array or list that holds one.

    Raises:
      ValueError, OverflowError: when it is not a whole number, or is negative.
    """
    array = np.asarray(value)
    number = array.item() if array.size == 1 else None
    if not isinstance(number, (int, float)) or number < 0 or number != int(number):
        raise ValueError("a length that is not a whole number")
    return int(number)
