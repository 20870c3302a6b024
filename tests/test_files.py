"""Paths as users write them: home, variables, and what is not set."""

from pathlib import Path

import pytest

import msa_jax
from msa_jax import cli
from msa_jax.data import opening, readers
from msa_jax.errors import UserError
from msa_jax.files import expanded, resolved
from msa_jax.text import bert_vocab, pretrained


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


def test_every_path_of_a_command_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "encoder").mkdir()
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\n##ly\n")
    mine = "from msa_jax.config import base\n\n\ndef get_config():\n    return base.config('lmf')\n"
    (tmp_path / "mine.py").write_text(mine)
    command = cli.parse(["--config=$DATA/mine.py", "--workdir=~/run", "--config.data.cache=${DATA}/cache"])
    assert command.workdir == tmp_path / "run"
    assert command.config.model.name == "lmf"
    assert opening.cache_folder(command.config) == tmp_path / "cache"
    for home in ("~", "$DATA", "${HOME}"):
        assert pretrained.resolve(f"{home}/encoder") == tmp_path / "encoder"
        assert bert_vocab.load_vocabulary(f"{home}/vocab.txt").vocab_size == 7
        (tmp_path / "clips.csv").write_text("text\ngood\n")
        assert readers.read(f"{home}/clips.csv", require_labels=False).path == tmp_path / "clips.csv"
    with pytest.raises(UserError, match=r"no config\.json in .*/run; "):
        msa_jax.load("$DATA/run")
    with pytest.raises(UserError, match="variable NOWHERE is not set or empty"):
        readers.read("$NOWHERE/clips.csv")
