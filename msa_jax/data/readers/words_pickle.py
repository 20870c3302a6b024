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

from msa_jax.data.conventions import NOTHING, Said, axes, label_columns, padding, videos
from msa_jax.data.conventions.texts import decoded
from msa_jax.data.example import Example
from msa_jax.data.readers import clean, words_padding
from msa_jax.data.readers import words_streams as streams
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "words pickle"
_SURPLUS = f"where the rows beyond the words are padding, {padding.SAY}"
# Fields of `Said` that matter here.
LEAVES_OPEN: tuple[str, ...] = ("axes", "padding", "encoding", "video_id", "label_column")
FOLDER = ("train.pkl", "dev.pkl", "valid.pkl", "test.pkl")  # the usual names, for messages
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
    require_labels: bool | None,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a loaded words pickle.

    Args:
      content: {split: clips} or clips alone, which then have no split. A clip is (parts, label, id), and what
        follows is passed over. The parts are (word indices (L,), vision (L, dv), audio (L, da), words [L]),
        or, as MAG-BERT has it, (words [L], vision (L, dv), audio (L, da)); then a row is a word, and
        zeros at one end beyond the words are padding (see `words_streams.word_padding`). With more than four
        parts, (any, vision (V, dv), audio (A, da), words [L], vision length, audio length, ...), vision and
        audio are streams of their own, and their rows are as many at the end that is not padded (see
        `words_streams`). Words may also come as one text. Words such as "<pad>" at the ends are cut off (see
        `words_padding`).
      where: what to call the file in messages.
      require_labels: whether a clip without a label is an error; None: labels are not read.
      said: what the user says of the file.

    Returns:
      What starts the iteration. Pauses ("sp") are left out, together with their rows where a row is a word.

      A clip without an id is `<split>_<index>` (`clip_<index>` where there is no split) and its own video.
      Ids that name no clip of a video (all but "video[k]", "video$_$k" and lists with a start) may be bare
      names of videos, as MMIM has them for CMU-MOSEI: they are taken for that where more than half of the
      clips that have such an id share it with another clip of the file. Then a clip is `<video>_<k>`,
      counted from 0 within the video: train before valid before test, and in each the order of the file.
      Where fewer share their id they stay as they are, twice, and the checks of a corpus refuse them; of
      which video they are is told as in every format (`videos.name`).

    Raises:
      UserError: when the file has no clips, or an id is not a name (here), or a clip is not built like that
        (while iterating).
    """
    if not isinstance(content, dict):
        content = {"": content}
    splits = {clean.split_alias(key) or "": value for key, value in content.items() if value}
    if not splits:
        raise UserError(f"{where}: the pickle holds no clips")
    if require_labels is None:
        splits = {split: list(map(_unlabelled, clips)) for split, clips in splits.items()}
    texts = decoded(splits, said.encoding, where)
    splits, pads, word_notes = words_padding.cut(texts.content, said.padding)
    names, named, notes = _names(splits, said.video_id, where)
    places = [(split, index) for split, clips in splits.items() for index in range(len(clips))]
    labels, columns = label_columns.of_clips(
        [clip[1] if streams.is_clip(clip) else None for clips in splits.values() for clip in clips],
        name=lambda k: names[places[k][0]][places[k][1]][0],
        asked=said.label_column,
        where=where,
    )
    every = [clip[0] for clips in splits.values() for clip in clips if streams.is_clip(clip)]
    axis_lines = streams.check_axes(every, said.axes, where)
    ends = streams.paddings(every, said.padding, where)
    padded = streams.word_padding(every, said.padding)

    def examples() -> Iterator[Example]:
        for (split, index), label in zip(places, labels, strict=True):
            clip, name, place = splits[split][index], names[split][index], _place(where, split, index)
            if require_labels and streams.is_clip(clip) and clip[1] is None:
                raise UserError(f"{place}: the clip has no label")
            yield _example(clip, name, split, (ends, padded), place, label)

    any_padded = bool(padded or pads or word_notes)
    notes = (*texts.notes, *word_notes, *streams.notes(every, len(places), said.padding, any_padded), *notes)
    at_ends = {"rows of words": padded, "words": pads}
    decided = {**ends, **{what: end for what, end in at_ends.items() if end}}
    conventions = (
        axis_lines
        | padding.conventions(decided)
        | texts.conventions
        | named.conventions
        | columns.conventions
    )
    surplus = "" if said.padding else _SURPLUS
    return Reading(examples, notes, conventions, untold_videos=named.untold, surplus=surplus)


def _place(where: str, split: str, index: int) -> str:
    return f"{where}, {split or 'clip'} {index}"


def _unlabelled(clip: object) -> object:
    """A clip with None for its label; what is not a clip as it is."""
    return (clip[0], None, *clip[2:]) if streams.is_clip(clip) else clip


def _names(
    splits: Mapping[str, Sequence], pattern: str | None, where: str
) -> tuple[dict[str, list[tuple[str, str]]], videos.Named, tuple[str, ...]]:
    """(id, video) of every clip by split, how these were told, and notes on them.

    An entry that is not a clip is ("", "").
    """
    names: dict[str, list[tuple[str, str]]] = {}
    places: list[tuple[str, int]] = []  # of the clips with an id, and its fields
    ids: list[tuple[str, ...]] = []
    unnamed = 0
    for split in sorted(splits, key=_ORDER.index):
        names[split] = []
        for index, clip in enumerate(splits[split]):
            names[split].append(("", ""))
            if streams.is_clip(clip) and (len(clip) == 2 or clip[2] is None):
                unnamed += 1
                names[split][-1] = (f"{split or 'clip'}_{index}",) * 2
            elif streams.is_clip(clip):
                places.append((split, index))
                try:
                    ids.append(clean.id_fields(clip[2]))
                except (TypeError, ValueError) as error:
                    raise UserError(
                        f"{_place(where, split, index)}: the id is not a name: {error}; correct the file"
                    ) from None
    notes = []
    if unnamed:
        notes.append(
            f"In {_of(unnamed, splits)} the id is missing: clip k of a split is called <split>_<k>, and each "
            "of them counts as a video of its own."
        )
    bare = Counter(fields[0] for fields in ids if videos.marked(fields) is None)
    if 2 * sum(count for count in bare.values() if count > 1) > bare.total():
        notes.append(
            f"The ids repeat ({bare.total()} clips have {len(bare)} different ids), so they are taken for "
            "the names of videos: the clips of a video are numbered from 0 in the order of the file."
        )
        named = _numbered(ids, pattern, unnamed, where)
    else:
        named = videos.name(ids, pattern, nameless=unnamed, where=where)
    for (split, index), name in zip(places, named.names, strict=True):
        names[split][index] = name
    return names, named, tuple(notes)


def _numbered(ids: Sequence[tuple[str, ...]], pattern: str | None, unnamed: int, where: str) -> videos.Named:
    """Names clips whose ids without a mark are names of videos, by their numbers in these."""
    named = videos.name(ids, pattern, where=where) if pattern else None
    seen: Counter[str] = Counter()
    names = []
    for place, fields in enumerate(ids):
        name = videos.marked(fields)
        if name is None:
            name = (f"{fields[0]}_{seen[fields[0]]}", fields[0])
            seen[fields[0]] += 1
        names.append((name[0], named.names[place][1] if named else name[1]))
    count = len({video for _, video in names})
    line = named.line if named else f"the ids themselves, which repeat ({len(ids)} ids, {count} videos)"
    return videos.with_nameless(videos.Named(names, line), unnamed)


def _of(count: int, splits: Mapping[str, Sequence]) -> str:
    return f"{count} of {sum(map(len, splits.values()))} clips"


def _example(
    clip: object,
    name: tuple[str, str],
    split: str,
    paddings: tuple[Mapping[str, padding.Padding], padding.Padding | None],
    where: str,
    label: float | np.ndarray,
) -> Example:
    if not streams.is_clip(clip):
        raise UserError(f"{where}: expected ((word indices, vision, audio, words), label, id)")
    parts = clip[0]
    words = _words(parts, where)
    aligned = len(parts) <= streams.ALIGNED_PARTS
    ends, padded = paddings
    try:
        vision, audio = (streams.rows(parts, stream, ends) for stream in ("vision", "audio"))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: features are not the numbers expected: {error}") from None
    shapes = [rows.shape for rows in (vision, audio) if len(rows)]
    if aligned and shapes and all(axes.are_reversed(shape, len(words)) for shape in shapes):
        raise UserError(f"{where}: {len(words)} words, features {shapes}: {axes.reversed_mend(2, 'words')}")
    if aligned:
        vision, audio = (streams.of_words(rows, len(words), padded) for rows in (vision, audio))
    # An empty word would shift every later one against its row, as a pause would.
    keep = np.array([word not in ("", clean.PAUSE) for word in words], bool)
    if not aligned or all(len(rows) in (0, len(words)) for rows in (vision, audio)):
        words = [word for word, kept in zip(words, keep, strict=True) if kept]
        if aligned:
            vision, audio = (rows[keep] if len(rows) else rows for rows in (vision, audio))
    return Example(*name, split, " ".join(words), audio, vision, aligned=aligned, label=label)


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
