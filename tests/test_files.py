"""Paths as users write them, files that are written whole, through no link, and what is no file."""

import os
import re
from pathlib import Path

import pytest

import msa_jax
from msa_jax import cli, files
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


def test_a_link_in_place_of_a_part_is_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    for name in (".results.json.part", ".results.json.0.part"):
        (tmp_path / name).symlink_to(target)
    files.write_json(tmp_path / "results.json", {"a": 1})
    assert target.read_text() == "precious"
    assert files.read_json(tmp_path / "results.json") == {"a": 1}


def test_a_part_is_made_and_never_found(tmp_path, monkeypatch):
    """Even where its random name is known."""
    target = tmp_path / "target"
    target.write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda size: "0")
    (tmp_path / ".a.csv.0.part").symlink_to(target)
    with pytest.raises(FileExistsError), files.whole_file(tmp_path / "a.csv") as f:
        f.write("x")
    assert target.read_text() == "precious"
    assert not (tmp_path / "a.csv").exists()


def test_a_link_is_replaced_and_its_target_kept(tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "results.json").symlink_to(target)
    files.write_json(tmp_path / "results.json", {})
    assert target.read_text() == "precious"
    assert not (tmp_path / "results.json").is_symlink()


def test_what_killed_writers_left_goes_after_a_day(tmp_path):
    old, young, other = (tmp_path / f".{name}.part" for name in ("a.csv.0", "a.csv.1", "b.csv.0"))
    for part in (old, young, other):
        part.write_text("")
    for part in (old, other):
        os.utime(part, (0, 0))
    with files.whole_file(tmp_path / "a.csv") as f:
        f.write("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.csv.1.part", ".b.csv.0.part", "a.csv"]


def test_a_whole_file_is_readable_as_others_are(tmp_path):
    (tmp_path / "other").touch()
    with files.whole_file(tmp_path / ("x" * 255)) as f:
        f.write("x")
    assert (tmp_path / ("x" * 255)).stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("write", [files.append, files.overwrite])
def test_lines_are_never_written_through_a_link(write, tmp_path):
    (tmp_path / "log").symlink_to(tmp_path / "target")
    with pytest.raises(UserError, match="is a symbolic link, which is not written through"):
        write(tmp_path / "log")
    assert not (tmp_path / "target").exists()
    for text in ("one\n", "two\n"):
        with write(tmp_path / "real") as f:
            f.write(text)
    assert (tmp_path / "real").read_text() == ("one\ntwo\n" if write is files.append else "two\n")


@pytest.mark.parametrize("use", [files.read_json, files.append, lambda path: files.write_json(path, {})])
def test_what_is_no_file_is_refused_at_once(use, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name, kind in (
        ("pipe", "a named pipe"),
        ("folder", "a folder"),
        ("device", "a (symbolic link|device)"),
    ):
        with pytest.raises(UserError, match=rf"{name}: is {kind}, "):
            use(tmp_path / name)


def test_json_has_a_depth_and_a_size(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a":' + "[" * 100_000)
    with pytest.raises(UserError, match="is nested too deeply"):
        files.read_json(path)
    path.write_text('{"a":[' + "{}," * 4_000_001 + "{}]}")
    with pytest.raises(UserError, match="holds over 4000000 values"):
        files.read_json(path)
    with path.open("wb") as f:
        f.truncate(1 << 27)
    with pytest.raises(UserError, match="is larger than 64 MiB"):
        files.read_json(path)


@pytest.mark.parametrize(
    "name",
    ["\u6a21" * 85, "x" * 255, "\udcff" * 255, "\u6a21" * 80 + ".csv"],
    ids=["Chinese", "ASCII", "no encoding", "with an end"],
)
def test_a_name_is_as_long_as_the_system_takes_it(name, tmp_path):
    """Systems count bytes: 85 Chinese characters are 255."""
    assert 240 < len(os.fsencode(name)) <= 255
    files.write_json(tmp_path / name, {"a": 1})
    assert files.read_json(tmp_path / name) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_made_of_another_fits():
    name = "\u6a21" * 80
    made = [files.fitting("predictions_", f"{name}{end}", ".csv") for end in ("", "", "x")]
    assert [re.fullmatch("predictions_\u6a21{76}-[0-9a-f]{8}[.]csv", one) is not None for one in made] == [
        True
    ] * 3
    assert len(set(made)) == 2
    assert files.fitting("predictions_", "\u6a21" * 79, ".csv") == "predictions_" + "\u6a21" * 79 + ".csv"
