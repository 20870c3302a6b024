"""Room in memory: whether what a container says that it holds can be in it, and fits the memory that is free.

A compressed file of zeros, and one whose arrays were declared but never written, name as much memory as they
like. Numbers and texts of real clips do not shrink like that; an honest file is refused by free memory alone.
"""

import psutil

from msa_jax.errors import UserError

_SLACK = 1 << 26  # bytes that any container may make of nothing
_RATIO = 32  # bytes of an array to a stored one; those of features that are mostly padding stay below
_CLIPS = 1 << 18  # clips that any file may hold
_BYTES_A_CLIP = 16  # stored bytes that each clip beyond these needs at least


def check(where: object, needed: int, stored: int) -> None:
    """Refuses an array before memory is taken for it.

    Args:
      where: names the file and the array in messages.
      needed: bytes of the array, as the container declares it.
      stored: bytes that the container holds of it.

    Raises:
      UserError: when so many bytes cannot come of those stored, or are not free.
    """
    if needed > _SLACK + _RATIO * stored:
        raise excess(where, needed, stored)
    if not is_small(needed):
        check_free(where, needed)


def is_small(needed: int) -> bool:
    """Whether so many bytes need no check: they are there, and to ask takes longer than to read them."""
    return needed <= _SLACK


def excess(where: object, needed: int, stored: int) -> UserError:
    """The error to raise where an array cannot come of the bytes that are stored of it."""
    return UserError(
        f"{where}: is said to be {_size(needed)}, of which the file stores {_size(stored)}: no features or "
        "texts are like that; extract or download the file again"
    )


def check_free(where: object, needed: int) -> None:
    """Refuses what is larger than the memory that is free: the system would kill the process, not refuse it.

    Raises:
      UserError: when it is; says what to do.
    """
    if needed > psutil.virtual_memory().available:
        raise short(where, needed)


def short(where: object, needed: int) -> UserError:
    """The error to raise where memory is short."""
    return UserError(
        f"{where}: is read whole, and {needed / 2**30:.2f} GiB of memory are not free; close other programs, "
        "or convert it on a larger machine"
    )


def check_clips(where: object, clips: int, stored: int) -> None:
    """Refuses more clips than a file can hold: each takes memory, however little is stored of it.

    Args:
      where: names the file or folder in messages.
      clips: so many at least.
      stored: bytes of the file or files.

    Raises:
      UserError: when there are too many.
    """
    if clips > _CLIPS + stored // _BYTES_A_CLIP:
        raise UserError(
            f"{where}: is said to hold {clips} clips or more in {_size(stored)}, which cannot be; extract or "
            "download the file again"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
