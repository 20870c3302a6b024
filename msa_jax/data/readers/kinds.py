"""Kinds of files, told by their bytes, and the content of a file as the formats of its kind take it."""

from pathlib import Path

import h5py

from msa_jax.data.readers import clean, csv_text, foreign, libraries, npz, safe_pickle
from msa_jax.data.readers.hdf5 import opened
from msa_jax.errors import UserError

_TORCH = ("/data.pkl", "/version")  # members of what torch.save writes, in a folder of any name


def kinds_of(path: Path, known: str) -> list[str]:
    """The kinds that the first and last bytes of a file allow: "zip", "HDF5", "pickle" or "text".

    Args:
      path: the file.
      known: the formats, to end a message with.

    Raises:
      UserError: when the file cannot be read, is empty, or is none of these.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(max(path.stat().st_size - 1, 0))
            last = file.read(1)
    except OSError as error:
        raise clean.unreadable(path, error) from None
    if not head:
        raise UserError(f"{path}: the file is empty; copy or download it again")
    if head.startswith(b"PK\x03\x04"):
        return ["zip"]
    if head == b"\x89HDF\r\n\x1a\n":
        return ["HDF5"]
    foreign.refuse(path)
    # Protocols 2 and later begin with their number; 0 and 1 are told by the opcodes they begin and end with.
    kinds = ["pickle"] if head[0] == 0x80 or (head[:1] in b"(]}" and last == b".") else []
    if csv_text.matches(path):
        kinds.append("text")
    if not kinds:
        raise UserError(
            f"{path}: is not a pickle, .npz or HDF5, and not text whose first line has a column 'text'"
            f"; name a feature file; {known}"
        )
    return kinds


def content_of(path: Path, kind: str) -> object:
    """The content of a file: a pickle's object, an .npz, or the path where it is read piece by piece.

    Args:
      path: the file.
      kind: one of `kinds_of`.

    Raises:
      UserError: when the file is damaged, or a pickle asks for more than arrays and containers.
    """
    if kind == "pickle":
        return safe_pickle.load(path)
    if kind in ("text", "HDF5"):
        return path
    archive = npz.Archive(path)
    if archive.files:
        return archive
    names = archive.members
    if all(any(name.endswith(end) for name in names) for end in _TORCH):
        raise UserError(f"{path}: {libraries.TORCH}")
    if "[Content_Types].xml" in names:
        raise UserError(f"{path}: the file is of Excel or Word; save it as CSV (UTF-8)")
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    raise UserError(
        f"{path}: the file is a ZIP archive ({shown or 'empty'}), not an .npz of arrays; unpack it and name "
        "what comes out"
    )


def describe(content: object) -> str:
    """The content of a file of no known format, in a few words."""
    if isinstance(content, npz.Archive):
        names = ", ".join(content.files[:8])
        return f" (arrays {names})"
    if isinstance(content, dict):
        names = ", ".join(clean.string(key) for key in list(content)[:8])
        return f" (keys {names})" if names else " (an empty dict)"
    if isinstance(content, Path) and h5py.is_hdf5(content):
        with opened(content) as file:
            names = ", ".join(list(file)[:8])
        return f" ({names}; name the folder where it is one array of several, as audio_train.h5 is)"
    return f" ({type(content).__name__})"
