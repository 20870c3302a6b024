"""Checks of a config's values that its types cannot make: one line for the first that is wrong."""

import difflib
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
    "optim.warmup": 0,
    "optim.learning_rate": 0,
    "optim.weight_decay": 0,
}


def check(config: ConfigDict) -> None:
    """Refuses values that no run can use.

    Args:
      config: a whole config.

    Raises:
      UserError: names the key, the value, and what is possible.
    """
    flat = flatten(config)
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
    if flat["optim.warmup"] > 1:
        raise UserError(f"--config.optim.warmup: {flat['optim.warmup']} is a share of the steps, at most 1")
    if flat["data.cut.fold"] >= flat["data.cut.folds"]:
        raise UserError(f"--config.data.cut.fold: {flat['data.cut.fold']} must be below data.cut.folds")
    if flat["text.max_content"] + 2 > flat["text.max_length"]:
        raise UserError(
            "--config.text.max_content: two special tokens must fit into text.max_length beside it"
        )
    if flat.get("model.gmra.max_length", flat["text.max_length"]) < flat["text.max_length"]:
        raise UserError("--config.model.gmra.max_length: must be at least text.max_length")


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
    """A stored config.json as a locked ConfigDict: lists become tuples again, and null keys take strings."""

    def convert(value):
        if isinstance(value, dict):
            return ConfigDict({k: convert(v) for k, v in value.items()})
        return tuple(convert(v) for v in value) if isinstance(value, list) else value

    config = convert(stored)
    for key in ("path", "split_name"):
        if config.data[key] is None:
            config.data[key] = placeholder(str)
    return config.lock()
