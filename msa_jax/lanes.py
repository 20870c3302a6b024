"""Lanes of a training: runs that differ in their seed alone, and take each step together.

Each is a run of its own: its folder holds what that of a run that is trained alone does.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from msa_jax.checkpoint import Checkpoints
from msa_jax.checkpoint_folders import FOLDER, steps_in
from msa_jax.log import MetricLog
from msa_jax.progress import say


@dataclasses.dataclass
class Lane:
    """One run among those that are trained together.

    Attributes:
      config: its settings.
      workdir: its folder, which this process holds.
      run: its identity.
      progress: what it knows of itself, as in `kept`; changed in place.
      checkpoints, log: where its states and numbers go; open while it is trained.
      ended: whether its training is over: nothing of it is looked at or written any more.
    """

    config: ConfigDict
    workdir: Path
    run: str
    progress: dict[str, Any] = dataclasses.field(default_factory=dict)
    checkpoints: Checkpoints | None = None
    log: MetricLog | None = None
    ended: bool = False


def last_common_step(lanes: Sequence[Lane]) -> int | None:
    """The last step that all lanes have a state of; None where there is none."""
    there = [set(steps_in(lane.workdir / FOLDER / "latest")) for lane in lanes]
    return max(set.intersection(*there), default=None)


def groups(lanes: Sequence[Lane]) -> list[list[Lane]]:
    """Lanes in groups, each of which can go on from a step that all have a state of, or the start."""
    if last_common_step(lanes) is not None:
        return [list(lanes)]
    found: dict[int | None, list[Lane]] = {}
    for lane in lanes:
        found.setdefault(last_common_step([lane]), []).append(lane)
    return list(found.values())


def of_seed(lane: Lane, lanes: Sequence[Lane]) -> str:
    """Words that tell a lane from the others; "" where there are none."""
    return f" of seed {lane.config.seed}" if len(lanes) > 1 else ""


@contextlib.contextmanager
def opened(lanes: Sequence[Lane], done: int) -> Iterator[None]:
    """Keeps the logs of lanes open, and their checkpoints, which are.

    Args:
      lanes: those that are trained together.
      done: steps that they have done.
    """
    with contextlib.ExitStack() as stack:
        for lane in lanes:
            stack.enter_context(contextlib.closing(lane.checkpoints))
            lane.log = MetricLog(lane.workdir, resume_step=done, judged=not lane.progress["to_judge"])
            stack.enter_context(contextlib.closing(lane.log))
        yield


def out_of_patience(lanes: Sequence[Lane], patience: int, epoch: int) -> bool:
    """Ends the lanes that have waited long enough for a better epoch, and says so.

    Args:
      lanes: those that are trained together.
      patience: epochs to wait; 0: without end.
      epoch: that is to begin, from 0.

    Returns:
      Whether half of them have ended, so that the others had better go on alone.
    """
    for lane in (lane for lane in lanes if not lane.ended):
        if patience and epoch - 1 - lane.progress["best_epoch"] >= patience:
            lane.ended = True
            say(f"no better epoch{of_seed(lane, lanes)} in {patience}: stopped after epoch {epoch}")
    return sum(lane.ended for lane in lanes) * 2 >= len(lanes)
