"""Forms of clips' ids in which the video is not what stands before the last sign, and how they are told."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from msa_jax.data.splits import named_split

_WORDS = "clip|clips|seg|segment|utt|utterance|sent|sentence|chunk|turn|shot|part"  # before a clip's number
_SIGN = r"[_\-.:#@ /]"
# The clip's number, alone or behind such a word, and the rest of the id.
_COUNTED = re.compile(
    rf"(?P<word>{_WORDS})?(?:(?<=[a-z]){_SIGN})?(?P<number>\d+){_SIGN}(?:(?:of|from|in){_SIGN})?(?P<rest>.+)",
    re.IGNORECASE,
)
_CLIP = re.compile(rf"(?:{_WORDS}|[a-z]{{0,2}}){_SIGN}?\d+", re.IGNORECASE)  # what may be a clip's own name
_NUMBERED_WORD = re.compile(rf"\d+{_SIGN}([^\W\d_]+)")
_TIMES = re.compile(r"(.+)[_\-](\d+)[_\-](\d+)")  # the video, and the clip's start and end as whole numbers
# What is found to be the video may be a scene or a clip in it: a name, and a number that counts below it.
_LEVELS = re.compile(
    rf"(?P<stem>.+)(?P<sign>[_\-/#:@~ .])"
    rf"(?:(?P<word>{_WORDS}|scene|take|window|win)|[csu])?(?P<number>\d{{1,4}})",
    re.IGNORECASE,
)
_DATE = re.compile(r"(?:.*\D)?(?:19|20)\d\d[_\-.](?:0[1-9]|1[0-2])[_\-.](?:0[1-9]|[12]\d|3[01])")
_IEMOCAP = re.compile(r"(?:.*/)?Ses\d\d[FM]_.+")  # its scripted dialogues end in a number
_COPY = re.compile(r"(?:aug|augmented|copy|cam|camera|view|angle|flip|crop|speed|noise)\d+", re.IGNORECASE)
_KINDS = 10  # words below which they are kinds of clips, and not videos
_FEELINGS = frozenset(
    (  # noqa: SIM905
        "anger angry happy happiness joy joyful sad sadness fear fearful afraid disgust disgusted surprise "
        "surprised neutral calm excited excitement frustrated frustration contempt bored boredom anxious "
        "positive negative pos neg neu hap ang fru exc sur dis fea oth other"
    ).split()
)
_NEARLY_ALL = 0.95  # share of the ids that must have the same form
_SOME = 10  # ids from which on their form is evidence
_SEVERAL = 0.5  # share of the names that have others beside them, where these are counted
_LEAST_NUMBERS = 5  # that times have at least
_MANY = 0.5  # share of the other parts that stand behind one counter, where it counts the clips of each video


def clip_first(names: Sequence[str]) -> list[str] | None:
    """The videos of ids in which the clip comes first, as in "2_film3" or "clip2_of_film3".

    Args:
      names: the ids, without extensions and folders that all have in common.

    Returns:
      The video of each, or the id itself where it has another form; None where these are no such ids. A bare
      number is a clip's only where there are fewer of them than names behind them, nearly all of which have
      several.
    """
    found = [_COUNTED.fullmatch(name) for name in names]
    there = [match for match in found if match]
    if len(names) < _SOME or len(there) < _NEARLY_ALL * len(names):
        return None
    clips: dict[str, set[str]] = defaultdict(set)
    for match in there:
        clips[match["rest"]].add(match["number"])
    named = all(match["word"] for match in there)
    if any(_CLIP.fullmatch(rest) or rest.isdigit() for rest in clips) or _felt(clips):
        return None
    gathered = sum(len(numbers) for numbers in clips.values() if len(numbers) > 1)
    if len(clips) < 2 or gathered < _NEARLY_ALL * len(there):
        return None
    counters = set().union(*clips.values())
    if not named and (len(counters) >= len(clips) or any(map(_ends_in_number, clips))):
        return None
    return [match["rest"] if match else name for match, name in zip(found, names, strict=True)]


def _ends_in_number(rest: str) -> bool:
    """Whether a name has a number of its own behind a sign, which may be the clip's."""
    return re.fullmatch(rf".+{_SIGN}\d+", rest) is not None


def counts_clips(clips: Mapping[str, Set[str]]) -> bool:
    """Whether what stands before the last sign may count clips, as in "2_v3" or "0002_film_03".

    Args:
      clips: what stands behind it, by what stands before.

    Returns:
      True where it is a number, perhaps with a word that is always the same, there are fewer of them than of
      what stands behind, and one of them has half of these; a bare number before a bare number, as in
      "03_2", counts videos.
    """
    behind = set().union(*clips.values())
    if sum(map(len, clips.values())) < _SOME or not len(clips) < len(behind):
        return False
    if max(map(len, clips.values())) < _MANY * len(behind):
        return False
    if all(name.isdigit() for name in clips):
        words = {re.sub(r"\d+$", "", name).lower() for name in behind}
        return "" not in words and not words & set(_WORDS.split("|"))
    found = [_NUMBERED_WORD.fullmatch(name) for name in clips]
    return all(found) and len({match[1] for match in found}) == 1


