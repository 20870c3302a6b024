"""Time of a device: the share that it is idle while a run trains, and which kernels take the rest.

Read from the profile that JAX writes, of the last epochs, when everything is compiled.
"""

import collections
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax

_LAST = 0.5  # share of a run's kernels that is looked at: the end, when nothing is compiled any more


def watched(run: Callable[[], Any], *, show: int = 12) -> dict[str, Any]:
    """What the devices did while a function ran.

    Args:
      run: the function.
      show: kernels to name, those that took longest in all.

    Returns:
      `busy_seconds`, when a kernel ran, of `span_seconds`, from the first to the last that is looked at;
      `idle_share`; `kernels`, the time of each by name, as shares of the busy time.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (written,) = Path(folder).rglob("*.xplane.pb")
        profile = jax.profiler.ProfileData.from_file(str(written))
        events = sorted(_kernels(profile))
    events = events[int(len(events) * (1 - _LAST)) :]
    if not events:
        raise SystemExit("the profile holds no kernels of a device; idle time can be seen on a GPU alone")
    busy = _covered((start, end) for start, end, _ in events)
    span = max(end for _, end, _ in events) - events[0][0]
    of_name: collections.Counter[str] = collections.Counter()
    for start, end, name in events:
        of_name[name] += end - start
    total = sum(of_name.values())
    return {
        "busy_seconds": round(busy / 1e9, 4),
        "span_seconds": round(span / 1e9, 4),
        "idle_share": round(1 - busy / span, 4),
        "kernel_count": len(events),
        "kernels": {name: round(time / total, 4) for name, time in of_name.most_common(show)},
    }


def _kernels(profile: Any) -> Iterable[tuple[float, float, str]]:
    """(start, end, name) in nanoseconds of everything that ran on a GPU's streams."""
    for plane in profile.planes:
        if not plane.name.startswith("/device:GPU"):
            continue
        for line in plane.lines:
            if line.name.startswith("Stream"):
                for event in line.events:
                    yield event.start_ns, event.start_ns + event.duration_ns, event.name


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the union of spans that are sorted by their start."""
    total, until = 0.0, float("-inf")
    for start, end in spans:
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
