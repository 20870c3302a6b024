"""Caches of somebody else: each function takes the folder of a good build and changes it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from tests.attack import MARKER


def cache_with_code(folder: Path) -> Path:
    """A feature of a class in a module beside the records, which TFDS would import."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    theirs = '"tensorflow_datasets.core.features.text_feature.Text"'
    return _change(folder, "features.json", theirs, '"own_feature.X"')


def cache_of_old_form(folder: Path) -> Path:
    """The same in the form that TFDS wrote once."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    (file,) = folder.rglob("features.json")
    file.write_text(json.dumps({"type": "own_feature.X", "content": {}}))
    return folder


def cache_of_features_in_info(folder: Path) -> Path:
    """A class named in dataset_info.json."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    return _info(folder, lambda info: info.update(features={"pythonClassName": "own_feature.X", "text": {}}))


def cache_of_another_module(folder: Path) -> Path:
    """A builder of a module beside the records; read, as nobody looks for it."""
    (folder / "own_feature.py").write_text(f"open({str(folder / MARKER)!r}, 'w').close()\n")
    return _info(folder, lambda info: info.update(moduleName="own_feature"))


def cache_of_records_elsewhere(folder: Path) -> Path:
    """Records in another folder."""
    return _info(folder, lambda info: info["splits"][0].update(filepathTemplate="/etc/{SPLIT}-{SHARD_INDEX}"))


def cache_of_linked_records(folder: Path) -> Path:
    """Records that are a link out of the folder."""
    file = next(file for file in folder.rglob("*-train.array_record*"))
    file.rename(folder.parent / "elsewhere")
    file.symlink_to(folder.parent / "elsewhere")
    return folder


def cache_in_depth(folder: Path) -> Path:
    """A features.json of brackets."""
    (file,) = folder.rglob("features.json")
    file.write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    return folder


def cache_of_a_pipe(folder: Path) -> Path:
    """A named pipe in place of a file of records."""
    file = next(file for file in folder.rglob("*-train.array_record*"))
    file.unlink()
    os.mkfifo(file)
    return folder


def _change(folder: Path, name: str, old: str, new: str) -> Path:
    (file,) = folder.rglob(name)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    return folder


def _info(folder: Path, change: Callable[[dict], object]) -> Path:
    (file,) = folder.rglob("dataset_info.json")
    info = json.loads(file.read_text())
    change(info)
    file.write_text(json.dumps(info))
    return folder
