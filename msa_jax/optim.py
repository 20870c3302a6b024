"""Optimiser: Adam with a clip, a schedule with a warm-up, and parameter groups by regular expression."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from msa_jax.errors import UserError

SCHEDULES = ("constant", "linear", "cosine", "plateau")
_THRESHOLD = 1e-4  # a loss that is lower by less than this share is not progress (as in PyTorch's scheduler)


def schedule(kind: str, peak: float, *, total_steps: int, warmup_steps: int) -> optax.Schedule:
    """Linear warm-up to `peak`; then constant, or falling to 0 at the last step on a line or a cosine.

    Source: CrossSent (Liu et al. 2026), Table 3, names the warm-up; the decay is ours.

    Args:
      kind: one of `SCHEDULES`; "plateau" is constant here, and lowered by `PlateauState`.
      peak: highest learning rate.
      total_steps: optimiser steps of the whole run.
      warmup_steps: steps that the rate rises.
    """
    falling = max(total_steps - warmup_steps, 1)
    after = {
        "linear": optax.linear_schedule(peak, 0.0, falling),
        "cosine": optax.cosine_decay_schedule(peak, falling),
    }
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, peak, warmup_steps) if warmup_steps else optax.constant_schedule(peak),
            after.get(kind, optax.linear_schedule(peak, peak, falling)),
        ],
        [warmup_steps],
    )


def bound_to_length(optim: Mapping[str, Any]) -> str | None:
    """What of an `optim` section depends on the steps of the whole run, with the mend; None: nothing does."""
    if optim["schedule"] in ("linear", "cosine"):
        kind = optim["schedule"]
        return f"the learning rate's schedule is {kind} (--config.optim.schedule=constant has no end)"
    if optim["warmup"] and not optim["warmup_steps"]:
        return "the warm-up is a share of all steps (--config.optim.warmup_steps counts them)"
    return None


def group_values(
    params: Any, groups: Sequence[tuple], *, weight_decay: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The learning rate's factor and the weight decay of each parameter.

    Args:
      params: a tree of parameters; a path reads "encoder/layers/attention/query/kernel".
      groups: (regular expression, factor) or (regular expression, factor, weight decay), in order of
        precedence: a parameter belongs to the first whose expression is found in its path.
      weight_decay: of groups without their own.

    Returns:
      (factors, decays): trees of floats like `params`.

    Raises:
      UserError: when a parameter matches no pattern.
    """

    def values(path: Any, _: Any) -> tuple[float, float]:
        name = _path(path)
        for pattern, factor, *decay in groups:
            if re.search(pattern, name):
                return float(factor), float(*decay or (weight_decay,))
        raise UserError(f"--config.optim.groups: no pattern matches the parameter {name}")

    both = jax.tree_util.tree_map_with_path(values, params)
    factors, decays = (
        jax.tree.map(lambda pair, i=i: pair[i], both, is_leaf=lambda x: isinstance(x, tuple)) for i in (0, 1)
    )
    return factors, decays


