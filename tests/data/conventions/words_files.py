"""Words pickles of the sixty clips: a row a word, and streams with lengths of their own."""

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.data.conventions.clips import ENCODINGS, SPELLINGS, UNDECIDED, Clip, clips, encoded, expect, padded
from tests.data.conventions.matrix import Case
from tests.data.conventions.mmsa_files import DTYPES

LIMIT = 20
FORMS = ("four parts", "three parts", "cut", "padded", "rows of others", "rows that repeat", "NaN")
LABELS = (
    lambda value: np.array([[value]]),
    float,
    lambda value: [value],
    lambda value: np.array([[value, 1, 0, 0, 0, 0, 2]]),
)
LENGTHS = (int, np.int64, lambda n: np.array([[n]]), float)


def cases() -> Iterator[Case]:
    """Forms with types of numbers; ids and encodings; then the end at which they are padded."""
    turn = itertools.count()
    for form, dtype, side in itertools.product(FORMS, DTYPES, ("front", "behind")):
        yield _case(next(turn), form, side, dtype)
        if form == "rows of others":  # nothing tells the end; the user must say it
            yield _case(next(turn), form, side, dtype, said=True)
    for encoding in ENCODINGS:
        for form in ("four parts", "padded"):
            yield _case(next(turn), form, "behind", "f4", encoding=encoding)
    for spelling in SPELLINGS:
        yield _case(next(turn), "four parts", "front", "f8", spelling)


def _case(
    turn: int,
    form: str,
    side: str,
    dtype: str,
    spelling: str | None = None,
    encoding: str | None = None,
    said: bool = False,
) -> Case:
    spelling = spelling or list(SPELLINGS)[turn // 2 % len(SPELLINGS)]
    encoding = encoding or list(ENCODINGS)[turn // 3 % len(ENCODINGS)]
    codec, language, say = ENCODINGS[encoding]
    protocol, way = (2, 3, 4, 5)[turn % 4], ("dict", "list", "folder")[turn % 3]
    chosen, how = clips(language), SPELLINGS[spelling]
    reading = {"encoding": say} if say else {}
    reading |= {"video_id": how.said} if how.said else {}
    reading |= {"padding": side} if said else {}

    def write(folder: Path) -> Path:
        entries = [(clip.split, _entry(clip, turn, form, side, dtype, how, codec)) for clip in chosen]
        whole = {s: [entry for split, entry in entries if split == s] for s in ("train", "valid", "test")}
        if way == "folder":
            for split in whole:
                (folder / f"{split}.pkl").write_bytes(pickle.dumps(whole[split], protocol=protocol))
            return folder
        path = folder / "words.pkl"
        content = whole if way == "dict" else [entry for _, entry in entries]
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        return path

    def right(clip: Clip, name: str) -> np.ndarray:
        return clip.by_word[name] if "parts" in form else clip.stream[name]

    order = {"folder": ("test", "train", "valid"), "dict": ("train", "valid", "test"), "list": ("",)}[way]
    expected = expect(chosen, spelling, right, aligned="parts" in form, splits=way != "list")
    options = f"{form}, {side}, {dtype}, protocol {protocol}, {spelling}, {encoding}, {way}, said {said}"
    return Case(
        "words pickle",
        options,
        write,
        [clip for split in order for clip in expected if clip.split == split],
        reading,
        encoding == UNDECIDED or (form == "rows of others" and not said),
        untold=0 if how.told else len(chosen),
    )


def _entry(clip: Clip, turn: int, form: str, side: str, dtype: str, how, codec: str | None) -> tuple:
    words = [encoded(word, codec) for word in clip.text.split()]
    name = how.write(clip.video, clip.number)
    if codec and turn % 2:
        name = [part.encode() for part in name] if isinstance(name, list) else name.encode()
    source = clip.by_word if "parts" in form else clip.stream
    vision, audio = (source[stream].astype(dtype) for stream in ("vision", "audio"))
    lengths = [LENGTHS[turn % 4](len(rows)) for rows in (vision, audio)]
    if form in FORMS[3:]:
        vision, audio = (_long(rows, side, form) for rows in (vision, audio))
    if turn % 5 == 4:
        vision, audio = vision.tolist(), audio.tolist()
    if form == "three parts":
        parts = (words, vision, audio)
    elif form == "four parts":
        parts = (np.arange(len(words)), vision, audio, words)
    else:
        parts = ([], vision, audio, words, *lengths, *([1] if turn % 2 else []))
    return parts, LABELS[turn % 4](clip.label), name


def _long(rows: np.ndarray, side: str, form: str) -> np.ndarray:
    full = padded(rows, LIMIT, side)
    beside = np.arange(LIMIT) < LIMIT - len(rows) if side == "front" else np.arange(LIMIT) >= len(rows)
    if form == "rows of others":
        full[beside] = 0.25 + np.arange(beside.sum())[:, None] / 8
    elif form != "padded":
        full[beside] = np.nan if form == "NaN" else 0.25
    return full
