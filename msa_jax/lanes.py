"""Lanes of a training: runs that differ in their seed alone, and take each step together.

Each is a run of its own: its folder holds what that of a run that is trained alone does.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from msa_jax import agreement
from msa_jax.checkpoint import Checkpoints
from msa_jax.checkpoint_folders import FOLDER, PROGRESS, steps_in
from msa_jax.errors import UserError
from msa_jax.files import read_json
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
    """The last step that all lanes have a state of, as the first process sees it; None: there is none."""
    there = [set(steps_in(lane.workdir / FOLDER / "latest")) for lane in lanes]
    return agreement.facts_of_first(max(set.intersection(*there), default=None))


def groups(lanes: Sequence[Lane], patience: int, per_epoch: int, last: int) -> list[list[Lane]]:
    """Lanes in groups, each of which can go on from a step that all have a state of, or the start.

    Those that have nothing left to train are by themselves: the others need not go back to where they are.

    Args:
      lanes: those that have not ended.
      patience: epochs to wait for a better one; 0: without end.
      per_epoch, last: steps in an epoch, and in all.
    """
    over = agreement.facts_of_first([_is_over(lane, patience, per_epoch, last) for lane in lanes])
    left = [lane for lane, ended in zip(lanes, over, strict=True) if not ended]
    found: dict[int | None, list[Lane]] = {}
    for lane in left:
        found.setdefault(last_common_step([lane]), []).append(lane)
    if left and last_common_step(left) is not None:
        found = {None: left}
    alone = [[lane] for lane, ended in zip(lanes, over, strict=True) if ended]
    return [*alone, *found.values()]


def _is_over(lane: Lane, patience: int, per_epoch: int, last: int) -> bool:
    latest = lane.workdir / FOLDER / "latest"
    step = max(steps_in(latest), default=0)
    try:
        best = read_json(latest / str(step) / PROGRESS)["best_epoch"] if step else -1
    except (UserError, KeyError):  # said when it is opened
        return False
    epochs, inside = divmod(step, per_epoch)
    waited = step and not inside and isinstance(best, int) and _waited(best, epochs, patience)
    return step == last or bool(waited)


def _waited(best_epoch: int, epochs: int, patience: int) -> bool:
    """Whether so many epochs, the best of which is given, have been enough; a patience of 0 has no end."""
    return bool(patience) and epochs - 1 - best_epoch >= patience


def numbers(lanes: Sequence[Lane]) -> str:
    """The seeds of lanes, for a line."""
    return ", ".join(str(lane.config.seed) for lane in lanes)


def of_seed(lane: Lane, lanes: Sequence[Lane]) -> str:
    """Words that tell a lane from the others; "" where there are none."""
    return f" of seed {lane.config.seed}" if len(lanes) > 1 else ""


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
        if _waited(lane.progress["best_epoch"], epoch, patience):
            lane.ended = True
            say(f"no better epoch{of_seed(lane, lanes)} in {patience}: stopped after epoch {epoch}")
    return sum(lane.ended for lane in lanes) * 2 >= len(lanes)
