"""Videos of clips, told from the clips' ids, once for all ids of a file."""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from msa_jax.data.conventions import id_forms
from msa_jax.data.splits import named_split
from msa_jax.errors import UserError, counted

_BRACKETED = re.compile(r"(.+)\[(\d+)\]")
_DOLLARS = "$_$"
_MEDIA = re.compile(
    r"\.(mp4|m4v|avi|mkv|mov|webm|flv|mpe?g|wmv|3gp|wav|mp3|flac|ogg|m4a|aac|wma|jpe?g|png|npy|npz|pkl|csv|txt)$",
    re.IGNORECASE,
)
# The video, one sign, and the clip's number, perhaps a time or with letters before it, as in IEMOCAP's F012.
_NUMBERED = re.compile(r"(.+)([_\-/#:@~ ])([A-Za-z]{0,8}\d+|\d+\.\d+)")
_TIMES = re.compile(r"(.+)([_\-])(\d+\.\d+)\2(\d+\.\d+)")  # the video, and the clip's start and end
_BRACED = re.compile(r"(.+?)[ _-]?[\[({](\d+)[\])}]")
_PREFIXED = re.compile(r"([A-Za-z]+)[_\-.:#@ ](.+)")
_BRACES = r"[ _-]?[\[({][0-9]"  # what is behind a video, to be said as a regular expression
_BEFORE_TIMES = "[_-][0-9.]+[_-][0-9]"
_TIMED = re.compile(r"\d+\.\d+[_-]\d+\.\d+")
_ESCAPED = (("/", r"[/\\]"), (".", "[.]"))
_SHOWN = 36  # characters of an id in a message
_SOME = 10  # ids from which on their form is evidence
_NEARLY_ALL = 0.95  # share of the ids that must have the same form


@dataclasses.dataclass(frozen=True)
class Named:
    """The clips of a file with their names.

    Attributes:
      names: (id, video) of each.
      line: how the videos were told, in a few words; "" where marks in all ids say it.
      untold: clips whose video could not be told; each is one of its own.
    """

    names: list[tuple[str, str]]
    line: str
    untold: int = 0

    @property
    def conventions(self) -> dict[str, str]:
        """Says what there is to say, as in `Reading.conventions`."""
        return {"videos": self.line} if self.line else {}


def name(
    ids: Sequence[tuple[str, ...]], pattern: str | None = None, *, nameless: int = 0, where: str
) -> Named:
    """Names the clips of a file and their videos.

    "video[k]" and "video$_$k" are clip video_k of that video, and [video, start, end] is video_start,
    whatever the other ids are. Any other id stays as it is. Its video is what stands before the last sign
    ("_", "-", "/", ...) that has a number behind it, where nearly all these ids have the same sign there; a
    media file's extension and folders that all have in common do not count. Signs other than "_" must bring
    clips together, since names of videos have them too. Where the clip's number comes first, the video is
    what is behind it; where a number may be the clip's or the video's, none is told, nor where what is
    found may be a part of a video, as in "film0_1_2", or is the kind of the clips, as in "happy_001". An id
    of another form then is a clip of the video that its form names, where others have it, and else a video
    of its own, and not told. A split's name in front of a video's ("train/film_01") does not belong to it
    where one video has clips in several splits.

    Args:
      ids: of each clip the id, or the fields of an id that has several.
      pattern: a regular expression with one group for the video, where the user gives one.
      nameless: further clips of the file, which have no id and are videos of their own. A clip that is alone
        in its file is only scored, and needs no video.
      where: what to call the file in a message.

    Returns:
      The names, in the order of the ids.

    Raises:
      UserError: when the pattern is not such an expression, or finds nothing in some id.
    """
    if nameless:
        rest = name(ids, pattern, where=where) if ids else Named([], "")
        return with_nameless(rest, nameless)
    if not ids:
        return Named([], "")
    names = [marked(fields) for fields in ids]
    if pattern is not None:
        return _as_said(ids, names, pattern, where)
    clear = [pair for pair in names if pair]
    plain = [fields[0] for fields, pair in zip(ids, names, strict=True) if not pair]
    if not plain:
        clear, unsplit = _without_splits(clear)
        line = "the marks in the ids, without the split's name" if unsplit else ""
        same = id_forms.alike([video for _, video in clear])
        return Named(clear, (line or "the marks in the ids") + same if same else line)
    form, videos, levels = _form(plain)
    left = iter(zip(plain, videos or plain, strict=True))
    names = [pair or next(left) for pair in names]
    if form is None and len(ids) == 1:  # a clip that is scored needs no video
        return Named(names, "")
    if form is None:
        others = f" besides {len(clear)} with marks" if clear else ""
        line = (
            f"could not be told from the ids ({counted(len(plain), '{id|ids}')}{others}, "
            f"the first is {_short(plain[0])}), "
            f"each clip counts as one; say {levels or '--config.data.video_id=REGEX'} "
            "(in Python: video_id=...)"
        )
        return Named(names, line, len(plain))
    untold = sum(identity == video for identity, video in zip(plain, videos, strict=True))
    names, unsplit = _without_splits(names)
    form += ", without the split's name" if unsplit else ""
    line = _told(form, every := [video for _, video in names], len(ids), len(ids) - untold)
    line += id_forms.alike(every)
    if len(set(every)) == len(ids) >= _SOME:
        line += ", no two clips of one video; if there are, say --config.data.video_id=REGEX"
        return Named(names, line, len(plain))
    return Named(names, line, untold)


