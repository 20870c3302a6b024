"""CSV, .npz and .csd files of the sixty clips: texts in many encodings."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from tests.data.conventions.clips import ENCODINGS, SPELLINGS, UNDECIDED, Clip, clips, encoded, expect
from tests.data.conventions.matrix import Case
from tests.data.conventions.mmsa_files import DTYPES

ENDS = {"LF": "\n", "CRLF": "\r\n", "CR": "\r"}
NOTHING = np.zeros((0, 0), np.float32)
_IN_BYTES = {name: row for name, row in ENCODINGS.items() if row[0] is not None}
# Of text files alone: UTF-16 whose first line says what it is, though it has no mark.
_OF_FILES = {"UTF-16-LE": ("utf-16-le", "zh", None), "UTF-16-BE": ("utf-16-be", "en", None)}


def cases() -> Iterator[Case]:
    """CSV in every encoding and with every line's end; .npz by ids and types; .csd by encodings."""
    for (encoding, row), end in itertools.product((_IN_BYTES | _OF_FILES).items(), ENDS):
        yield _csv(encoding, row, end)
    for turn, (spelling, dtype) in enumerate(itertools.product(SPELLINGS, DTYPES)):
        if not spelling.startswith("["):
            yield _npz(turn, spelling, dtype)
    for turn, (encoding, words) in enumerate(itertools.product(_IN_BYTES, ("fixed", "variable"))):
        if not encoding.startswith("UTF-16"):
            yield _csd(encoding, words, DTYPES[1:][turn % 4])


def _said(encoding: str | None) -> dict[str, str]:
    return {"encoding": encoding} if encoding else {}


def _csv(encoding: str, row: tuple, end: str) -> Case:
    codec, language, say = row
    chosen = clips(language)

    def write(folder: Path) -> Path:
        lines = ["Video_ID,clip_id,text,label,mode"]
        for clip in chosen:
            lines.append(f'film_{clip.video:02d},{clip.number},"{clip.text}",{clip.label},{clip.split}')
        path = folder / "labels.csv"
        path.write_bytes((ENDS[end].join(lines) + ENDS[end]).encode(codec))
        return path

    expected = expect(chosen, "video_k", lambda clip, name: NOTHING)
    return Case(
        "CSV of texts and labels", f"{encoding}, {end}", write, expected, _said(say), encoding == UNDECIDED
    )


def _npz(turn: int, spelling: str, dtype: str) -> Case:
    named = [name for name in ENCODINGS if not name.startswith("UTF-16")]
    encoding = named[turn % len(named)]
    codec, language, say = ENCODINGS[encoding]
    chosen, how = clips(language), SPELLINGS[spelling]

    def write(folder: Path) -> Path:
        ids = [how.write(clip.video, clip.number) for clip in chosen]
        arrays = {
            "id": np.array([name.encode() for name in ids] if codec and turn % 2 else ids),
            "text": np.array([encoded(clip.text, codec) for clip in chosen]),
            "label": np.array([clip.label for clip in chosen], dtype).reshape((-1, 1) if turn % 3 else -1),
            "split_official": np.array([clip.split for clip in chosen]),
            **{
                m: np.stack([clip.stream[m][1] for clip in chosen]).astype(dtype) for m in ("audio", "vision")
            },
        }
        np.savez(folder / "clips.npz", **arrays)
        return folder / "clips.npz"

    return Case(
        "utterance .npz",
        f"{spelling}, {dtype}, {encoding}",
        write,
        expect(chosen, spelling, lambda clip, name: clip.stream[name][1:2]),
        _said(say) | ({"video_id": how.said} if how.said else {}),
        encoding == UNDECIDED,
        untold=0 if how.told else len(chosen),
    )


def _csd(encoding: str, words: str, dtype: str) -> Case:
    codec, language, say = ENCODINGS[encoding]
    chosen = clips(language)

    def write(folder: Path) -> Path:
        videos: dict[str, list[Clip]] = {}
        for clip in chosen:
            videos.setdefault(f"film_{clip.video:02d}", []).append(clip)
        for root in ("Opinion Labels", "words", "COVAREP", "FACET"):
            with h5py.File(folder / f"{root.replace(' ', '_')}.csd", "w") as file:
                for video, here in videos.items():
                    group = file.create_group(f"{root}/data/{video}")
                    group["intervals"], group["features"] = _sequence(root, here, codec, words, dtype)
        return folder

    expected = expect(chosen, "video_k", lambda clip, name: clip.by_word[name], aligned=True, splits=False)
    options = f"words {encoding}, {words}, {dtype}"
    return Case("CMU-MultimodalSDK .csd", options, write, expected, _said(say), encoding == UNDECIDED)


def _sequence(root: str, here: list[Clip], codec: str, words: str, dtype: str) -> tuple[np.ndarray, object]:
    """The intervals and features of one video: a clip takes a second, a word an eighth."""
    if root == "Opinion Labels":
        spans = [(clip.number, clip.number + 1) for clip in here]
        return np.array(spans, dtype), np.array([[clip.label] for clip in here], dtype)
    spans = [
        (clip.number + k / 8, clip.number + (k + 1) / 8)
        for clip in here
        for k in range(len(clip.text.split()))
    ]
    if root == "words":
        texts = [word.encode(codec) for clip in here for word in clip.text.split()]
        kind = h5py.string_dtype() if words == "variable" else "S"
        return np.array(spans, "f4"), np.array(texts, object if words == "variable" else "S").astype(kind)[
            :, None
        ]
    stream = "audio" if root == "COVAREP" else "vision"
    return np.array(spans, "f8"), np.concatenate([clip.by_word[stream] for clip in here]).astype(dtype)
