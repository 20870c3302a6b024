"""Checks of a config's values that its types cannot make: one line for the first that is wrong."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from msa_jax.corpora import CORPORA, MODALITIES, SPLITS
from msa_jax.data.synthetic import PRESETS
from msa_jax.errors import UserError
from msa_jax.metrics import keys

FEATURES = "features"  # as text.encoder: the text is features that the file brings
# Models that lay audio and vision beside the text's tokens, step by step.
ON_TEXT_TIME_LINE = ("crosssent", "amsgfn")
CHOICES: dict[str, Sequence[Any]] = {
    "data.corpus": (*CORPORA, *PRESETS),
    "data.eval_split": ("auto", *SPLITS, "all"),
    "data.time_line": ("text", "own"),
    "data.rows": (None, "tokens", "words", "stream"),
    "text.dtype": ("float32", "bfloat16"),
    "loss.task": ("mse", "l1", "cross_entropy"),
    "model.name": ("crosssent", "tecafn", "mulg", "amsgfn"),
    "model.pooling": ("cls", "mean"),
    "model.core": MODALITIES,
    "model.dominant": (None, *MODALITIES),
    "model.scoring": ("multihead", "bilinear"),
    "model.residual": ("post_ln", "pre_ln", "residual_dual"),
    "model.recurrent": ("gru", "flax", "self_attention"),
}
AT_LEAST = {
    "seed": 0,
    "data.cut.seed": 0,
    "data.seed": 0,
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
    "data.max_frames": 1,
    "patience": 0,
    "data.cut.folds": 2,
    "data.cut.fold": 0,
    "text.max_content": 1,
    "model.layer": 1,
    "model.gmra.heads": 1,
    "model.gmra.bottleneck": 1,
    "model.width": 1,
    "model.heads": 1,
    "model.layers": 1,
    "model.encoder_layers": 1,
    "model.cross_layers": 1,
    "model.kernel": 1,
    "model.num": 1,
    "model.hidden": 1,
    "model.recurrent_layers": 1,
    "model.reduced": 1,
    "model.head_hidden": 1,
    "model.ffn_factor": 1,
    "model.align_width": 1,
    "model.gumbel": 0,
    "loss.contrast_weight": 0,
    "loss.pair_weight": 0,
    "loss.align_weight": 0,
    "loss.cor_weight": 0,
    "loss.balance_weight": 0,
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
    "model.attention_dropout",
    "model.embedding_dropout",
    "model.head_dropout",
    "model.text_dropout",
    "model.output_dropout",
    "optim.warmup",
)


def check(config: ConfigDict, *, training: bool = True) -> None:
    """Refuses values that no run can use.

    Args:
      config: a whole config.
      training: whether it is to be trained, so that what an epoch is chosen by matters.

    Raises:
      UserError: names the key, the value, and what is possible.
    """
    flat = flatten(config)
    try:
        _check(flat)
        if training:
            _check_selection(flat)
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
            names = [str(choice) for choice in choices]
            close = difflib.get_close_matches(str(flat[key]), names, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UserError(f"--config.{key}: {flat[key]!r} is not one of {', '.join(names)}{hint}")
    for key, least in AT_LEAST.items():
        if flat.get(key) is not None and not flat[key] >= least:
            raise UserError(f"--config.{key}: {flat[key]} is less than {least}")
    modalities = flat["data.modalities"]
    if not modalities or not set(modalities) <= set(MODALITIES):
        raise UserError(
            f"--config.data.modalities: {modalities!r} must hold at least one of text, audio and vision, "
            "as in --config.data.modalities=\"('text', 'audio')\""
        )
    for key in RATES:
        if key in flat and not 0 <= flat[key] < 1:
            raise UserError(f"--config.{key}: {flat[key]} is no share in [0, 1)")
    if "model.p" in flat and not 0 <= flat["model.p"] <= 1:
        raise UserError(f"--config.model.p: {flat['model.p']} is no probability")
    for key in ("loss.temperature", "loss.cor_temperature"):
        if key in flat and not flat[key] > 0:
            raise UserError(f"--config.{key}: {flat[key]} must be above 0")
    if flat["model.name"] in ON_TEXT_TIME_LINE and flat["data.time_line"] != "text":
        raise UserError(
            f"--config.data.time_line: {flat['model.name']} lays audio and vision beside the text's tokens; "
            "it must be text"
        )
    for key in ("model.contrast", "model.replace", "model.hard_negatives"):
        if not set(flat.get(key, ())) <= set(MODALITIES):
            raise UserError(f"--config.{key}: {flat[key]!r} may hold only {', '.join(MODALITIES)}")
    attending = ["model.width"] if flat.get("model.scoring") != "bilinear" else []
    if flat.get("model.recurrent") == "self_attention":
        attending.append("model.hidden")
    for key in attending:
        if key in flat and flat[key] % flat["model.heads"]:
            raise UserError(f"--config.model.heads: {flat['model.heads']} does not divide {key} {flat[key]}")
    _check_task(flat)
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


def _labelled_as(flat: dict[str, Any]) -> str:
    """The corpus, or that in whose shape it is made."""
    made = PRESETS.get(flat["data.corpus"])
    return flat["data.corpus"] if made is None else made.task


def _check_task(flat: dict[str, Any]) -> None:
    corpus = _labelled_as(flat)
    tasks = ("cross_entropy",) if CORPORA[corpus].outputs else ("mse", "l1")
    if flat["loss.task"] not in tasks:
        raise UserError(
            f"--config.loss.task: {flat['loss.task']} does not fit the labels of {flat['data.corpus']}; "
            f"say {' or '.join(tasks)}"
        )
    if flat["model.name"] == "crosssent" and CORPORA[corpus].outputs:
        raise UserError(
            f"--config.data.corpus: crosssent ranks scores, and {flat['data.corpus']} has classes"
        )


def _check_selection(flat: dict[str, Any]) -> None:
    corpus = _labelled_as(flat)
    known = ("loss", *keys(corpus))
    if flat["select"] not in known:
        raise UserError(
            f"--config.select: {flat['select']!r} is no metric of {corpus}; there are {', '.join(known)}"
        )


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
        for key in ("path", "split_name", "rows", "bert_vocab"):
            if config.data.get(key) is None:  # of before there was such a key, too
                config.data[key] = placeholder(str)
        config.data.special_rows = config.data.get("special_rows", False)
        if config.data.get("seed") is None:
            config.data.seed = placeholder(int)
        check(config)
    except (KeyError, AttributeError, TypeError):
        raise UserError("the stored config.json is no config of this library") from None
    return config.lock()
