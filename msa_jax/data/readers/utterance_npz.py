"""An .npz archive with one audio and one vision vector per clip, in a form of this project's own."""

import lzma
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

from msa_jax.data.conventions import NOTHING, Said, axes, label_columns, videos
from msa_jax.data.conventions.texts import decoded
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "utterance .npz"
LEAVES_OPEN: tuple[str, ...] = ("encoding", "video_id", "label_column")  # fields of `Said` that matter here
_PREFIX = "split_"
# The errors of a damaged archive: one bit is enough to name another method, or to ask for a password.
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


def matches(content: object) -> bool:
    """True for an opened .npz archive with the arrays id and text."""
    return isinstance(content, np.lib.npyio.NpzFile) and {"id", "text"} <= set(content.files)


def reader(
    content: np.lib.npyio.NpzFile,
    where: str,
    require_labels: bool | None,
    split_name: str | None = None,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read an opened archive.

    Args:
      content: arrays id (N,) "video_clip" or alike (see `videos.name`), text (N,), label (N,), audio
        (N, da), vision (N, dv), and any number of divisions split_<name> (N,) of train, valid and test; audio
        and vision may be missing.
      where: what to call the file in messages.
      require_labels: whether a missing label array is an error; None: it is not read.
      split_name: which division to use, with or without "split_"; needed where there are several.
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
    arrays = {name: _array(content, name, where) for name in wanted if name in content.files}
    count = len(arrays["id"])
    if require_labels and "label" not in arrays:
        raise UserError(f"{where}: an {NAME} needs 'label', found only {', '.join(content.files)}")
    for name, array in arrays.items():
        if array.ndim == 2 and axes.are_reversed(array.shape, count):
            raise UserError(f"{where}: {name}: {axes.reversed_mend(2)}")
        if len(array) != count or (name in ("audio", "vision") and array.ndim != 2):
            raise UserError(
                f"{where}: {name} has shape {array.shape}, expected one entry for each of {count} clips"
            )
    texts = decoded({name: arrays[name] for name in ("id", "text")}, said.encoding, where)
    named = videos.name([clean.id_fields(value) for value in texts.content["id"]], said.video_id, where=where)
    columns, labels = label_columns.Columns(), np.full(count, np.nan)
    if "label" in arrays:
        try:
            numbers = label_columns.numbers(arrays["label"], count, lambda k: named.names[k][0])
        except ValueError as error:
            raise UserError(f"{where}: label is not numbers, one a clip: {error}") from None
        columns = label_columns.decide({"label": numbers}, asked=said.label_column, where=where)
        labels = columns.of(numbers)
    splits = [_split(value, division, where) for value in arrays[division]] if division else [""] * count

    def examples() -> Iterator[Example]:
        for index in range(count):
            identity, video = named.names[index]
            audio, vision = (
                clean.features(arrays[name][index : index + 1]) if name in arrays else no_features()
                for name in ("audio", "vision")
            )
            text = clean.text(texts.content["text"][index])
            yield Example(
                identity, video, splits[index], text, audio, vision, False, label_columns.one(labels[index])
            )

    conventions = texts.conventions | named.conventions | columns.conventions
    return Reading(examples, texts.notes, conventions, untold_videos=named.untold)


def _array(content: np.lib.npyio.NpzFile, name: str, where: str) -> np.ndarray:
    try:
        return content[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"{where}: {name} holds Python objects, which are not loaded; save plain arrays of numbers "
                "or text"
            ) from None
        raise UserError(f"{where}: {name} is damaged ({error}); copy the file again") from None
    except ZIP_ERRORS as error:
        raise UserError(f"{where}: the archive is damaged ({error}); copy it again") from None


def _division(names: list[str], where: str, split_name: str | None) -> str | None:
    divisions = [name for name in names if name.startswith(_PREFIX)]
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


def _split(value: object, division: str, where: str) -> str:
    split = clean.split_alias(value)
    if split is None:
        raise UserError(
            f"{where}: {division} holds {str(value)!r}, which is none of train, valid (dev, val), test"
        )
    return split
