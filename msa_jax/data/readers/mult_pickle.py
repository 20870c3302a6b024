"""The MulT pickle (`mosi_data.pkl`, `mosei_senti_data_noalign.pkl`, `iemocap_data.pkl`): it has no words.

This follows the loader `src/dataset.py` of yaohungt/Multimodal-Transformer, and `src/eval_metrics.py` there
for the order of IEMOCAP's emotions.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from msa_jax.data.conventions import NOTHING, Said, axes, fillers, label_columns, padding, videos
from msa_jax.data.conventions.texts import decoded
from msa_jax.data.conventions.used import ends as used_ends
from msa_jax.data.example import Example, no_features
from msa_jax.data.readers import clean
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "MulT pickle"
# Fields of `Said` that matter here.
LEAVES_OPEN: tuple[str, ...] = ("axes", "padding", "encoding", "video_id", "label_column")
_MODALITIES = ("text", "audio", "vision")
_OTHERS = {"raw_text", "regression_labels"}  # what only an MMSA pickle has
# The file's emotions are neutral, happy, sad, angry: the order that the format's own evaluation names them
# in. This takes them to happy, sad, angry, neutral, the order of `msa_jax.corpora.EMOTIONS`.
_EMOTIONS = [1, 2, 3, 0]
_CLIP_FIRST = (
    "The first field of id is different in every clip, so it is read as <video>_<clip>, the form of MulT's "
    "MOSI; the times beside it are not used."
)
_VIDEO_FIRST = (
    "The first field of id is the same in several clips, so it is read as the video, the form of MulT's "
    "MOSEI; clips are named by their start times."
)


def matches(content: object) -> bool:
    """True for a dict by split of dicts with features and without words."""
    if not isinstance(content, dict):
        return False
    splits = [value for key, value in content.items() if clean.split_alias(key)]
    if not all(isinstance(value, dict) for value in splits):
        return False
    keys = set().union(*splits)
    return bool(keys & {*_MODALITIES}) and not keys & _OTHERS


def reader(
    content: dict,
    where: str,
    require_labels: bool | None,
    text_features: bool = False,
    said: Said = NOTHING,
) -> Reading:
    """Prepares to read a loaded MulT pickle.

    Args:
      content: {split: {text (N, L, dt), audio (N, La, da), vision (N, Lv, dv), labels, id}}, padded with rows
        of zeros, by MulT in front. A modality may be missing. labels are scores (N, 1, 1) or, for IEMOCAP,
        (N, 4, 2): two numbers for each of neutral, happy, sad and angry, the second of which is the larger
        where it applies. id is (N, 1), or (N, 3) with the start and the end of the clip behind its first
        field. Where no two clips of the file share a first field, it names the clip, as in MOSI; else it is
        the video, as in MOSEI, and the start tells its clips apart. Where id is missing, as in IEMOCAP, clips
        are called `<split>_<index>`, each its own video.
      where: what to call the file in messages.
      require_labels: whether missing labels are an error; None: labels are not read.
      text_features: whether to read the features of the text; it has no words.
      said: what the user says of the file.

    Returns:
      What starts the iteration; the padding is cut off, at the end at which nearly all clips have it, else at
      both. Modalities of equal L are on one time line and are cut together. A note says how an id of several
      fields is read.

    Raises:
      UserError: when an array is missing, or arrays of one split disagree.
    """
    texts = decoded(content, said.encoding, where)
    splits = {}
    for key, arrays in texts.content.items():
        if (split := clean.split_alias(key)) and arrays:
            clean.rename(arrays, f"{where}, {key}")
            if text_features and arrays.get("text") is None:
                raise clean.NoTextFeatures(where)
            if require_labels is None:
                arrays.pop("labels", None)
            checked = _checked(arrays, f"{where}, {key}", require_labels)
            if _count(checked):
                splits[split] = checked
    if not splits:
        raise UserError(f"{where}: the pickle holds no clips")
    features = {name: [part[name] for part in splits.values() if name in part] for name in _MODALITIES}
    axis_lines = axes.decide(features, where, said=said.axes)
    columns = _decide_labels(splits, said.label_column, where)
    first = [
        clean.string(fields[0]).strip()
        for arrays in splits.values()
        for fields in map(_fields, arrays.get("id", ()))
        if len(fields) > 1
    ]
    clip_first = len(set(first)) == len(first)  # one decision for the file: MOSEI has videos with one clip
    names, named = _names(splits, clip_first, said.video_id, where)
    filled = fillers.blank(list(splits.values()), _MODALITIES, said.padding)
    ends = fillers.told(_paddings(splits.values(), said.padding, where), filled.fillers)

    def examples() -> Iterator[Example]:
        for split, arrays in splits.items():
            for index in range(_count(arrays)):
                try:
                    yield _example(arrays, index, split, text_features, names[split][index], ends)
                except (TypeError, ValueError) as error:
                    raise UserError(f"{where}, {split} clip {index}: not as in a {NAME}: {error}") from None

    notes = (*texts.notes, *filled.notes, *((_CLIP_FIRST if clip_first else _VIDEO_FIRST,) if first else ()))
    conventions = (
        axis_lines | padding.conventions(ends) | texts.conventions | named.conventions | columns.conventions
    )
    return Reading(examples, notes, conventions, untold_videos=named.untold)


def _checked(arrays: dict, where: str, require_labels: bool | None) -> dict:
    """The arrays of one split that are used, one entry a clip; the first is a modality's."""
    checked = {name: arrays[name] for name in _MODALITIES if arrays.get(name) is not None}
    if not checked:
        found = ", ".join(sorted(str(name) for name in arrays))
        raise UserError(f"{where}: a {NAME} needs text, audio or vision, found only {found}")
    for name, values in checked.items():
        shape = _shape(values)
        if len(shape) != 3 and shape != (0,):
            raise UserError(f"{where}: {name} must be (clips, rows, width), found {shape}")
    count = _count(checked)
    for name in ("id", "labels"):
        if arrays.get(name) is not None and (name == "labels" or len(arrays[name])):
            checked[name] = arrays[name]
    if require_labels and "labels" not in checked:
        found = ", ".join(sorted(str(name) for name in arrays))
        raise UserError(f"{where}: a {NAME} needs 'labels', found only {found}")
    found = {name: _shape(values) for name, values in checked.items()}
    counts = [
        shape[:1] if shape[:1] > (1,) else shape for name, shape in found.items() if name not in _MODALITIES
    ]
    if axes.all_reversed([*(found[name] for name in _MODALITIES if name in found), *counts]):
        shapes = ", ".join(f"{name} {shape}" for name, shape in found.items())
        raise UserError(f"{where}: {axes.reversed_mend()} ({shapes})")
    uneven = [f"{name} {len(values)}" for name, values in checked.items() if len(values) != count]
    if uneven:
        raise UserError(
            f"{where}: {count} clips, but {', '.join(uneven)}; every array needs one entry a clip"
        )
    if "labels" in checked:
        try:
            checked["labels"] = _labels(checked["labels"], count)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: labels are not numbers, one a clip: {error}") from None
    return checked


