"""The words pickle of MISA, MMIM, MAG-BERT and BBFN: words as strings, and features of each clip.

It follows what the scripts of those papers write: `create_dataset.py` of MISA (four parts a clip, a row of
features for each word), the pickles of MAG-BERT (no word indices), and `src/create_dataset.py` of MMIM and
what BBFN and UniMSE made of it (more parts a clip: vision and audio have lengths of their own).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from msa_jax.data.conventions import NOTHING, Said
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "words pickle"
LEAVES_OPEN: tuple[str, ...] = ()  # fields of `Said` that matter here
FOLDER = ("train.pkl", "dev.pkl", "valid.pkl", "test.pkl")  # the usual names, for messages
_PAUSE = "sp"  # how the forced aligner writes silence between words
_ALIGNED_PARTS = 4  # with more, a clip has lengths of its own; MMIM's and BBFN's heirs tell the two apart so
_LENGTHS = {"vision": (1, 4), "audio": (2, 5)}  # where a clip has a stream and, if unaligned, its length
_ORDER = ("train", "valid", "test", "")


def members(folder: Path) -> list[Path]:
    """The split files in a folder, sorted; [] where there are none.

    Files belong together where their names differ in nothing but the split: train.pkl and dev.pkl, or
    mosi_train.pkl and mosi_valid.pkl. A name with more than the split in it counts only where another split
    has one too, so that test_results.pkl is not a corpus.

    Raises:
      UserError: when there are several such sets.
    """
    sets: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".pkl" and not file.name.startswith(".") and file.is_file() and split_name(file):
            sets.setdefault(_common(file), []).append(file)
    sets = {name: files for name, files in sets.items() if name == "*" or _count_splits(files) > 1}
    if len(sets) > 1:
        named = " and ".join(f"({', '.join(file.name for file in files)})" for files in sets.values())
        raise UserError(
            f"{folder}: the folder holds several sets of words pickles: {named}; name one file, or keep one "
            "set in the folder"
        )
    return next(iter(sets.values()), [])


def split_name(file: Path) -> str:
    """The split as it is written in a file's name ("dev" of mosi_dev.pkl); "" where there is not just one."""
    found = [part for part in _parts(file) if clean.split_alias(part)]
    return found[0] if len(found) == 1 else ""


def _parts(file: Path) -> list[str]:
    return re.split("([_-])", file.stem)


def _common(file: Path) -> str:
    """A file's name without the split, "*" in its place."""
    return "".join("*" if clean.split_alias(part) else part for part in _parts(file))


def _count_splits(files: Sequence[Path]) -> int:
    return len({clean.split_alias(split_name(file)) for file in files})


def matches(content: object) -> bool:
    """True for a list of clips, and for a dict of such lists by split."""
    if isinstance(content, dict):
        splits = [value for key, value in content.items() if clean.split_alias(key)]
        return bool(splits) and all(isinstance(value, (list, tuple)) for value in splits)
    return isinstance(content, (list, tuple))


