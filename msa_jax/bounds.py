"""Bounds of the config's values: one line for the first that no run can use."""

import math
import re
from typing import Any

from ml_collections import ConfigDict

from msa_jax import models
from msa_jax.config import base, flatten
from msa_jax.corpora import CORPORA, MODALITIES, SPLITS
from msa_jax.data.synthetic import PRESETS, facts, metric_set
from msa_jax.errors import UserError, nearest
from msa_jax.json_kinds import MOST_LAYERS
from msa_jax.losses import TASKS
from msa_jax.metrics import keys
from msa_jax.models import fields
from msa_jax.optim import SCHEDULES

CHOICES: dict[str, tuple[Any, ...]] = {
    "data.corpus": (*CORPORA, *PRESETS),
    "data.eval_split": ("auto", *SPLITS, "all"),
    "data.time_line": ("text", "own"),
    "data.rows": (None, "tokens", "words", "stream"),
    "text.dtype": ("float32", "bfloat16"),
    "optim.schedule": SCHEDULES,
}
AT_LEAST = {
    "seed": 0,
    "epochs": 1,
    "patience": 0,
    "batch_size": 1,
    "parts": 1,
    "eval_batch_size": 1,
    "log_every": 1,
    "checkpoint_every": 1,
    "data.buckets": 1,
    "data.threads": 0,
    "data.max_frames": 1,
    "data.seed": 0,
    "data.cut.seed": 0,
    "data.cut.folds": 2,
    "data.cut.fold": 0,
    "text.max_content": 1,
    "text.scratch.vocab_size": 30,
    "text.scratch.hidden_size": 1,
    "text.scratch.num_layers": 1,
    "text.scratch.num_heads": 1,
    "text.scratch.intermediate_size": 1,
    "optim.learning_rate": 0,
    "optim.weight_decay": 0,
    "optim.warmup_steps": 0,
    "optim.accumulate": 1,
    "optim.plateau.patience": 0,
    "parallel.devices": 1,
}
# More than any run uses: a config may come from anybody.
AT_MOST = {
    "epochs": 1 << 40,
    "batch_size": 1 << 20,
    "parts": 1 << 20,
    "eval_batch_size": 1 << 20,
    "optim.accumulate": 1 << 20,
    "data.buckets": 1000,
    "data.threads": 1000,
    "data.max_frames": 1 << 20,
    "text.max_length": 1 << 20,
    "text.scratch.vocab_size": 1 << 24,
    "text.scratch.hidden_size": 1 << 16,
    "text.scratch.num_layers": MOST_LAYERS,
    "text.scratch.num_heads": 1 << 12,
    "text.scratch.intermediate_size": 1 << 18,
}
_LARGEST = (
    1 << 62
)  # of any whole number: arrays hold no larger ones, and floats end at 10 to the power of 308
CLIPS = ("optim.clip", "optim.clip_value")  # may be infinite, which in a file is None
_MOST_SEEDS = 1000
SEEDS = ("seed", "data.seed", "data.cut.seed")  # below 2 to the power of 32
ABOVE_ZERO = ("optim.eps", "optim.plateau.factor")
RATES = ("data.cut.valid_fraction", "text.scratch.dropout", "optim.warmup", "optim.plateau.factor")


def check(config: ConfigDict, *, training: bool = True) -> None:
    """Refuses values that no run can use.

    Args:
      config: a whole config.
      training: whether it is to be trained, so that what an epoch is chosen by matters.

    Raises:
      UserError: when a value is out of bounds; names the key, the value, and what is possible.
    """
    flat = flatten(config)
    sections = ("data", "data.cut", "text", "text.scratch", "model", "loss", "optim", "optim.plateau")
    sections += ("parallel",)
    for section in sections:
        if section in flat:
            raise UserError(f"--config.{section}: {flat[section]!r} is not a section")
    try:
        _check_common(flat)
        _check_model(config, flat)
        if training:
            _check_selection(flat)
    except KeyError as e:
        raise UserError(
            f"the config has no key {e.args[0]}; configs/base.py lists what there must be"
        ) from None


def _whole_numbers(value: Any) -> list[int]:
    """Those of a value, or of the tuples that it is made of."""
    if isinstance(value, tuple | list):
        return [number for inner in value for number in _whole_numbers(inner)]
    return [value] if type(value) is int else []


