"""Clips that are scored once, on disk meanwhile: written one by one, then read at random."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from flax import serialization

from msa_jax.data.example import Example
from msa_jax.errors import UserError

_NAME = "name another folder by the environment variable TMPDIR"


class ClipStore:
    """Clips in a temporary file, as a `pipeline.Source`; a context, at whose end they are gone.

    The file has no name (where a system cannot do without, it is taken away at once), so that nobody else
    opens it, and nothing of it is left however the process ends. A clip is one record of MessagePack, which
    can say nothing but what arrays, numbers and texts there are. Any number of threads may read at once.
    """

    def __init__(self, cache: Path) -> None:
        """Opens the file, in the first folder that it can be made in.

        Args:
          cache: the folder that `data.cache` names; made where it is missing. Before it comes the folder that
            the environment variable TMPDIR names, after it that of the system.

        Raises:
          UserError: when it can be made in none of them.
        """
        self._place, self._file = _opened(cache)
        self._ends = [0]  # where in the file each clip ends

    def __enter__(self) -> "ClipStore":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, clip: Example) -> None:
        """Writes a clip behind the others.

        Raises:
          UserError: when the disk has no room, or cannot be written to.
        """
        # A reader's text may be of a class of its own, such as NumPy's.
        fields = {name: str(v) if isinstance(v, str) else v for name, v in vars(clip).items()}
        record = memoryview(serialization.msgpack_serialize(fields))
        end = self._ends[-1] + len(record)
        try:
            while record:
                record = record[self._file.write(record) :]
        except OSError as error:
            raise UserError(
                f"{self._place}: the clips cannot be kept there while they are scored "
                f"({error.strerror or error}, after {self._ends[-1] / 1e6:.1f} MB); make room, or {_NAME}"
            ) from None
        self._ends.append(end)

    def __getitems__(self, indices: Sequence[int]) -> list[Mapping[str, Any]]:
        """The clips at some places, as dicts of the fields of `Example`; their arrays cannot be changed."""
        return [serialization.msgpack_restore(self._record(index)) for index in indices]

    def _record(self, index: int) -> bytes:
        start, end = self._ends[index : index + 2]
        parts = []
        while start < end:  # one read may give less than was asked for
            parts.append(os.pread(self._file.fileno(), end - start, start))
            if not parts[-1]:
                raise UserError(f"{self._place}: the clips that were kept there are gone; start again")
            start += len(parts[-1])
        return b"".join(parts)


def _opened(cache: Path) -> tuple[Path, IO[bytes]]:
    """(folder, a file in it that has no name); unbuffered, as records are large."""
    wanted = os.environ.get("TMPDIR")
    reasons = []
    for place in ((Path(wanted),) if wanted else ()) + (cache, None):
        try:
            if place is None:  # which looks for one that can be written to, and may find none
                place = Path(tempfile.gettempdir())
            if place == cache:
                place.mkdir(parents=True, exist_ok=True)
            return place, tempfile.TemporaryFile(dir=place, buffering=0)
        except OSError as error:
            reasons.append(f"{place or 'the system'}: {error.strerror or error}")
    raise UserError(
        f"there is no folder to keep the clips in while they are scored ({'; '.join(reasons)}); {_NAME}"
    )
