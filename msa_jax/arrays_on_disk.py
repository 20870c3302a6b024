"""Arrays on disk: trees of arrays as Orbax keeps them; no other module knows Orbax."""

import contextlib
import dataclasses
import logging
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from msa_jax import agreement, parallel
from msa_jax.errors import UserError

# Bytes beside the arrays, and with each: a small one, and what is known of each, is written twice.
_OVERHEAD, _EACH = 1 << 16, 1 << 12
_PATTERNS = set("[]\\")  # Orbax looks for files by patterns, and TensorStore takes "\" for "/"


def on_host(tree: Any) -> Any:
    """Copies of a tree's arrays as NumPy arrays, which later steps do not change; keys as their numbers.

    Where several processes have parts of the arrays, all must ask.
    """
    leaves, structure = jax.tree.flatten(tree)
    plain = [_plain_array(x) for x in leaves]
    for x in plain:
        if isinstance(x, jax.Array) and x.is_fully_addressable:
            x.copy_to_host_async()
    copies = [agreement.on_host(x) for x in plain]
    return structure.unflatten(copies)


def write(folder: Path, tree: Any) -> None:
    """Writes a tree of NumPy arrays.

    Args:
      folder: is made.
      tree: as `on_host` gives it.

    Raises:
      OSError: when the disk has no room.
      ValueError: when it has filled up meanwhile.
    """
    leaves = jax.tree.leaves(tree)
    _take_room(folder.parent, sum(leaf.nbytes + _EACH for leaf in leaves) + _OVERHEAD)
    with _plain_name(folder) as plain, _quiet():
        _orbax().save(plain, args=ocp.args.PyTreeSave(tree))


def read(folder: Path, like: Any, mend: str) -> Any:
    """Reads what `write` wrote.

    Args:
      folder: as for `write`; nothing is changed in it.
      like: a tree of arrays, or of their shapes, with the structure that was written.
      mend: what to do where it cannot be read.

    Returns:
      Arrays with the sharding of `like`; of shapes without one, on the first device.

    Raises:
      UserError: when the folder cannot be read, or holds other arrays.
    """
    leaves, structure = jax.tree.flatten(like)
    plain_like = structure.unflatten([jax.eval_shape(_plain_array, x) for x in leaves])
    how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), plain_like)
    try:
        with _plain_name(folder) as plain, _quiet():
            checkpointer = _orbax()
            if not (wrong := _other_array(checkpointer.metadata(plain), plain_like)):
                args = ocp.args.PyTreeRestore(plain_like, restore_args=how)
                found = jax.tree.leaves(checkpointer.restore(plain, args=args))
    except Exception as e:  # Orbax and TensorStore raise many kinds for a damaged or foreign folder
        raise UserError(f"the checkpoint {folder} cannot be read ({reason(e)}); {mend}") from e
    if wrong:
        raise UserError(f"the checkpoint {folder} holds other arrays, {wrong}; {mend}")
    return structure.unflatten([_as_before(x, y) for x, y in zip(leaves, found, strict=True)])


def _orbax() -> ocp.Checkpointer:
    """Orbax in this process alone: otherwise it waits for the same call in every process of the job."""
    me = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process_{me}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _other_array(stored: Any, like: Any) -> str:
    """The first array that is not as it should be; "" where all are.

    What is said to be stored is compared before it is read: zeros and compressed chunks take any memory.
    """
    known = dict(_named(stored.item_metadata.tree))
    for name, x in _named(like):
        if (there := known.pop(name, None)) is None:
            return f"and none that is called {name}"
        if (there.shape, there.dtype) != (x.shape, x.dtype):
            return f"{name} of shape {there.shape} and type {there.dtype} for {x.shape} and {x.dtype}"
        chunk = there.storage.chunk_shape if there.storage else None
        if chunk is None or math.prod(chunk) > math.prod(x.shape):
            return f"{name} of shape {x.shape} in parts of {chunk}"
    return next((f"{name} among them" for name in known), "")


def _named(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree with their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def reason(error: Exception) -> str:
    """The kind of an error and what it says, in a few words."""
    text = str(error)
    if "No space left" in text or "Disk quota" in text or "File too large" in text:
        return "there is no room on the disk"
    return f"{type(error).__name__}: {next(iter(text.splitlines()), '')[:200]}"


def _take_room(folder: Path, size: int) -> None:
    """OSError where the disk has no room: TensorStore, which would see it late, prints tracebacks then."""
    if not hasattr(os, "posix_fallocate"):
        return
    with tempfile.TemporaryFile(dir=folder) as probe:
        os.posix_fallocate(probe.fileno(), 0, size)


def _is_key(x: Any) -> bool:
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


def _plain_array(x: Any) -> Any:
    return jax.random.key_data(x) if _is_key(x) else x


def _as_before(like: Any, found: np.ndarray) -> jax.Array:
    place = getattr(like, "sharding", None) or SingleDeviceSharding(jax.local_devices()[0])
    if _is_key(like):
        found = jax.random.wrap_key_data(found, impl=jax.random.key_impl(like))
    return parallel.put(found, place)


@contextlib.contextmanager
def _plain_name(folder: Path) -> Iterator[Path]:
    """The folder by a name that Orbax and TensorStore do not misread: a link in a temporary folder."""
    folder = folder.absolute()
    name = os.fsencode(folder)
    if not (_PATTERNS & set(str(folder))) and name.decode("utf-8", "replace") == str(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        link = Path(place) / "folder"
        link.symlink_to(folder.parent)
        yield link / folder.name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Orbax's own lines and tracebacks: what goes wrong is raised, and said once."""

    def of_others(record: logging.LogRecord) -> bool:
        return "orbax" not in record.pathname

    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    logger.addFilter(of_others)
    if not isinstance(hook, _NotOfClosedLoops):
        sys.unraisablehook = _NotOfClosedLoops(hook)
    try:
        yield
        sys.unraisablehook = hook  # not where something went wrong: what was begun beside it ends later
    finally:
        logger.removeFilter(of_others)


@dataclasses.dataclass(frozen=True)
class _NotOfClosedLoops:
    """A hook of Python's, without the tracebacks of arrays that arrive when Orbax's event loop is closed.

    It closes it when one of the arrays that it opens side by side cannot be opened.

    Attributes:
      hook: gets everything else.
    """

    hook: Callable[[Any], None]

    def __call__(self, what: Any) -> None:
        if not (isinstance(what.exc_value, RuntimeError) and str(what.exc_value) == "Event loop is closed"):
            self.hook(what)
