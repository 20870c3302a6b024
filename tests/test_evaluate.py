"""Verdict on an epoch: by what it is judged, against the best before, also where a metric is not defined."""

import math

import numpy as np
import pytest
from ml_collections import ConfigDict

from msa_jax import evaluate, metrics

NAN = math.nan
LABELS = np.array([-1.0, 0.5, 2.0, 1.0], np.float32)
SCORES = np.array([-0.5, 0.5, 1.0, 2.0], np.float32)


def verdict(scores, select, *, labels=LABELS, task="mse"):
    config = ConfigDict({"select": select, "loss": {"task": task}})
    return evaluate.validation(config, "mosi", scores, labels)


@pytest.mark.parametrize(
    ("select", "by", "value"),
    [
        ("loss", "mse", (0.25 + 0 + 1 + 1) / 4),
        ("mae", "mae", (0.5 + 0 + 1 + 1) / 4),
        ("acc2_non0", "acc2_non0", 1.0),
    ],
)
def test_an_epoch_is_judged_by_what_the_config_selects_by(select, by, value):
    found = verdict(SCORES, select)
    assert (found.by, found.stands_in, found.undefined) == (by, False, {})
    assert found.value == pytest.approx(value)
    assert found.loss == found.values["mse"] == pytest.approx(0.5625)
    assert found.values == {"mse": found.loss, **metrics.evaluate("mosi", SCORES, LABELS)}


def test_the_task_loss_stands_in_for_a_metric_that_is_not_defined():
    found = verdict(np.zeros(4, np.float32), "corr")
    assert (found.by, found.stands_in) == ("mse", True)
    assert found.value == found.loss == pytest.approx(np.mean(LABELS**2))
    assert found.undefined == {"corr": "all predictions are equal"}
    assert math.isnan(found.values["corr"])


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("select", ["loss", "corr", "mae"])
def test_predictions_that_are_not_finite_beat_nothing_and_warn_of_nothing(broken, select):
    found = verdict(np.where(np.arange(4) == 1, broken, SCORES), select)
    assert not found.beats(None, None)
    assert not found.beats("mse", 1e9)
    assert set(found.undefined) == set(metrics.keys("mosi"))
    assert set(found.undefined.values()) == {"a prediction is not finite"}


def test_broken_logits_warn_of_nothing():
    config = ConfigDict({"select": "loss", "loss": {"task": "cross_entropy"}})
    logits = np.array([[np.inf, -np.inf], [0.0, np.nan]], np.float32)
    found = evaluate.validation(config, "ur_funny", logits, np.array([0.0, 1.0], np.float32))
    assert not found.beats(None, None)


@pytest.mark.parametrize(
    ("by", "value", "stands_in", "before", "wins"),
    [
        ("mse", 1.0, False, (None, None), True),
        ("mse", 1.0, False, ("mse", 1.1), True),
        ("mse", 1.0, False, ("mse", 1.0), False),
        ("corr", 0.2, False, ("corr", 0.1), True),
        ("corr", 0.1, False, ("corr", 0.2), False),
        ("mae", 0.1, False, ("mae", 0.2), True),
        ("jump2", 0.3, False, ("jump2", 0.2), False),
        # A value of the metric that was asked for is better than any that stands in for one.
        ("corr", -0.9, False, ("mse", 0.1), True),
        ("mse", 0.1, True, ("corr", -0.9), False),
        ("mse", 0.1, True, ("mse", 0.2), True),
        ("mse", 0.3, True, ("mse", 0.2), False),
        ("mse", NAN, True, (None, None), False),
        ("mse", math.inf, False, (None, None), False),
        ("mse", NAN, False, ("mse", 1.0), False),
    ],
)
def test_what_beats_the_best_before(by, value, stands_in, before, wins):
    assert evaluate.Verdict(by, value, stands_in, value, {by: value}, {}).beats(*before) is wins
