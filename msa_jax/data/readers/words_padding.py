"""Padding words of a words pickle, such as "<pad>", which bring a clip's list of words to one length.

They are cut off with their rows, where these are not in use.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from msa_jax.data.conventions import padding
from msa_jax.data.conventions.used import in_use
from msa_jax.data.readers import clean
from msa_jax.data.readers.words_streams import ALIGNED_PARTS, is_clip

_WORDS = frozenset(("<pad>", "[pad]", "<padding>", "[padding]", "</pad>", ""))  # in lower case
_MEND = f"where it is padding, {padding.SAY}"
_MOST = 0.1  # share of the clips with such words whose rows may be in use


class Cut(NamedTuple):
    """Clips without their padding words.

    Attributes:
      clips: those of each split, with other parts where words were cut off.
      padding: the end that they were at; None where none were cut off.
      notes: on such words that are kept.
    """

    clips: Mapping[str, Sequence]
    padding: padding.Padding | None
    notes: tuple[str, ...]


class _Found(NamedTuple):
    """The padding words of a clip.

    Attributes:
      kept: the other words, with those at one end where the user says the other.
      word: one of them; "" where all are empty.
      ends: where they are, "front" or "behind".
      free: whether no row of theirs is in use.
    """

    kept: Mapping[str | None, slice]
    word: str
    ends: tuple[str, ...]
    free: bool


def cut(splits: Mapping[str, Sequence], said: str | None) -> Cut:
    """Cuts the padding words off all clips of a file, unless their rows are in use.

    Args:
      splits: the clips of each split, (parts, label, id).
      said: the end that is padded, or "none", where the user says it: then these are cut off whatever their
        rows are, and those at the other end are kept.
    """
    every = [clip for clips in splits.values() for clip in clips if is_clip(clip)]
    found = {id(clip): look for clip in every if (look := _look(clip[0])) is not None}
    words = sorted({look.word for look in found.values() if look.word})
    named = " and ".join(map(repr, words[:2])) or "empty words"
    chosen = {key: look for key, look in found.items() if (look.free if said is None else said in look.ends)}
    if said is None and len(found) - len(chosen) > _MOST * len(found):
        chosen = {}
    why = "as you said" if said else f"as its rows are in use; {_MEND}"
    left = len(found) - len(chosen)
    line = f"In {left} of {len(every)} clips {named} at an end is kept as a word, {why}."
    notes = (line,) if left and words else ()
    if not chosen:
        return Cut(splits, None, notes)
    kept = {key: look.kept[said] for key, look in chosen.items()}
    clips_of = {
        split: [_without(clip, kept[id(clip)]) if id(clip) in kept else clip for clip in clips]
        for split, clips in splits.items()
    }
    ends = {said} if said else {end for look in chosen.values() if look.kept[None].stop for end in look.ends}
    evidence = "as you said" if said else f"{named} in {len(chosen)} of {len(every)} clips"
    return Cut(clips_of, padding.Padding(ends.pop() if len(ends) == 1 else None, evidence), notes)


def _look(parts: Sequence) -> _Found | None:
    """Looks at the ends of a clip's words; None where none is padding, or rows are not as many."""
    words = _words(parts)
    padded = [word.lower() in _WORDS for word in words]
    first, stop = padded.index(False) if False in padded else 0, len(words)
    while stop > first and padded[stop - 1]:
        stop -= 1
    kept = slice(first, stop)
    if kept == slice(0, len(words)):
        return None
    at_end = {None: kept, "front": slice(first, len(words)) if stop else kept, "behind": slice(0, stop)}
    outside = [*range(kept.start), *range(kept.stop, len(words))]
    free = True
    for place in (1, 2) if len(parts) <= ALIGNED_PARTS else ():
        try:
            rows = clean.features(parts[place])
        except (TypeError, ValueError, OverflowError):
            return None  # which is told of while iterating
        if len(rows) == len(words):
            free &= not in_use(rows[outside]).any()
        elif len(rows) not in (0, kept.stop - kept.start) and len(rows) < len(words):
            return None
    ends = tuple(end for end in ("front", "behind") if at_end[end] != slice(0, len(words)))
    return _Found(at_end, next((words[k] for k in outside if words[k]), ""), ends, free)


def _without(clip: Sequence, kept: slice) -> tuple:
    """A clip with these of its words alone, and with their rows where a row is a word."""
    parts = list(clip[0])
    count = len(_words(parts))
    for place in (1, 2) if len(parts) <= ALIGNED_PARTS else ():
        rows = clean.features(parts[place])
        parts[place] = rows[kept] if len(rows) == count else rows
    place = 3 if len(parts) > 3 else 0
    parts[place] = _words(parts)[kept]
    return (tuple(parts), *clip[1:])


def _text(word: object) -> object:
    """A word; of bytes their ASCII, which padding words are written in whatever the encoding is."""
    return word.decode("ascii", "replace") if isinstance(word, bytes) else word


def _words(parts: Sequence) -> list[str]:
    """The words of a clip; [] where it has none, or what is not a word, which is told of while iterating."""
    words = parts[3] if len(parts) > 3 else parts[0] if len(parts) == 3 else ()
    if isinstance(words, (str, bytes)):
        return _text(words).split()
    some = [_text(word) for word in words] if isinstance(words, (list, tuple, np.ndarray)) else []
    return ["".join(word.split()) for word in some] if all(isinstance(word, str) for word in some) else []
