"""Checkpoints of a run: the latest state, to resume from, and the best variables; only it knows Orbax."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from msa_jax.errors import UserError


def _manager(folder: Path, keep: int) -> ocp.CheckpointManager:
    latest = ocp.checkpoint_managers.LatestN(keep)
    options = ocp.CheckpointManagerOptions(preservation_policy=latest, cleanup_tmp_directories=True)
    return ocp.CheckpointManager(folder.absolute(), options=options)


class Checkpoints:
    """Checkpoints of one run, written in the background; an interrupted write leaves the last one whole."""

    def __init__(self, workdir: Path) -> None:
        """Opens `checkpoints/latest` and `checkpoints/best` in the run's folder.

        Args:
          workdir: the run's folder.
        """
        self.folder = workdir / "checkpoints"
        self._latest = _manager(self.folder / "latest", 1)
        # Two: the previous best is kept until a latest state that refers to the new one is written.
        self._best = _manager(self.folder / "best", 2)

    def save_latest(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Keeps everything that a resumed run needs; drops the one before.

        Args:
          step: optimiser steps done.
          state: a tree of arrays.
          progress: what JSON can hold: the place in the data, the best epoch so far, ...
        """
        if self._latest.latest_step() == step:
            return
        # `progress` names the best step: that checkpoint must be whole before this one can be.
        self._best.wait_until_finished()
        progress = copy.deepcopy(progress)  # it is written in the background, and the run goes on changing it
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress))
        self._latest.save(step, args=args, force=True)

    def save_best(self, step: int, variables: Any) -> None:
        """Keeps the parameters and other collections as the best so far."""
        self._best.save(step, args=ocp.args.StandardSave(variables), force=True)

    @property
    def latest_step(self) -> int | None:
        """Step of the latest checkpoint; None where there is none."""
        return self._latest.latest_step()

    def restore_latest(self, like: Any) -> tuple[Any, dict[str, Any]]:
        """(state, progress) of the latest checkpoint.

        Args:
          like: a tree of arrays, or of their shapes, with the structure that was saved.

        Best variables from after that checkpoint are dropped: the resumed run will decide anew.

        Raises:
          UserError: when it cannot be read.
        """
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(_abstract(like)), progress=ocp.args.JsonRestore()
        )
        step = self._latest.latest_step()
        restored = _whole(lambda: self._latest.restore(step, args=args), self.folder / "latest" / str(step))
        for later in [s for s in self._best.all_steps() if s > step]:
            self._best.delete(later)
        return restored.state, restored.progress

    def restore_best(self, like: Any) -> Any:
        """The best parameters and other collections.

        Args:
          like: a tree of arrays, or of their shapes, with the structure that was saved.

        Raises:
          FileNotFoundError: when the run has none yet.
          UserError: when the checkpoint cannot be read.
        """
        step = self._best.latest_step()
        if step is None:
            raise FileNotFoundError(f"no best checkpoint in {self.folder}")
        args = ocp.args.StandardRestore(_abstract(like))
        return _whole(lambda: self._best.restore(step, args=args), self.folder / "best" / str(step))

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._latest.close()
        self._best.close()


def _whole(restore: Callable[[], Any], folder: Path) -> Any:
    try:
        return restore()
    except Exception as e:  # Orbax and TensorStore raise many kinds for a damaged or foreign checkpoint
        reason = next(iter(str(e).splitlines()), "")[:200]
        raise UserError(
            f"the checkpoint {folder} cannot be read ({type(e).__name__}: {reason}); delete it, or train "
            "anew in another folder"
        ) from e


def _abstract(tree: Any) -> Any:
    # Saved on one kind of device, restored on another: the sharding is that of this machine.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), tree)
