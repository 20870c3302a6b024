"""Files of the clips in every format that leaves open what its label columns mean, with any labels."""

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from tests.data.conventions.clips import Clip, padded
from tests.data.conventions.csd_files import FILES, write_csd

LIMIT = 12  # rows of padded arrays
SPLITS = ("train", "valid", "test")


def by_split(clips: Sequence[Clip]) -> dict[str, list[int]]:
    """The places of the clips of each split."""
    return {split: [k for k, clip in enumerate(clips) if clip.split == split] for split in SPLITS}


def taken(labels: object, places: Sequence[int]) -> object:
    """Some of the labels, in the container that they are in."""
    return labels[places] if isinstance(labels, np.ndarray) else [labels[k] for k in places]


def plain(labels: object) -> np.ndarray:
    """The labels as one array of numbers, in formats that hold nothing else."""
    return np.array(list(labels))


def _streams(clips: Sequence[Clip], names: Sequence[str]) -> dict[str, np.ndarray]:
    return {n: np.stack([padded(clip.stream[n], LIMIT, "behind") for clip in clips]) for n in names}


def write_mmsa(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """An MMSA pickle of streams."""
    content = {}
    for split, places in by_split(clips).items():
        chosen = [clips[k] for k in places]
        content[split] = {
            "id": [f"film_{clip.video:02d}$_${clip.number}" for clip in chosen],
            "raw_text": [clip.text for clip in chosen],
            "regression_labels": taken(labels, places),
            **_streams(chosen, ("audio", "vision")),
        }
    return _pickled(folder, content)


def write_mult(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """A MulT pickle."""
    content = {}
    for split, places in by_split(clips).items():
        chosen = [clips[k] for k in places]
        content[split] = {
            "id": [[f"film_{clip.video:02d}_{clip.number}"] for clip in chosen],
            "labels": taken(labels, places),
            **_streams(chosen, ("text", "audio", "vision")),
        }
    return _pickled(folder, content)


def write_words(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """A words pickle, its labels clip by clip."""
    content = {
        split: [
            (
                (np.arange(3), clips[k].by_word["vision"], clips[k].by_word["audio"], clips[k].text.split()),
                labels[k],
                f"film_{clips[k].video:02d}[{clips[k].number}]",
            )
            for k in places
        ]
        for split, places in by_split(clips).items()
    }
    return _pickled(folder, content)


def write_npz(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """An utterance .npz with the first row of each stream."""
    path = folder / "features.npz"
    np.savez(
        path,
        id=[f"film_{clip.video:02d}_{clip.number}" for clip in clips],
        text=[clip.text for clip in clips],
        label=plain(labels),
        audio=np.stack([clip.by_word["audio"][0] for clip in clips]),
        split_official=[clip.split for clip in clips],
    )
    return path


def write_hdf5(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """A folder of arrays."""
    for split, places in by_split(clips).items():
        chosen = [clips[k] for k in places]
        arrays = _streams(chosen, ("text", "audio")) | {"y": plain(taken(labels, places))}
        for array, values in arrays.items():
            with h5py.File(folder / f"{array}_{split}.h5", "w") as file:
                file["data"] = values
    return folder


def write_csd_labels(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """A folder of .csd files, the labels' features replaced."""
    write_csd(folder, clips, streams=("labels", "audio"))
    file_name, root = FILES["labels"]
    with h5py.File(folder / file_name, "a") as file:
        for video in {clip.video for clip in clips}:
            group = file[f"{root}/data/film_{video:02d}"]
            places = [k for k, clip in enumerate(clips) if clip.video == video]
            del group["features"]
            group["features"] = plain(taken(labels, places)).reshape(len(places), -1)
    return folder


def write_ur_funny(folder: Path, clips: Sequence[Clip], labels: object) -> Path:
    """UR-FUNNY's folder, its labels clip by clip."""
    folds = {"train": [], "dev": [], "test": []}
    language, covarep, humor = {}, {}, {}
    for k, clip in enumerate(clips):
        folds[{"valid": "dev"}.get(clip.split, clip.split)].append(k)
        words = clip.text.split()
        language[k] = {"punchline_sentence": clip.text, "punchline_features": words, "context_sentences": []}
        covarep[k] = {"punchline_features": clip.by_word["audio"], "context_features": []}
        humor[k] = labels[k]
    for name, content in (
        ("language_sdk", language),
        ("covarep_features_sdk", covarep),
        ("humor_label_sdk", humor),
        ("data_folds", folds),
    ):
        _pickled(folder, content, f"{name}.pkl")
    return folder


def _pickled(folder: Path, content: object, name: str = "features.pkl") -> Path:
    path = folder / name
    path.write_bytes(pickle.dumps(content))
    return path


Writer = Callable[[Path, Sequence[Clip], object], Path]
WRITERS: dict[str, Writer] = {
    "MMSA pickle": write_mmsa,
    "MulT pickle": write_mult,
    "words pickle": write_words,
    "utterance .npz": write_npz,
    "HDF5 per array": write_hdf5,
    "CMU-MultimodalSDK .csd": write_csd_labels,
    "UR-FUNNY SDK pickles": write_ur_funny,
}
WORDLESS = ("MulT pickle", "HDF5 per array")
TYPED = ("HDF5 per array", "CMU-MultimodalSDK .csd")  # hold no truth values and no text


def mosei(scores: Sequence[float]) -> np.ndarray:
    """CMU-MOSEI's seven columns: the scores, and six emotions from 0 to 3."""
    rng = np.random.default_rng(3)
    return np.concatenate([np.array(scores)[:, None], rng.integers(0, 10, (len(scores), 6)) * 0.25], axis=1)


def emotions(count: int) -> np.ndarray:
    """IEMOCAP's four columns."""
    return np.random.default_rng(4).integers(0, 2, (count, 4)).astype(float)


def containers(labels: np.ndarray) -> dict[str, object]:
    """One set of labels [N] or [N, K] in every container and type of number that holds it exactly."""
    objects = np.empty(len(labels), object)
    for place, row in enumerate(labels):
        objects[place] = np.array(row)
    shaped = {
        "(N, K)": labels.reshape(len(labels), -1),
        "(N, K, 1)": labels.reshape(len(labels), -1, 1),
        "lists": labels.tolist(),
        "objects": objects,
        **{dtype: labels.astype(dtype) for dtype in ("f2", "f4", "f8")},
    }
    if (labels == np.rint(labels)).all():
        whole = ("i1", "i2", "i8", *(("u1", "u8", "?") if set(np.unique(labels)) <= {0, 1} else ()))
        shaped |= {dtype: labels.astype(dtype) for dtype in whole}
    return shaped
