"""Forms of clips' ids in which the video is not what stands before the last sign, and how they are told."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

_WORDS = "clip|clips|seg|segment|utt|utterance|sent|sentence|chunk|turn|shot|part"  # before a clip's number
_SIGN = r"[_\-.:#@ /]"
# The clip's number, alone or behind such a word, and the rest of the id.
_COUNTED = re.compile(
    rf"(?P<word>{_WORDS})?(?:(?<=[a-z]){_SIGN})?(?P<number>\d+){_SIGN}(?:(?:of|from|in){_SIGN})?(?P<rest>.+)",
    re.IGNORECASE,
)
_CLIP = re.compile(rf"(?:{_WORDS}|[a-z]{{0,2}}){_SIGN}?\d+", re.IGNORECASE)  # what may be a clip's own name
_NUMBERED_WORD = re.compile(rf"\d+{_SIGN}([^\W\d_]+)")
_TIMES = re.compile(r"(.+)([_\-])(\d+)\2(\d+)")  # the video, and the clip's start and end as whole numbers
_NEARLY_ALL = 0.95  # share of the ids that must have the same form
_SOME = 10  # ids from which on their form is evidence
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
    if any(_CLIP.fullmatch(rest) or rest.isdigit() for rest in clips):
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
      they end, and no video has two clips of one start.
    """
    found = [_TIMES.fullmatch(name) for name in names]
    there = [match for match in found if match]
    if len(names) < _SOME or len(there) < _NEARLY_ALL * len(names):
        return None
    starts: dict[str, list[int]] = defaultdict(list)
    for match in there:
        if int(match[3]) >= int(match[4]):
            return None
        starts[match[1]].append(int(match[3]))
    gathered = sum(len(times) for times in starts.values() if len(times) > 1)
    repeated = any(len(set(times)) < len(times) for times in starts.values())
    if repeated or len(starts) < 2 or 2 * gathered < len(there):
        return None
    return [match[1] if match else name for match, name in zip(found, names, strict=True)]


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
