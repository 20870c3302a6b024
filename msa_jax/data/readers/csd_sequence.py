"""One computational sequence, a `.csd` file: what it holds, and its rows video by video.

The form is that of the CMU-MultimodalSDK (`mmsdk/mmdatasdk/computational_sequence`): one root group with
`data/<video>/features` and `data/<video>/intervals`.
"""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from msa_jax.data.conventions import axes
from msa_jax.data.readers.hdf5 import child, opened, whole
from msa_jax.errors import UserError

_ROLES = {
    "labels": re.compile("label|opinion|sentiment"),
    "word vectors": re.compile("glove|(?<!hu)bert|vector|embedding"),
    "phones": re.compile("phone"),
    # CMU-MOSEI's COVAREP has the root name COAVAREP in the SDK.
    "audio": re.compile("coa?varep|opensmile|acoustic|audio|hubert|wav2vec|mfcc|librosa"),
    "vision": re.compile("face|visual|vision"),
}


@dataclasses.dataclass(frozen=True)
class Sequence:
    """One file: what it holds, the name of its root group, and the videos in their order.

    Attributes:
      path, role, root, videos: the same.
      per_second: how many units of its times make a second.
    """

    path: Path
    role: str
    root: str
    videos: dict[str, None]
    per_second: float = 1.0

    def arrays(self, video: str) -> tuple[np.ndarray, np.ndarray]:
        """One video's intervals [n, 2] in seconds and features [n, width], in the order of the file."""
        where = self.where(video)
        with opened(self.path, where) as file:
            group = child(_data(file, self.root), video)
            features, intervals = (_dataset(group, name, where) for name in ("features", "intervals"))
            _check_intervals(intervals, where)
            if len(features.shape) == 2 and axes.are_reversed(features.shape, len(intervals)):
                raise UserError(f"{where}: features {features.shape}: {axes.reversed_mend(2, 'rows')}")
            if len(features) != len(intervals):
                raise UserError(
                    f"{where}: {len(intervals)} intervals but features of shape {features.shape}; every row "
                    "needs one interval, extract the file again"
                )
            words = self.role == "words"
            kind = _strings(features) if words else features.dtype.kind in "fiu"
            if not kind or len(features.shape) != 2 or (words and features.shape[1] != 1):
                raise UserError(
                    f"{where}: the features of {self.role} must be "
                    f"{'one string a row' if words else '(n, width) numbers'}, found {features.shape} "
                    f"{features.dtype}; extract the file again"
                )
            times, rows = _times(intervals, where), whole(features, where)
        return (times if self.per_second == 1 else times / self.per_second), rows

    def where(self, video: str) -> str:
        """What to call a video of the file in messages."""
        return f"{self.path}, video {video}"

    def intervals(self, videos: Iterable[str]) -> dict[str, np.ndarray]:
        """The intervals [n, 2] of those of the videos that are there, in the file's own unit."""
        found = {}
        with opened(self.path) as file:
            data = _data(file, self.root)
            for video in videos:
                if video in self.videos:
                    intervals = _dataset(child(data, video), "intervals", self.where(video))
                    _check_intervals(intervals, self.where(video))
                    found[video] = _times(intervals, self.where(video))
        return found


def _check_intervals(intervals: h5py.Dataset, where: str) -> None:
    if intervals.shape != (len(intervals), 2) or intervals.dtype.kind not in "fiu":
        raise UserError(
            f"{where}: intervals must be (n, 2) numbers, the start and end of each row in seconds, "
            f"found {intervals.shape} {intervals.dtype}; extract the file again"
        )


def _times(intervals: h5py.Dataset, where: str) -> np.ndarray:
    times = whole(intervals, where).astype(np.float64)
    if not np.isfinite(times).all():
        raise UserError(f"{where}: intervals hold NaN or infinity; give every row a start and an end")
    return times


def _data(file: h5py.File, root: str) -> h5py.Group | None:
    """The group of the videos; None where there is none."""
    group = child(file, root)
    data = child(group, "data") if isinstance(group, h5py.Group) else None
    return data if isinstance(data, h5py.Group) else None


def _dataset(group: h5py.Group | h5py.Dataset | None, name: str, where: str) -> h5py.Dataset:
    """The features or the intervals of one video, with at least one axis."""
    dataset = child(group, name) if isinstance(group, h5py.Group) else None
    if not isinstance(dataset, h5py.Dataset) or not dataset.shape:
        raise UserError(f"{where}: has no array {name}; copy or extract the file again")
    return dataset


def _strings(dataset: h5py.Dataset) -> bool:
    return h5py.check_string_dtype(dataset.dtype) is not None


def roots(file: h5py.File) -> list[str]:
    """The names of the root groups that hold `data`; a good file has one."""
    return [
        name
        for name in file
        if isinstance(group := child(file, name), h5py.Group) and group.get("data", getlink=True) is not None
    ]


def open_sequence(path: Path) -> Sequence:
    """Opens a file for a first look at it.

    Raises:
      UserError: when the file is damaged or holds no videos, or neither its root name nor its own name tells
        what it holds.
    """
    with opened(path) as file:
        found = roots(file)
        data = _data(file, found[0]) if len(found) == 1 else None
        if data is None:
            raise UserError(
                f"{path}: a .csd file has one root group with a group 'data', found "
                f"{', '.join(found or file) or 'nothing'}; download it again"
            )
        videos = dict.fromkeys(data)
        if not videos:
            raise UserError(f"{path}: holds no videos; download it again")
        first = next(iter(videos))
        strings = _strings(_dataset(child(data, first), "features", f"{path}, video {first}"))
    return Sequence(path, _role(path, found[0], strings), found[0], videos)


def _role(path: Path, root: str, strings: bool) -> str:
    names = [re.sub("[^a-z0-9]", "", name.lower()) for name in (root, path.stem)]
    for name in names:
        roles = [role for role, pattern in _ROLES.items() if pattern.search(name)]
        if strings:
            roles = ["phones"] if "phones" in roles else []
        if len(roles) == 1:
            return roles[0]
    if strings:
        return "words"
    raise UserError(
        f"{path}: neither its root name {root!r} nor its file name tells what it holds; rename the file so "
        "that it says one of label, audio, visual or glove, or take it out of the folder"
    )
