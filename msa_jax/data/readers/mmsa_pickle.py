"""The MMSA pickle (`aligned_50.pkl`, `unaligned_50.pkl`, `unaligned_39.pkl`): padded arrays by split."""

from collections.abc import Iterator

import numpy as np

from msa_jax.data.example import Example, no_features, no_unimodal_labels
from msa_jax.data.readers import clean, mult_pickle
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "MMSA pickle"
_MODALITIES = ("audio", "vision")
_FIRST = 64  # clips of a split that tell whether its rows are words
_UNIMODAL = tuple(f"regression_labels_{modality}" for modality in "TAV")  # of CH-SIMS


def matches(content: object) -> bool:
    """True for a dict of dicts by split, other than MulT's, which have no words."""
    if not isinstance(content, dict) or mult_pickle.matches(content):
        return False
    splits = [value for key, value in content.items() if clean.split_alias(key)]
    return bool(splits) and all(isinstance(value, dict) for value in splits)


def reader(content: dict, where: str, require_labels: bool, text_features: bool = False) -> Reading:
    """Prepares to read a loaded MMSA pickle.

    Args:
      content: {split: {raw_text, id, audio (N, La, da), vision (N, Lv, dv), audio_lengths, vision_lengths,
        regression_labels, ...}}; the lengths are there in unaligned files only, and audio or vision may be
        missing. Features of the text are `text` (N, Lt, dt), whose valid rows `text_bert` (N, 3, Lt) masks
        in its second row; they are dropped at once where nobody asks for them, to free their memory.
        CH-SIMS has regression_labels_T, _A and _V as well.
      where: what to call the file in messages.
      require_labels: whether missing regression_labels are an error.
      text_features: whether to read the features of the text.

    Returns:
      What starts the iteration; features are cut to their valid length.

    Raises:
      UserError: an array is missing, or arrays of one split disagree.
    """
    splits = {}
    for key, arrays in content.items():
        if (split := clean.split_alias(key)) and arrays.get("id") is not None and len(arrays["id"]):
            for unused in () if text_features else ("text", "text_bert"):
                arrays.pop(unused, None)
            if text_features and arrays.get("text") is None:
                raise clean.NoTextFeatures(where)
            splits[split] = _checked(arrays, f"{where}, {key}", require_labels)
        elif split and arrays:
            _need(arrays, "id", f"{where}, {key}")
    if not splits:
        raise UserError(f"{where}: the pickle holds no clips")

    def examples() -> Iterator[Example]:
        for split, arrays in splits.items():
            for index in range(len(arrays["id"])):
                try:
                    yield _example(arrays, index, split)
                except (TypeError, ValueError) as error:
                    raise UserError(f"{where}, {split} clip {index}: not as in an {NAME}: {error}") from None

    return Reading(examples)


def _need(arrays: dict, key: str, where: str) -> object:
    if arrays.get(key) is None:
        found = ", ".join(sorted(str(name) for name in arrays)) or "nothing"
        raise UserError(f"{where}: an {NAME} needs {key!r}, found only {found}")
    return arrays[key]


