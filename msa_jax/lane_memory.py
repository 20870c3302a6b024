"""Memory of lanes: how many runs can be trained together on the devices that there are."""

import math
from typing import Any

import jax
import psutil
from ml_collections import ConfigDict

from msa_jax import agreement
from msa_jax.assemble import Pieces
from msa_jax.errors import UserError
from msa_jax.loop import compiled_step, make_plan
from msa_jax.parallel import Layout
from msa_jax.step import starter
from msa_jax.together import Together

_SHARE = 0.9  # of the free memory; the rest is for validation and for what the system has to do


def fitting(config: ConfigDict, pieces: Pieces, layout: Layout, count: int) -> tuple[int, str | None]:
    """How many of so many lanes fit the free memory together, by XLA's own account of their step.

    Args:
      config, pieces: of one of them.
      layout: the devices.
      count: of the lanes.

    Returns:
      (how many, why not all, in words; None where all do).
    """
    why, free = None, agreement.least(_free(layout))
    sizes = dict.fromkeys(-(-count // groups) for groups in range(1, count))  # of few and even groups
    for together in sizes:
        needed = agreement.facts_of_first(_needed(config, pieces, layout, together))
        if needed <= _SHARE * free:
            return together, why
        why = why or f"{count} would take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free"
    return 1, why


def _free(layout: Layout) -> int:
    """Bytes that are free for each device of this process; of the machine where a device does not tell."""
    here = layout.local_devices
    found = [stats for device in here if "bytes_limit" in (stats := device.memory_stats() or {})]
    if len(found) == len(here):
        return min(stats["bytes_limit"] - stats["bytes_in_use"] for stats in found)
    return psutil.virtual_memory().available // len(here)


def _needed(config: ConfigDict, pieces: Pieces, layout: Layout, count: int) -> int:
    """Bytes that so many lanes take on each device, in a step or when their states are joined before it."""
    plan = make_plan(config, pieces, config.epochs)
    together = Together(count, pieces.shared, layout.for_seeds(count))
    layout = together.layout
    start, _ = starter(config, pieces, plan, layout)
    one = jax.eval_shape(lambda: start(pieces.variables, config.seed))
    state = together.shapes(one)
    longest = max(range(plan.steps_per_epoch), key=lambda k: sum(plan[k][1]))
    batches = pieces.preparation.batches(
        pieces.splits["train"], plan, threads=0, share=layout.share_in(config.parts), start=longest
    )
    lowered = compiled_step(config, pieces, state, together).lower(state, layout.batch(next(iter(batches))))
    if layout.groups > 1 and "stablehlo.convolution" in lowered.as_text():
        raise UserError(
            f"--config.seeds: the model {config.model.name} has a convolution (as flax's Conv), which XLA "
            "computes wrongly for seeds on several devices; use msa_jax.layers.convolution.MaskedConv, or "
            "--config.parallel.devices=1"
        )
    in_a_step = _bytes(lowered.compile().memory_analysis())
    states, devices = count * _size(one), layout.local_devices
    if devices[0].platform == "cpu":  # copies wait there to be written, the latest states and the best
        in_a_step += 2 * states // len(devices)
    return max(in_a_step, states + states // layout.groups)


def _bytes(of_program: Any) -> int:
    names = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
    return sum(getattr(of_program, name) for name in names) - of_program.alias_size_in_bytes


def _size(state: Any) -> int:
    return sum(math.prod(x.shape) * 4 for x in jax.tree.leaves(state))  # all are float32 or int32
