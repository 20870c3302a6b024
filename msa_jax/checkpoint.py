"""Checkpoints of a run: the latest states, to resume from, and the best variables.

A checkpoint is a folder with the number of its step: arrays, sealed by the hashes of their files. It appears
under that name once all of it is written, loses it before it is deleted, and belongs to one run. One process
writes, never through a link, and deletes only what the run has sealed; readers change nothing.
"""

import contextlib
import copy
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from msa_jax import agreement, arrays_on_disk, seals
from msa_jax.checkpoint_folders import (
    ARRAYS,
    FOLDER,
    GOOD,
    KINDS,
    PARTS,
    PROGRESS,
    entries,
    is_good,
    is_sealed,
    steps_in,
    verify,
)
from msa_jax.errors import UserError
from msa_jax.files import links_in, mark, read_json, refuse_link, to_disk, write_json
from msa_jax.writer import Writer

_WRITING, _REMOVING = ".writing", ".removing"


class Checkpoints:
    """Checkpoints of one run for the process that trains it, written in the background, in order."""

    def __init__(
        self, workdir: Path, run: str, *, writer: Writer | None = None, at: int | None = None
    ) -> None:
        """Opens `checkpoints/` in the run's folder, and removes what a killed process left half-written.

        Args:
          workdir: the run's folder, which this process alone writes.
          run: the identity of the run; checkpoints of another run are refused.
          writer: writes them, in the order of those of other runs that it writes; None: one of its own.
          at: the step of the latest one to go on from, where it is not the last.

        Raises:
          UserError: when the folder, or anything below it, is a symbolic link.
        """
        self.folder, self._run = workdir / FOLDER, run
        # The first process alone writes; every process keeps count, and brings its part of the arrays.
        self._writes = agreement.is_first()
        kinds = [self.folder / kind for kind in KINDS]
        for place in (self.folder, *links_in(self.folder)):
            refuse_link(place)
        for left in (p for kind in kinds for p in entries(kind)):
            if self._writes and left.name.startswith((_WRITING, _REMOVING)):
                shutil.rmtree(left, ignore_errors=True)
        self._writer = writer or Writer("checkpoints")
        latest = agreement.of_first(max(steps_in(self.folder / "latest"), default=-1) if at is None else at)
        self.latest_step = None if latest < 0 else latest
        self._best: int | None = None  # the step of the best variables that were written last

    def save_latest(self, step: int, state: Any, progress: dict[str, Any]) -> None:
        """Keeps everything that a resumed run needs, beside the last one that is known to be good.

        Where an earlier one still waits to be written, this one takes its place.

        Args:
          step: optimiser steps done.
          state: a tree of arrays.
          progress: what JSON can hold: the place in the data, `best_step`, ...

        Raises:
          UserError: when an earlier one could not be written, or held a number that is not finite.
        """
        if self.latest_step != step:
            self.latest_step = step
            # The progress is written in the background, and the run goes on changing it.
            self._save("latest", step, state, copy.deepcopy(progress))

    def save_best(self, step: int, variables: Any) -> None:
        """Keeps the parameters and other collections as the best so far."""
        self._save("best", step, variables)

    def save_frozen(self, params: Any) -> None:
        """Keeps the parameters that are not trained, once for the run; again where they are damaged."""
        if not params:
            return
        try:
            there = verify(self.folder / "frozen" / "0", self._run, "")["parts"]
        except UserError:
            there = None
        if not agreement.of_first(there == sorted(params)):
            self._save("frozen", 0, params)

    def seen_finite(self, step: int) -> None:
        """Notes that the loss of a step was finite: the state that it began with is good."""
        if self._writes and step - 1 == self.latest_step:
            self._writer.run(self._confirm, step - 1)

    def reject(self) -> str:
        """Drops what is not known to be good of the latest checkpoints; says which the last good one is."""
        self.flush()
        latest = self.folder / "latest"
        for step in (s for s in self._own("latest") if not is_good(latest / str(s))):
            self._remove(latest / str(step))
        return self._last_good()

    def _last_good(self) -> str:
        latest = self.folder / "latest"
        good = [step for step in self._own("latest") if is_good(latest / str(step))]
        return f"last good checkpoint: {f'step {good[-1]} in {latest}' if good else 'none yet'}"

    def restore_latest(self, like: Any, check: Callable[..., None]) -> tuple[Any, dict[str, Any]]:
        """(state, progress) of the latest checkpoint.

        Args:
          like: a tree of arrays with the structure and the sharding of what is restored.
          check: refuses a progress that no run has, given it and by name `step`, `file` and `mend`.

        What is from after that checkpoint is dropped: the resumed run will decide anew.

        Raises:
          UserError: when it, or the best one that it names, cannot be read, is damaged, or belongs to another
            run.
        """
        folder = self.folder / "latest" / str(self.latest_step)
        mend = f"delete {folder}: the same command then goes on from an earlier checkpoint, or the start"
        verify(folder, self._run, mend)
        progress = read_json(folder / PROGRESS)
        check(progress, step=self.latest_step, file=folder / PROGRESS, mend=mend)
        state = arrays_on_disk.read(folder / ARRAYS, like, mend)
        if (named := progress["best_step"]) is not None:
            best = self.folder / "best" / str(named)
            verify(best, self._run, f"bring it back from a copy of the run, or {self._without(folder, best)}")
        for kind in ("latest", "best"):
            for later in (s for s in self._own(kind) if s > self.latest_step):
                self._remove(self.folder / kind / str(later))
        return state, progress

    def _without(self, state: Path, best: Path) -> str:
        """What to do where the best variables of a state are lost: deletes no more than must be."""
        others = os.path.lexists(best) and int(best.name) not in self._own("best")
        aside = f" and move {best} away" if others else ""  # else it would be in the way later
        for step in reversed([s for s in self._own("latest") if s < int(state.name)]):
            with contextlib.suppress(UserError):
                verify(earlier := state.with_name(str(step)), self._run, "")
                if (named := read_json(earlier / PROGRESS).get("best_step")) is not None:
                    verify(best.with_name(str(named)), self._run, "")
                return f"delete {state}{aside}: the same command then goes on from step {step}"
        return f"delete {state.parent}{aside}: the same command then trains from the start"

    def flush(self) -> None:
        """Waits until everything is on disk.

        Raises:
          UserError: when something could not be written.
        """
        self._writer.flush()

    def close(self) -> None:
        """Waits until everything is on disk, and ends the writer.

        Raises:
          UserError: as `flush`.
        """
        self._writer.close()

    def _save(self, kind: str, step: int, tree: Any, progress: dict[str, Any] | None = None) -> None:
        if not self._writes and not agreement.is_split(tree):
            return
        copy_of_all = arrays_on_disk.on_host(tree)
        if not self._writes:  # it has brought its part
            return
        best = None if progress is None else progress.get("best_step")
        self._writer.save(
            lambda copied: self._write(kind, step, copied, progress),
            copy_of_all,
            kind=str(self.folder / kind),
            step=step,
            needs=None if best is None else (str(self.folder / "best"), best),
        )

    def _write(self, kind: str, step: int, tree: Any, progress: dict[str, Any] | None) -> None:
        folder = self.folder / kind
        part, place = folder / f"{_WRITING}-{step}", folder / str(step)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if leaf.dtype.kind == "f"):
            raise UserError(
                f"a number of the model or of the optimiser is not finite after step {step}, which is not "
                f"kept; {self._last_good()}; try a lower optim.learning_rate"
            )
        self._refuse_others(place)
        try:
            part.mkdir(parents=True)
            arrays_on_disk.write(part / ARRAYS, tree)
            if progress is not None:
                write_json(part / PROGRESS, progress)
            parts = sorted(tree) if isinstance(tree, dict) else []
            seals.write(part, run=self._run, kind=kind, step=step, parts=parts)
            to_disk(part)
            if place.exists():  # of this very run and step, from before a fault
                self._remove(place)
            os.replace(part, place)
        except Exception as e:  # a full disk is an OSError here, and a ValueError in TensorStore
            shutil.rmtree(part, ignore_errors=True)
            raise UserError(
                f"the checkpoint of step {step} could not be written in {folder} "
                f"({arrays_on_disk.reason(e)}); the one before is whole: make room, and the same command "
                "goes on from there"
            ) from e
        if kind == "best":
            self._best = step
        if kind != "frozen":
            self._tidy()

    def _refuse_others(self, place: Path) -> None:
        """UserError where what stands in the place of a checkpoint is not this run's to delete."""
        if not os.path.lexists(place):
            return
        whole = place.is_dir() and {p.name for p in entries(place)} <= PARTS
        why = "" if whole else "holds other things"
        try:
            verify(place, self._run, "", only=())
        except UserError:
            # A frozen encoder is made anew where its seal is lost, but not where that is of another run.
            if place.parent.name != "frozen" or is_sealed(place):
                why = why or "is not one that this run has sealed"
        if why:
            raise UserError(f"{place} is in the way of a checkpoint, and {why}; move it away")

    def _confirm(self, step: int) -> None:
        with contextlib.suppress(OSError):  # a full disk: the next one is confirmed
            mark(self.folder / "latest" / str(step) / GOOD)
        self._tidy()

    def _tidy(self) -> None:
        """Keeps the last good state and the newest, with the best variables that they name, and newer ones.

        Those that were written last belong to a state that is still to be written.
        """
        latest, best = self.folder / "latest", self.folder / "best"
        steps, bests = self._own("latest"), self._own("best")
        good = [step for step in steps if is_good(latest / str(step))]
        kept = {*good[-1:], *steps[-1:]}
        named = [read_json(latest / str(step) / PROGRESS).get("best_step") for step in kept]
        for step in set(steps) - kept:
            self._remove(latest / str(step))
        for step in (step for step in bests[:-1] if step not in (*named, self._best)):
            self._remove(best / str(step))

    def _remove(self, place: Path) -> None:
        """Deletes a checkpoint, which first loses its name: a reader finds all of it, or nothing."""
        if not self._writes:
            return
        going = place.with_name(f"{_REMOVING}-{place.name}")
        shutil.rmtree(going, ignore_errors=True)
        with contextlib.suppress(OSError):  # it goes another time
            os.replace(place, going)
            shutil.rmtree(going, ignore_errors=True)

    def _own(self, kind: str) -> list[int]:
        """The steps of one kind, in order, that this run has sealed: nothing else may be deleted."""
        steps = []
        for step in steps_in(self.folder / kind):
            with contextlib.suppress(UserError):
                verify(self.folder / kind / str(step), self._run, "", only=())
                steps.append(step)
        return steps