def _checked(arrays: dict, where: str, require_labels: bool) -> dict:
    """The arrays of one split that are used, one entry a clip; lengths as ints, labels as float64."""
    count = len(arrays["id"])
    checked = {"id": arrays["id"], "raw_text": _need(arrays, "raw_text", where)}
    for modality in (*_MODALITIES, "text"):
        values = arrays.get(modality)
        if values is None:
            continue
        if len(values) and len(clean.shape(values[0])) != 2:
            raise UserError(f"{where}: {modality} must be (clips, rows, width), found {clean.shape(values)}")
        checked[modality] = values
        if (lengths := arrays.get(f"{modality}_lengths")) is not None:
            try:
                lengths = [int(clean.labels([length], 1)[0]) for length in lengths]
            except (TypeError, ValueError) as error:
                raise UserError(f"{where}: {modality}_lengths are not numbers: {error}") from None
            checked[f"{modality}_lengths"] = lengths
            wrong = [
                clean.clip_name(name)[0]
                for name, length, rows in zip(arrays["id"], lengths, values, strict=False)
                if not 0 <= length <= len(rows)
            ]
            if wrong:
                raise UserError(
                    f"{where}: {modality}_lengths exceed the rows of {modality} in {len(wrong)} clips "
                    f"({', '.join(wrong[:3])}); extract the features again"
                )
    if "text" in checked and arrays.get("text_bert") is not None:
        wanted = (count, 3, clean.shape(checked["text"][0])[0])
        if clean.shape(arrays["text_bert"]) != wanted:
            found = clean.shape(arrays["text_bert"])
            raise UserError(f"{where}: text_bert must be {wanted} as text is, found {found}")
        checked["text_mask"] = np.asarray(arrays["text_bert"])[:, 1].astype(bool)
    if require_labels:
        _need(arrays, "regression_labels", where)
    if arrays.get("regression_labels") is not None:
        try:
            checked["regression_labels"] = clean.labels(arrays["regression_labels"], count)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: regression_labels are not one number a clip: {error}") from None
    for key in _UNIMODAL:
        if arrays.get(key) is not None:
            try:
                checked[key] = clean.labels(arrays[key], count)
            except (TypeError, ValueError) as error:
                raise UserError(f"{where}: {key} are not one number a clip: {error}") from None
    uneven = [f"{key} {len(value)}" for key, value in checked.items() if len(value) != count]
    if uneven:
        raise UserError(f"{where}: {count} ids but {', '.join(uneven)}; every array needs one entry a clip")
    return {**checked, "by_word": _by_word(checked)}


def _example(arrays: dict, index: int, split: str) -> Example:
    identity, video = clean.clip_name(arrays["id"][index])
    text = clean.text(arrays["raw_text"][index])
    rows, valid = {}, {}
    for modality in _MODALITIES:
        padded = arrays.get(modality)
        rows[modality] = no_features() if padded is None else np.asarray(padded[index])
        lengths = arrays.get(f"{modality}_lengths")
        valid[modality] = _used(rows[modality]) if lengths is None else lengths[index]
    words, last = len(text.split()), max(valid.values())
    aligned = arrays["by_word"] and 0 < last <= words
    for modality in _MODALITIES:
        kept = rows[modality][: words if aligned else valid[modality]]
        if aligned and len(kept) < words:  # the text is longer than the arrays
            kept = np.pad(kept, ((0, words - len(kept)), (0, 0)))
        rows[modality] = kept
    audio, vision = (clean.features(rows[modality]) for modality in _MODALITIES)
    label = clean.label(arrays["regression_labels"][index]) if "regression_labels" in arrays else np.nan
    return Example(
        identity,
        video,
        split,
        text,
        audio,
        vision,
        aligned,
        label,
        _text_features(arrays, index),
        _unimodal_labels(arrays, index),
    )


def _unimodal_labels(arrays: dict, index: int) -> np.ndarray:
    if not any(key in arrays for key in _UNIMODAL):
        return no_unimodal_labels()
    return np.array([arrays[key][index] if key in arrays else np.nan for key in _UNIMODAL])


def _text_features(arrays: dict, index: int) -> np.ndarray:
    if "text" not in arrays:
        return no_features()
    rows = np.asarray(arrays["text"][index])
    valid = arrays["text_mask"][index] if "text_mask" in arrays else slice(_used(rows))
    return clean.features(rows[valid])


def _used(rows: np.ndarray) -> int:
    """Rows up to the last one that is not all zeros; what follows is padding."""
    used = np.flatnonzero(np.any(rows != 0, axis=1)) if rows.size else ()
    return int(used[-1]) + 1 if len(used) else 0


def _by_word(arrays: dict) -> bool:
    """Whether audio and vision share one time line with a row per word, told by the first clips.

    Not clip by clip: where both are silent on the last words, or the text goes on after the last row, a
    clip's rows are still those of its words.
    """
    streams = [arrays[modality] for modality in _MODALITIES if modality in arrays]
    if any(f"{modality}_lengths" in arrays for modality in _MODALITIES) or not streams:
        return False
    if len({len(stream[0]) for stream in streams if len(stream)}) != 1:
        return False
    used = [
        max(_used(np.asarray(stream[i])) for stream in streams) for i in range(min(len(streams[0]), _FIRST))
    ]
    words = [len(clean.text(text).split()) for text in arrays["raw_text"][: len(used)]]
    return sum(map(int.__eq__, used, words)) > len(used) / 2
