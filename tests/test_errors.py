"""Words of messages: a count and what is counted agree."""

import pytest

from msa_jax.errors import counted, named, worded

PHRASE = "{clip has|clips have} no words of {its|their} own"


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, "0 clips have no words of their own"),
        (1, "1 clip has no words of its own"),
        (2, "2 clips have no words of their own"),
    ],
)
def test_one_is_not_many(count, line):
    assert counted(count, PHRASE) == line
    assert worded(count, PHRASE) == line[2:]


def test_braces_without_a_choice_stay():
    assert worded(1, "{} of {a} {x|y}") == "{} of {a} x"


def test_the_first_ids_are_named():
    assert named(PHRASE, []) == ""
    assert named(PHRASE, ["a"]) == "1 clip has no words of its own: a"
    assert named(PHRASE, list("abcd")) == "4 clips have no words of their own: a, b, c, ..."
