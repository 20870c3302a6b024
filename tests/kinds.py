"""Kinds of models: which ones a test of the machinery runs, and which it runs where all are asked for.

A training on several devices, of several seeds or in bfloat16 is the same code for all models. By default it
is run for those that give it something of their own to do; `python -m pytest -m every_model` runs the others.
"""

from collections.abc import Sequence

import pytest

from msa_jax import models

# What a step of the one does, and a step of no other that stands before it: streams of their own lengths and
# GRUs; tables by clip; an encoder, and pairs of clips; clips that fuse with other clips; distributions over
# the batch; draws of a sample; gradients that stop; a map over blocks of clips.
BATCH = ("mulg", "self_mm", "crosssent", "tecafn", "misa", "mfm", "mmim", "mult")
# Those whose step of several seeds has something of its own: draws, tables, a memory, masks by a hash.
SEEDS = ("mulg", "self_mm", "tecafn", "mmim", "mult")
# Those of them that differ in what a seed keeps: arrays and a recurrent start, collections.
STATE = ("mulg", "self_mm")


def others(kinds: Sequence[str]) -> list[str]:
    """The shipped models that are not among some."""
    return [name for name in models.names() if name not in kinds]


def by_default(kinds: Sequence[str], names: Sequence[str] | None = None) -> list:
    """All models, or `names`, as parameters: those that are not of `kinds` are marked `every_model`."""
    names = models.names() if names is None else names
    mark = pytest.mark.every_model
    return [name if name in kinds else pytest.param(name, marks=mark) for name in names]


def neighbours(name: str, kinds: Sequence[str]) -> tuple[str, ...]:
    """The models that share a process with one where each is asked in it: a process starts slowly."""
    names = kinds if name in kinds else others(kinds)
    start = names.index(name) // 2 * 2
    return tuple(names[start : start + 2])
