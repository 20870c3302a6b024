"""HDF5 files with one padded array each, as MFN and MARN have them: `audio_train.h5`, `y_train.h5`, ...

This follows the repository pliang279/MFN: the files of its folder `new_data`, one for each modality, and
those of its script `test_mosi.py`, which joins the modalities into one array: `X_train.h5`, `y_train.h5`, ...
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax.data.conventions import NOTHING, Said, axes, fillers, label_columns, padding, videos
from msa_jax.data.conventions.used import ends as used_ends
from msa_jax.data.example import Example
from msa_jax.data.readers import clean, hdf5_folder, room
from msa_jax.data.readers.hdf5_folder import COLUMNS, MODALITIES, Array, splits_of
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME, members = hdf5_folder.NAME, hdf5_folder.members
LEAVES_OPEN: tuple[str, ...] = ("axes", "padding", "label_column")  # fields of `Said` that matter here
_BLOCK = 1 << 25  # bytes of one array that are read at once


def reader(
    path: Path,
    where: str,
    require_labels: bool | None,
    text_features: bool = False,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a folder of arrays, a block of clips at a time.

    Args:
      path: the folder. Files are named <array>_<split>.h5 with the arrays audio, video (or vision, visual),
        text (or text_<split>_emb) and y (or label, labels); each holds one dataset: features (N, L, d), or
        labels (N,), (N, 1) or (N, 1, 1). What all splits have is read. Beside text_<split>_emb, text_<split>
        may hold numbers of words, which are passed over. A file X_<split>.h5 stands for three: its 325
        columns are 300 of text, 5 of audio and 20 of vision.
      where: what to call the folder in messages.
      require_labels: whether a split without labels is an error; without them the label is NaN. None: labels
        are not read.
      text_features: whether to read the text's rows.
      said: what the user says of the file.

    Returns:
      What starts the iteration, train before valid before test. The files name no clips, so that
      clip k is `<split>_<k>` and its own video, and there are no words. Padding is cut off the end at
      which nearly all clips have it, else both; where the modalities of a split have equal L they are taken
      for aligned with each other and cut together. Notes say what was passed over and which files had their
      columns split.

    Raises:
      UserError: when an array is missing or there twice, its shape or width is wrong, the arrays of a split
        differ in N, or a file is damaged.
    """
    splits, notes = splits_of(path, where, labels=require_labels is not None)
    held = {name for arrays in splits.values() for name in arrays}
    if not held & set(MODALITIES):
        raise UserError(f"{where}: holds labels but no audio, video or text array; add their files")
    if text_features and "text" not in held:
        raise clean.NoTextFeatures(where)
    needed = (held | {"label"}) if require_labels else (held - {"label"})
    for split, arrays in splits.items():
        if missing := sorted(needed - arrays.keys()):
            found = ", ".join(dict.fromkeys(array.path.name for array in arrays.values()))
            raise UserError(
                f"{where}: the {split} split has no {' and no '.join(missing)} array, only {found}; "
                "add the missing file"
            )
        _check(split, arrays, where)
    numbers = {split: _labels(split, arrays) for split, arrays in splits.items() if "label" in arrays}
    columns = label_columns.decide(numbers, asked=said.label_column, where=where)
    labels = {split: np.full(_count(arrays), np.nan) for split, arrays in splits.items()}
    labels |= {split: columns.of(values) for split, values in numbers.items()}
    if not any(map(len, labels.values())):
        raise UserError(f"{where}: the arrays hold no clips")
    read = [name for name in MODALITIES if name in held and (name != "text" or text_features)]

    chosen = {split: {name: arrays[name] for name in read} for split, arrays in splits.items()}
    looked_at = {
        name: [arrays[name].some() for arrays in splits.values()] for name in MODALITIES if name in held
    }
    first = next(iter(splits.values()))  # the width of a joint array is known
    own = {first[name].path.name: parts for name, parts in looked_at.items() if first[name].part is None}
    conventions = axes.decide(own, where, said=said.axes)
    filled, doubts = fillers.decide({name: looked_at[name] for name in read}, said.padding)
    notes += doubts
    ends = fillers.told(_paddings(chosen.values(), filled, said.padding, where), filled)

    def examples() -> Iterator[Example]:
        for split, arrays in chosen.items():
            for index, rows in enumerate(_clips(arrays, len(labels[split]), filled, ends)):
                identity = f"{split}_{index}"
                yield Example(
                    id=identity,
                    video=identity,
                    split=split,
                    text="",
                    audio=clean.features(rows.get("audio")),
                    vision=clean.features(rows.get("vision")),
                    aligned=False,
                    label=label_columns.one(labels[split][index]),
                    text_features=clean.features(rows.get("text")),
                )

    joint = {array.path.name: None for arrays in splits.values() for array in arrays.values() if array.part}
    if joint:
        notes.append(
            f"The columns of {', '.join(joint)} are split in the order of MFN's test_mosi.py: the first 300 "
            "are read as text, the next 5 as audio and the last 20 as vision."
        )
    named = videos.name([], nameless=sum(map(len, labels.values())), where=where)
    conventions |= padding.conventions(ends) | named.conventions | columns.conventions
    return Reading(examples, tuple(notes), conventions, untold_videos=named.untold)


