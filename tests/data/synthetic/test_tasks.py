"""The labels of the synthetic tasks."""

import dataclasses

import numpy as np
import pytest

from msa_jax.corpora import EMOTIONS
from msa_jax.data import synthetic
from msa_jax.data.synthetic import PRESETS, SyntheticConfig, tasks
from msa_jax.data.synthetic.posterior import LABELS, Posterior

RATINGS = np.array([-3.0, -1.8, -1.0, -0.8, 0.0, 0.2, 0.8, 3.0])
SMALL = SyntheticConfig(counts=(30, 10, 20))


def test_labels_by_rating():
    np.testing.assert_array_equal(tasks.labels("mosi", RATINGS), RATINGS)
    np.testing.assert_array_equal(tasks.labels("ur_funny", RATINGS), [0, 0, 0, 0, 0, 1, 1, 1])
    happy, sad, angry, neutral = tasks.labels("iemocap", RATINGS).T
    np.testing.assert_array_equal(happy, [0, 0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(sad, [0, 1, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(angry, [1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(neutral, [0, 0, 0, 1, 1, 1, 1, 0])


def test_bands_end_between_ratings():
    ends = np.array([tasks.BANDS[emotion] for emotion in EMOTIONS])
    assert np.abs(LABELS - ends[..., None]).min() > 0.05


@pytest.mark.parametrize("task", ["ur_funny", "iemocap"])
def test_a_task_changes_the_labels_and_nothing_else(task):
    rated, facts = synthetic.generate(SMALL)
    labelled, same = synthetic.generate(dataclasses.replace(SMALL, task=task))
    expected = tasks.labels(task, np.array([example.label for example in rated]))
    np.testing.assert_array_equal([example.label for example in labelled], expected)
    assert [example.text for example in rated] == [example.text for example in labelled]
    assert [fact.sentiment for fact in facts] == [fact.sentiment for fact in same]
    np.testing.assert_array_equal(rated[3].audio, labelled[3].audio)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize(("preset", "low", "high"), [("ur_funny", 0.4, 0.6), ("iemocap", 0.15, 0.45)])
def test_balance(preset, low, high, split):
    examples, _ = synthetic.generate(PRESETS[f"synthetic_{preset}"])
    share = np.mean([example.label for example in examples if example.split == split], 0)
    assert (low < share).all()
    assert (share < high).all()


def test_emotions_overlap():
    examples, _ = synthetic.generate(PRESETS["synthetic_iemocap"])
    together = np.bincount([int(example.label.sum()) for example in examples])
    assert len(together) == 3
    assert together[1] > together[2] > 50


def test_corpus_key_follows_the_task_and_its_bands(monkeypatch):
    key = synthetic.corpus_key(SMALL)
    assert key != synthetic.corpus_key(dataclasses.replace(SMALL, task="iemocap"))
    assert key != synthetic.corpus_key(dataclasses.replace(SMALL, text_width=3))
    monkeypatch.setitem(tasks.BANDS, "sad", (-1.9, -0.7))
    assert key != synthetic.corpus_key(SMALL)


def test_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="task must be one of mosi, ur_funny, iemocap, got 'sims'"):
        SyntheticConfig(task="sims")


def test_classes_and_expected_error_of_a_posterior():
    label = np.zeros((2, LABELS.size))
    label[0, np.isclose(LABELS, 0.8)], label[0, np.isclose(LABELS, -1.8)] = 0.75, 0.25
    label[1, np.isclose(LABELS, 3.0)] = 1.0
    found = Posterior(np.ones((2, 61)) / 61, label)
    np.testing.assert_allclose(found.classes("ur_funny"), [0.75, 1.0])
    np.testing.assert_allclose(found.classes("iemocap"), [[0.75, 0.25, 0.25, 0.75], [1, 0, 0, 0]])
    np.testing.assert_allclose(found.expected_error("mosi"), [0.25 * 2.6, 0])
    np.testing.assert_allclose(found.expected_error("ur_funny"), [0.25, 0])
    np.testing.assert_allclose(found.expected_error("iemocap"), [0.25, 0])