def _count(arrays: dict) -> int:
    return len(next(iter(arrays.values())))


def _shape(values: object) -> tuple[int, ...]:
    """The shape that an array of objects, each a clip, would have as one array, too."""
    shape = clean.shape(values)
    return shape + clean.shape(values[0]) if len(shape) == 1 and shape[0] else shape


def _labels(values: object, count: int) -> np.ndarray:
    """The numbers [N, K] of the clips; of pairs the classes [N, 4], NaN where one of the two numbers is."""
    if _shape(values)[1:] == (4, 2):
        pairs = np.stack([clean.features(value) for value in values])
        classes = pairs[..., 1] > pairs[..., 0]  # as the loader's argmax, which takes the first of two equals
        return np.where(np.isnan(pairs).any(-1), np.nan, classes)
    return label_columns.numbers(values, count, str)


def _decide_labels(splits: dict[str, dict], asked: int | None, where: str) -> label_columns.Columns:
    """Takes the label out of each split's numbers; the classes in the order of `EMOTIONS`."""
    numbers = {split: arrays["labels"] for split, arrays in splits.items() if "labels" in arrays}
    columns = label_columns.decide(numbers, asked=asked, where=where)
    for split, values in numbers.items():
        labels = columns.of(values)
        splits[split]["labels"] = labels[:, _EMOTIONS] if labels.ndim == 2 else labels
    return columns


