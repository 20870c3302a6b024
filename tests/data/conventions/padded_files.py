"""MulT pickles and HDF5 arrays of the sixty clips: padded features of text, audio and vision."""

import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from tests.data.conventions.clips import (
    SPELLINGS,
    WIDTHS,
    Clip,
    clips,
    contained,
    expect,
    padded,
    without_length,
)
from tests.data.conventions.matrix import Case
from tests.data.conventions.mmsa_files import CONTAINERS, DTYPES

LIMITS = {"audio": 20, "vision": 16, "text": 14}
FILES = {"audio": "audio_{}.h5", "vision": "video_{}.h5", "text": "text_{}_emb.h5", "label": "y_{}.h5"}
FILLERS = (np.nan, -1.0, 1e-8, None)  # in place of zeros; None: the clip's own row at that end
_ONE_FIELD = [name for name in SPELLINGS if not name.startswith("[")]


def cases() -> Iterator[Case]:
    """Both formats, at either end, on one time line and on several."""
    turn = itertools.count()
    forms = itertools.product(("front", "behind"), (True, False), CONTAINERS, DTYPES)
    for side, shared, container, dtype in forms:
        yield _mult(next(turn), side, shared, container, dtype)
    for side, shared, dtype in itertools.product(("front", "behind"), (True, False), DTYPES):
        yield _hdf5(next(turn), side, shared, dtype)
    for side, shared, filler in itertools.product(("front", "behind"), (True, False), FILLERS):
        yield _mult(next(turn), side, shared, "array", "f4", filler)
        yield _mult(next(turn), side, shared, "lists", "f8", filler)
        yield _hdf5(next(turn), side, shared, "f8", filler)


def _rows(clip: Clip, name: str, shared: bool) -> np.ndarray:
    """On one time line every step has a row of text that is not zero."""
    return clip.by_word[name] if shared else clip.stream[name]


def _right(clip: Clip, name: str, shared: bool, side: str) -> np.ndarray:
    rows = _rows(clip, name, shared)
    return rows if shared else without_length(rows, side)


def _full(chosen: list[Clip], name: str, shared: bool, side: str, filler: float | None) -> list[np.ndarray]:
    full = []
    for clip in chosen:
        rows = _rows(clip, name, shared)
        full.append(padded(rows, limit := 12 if shared else LIMITS[name], side))
        own = rows[0 if side == "front" else -1]
        beside = padded(np.ones_like(rows), limit, side)[:, 0] == 0
        full[-1][beside] = own if filler is None else filler
    return full


def _mult(turn: int, side: str, shared: bool, container: str, dtype: str, filler: float | None = 0.0) -> Case:
    spelling = _ONE_FIELD[turn // 2 % len(_ONE_FIELD)]
    how, protocol = SPELLINGS[spelling], (2, 3, 4, 5)[turn % 4]
    chosen = clips()
    said = {"padding": side} if turn % 6 == 5 else {}
    timed = turn % 3 == 0  # [clip, start, end], as MulT's MOSI has it

    def write(folder: Path) -> Path:
        content = {}
        for split in ("train", "valid", "test"):
            here = [clip for clip in chosen if clip.split == split]
            ids = [how.write(clip.video, clip.number) for clip in here]
            fields = [[name, "0.5", "1.5"] if timed else [name] for name in ids]
            content[split] = {
                **{
                    name: contained(_full(here, name, shared, side, filler), container, dtype)
                    for name in WIDTHS
                },
                "labels": np.array([clip.label for clip in here], "f4").reshape(-1, 1, 1),
                "id": np.array(fields, "S") if turn % 2 else fields,
            }
        path = folder / "mosi_data.pkl"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        return path

    return Case(
        "MulT pickle",
        f"{side}, {'one time line' if shared else 'several'}, {container}, {dtype}, {spelling}, {said}, "
        f"{filler}",
        write,
        expect(
            chosen,
            spelling,
            lambda clip, name: _right(clip, name, shared, side),
            words=False,
            text_features=True,
        ),
        {"text_features": True, **said} | ({"video_id": how.said} if how.said else {}),
        untold=0 if how.told else len(chosen),
    )


def _hdf5(turn: int, side: str, shared: bool, dtype: str, filler: float | None = 0.0) -> Case:
    chosen = clips()
    dataset, packed = ("d1", "data", "x")[turn % 3], turn % 2 == 0

    def write(folder: Path) -> Path:
        for split in ("train", "valid", "test"):
            here = [clip for clip in chosen if clip.split == split]
            for name, file in FILES.items():
                values = np.array([clip.label for clip in here], dtype)
                if name != "label":
                    values = contained(_full(here, name, shared, side, filler), "array", dtype)
                with h5py.File(folder / file.format(split), "w") as target:
                    target.create_dataset(dataset, data=values, compression="gzip" if packed else None)
        return folder

    counts: dict[str, int] = {}
    expected = []
    for clip, right in zip(
        chosen,
        expect(
            chosen,
            "video_k",
            lambda clip, name: _right(clip, name, shared, side),
            words=False,
            text_features=True,
        ),
        strict=True,
    ):
        name = f"{clip.split}_{counts.setdefault(clip.split, 0)}"
        counts[clip.split] += 1
        expected.append(type(right)(**{**vars(right), "id": name, "video": name}))
    options = f"{side}, {'one time line' if shared else 'several'}, {dtype}, {dataset}, {filler}"
    return Case("HDF5 per array", options, write, expected, {"text_features": True}, untold=len(expected))