def reader(
    content: object,
    where: str,
    require_labels: bool,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a loaded words pickle.

    Args:
      content: {split: clips} or clips alone, which then have no split. A clip is (parts, label, id), and what
        follows is passed over. The parts are (word indices (L,), vision (L, dv), audio (L, da), words [L]),
        or, as MAG-BERT has it, (words [L], vision (L, dv), audio (L, da)); then a row is a word. With more
        than four parts, (any, vision (V, dv), audio (A, da), words [L], vision length, audio length, ...),
        vision and audio are streams of their own, and their rows are the last ones of that number. Words may
        also come as one text.
      where: what to call the file in messages.
      require_labels: whether a clip without a label is an error.
      said: what the user says of the file.

    Returns:
      What starts the iteration. Pauses ("sp") are left out, together with their rows where a row is a word.

      A clip without an id is `<split>_<index>` (`clip_<index>` where there is no split) and its own video.
      Ids that name no clip of a video (all but "video[k]", "video$_$k" and lists with a start) may be bare
      names of videos, as MMIM has them for CMU-MOSEI: they are taken for that where more than half of the
      clips that have such an id share it with another clip of the file. Then a clip is `<video>_<k>`,
      counted from 0 within the video: train before valid before test, and in each the order of the file.
      Where fewer share their id they stay as they are, twice, and the checks of a corpus refuse them.

    Raises:
      UserError: when the file has no clips, or an id is not a name (here), or a clip is not built like that
        (while iterating).
    """
    if not isinstance(content, dict):
        content = {"": content}
    splits = {clean.split_alias(key) or "": value for key, value in content.items() if value}
    if not splits:
        raise UserError(f"{where}: the pickle holds no clips")
    names, notes = _names(splits, where)

    def examples() -> Iterator[Example]:
        for split, clips in splits.items():
            for index, (clip, name) in enumerate(zip(clips, names[split], strict=True)):
                yield _example(clip, name, split, _place(where, split, index), require_labels)

    return Reading(examples, (*_length_notes(splits), *notes))


def _place(where: str, split: str, index: int) -> str:
    return f"{where}, {split or 'clip'} {index}"


def _is_clip(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) > 1 and isinstance(value[0], (list, tuple))


def _names(
    splits: Mapping[str, Sequence], where: str
) -> tuple[dict[str, list[tuple[str, str]]], tuple[str, ...]]:
    """(id, video) of every clip by split, and notes on them; ("", "") where an entry is not a clip."""
    names: dict[str, list[tuple[str, str]]] = {}
    bare: Counter[str] = Counter()
    places: list[tuple[str, int]] = []  # of the clips with a bare name
    unnamed = 0
    for split in sorted(splits, key=_ORDER.index):
        names[split] = []
        for index, clip in enumerate(splits[split]):
            name = ("", "")
            if _is_clip(clip) and (len(clip) == 2 or clip[2] is None):
                unnamed += 1
                name = (f"{split or 'clip'}_{index}",) * 2
            elif _is_clip(clip):
                try:
                    name, alone = clean.clip_name(clip[2]), _is_bare(clip[2])
                except (TypeError, ValueError) as error:
                    raise UserError(
                        f"{_place(where, split, index)}: the id is not a name: {error}; correct the file"
                    ) from None
                if alone:
                    bare[name[0]] += 1
                    places.append((split, index))
            names[split].append(name)
    notes = []
    if unnamed:
        notes.append(
            f"In {_of(unnamed, splits)} the id is missing: clip k of a split is called <split>_<k>, and each "
            "of them counts as a video of its own."
        )
    if 2 * sum(count for count in bare.values() if count > 1) > bare.total():
        notes.append(
            f"The ids repeat ({bare.total()} clips have {len(bare)} different ids), so they are taken for "
            "the names of videos: the clips of a video are numbered from 0 in the order of the file."
        )
        seen: Counter[str] = Counter()
        for split, index in places:
            video, _ = names[split][index]
            names[split][index] = (f"{video}_{seen[video]}", video)
            seen[video] += 1
    return names, tuple(notes)


def _is_bare(value: object) -> bool:
    """Whether `clean.clip_name` takes an id as it is, without finding marks of a clip in it."""
    parts = np.asarray(value, dtype=object).ravel()
    return len(parts) == 1 and clean.clip_name(value)[0] == clean.string(parts[0]).strip()


def _length_notes(splits: Mapping[str, Sequence]) -> Iterator[str]:
    """Notes on the lengths that clips bring along."""
    unaligned = long = 0
    for clip in (clip for clips in splits.values() for clip in clips if _is_clip(clip)):
        if len(clip[0]) > _ALIGNED_PARTS:
            unaligned += 1
            long += _has_long(clip[0])
    if unaligned:
        yield (
            f"In {_of(unaligned, splits)} there are more than four parts: vision and audio have lengths of "
            "their own there, and are not aligned with the words."
        )
    if long:
        yield (
            f"In {_of(long, splits)} a length is larger than the array of vision or audio: the whole array "
            "is used there."
        )


def _of(count: int, splits: Mapping[str, Sequence]) -> str:
    return f"{count} of {sum(map(len, splits.values()))} clips"


def _has_long(parts: Sequence) -> bool:
    """Whether a length is larger than its array; False where one is not a length, or not an array."""
    try:
        return any(
            len(parts) > place and _length(parts[place]) > (*clean.shape(parts[stream]), 0)[0]
            for stream, place in _LENGTHS.values()
            if parts[stream] is not None
        )
    except (TypeError, ValueError, OverflowError):  # told of while iterating
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


def _example(clip: object, name: tuple[str, str], split: str, where: str, require_labels: bool) -> Example:
    if not _is_clip(clip):
        raise UserError(f"{where}: expected ((word indices, vision, audio, words), label, id)")
    parts, label, *_ = clip
    words = _words(parts, where)
    aligned = len(parts) <= _ALIGNED_PARTS
    try:
        vision, audio = (_stream(parts, stream) for stream in ("vision", "audio"))
        score = np.nan if label is None else clean.label(clean.labels([label], 1)[0])
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: features or label are not the numbers expected: {error}") from None
    if require_labels and label is None:
        raise UserError(f"{where}: the clip has no label")
    # An empty word would shift every later one against its row, as a pause would.
    keep = np.array([word not in ("", _PAUSE) for word in words], bool)
    if not aligned or all(len(rows) in (0, len(words)) for rows in (vision, audio)):
        words = [word for word, kept in zip(words, keep, strict=True) if kept]
        if aligned:
            vision, audio = (rows[keep] if len(rows) else rows for rows in (vision, audio))
    return Example(*name, split, " ".join(words), audio, vision, aligned=aligned, label=score)


def _stream(parts: Sequence, name: str) -> np.ndarray:
    """The rows of a stream: all where a row is a word, else the last ones of the length that is given."""
    stream, place = _LENGTHS[name]
    rows = clean.features(parts[stream])
    if len(parts) <= max(place, _ALIGNED_PARTS) or not len(rows):
        return rows
    used = rows[max(len(rows) - _length(parts[place]), 0) :]  # the scripts pad, and cut, in front
    return used if len(used) else no_features()


def _words(parts: Sequence, where: str) -> list[str]:
    """The words of a clip, without spaces inside, so that they can be counted again in the joined text."""
    if len(parts) < 3:
        raise UserError(f"{where}: expected (word indices, vision, audio, words), found {len(parts)} parts")
    words = parts[3] if len(parts) > 3 else parts[0]
    if isinstance(words, (str, bytes)):  # as UniMSE joins them
        words = clean.string(words).split()
    if not isinstance(words, (list, tuple, np.ndarray)) or not all(
        isinstance(w, (str, bytes)) for w in words
    ):
        raise UserError(
            f"{where}: the clip has word indices but no list of words, and the file has no vocabulary that "
            "would turn them into text; use a version of the pickle that holds the words"
        )
    return ["".join(clean.string(word).split()) for word in words]
