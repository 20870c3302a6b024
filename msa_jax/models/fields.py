"""Types of the fields of models and losses, and the one check of a config's section against them.

A field is stated once, on its line in the model's file: its type with its bounds, its default, its source.
The section `model` or `loss` of a config is made of these fields, and what a user puts there is checked here.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from msa_jax.errors import UserError, nearest
from msa_jax.json_kinds import MOST_LAYERS


@dataclasses.dataclass(frozen=True)
class Bound:
    """A condition on a number.

    Attributes:
      holds: the condition.
      otherwise: the end of the sentence "VALUE ..." where it does not hold.
    """

    holds: Callable[[float], bool]
    otherwise: str


@dataclasses.dataclass(frozen=True)
class Divides:
    """The condition that a number divides another field of the same section."""

    field: str


# More than any model can have, so that a config from elsewhere takes neither hours nor all memory.
MOST = 1 << 20
_Size = Bound(lambda v: v <= MOST, f"is more than {MOST}")
Positive = Annotated[int, Bound(lambda v: v >= 1, "is less than 1"), _Size]
Count = Annotated[int, Bound(lambda v: v >= 0, "is less than 0"), _Size]
Layers = Annotated[Positive, Bound(lambda v: v <= MOST_LAYERS, f"is more than {MOST_LAYERS}")]
NonNegative = Annotated[float, Bound(lambda v: v >= 0, "is less than 0")]
AboveZero = Annotated[float, Bound(lambda v: v > 0, "must be above 0")]
Rate = Annotated[float, Bound(lambda v: 0 <= v < 1, "does not lie in [0, 1)")]
Share = Annotated[float, Bound(lambda v: 0 <= v <= 1, "does not lie in [0, 1]")]
Modality = Literal["text", "audio", "vision"]

GIVEN = ("encoder", "frozen", "modalities", "outputs", "clips")  # fields that the run fills, not the config


class Misfit(ValueError):
    """Fields that do not fit together, or not the run; its text reads "FIELD: what is wrong"."""


def section(cls: Any, *, skip: tuple[str, ...] = ()) -> ConfigDict:
    """The config section that holds the fields of a class at their defaults.

    Args:
      cls: a dataclass, or an instance, whose values then stand for the defaults; a field that holds a
        dataclass becomes a section of its own.
      skip: fields to leave out.
    """
    out = ConfigDict()
    of, values = (cls, None) if isinstance(cls, type) else (type(cls), cls)
    for name, kind in _kinds(of, skip).items():
        if not _supported(kind):
            raise UserError(
                f"{of.__name__}.{name} is of a type that a config's key cannot have; use int, float, bool, "
                "str, Literal, tuples of them, or a dataclass of such fields (each may be None)"
            )
        value = _default(of, name) if values is None else getattr(values, name)
        if _is_fields(value):
            out[name] = section(value, skip=("name", "parent"))
        elif value is None:
            of_value = _class_of(_alternatives(kind)[0][1])
            if dataclasses.is_dataclass(of_value):
                raise UserError(
                    f"{of.__name__}.{name} holds fields of its own and is None by default, so no key could "
                    "switch it on; give it a default, and let a variant set it to None"
                )
            out[name] = placeholder(of_value)
        else:  # a config's key keeps the type of its first value: 0 would take no 0.5
            is_number = _alternatives(kind)[0][1] is float and not isinstance(value, bool)
            out[name] = float(value) if is_number else value
    return out


def build(cls: type, values: Mapping[str, Any], **given: Any) -> Any:
    """An instance of a class from a section that was checked.

    Args:
      cls: the dataclass that the section was made of.
      values: the section as a dict, without keys that are not fields.
      **given: the fields that the section does not hold.
    """
    inner = {}
    for name, value in values.items():
        nested = _default(cls, name)
        inner[name] = build(type(nested), value) if isinstance(value, Mapping) else value
    return cls(**inner, **given)


def check(cls: type, values: Mapping[str, Any], path: str, *, skip: tuple[str, ...] = ()) -> None:
    """Refuses a section that is not what its class says.

    Args:
      cls: the dataclass whose fields the section holds.
      values: the section, as a dict.
      path: its place in the config, such as "model".
      skip: fields that the section does not hold.

    Raises:
      UserError: names the key, the value, and what is possible.
    """
    kinds = _kinds(cls, skip)
    for name in values:
        if name not in kinds:
            hint = nearest(name, list(kinds)).replace("did you mean ", f"did you mean {path}.")
            raise UserError(f"--config.{path}.{name}: the section {path} has no such key; {hint}")
    for name, kind in kinds.items():
        if name not in values:
            raise UserError(f"--config.{path}.{name} is missing; its default is {_default(cls, name)!r}")
        _check_value(f"--config.{path}.{name}", values[name], kind, _default(cls, name), f"{path}.{name}")
    for name, kind in kinds.items():
        for bound in getattr(kind, "__metadata__", ()):
            if not isinstance(bound, Divides):
                continue
            if bound.field not in values:
                raise UserError(f"{cls.__name__}.{name} must divide {bound.field}, which is not a field")
            if None not in (values[bound.field], values[name]) and values[bound.field] % values[name]:
                other = f"{path}.{bound.field} {values[bound.field]}"
                raise UserError(f"--config.{path}.{name}: {values[name]} does not divide {other}")


def _check_value(key: str, value: Any, kind: Any, default: Any, path: str) -> None:
    alternatives = _alternatives(kind)
    if value is None and any(plain is types.NoneType for _, plain in alternatives):
        return
    (full, plain), *others = [a for a in alternatives if a[1] is not types.NoneType]
    for other, _ in others:  # of several types it may be any
        try:
            return _check_value(key, value, other, default, path)
        except UserError:
            continue
    if dataclasses.is_dataclass(plain):
        if not isinstance(value, Mapping):
            raise UserError(
                f"{key}: {value!r} is not a section; set a key of it, such as {_example(plain, path)}"
            )
        check(plain, value, path, skip=("name", "parent"))
    elif typing.get_origin(plain) is Literal:
        _check_choice(key, value, full, alternatives)
    elif typing.get_origin(plain) is tuple:
        _check_list(key, value, plain, default)
    else:
        if not _is_a(value, plain):
            raise UserError(f"{key}: {value!r} is not {_article(plain)}, as in {key}={default}")
        _check_bounds(key, value, full)


def _check_bounds(key: str, value: Any, full: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key}: {value} is not finite")
    for bound in getattr(full, "__metadata__", ()):
        if isinstance(bound, Bound) and not bound.holds(value):
            raise UserError(f"{key}: {value} {bound.otherwise}")


def _check_list(key: str, value: Any, kind: Any, default: Any) -> None:
    """Asks each element for its own type: one for all, as in tuple[int, ...], or one for each place."""
    elements, example = typing.get_args(kind), f"as in {default!r}"
    (_, plain), *_ = _alternatives(elements[0])
    alike = all(element in (elements[0], Ellipsis) for element in elements)
    if typing.get_origin(plain) is Literal:
        wrong = f"{key}: {value!r} may hold only {', '.join(map(str, typing.get_args(plain)))}, {example}"
    elif alike and isinstance(plain, type) and typing.get_origin(plain) is not tuple:
        wrong = f"{key}: {value!r} is not a list of {plain.__name__}s, {example}"
    else:
        wrong = f"{key}: {value!r} is not such a list, {example}"
    if not isinstance(value, tuple | list):
        raise UserError(wrong)
    if elements[1:] == (Ellipsis,):
        elements = elements[:1] * len(value)
    elif len(value) != len(elements):
        raise UserError(f"{key}: {value!r} does not hold {len(elements)} values, {example}")
    for one, element in zip(value, elements, strict=True):
        (full, plain), *_ = _alternatives(element)
        if typing.get_origin(plain) is tuple:
            _check_list(key, one, plain, default)
        elif typing.get_origin(plain) is Literal:
            if one not in typing.get_args(plain):
                raise UserError(wrong)
        elif not _is_a(one, plain):
            raise UserError(wrong)
        else:
            _check_bounds(key, one, full)


def _is_a(value: Any, kind: type) -> bool:
    wanted = (int, float) if kind is float else kind
    return isinstance(value, wanted) and (kind is bool or not isinstance(value, bool))


def _check_choice(key: str, value: Any, full: Any, alternatives: list) -> None:
    choices = [str(c) for c in typing.get_args(full)]
    choices += ["None" for _, plain in alternatives if plain is types.NoneType]
    if value not in typing.get_args(full):
        raise UserError(f"{key}: {one_of(value, choices)}")


def one_of(value: Any, choices: list[str]) -> str:
    """The sentence that a value is none of the choices, with the nearest."""
    hint = nearest(value, choices)
    return f"{value!r} is not one of {', '.join(choices)}" + (f"; {hint}" if hint.startswith("did") else "")


def _kinds(cls: type, skip: tuple[str, ...]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init and f.name not in skip}


def _default(cls: type, name: str) -> Any:
    field = next(f for f in dataclasses.fields(cls) if f.name == name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    if field.default is dataclasses.MISSING:
        raise TypeError(f"{cls.__name__}.{name} has no default; every field of a config's section needs one")
    return field.default


def _class_of(plain: Any) -> type:
    """What the values of a type are instances of."""
    if typing.get_origin(plain) is Literal:
        return type(typing.get_args(plain)[0])
    return typing.get_origin(plain) or plain


def _supported(kind: Any) -> bool:
    """Whether a value of a type can be written in a config and checked."""
    plain = [plain for _, plain in _alternatives(kind) if plain is not types.NoneType]
    for one in plain:
        if typing.get_origin(one) is tuple:
            if not all(_supported(part) for part in typing.get_args(one) if part is not Ellipsis):
                return False
        elif not (
            one in (int, float, bool, str)
            or typing.get_origin(one) is Literal
            or dataclasses.is_dataclass(one)
        ):
            return False
    return bool(plain)


def _is_fields(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _alternatives(kind: Any) -> list[tuple[Any, Any]]:
    """(the type as written, without `Annotated`) of each alternative of a union, None last."""
    parts = (
        typing.get_args(kind)
        if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union
        else (kind,)
    )
    pairs = [(p, typing.get_args(p)[0] if typing.get_origin(p) is Annotated else p) for p in parts]
    return sorted(pairs, key=lambda pair: pair[1] is types.NoneType)


def _article(kind: type) -> str:
    known = {int: "an int", float: "a number", bool: "True or False", str: "a text"}
    return known.get(kind, f"a {kind.__name__}")


def _example(cls: type, path: str) -> str:
    name, *_ = _kinds(cls, ("name", "parent"))
    return f"--config.{path}.{name}={_default(cls, name)}"
