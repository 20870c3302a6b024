"""Process of JAX: its compilation cache, and the memory that compiling took."""

import ctypes
import functools
import sys
from pathlib import Path

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"
_LONG = 1.0  # seconds; shorter compilations leave little behind


def prepare_process(cache: Path) -> None:
    """Keeps compiled programs on disk, so that the next start of the same shapes need not compile.

    Args:
      cache: the folder that `data.cache` names.
    """
    if jax.config.jax_compilation_cache_dir is None:  # JAX_COMPILATION_CACHE_DIR says otherwise
        jax.config.update("jax_compilation_cache_dir", str(cache / "xla"))
    _give_memory_back()


@functools.cache
def _give_memory_back() -> None:
    """Returns to the system what each compilation took: glibc keeps it, some 600 MB a large program."""
    if not sys.platform.startswith("linux"):
        return
    try:
        trim = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # another C library, which has no such call
        return

    def compiled(event: str, seconds: float, **facts: object) -> None:
        del facts
        if event == _COMPILED and seconds > _LONG:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(compiled)
