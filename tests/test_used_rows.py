"""Tests of the rows of the word embedding that a step computes alone: the numbers of the whole table."""

import jax
import numpy as np
import pytest

from msa_jax import models, parallel, step, used_rows
from msa_jax.text.tokenizer import train_tokenizer
from msa_jax.together import Together
from tests.models.tracing import config_of, make_state, prepared

IDS = np.arange(5, 20)  # of the texts in `prepared`
OTHERS = [20, 21, 22, 23, 24]
TABLE = (25, 16)


@pytest.fixture(autouse=True)
def _worth_it(monkeypatch):
    monkeypatch.setattr(used_rows, "_WORTH", 1)


def made(**values):
    """(state, batch, rows) of a model with a vocabulary of which its texts use a part."""
    config = config_of("crosssent", "tiny", **values)
    pieces, batch = prepared(config)
    state = make_state(config, pieces.of_seed(3))
    assert state.params["encoder"]["embeddings"]["word"].shape == TABLE
    return state, batch, used_rows.find(config, state.params, train_tokenizer(["a"], 20), [IDS])


@pytest.mark.parametrize("clip", [1.0, None])
def test_steps_are_those_over_the_whole_table(clip):
    """Rows that were used before, but not in this step, move on by their moments."""
    state, batch, rows = made(optim__clip=clip, optim__learning_rate=1e-3)
    before = state.params["encoder"]["embeddings"]["word"]
    dense = sparse = state
    whole, of_rows = jax.jit(step.train_step), jax.jit(lambda s, b: step.train_step(s, b, rows))
    for number in range(3):
        batch = {**batch, "text": np.where(batch["text"] % 3 == number, 5, batch["text"])}
        dense, wanted = whole(dense, batch)
        sparse, found = of_rows(sparse, batch)
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-6)
        np.testing.assert_allclose(found["grad_norm"], wanted["grad_norm"], rtol=1e-5)
        a, b = (optim_state(s) for s in (dense, sparse))
        largest = max(np.abs(x).max() for x in a)
        assert all(np.abs(x - y).max() < 1e-5 * largest for x, y in zip(a, b, strict=True))
    after = sparse.params["encoder"]["embeddings"]["word"]
    np.testing.assert_array_equal(after[np.array(OTHERS)], before[np.array(OTHERS)])
    assert np.abs(after[IDS] - before[IDS]).max() > 1e-4


def optim_state(state):
    return [np.asarray(x) for x in jax.tree.leaves(state.opt_state) if x.size > 1]


def test_the_gradient_holds_no_row_that_is_not_used():
    state, batch, rows = made()
    _, found = jax.eval_shape(lambda s, b: step.gradient(s, b, rows), state, batch)
    assert found["encoder"]["embeddings"]["word"].shape == (len(rows.ids), TABLE[1])


def test_a_batch_in_parts_and_several_seeds():
    state, batch, rows = made(parts=2)
    one = lambda s, b: step.train_step(s, b, rows)  # noqa: E731
    wanted = jax.jit(step.train_step)(state, batch)[1]["loss"]
    np.testing.assert_allclose(jax.jit(one)(state, batch)[1]["loss"], wanted, rtol=1e-6)
    together = Together(2, (), parallel.layout())
    both = together.state([state, state.replace(key=jax.random.key(9))])
    _, terms = jax.jit(together.step(one, both))(both, batch)
    np.testing.assert_allclose(terms["loss"][0], wanted, rtol=1e-5)


def test_a_text_with_another_word_is_not_taken_for_one_of_them():
    state, batch, rows = made()
    batch["text"][0, 3] = OTHERS[0]
    assert np.isnan(jax.jit(lambda s, b: step.train_step(s, b, rows))(state, batch)[1]["loss"])


def test_special_tokens_are_always_used():
    _, _, rows = made()
    tokenizer = train_tokenizer(["a"], 20)
    assert len(tokenizer.special_ids) == 5  # with that for masked ones
    assert {*tokenizer.special_ids, 0} <= {*rows.ids.tolist()}
    np.testing.assert_array_equal(rows.place[rows.ids], np.arange(len(rows.ids)))
    assert np.flatnonzero(rows.place == len(rows.ids)).tolist() == OTHERS


@pytest.mark.parametrize(
    "values",
    [
        {"optim__weight_decay": 0.1},
        {"optim__groups": (("word", 1.0, 0.1), (".*", 1.0))},
        {"text__frozen": True},
        {"parallel__shard_state": True},
    ],
)
def test_where_other_rows_change_too_all_are_computed(values):
    assert made(**values)[2] is None


def test_another_table_of_the_same_name_is_left_alone():
    _, _, rows = made()
    tree = {"encoder": {"embeddings": {"word": jax.numpy.ones(TABLE)}}}
    found = rows.of({**tree, "teacher": tree})
    assert found["encoder"]["embeddings"]["word"].shape == (len(rows.ids), TABLE[1])
    assert found["teacher"]["encoder"]["embeddings"]["word"].shape == TABLE


def test_a_model_from_elsewhere_has_the_whole_table():
    """It may use it in other ways, as for its output."""
    config = config_of("crosssent", "tiny")
    params = prepared(config)[0].variables["params"]
    with config.unlocked():
        config.model.name = "my.model"
    assert used_rows.find(config, params, train_tokenizer(["a"], 20), [IDS]) is None


@pytest.mark.parametrize("name", models.names())
def test_the_table_of_every_model_with_words_is_found(name, monkeypatch):
    config = config_of(name, "tiny", text__encoder="scratch", optim__weight_decay=0.0)
    params = prepared(config)[0].variables["params"]
    arguments = (config, params, train_tokenizer(["a"], 20), [IDS])
    assert (used_rows.find(*arguments) is not None) == ("encoder" in params)
    monkeypatch.setattr(used_rows, "_WORTH", 6)  # 20 of 25 rows are used
    assert used_rows.find(*arguments) is None
