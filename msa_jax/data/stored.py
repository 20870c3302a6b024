"""Stored preparations: what JSON holds of one, each value held against its type and bounds."""

from collections.abc import Mapping
from typing import Any

from msa_jax import json_kinds
from msa_jax.corpora import MODALITIES, STREAMS
from msa_jax.errors import UserError
from msa_jax.json_kinds import MOST_LAYERS, Kind, is_a, number, rate

_MOST = 1 << 24  # of a length or a width; a run has far fewer


def _whole(least: int, most: int = _MOST) -> Kind:
    return json_kinds.whole(least, most)


def _modalities(v: Any) -> bool:
    return isinstance(v, list) and v != [] and all(m in MODALITIES for m in v) and len(set(v)) == len(v)


def _widths(v: Any) -> bool:
    return isinstance(v, dict) and set(v) == set(STREAMS) and all(map(_whole(1), v.values()))


def _buckets(v: Any) -> bool:
    each = isinstance(v, list) and v and all(isinstance(b, list) and len(b) == 3 for b in v)
    return each and all(_whole(0)(n) for bucket in v for n in bucket)


_PREPROCESSING: Mapping[str, Kind] = {
    "max_content": _whole(1),
    "lowercase": is_a(bool),
    "modalities": _modalities,
    "widths": _widths,
    "time_line": lambda v: v in ("text", "own"),
    "max_frames": _whole(1),
    "text_width": _whole(0),
    "keep_end": is_a(bool),
    "special_rows": is_a(bool),
    "clip_values": is_a(bool),
}
_ENCODER: Mapping[str, Kind] = {
    "family": is_a(str),
    "vocab_size": _whole(0),
    "hidden_size": _whole(1, 1 << 16),
    "num_layers": _whole(0, MOST_LAYERS),
    "num_heads": _whole(1, 1 << 12),
    "intermediate_size": _whole(1, 1 << 18),
    "max_positions": _whole(1),
    "type_vocab_size": _whole(1, 1 << 12),
    "activation": is_a(str),
    "layer_norm_eps": lambda v: rate(v) and v > 0,
    "hidden_dropout": rate,
    "attention_dropout": rate,
    "pad_id": _whole(0),
    "initializer_range": lambda v: number(v) and v >= 0,
    "input_width": _whole(0),
}
_ALL: Mapping[str, Kind] = {
    "encoder": lambda v: v is None or isinstance(v, dict),
    "preprocessing": is_a(dict),
    "statistics": is_a(dict),
    "buckets": _buckets,
    "clips": _whole(1, 1 << 40),
}


def check(stored: Mapping[str, Any]) -> None:
    """Refuses what no preparation holds.

    Args:
      stored: the content of a preparation.json.

    Raises:
      KeyError: when a key is missing or unknown, as in that of another version.
      UserError: when a value is of another type, or out of bounds; names its key.
    """
    _check("", stored, _ALL)
    _check("preprocessing.", stored["preprocessing"], _PREPROCESSING)
    if stored["encoder"] is not None:
        _check("encoder.", stored["encoder"], _ENCODER)
    how = stored["preprocessing"]
    longest = max(how["max_content"] + 2, how["max_frames"])  # two special tokens
    if any(steps > longest for bucket in stored["buckets"] for steps in bucket):
        raise UserError(f"buckets hold more than the {longest} steps that a clip can have")
    for part in ("mean", "scale", "low", "high"):
        columns, widths = stored["statistics"][part], how["widths"]
        ends = part in ("low", "high")  # infinite ones are None
        for stream, width in widths.items():
            values = columns[stream]
            if not (isinstance(values, list) and len(values) == width):
                raise UserError(f"statistics.{part}.{stream} is not a list of {width} numbers")
            for v in values:
                fits = number(v) and (part != "scale" or v > 0)
                if not (fits or (ends and v is None)):
                    raise UserError(f"statistics.{part}.{stream} holds {v!r}")


def _check(where: str, values: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    if odd := values.keys() ^ kinds.keys():
        raise KeyError(sorted(odd)[0])
    json_kinds.check(where, values, kinds)
