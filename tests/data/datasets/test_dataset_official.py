"""Official splits: their sizes, and other ones, which are refused unless asked for."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest

from msa_jax.corpora import CORPORA
from msa_jax.data import datasets, synthetic
from msa_jax.data.datasets import build
from msa_jax.data.datasets.prepared import is_official, require_official
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.progress import watched

MOSI = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosi"
REFUSAL = (
    "4 / 4 / 4 clips in train / valid / test, but the official splits of CMU-MOSI have 1284 / 229 / 686; "
)


def _load(path, cache, **options):
    return datasets.load("mosi", path, cache=cache, cut=Cut(), **options)


@pytest.fixture
def small(monkeypatch):
    """CMU-MOSI as if its official splits were those of `source`."""
    facts = dataclasses.replace(CORPORA["mosi"], counts=(4, 4, 4))
    monkeypatch.setitem(CORPORA, "mosi", facts)
    monkeypatch.setattr(build.BUILDERS["mosi"], "facts", facts)


def test_official_splits(source, cache, small):
    built = _load(source, cache)
    assert built.official is True
    assert datasets.open_built(built.folder).official is True
    assert json.loads((built.folder / "source.json").read_text())["official"] is True
    built.require_official()
    assert _load(source, cache, other_counts=True) == built, "there is nothing else to build"


def test_the_counts_that_the_sdk_gives_are_official(monkeypatch, source, cache, small):
    facts = dataclasses.replace(CORPORA["mosi"], counts=(5, 4, 4), further_counts=((4, 4, 4),))
    monkeypatch.setitem(CORPORA, "mosi", facts)
    monkeypatch.setattr(build.BUILDERS["mosi"], "facts", facts)
    built = _load(source, cache)
    assert built.official is True
    built.require_official()
    assert CORPORA["mosei"].official_counts == ((16326, 1871, 4659),)
    assert dataclasses.replace(facts, counts=None, further_counts=()).official_counts == ()


@pytest.mark.parametrize(("train", "official"), [(1284, True), (1283, True), (1282, False)])
def test_mosi_with_and_without_the_label_of_no_length(train, official):
    counts = {"train": train, "valid": 229, "test": 686}
    assert is_official(counts, None, CORPORA["mosi"]) is official
    assert is_official(counts, {"seed": 0}, CORPORA["mosi"]) is False
    if not official:
        with pytest.raises(UserError, match="but the official splits of CMU-MOSI have 1284 / 229 / 686;"):
            require_official(counts, None, CORPORA["mosi"], "x.pkl")


def test_other_counts_need_to_be_asked_for(source, cache, count_builds):
    for _ in range(2):  # without a build, and with one
        with pytest.raises(UserError) as error:
            _load(source, cache)
        assert str(error.value).startswith(f"{source}: {REFUSAL}")
        assert "--config.data.other_counts=True" in str(error.value)
        built = _load(source, cache, other_counts=True)
        assert built.official is False
    assert len(count_builds) == 1
    (found,) = datasets.find_built("mosi", cache)
    with pytest.raises(UserError, match=REFUSAL):
        found.require_official()


def test_sizes_do_not_make_a_cut_official(tmp_path, undivided, cache, monkeypatch, small):
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(undivided))
    cut = _load(path, cache, other_counts=True)
    facts = dataclasses.replace(CORPORA["mosi"], counts=tuple(cut.counts.values()))
    monkeypatch.setitem(CORPORA, "mosi", facts)
    monkeypatch.setattr(build.BUILDERS["mosi"], "facts", facts)
    assert _load(path, cache, other_counts=True).official is False
    with pytest.raises(UserError, match=r"clips in train / valid / test as this program cut them, but"):
        _load(path, cache)


def test_made_corpora_have_no_official_splits(cache):
    clips, _ = synthetic.generate(dataclasses.replace(synthetic.PRESETS["synthetic"], counts=(3, 2, 2)))
    built = datasets.build_examples("synthetic", clips, cache=cache, key="seed 0")
    assert built.official is False
    built.require_official()


@pytest.mark.skipif(not MOSI.exists(), reason="needs the real MOSI files in ../shared")
def test_the_real_splits_are_official(cache):
    assert _load(MOSI / "mosi_text_labels.csv", cache).official is True
    with pytest.raises(UserError, match="but the official splits of CMU-MOSI have 1284 / 229 / 686"):
        _load(MOSI / "mosi_words_valid.pkl", cache)


def test_progress_shows_on_a_terminal_only(monkeypatch, capsys):
    assert list(watched(range(3), "reading", "clip")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(watched(range(3), "reading", "clip", 3)) == [0, 1, 2]
    assert "reading" in capsys.readouterr().err
