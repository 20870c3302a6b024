"""Kinds of values in a run's JSON files: each value is held against its type and bounds before it is used.

A run's folder may come from anybody: a number of layers of a milliard would never end, and a text in place of
a number would fail far from here.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from msa_jax.errors import UserError

Kind = Callable[[Any], bool]  # whether a value is of the kind
MOST_LAYERS = 100  # more than any model has, and few enough to be traced in seconds


def whole(least: int, most: int) -> Kind:
    """Whole numbers from `least` to `most`."""
    return lambda v: type(v) is int and least <= v <= most


def is_a(*types: type) -> Kind:
    """Values of one of the types, and not of one that extends it: True is not an int."""
    return lambda v: type(v) in types


def number(v: Any) -> bool:
    """Finite numbers, and whole ones that a float can hold."""
    return type(v) in (int, float) and abs(v) <= sys.float_info.max


def rate(v: Any) -> bool:
    """Numbers from 0 to below 1."""
    return number(v) and 0 <= v < 1


def or_none(kind: Kind) -> Kind:
    """None, and the values of a kind."""
    return lambda v: v is None or kind(v)


def list_of(kind: Kind) -> Kind:
    """Lists of values of a kind."""
    return lambda v: isinstance(v, list) and all(map(kind, v))


def check(where: str, values: Any, kinds: Mapping[str, Kind]) -> None:
    """Refuses an object with a value of another kind; keys that `kinds` lacks are not looked at.

    Args:
      where: the place of the object in the file, such as "encoder."; begins the names in messages.
      values: the object, as JSON gives it.
      kinds: of the values, by key.

    Raises:
      KeyError: when a key is missing.
      UserError: when it is not an object, or a value is not of its kind; names the key.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{where.removesuffix('.') or 'the content'} is {shown(values)}")
    for key, fits in kinds.items():
        if not fits(values[key]):
            raise UserError(f"{where}{key} is {shown(values[key])}")


def shown(value: Any) -> str:
    """A value as messages show it, in at most some hundred characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
