"""Folders of somebody else: hostile files, encoders and caches get one line, and nothing of them is run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from msa_jax import seals
from msa_jax.data import datasets
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.text.loading import load_tokenizer
from msa_jax.text.pretrained import load_encoder
from tests.attack import MARKER, answers, escapes, hostile
from tests.data.small_files import write_mmsa

ROOT = Path(__file__).resolve().parents[1]
_SPARE = 1 << 30  # bytes of memory beside four times the file


def _by_name(cases):
    return [pytest.param(case, id=case.name) for case in cases]


def _size(path):
    return sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """By name of the input what the inspector answers, and how large the input is."""
    commands = []
    for case in hostile.DATA:
        path = case.write(tmp_path_factory.mktemp("hostile"))
        commands.append([path, *case.options])
    found = answers.of_inspector(commands)
    sizes = [_size(path) for path, *_ in commands]
    return {case.name: both for case, *both in zip(hostile.DATA, found, sizes, strict=True)}


@pytest.mark.parametrize("case", _by_name(hostile.DATA))
def test_data(case, answered):
    answer, size = answered[case.name]
    if case.line is None:
        assert (answer.code, answer.stderr) == (0, "")
    else:
        assert answer.code == 2, answer
        assert answer.stderr.startswith("msa_jax: ")
        assert answer.stderr.count("\n") == 1
        assert case.line in answer.stderr
    said = answer.stdout + answer.stderr
    assert said.replace("\n", "").isprintable()
    assert max(map(len, said.splitlines())) <= 2002
    assert len(said) < 20_000
    assert answer.memory < 4 * size + _SPARE
    assert answer.seconds < 30


def test_a_name_is_shown_with_escapes(answered):
    answer, _ = answered["escapes in a file name"]
    assert answer.stdout.splitlines()[0].endswith(r"\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r.pkl")
    finding = " ".join(answered["escapes in ids"][0].stdout.split())
    assert r"whose audio has no finite number: \x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp" in finding
    assert answered["a file name in no encoding"][0].stdout.splitlines()[0].endswith(r"/f\udcff\udce9.pkl")


def test_a_console_without_chinese_gets_escapes(tmp_path):
    path = escapes.chinese_names(tmp_path)
    found = answers.of_inspector([[path], [path, "--json"]], ("utf-8", "ascii", "cp1252"))
    assert "特征😀.pkl" in found[0].stdout
    for shown, as_json in (found[2:4], found[4:]):
        assert (shown.code, shown.stderr, as_json.code, as_json.stderr) == (0, "", 0, "")
        assert r"\u7279\u5f81\U0001f600.pkl" in shown.stdout
        assert r"\u7279\u5f81\ud83d\ude00.pkl" in as_json.stdout


@pytest.mark.parametrize("case", _by_name(hostile.ENCODERS))
def test_encoders(case, tmp_path):
    folder = case.write(tmp_path)
    with pytest.raises(UserError, match=re.escape(case.line)):  # noqa: PT012
        load_tokenizer(str(folder))
        load_encoder(str(folder))
    assert not (folder / MARKER).exists()


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A good build of a small file."""
    folder = tmp_path_factory.mktemp("built")
    path = write_mmsa(folder)
    return datasets.load("mosi", path, cache=folder / "cache", cut=Cut(), other_counts=True).folder


def _copy(case, build, tmp_path):
    folder = case.write(Path(shutil.copytree(build, tmp_path / build.name)))
    seals.write(folder)  # as somebody does who knows how
    return folder


@pytest.mark.parametrize("case", _by_name(hostile.CACHES))
def test_caches(case, build, tmp_path, monkeypatch):
    folder = _copy(case, build, tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    if case.line is None:
        assert datasets.open_built(folder).split("train")[0]["text"] == "a good film"
    else:
        with pytest.raises(UserError, match=re.escape(case.line)) as error:
            datasets.open_built(folder).split("train")
        assert str(folder) in str(error.value)
    assert not (folder / MARKER).exists()
    assert "own_feature" not in sys.modules


@pytest.mark.parametrize("case", _by_name(hostile.CACHES[:2]))
def test_the_hostile_caches_are_hostile(case, build, tmp_path):
    """TFDS itself runs what the tests above look for."""
    folder = _copy(case, build, tmp_path)
    (data,) = (file.parent for file in folder.rglob("features.json"))
    script = f"import tensorflow_datasets as tfds; tfds.builder_from_directory({str(data)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, timeout=60, check=False)
    assert (folder / MARKER).exists()
