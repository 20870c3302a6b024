"""Sixty clips, the same whatever file they are written in: 20 videos of 3 clips, in several languages.

All numbers are multiples of 1/8, so that float16 holds them. Every clip has audio and vision in two forms: a
row a word, and streams of their own lengths. A few clips have rows of zeros inside, at their start or end.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

WIDTHS = {"audio": 3, "vision": 2, "text": 4}
SPLITS = ("train",) * 12 + ("valid",) * 4 + ("test",) * 4  # of each video
PER_VIDEO = 3
WORDS = {
    "en": "the film was good bad great story cast music plot not very",
    "zh": "这部 电影 真的 很好 不错 故事 演员 我 觉得 没有 什么 意思",
    "tw": "這部 電影 真的 很好 不錯 故事 演員 我 覺得 沒有 什麼 意思",
    "fr": "le film était très réussi déjà vu mais où là ça façon",
    "quotes": "it’s the film’s “great” café – don’t miss",
    "ko": "이 영화는 정말 재미있었다 연기가 별로였고 이야기도 지루했다",
}


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip before it is written: its rows by word and as streams, by modality."""

    video: int
    number: int
    split: str
    text: str
    label: float
    by_word: dict[str, np.ndarray]
    stream: dict[str, np.ndarray]


@functools.cache
def clips(language: str = "en") -> tuple[Clip, ...]:
    """The sixty clips with texts of a language; everything else is the same in all of them."""
    rng = np.random.default_rng(17)
    found = []
    for index in range(len(SPLITS) * PER_VIDEO):
        video, number = divmod(index, PER_VIDEO)
        count = int(rng.integers(3, 9))
        picks = rng.integers(0, 100, count)
        known = WORDS[language].split()
        words = [known[pick % len(known)] for pick in picks]
        by_word = {name: _rows(rng, count, width) for name, width in WIDTHS.items()}
        stream = {name: _rows(rng, int(rng.integers(4, 12)), width) for name, width in WIDTHS.items()}
        if index % 10 == 3:  # silence: inside, ...
            for rows in (by_word["vision"], *stream.values()):
                rows[len(rows) // 2] = 0
        for name in ("audio", "vision"):
            if index == 21:  # at the start, ...
                by_word[name][0] = stream[name][0] = 0
            if index in (8, 40):  # at the end
                by_word[name][-1] = stream[name][-1] = 0
        label = float(rng.integers(-24, 25)) / 8
        found.append(Clip(video, number, SPLITS[video], " ".join(words), label, by_word, stream))
    return tuple(found)


def _rows(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """[count, width] multiples of 1/8, none of them 0."""
    return (rng.integers(1, 40, (count, width)) * rng.choice([-1, 1], (count, width)) / 8).astype(np.float32)


_YOUTUBE = ["-3g5yACwYnA", "0h-zjBukYpk", "_dI--eQ6qVU", "a-b_c-d_e12", "abcdefghij_"]


@dataclasses.dataclass(frozen=True)
class Spelling:
    """How ids are written.

    Attributes:
      write: the id out of the numbers of video and clip.
      id, video: what they are read as, of the same two.
      said: what the user has to say.
      told: whether the videos can be told.
    """

    write: Callable[[int, int], object]
    id: Callable[[int, int], str]
    video: Callable[[int, int], str]
    said: str | None = None
    told: bool = True


def _as_is(form: str, video: str, **facts: object) -> Spelling:
    def fill(text: str) -> Callable[[int, int], str]:
        return lambda v, k: text.format(v=f"{v:02d}", k=k, c="abc"[k], y=f"{_YOUTUBE[v % 5]}{v}")

    return Spelling(fill(form), fill(form), fill(video), **facts)


_CLIP, _VIDEO = (lambda v, k: f"film_{v:02d}_{k}"), (lambda v, k: f"film_{v:02d}")
SPELLINGS = {
    "video$_$k": Spelling(lambda v, k: f"film_{v:02d}$_${k}", _CLIP, _VIDEO),
    "video[k]": Spelling(lambda v, k: f"film_{v:02d}[{k}]", _CLIP, _VIDEO),
    "video_k": Spelling(_CLIP, _CLIP, _VIDEO),
    "[video, start, end]": Spelling(
        lambda v, k: [_VIDEO(v, k), f"{k}.5", f"{k + 1}.5"], lambda v, k: f"{_CLIP(v, k)}.5", _VIDEO
    ),
    "youtube_k": _as_is("{y}_{k}", "{y}"),
    "video-k": _as_is("film{v}-{k}", "film{v}"),
    "vi_deo-k": _as_is("film_{v}-{k}", "film_{v}"),
    "video/000k": _as_is("film_{v}/000{k}", "film_{v}"),
    "folder/video/k.mp4": _as_is("clips/film_{v}/{k}.mp4", "film_{v}"),
    "video_k.wav": _as_is("film-{v}_{k}.wav", "film-{v}"),
    "video[k].mp4": _as_is("film_{v}[{k}].mp4", "film_{v}"),
    "no number": _as_is("film{v}{c}", "film{v}{c}", told=False),
    "said": _as_is("{k}film{v}", "film{v}", said=r"\d(film\d+)"),
}

# How texts are written: the encoding of their bytes (None: as str), the language, what the user has to say.
ENCODINGS: dict[str, tuple[str | None, str, str | None]] = {
    "str, English": (None, "en", None),
    "str, Chinese": (None, "zh", None),
    "str, traditional": (None, "tw", None),
    "ASCII": ("ascii", "en", None),
    "UTF-8": ("utf-8", "zh", None),
    "UTF-8 with a mark": ("utf-8-sig", "zh", None),
    "GB18030": ("gb18030", "zh", None),
    "GBK": ("gbk", "zh", None),
    "GBK, traditional": ("gbk", "tw", None),
    "Big5": ("big5", "tw", None),
    "UTF-16": ("utf-16", "zh", None),
    "UTF-16, English": ("utf-16", "en", None),
    "latin-1": ("latin-1", "fr", None),
    "cp1252": ("cp1252", "quotes", None),
    "EUC-KR, said": ("euc-kr", "ko", "euc-kr"),
    "EUC-KR": ("euc-kr", "ko", None),
}
UNDECIDED = "EUC-KR"  # of these encodings the one that a file does not tell


def encoded(text: str, codec: str | None) -> str | bytes:
    """A text as it is written."""
    return text if codec is None else text.encode(codec)


@dataclasses.dataclass(frozen=True)
class Expected:
    """What a clip must be read as."""

    id: str
    video: str
    split: str
    text: str
    label: float
    audio: np.ndarray
    vision: np.ndarray
    aligned: bool
    text_features: np.ndarray | None = None


def expect(
    chosen: Sequence[Clip],
    spelling: str,
    rows: Callable[[Clip, str], np.ndarray],
    *,
    aligned: bool = False,
    splits: bool = True,
    words: bool = True,
    text_features: bool = False,
) -> list[Expected]:
    """What clips must be read as, whose ids are spelled so and whose modalities have these rows."""
    how = SPELLINGS[spelling]
    return [
        Expected(
            how.id(clip.video, clip.number),
            how.video(clip.video, clip.number),
            clip.split if splits else "",
            clip.text if words else "",
            clip.label,
            rows(clip, "audio"),
            rows(clip, "vision"),
            aligned,
            rows(clip, "text") if text_features else None,
        )
        for clip in chosen
    ]


def padded(rows: np.ndarray, limit: int, side: str) -> np.ndarray:
    """Rows of zeros up to the limit, in front or behind."""
    full = np.zeros((limit, rows.shape[1]), rows.dtype)
    full[limit - len(rows) if side == "front" else 0 :][: len(rows)] = rows
    return full


def without_length(rows: np.ndarray, side: str) -> np.ndarray:
    """What is left of padded rows whose length is not written: silence beside the padding is gone."""
    used = np.flatnonzero(rows.any(axis=1))
    return rows[used[0] :] if side == "front" else rows[: used[-1] + 1]


def contained(arrays: Sequence[np.ndarray], container: str, dtype: str) -> object:
    """Arrays of N clips as one array, a list of lists, or an array of objects; of any type of number."""
    typed = [np.asarray(rows, dtype) for rows in arrays]
    if container == "array":
        return np.stack(typed)
    if container == "lists":
        return [rows.tolist() for rows in typed]
    objects = np.empty(len(typed), object)
    for index, rows in enumerate(typed):
        objects[index] = rows
    return objects