def with_nameless(named: Named, nameless: int) -> Named:
    """Adds clips that have no id; see `name`."""
    count = len(named.names) + nameless
    if not nameless or count == 1:
        return named
    which = f"{nameless} of {count}" if named.names else f"all {count}"
    line = f"could not be told of {which} clips, which the file does not name; each of these counts as one"
    line = f"{named.line}; {line}" if named.line else line
    return Named(named.names, line, named.untold + nameless)


def _without_splits(names: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], bool]:
    """The names with the videos freed from the names of splits, and whether there was something to free.

    That is so where nearly all videos have one, some video has clips in several splits by it, and all clips
    are still told apart. Where two of them, in different splits, would have one name, each split counts its
    videos anew, however many it has.

    Args:
      names: (id, video) of each clip.
    """
    freed = [_freed(video) for _, video in names]
    splits: dict[str, set[str]] = defaultdict(set)
    for split, video in freed:
        if split:
            splits[video].add(split)
    shared = any(len(found) > 1 for found in splits.values())
    having = sum(bool(split) for split, _ in freed)
    identities = {identity for identity, _ in names}
    apart = len({_freed(identity)[1] for identity in identities}) == len(identities)
    if not (shared and apart) or having < _NEARLY_ALL * len(names):
        return list(names), False
    return [(identity, video) for (identity, _), (_, video) in zip(names, freed, strict=True)], True


def _freed(name: str) -> tuple[str, str]:
    """(the split that is a folder in a name or stands in front of it, the rest); "" where there is none."""
    parts = re.split(r"[/\\]", name)
    found = [named_split(part) for part in parts]
    rest = [part for part, split in zip(parts, found, strict=True) if not split]
    if any(found) and rest:
        return next(filter(None, found)), "/".join(rest)
    match = _PREFIXED.fullmatch(name)
    split = named_split(match[1]) if match else None
    return (split, match[2]) if split else ("", name)


def _told(form: str, videos: Sequence[str], count: int, fitting: int) -> str:
    return f"{form} ({fitting} of {count} ids, {counted(len(set(videos)), '{video|videos}')})"


def marked(fields: tuple[str, ...]) -> tuple[str, str] | None:
    """(id, video) where a mark says which part is the video."""
    if match := _BRACKETED.fullmatch(fields[0]):
        return f"{match[1]}_{match[2]}", match[1]
    if _DOLLARS in fields[0]:
        video, clip = fields[0].rsplit(_DOLLARS, 1)
        return f"{video}_{clip}", video
    if len(fields) > 1:  # only the times tell the clips of a video apart
        return f"{fields[0]}_{fields[1]}", fields[0]
    return None


