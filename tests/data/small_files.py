"""Small feature files of every format, with nothing wrong with them.

python -m tests.data.small_files FOLDER     writes one of each, to try the commands on
"""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

SPLITS = ("train", "valid", "test")
CLIPS = 4  # in each split


def mmsa() -> dict[str, dict]:
    """The content of a good MMSA pickle: streams of their own, zeros behind the lengths."""
    rng = np.random.default_rng(0)
    whole = {
        split: {
            "id": [f"{split}{k // 2}$_${k}" for k in range(CLIPS)],
            "raw_text": ["a good film"] * CLIPS,
            "audio": rng.normal(size=(CLIPS, 6, 3)).astype(np.float32),
            "vision": rng.normal(size=(CLIPS, 5, 2)).astype(np.float32),
            "audio_lengths": [6, 5, 4, 3],
            "vision_lengths": [5, 5, 4, 3],
            "regression_labels": rng.uniform(-3, 3, CLIPS),
        }
        for split in SPLITS
    }
    for arrays in whole.values():
        for stream in ("audio", "vision"):
            for rows, length in zip(arrays[stream], arrays[f"{stream}_lengths"], strict=True):
                rows[length:] = 0
    return whole


def write_mmsa(
    folder: Path, change: Callable[[dict], object] = lambda content: None, name: str = "features.pkl"
) -> Path:
    """Writes an MMSA pickle into a folder, after a change of its content."""
    content = mmsa()
    change(content)
    return write(folder, pickle.dumps(content), name)


def write(folder: Path, content: bytes, name: str = "features.pkl") -> Path:
    """Writes a file into a folder; returns its path."""
    path = folder / name
    path.write_bytes(content)
    return path


def mult_pickle(folder: Path) -> Path:
    """A MulT pickle as that of MOSI: padded in front, the ids bytes whose first field is video_clip."""
    rng = np.random.default_rng(0)
    widths = {"vision": 2, "text": 5, "audio": 3}

    def padded(width: int) -> np.ndarray:
        rows = rng.normal(size=(CLIPS, 6, width)).astype(np.float32)
        for clip in range(CLIPS):
            rows[clip, :clip] = 0
        return rows

    content = {
        split: {
            **{name: padded(width) for name, width in widths.items()},
            "labels": rng.uniform(-3, 3, (CLIPS, 1, 1)).astype(np.float32),
            "id": np.array([[f"{split}{k // 2}_{k}", f"{k}.5", f"{k + 1}.5"] for k in range(CLIPS)], "S"),
        }
        for split in SPLITS
    }
    return write(folder, pickle.dumps(content), "mosi_data.pkl")


def npz_file(folder: Path, **changes: object) -> Path:
    """An utterance .npz, some of its arrays changed."""
    count = len(SPLITS) * CLIPS
    arrays = {
        "id": [f"v{k}_{k}" for k in range(count)],
        "text": ["a good film"] * count,
        "label": np.linspace(-3, 3, count),
        "audio": np.ones((count, 3), np.float32),
        "split_official": [split for split in SPLITS for _ in range(CLIPS)],
    }
    np.savez(folder / "features.npz", **{**arrays, **changes})
    return folder / "features.npz"


def csd_folder(folder: Path) -> Path:
    """Computational sequences of six videos: four segments of a second each, two words in every one."""
    path = folder / "mosi"
    path.mkdir()
    rng = np.random.default_rng(0)
    sequences = {  # root and columns, and rows in a second
        "COVAREP": ("COVAREP", 3, 10),
        "FACET": ("FACET 4.2", 2, 5),
        "Opinion_Labels": ("Opinion Segment Labels", 1, 1),
        "TimestampedWords": ("words", 0, 2),
    }
    for name, (root, width, rate) in sequences.items():
        with h5py.File(path / f"CMU_MOSI_{name}.csd", "w") as file:
            for video in range(6):
                group = file.create_group(f"{root}/data/video{video}")
                start = np.arange(4 * rate) / rate
                group["intervals"] = np.stack([start, start + 1 / rate], 1).astype(np.float32)
                words = np.array([[b"good"], [b"film"]] * 4)
                rows = rng.uniform(-3, 3, (4 * rate, width)).astype(np.float32)
                group["features"] = rows if width else words
    splits = {"train": [0, 1], "valid": [2, 3], "test": [4, 5]}
    write(path, json.dumps({k: [f"video{i}" for i in v] for k, v in splits.items()}).encode(), "splits.json")
    return path


