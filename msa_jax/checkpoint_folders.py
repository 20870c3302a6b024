"""Folders of checkpoints: what they are called and hold, whether they are whole, and the best one, read.

A checkpoint is a folder with the number of its step: arrays, sealed by the hashes of their files. Nothing
here changes one.
"""

import contextlib
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msa_jax import arrays_on_disk, seals
from msa_jax.errors import UserError
from msa_jax.files import links_in, read_json
from msa_jax.json_kinds import is_a, list_of, or_none, shown, whole

FOLDER = "checkpoints"
KINDS = ("latest", "best", "frozen")
ARRAYS, PROGRESS = "arrays", "progress.json"
GOOD = "good"  # an empty file in a latest checkpoint that the next step's finite loss has confirmed
PARTS = {ARRAYS, PROGRESS, GOOD, seals.FILE}  # all that a checkpoint holds
MOST_STEPS = 1 << 62
_FACTS = {"parts": list_of(is_a(str)), "kind": is_a(str), "step": whole(0, MOST_STEPS)}
_TRIES = 5  # of a reader whose checkpoint is replaced meanwhile


def restore_best(workdir: Path, like: Any, run: str, step: int | None = None) -> Any:
    """The best parameters and other collections of a run, which may be in training meanwhile.

    Args:
      workdir: the run's folder; nothing is changed in it.
      like: a tree of arrays, or of their shapes, with the structure of the variables.
      run: the identity of the run.
      step: of the best checkpoint, as the run knows it; None: the one that the newest state names.

    Raises:
      FileNotFoundError: when the run has none yet.
      UserError: when it is not there, cannot be read, is damaged, or belongs to another run.
    """
    folder = workdir / FOLDER
    mend = "bring it back from a copy of the run, or train again in another folder"
    params, frozen = dict(like["params"]), {}
    if (still := folder / "frozen" / "0").exists():
        parts = verify(still, run, mend)["parts"]
        frozen = {name: params.pop(name) for name in parts if name in params}
        frozen = arrays_on_disk.read(still / ARRAYS, frozen, mend)
    for left in reversed(range(_TRIES)):
        there = _there(folder)
        try:
            place = folder / "best" / str(_named(folder, run, mend) if step is None else step)
            verify(place, run, mend)
            variables = arrays_on_disk.read(place / ARRAYS, {**like, "params": params}, mend)
            return {**variables, "params": {**variables["params"], **frozen}}
        except UserError:
            # Otherwise a better one has taken its place meanwhile, or the same one was written again.
            if not left or there == _there(folder):
                raise
    raise AssertionError


def _named(folder: Path, run: str, mend: str) -> int:
    """The step of the best variables that the newest state names: an older one there is another model."""
    newest = max(steps_in(folder / "latest"), default=-1)
    if newest >= 0:
        state = folder / "latest" / str(newest)
        verify(state, run, mend, only=(PROGRESS,))
        named = read_json(state / PROGRESS).get("best_step")
        if not or_none(whole(0, MOST_STEPS))(named):
            raise UserError(f"{state / PROGRESS} is damaged: best_step is {shown(named)}; {mend}")
        if named is not None:
            return named
    # The first ones are there before the state that names them.
    if first := [step for step in steps_in(folder / "best") if step > newest]:
        return first[-1]
    raise FileNotFoundError(f"no best checkpoint in {folder}")


def _there(folder: Path) -> dict[Path, int]:
    """The checkpoints in a folder, each with what tells it from a later one of the same name."""
    found = {}
    for place in (folder / kind / str(step) for kind in KINDS for step in steps_in(folder / kind)):
        with contextlib.suppress(OSError):
            found[place] = place.stat().st_ino
    return found


def verify(folder: Path, run: str, mend: str, only: Iterable[str] | None = None) -> dict[str, Any]:
    """The facts of a checkpoint that is whole, of this run, and what its name says; `only` as in `seals`.

    Raises:
      UserError: when it is not so, or there is a symbolic link in it.
    """
    if link := next(links_in(folder), None):
        raise UserError(f"{link} is a symbolic link, and a checkpoint holds none; {mend}")
    facts = seals.check(folder, mend=mend, only=only, facts=_FACTS)
    if facts.get("run") != run:
        raise UserError(f"{folder} is a checkpoint of another run, which was put here; {mend}")
    written = f"{facts['kind']}/{facts['step']}"
    if written != f"{folder.parent.name}/{folder.name}":
        raise UserError(f"{folder} was written as {written}; give it back that name, or {mend}")
    return facts


def is_sealed(folder: Path) -> bool:
    """Whether a checkpoint has a seal that is whole, of whichever run."""
    try:
        seals.check(folder, mend="", only=(), facts=_FACTS)
    except UserError:
        return False
    return True


def is_good(folder: Path) -> bool:
    """Whether the next step's finite loss has confirmed a latest checkpoint."""
    try:
        return stat.S_ISREG((folder / GOOD).lstat().st_mode)
    except OSError:  # not there
        return False


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in any order; nothing where there is none."""
    try:
        return list(folder.iterdir())
    except OSError:  # not there yet
        return []


def steps_in(folder: Path) -> list[int]:
    """The steps of the checkpoints in a folder, in order."""
    return sorted(int(p.name) for p in entries(folder) if p.name.isdecimal())
