"""Time of a device: the share that it is idle while a run trains, and which kernels take the rest.

Read from the profile that JAX writes of some epochs. Python is not traced, which would slow the host down.
"""

import collections
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax


@contextlib.contextmanager
def watched(
    begins: Callable[[], bool], ends: Callable[[], bool], *, show: int = 12
) -> Iterator[dict[str, Any]]:
    """Profiles a part of what runs inside, and fills the dict that it gives at the end.

    Args:
      begins, ends: whether the part has begun, and has ended; asked by another thread, often.
      show: kernels to name, those that took longest in all.

    Yields:
      A dict that gets `busy_seconds`, when any kernel ran on the first device, of `span_seconds`, the part's;
      `idle_share`; `kernel_count`; `kernels`, the time of each by name, as shares of that of all.
    """
    found: dict[str, Any] = {}
    done = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        thread = threading.Thread(target=_profile, args=(folder, begins, ends, done, found))
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()
        if "span_seconds" not in found:
            raise SystemExit("the training was over before the part of it that was to be watched")
        (written,) = Path(folder).rglob("*.xplane.pb")
        found |= _shares(sorted(_kernels(jax.profiler.ProfileData.from_file(str(written)))), found, show)


def _profile(
    folder: str, begins: Callable[[], bool], ends: Callable[[], bool], done: threading.Event, found: dict
) -> None:
    while not begins() and not done.is_set():
        time.sleep(0.002)
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(folder, profiler_options=options):
        started = time.perf_counter()
        while not ends() and not done.is_set():
            time.sleep(0.002)
        if ends():
            found["span_seconds"] = round(time.perf_counter() - started, 4)


def _shares(events: list[tuple[float, float, str]], found: dict[str, Any], show: int) -> dict[str, Any]:
    if not events:
        raise SystemExit("the profile holds no kernels of a device; idle time can be seen on a GPU alone")
    busy = _covered((start, end) for start, end, _ in events) / 1e9
    of_name: collections.Counter[str] = collections.Counter()
    for start, end, name in events:
        of_name[name] += end - start
    total = sum(of_name.values())
    return {
        "busy_seconds": round(busy, 4),
        "idle_share": round(1 - busy / found["span_seconds"], 4),
        "kernel_count": len(events),
        "kernels": {name: round(took / total, 4) for name, took in of_name.most_common(show)},
    }


def _kernels(profile: Any) -> Iterable[tuple[float, float, str]]:
    """(start, end, name) in nanoseconds of the kernels of the first GPU; copies are none."""
    for plane in profile.planes:
        if not plane.name.startswith("/device:GPU:0"):
            continue
        for line in plane.lines:
            if line.name.startswith("Stream"):
                for event in line.events:
                    if not event.name.startswith(("Memcpy", "Memset")):
                        yield event.start_ns, event.start_ns + event.duration_ns, event.name


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of spans that are sorted by their start."""
    total, until = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
