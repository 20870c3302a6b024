"""Computational sequences (`.csd`) of the CMU-MultimodalSDK: features with their times, video by video.

The clips are those that the SDK's `mmdataset.align` (`mmsdk/mmdatasdk/dataset/dataset.py`) cuts by the
labels, and their rows those that it makes of the words' intervals with a collapse function for the mean.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from msa_jax.data.conventions import NOTHING, Said, encodings, misread
from msa_jax.data.example import Example
from msa_jax.data.readers import clean, csd_labels, csd_times
from msa_jax.data.readers.csd_labels import Segment
from msa_jax.data.readers.csd_sequence import Sequence, open_sequence, roots
from msa_jax.data.readers.csd_times import Watch
from msa_jax.data.readers.hdf5 import opened
from msa_jax.data.readers.reading import Reading
from msa_jax.data.readers.timed_rows import TimedRows
from msa_jax.errors import UserError, counted, worded
from msa_jax.files import read_json

NAME = "CMU-MultimodalSDK .csd"
LEAVES_OPEN: tuple[str, ...] = ("encoding", "time_units", "label_column")  # fields of `Said` that matter here
SPLITS = "splits.json"  # the file that divides the videos, beside the others


def matches(content: object) -> bool:
    """True for the path of an HDF5 file that has groups <root>/data."""
    if not isinstance(content, Path) or not h5py.is_hdf5(content):
        return False
    with opened(content) as file:
        return bool(roots(file))


def members(path: Path) -> list[Path]:
    """The files that hold the data of a folder (or of one .csd file), sorted: .csd files and splits.json."""
    folder = path if path.is_dir() else path.parent
    inside = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    sequences = [file for file in inside if file.suffix.lower() == ".csd"] if path.is_dir() else [path]
    return sorted(sequences + [file for file in inside if sequences and file.name == SPLITS])


def reader(
    path: Path,
    where: str,
    require_labels: bool | None,
    text_features: bool = False,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read computational sequences, one video at a time.

    Args:
      path: a folder of .csd files or one of them. What each holds is told by its root name, else by the name
        of the file: labels (see `label_columns.decide`), words (strings), audio, vision,
        or word vectors; phones are passed over. A file splits.json beside them ({"train": [video, ...],
        "valid": [...], "test": [...]}) divides the videos. Times are seconds, or what `times.decide` tells.
      where: what to call the folder in messages.
      require_labels: None: of the labels only the times are read. Otherwise it makes no difference: the
        clips are cut by the labels.
      text_features: whether to read the word vectors.
      said: what the user says of the file.

    Returns:
      What starts the iteration. Clip `<video>_<k>` is the k-th label of the video, in the order of the file
      and counted from 0; labels of no length make no clip (see `csd_labels`, and the notes). With words, its
      text is the words that overlap its interval without the pauses ("sp"), and audio, vision and word
      vectors have one row a word: the mean over the frames that overlap the word, zeros where none does.
      Without words, they have the frames that overlap the clip. Rows that end before they start are left
      out, and told in a note.

    Raises:
      UserError: when there are no labels, a file's role is unknown or taken twice, the splits leave out a
        video, no video of the labels is in another file, it is not clear in which unit the times of a stream
        are or which column is the label, or the labels are damaged (here), or another file is damaged, or one
        video is in another unit than the rest (here or while iterating).
    """
    sequences = _sequences(path, where, text_features)
    labels = csd_labels.read(sequences["labels"], said.label_column, values=require_labels is not None)
    splits = _splits(path, sequences["labels"])
    asked = _asked(said, sequences, where)
    units = csd_times.units(sequences, labels.intervals, asked)
    for role, per_second in units.per_second.items():
        sequences[role] = dataclasses.replace(sequences[role], per_second=per_second)
    clips, notes = csd_labels.segments(labels, sequences["labels"])
    watch = Watch(sequences, units)
    encoding, doubtful = _encoding(sequences.get("words"), said.encoding, where)

    def examples() -> Iterator[Example]:
        for video, cut in clips.items():
            streams = _video(video, sequences, watch, cut, encoding)
            yield from _clips(video, splits.get(video, ""), cut, streams)

    conventions = {"encoding": encoding.line} if encoding.line else {}
    conventions |= units.conventions | labels.columns.conventions
    return Reading(examples, (*notes, *doubtful), conventions, later_notes=watch.notes)


def _encoding(
    words: Sequence | None, said: str | None, where: str
) -> tuple[encodings.Encoding, tuple[str, ...]]:
    """The encoding of all words, and a note on those that were written in a wrong one."""
    texts: set[bytes] = set()
    for video in words.videos if words else ():
        texts.update(words.arrays(video)[1].ravel().tolist())
    encoding = encodings.decide(texts, said=said, where=where)
    beyond = [encoding.decode(text) for text in texts if not text.isascii()]
    return encoding, misread.notes(beyond, where, count=len(texts), said=said, codec=encoding.codec)


def _asked(said: Said, sequences: Mapping[str, Sequence], where: str) -> dict[str, float]:
    """How many units of time make a second, for the streams of which the user says it."""
    asked = dict(said.time_units or ())
    for role in asked:
        if role not in sequences and role != "word vectors":  # these are read on request only
            raise UserError(
                f"{where}: data.time_units names {role}, and there are only {', '.join(sequences)}"
            )
    return {role: units for role, units in asked.items() if role in sequences}


