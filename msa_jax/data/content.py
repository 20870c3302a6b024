"""Content of a feature file, by which its builds and the runs on it know it again."""

import hashlib
import os
from pathlib import Path

from msa_jax.data import readers
from msa_jax.progress import watched

_BLOCK = 1 << 22  # bytes hashed at once


def content_hash(path: Path) -> str:
    """SHA-256 over the file, or over the names and contents of a folder's files."""
    total = hashlib.sha256()
    for file in readers.files(path):
        if path.is_dir():
            total.update(f"{file.name} {os.path.getsize(file)}\n".encode())
        try:
            with file.open("rb") as stream:
                blocks = iter(lambda: stream.read(_BLOCK), b"")
                for block in watched(
                    blocks, f"hashing {file.name}", "block", -(-os.path.getsize(file) // _BLOCK)
                ):
                    total.update(block)
        except OSError as error:
            raise readers.clean.unreadable(file, error) from None
    return total.hexdigest()
