"""An .npz archive with one audio and one vision vector per clip, in a form of this project's own."""

from collections.abc import Iterator, Sequence

import numpy as np

from msa_jax.corpora import STREAMS
from msa_jax.data.conventions import NOTHING, Said, axes, label_columns, videos
from msa_jax.data.conventions.texts import decoded
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean, room
from msa_jax.data.readers.npz import Archive
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError, named

NAME = "utterance .npz"
LEAVES_OPEN: tuple[str, ...] = ("encoding", "video_id", "label_column")  # fields of `Said` that matter here
_DIVISIONS, _PREFIX = ("split", "splits", "mode"), "split_"  # names of divisions, and how others begin


def matches(content: object) -> bool:
    """True for an .npz archive with the arrays id and text."""
    return isinstance(content, Archive) and {"id", "text"} <= set(content.files)


def reader(
    content: Archive,
    where: str,
    require_labels: bool | None,
    split_name: str | None = None,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read an archive, its audio and vision clip by clip.

    Args:
      content: with arrays id (N,) "video_clip" or alike (see `videos.name`), text (N,), label (N,), audio
        (N, da), vision (N, dv), and any number of divisions (N,) of train, valid and test: split, splits,
        mode or split_<name>, in upper or lower case; audio and vision may be missing. A note names other
        arrays of one entry a clip, which are not read.
      where: what to call the file in messages.
      require_labels: whether a missing label array is an error; None: it is not read.
      split_name: which division to use, its name with or without "split_"; needed where there are several.
      said: what the user says of the file.

    Returns:
      What starts the iteration; each vector becomes one row, [1, width].

    Raises:
      UserError: when an array is missing or has the wrong shape, or several divisions are there to choose
        from.
    """
    division = _division(content.files, where, split_name)
    wanted = ["id", "text", "label", "audio", "vision", *([division] if division else [])]
    wanted = [name for name in wanted if name != "label" or require_labels is not None]
    shapes = {name: content.header(name).shape for name in wanted if name in content.files}
    count = (*shapes["id"], 0)[0]
    room.check_clips(where, count, content.path.stat().st_size)
    if require_labels and "label" not in shapes:
        raise UserError(f"{where}: an {NAME} needs 'label', found only {', '.join(content.files)}")
    for name, shape in shapes.items():
        if len(shape) == 2 and axes.are_reversed(shape, count):
            raise UserError(f"{where}: {name}: {axes.reversed_mend(2)}")
        if shape[:1] != (count,) or (name in STREAMS and len(shape) != 2):
            raise UserError(
                f"{where}: {name} has shape {shape}, expected one entry for each of {count} clips"
            )
    arrays = {name: content.array(name) for name in shapes if name not in STREAMS}
    unread = _unread(content, wanted, count)
    texts = decoded({name: arrays[name] for name in ("id", "text")}, said.encoding, where)
    ids = videos.name([clean.id_fields(value) for value in texts.content["id"]], said.video_id, where=where)
    columns, labels = label_columns.Columns(), np.full(count, np.nan)
    if "label" in arrays:
        try:
            numbers = label_columns.numbers(arrays["label"], count, lambda k: ids.names[k][0])
        except ValueError as error:
            raise UserError(f"{where}: label is not numbers, one a clip: {error}") from None
        columns = label_columns.decide({"label": numbers}, asked=said.label_column, where=where)
        labels = columns.of(numbers)
    splits = [_split(value, division, where) for value in arrays[division]] if division else [""] * count

    def examples() -> Iterator[Example]:
        rows = {name: content.rows(name) for name in STREAMS if name in shapes}
        for index in range(count):
            identity, video = ids.names[index]
            audio, vision = (
                clean.features(next(rows[name])[None]) if name in rows else no_features() for name in STREAMS
            )
            text = clean.text(texts.content["text"][index])
            yield Example(
                identity, video, splits[index], text, audio, vision, False, label_columns.one(labels[index])
            )

    conventions = texts.conventions | ids.conventions | columns.conventions
    notes = (*texts.notes, *([f"{where}: {unread}."] if unread else []))
    return Reading(examples, notes, conventions, untold_videos=ids.untold)


def _unread(content: Archive, read: Sequence[str], count: int) -> str:
    """Names the arrays of one entry a clip that are not read, the divisions apart that were not chosen."""
    known = {*read, "label", *_divisions(content.files)}
    others = [
        name for name in content.files if name not in known and _entries(content, name) in (count, None)
    ]
    return named("{array is|arrays are} not read", others)


def _entries(content: Archive, name: str) -> int | None:
    """The length of an array; None where it cannot be told, as of Python objects."""
    try:
        return (*content.header(name).shape, -1)[0]
    except UserError:
        return None


def _division(names: list[str], where: str, split_name: str | None) -> str | None:
    divisions = _divisions(names)
    if split_name is not None:
        chosen = split_name if split_name in divisions else _PREFIX + split_name
        if chosen not in divisions:
            raise UserError(
                f"{where}: data.split_name is {split_name!r}, but the file divides its clips by "
                f"{', '.join(divisions) or 'nothing'}"
            )
        return chosen
    if len(divisions) > 1:
        raise UserError(
            f"{where}: {len(divisions)} divisions ({', '.join(divisions)}); set --config.data.split_name to "
            "one"
        )
    return divisions[0] if divisions else None


def _divisions(names: Sequence[str]) -> list[str]:
    """The arrays that divide the clips, by their names."""
    return [name for name in names if name.lower() in _DIVISIONS or name.lower().startswith(_PREFIX)]


def _split(value: object, division: str, where: str) -> str:
    split = clean.split_alias(value)
    if split is None:
        raise UserError(
            f"{where}: {division} holds {str(value)!r}, which is none of train, valid (dev, val), test"
        )
    return split
