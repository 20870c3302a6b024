"""AdamW with a warm-up, a clip, and parameter groups by regular expression."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

from msa_jax.errors import UserError


def schedule(peak: float, *, total_steps: int, warmup: float, decay: bool) -> optax.Schedule:
    """Linear warm-up to `peak`, then linear decay to 0 at the last step, or none.

    Source: CrossSent (Liu et al. 2026), Table 3, names the warm-up; the decay is ours.

    Args:
      peak: highest learning rate.
      total_steps: optimiser steps of the whole run.
      warmup: share of the steps that the warm-up takes, in [0, 1].
      decay: whether the rate falls after the warm-up.
    """
    rising = round(warmup * total_steps)
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, peak, rising) if rising else optax.constant_schedule(peak),
            optax.linear_schedule(peak, 0.0 if decay else peak, max(total_steps - rising, 1)),
        ],
        [rising],
    )


def group_factors(params: Any, groups: Sequence[tuple[str, float]]) -> Any:
    """The learning rate's factor for each parameter: of the first pattern found in its path.

    Args:
      params: a tree of parameters; a path reads "encoder/layers/attention/query/kernel".
      groups: (regular expression, factor) in order of precedence.

    Returns:
      A tree of floats like `params`.

    Raises:
      UserError: when a pattern is the first match of no parameter, or a parameter matches no pattern.
    """
    used = set()

    def factor(path: Any, _: Any) -> float:
        name = "/".join(str(getattr(k, "key", k)) for k in path)
        for pattern, value in groups:
            if re.search(pattern, name):
                used.add(pattern)
                return float(value)
        raise UserError(f"--config.optim.groups: no pattern matches the parameter {name}")

    factors = jax.tree_util.tree_map_with_path(factor, params)
    # Without a text encoder (the text is features, or left out) its pattern has nothing to match: no mistake.
    forgiven = () if "encoder" in params else ("encoder/",)
    for pattern, _ in groups:
        if pattern not in used and not any(re.search(pattern, path) for path in forgiven):
            raise UserError(
                f"--config.optim.groups: the pattern {pattern!r} is the first to match no parameter"
            )
    return factors


def make_optimizer(
    optim: Mapping[str, Any], params: Any, *, total_steps: int, frozen: tuple[str, ...] = ()
) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimiser that a config's `optim` section describes.

    Args:
      optim: `learning_rate`, `warmup`, `decay`, `clip` (global norm), `eps`, `weight_decay`, `groups`.
      params: the parameters, for the groups.
      total_steps: optimiser steps of the whole run.
      frozen: top-level parts of the parameters that stay as they are, whatever their group.

    Returns:
      (transformation, schedule); the schedule is that of a group with the factor 1.
    """
    rate = schedule(
        optim["learning_rate"], total_steps=total_steps, warmup=optim["warmup"], decay=optim["decay"]
    )
    factors = dict(group_factors(params, optim["groups"]))
    for part in factors.keys() & set(frozen):
        factors[part] = jax.tree.map(lambda _: 0.0, factors[part])
    scale = optax.stateless(lambda updates, _: jax.tree.map(lambda u, f: u * f, updates, factors))
    return optax.chain(
        optax.clip_by_global_norm(optim["clip"]),
        optax.adamw(rate, eps=optim["eps"], weight_decay=optim["weight_decay"]),
        scale,
    ), rate