def _check_common(flat: dict[str, Any]) -> None:
    for key, default in flatten(base.common()).items():
        if flat[key] is None and default is not None and key not in CLIPS:
            raise UserError(f"--config.{key} is None, as it cannot be; its default is {default!r}")
    for key, choices in CHOICES.items():
        if flat[key] not in choices:
            raise UserError(f"--config.{key}: {fields.one_of(flat[key], [str(c) for c in choices])}")
    for key, value in flat.items():
        endless = isinstance(value, float) and not math.isfinite(value)
        if endless and key not in CLIPS and not key.startswith(("model.", "loss.")):
            raise UserError(f"--config.{key}: {value} is not finite")
    for key in (*ABOVE_ZERO, *CLIPS):
        if flat[key] is not None and not flat[key] > 0:
            leave_out = "; inf leaves it out" if key in CLIPS else ""
            raise UserError(f"--config.{key}: {flat[key]} must be above 0{leave_out}")
    for key, least in AT_LEAST.items():
        if flat[key] is not None and not flat[key] >= least:
            raise UserError(f"--config.{key}: {flat[key]} is less than {least}")
    if flat["parts"] > flat["batch_size"]:
        raise UserError(
            f"--config.parts: {flat['parts']} is more than batch_size {flat['batch_size']}; each part of a "
            "batch has at least one clip"
        )
    for key, most in AT_MOST.items():
        if flat[key] > most:
            raise UserError(f"--config.{key}: {flat[key]} is more than {most}")
    for key in SEEDS:
        if flat[key] is not None and flat[key] >= 1 << 32:
            raise UserError(f"--config.{key}: {flat[key]} must be below 2 to the power of 32")
    _check_seeds(flat["seeds"])
    for key, value in flat.items():
        if any(abs(number) > _LARGEST for number in _whole_numbers(value)):
            raise UserError(f"--config.{key}: {value} has a whole number beyond 2 to the power of 62")
    for key in RATES:
        if not 0 <= flat[key] < 1:
            raise UserError(f"--config.{key}: {flat[key]} does not lie in [0, 1)")
    modalities = flat["data.modalities"]
    known = all(m in MODALITIES for m in modalities)  # some may not even be texts
    if not modalities or not known or len({*modalities}) < len(modalities):
        raise UserError(
            f"--config.data.modalities: {modalities!r} must hold one or more of text, audio and vision, each "
            "once, as in --config.data.modalities=\"('text', 'audio')\""
        )
    heads, width = flat["text.scratch.num_heads"], flat["text.scratch.hidden_size"]
    if width % heads:
        raise UserError(
            f"--config.text.scratch.num_heads: {heads} does not divide text.scratch.hidden_size {width}"
        )
    if flat["optim.warmup"] and flat["optim.warmup_steps"]:
        raise UserError("--config.optim.warmup_steps: optim.warmup is set too; set one of them to 0")
    if flat["data.path"] == "":
        raise UserError("--config.data.path is empty; name a file or folder, or leave the argument out")
    _check_groups(flat["optim.groups"])
    if flat["data.cut.fold"] >= flat["data.cut.folds"]:
        raise UserError(f"--config.data.cut.fold: {flat['data.cut.fold']} must be below data.cut.folds")
    if flat["text.max_content"] + 2 > flat["text.max_length"]:
        raise UserError(
            "--config.text.max_content: two special tokens must fit into text.max_length beside it"
        )


def _check_seeds(seeds: tuple[Any, ...]) -> None:
    whole = all(type(seed) is int and 0 <= seed < 1 << 32 for seed in seeds)
    if not whole or len(set(seeds)) < len(seeds) or len(seeds) > _MOST_SEEDS:
        raise UserError(
            f"--config.seeds: {seeds!r} must be whole numbers from 0 on and below 2 to the power of 32, each "
            f"once and at most {_MOST_SEEDS}, as in --config.seeds=0,1,2"
        )


def _check_model(config: ConfigDict, flat: dict[str, Any]) -> None:
    name, corpus = flat["model.name"], flat["data.corpus"]
    paper, outputs = models.find(name), facts(corpus).outputs
    section = config.model.to_dict()
    paper.check(section)
    fields.check(paper.loss, config.loss.to_dict(), "loss")
    modalities = tuple(m for m in MODALITIES if m in flat["data.modalities"])
    paper.build(section, max_length=flat["text.max_length"], modalities=modalities, outputs=outputs)
    if paper.time_line not in (None, flat["data.time_line"]):
        raise UserError(
            f"--config.data.time_line: {name} lays audio and vision beside the text's tokens; it must be "
            f"{paper.time_line}"
        )
    if paper.scores_only and outputs:
        raise UserError(f"--config.data.corpus: {name} predicts scores, and {corpus} has classes")
    if paper.needs_labels and not facts(corpus).by_modality:
        raise UserError(f"--config.data.corpus: {name} learns from labels by modality, and {corpus} has none")
    fitting = [task for task, kind in TASKS.items() if kind.classes == bool(outputs)]
    if flat["loss.task"] not in fitting:
        raise UserError(
            f"--config.loss.task: {flat['loss.task']} does not fit the labels of {corpus}; "
            f"say {' or '.join(fitting)}"
        )


def _check_selection(flat: dict[str, Any]) -> None:
    corpus = metric_set(flat["data.corpus"])
    known = ("loss", *keys(corpus))
    if flat["select"] not in known:
        hint = nearest(flat["select"], known)
        raise UserError(f"--config.select: {flat['select']!r} is not a metric of {corpus}; {hint}")


def _check_groups(groups: Any) -> None:
    try:
        for pattern, factor, *decay in groups:
            re.compile(pattern)
            numbers = (factor, *decay)
            if len(decay) > 1 or any(isinstance(v, bool) or not 0 <= v < math.inf for v in numbers):
                raise ValueError
        if not groups:
            raise ValueError
    except (TypeError, ValueError, re.error):
        raise UserError(
            f"--config.optim.groups: {groups!r} is not a list of (regular expression, factor) or (regular "
            "expression, factor, weight decay), as in "
            "--config.optim.groups=\"(('^encoder/', 1.0), ('.*', 10.0))\""
        ) from None
