"""Stored preparations: what JSON holds of one, each value held against its type and bounds.

A run's folder may come from anybody: a number of layers of a milliard would never end, and a text in place of
a number would fail far from here.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from msa_jax.corpora import MODALITIES, STREAMS
from msa_jax.errors import UserError

_MOST = 1 << 24  # of a length or a width; a run has far fewer
_LAYERS = 1000


def _whole(least: int, most: int = _MOST) -> Callable[[Any], bool]:
    return lambda v: type(v) is int and least <= v <= most


def _rate(v: Any) -> bool:
    return type(v) in (int, float) and 0 <= v < 1


def _is(kind: type) -> Callable[[Any], bool]:
    return lambda v: type(v) is kind


def _modalities(v: Any) -> bool:
    return isinstance(v, list) and v != [] and all(m in MODALITIES for m in v) and len(set(v)) == len(v)


def _widths(v: Any) -> bool:
    return isinstance(v, dict) and set(v) == set(STREAMS) and all(map(_whole(1), v.values()))


def _buckets(v: Any) -> bool:
    each = isinstance(v, list) and v and all(isinstance(b, list) and len(b) == 3 for b in v)
    return each and all(_whole(0)(n) for bucket in v for n in bucket)


_PREPROCESSING: Mapping[str, Callable[[Any], bool]] = {
    "max_content": _whole(1),
    "lowercase": _is(bool),
    "modalities": _modalities,
    "widths": _widths,
    "time_line": lambda v: v in ("text", "own"),
    "max_frames": _whole(1),
    "text_width": _whole(0),
    "keep_end": _is(bool),
    "special_rows": _is(bool),
    "clip_values": _is(bool),
}
_ENCODER: Mapping[str, Callable[[Any], bool]] = {
    "family": _is(str),
    "vocab_size": _whole(0),
    "hidden_size": _whole(1, 1 << 16),
    "num_layers": _whole(0, _LAYERS),
    "num_heads": _whole(1, 1 << 12),
    "intermediate_size": _whole(1, 1 << 18),
    "max_positions": _whole(1),
    "type_vocab_size": _whole(1, 1 << 12),
    "activation": _is(str),
    "layer_norm_eps": lambda v: type(v) in (int, float) and 0 < v < 1,
    "hidden_dropout": _rate,
    "attention_dropout": _rate,
    "pad_id": _whole(0),
    "initializer_range": lambda v: type(v) in (int, float) and 0 <= v < math.inf,
    "input_width": _whole(0),
}
_ALL: Mapping[str, Callable[[Any], bool]] = {
    "encoder": lambda v: v is None or isinstance(v, dict),
    "preprocessing": _is(dict),
    "statistics": _is(dict),
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
    for part in ("mean", "scale", "low", "high"):
        columns, widths = stored["statistics"][part], stored["preprocessing"]["widths"]
        ends = part in ("low", "high")  # infinite ones are None
        for stream, width in widths.items():
            values = columns[stream]
            if not (isinstance(values, list) and len(values) == width):
                raise UserError(f"statistics.{part}.{stream} is not a list of {width} numbers")
            for v in values:
                number = type(v) in (int, float) and math.isfinite(v) and (part != "scale" or v > 0)
                if not (number or (ends and v is None)):
                    raise UserError(f"statistics.{part}.{stream} holds {v!r}")


def _check(where: str, values: Mapping[str, Any], bounds: Mapping[str, Callable[[Any], bool]]) -> None:
    if odd := values.keys() ^ bounds.keys():
        raise KeyError(sorted(odd)[0])
    for key, fits in bounds.items():
        if not fits(values[key]):
            raise UserError(f"{where}{key} is {values[key]!r}")
