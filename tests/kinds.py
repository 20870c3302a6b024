"""Kinds of models: which ones a test of the machinery runs, and which it runs where all are asked for.

A training on several devices, of several seeds or in bfloat16 is the same code for all models. By default it
is run for those that give it something of their own to do; `python -m pytest -m every_model` runs the others.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from msa_jax import models

# What a step of the one does, and a step of no other that stands before it: streams of their own lengths and
# GRUs; tables by clip; an encoder, and pairs of clips; clips that fuse with other clips; distributions over
# the batch; draws of a sample; gradients that stop; a map over blocks of clips.
STATE = ("mulg", "self_mm")  # what a state holds is of these two kinds
BATCH = (*STATE, "crosssent", "tecafn", "misa", "mfm", "mmim", "mult")
# Those whose step of several seeds has something of its own: draws, tables, a memory, masks by a hash.
SEEDS = (*STATE, "tecafn", "mmim", "mult")


def by_default(kinds: Sequence[Any], of: Sequence[Any] | None = None) -> list[Any]:
    """All models, or what `of` holds, as parameters; what is not in `kinds` is marked `every_model`."""
    of = models.names() if of is None else of
    return [one if one in kinds else pytest.param(one, marks=pytest.mark.every_model) for one in of]


def neighbours(name: str, *groups: Sequence[str]) -> tuple[str, ...]:
    """The models that share a process with one where each is asked in it: a process starts slowly.

    They are of its group, or like it of none.
    """
    rest = [other for other in models.names() if not any(other in group for group in groups)]
    names = next(group for group in (*groups, rest) if name in group)
    start = names.index(name) // 2 * 2
    return tuple(names[start : start + 2])
