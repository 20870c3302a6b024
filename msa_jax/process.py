"""Process of JAX: its compilation cache, and the memory that steps and compiling take."""

import ctypes
import functools
import sys
from pathlib import Path

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"
_LONG = 1.0  # seconds; shorter compilations leave little behind

# Names of mallopt in glibc's malloc.h, and what they are set to.
_TRIM_THRESHOLD, _NEVER = -1, -1
_MMAP_MAX, _NONE = -4, 0


def prepare_process(cache: Path) -> None:
    """Keeps compiled programs on disk, so that the next start of the same shapes need not compile.

    Also sets how the C library keeps memory, see `keep_memory`.

    Args:
      cache: the folder that `data.cache` names.
    """
    if jax.config.jax_compilation_cache_dir is None:  # JAX_COMPILATION_CACHE_DIR says otherwise
        jax.config.update("jax_compilation_cache_dir", str(cache / "xla"))
    keep_memory()


@functools.cache
def keep_memory() -> None:
    """Lets the C library keep the memory that a step gives up, and return that of a long compilation.

    A step on a CPU asks for the same large blocks again and again, which glibc would fetch from the system
    each time, page by page. What it keeps for each thread but the first is never larger than 64 MB. So a step
    on one CPU device runs in the thread that asks for it, where JAX has not started yet. What compiling took,
    some 600 MB a large program, is of no more use. Elsewhere, and with another C library, this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        trim, set_option = libc.malloc_trim, libc.mallopt
    except (OSError, AttributeError):  # another C library, which has no such calls
        return
    set_option(_MMAP_MAX, _NONE)
    set_option(_TRIM_THRESHOLD, _NEVER)
    jax.config.update("jax_cpu_enable_async_dispatch", False)

    def compiled(event: str, seconds: float, **facts: object) -> None:
        del facts
        if event == _COMPILED and seconds > _LONG:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(compiled)
