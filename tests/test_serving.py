"""Serving: a few programs for clips of any length, the same scores as over a split, threads and forks."""

import copy
import dataclasses
import itertools
import os
import pickle
import threading

import jax
import numpy as np
import pytest

from msa_jax import cli, serving
from msa_jax.assemble import without_data
from msa_jax.data import given
from msa_jax.data.preparation import Preparation
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.errors import UserError
from msa_jax.run import Run
from msa_jax.text import EncoderConfig

WIDTHS = {"audio": 3, "vision": 2}
TEXT_WIDTH = 4
PAPERS = ("crosssent_mosi", "tecafn_mosi", "mulg_mosi", "amsgfn_mosi")


def blank_run(name, *more):
    """A run of a tiny model at its first parameters, on text features."""
    argv = [f"--config=configs/{name}.py:tiny", "--config.text.encoder=features"]
    config = cli.parse([*argv, *(f"--config.{one}" for one in more)]).config
    pieces = without_data(config, WIDTHS, text_width=TEXT_WIDTH)
    return Run(None, config, pieces.model, pieces.variables, pieces.preparation)


def clips(rng, lengths):
    """Arguments of `predict` for clips of given rows of text features, audio and vision."""
    widths = {"text_features": TEXT_WIDTH, **WIDTHS}
    made = {
        name: [rng.normal(size=(rows[i], width)).astype(np.float32) for rows in lengths]
        for i, (name, width) in enumerate(widths.items())
    }
    return {"texts": [""] * len(lengths), **made}


def over_a_split(run, arguments):
    """The scores by the way of evaluation, padded to another length and to the evaluation's batch."""
    features = {name: arguments.get(name) for name in ("audio", "vision", "text_features")}
    examples = given.examples(arguments["texts"], features, run.preparation.preprocessing, aligned=False)
    return run.score(run.preparation.scan(run.preparation.check(examples)))


def preparation(
    *, max_content=48, modalities=("text", "audio", "vision"), time_line="own", frames=500, deep=0
):
    how = Preprocessing(max_content, False, modalities, WIDTHS, time_line, frames, TEXT_WIDTH)
    sizes = EncoderConfig("bert", 30, 8, deep, 2, 8) if deep else None
    return Preparation(None, how, Statistics.identity(WIDTHS), ((9, 9, 9),), 5, sizes)


@pytest.fixture(scope="module")
def run():
    return blank_run("crosssent_mosi")


@pytest.mark.parametrize(
    "how",
    [
        preparation(time_line="text"),
        preparation(time_line="text", max_content=510),
        preparation(time_line="text", max_content=1),
        preparation(),
        preparation(deep=2),
        preparation(max_content=510, frames=10_000),
        preparation(max_content=510, deep=2),
        preparation(modalities=("text",)),
        preparation(modalities=("audio",), frames=1),
        preparation(modalities=("audio", "vision"), frames=75),
    ],
)
def test_there_are_at_most_eight_shapes_and_they_hold_every_clip_a_run_takes(how):
    assert len(serving.shapes(how)) <= 8
    grid, pre = serving.Grid.of(how), how.preprocessing
    text = pre.max_content + 2 if pre.time_line == "text" or "text" in pre.modalities else 1
    own = [pre.max_frames if m in pre.modalities else 1 for m in WIDTHS]
    longest = (text, *((text, text) if pre.time_line == "text" else own))
    assert grid.alone[-1] == grid.together[-1] == longest
    assert set(grid.together) <= set(grid.alone)
    assert all(np.less_equal(a, b).all() for a, b in itertools.pairwise(grid.together))


def test_lengths_grow_by_less_than_twice():
    assert serving.Grid.of(preparation(time_line="text")).alone == tuple((n,) * 3 for n in (18, 25, 36, 50))
    texts = [one[0] for one in serving.Grid.of(preparation(time_line="text", max_content=510)).alone]
    assert texts[-1] == 512
    assert len(texts) == 6
    assert all(1.4 < b / a < 1.8 for a, b in itertools.pairwise(texts))
    streams = {one[1] for one in serving.Grid.of(preparation()).alone}
    assert streams == {125, 250, 500}