def unused(params: Any, groups: Sequence[tuple]) -> set[str]:
    """The patterns of groups (see `group_values`) that are the first match of no parameter."""
    names = [_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    first = (next((pattern for pattern, *_ in groups if re.search(pattern, name)), None) for name in names)
    return {pattern for pattern, *_ in groups} - set(first)


def _path(path: Any) -> str:
    return "/".join(str(getattr(key, "key", key)) for key in path)


class PlateauState(NamedTuple):
    """The factor on the learning rate, []; `lower_rate` changes it between steps."""

    rate_factor: Array


def _scale_by_plateau() -> optax.GradientTransformation:
    def init(params: Any) -> PlateauState:
        del params
        return PlateauState(jnp.ones((), jnp.float32))

    def update(updates: Any, state: PlateauState, params: Any = None) -> tuple[Any, PlateauState]:
        del params
        return jax.tree.map(lambda u: u * state.rate_factor, updates), state

    return optax.GradientTransformation(init, update)


def lower_rate(opt_state: Any, factor: float) -> Any:
    """The optimiser's state with another factor on the learning rate; only for the schedule "plateau"."""
    # Of the type and on the device of the one before: the training step is not compiled again.
    before = optax.tree_utils.tree_get(opt_state, "rate_factor")
    now = jax.device_put(np.full(before.shape, factor, before.dtype), before.sharding)
    return optax.tree_utils.tree_set(opt_state, rate_factor=now)


def watch_plateau(seen: Mapping[str, Any], loss: float, *, factor: float, patience: int) -> dict[str, Any]:
    """Lowers the learning rate's factor when the validation loss has stopped falling.

    Source: the rule of PyTorch's ReduceLROnPlateau, which TeCaFN's and MulT's programs use.

    Args:
      seen: what this returned after the epoch before; {} at first.
      loss: on the validation split after this epoch.
      factor: on the rate, each time.
      patience: epochs without a lower loss that are allowed; one more lowers the rate.

    Returns:
      `best` loss so far, `waited` epochs without a lower one, `rate_factor`.
    """
    best, waited = seen.get("best"), seen.get("waited", 0)
    rate_factor = seen.get("rate_factor", 1.0)
    # A loss that is not finite is never the best: nothing would be lower than NaN, or than minus infinity.
    if math.isfinite(loss) and (best is None or loss < best * (1 - _THRESHOLD)):
        return {"best": loss, "waited": 0, "rate_factor": rate_factor}
    if waited + 1 > patience:
        return {"best": best, "waited": 0, "rate_factor": rate_factor * factor}
    return {"best": best, "waited": waited + 1, "rate_factor": rate_factor}


def make_optimizer(
    optim: Mapping[str, Any], params: Any, *, total_steps: int
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser that a config's `optim` section describes.

    Args:
      optim: `learning_rate`, `schedule`, `warmup` or `warmup_steps`, `clip` (global norm) and `clip_value`
        (infinity leaves them out), `accumulate`, `eps`, `weight_decay`, `coupled`, `groups`.
      params: the parameters that are trained, for the groups.
      total_steps: steps of the whole run; the parameters move in one of `accumulate`.

    Returns:
      (transformation, schedule by step); the schedule is that of a group with the factor 1.

    Raises:
      UserError: when a parameter matches no pattern of the groups.
    """
    every = optim["accumulate"]
    total_steps = -(-total_steps // every)
    warmup_steps = -(-optim["warmup_steps"] // every) or round(optim["warmup"] * total_steps)
    rate = schedule(
        optim["schedule"], optim["learning_rate"], total_steps=total_steps, warmup_steps=warmup_steps
    )
    factors, decays = group_values(params, optim["groups"], weight_decay=optim["weight_decay"])
    scale = optax.stateless(lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors))
    decay = optax.stateless(
        lambda updates, params: jax.tree.map(lambda u, p, d: u + d * p, updates, params, decays)
    )
    adam = optax.scale_by_adam(eps=optim["eps"])
    # Coupled: L2 in the gradient, which Adam then divides by its size; decoupled: AdamW.
    inner = (decay, adam) if optim["coupled"] else (adam, decay)
    steps = [*inner, optax.scale_by_learning_rate(rate), scale]
    if optim["clip"] is not None and math.isfinite(optim["clip"]):
        steps.insert(0, optax.clip_by_global_norm(optim["clip"]))
    if optim["clip_value"] is not None and math.isfinite(optim["clip_value"]):
        steps.insert(0, optax.clip(optim["clip_value"]))
    if optim["schedule"] == "plateau":
        steps.append(_scale_by_plateau())
    tx = optax.chain(*steps)
    if every == 1:
        return tx, rate
    return optax.MultiSteps(tx, every).gradient_transformation(), lambda step: rate(step // every)
