"""Escapes: files with what must not reach the terminal as it is."""

import os
import pickle
from pathlib import Path

import numpy as np

from tests.data import small_files

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r"  # title, cleared screen, C1, turned writing


def escapes_in_csv_split(folder: Path) -> Path:
    """Escape sequences in the name of a split, which the message repeats."""
    return small_files.csv_file(folder, row=f'v,0,a film,1,"{ESCAPES}"')


def escapes_in_ids(folder: Path) -> Path:
    """Escape sequences in ids, which the inspector shows."""

    def change(content: dict) -> None:
        for split, arrays in content.items():
            arrays["id"] = [f"{ESCAPES}{split}{k // 2}$_${k % 2}" for k in range(small_files.CLIPS)]
            arrays["audio"][0] = np.nan

    return small_files.write_mmsa(folder, change)


def escapes_in_keys(folder: Path) -> Path:
    """Escape sequences in the keys of a pickle of no known form."""
    return small_files.write(folder, pickle.dumps({ESCAPES: 1, "\ud83d": 2}))


def escapes_in_columns(folder: Path) -> Path:
    """Escape sequences in the columns of a table."""
    return small_files.csv_file(folder, header=f"text,{ESCAPES},x,y,z".replace("\r", ""))


def escapes_in_file_name(folder: Path) -> Path:
    """Escape sequences in the name of a file that is read."""
    return small_files.write_mmsa(folder, name=f"{ESCAPES}.pkl")


def file_name_in_no_encoding(folder: Path) -> Path:
    """A file name that is not UTF-8."""
    return small_files.write_mmsa(folder, name=os.fsdecode(b"f\xff\xe9.pkl"))


def chinese_names(folder: Path) -> Path:
    """A Chinese file name, ids and texts, which many a console cannot print."""

    def change(content: dict) -> None:
        for split, arrays in content.items():
            arrays["id"] = [f"电影{split}{k // 2}$_${k % 2}" for k in range(small_files.CLIPS)]
            arrays["raw_text"] = ["一部好电影 😀"] * small_files.CLIPS
            arrays["audio"][0] = np.nan

    return small_files.write_mmsa(folder, change, name="特征😀.pkl")
