"""Lengths: files with too much of a good thing, in depth or in a row."""

import pickle
from pathlib import Path

import numpy as np

from tests.data import small_files


def deep_splits(folder: Path) -> Path:
    """JSON of a hundred thousand brackets."""
    path = small_files.csd_folder(folder)
    (path / "splits.json").write_text('{"train": ' + "[" * 100_000 + "]" * 100_000 + "}")
    return path


def large_splits(folder: Path) -> Path:
    """31 MB of JSON, which would be 1 GB of lists."""
    path = small_files.csd_folder(folder)
    (path / "splits.json").write_text('{"train": [' + "[]," * (40 << 20 >> 2) + "[]]}")
    return path


def deep_pickle(folder: Path) -> Path:
    """A list in a list, a hundred thousand times."""
    return small_files.write(folder, b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")


def csv_of_many_columns(folder: Path) -> Path:
    """A million columns, all of which a message could name."""
    header = "text," + ",".join(f"c{k}" for k in range(9_000))  # the first line has to end within 64 KiB
    return small_files.write(folder, f"{header}\n{'x,' * 9000}\n".encode(), "label.csv")


def csv_of_one_long_split(folder: Path) -> Path:
    """A clip in a split whose name has 100 000 letters."""
    return small_files.csv_file(folder, row=f"v,0,a film,1,{'x' * 100_000}")


def pickle_of_many_keys(folder: Path) -> Path:
    """Ten thousand keys with long names."""
    return small_files.write(folder, pickle.dumps({f"split{k:>0100}": {} for k in range(10_000)}))


def wide_clip(folder: Path) -> Path:
    """A clip with a row of a million columns among small ones."""
    rows = [np.ones((2, 1), "f4") for _ in range(small_files.CLIPS)]
    wide = [np.ones((1, 1_000_000), "f4"), *rows[1:]]

    def change(content: dict) -> None:
        for split, arrays in content.items():
            del arrays["audio_lengths"]
            arrays["audio"] = wide if split == "train" else rows

    return small_files.write_mmsa(folder, change)


def long_clip(folder: Path) -> Path:
    """A clip of a million rows among a thousand small ones, which no one array can hold; it is read."""
    count, start, long = 1000, np.ones((2, 1), "f4"), np.ones((1_000_000, 1), "f4")
    content = {
        split: {
            "id": [f"{split}{k}$_$0" for k in range(count)],
            "raw_text": ["a good film"] * count,
            "audio": [long if split == "train" and not k else start for k in range(count)],
            "vision": [start] * count,
            "regression_labels": [1.0] * count,
        }
        for split in small_files.SPLITS
    }
    return small_files.write(folder, pickle.dumps(content))