def _form(ids: Sequence[str]) -> tuple[str | None, list[str], str]:
    """(what the ids have in common, the videos, ""); (None, [], what to say) where nothing tells them."""
    parts = [re.split(r"[/\\]", _MEDIA.sub("", name)) for name in ids]
    shared = 0
    while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    short = ["/".join(part[shared:]) for part in parts]
    if videos := id_forms.clip_first(short):
        return "what is behind the clip's number", _whole(ids, short, videos), ""
    if videos := id_forms.by_times(short):
        return _levelled("what is before the two times", _whole(ids, short, videos), short, _BEFORE_TIMES)
    found = [one if one and not named_split(one[1]) else None for one in map(_split, short)]
    counts = Counter(sign for sign, _, _ in filter(None, found))
    if not counts:
        return None, [], ""
    (sign, count), *_ = counts.most_common(1)
    if count < _NEARLY_ALL * len(ids):
        return None, [], ""
    clips: dict[str, set[str]] = defaultdict(set)
    for one in found:
        if one and one[0] == sign:
            clips[one[1]].add(one[2])
    if id_forms.counts_clips(clips) or id_forms.are_kinds(clips):
        return None, [], ""
    gathered = sum(len(numbers) for numbers in clips.values() if len(numbers) > 1)
    if sign != "_" and (len(clips) < 2 or 2 * gathered < count):
        return None, [], ""
    if len(clips) < 2 and count >= _SOME:  # clip_0, clip_1, ...: a word that all have is not a video
        return None, [], ""
    videos = [
        one[1] if one and (one[0] == sign or one[1] in clips) else name
        for name, one in zip(ids, found, strict=True)
    ]
    form = f'what is before the last "{sign}"' if sign != "[" else "what is before the brackets"
    timed = 2 * sum(bool(one and _TIMED.fullmatch(one[2])) for one in found) > len(ids)
    behind = _BEFORE_TIMES if timed else _behind(sign)
    return _levelled(form, videos, [one[2] if one else "" for one in found], behind)


def _levelled(
    form: str, videos: list[str], clips: Sequence[str], behind: str
) -> tuple[str | None, list[str], str]:
    """The result of `_form`: where what was found may be parts of videos no video, but both readings to say.

    Args:
      form: what the ids have in common.
      videos, clips: what was found in each id to be the video, and what is behind it.
      behind: a regular expression of what is behind the video.
    """
    level = id_forms.outer(videos, clips)
    if not level:
        return form, videos, ""
    readings = (
        (videos, f"(.+?){behind}" if behind == _BRACES else f"(.+){behind}"),
        (level.videos, f"(.+){_behind(level.sign)}+{behind}"),
    )
    said = [
        f"--config.data.video_id='{pattern}' where {_short(found[0])} is a video ({len(set(found))} videos)"
        for found, pattern in readings
    ]
    return None, [], " or ".join(said)


def _behind(sign: str) -> str:
    """Writes a sign and the beginning of a clip's number as a regular expression."""
    return _BRACES if sign == "[" else f"{dict(_ESCAPED).get(sign, sign)}[A-Za-z]*[0-9]"


def _whole(ids: Sequence[str], short: Sequence[str], videos: Sequence[str]) -> list[str]:
    """Gives the videos, with the whole id where a short one was not taken apart."""
    return [name if video == part else video for name, part, video in zip(ids, short, videos, strict=True)]


def _split(name: str) -> tuple[str, str, str] | None:
    """(sign, video, clip) of an id; "[" as the sign stands for any brackets."""
    if match := _BRACED.fullmatch(name):
        return "[", match[1], match[2]
    if match := _TIMES.fullmatch(name):
        return match[2], match[1], f"{match[3]}{match[2]}{match[4]}"
    if match := _NUMBERED.fullmatch(name):
        return match[2], match[1], match[3]
    return None


def _short(name: str) -> str:
    return name if len(name) <= _SHOWN else f"{name[: _SHOWN - 3]}..."


def _as_said(
    ids: Sequence[tuple[str, ...]], names: Sequence[tuple[str, str] | None], pattern: str, where: str
) -> Named:
    key = "--config.data.video_id"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{key}: {pattern!r} is not a regular expression ({error}); correct it") from None
    if compiled.groups != 1:
        raise UserError(
            f"{key}: {pattern!r} has {compiled.groups} groups; put the part that is the video, and no other, "
            "into parentheses, as in '(.+)-[0-9]+'"
        )
    found = [compiled.search(fields[0]) for fields in ids]
    videos = [match[1] if match else None for match in found]
    if wrong := [fields[0] for fields, video in zip(ids, videos, strict=True) if not video]:
        raise UserError(
            f"{where}: {key}={pattern} finds no video in {len(wrong)} of {len(ids)} ids, the "
            f"first is {_short(wrong[0])}; correct it"
        )
    identities = [pair[0] if pair else fields[0] for fields, pair in zip(ids, names, strict=True)]
    return Named(list(zip(identities, videos, strict=True)), _told("as you said", videos, len(ids), len(ids)))
