"""Checkpoints of a run: the latest states, to resume from, and the best variables.

A checkpoint is a folder with the number of its step: arrays, sealed by the hashes of their files. It appears
under that name once all of it is written, loses it before it is deleted, and belongs to one run. One process
writes, never through a link, and deletes only what the run has sealed; readers change nothing.
"""

import contextlib
import copy
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from msa_jax import arrays_on_disk, seals
from msa_jax.errors import UserError
from msa_jax.files import read_json, refuse_link, to_disk, write_json
from msa_jax.json_kinds import is_a, list_of, whole
from msa_jax.writer import Writer

FOLDER = "checkpoints"
_ARRAYS, _PROGRESS = "arrays", "progress.json"
_GOOD = "good"  # an empty file in a latest checkpoint that the next step's finite loss has confirmed
_KINDS = ("latest", "best", "frozen")
_PARTS = {_ARRAYS, _PROGRESS, _GOOD, seals.FILE}  # all that a checkpoint holds
_WRITING, _REMOVING = ".writing", ".removing"
_FACTS = {"parts": list_of(is_a(str)), "kind": is_a(str), "step": whole(0, 1 << 62)}
_TRIES = 5  # of a reader whose checkpoint is replaced meanwhile


class Checkpoints:
    """Checkpoints of one run for the process that trains it, written in the background, in order."""

    def __init__(self, workdir: Path, run: str) -> None:
        """Opens `checkpoints/` in the run's folder, and removes what a killed process left half-written.

        Args:
          workdir: the run's folder, which this process alone writes.
          run: the identity of the run; checkpoints of another run are refused.

        Raises:
          UserError: when one of the folders is a symbolic link.
        """
        self.folder, self._run = workdir / FOLDER, run
        kinds = [self.folder / kind for kind in _KINDS]
        for place in (self.folder, *kinds, *(p for kind in kinds for p in _entries(kind))):
            refuse_link(place)
        for left in (p for kind in kinds for p in _entries(kind)):
            if left.name.startswith((_WRITING, _REMOVING)):
                shutil.rmtree(left, ignore_errors=True)
        self._writer = Writer("checkpoints")
        self.latest_step = max(_steps(self.folder / "latest"), default=None)

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
            there = _check(self.folder / "frozen" / "0", self._run, "")["parts"]
        except UserError:
            there = None
        if there != sorted(params):
            self._save("frozen", 0, params)

    def seen_finite(self, step: int) -> None:
        """Notes that the loss of a step was finite: the state that it began with is good."""
        if step - 1 == self.latest_step:
            self._writer.run(self._confirm, step - 1)

    def reject(self) -> str:
        """Drops what is not known to be good of the latest checkpoints; says which the last good one is."""
        self.flush()
        latest = self.folder / "latest"
        for step in self._own("latest"):
            if not _is_good(latest / str(step)):
                _remove(latest / str(step))
        return self._last_good()

    def _last_good(self) -> str:
        latest = self.folder / "latest"
        good = [step for step in self._own("latest") if _is_good(latest / str(step))]
        return f"last good checkpoint: {f'step {good[-1]} in {latest}' if good else 'none yet'}"

    def restore_latest(self, like: Any, check: Callable[..., None]) -> tuple[Any, dict[str, Any]]:
        """(state, progress) of the latest checkpoint.

        Args:
          like: a tree of arrays with the structure and the sharding of what is restored.
          check: refuses a progress that no run has, given it and by name `step`, `file` and `mend`.

        Best variables from after that checkpoint are dropped: the resumed run will decide anew.

        Raises:
          UserError: when it, or the best one that it names, cannot be read, is damaged, or belongs to another
            run.
        """
        folder = self.folder / "latest" / str(self.latest_step)
        mend = f"delete {folder}: the same command then goes on from an earlier checkpoint, or the start"
        _check(folder, self._run, mend)
        progress = read_json(folder / _PROGRESS)
        check(progress, step=self.latest_step, file=folder / _PROGRESS, mend=mend)
        state = arrays_on_disk.read(folder / _ARRAYS, like, mend)
        if (named := progress["best_step"]) is not None:
            best = self.folder / "best" / str(named)
            whole_run = f"delete {self.folder / 'latest'}: the same command then trains from the start"
            _check(best, self._run, f"bring it back from a copy of the run, or {whole_run}")
        for later in (s for s in self._own("best") if s > self.latest_step):
            _remove(self.folder / "best" / str(later))
        return state, progress

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
        best = None if progress is None else progress.get("best_step")
        self._writer.save(
            lambda copied: self._write(kind, step, copied, progress),
            arrays_on_disk.on_host(tree),
            kind=kind,
            step=step,
            needs=None if best is None else ("best", best),
        )

    def _write(self, kind: str, step: int, tree: Any, progress: dict[str, Any] | None) -> None:
        folder = self.folder / kind
        part, place = folder / f"{_WRITING}-{step}", folder / str(step)
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree) if leaf.dtype.kind == "f"):
            raise UserError(
                f"a number of the model or of the optimiser is not finite after step {step}, which is not "
                f"kept; {self._last_good()}; try a lower optim.learning_rate"
            )
        if place.exists() and not {p.name for p in _entries(place)} <= _PARTS:
            raise UserError(f"{place} is in the way of a checkpoint, and holds other things; move it away")
        try:
            part.mkdir(parents=True)
            arrays_on_disk.write(part / _ARRAYS, tree)
            if progress is not None:
                write_json(part / _PROGRESS, progress)
            parts = sorted(tree) if isinstance(tree, dict) else []
            seals.write(part, run=self._run, kind=kind, step=step, parts=parts)
            to_disk(part)
            if place.exists():  # of this very step, from before a fault
                _remove(place)
            os.replace(part, place)
        except Exception as e:  # a full disk is an OSError here, and a ValueError in TensorStore
            shutil.rmtree(part, ignore_errors=True)
            raise UserError(
                f"the checkpoint of step {step} could not be written in {folder} "
                f"({arrays_on_disk.reason(e)}); the one before is whole: make room, and the same command "
                "goes on from there"
            ) from e
        if kind == "latest":
            self._tidy()

    def _confirm(self, step: int) -> None:
        folder = self.folder / "latest" / str(step)
        with contextlib.suppress(OSError):  # a full disk: the next one is confirmed
            (folder / _GOOD).touch()
            self._tidy()

    def _tidy(self) -> None:
        """Keeps the last good state and the newest, with the best variables that they name."""
        latest, best = self.folder / "latest", self.folder / "best"
        steps, bests = self._own("latest"), self._own("best")
        good = [step for step in steps if _is_good(latest / str(step))]
        kept = {*good[-1:], *steps[-1:]}
        named = [read_json(latest / str(step) / _PROGRESS).get("best_step") for step in kept]
        for step in set(steps) - kept:
            _remove(latest / str(step))
        for step in (step for step in bests[:-1] if step not in named):
            _remove(best / str(step))

    def _own(self, kind: str) -> list[int]:
        """The steps of one kind, in order, that this run has sealed: nothing else may be deleted."""
        steps = []
        for step in _steps(self.folder / kind):
            with contextlib.suppress(UserError):
                _check(self.folder / kind / str(step), self._run, "", only=())
                steps.append(step)
        return steps