def by_times(names: Sequence[str]) -> list[str] | None:
    """The videos of ids with the start and the end of the clip as whole numbers, as in "film3_10_15".

    Args:
      names: as of `clip_first`.

    Returns:
      The video of each, or the id itself where it has another form; None unless nearly all ids start before
      they end, and two clips of a video have two starts, or, where windows overlap, some clips of most videos
      start where others have ended.
    """
    found = [_TIMES.fullmatch(name) for name in names]
    there = [match for match in found if match]
    if len(names) < _SOME or len(there) < _NEARLY_ALL * len(names):
        return None
    clips: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for match in there:
        clips[match[1]].append((int(match[2]), int(match[3])))
    if sum(start < end for pairs in clips.values() for start, end in pairs) < _NEARLY_ALL * len(names):
        return None
    several = [pairs for pairs in clips.values() if len(pairs) > 1]
    if len(clips) < 2 or 2 * sum(map(len, several)) < len(there):
        return None
    if any(len({start for start, _ in pairs}) < len(pairs) for pairs in several) and not _windows(several):
        return None
    return [match[1] if match else name for match, name in zip(found, names, strict=True)]


def _windows(videos: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Whether the starts and ends of clips of videos are times, although several start at once."""
    if any(len(set(pairs)) < len(pairs) for pairs in videos):
        return False
    numbers = {number for pairs in videos for pair in pairs for number in pair}
    on = sum(max(start for start, _ in pairs) >= min(end for _, end in pairs) for pairs in videos)
    return len(numbers) >= _LEAST_NUMBERS and on > _SEVERAL * len(videos)


class Level(NamedTuple):
    """What else the video may be, where what is found may be a part of it.

    Attributes:
      sign: before the number that counts the parts.
      videos: the video of each id by this reading.
    """

    sign: str
    videos: list[str]


def outer(videos: Sequence[str], clips: Sequence[str]) -> Level | None:
    """Tells whether what was found may be scenes or clips of videos, as in "film0_1" of "film0_1_2".

    Args:
      videos: what was found, of each id.
      clips: what stands behind the last sign of each.

    Returns:
      The other reading; None unless nearly all names end in a number that counts parts of several names:
      not in film_00, film_01, ..., which all begin alike, and not where the numbers of one name do not occur
      in another, unless a word says what they count. The name of a split is not a video.
    """
    found = [None if _DATE.fullmatch(v) or _IEMOCAP.fullmatch(v) else _LEVELS.fullmatch(v) for v in videos]
    there = [match for match in found if match]
    if len(videos) < _SOME or len(there) < _NEARLY_ALL * len(videos):
        return None
    parts: dict[str, set[str]] = defaultdict(set)
    for match in there:
        parts[_without_splits(match["stem"])].add(match["number"])
    several = [numbers for stem, numbers in parts.items() if stem and len(numbers) > 1]
    count = sum(map(len, parts.values()))
    if len(several) < 2 or sum(map(len, several)) < _SEVERAL * count:
        return None
    where = Counter(number for numbers in parts.values() for number in numbers)
    anew = sum(times for times in where.values() if times > 1) >= _SEVERAL * count
    worded = sum(match["word"] is not None for match in there) >= _NEARLY_ALL * len(videos)
    copies = sum(_COPY.fullmatch(clip) is not None for clip in clips) >= _NEARLY_ALL * len(videos)
    if not (anew or worded or copies):
        return None
    (sign, _), *_ = Counter(match["sign"] for match in there).most_common(1)
    outside = [match["stem"] if match else video for match, video in zip(found, videos, strict=True)]
    return Level(sign, outside)


def _without_splits(stem: str) -> str:
    """Takes the names of splits off a name, as folders and in front; a split's name alone leaves nothing."""
    kept = [part for part in re.split(r"[/\\]", stem) if not named_split(part)]
    first, sign, rest = (kept.pop() if kept else "").partition("_")
    return "/".join([*kept, rest if sign and named_split(first) else f"{first}{sign}{rest}"])


def _felt(names: Iterable[str]) -> bool:
    """Whether a part of each name is a feeling, and not the same of all."""
    found = [_FEELINGS & set(re.split(r"[\W_]+", name.casefold())) for name in names]
    return all(found) and len(set().union(*found)) > 1


def are_kinds(clips: Mapping[str, Set[str]]) -> bool:
    """Whether what stands before a number is a kind of clips, such as a label, as in "happy_000", "sad_001".

    Args:
      clips: the numbers, by what stands before.

    Returns:
      True for names with feelings, and for a few words among which the numbers go on and never begin anew.
    """
    if sum(map(len, clips.values())) < _SOME or len(clips) < 2:
        return False
    if _felt(clips):
        return True
    words = {re.split(r"[/\\]", name)[-1] for name in clips}
    if len(words) >= _KINDS or not all(re.fullmatch(r"[^\W\d_]+", word) for word in words):
        return False
    numbers = [int(clip) for found in clips.values() for clip in found if clip.isdecimal()]
    return len(set(numbers)) == sum(map(len, clips.values())) == len(numbers)


def alike(videos: Sequence[str]) -> str:
    """Says which videos' names differ in upper and lower case alone; gives "" where there are none."""
    spelt: dict[str, set[str]] = defaultdict(set)
    for video in set(videos):
        spelt[video.casefold()].add(video)
    same = sorted(sorted(names) for names in spelt.values() if len(names) > 1)
    if not same:
        return ""
    return (
        f"; {' and '.join(same[0])} count as {len(same[0])} videos"
        + (f", and {len(same) - 1} more names are spelt in several ways" if len(same) > 1 else "")
        + "; write a video's name alike in all its ids"
    )
