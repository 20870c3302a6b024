"""The file that an extraction tool writes for one clip: features without splits, ids or labels.

MMSA-FET (`run_single` in `src/MSA_FET/single.py`) writes a dict with audio and vision [rows, width], text
[tokens, width] and text_bert; others add raw_text, an id, or an axis of one clip in front.
"""

import dataclasses
from pathlib import Path

import numpy as np

from msa_jax.corpora import STREAMS
from msa_jax.data.conventions import NOTHING, Said, axes
from msa_jax.data.readers import clean, mmsa_pickle
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

NAME = "extractor's pickle of one clip"
LEAVES_OPEN = mmsa_pickle.LEAVES_OPEN  # fields of `Said` that matter here
_TEXTS = ("raw_text", "text")  # where the words may be


def matches(content: object) -> bool:
    """True for a dict without splits whose features are those of one clip."""
    if not isinstance(content, dict) or any(clean.split_alias(key) for key in content):
        return False
    if isinstance(content.get("raw_text"), (list, tuple, np.ndarray)) and "id" in content:
        return False  # CH-SIMS v2's, which has an entry a clip
    return any(_matrix(content.get(name)) for name in (*STREAMS, "text", *clean.OTHER_NAMES)) and all(
        _matrix(content.get(name)) or content.get(name) is None for name in STREAMS
    )


def reader(
    content: dict,
    where: str,
    require_labels: bool | None,
    text_features: bool = False,
    said: Said = NOTHING,
    encoder: str | None = None,
    words: bool = True,
    need_text: bool = True,
) -> Reading:
    """Prepares to read the clip, as an MMSA pickle of one.

    Args:
      content: {audio: [La, da], vision: [Lv, dv], text: [Lt, dt], text_bert: [3, Lt], raw_text: words,
        id, audio_lengths, vision_lengths}; any of them may be missing, text may be the words as well, and
        vision may be called video.
      where: the path of the file, whose name is the id where the file has none.
      require_labels: whether a clip without a label is an error, which this one is.
      text_features, said, encoder, words, need_text: as for `mmsa_pickle.reader`.

    Returns:
      What starts the iteration over the one clip.

    Raises:
      UserError: when a label is asked for, or the text is and the file has none.
    """
    if require_labels:
        raise UserError(
            f"{where}: holds the features of one clip without a label, which a trained run can score "
            "(--mode=predict); to train, put the arrays of all clips together in an MMSA pickle with ids, "
            "labels and splits"
        )
    content = dict(content)
    clean.rename(content, where)
    clip: dict[str, object] = {"id": [_name(content, where)]}
    spoken = next((_one(content[name]) for name in _TEXTS if _is_text(content.get(name))), None)
    if spoken is not None:
        clip["raw_text"] = [spoken]
    for name in (*STREAMS, "text"):
        if _matrix(content.get(name)):
            clip[name] = _clips(content[name])
            if content.get(f"{name}_lengths") is not None:
                clip[f"{name}_lengths"] = [_one(content[f"{name}_lengths"])]
    if content.get("text_bert") is not None:
        tokens = _clips(content["text_bert"])
        clip["text_bert"] = tokens.swapaxes(1, 2) if tokens.shape[1] != 3 == tokens.shape[2] else tokens
    axis_lines = _decide_axes(clip, content, said, where)
    options = {"said": said, "encoder": encoder, "words": words, "need_text": need_text}
    reading = mmsa_pickle.reader(clip, where, None, text_features, **options)
    return dataclasses.replace(reading, conventions=dict(reading.conventions) | axis_lines)


def _name(content: dict, where: str) -> object:
    """The id, behind the name of the video where the file has both; without an id the file's name."""
    name, video = (_one(content.get(key)) for key in ("id", "video"))
    if name is None:
        return Path(where).stem
    if not _is_text(video) or clean.string(video) in clean.string(name):
        return name
    return [video, str(name) if isinstance(name, int) else name]


def _decide_axes(clip: dict, content: dict, said: Said, where: str) -> dict[str, str]:
    """Refuses (width, rows), by the lengths and the tokens of the clip."""
    features = [name for name in (*STREAMS, "text") if name in clip]
    lengths = {name: clip[f"{name}_lengths"] for name in features if f"{name}_lengths" in clip}
    return axes.decide(
        {name: [clip[name]] for name in features},
        where,
        said=said.axes,
        lengths={name: [int(np.asarray(n).item()) for n in given] for name, given in lengths.items()},
        tokens=clip["text_bert"].shape[2] if "text_bert" in clip else 0,
        save="array.T" if any(np.ndim(content[name]) == 2 for name in features) else "array.swapaxes(1, 2)",
    )


def _matrix(value: object) -> bool:
    """Whether it is [rows, width] of numbers, perhaps with an axis of one clip in front."""
    shape = clean.shape(value)
    numbers = not isinstance(value, np.ndarray) or value.dtype.kind in "biufO"
    return numbers and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1))


def _clips(value: object) -> np.ndarray:
    """[1, rows, width]."""
    array = np.asarray(value)
    return array if array.ndim == 3 else array[None]


def _is_text(value: object) -> bool:
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, np.ndarray):
        return value.size == 1 and value.dtype.kind in "US"
    return isinstance(value, (str, bytes))


def _one(value: object) -> object:
    """The entry of a list or an array of one."""
    while isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) and len(value) == 1:
        value = value[0]
    return value