def test_a_batch_is_made_where_it_costs_little_more_than_its_clips_one_by_one():
    how = preparation(time_line="text")
    rng = np.random.default_rng(0)

    def planned(*lengths):
        arguments = clips(rng, [(n, n, n) for n in lengths])
        features = {name: arguments[name] for name in ("audio", "vision", "text_features")}
        examples = given.examples(arguments["texts"], features, how.preprocessing, aligned=False)
        found = list(serving.plan(how.scan(how.check(examples)), how))
        assert sorted(np.concatenate([places for places, _ in found])) == list(range(len(lengths)))
        return sorted((len(places), shape) for places, shape in found)

    assert planned(20) == [(1, (1, (25, 25, 25)))]
    assert planned(*[20] * 16) == [(16, (16, (25, 25, 25)))]
    assert planned(*[20] * 11) == [(11, (16, (25, 25, 25)))]  # 16 * 25 <= 1.5 * 11 * 25
    assert planned(*[20] * 10) == [(1, (1, (25, 25, 25)))] * 10
    assert planned(*[26] * 16, 60) == [(1, (1, (50, 50, 50))), (16, (16, (50, 50, 50)))]  # a cut text


@pytest.mark.parametrize("name", PAPERS)
def test_padding_changes_no_score(name):
    """No model's score depends on the length or the batch that a clip is padded to."""
    run = blank_run(name)
    rng = np.random.default_rng(3)
    arguments = clips(rng, [(8, 16, 7), (17, 16, 12), (12, 17, 17)])  # all of one shape
    got, expected = run.predict(**arguments), over_a_split(run, arguments)
    assert len(run._programs) == 1
    assert np.ptp(expected) > 1e-4
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)


def test_clips_of_any_length_and_number_compile_no_more_than_was_compiled_ahead(run):
    assert run.compile(clips=1, rows=20) == 2  # 18 and 25 steps
    assert run.compile(clips=100) == len(serving.shapes(run.preparation)) == 6
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 70, (300, 3))
    arguments = clips(rng, lengths.tolist())
    traced = serving.evaluate.forward._cache_size()
    scores = run.predict(**arguments)
    some = [run.predict(**{k: v[i : i + 1] for k, v in arguments.items()})[0] for i in range(40)]
    assert len(run._programs) == 6
    assert serving.evaluate.forward._cache_size() == traced
    np.testing.assert_allclose(some, scores[:40], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(scores, over_a_split(run, arguments), rtol=1e-5, atol=2e-6)


def test_eight_threads_get_what_one_gets():
    run = blank_run("crosssent_mosi")
    rng = np.random.default_rng(2)
    asked = [clips(rng, [(n, n, n)]) for n in (5, 20, 30, 45, 5, 20, 30, 45)]
    found, start = [[] for _ in asked], threading.Barrier(len(asked))

    def work(i):
        start.wait()
        for _ in range(10):
            found[i].append(run.predict(**asked[i])[0])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(run._programs) == 4  # each compiled once
    alone = [run.predict(**one)[0] for one in asked]
    assert len(set(alone)) == len(alone)
    assert found == [[score] * 10 for score in alone]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_gets_a_line_and_does_not_hang(run):
    arguments = clips(np.random.default_rng(0), [(4, 4, 4)])
    run.predict(**arguments)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            run.predict(**arguments)
        except UserError as e:
            os.write(writing, str(e).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as f:
        told = f.read()
    os.waitpid(child, 0)
    expected = f"process {child} was forked from process {os.getpid()}, which has used JAX"
    assert told.startswith(expected)
    assert 'multiprocessing.get_context("spawn")' in told


def test_a_copy_of_a_run_scores_as_it_does(run):
    arguments = clips(np.random.default_rng(0), [(4, 4, 4)])
    expected = run.predict(**arguments)
    assert copy.copy(run).predict(**arguments) == expected
    changed = jax.tree.map(lambda x: x * 0.5, run.variables)
    other = dataclasses.replace(run, variables=changed)
    assert other.predict(**arguments) != expected
    assert len(pickle.loads(pickle.dumps(run._programs))) == 0


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"rows": -1}, {"rows": 2.5}, {"clips": "1"}, {"rows": True}])
def test_what_is_to_be_compiled_is_counted_by_whole_numbers(run, wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(UserError, match=f"{name} is {value!r}, which is not a whole number of at least 1"):
        run.compile(**wrong)
