"""Knowledge that a run keeps of itself in each checkpoint, beside its arrays: a new run's, and its check."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msa_jax import json_kinds
from msa_jax.errors import UserError
from msa_jax.files import OLDER
from msa_jax.json_kinds import Kind, is_a, number, or_none, whole

_MOST = 1 << 62  # of a step or an epoch


def _sums(v: Any) -> bool:
    pairs = v.values() if isinstance(v, dict) else [None]
    return all(
        isinstance(pair, list) and len(pair) == 2 and all(map(number, pair)) and pair[1] > 0 for pair in pairs
    )


_KINDS: Mapping[str, Kind] = {
    "best_epoch": whole(-1, _MOST),  # from 0; -1 where there is none
    "best_value": or_none(number),
    "best_by": or_none(is_a(str)),
    "best_step": or_none(whole(1, _MOST)),
    "plateau": is_a(dict),
    "sums": _sums,  # as `log.Sums`
    "to_judge": is_a(bool),  # whether the epoch that has just ended is still to be judged
    "seconds": lambda v: number(v) and v >= 0,  # over all starts
}
_PLATEAU: Mapping[str, Kind] = {
    "best": or_none(number),
    "waited": whole(0, _MOST),
    "rate_factor": lambda v: number(v) and 0 < v <= 1,
}


def fresh() -> dict[str, Any]:
    """What a new run knows of itself."""
    return {
        **{"best_epoch": -1, "best_value": None, "best_by": None, "best_step": None},
        **{"plateau": {}, "sums": {}, "to_judge": False, "seconds": 0.0},
    }


def check(stored: Mapping[str, Any], *, step: int, per_epoch: int, file: Path, mend: str) -> None:
    """Refuses what no run knows of itself.

    Args:
      stored: what was kept.
      step: optimiser steps done.
      per_epoch: steps in an epoch.
      file: that it was read from.
      mend: what to do where it is damaged.

    Raises:
      UserError: when a key is missing, or its value cannot be.
    """
    try:
        json_kinds.check("", stored, _KINDS)
        if stored["plateau"]:
            json_kinds.check("plateau.", stored["plateau"], _PLATEAU)
    except UserError as e:
        raise UserError(f"{file} is damaged: {e}; {mend}") from None
    except KeyError:
        raise UserError(f"{file} {OLDER}; {mend}") from None
    best = [stored[name] is not None for name in ("best_value", "best_by", "best_step")]
    ended = step % per_epoch == 0 and "loss" in stored["sums"]
    fits = best == [stored["best_epoch"] >= 0] * len(best) and (stored["best_step"] or 0) <= step
    if not fits or (stored["to_judge"] and not ended):
        raise UserError(f"{file} is damaged: its values do not fit together; {mend}")
