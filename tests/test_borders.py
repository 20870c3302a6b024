"""Borders of the package: what a public function is given is checked once, and said in one line."""

from pathlib import Path

import pytest

import msa_jax
from msa_jax import metrics
from msa_jax.data import datasets, readers
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from tests.test_serving import blank_run


@pytest.mark.parametrize("path", [5, None, b"run", [], 1.5])
@pytest.mark.parametrize("opens", [msa_jax.load, readers.read, readers.recognise])
def test_what_is_not_a_path_is_refused(opens, path):
    with pytest.raises(UserError, match=r"the path is .*, which is neither a text nor a pathlib\.Path"):
        opens(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"corpus": "mossi"}, "the corpus is 'mossi'; did you mean mosi"),
        ({"corpus": 5}, "the corpus is 5; there are: "),
        ({"cache": None}, "the path is None"),
        ({"cut": None}, "cut is None; write"),
        ({"cut": Cut(fold=-1)}, "the cut's fold is -1; there are 0 to 4"),
        ({"cut": Cut(fold=0.5)}, "the cut's fold is 0.5"),
        ({"split_name": 5}, "split_name is 5, which is not a name"),
        ({"encoder": 5}, "encoder is 5, which is not a name"),
        ({"text_features": "yes"}, "text_features is 'yes'"),
    ],
)
def test_a_corpus_is_opened_by_names_paths_and_a_cut(words_folder, tmp_path, changed, message):
    given = {"corpus": "mosi", "path": words_folder, "cache": tmp_path / "cache", "cut": Cut(), **changed}
    with pytest.raises(UserError, match=message) as raised:
        datasets.load(**given)
    assert "\n" not in str(raised.value)
    assert not Path(tmp_path / "cache").exists()


def test_metrics_of_an_unknown_corpus_are_refused():
    for corpus in ("x", None):
        with pytest.raises(UserError, match=f"unknown corpus {corpus!r}; known: mosi"):
            metrics.keys(corpus)


def test_a_run_scores_splits_and_names_outputs():
    run = blank_run("crosssent_mosi")
    wanted = r"the split is .*; make one by run\.split or run\.preparation\.scan"
    for split in (5, None, ["a text"]):
        with pytest.raises(UserError, match=wanted):
            run.score(split)
        with pytest.raises(UserError, match="the split is"):
            run.outputs(split)
    split = run.preparation.scan(run.preparation.check([]))
    for names in (5, b"gate", [None], {"gate": 1}):
        with pytest.raises(UserError, match=r"names is .*, which is neither a name nor a list of names"):
            run.outputs(split, names)