def _check(split: str, arrays: dict[str, Array], where: str) -> None:
    for name, array in arrays.items():
        if name in MODALITIES and len(array.shape) != 3:
            raise UserError(
                f"{array.path}: {array.dataset} must be (clips, steps, width), found {array.shape}; "
                "extract the features again"
            )
    if axes.all_reversed([array.shape for array in arrays.values()]):
        found = ", ".join(f"{array.path.name} {array.shape}" for array in arrays.values())
        raise UserError(f"{where}: {axes.reversed_mend()} (the {split} split: {found})")
    counts = {array.path.name: array.shape[0] if array.shape else 0 for array in arrays.values()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in {name}" for name, count in counts.items())
        raise UserError(
            f"{where}: the arrays of the {split} split differ in their number of clips ({found}); they must "
            "come from one extraction"
        )
    stored = sum(array.path.stat().st_size for array in arrays.values())
    room.check_clips(f"{where}: the {split} split", next(iter(counts.values())), stored)


def _count(arrays: dict[str, Array]) -> int:
    return next(iter(arrays.values())).shape[0]


def _labels(split: str, arrays: dict[str, Array]) -> np.ndarray:
    """The numbers [n, K] of the clips of a split."""
    array, count = arrays["label"], _count(arrays)
    try:
        return label_columns.numbers(array.whole(), count, lambda k: f"{split}_{k}")
    except ValueError as error:
        raise UserError(f"{array.path}: {array.dataset} is not numbers, one a clip: {error}") from None


def _paddings(
    splits: Iterable[dict[str, Array]], filled: Mapping[str, fillers.Filler], said: str | None, where: str
) -> dict[str, padding.Padding]:
    """Decides at which end the modalities are padded; under "" those of splits that have one time line."""
    used: dict[str, list[np.ndarray]] = {"": []}
    for arrays in splits:
        found = {name: _ends(array, filled.get(name)) for name, array in arrays.items()}
        if _on_one_time_line(arrays):
            used[""].append(padding.together(found, where, said))
            continue
        for name, ends in found.items():
            used.setdefault(name, []).append(ends)
    return {name: padding.by_ends(np.concatenate(parts), said) for name, parts in used.items() if parts}


def _ends(array: Array, filled: fillers.Filler | None) -> np.ndarray:
    """What `used.ends` says of an array without what fills it up."""
    if filled is None:
        return array.ends()
    clips = (rows[array.part] for rows in _blocks({array.part: array}, array.shape[0]))
    return np.concatenate([np.zeros((0, 3), bool), *(used_ends(filled.blanked_all(rows)) for rows in clips)])


def _on_one_time_line(arrays: dict[str, Array]) -> bool:
    return len({array.shape[1] for array in arrays.values()}) == 1


def _clips(
    arrays: dict[str, Array],
    count: int,
    filled: Mapping[str, fillers.Filler],
    ends: Mapping[str, padding.Padding],
) -> Iterator[dict[str, np.ndarray]]:
    """The rows of one clip after the other, without their padding."""
    together = _on_one_time_line(arrays)
    for rows in _blocks(arrays, count):
        for index in range(len(next(iter(rows.values())))):
            clip = {name: part[index] for name, part in rows.items()}
            clip |= {name: found.blanked(clip[name]) for name, found in filled.items() if name in clip}
            yield padding.trim(clip, ends, together=together)


def _blocks(arrays: Mapping[Any, Array], count: int) -> Iterator[dict[Any, np.ndarray]]:
    """The rows [n, L, d] of some clips after the other."""
    files = {array.path: array for array in arrays.values()}.values()  # a joint one is read once
    largest = max((array.shape[1] * array.shape[2] * 8 for array in files), default=0)
    block = max(1, _BLOCK // max(1, largest))
    for start in range(0, count, block):
        read = {array.path: array.read(slice(start, start + block)) for array in files}
        yield {name: _columns(read[array.path], array.part) for name, array in arrays.items()}


def _columns(rows: np.ndarray, part: str | None) -> np.ndarray:
    """The columns of one modality, all where the array is not joint."""
    return rows if part is None else rows[..., COLUMNS[part]]