def restore_best(workdir: Path, like: Any, run: str, step: int | None = None) -> Any:
    """The best parameters and other collections of a run, which may be in training meanwhile.

    Args:
      workdir: the run's folder; nothing is changed in it.
      like: a tree of arrays, or of their shapes, with the structure of the variables.
      run: the identity of the run.
      step: of the best checkpoint, as the run knows it; None: the newest that is there.

    Raises:
      FileNotFoundError: when the run has none yet.
      UserError: when it cannot be read, is damaged, or belongs to another run.
    """
    folder = workdir / FOLDER
    mend = "bring it back from a copy of the run, or train again in another folder"
    params, frozen = dict(like["params"]), {}
    if (still := folder / "frozen" / "0").exists():
        parts = _check(still, run, mend)["parts"]
        frozen = {name: params.pop(name) for name in parts if name in params}
        frozen = arrays_on_disk.read(still / _ARRAYS, frozen, mend)
    for left in reversed(range(_TRIES)):
        if not (steps := _steps(folder / "best")):
            raise FileNotFoundError(f"no best checkpoint in {folder}")
        place = folder / "best" / str(steps[-1] if step is None else step)
        which = _which(place)
        try:
            _check(place, run, mend)
            variables = arrays_on_disk.read(place / _ARRAYS, {**like, "params": params}, mend)
            return {**variables, "params": {**variables["params"], **frozen}}
        except UserError:
            # Otherwise a better one has taken its place meanwhile, or the same one was written again.
            if not left or (which == _which(place) and steps == _steps(folder / "best")):
                raise
    raise AssertionError


def _which(place: Path) -> int | None:
    """What tells a folder from a later one of the same name; None where there is none."""
    try:
        return place.stat().st_ino
    except OSError:
        return None


def _remove(place: Path) -> None:
    """Deletes a checkpoint, which first loses its name: a reader finds all of it, or nothing."""
    going = place.with_name(f"{_REMOVING}-{place.name}")
    shutil.rmtree(going, ignore_errors=True)
    with contextlib.suppress(OSError):  # it goes another time
        os.replace(place, going)
        shutil.rmtree(going, ignore_errors=True)


def _check(folder: Path, run: str, mend: str, only: Iterable[str] | None = None) -> dict[str, Any]:
    """The facts of a checkpoint that is whole, of this run, and what its name says; `only` as in `seals`."""
    facts = seals.check(folder, mend=mend, only=only, facts=_FACTS)
    if facts.get("run") != run:
        raise UserError(f"{folder} is a checkpoint of another run, which was put here; {mend}")
    written = f"{facts['kind']}/{facts['step']}"
    if written != f"{folder.parent.name}/{folder.name}":
        raise UserError(f"{folder} was written as {written}; give it back that name, or {mend}")
    return facts


def _is_good(folder: Path) -> bool:
    return (folder / _GOOD).exists()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # not there yet
        return []


def _steps(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, in order."""
    return sorted(int(p.name) for p in _entries(folder) if p.name.isdecimal())
