"""Paths as users write them: home, variables, and what is not set."""

from pathlib import Path

import pytest

from msa_jax.errors import UserError
from msa_jax.files import expanded, resolved


@pytest.fixture(autouse=True)
def _variables(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/of")
    monkeypatch.setenv("DATA", "/big/disk")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", "/home/of"),
        ("~/a/b.pkl", "/home/of/a/b.pkl"),
        ("$HOME/a", "/home/of/a"),
        ("${DATA}/a", "/big/disk/a"),
        ("runs/${DATA}x", "runs//big/diskx"),
        (Path("$DATA/a"), "/big/disk/a"),
        ("a~b/c", "a~b/c"),
        ("plain", "plain"),
        ("5$", "5$"),  # no name follows
    ],
)
def test_home_and_variables_are_replaced(written, meant):
    assert expanded(written) == Path(meant)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("$NOWHERE/a", r"\$NOWHERE/a: the environment variable NOWHERE is not set or empty; set it \(export"),
        ("${NOWHERE}", "variable NOWHERE is not set or empty"),
        ("$EMPTY/a", "variable EMPTY is not set or empty"),
        ("~nobody_of_this_name/a", r"there is no home ~nobody_of_this_name; write .* or \./~nobody"),
    ],
)
def test_what_stands_for_nothing_is_one_line(written, message):
    with pytest.raises(UserError, match=message):
        expanded(written)


def test_a_file_that_has_the_sign_in_its_name_is_taken_as_it_is(tmp_path):
    Path("of_$NOWHERE.csv").write_text("text\n")
    assert expanded("of_$NOWHERE.csv") == Path("of_$NOWHERE.csv")
    assert resolved("of_$NOWHERE.csv") == tmp_path.resolve() / "of_$NOWHERE.csv"
