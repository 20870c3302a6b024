"""MMSA pickles of the sixty clips, in every convention that the reader knows."""

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.data.conventions.clips import (
    ENCODINGS,
    SPELLINGS,
    UNDECIDED,
    Clip,
    clips,
    contained,
    encoded,
    expect,
    padded,
    without_length,
)
from tests.data.conventions.matrix import Case

FILLED = (
    *("stream, NaN", "stream, -1.5", "stream, 1e-8", "stream, own rows"),
    *("stream, lengths, NaN", "stream, lengths, repeat", "stream, no lengths but 0"),
)
LIMITS = {"audio": 20, "vision": 16}
# What is written beside the rows of a clip in place of zeros.
FILLERS = {"no zeros": np.arange(1, 61).reshape(20, 3) / 8, "NaN": np.nan, "repeat": -1.5}
FILLERS |= {"-1.5": -1.5, "1e-8": 1e-8, "own rows": None}  # None: the last or first row of the clip
DTYPES = ("f2", "f4", "f8", ">f4", ">f8")
CONTAINERS = ("array", "lists", "objects")
LABELS = {
    "(N,)": np.array,
    "(N, 1)": lambda values: np.array(values)[:, None],
    "(N, 1, 1)": lambda values: np.array(values, "f8").reshape(-1, 1, 1),
    "list": list,
    "objects": lambda values: np.array([np.array([value]) for value in values] + [None], object)[:-1],
}
LENGTHS = {
    "list": list,
    "int64": np.array,
    "(N, 1)": lambda values: np.array(values)[:, None],
    "float": lambda values: np.array(values, "f4"),
}


def cases() -> Iterator[Case]:
    """Rows, sides, containers and numbers with everything else going round; then ids and encodings."""
    rows = ("stream, lengths", "stream", "words", "tokens")
    turn = itertools.count()
    for form, side, container, dtype in itertools.product(rows, ("behind", "front"), CONTAINERS, DTYPES):
        yield _case(next(turn), form, side, container, dtype)
    for spelling, encoding in itertools.product(SPELLINGS, ENCODINGS):
        turn_now = next(turn)
        if turn_now % 2 or encoding in ("GB18030", "Big5"):
            form = ("stream, lengths", "words")[turn_now % 3 == 0]
            yield _case(turn_now, form, "front", "array", "f4", spelling, encoding)
    for side, said in itertools.product(("behind", "front"), (False, True)):
        yield _case(next(turn), "stream, lengths, no zeros", side, "array", "f4", said=said)
    for form, side, container in itertools.product(FILLED, ("behind", "front"), CONTAINERS):
        yield _case(next(turn), form, side, container, "f4")


def _nth(values, turn: int):
    values = list(values)
    return values[turn % len(values)]


def _case(
    turn: int,
    form: str,
    side: str,
    container: str,
    dtype: str,
    spelling: str | None = None,
    encoding: str | None = None,
    said: bool = False,
) -> Case:
    spelling = spelling or _nth(SPELLINGS, turn // 2)
    encoding = encoding or _nth(ENCODINGS, turn // 3)
    protocol, divided = _nth((2, 3, 4, 5), turn), turn % 7 != 0
    labels, lengths = _nth(LABELS, turn // 5), _nth(LENGTHS, turn // 4)
    codec, language, say = ENCODINGS[encoding]
    chosen = clips(language)
    reading = {"words": False} if form == "tokens" else {}
    reading |= {"encoding": say} if say else {}
    reading |= {"video_id": SPELLINGS[spelling].said} if SPELLINGS[spelling].said else {}
    reading |= {"padding": side} if said else {}

    def write(folder: Path) -> Path:
        content = {
            split: _arrays(
                [clip for clip in chosen if not divided or clip.split == split],
                (form, side, container, dtype),
                (spelling, codec, turn % 2 == 0),
                (LABELS[labels], LENGTHS[lengths]),
            )
            for split in (("train", "valid", "test") if divided else ("all",))
        }
        path = folder / "features.pkl"
        path.write_bytes(pickle.dumps(content if divided else content["all"], protocol=protocol))
        return path

    def right(clip: Clip, name: str) -> np.ndarray:
        if form == "words":
            return clip.by_word[name]
        if form == "tokens":
            return _on_tokens(clip, name)
        return (
            clip.stream[name]
            if "lengths" in form and "0" not in form
            else without_length(clip.stream[name], side)
        )

    options = (
        f"{form}, {side}, {container}, {dtype}, protocol {protocol}, {spelling}, {encoding}, "
        f"labels {labels}, lengths {lengths}, {'splits' if divided else 'no splits'}"
    )
    return Case(
        "MMSA pickle",
        options,
        write,
        expect(chosen, spelling, right, aligned=form == "words", splits=divided),
        reading,
        undecided=encoding == UNDECIDED or ("no zeros" in form and not said),
        untold=0 if SPELLINGS[spelling].told else len(chosen),
    )


def _on_tokens(clip: Clip, name: str) -> np.ndarray:
    """A row for [CLS], each word, and [SEP]."""
    special = np.full((1, clip.by_word[name].shape[1]), -0.5, np.float32)
    return np.concatenate([special, clip.by_word[name], special])


def _arrays(chosen, rows, names, spelled) -> dict:
    (form, side, container, dtype), (spelling, codec, plain_ids), (labels, lengths) = rows, names, spelled
    ids = [SPELLINGS[spelling].write(clip.video, clip.number) for clip in chosen]
    if codec and not plain_ids:
        ids = [[part.encode() for part in name] if isinstance(name, list) else name.encode() for name in ids]
    texts = [encoded(clip.text, codec) for clip in chosen]
    arrays = {
        "id": ids if isinstance(ids[0], list) or plain_ids else np.array(ids),
        "raw_text": texts if plain_ids or codec == "utf-16" else np.array(texts),
        "regression_labels": labels([clip.label for clip in chosen]),
    }
    for name, limit in LIMITS.items():
        if form in ("words", "tokens"):
            found = [clip.by_word[name] if form == "words" else _on_tokens(clip, name) for clip in chosen]
            limit = 16
        else:
            found = [clip.stream[name] for clip in chosen]
        if "lengths" in form:
            arrays[f"{name}_lengths"] = lengths([len(part) * ("0" not in form) for part in found])
        full = [padded(part, limit, side) for part in found]
        filler = [fill for name, fill in FILLERS.items() if form.endswith(name)]
        for part, both in zip(found, full, strict=True) if filler else ():  # else zeros beside the rows
            beside = padded(np.ones_like(part), limit, side) == 0
            own = part[0 if side == "front" else -1]
            fill = own if filler[0] is None else filler[0]
            both[beside] = np.resize(fill, both.shape)[beside]
        arrays[name] = contained(full, container, dtype)
    if form == "tokens":
        bert = np.zeros((len(chosen), 3, 16), np.int64)
        for place, clip in enumerate(chosen):
            count = len(clip.text.split())
            bert[place, 0, : count + 2] = [101, *range(2000, 2000 + count), 102]
            bert[place, 1, : count + 2] = 1
        arrays["text_bert"] = bert
    return arrays
