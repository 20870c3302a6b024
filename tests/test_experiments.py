"""What the experiment scripts compute beyond training."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import msa_jax
from msa_jax.data import readers

FOLDER = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def embedded(monkeypatch):
    """The module experiments/crosssent_embedded.py."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("crosssent_embedded", FOLDER / "crosssent_embedded.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("table", None)
    return module


def test_pairs_are_means_within_clips_that_have_both_kinds(embedded):
    sizes = [np.array([1.0, 2.0, 6.0, 4.0]), np.array([5.0, 5.0])]
    words = [np.array([0, 0, 1, 2]), np.array([0, 1])]  # the first word in two subwords
    dead = [np.array([True, False, False]), np.array([False, False])]
    live = [np.array([False, True, True]), np.array([True, True])]
    low, high = embedded.paired(sizes, words, dead, live)
    np.testing.assert_array_equal(low, [1.5])
    np.testing.assert_array_equal(high, [5.0])


def test_injected_sizes_are_of_the_content_tokens_of_each_clip(embedded, trained):
    _, workdir, words = trained
    run = msa_jax.load(workdir)
    examples = list(readers.read(words / "test.pkl"))
    split = run.scan(run.clips(examples))
    sizes = embedded.injected_sizes(run, split)
    assert [len(s) for s in sizes] == (split.lengths - 2).tolist()
    assert all((s > 0).all() for s in sizes)
    run.how = run.how.without("audio", "vision")
    assert not np.concatenate(embedded.injected_sizes(run, run.scan(run.clips(examples)))).any()
