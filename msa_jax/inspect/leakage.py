"""Leakage between the splits of a corpus: videos, ids, whole clips and long texts that they share."""

from collections.abc import Hashable, Sequence

from msa_jax.data.checks import Clip
from msa_jax.data.findings import KEPT, REFUSED, SHOWN, Finding
from msa_jax.errors import worded
from msa_jax.inspect.scan import LONG


def leaks(
    clips: Sequence[Clip],
    texts: Sequence[bytes | None],
    contents: Sequence[bytes | None],
    *,
    split_by_clip: bool,
) -> list[Finding]:
    """Looks for what two splits have in common.

    Args:
      clips: all clips, each with its final split.
      texts, contents: of each clip, as `Scan` has them.
      split_by_clip: whether the corpus's own splits divide videos, so that shared ones are as they should be.

    Returns:
      One finding for each kind that is there. A whole clip that is there twice is not counted among the texts
      again.
    """
    videos = _shared(clips, [clip.video for clip in clips])
    ids = _shared(clips, [clip.id for clip in clips])
    copies = _shared(clips, contents)
    copied = {place for group in copies for place in group}
    rest = _shared(clips, [None if place in copied else text for place, text in enumerate(texts)])
    found = [
        Finding(
            worded(len(videos), "{video|videos}")
            + (" (the official splits divide clips, not videos)" if split_by_clip else ""),
            len(videos),
            [clips[group[0]].video for group in videos[:SHOWN]],
            KEPT if split_by_clip else REFUSED,
        ),
        Finding(
            worded(len(ids), "{id|ids}"), len(ids), [clips[group[0]].id for group in ids[:SHOWN]], REFUSED
        ),
        Finding(
            worded(len(copies), "{clip|clips} with the same text and features"),
            len(copies),
            _named(clips, copies),
            KEPT,
        ),
        Finding(
            worded(len(rest), f"{{text|texts}} of {LONG} words or more"), len(rest), _named(clips, rest), KEPT
        ),
    ]
    return [finding for finding in found if finding.count]


def _shared(clips: Sequence[Clip], keys: Sequence[Hashable | None]) -> list[list[int]]:
    """The places of the clips that have the same key, for each key that two splits have."""
    groups: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        if key is not None:
            groups.setdefault(key, []).append(place)
    return [group for group in groups.values() if len({clips[place].split for place in group}) > 1]


def _named(clips: Sequence[Clip], groups: Sequence[Sequence[int]]) -> list[str]:
    """Of each of the first groups one clip from two splits: "a (train) = b (test)"."""
    named = []
    for group in groups[:SHOWN]:
        by_split = {clips[place].split: clips[place].id for place in reversed(group)}
        pair = sorted(by_split.items(), key=lambda item: ("train", "valid", "test").index(item[0]))[:2]
        named.append(" = ".join(f"{clip} ({split})" for split, clip in pair))
    return named
