"""Splits: a corpus is cut into train, valid and test where its file does not, by video and with a seed."""

import dataclasses
import hashlib
from collections.abc import Sequence

from msa_jax.corpora import SPLITS
from msa_jax.errors import UserError, counted

_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
}


def named_split(name: str) -> str | None:
    """ "train", "valid" or "test" for a name that means one of them in any case ("dev", "Val"), else None."""
    return _NAMES.get(name.strip().lower())


@dataclasses.dataclass(frozen=True)
class Cut:
    """How to cut what the file leaves undivided.

    Attributes:
      seed: which of the possible cuts.
      folds: groups of videos that a file without splits is divided into, nearly equal in videos.
      fold: the group that is tested, 0 to folds - 1.
      valid_fraction: share of the remaining videos that validate; at least one video does.
    """

    seed: int = 0
    folds: int = 5
    fold: int = 0
    valid_fraction: float = 0.15


def assign(videos: Sequence[str], splits: Sequence[str], cut: Cut) -> list[str]:
    """Gives every clip a split; what the file says is kept, what it leaves open is cut by video.

    Args:
      videos: the video of each clip.
      splits: the split of each clip as the file has it, "" where it has none.
      cut: the cut of what is left open.

    Returns:
      "train", "valid" or "test" for each clip. With all three in the file, these; with train and test, a
      validation split cut from train; with no splits, fold `cut.fold` of the videos as test and a validation
      split cut from the rest. What is cut off depends on the names of the videos and the cut alone.

    Raises:
      UserError: when the file's splits are none of these cases, or there are too few videos.
    """
    found = set(splits)
    if found == set(SPLITS):
        return list(splits)
    if found == {"train", "test"}:
        rest = {video for video, split in zip(videos, splits, strict=True) if split == "train"}
        valid = _valid(rest, cut, "train")
        return [
            "valid" if split == "train" and video in valid else split
            for video, split in zip(videos, splits, strict=True)
        ]
    if found == {""}:
        test = _test(set(videos), cut)
        valid = _valid(set(videos) - test, cut, f"fold {cut.fold}")
        return ["test" if video in test else "valid" if video in valid else "train" for video in videos]
    if not found:
        raise UserError("the file holds no clips")
    if "" in found:
        named = ", ".join(sorted(found - {""}))
        raise UserError(
            f"{counted(list(splits).count(''), '{clip has|clips have}')} no split while others have one "
            f"({named}); give all one"
        )
    missing = " and ".join(split for split in ("train", "test") if split not in found)
    raise UserError(
        f"the file has {', '.join(s for s in SPLITS if s in found)} but no {missing} split; add it, or "
        "remove the splits to have the clips cut by video"
    )


def _test(videos: set[str], cut: Cut) -> set[str]:
    if not 0 <= cut.fold < cut.folds:
        raise UserError(f"data.cut.fold is {cut.fold}, expected 0 to {cut.folds - 1} (data.cut.folds - 1)")
    if cut.folds < 2 or len(videos) < cut.folds:
        raise UserError(
            f"{counted(len(videos), '{video|videos}')} cannot be cut into {cut.folds} "
            "folds by video; data.cut.folds must be at "
            "least 2 and at most the number of videos"
        )
    return set(_order(videos, cut.seed, "folds")[cut.fold :: cut.folds])


def _valid(videos: set[str], cut: Cut, part: str) -> set[str]:
    count = max(1, round(cut.valid_fraction * len(videos)))
    if not 0 < cut.valid_fraction < 1 or count >= len(videos):
        raise UserError(
            f"{counted(len(videos), '{video|videos}')} cannot spare a "
            f"valid split of {cut.valid_fraction:g} of them by video; "
            "give the file more videos or a valid split of its own, or change data.cut.valid_fraction"
        )
    return set(_order(videos, cut.seed, part)[:count])


def _order(videos: set[str], seed: int, part: str) -> list[str]:
    """The videos shuffled by a hash of their names: the same on every machine and version of NumPy."""
    return sorted(videos, key=lambda video: hashlib.sha256(f"{seed}/{part}/{video}".encode()).digest())
