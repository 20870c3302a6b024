"""Checks of a config's values that its types cannot make: one line for the first that is wrong."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from msa_jax.data.corpora import CORPORA, SPLITS
from msa_jax.errors import UserError

MODALITIES = ("text", "audio", "vision")
CHOICES: dict[str, Sequence[Any]] = {
    "data.corpus": (*CORPORA, "synthetic"),
    "data.eval_split": ("auto", *SPLITS, "all"),
    "text.dtype": ("float32", "bfloat16"),
    "model.name": ("crosssent",),
    "model.pooling": ("cls", "mean"),
}
AT_LEAST = {
    "seed": 0,
    "data.cut.seed": 0,
    "text.scratch.vocab_size": 30,
    "text.scratch.hidden_size": 1,
    "text.scratch.num_layers": 1,
    "text.scratch.num_heads": 1,
    "text.scratch.intermediate_size": 1,
    "epochs": 1,
    "batch_size": 1,
    "eval_batch_size": 1,
    "log_every": 1,
    "checkpoint_every": 1,
    "data.buckets": 1,
    "data.threads": 0,
    "data.cut.folds": 2,
    "data.cut.fold": 0,
    "text.max_content": 1,
    "model.layer": 1,
    "model.gmra.heads": 1,
    "model.gmra.bottleneck": 1,
    "loss.max_pairs": 1,
    "loss.mpr_weight": 0,
    "loss.eioi_weight": 0,
    "loss.delta": 0,
    "loss.ramp": 0,
    "optim.learning_rate": 0,
    "optim.weight_decay": 0,
}
RATES = (
    "data.cut.valid_fraction",
    "text.scratch.dropout",
    "model.pooled_dropout",
    "model.dropout",
    "model.gmra.dropout",
    "optim.warmup",
)


def check(config: ConfigDict) -> None:
    """Refuses values that no run can use.

    Args:
      config: a whole config.

    Raises:
      UserError: names the key, the value, and what is possible.
    """
    flat = flatten(config)
    try:
        _check(flat)
    except KeyError as e:
        raise UserError(
            f"the config has no key {e.args[0]}; configs/base.py lists what there must be"
        ) from None


def _check(flat: dict[str, Any]) -> None:
    for section in ("data", "text", "model", "loss", "optim"):
        if section in flat:
            raise UserError(f"--config.{section}: {flat[section]!r} is no section")
    for key, choices in CHOICES.items():
        if key in flat and flat[key] not in choices:
            close = difflib.get_close_matches(str(flat[key]), choices, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"--config.{key}: {flat[key]!r} is not one of {', '.join(choices)}{hint}")
    for key, least in AT_LEAST.items():
        if key in flat and not flat[key] >= least:
            raise UserError(f"--config.{key}: {flat[key]} is less than {least}")
    modalities = flat["data.modalities"]
    if "text" not in modalities or not set(modalities) <= set(MODALITIES):
        raise UserError(
            f"--config.data.modalities: {modalities!r} must hold text, and may hold audio and vision, "
            "as in --config.data.modalities=\"('text', 'audio')\""
        )
    for key in RATES:
        if key in flat and not 0 <= flat[key] < 1:
            raise UserError(f"--config.{key}: {flat[key]} is no share in [0, 1)")
    if not flat["optim.clip"] > 0:
        raise UserError(f"--config.optim.clip: {flat['optim.clip']} must be above 0")
    if flat["data.path"] == "":
        raise UserError("--config.data.path is empty; name a file or folder, or leave the argument out")
    _check_groups(flat["optim.groups"])
    if flat["data.cut.fold"] >= flat["data.cut.folds"]:
        raise UserError(f"--config.data.cut.fold: {flat['data.cut.fold']} must be below data.cut.folds")
    if flat["text.max_content"] + 2 > flat["text.max_length"]:
        raise UserError(
            "--config.text.max_content: two special tokens must fit into text.max_length beside it"
        )
    if flat.get("model.gmra.max_length", flat["text.max_length"]) < flat["text.max_length"]:
        raise UserError("--config.model.gmra.max_length: must be at least text.max_length")


def _check_groups(groups: Any) -> None:
    try:
        for pattern, factor in groups:
            re.compile(pattern)
            float(factor)
    except (TypeError, ValueError, re.error):
        raise UserError(
            f"--config.optim.groups: {groups!r} is no list of (regular expression, factor), as in "
            "--config.optim.groups=\"(('^encoder/', 1.0), ('.*', 10.0))\""
        ) from None


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The values of a config by dotted path; a section that is None is one value."""
    out = {}
    for key in config:
        value = config[key]
        if isinstance(value, ConfigDict):
            out.update(flatten(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out


def to_config(stored: dict) -> ConfigDict:
    """A stored config.json as a locked ConfigDict: lists become tuples again, and null keys take strings.

    Raises:
      UserError: when it is no config.
    """

    def convert(value):
        if isinstance(value, dict):
            return ConfigDict({k: convert(v) for k, v in value.items()})
        return tuple(convert(v) for v in value) if isinstance(value, list) else value

    config = convert(stored)
    try:
        for key in ("path", "split_name"):
            if config.data[key] is None:
                config.data[key] = placeholder(str)
        check(config)
    except (KeyError, AttributeError, TypeError):
        raise UserError("the stored config.json is no config of this library") from None
    return config.lock()
