"""The words pickle of MISA, MMIM, MAG-BERT and BBFN: features word by word, words as strings."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from msa_jax.data.example import Example
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "words pickle"
_PAUSE = "sp"  # how the forced aligner writes silence between words
FOLDER = ("train.pkl", "dev.pkl", "valid.pkl", "test.pkl")


def members(folder: Path) -> list[Path]:
    """The split files in a folder, sorted; [] where there are none."""
    return sorted(folder / name for name in FOLDER if (folder / name).is_file())


def matches(content: object) -> bool:
    """True for a list of clips, and for a dict of such lists by split."""
    if isinstance(content, dict):
        splits = [value for key, value in content.items() if clean.split_alias(key)]
        return bool(splits) and all(isinstance(value, (list, tuple)) for value in splits)
    return isinstance(content, (list, tuple))


def reader(content: object, where: str, require_labels: bool) -> Reading:
    """Prepares to read a loaded words pickle.

    Args:
      content: {split: clips} or clips alone, which then have no split. A clip is
        ((word indices (L,), vision (L, dv), audio (L, da), words [L]), label, id) or, as MAG-BERT has it,
        ((words [L], vision (L, dv), audio (L, da)), label, id).
      where: what to call the file in messages.
      require_labels: whether a clip without a label is an error.

    Returns:
      What starts the iteration; pauses ("sp") are left out together with their rows.

    Raises:
      UserError: the file has no clips (here), or a clip is not built like that (while iterating).
    """
    if not isinstance(content, dict):
        content = {"": content}
    splits = {clean.split_alias(key) or "": value for key, value in content.items() if value}
    if not splits:
        raise UserError(f"{where}: the pickle holds no clips")

    def examples() -> Iterator[Example]:
        for split, clips in splits.items():
            for index, clip in enumerate(clips):
                yield _example(clip, split, f"{where}, {split or 'clip'} {index}", require_labels)

    return Reading(examples)


def _example(clip: object, split: str, where: str, require_labels: bool) -> Example:
    if not isinstance(clip, (list, tuple)) or len(clip) != 3 or not isinstance(clip[0], (list, tuple)):
        raise UserError(f"{where}: expected ((word indices, vision, audio, words), label, id)")
    parts, label, name = clip
    words = _words(parts, where)
    try:
        vision, audio = clean.features(parts[1]), clean.features(parts[2])
        score = np.nan if label is None else clean.label(clean.labels([label], 1)[0])
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: features or label are not the numbers expected: {error}") from None
    if require_labels and label is None:
        raise UserError(f"{where}: the clip has no label")
    # An empty word would shift every later one against its row, as a pause would.
    keep = np.array([word not in ("", _PAUSE) for word in words], bool)
    if all(len(rows) in (0, len(words)) for rows in (vision, audio)):
        words = [word for word, kept in zip(words, keep, strict=True) if kept]
        vision, audio = (rows[keep] if len(rows) else rows for rows in (vision, audio))
    identity, video = clean.clip_name(name)
    return Example(identity, video, split, " ".join(words), audio, vision, aligned=True, label=score)


def _words(parts: Sequence, where: str) -> list[str]:
    """The words of a clip, without spaces inside, so that they can be counted again in the joined text."""
    if len(parts) < 3:
        raise UserError(f"{where}: expected (word indices, vision, audio, words), found {len(parts)} parts")
    words = parts[3] if len(parts) > 3 else parts[0]
    if not isinstance(words, (list, tuple, np.ndarray)) or not all(
        isinstance(w, (str, bytes)) for w in words
    ):
        raise UserError(
            f"{where}: the clip has word indices but no list of words, and the file has no vocabulary that "
            "would turn them into text; use a version of the pickle that holds the words"
        )
    return ["".join(clean.string(word).split()) for word in words]