def _example(
    arrays: dict,
    index: int,
    split: str,
    text_features: bool,
    name: tuple[str, str],
    ends: Mapping[str, padding.Padding],
) -> Example:
    padded = {name: clean.features(arrays[name][index]) for name in _MODALITIES if name in arrays}
    padded = {name: rows for name, rows in padded.items() if rows.size}
    together = len({len(steps) for steps in padded.values()}) == 1
    rows = padding.trim(padded, ends, together=together)
    rows = {name: np.ascontiguousarray(steps) for name, steps in rows.items() if steps.size}
    label = label_columns.one(arrays["labels"][index]) if "labels" in arrays else np.nan
    return Example(
        *name,
        split,
        "",
        rows.get("audio", no_features()),
        rows.get("vision", no_features()),
        False,
        label,
        rows.get("text", no_features()) if text_features else no_features(),
    )


def _fields(value: object) -> list[object]:
    """The fields of one clip's entry of id."""
    nested = isinstance(value, (list, tuple, np.ndarray))
    return list(np.asarray(value, dtype=object).ravel()) if nested else [value]


def _names(
    splits: Mapping[str, dict], clip_first: bool, pattern: str | None, where: str
) -> tuple[dict[str, list[tuple[str, str]]], videos.Named]:
    """(id, video) of every clip by split, and how they were told.

    Args:
      splits: the arrays.
      clip_first: whether the first of several fields names the clip, and not the video.
      pattern: what the user says of the videos.
      where: what to call the file in a message.
    """
    names: dict[str, list[tuple[str, str]]] = {}
    places, ids = [], []
    for split, arrays in splits.items():
        names[split] = []
        for index in range(_count(arrays)):
            fields = _fields(arrays["id"][index]) if "id" in arrays else [index]
            name = fields[0] if fields else ""
            names[split].append((f"{split}_{name}",) * 2)
            if isinstance(name, (int, float, np.number)) and (len(fields) == 1 or clip_first):
                continue  # a number only tells the clips of one split apart
            places.append((split, index))
            ids.append(clean.id_fields(name if clip_first else fields))
    numbered = sum(map(len, names.values())) - len(places)
    named = videos.name(ids, pattern, nameless=numbered, where=where)
    for (split, index), name in zip(places, named.names, strict=True):
        names[split][index] = name
    return names, named


def _paddings(splits: Iterable[dict], said: str | None, where: str) -> dict[str, padding.Padding]:
    """Decides at which end the modalities are padded; under "" those of clips that have one time line."""
    used: dict[str, list[np.ndarray]] = {}
    for arrays in splits:
        found = {name: used_ends(arrays[name]) for name in _MODALITIES if name in arrays}
        steps = np.array([_steps(arrays[name]) for name in found])
        longest = steps.max(axis=0)
        shared = np.all((steps == longest) | (steps == 0), axis=0)
        on_one_line = {m: ends[shared] for m, ends in found.items()}
        used.setdefault("", []).append(padding.together(on_one_line, where, said))
        for name, ends in found.items():
            used.setdefault(name, []).append(ends[~shared])
    return {name: padding.by_ends(np.concatenate(parts), said) for name, parts in used.items()}


def _steps(values: object) -> list[int]:
    """The number of rows of each clip; 0 where they have no width."""
    if isinstance(values, np.ndarray) and values.ndim == 3:
        return [values.shape[1] if values.size else 0] * len(values)
    return [len(rows) if np.size(rows) else 0 for rows in values]