def _video(
    video: str,
    sequences: Mapping[str, Sequence],
    watch: Watch,
    cut: list[Segment],
    encoding: encodings.Encoding,
) -> dict[str, TimedRows]:
    """The rows of a video by stream; none where a file lacks the video."""
    streams: dict[str, TimedRows] = {}
    intervals = {"labels": np.array([(segment.start, segment.end) for segment in cut])}
    for role, sequence in sequences.items():
        if role == "labels":
            continue
        if video not in sequence.videos:
            streams[role] = TimedRows(np.zeros((0, 2)), np.zeros((0, 0)))
            continue
        intervals[role], rows = sequence.arrays(video)
        if role == "words":
            streams[role] = _words(intervals[role], rows, encoding)
        else:
            streams[role] = TimedRows(intervals[role], rows)
    if len(intervals) > 1:
        watch.check(video, intervals)
    return streams


def _clips(video: str, split: str, cut: list[Segment], streams: Mapping[str, TimedRows]) -> Iterator[Example]:
    words = streams.get("words")
    streams = {role: timed for role, timed in streams.items() if role != "words"}
    for k, start, end, label in cut:
        if words is None:
            text = ""
            rows = {role: timed.rows[timed.within(start, end)] for role, timed in streams.items()}
        else:
            spoken = words.within(start, end)
            text = " ".join(words.rows[spoken])
            rows = {role: _by_word(timed, words.intervals[spoken]) for role, timed in streams.items()}
        yield Example(
            id=f"{video}_{k}",
            video=video,
            split=split,
            text=text,
            audio=clean.features(rows.get("audio")),
            vision=clean.features(rows.get("vision")),
            aligned=words is not None,
            label=label,
            text_features=clean.features(rows.get("word vectors")),
        )


def _words(intervals: np.ndarray, features: np.ndarray, encoding: encodings.Encoding) -> TimedRows:
    """A video's words without pauses, and without spaces inside, so that they can be counted in the text."""
    words = np.array(
        ["".join(clean.string(encoding.decode(word)).split()) for word in features[:, 0]], object
    )
    spoken = np.array([word not in ("", clean.PAUSE) for word in words], bool)
    return TimedRows(intervals[spoken], words[spoken])


def _by_word(timed: TimedRows, spans: np.ndarray) -> np.ndarray | None:
    """[words, width] with the mean row of each word's interval; None where no row overlaps any word."""
    means = [timed.mean(start, end) for start, end in spans]
    if all(mean is None for mean in means):
        return None
    silent = np.zeros(timed.rows.shape[1])
    return np.stack([silent if mean is None else mean for mean in means])


def _sequences(path: Path, where: str, text_features: bool) -> dict[str, Sequence]:
    """The files that are read, by role."""
    found: dict[str, Sequence] = {}
    files = [file for file in members(path) if file.name != SPLITS]
    for file in files:
        sequence = open_sequence(file)
        if sequence.role == "phones" or (sequence.role == "word vectors" and not text_features):
            continue
        if sequence.role in found:
            raise UserError(
                f"{where}: {found[sequence.role].path.name} and {file.name} both hold {sequence.role}; leave "
                "one of them in the folder"
            )
        found[sequence.role] = sequence
    if "labels" not in found:
        raise UserError(
            f"{where}: there are no labels among {', '.join(file.name for file in files) or 'its files'}, by "
            "which the videos are cut into clips; add the corpus's label file (such as "
            "CMU_MOSI_Opinion_Labels.csd)"
        )
    if text_features and "word vectors" not in found:
        raise clean.NoTextFeatures(where)
    labels = found["labels"]
    if numbered := next((video for video in labels.videos if re.search(r"\[\d+\]$", video)), None):
        raise UserError(
            f"{labels.path}: {numbered} names a clip, as in files that the SDK has aligned already; use the "
            "original files"
        )
    for sequence in found.values():
        if not labels.videos.keys() & sequence.videos.keys():
            raise UserError(
                f"{where}: {sequence.path.name} has none of the videos of {labels.path.name}; take all files "
                "from one corpus, as they were before the SDK aligned them"
            )
    return found


def _splits(path: Path, labels: Sequence) -> dict[str, str]:
    """The split of each video; nothing where there is no file that divides them."""
    file = next((file for file in members(path) if file.name == SPLITS), None)
    if file is None:
        return {}
    wanted = '{"train": [video, ...], "valid": [...], "test": [...]}'
    try:
        lists = read_json(file)
    except UserError as error:
        raise UserError(f"{error}; expected {wanted}") from None
    listed = all(isinstance(videos, list) for videos in lists.values())
    if not listed or any(isinstance(v, list | dict) for videos in lists.values() for v in videos):
        raise UserError(f"{file}: expected {wanted}")
    splits: dict[str, str] = {}
    for name, videos in lists.items():
        split = clean.split_alias(name)
        if split is None:
            raise UserError(f"{file}: {name!r} is none of train, valid (dev, val), test")
        for video in map(str, videos):
            if splits.setdefault(video, split) != split:
                raise UserError(f"{file}: video {video} is in two splits, {splits[video]} and {split}")
    if missing := [video for video in labels.videos if video not in splits]:
        raise UserError(
            f"{file}: {counted(len(missing), '{video|videos}')} of {labels.path.name} "
            f"{worded(len(missing), '{is|are}')} in no split, the first is "
            f"{missing[0]}; add them to one of the lists"
        )
    return splits
