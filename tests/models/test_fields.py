"""Fields of a model: they become a section of the config, and what stands there is checked against them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from ml_collections import ConfigDict

from msa_jax import models
from msa_jax.errors import UserError
from msa_jax.models import fields
from msa_jax.models.fields import AboveZero, Count, Modality, NonNegative, Positive, Rate, Share


@dataclasses.dataclass(frozen=True)
class Inner:
    """A part with fields of its own."""

    size: Positive = 4
    scale: float = 0.5


@dataclasses.dataclass(frozen=True)
class Every:
    """A field of each kind."""

    positive: Positive = 2
    count: Count = 0
    non_negative: NonNegative = 0.0
    above_zero: AboveZero = 1.0
    rate: Rate = 0.1
    share: Share = 0.5
    number: float = -1.0
    flag: bool = True
    word: str = "a"
    kind: Literal["red", "green"] = "red"
    chosen: Modality | None = None
    used: tuple[Modality, ...] = ("text", "audio")
    widths: tuple[Positive, ...] = (3, 5)
    scales: tuple[float, ...] = (0.5,)
    pair: tuple[int, int] = (1, 2)
    mixed: tuple[Positive, Rate] = (2, 0.5)
    lists: tuple[tuple[Positive, ...], ...] = ((1, 2), (3,))
    whole: Rate = 0  # written without a point
    inner: Inner | None = Inner(size=6)
    hidden: int = 7  # left out where it is skipped


@dataclasses.dataclass(frozen=True)
class Misspelt:
    """A number that is to divide a field which is not there."""

    heads: Annotated[Positive, fields.Divides("wid")] = 2


def test_a_number_written_without_a_point_takes_one_with_it():
    section = fields.section(Every)
    section.whole = 0.5
    assert refused("whole", 0.5) is None
    assert "whole: 1.0 does not lie in [0, 1)" in refused("whole", 1.0)


def test_a_list_of_a_fixed_length_has_that_length():
    assert refused("pair", (3, 4)) is None
    assert "pair: (1, 2, 3) does not hold 2 values, as in (1, 2)" in refused("pair", (1, 2, 3))


def test_each_place_of_a_list_has_its_own_type_and_bounds():
    assert refused("mixed", (3, 0.25)) is None
    assert "mixed: (0.5, 0.25) is not such a list, as in (2, 0.5)" in refused("mixed", (0.5, 0.25))
    assert "mixed: 1.5 does not lie in [0, 1)" in refused("mixed", (3, 1.5))
    assert refused("lists", ((4,), (5, 6, 7))) is None
    assert "lists: 0 is less than 1" in refused("lists", ((4,), (5, 0)))
    assert "lists: 4 is not a list of ints" in refused("lists", (4, 5))


@dataclasses.dataclass(frozen=True)
class Optional:
    """A part that no key could switch on, and a number that divides what may be None."""

    part: Inner | None = None


@dataclasses.dataclass(frozen=True)
class Free:
    """A number that divides another one, where there is one."""

    heads: Annotated[Positive, fields.Divides("width")] = 2
    width: Positive | None = None


def of_type(kind, default):
    """A class with one field of a type."""
    return dataclasses.make_dataclass("Odd", [("k", kind, dataclasses.field(default=default))], frozen=True)


@pytest.mark.parametrize(
    ("kind", "default"),
    [(Any, 1), (list[int], None), (dict, None), (Callable, max), (Callable[[int], int], max)],
)
def test_a_type_that_no_key_can_have_is_a_mistake_of_the_class(kind, default):
    with pytest.raises(
        UserError, match=r"^Odd\.k is of a type that a config's key cannot have; use int, float"
    ):
        fields.section(of_type(kind, default))


def test_of_several_types_a_value_may_have_any():
    either = of_type(Positive | Literal["auto"], "auto")
    assert refused("k", "auto", either) is None
    assert refused("k", 3, either) is None
    assert "k: 0 is less than 1" in refused("k", 0, either)
    assert refused("k", "al", either) is not None


def test_a_part_that_is_off_by_default_is_a_mistake_of_the_class():
    with pytest.raises(
        UserError, match=r"^Optional\.part .* is None by default, so no key could switch it on"
    ):
        fields.section(Optional)


def test_nothing_is_divided_by_every_number():
    assert refused("heads", 3, Free) is None


def test_a_number_that_divides_no_field_is_said_to_be_a_mistake_of_the_class():
    assert refused("heads", 2, Misspelt) == "Misspelt.heads must divide wid, which is not a field"


def refused(key, value, of=Every, path="model"):
    """The one line that a value gets; None where it is taken."""
    values = fields.section(of).to_dict()
    *sections, leaf = key.split(".")
    inside = values
    for name in sections:
        inside = inside[name]
    inside[leaf] = value
    try:
        fields.check(of, values, path)
    except UserError as e:
        return str(e)
    return None


def test_a_section_holds_the_fields_at_their_defaults_and_builds_the_class_again():
    section = fields.section(Every)
    assert isinstance(section.inner, ConfigDict)
    assert section.to_dict() == {**dataclasses.asdict(Every()), "inner": {"size": 6, "scale": 0.5}}
    fields.check(Every, section.to_dict(), "model")
    assert fields.build(Every, section.to_dict()) == Every()
    section.chosen = "vision"  # None is a place for a text
    section.inner.size = 9
    changed = fields.build(Every, section.to_dict())
    assert changed == dataclasses.replace(Every(), chosen="vision", inner=Inner(size=9))
    with pytest.raises(TypeError):
        section.chosen = 3


def test_fields_that_others_fill_are_no_part_of_the_section():
    section = fields.section(Every, skip=("hidden", "word"))
    assert {"hidden", "word"} == {f.name for f in dataclasses.fields(Every)} - set(section)
    fields.check(Every, section.to_dict(), "model", skip=("hidden", "word"))
    assert fields.build(Every, section.to_dict(), hidden=1, word="b") == Every(hidden=1, word="b")
    with pytest.raises(UserError, match=r"^--config\.model\.hidden: the section model has no such key"):
        fields.check(Every, {**section.to_dict(), "hidden": 3}, "model", skip=("hidden", "word"))


@pytest.mark.parametrize(
    ("key", "good", "bad", "sentence"),
    [
        ("positive", (1, 9), (0, -3), "is less than 1"),
        ("count", (0, 9), (-1,), "is less than 0"),
        ("non_negative", (0, 0.0, 3.5), (-1e-9, -5), "is less than 0"),
        ("above_zero", (1e-9, 3), (0, 0.0, -1.0), "must be above 0"),
        ("rate", (0, 0.0, 0.999), (1, 1.0, 1.5, -0.1), "does not lie in [0, 1)"),
        ("share", (0, 1, 0.5), (1.01, -0.1), "does not lie in [0, 1]"),
        ("number", (-3, 1e9), (math.nan, math.inf, -math.inf), "is not finite"),
        ("rate", (), (math.nan,), "is not finite"),
        ("inner.size", (1,), (0,), "is less than 1"),
        ("inner.scale", (0,), (math.nan,), "is not finite"),
    ],
)
def test_a_number_outside_of_its_bounds_is_refused(key, good, bad, sentence):
    for value in good:
        assert refused(key, value) is None
    for value in bad:
        assert refused(key, value) == f"--config.model.{key}: {value} {sentence}"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("positive", 2.0, "2.0 is not an int, as in --config.model.positive=2"),
        ("positive", True, "True is not an int, as in --config.model.positive=2"),
        ("positive", None, "None is not an int, as in --config.model.positive=2"),
        ("number", "fast", "'fast' is not a number, as in --config.model.number=-1.0"),
        ("number", False, "False is not a number, as in --config.model.number=-1.0"),
        ("flag", 1, "1 is not True or False, as in --config.model.flag=True"),
        ("word", 3, "3 is not a text, as in --config.model.word=a"),
        ("widths", "35", "'35' is not a list of ints, as in (3, 5)"),
        ("widths", (3, 5.5), "(3, 5.5) is not a list of ints, as in (3, 5)"),
        ("widths", (3, 0), "0 is less than 1"),
        ("scales", (1, math.nan), "nan is not finite"),
    ],
)
def test_a_value_of_another_type_is_refused(key, value, sentence):
    assert refused(key, value) == f"--config.model.{key}: {sentence}"


def test_a_choice_names_all_of_them_and_the_nearest():
    assert refused("kind", "green") is None
    assert refused("kind", "gren") == (
        "--config.model.kind: 'gren' is not one of red, green; did you mean green?"
    )
    assert refused("kind", "x") == "--config.model.kind: 'x' is not one of red, green"
    assert refused("kind", None) == "--config.model.kind: None is not one of red, green"


def test_a_choice_that_may_be_none():
    assert refused("chosen", None) is None
    assert refused("chosen", "vision") is None
    assert refused("chosen", "txt") == (
        "--config.model.chosen: 'txt' is not one of text, audio, vision, None; did you mean text?"
    )


@pytest.mark.parametrize("value", [(), ("vision",), ["text", "audio", "vision"]])
def test_any_modalities_may_be_listed(value):
    assert refused("used", value) is None


@pytest.mark.parametrize("value", [("sound",), ("text", "video"), "text", None, 3])
def test_what_is_no_list_of_modalities_is_refused(value):
    assert refused("used", value) == (
        f"--config.model.used: {value!r} may hold only text, audio, vision, as in ('text', 'audio')"
    )


def test_a_part_is_a_section_or_where_it_may_be_none():
    assert refused("inner", None) is None
    assert refused("inner", 7) == (
        "--config.model.inner: 7 is not a section; set a key of it, such as --config.model.inner.size=4"
    )

    @dataclasses.dataclass(frozen=True)
    class Whole:
        inner: Inner = Inner()

    assert refused("inner", None, Whole).startswith("--config.model.inner: None is not a section")


def test_unknown_and_missing_keys_are_named():
    values = fields.section(Every).to_dict()
    with pytest.raises(UserError, match=r"^--config\.loss\.rat: .* did you mean loss\.rate\?$"):
        fields.check(Every, {**values, "rat": 0.2}, "loss")
    with pytest.raises(UserError, match="the section model has no such key; there are: positive, count, non"):
        fields.check(Every, {**values, "xyz": 0.2}, "model")
    with pytest.raises(UserError, match=r"--config\.model\.inner\.sise: .* did you mean model\.inner\.size"):
        fields.check(Every, {**values, "inner": {**values["inner"], "sise": 3}}, "model")
    del values["share"]
    with pytest.raises(UserError, match=r"^--config\.model\.share is missing; its default is 0\.5$"):
        fields.check(Every, values, "model")
    with pytest.raises(UserError, match=r"^--config\.model\.inner\.scale is missing; its default is 0\.5$"):
        fields.check(Every, {**values, "share": 0.5, "inner": {"size": 3}}, "model")


def test_a_bound_of_ones_own_ends_the_sentence():
    @dataclasses.dataclass(frozen=True)
    class Own:
        even: Annotated[int, fields.Bound(lambda v: v % 2 == 0, "is odd")] = 2

    assert refused("even", 4, Own, "loss") is None
    assert refused("even", 5, Own, "loss") == "--config.loss.even: 5 is odd"


def test_a_field_without_a_default_is_an_error_of_the_model_s_file():
    @dataclasses.dataclass(frozen=True)
    class Bare:
        width: int

    with pytest.raises(TypeError, match=r"Bare\.width has no default"):
        fields.section(Bare)


@pytest.mark.parametrize("name", models.names())
def test_the_defaults_of_every_model_and_loss_are_good(name):
    paper = models.find(name)
    paper.check(paper.section().to_dict())
    loss = fields.section(paper.loss)
    fields.check(paper.loss, loss.to_dict(), "loss")
    assert fields.build(paper.loss, loss.to_dict()) == paper.loss()