def csv_file(folder: Path, header: str = "video_id,clip_id,text,label,mode", row: str = "") -> Path:
    """Texts and labels, one more row at the end."""
    rows = [f"{split}{k},0,a good film,1.5,{split}" for split in SPLITS for k in range(CLIPS)]
    return write(folder, "\n".join([header, *rows, row]).encode(), "label.csv")


def words_folder(folder: Path, names: tuple[str, ...] = ("train", "dev", "test")) -> Path:
    """A words pickle in several files, as MISA's create_dataset.py writes it."""
    path = folder / "mosi"
    path.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    words = ["so", "good"]

    def rows(width: int) -> np.ndarray:
        found = rng.normal(size=(len(words), width)).astype(np.float32)
        return (found - found.mean(0, keepdims=True)) / (1e-6 + np.std(found, axis=0, keepdims=True))

    for name in names:
        clips = [
            ((np.arange(2, 4), rows(2), rows(3), words), np.array([[1.0]], np.float32), f"{name}{k}[0]")
            for k in range(CLIPS)
        ]
        write(path, pickle.dumps(clips), f"{name}.pkl")
    return path


def hdf5_folder(folder: Path) -> Path:
    """HDF5 files with an array each."""
    path = folder / "mosi"
    path.mkdir()
    rng = np.random.default_rng(0)
    shapes = {"audio": (CLIPS, 6, 3), "video": (CLIPS, 6, 2), "text": (CLIPS, 6, 5), "y": (CLIPS, 1)}
    for split in SPLITS:
        for array, shape in shapes.items():
            with h5py.File(path / f"{array}_{split}.h5", "w") as file:
                file["d1"] = rng.uniform(-3, 3, shape)
    return path


def mfn_folder(folder: Path) -> Path:
    """MFN's files of MOSI: the columns of text, COVAREP and FACET joined in one array, padded in front."""
    path = folder / "mfn"
    path.mkdir()
    rng = np.random.default_rng(0)
    for split in SPLITS:
        text, covarep, facet = (
            rng.normal(size=(CLIPS, 6, width)).astype(np.float32) for width in (300, 5, 20)
        )
        joined = np.concatenate((text, covarep, facet), axis=2)
        for clip in range(CLIPS):
            joined[clip, :clip] = 0
        for name, array in (("X", joined), ("y", rng.uniform(-3, 3, CLIPS))):
            with h5py.File(path / f"{name}_{split}.h5", "w") as file:
                file.create_dataset("data", data=array)
    return path


def ur_funny_folder(folder: Path) -> Path:
    """UR-FUNNY as its README has it: two clips in each split, one word of context before two of punchline."""
    path = folder / "ur_funny"
    path.mkdir()
    folds = {"train": [1, 2], "dev": [3, 4], "test": [5, 6]}
    names = [name for fold in folds.values() for name in fold]
    rng = np.random.default_rng(0)

    def features(width: int) -> dict[int, dict]:
        return {
            name: {
                "punchline_features": rng.normal(size=(2, width)),
                "context_features": [rng.normal(size=(1, width))],
            }
            for name in names
        }

    clip = {
        "punchline_sentence": "he laughed .",
        "punchline_features": ["he", "laughed"],
        "punchline_embedding_indexes": [1, 2],
        "punchline_intervals": [(0.5, 0.75), (0.75, 1.5)],
        "context_sentences": ["so ."],
        "context_features": [["so"]],
        "context_embedding_indexes": [[3]],
        "context_intervals": [[(0.0, 0.25)]],
    }
    write(path, pickle.dumps(list(rng.normal(size=(4, 300)))), "word_embedding_list.pkl")
    write(path, pickle.dumps(folds), "data_folds.pkl")
    write(path, pickle.dumps(dict.fromkeys(names, clip)), "language_sdk.pkl")
    write(path, pickle.dumps({name: name % 2 for name in names}), "humor_label_sdk.pkl")
    write(path, pickle.dumps(features(3)), "covarep_features_sdk.pkl")
    write(path, pickle.dumps(features(2)), "openface_features_sdk.pkl")
    return path


WRITERS: dict[str, Callable[[Path], Path]] = {
    "MMSA pickle": write_mmsa,
    "MulT pickle": mult_pickle,
    "words pickle": words_folder,
    "CSV of texts and labels": csv_file,
    "utterance .npz": npz_file,
    "CMU-MultimodalSDK .csd": csd_folder,
    "HDF5 per array": hdf5_folder,
    "UR-FUNNY SDK pickles": ur_funny_folder,
}


def main(folder: Path) -> None:
    """Writes one of each format and prints where they are."""
    for name, make in WRITERS.items():
        place = folder / "".join(c if c.isalnum() else "_" for c in name.lower())
        place.mkdir(parents=True)
        print(f"{name}: {make(place)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
