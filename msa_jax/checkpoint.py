"""The only module that knows Orbax: the latest state of a run, to resume from, and the best parameters."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp


def _manager(folder: Path) -> ocp.CheckpointManager:
    keep_one = ocp.checkpoint_managers.LatestN(1)
    options = ocp.CheckpointManagerOptions(preservation_policy=keep_one, cleanup_tmp_directories=True)
    return ocp.CheckpointManager(folder.absolute(), options=options)


class Checkpoints:
    """The checkpoints of one run, written in the background; a write cut off leaves the one before."""

    def __init__(self, workdir: Path) -> None:
        """Opens `checkpoints/latest` and `checkpoints/best` in the run's folder.

        Args:
          workdir: the run's folder.
        """
        self.folder = workdir / "checkpoints"
        self._latest = _manager(self.folder / "latest")
        self._best = _manager(self.folder / "best")

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
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), progress=ocp.args.JsonSave(progress))
        self._latest.save(step, args=args, force=True)

    def save_best(self, step: int, params: Any) -> None:
        """Keeps the parameters as the best so far; drops the ones before.

        A resumed run that repeats the epoch of a best checkpoint computes the same again, and keeps the old.
        """
        if self._best.latest_step() != step:
            self._best.save(step, args=ocp.args.StandardSave(params), force=True)

    @property
    def latest_step(self) -> int | None:
        """Step of the latest checkpoint; None where there is none."""
        return self._latest.latest_step()

    def restore_latest(self, like: Any) -> tuple[Any, dict[str, Any]]:
        """(state, progress) of the latest checkpoint.

        Args:
          like: a tree of arrays, or of their shapes, with the structure that was saved.
        """
        args = ocp.args.Composite(
            state=ocp.args.StandardRestore(_abstract(like)), progress=ocp.args.JsonRestore()
        )
        restored = self._latest.restore(self._latest.latest_step(), args=args)
        return restored.state, restored.progress

    def restore_best(self, like: Any) -> Any:
        """The best parameters.

        Args:
          like: a tree of arrays, or of their shapes, with the structure that was saved.

        Raises:
          FileNotFoundError: when the run has none yet.
        """
        step = self._best.latest_step()
        if step is None:
            raise FileNotFoundError(f"no best checkpoint in {self.folder}")
        return self._best.restore(step, args=ocp.args.StandardRestore(_abstract(like)))

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._latest.close()
        self._best.close()


def _abstract(tree: Any) -> Any:
    # Saved on one kind of device, restored on another: the sharding is that of this machine.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), tree)
