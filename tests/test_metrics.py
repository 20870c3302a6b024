"""Metrics, every one against scikit-learn, SciPy or counting by hand."""

import datetime
import decimal
import fractions

import numpy as np
import pytest
import scipy.stats
from sklearn import metrics as sk

from msa_jax import metrics
from msa_jax.errors import UserError


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    y = np.round(rng.uniform(-3, 3, 400) * 5) / 5  # MOSI's grid of 0.2, zeros among it
    return y + rng.normal(0, 1, 400), y


@pytest.mark.parametrize("corpus", ["mosi", "mosei"])
def test_mosi_against_sklearn_and_scipy(scores, corpus):
    p, y = scores
    got = metrics.evaluate(corpus, p, y)
    assert got["mae"] == pytest.approx(sk.mean_absolute_error(y, p))
    assert got["corr"] == pytest.approx(scipy.stats.pearsonr(p, y).statistic)
    for key, k in (("acc7", 3), ("acc5", 2), ("acc3", 1)):
        truth, guess = np.round(np.clip(y, -k, k)), np.round(np.clip(p, -k, k))
        assert got[key] == pytest.approx(sk.accuracy_score(truth, guess))
    nonzero = y != 0
    assert (~nonzero).sum() > 0
    for name, truth, guess in (("has0", y >= 0, p >= 0), ("non0", (y > 0)[nonzero], (p > 0)[nonzero])):
        assert got[f"acc2_{name}"] == pytest.approx(sk.accuracy_score(truth, guess))
        assert got[f"f1_{name}"] == pytest.approx(sk.f1_score(truth, guess, average="weighted"))
        assert got[f"f1_macro_{name}"] == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert got["precision_non0"] == pytest.approx(sk.precision_score(truth, guess, average="weighted"))
    assert got["recall_non0"] == pytest.approx(sk.recall_score(truth, guess, average="weighted"))
    y7, p7 = (np.round(np.clip(v, -3, 3)).astype(int) for v in (y, p))
    assert got["qwk"] == pytest.approx(sk.cohen_kappa_score(y7, p7, weights="quadratic"))
    assert got["jump2"] == pytest.approx(np.mean(abs(y7 - p7) >= 2))
    assert got["mean_abs_jump"] == pytest.approx(np.mean(abs(y7 - p7)))


def test_mosi_by_hand():
    y = np.array([-3.0, -0.5, 0.0, 0.5, 1.5, 2.5])
    p = np.array([-4.0, 0.4, -0.1, 0.5, 2.5, -1.0])
    got = metrics.evaluate("mosi", p, y)
    assert got["mae"] == pytest.approx((1 + 0.9 + 0.1 + 0 + 1 + 3.5) / 6)  # unclipped
    # Levels, halves to even: y -3 0 0 0 2 2; p -3 0 0 0 2 -1.
    assert got["acc7"] == pytest.approx(5 / 6)
    assert got["jump2"] == pytest.approx(1 / 6)
    assert got["mean_abs_jump"] == pytest.approx(3 / 6)
    # y >= 0: 0 0 1 1 1 1; p >= 0: 0 1 0 1 1 0.
    assert got["acc2_has0"] == pytest.approx(3 / 6)
    # Without the zero label, > 0: y 0 0 1 1 1; p 0 1 1 1 0.
    assert got["acc2_non0"] == pytest.approx(3 / 5)


def test_f1_is_weighted_by_the_truth():
    y = np.array([1.0, 1.0, 1.0, -1.0])
    p = np.array([1.0, -1.0, -1.0, -1.0])
    # positive: precision 1, recall 1/3, F1 1/2; negative: precision 1/3, recall 1, F1 1/2.
    assert metrics.evaluate("mosi", p, y)["f1_non0"] == pytest.approx(0.5)
    p = np.array([1.0, 1.0, -1.0, 1.0])
    # positive F1 2/3 (2 of 3, 2 of 3), negative 0: weights 3/4 and 1/4 of the truth.
    assert metrics.evaluate("mosi", p, y)["f1_non0"] == pytest.approx(0.75 * 2 / 3)


def test_sims_bins_close_on_the_right_also_for_float32_labels():
    y = np.array([-0.7, -0.1, 0.1, 0.7, 0.0], np.float32)
    got = metrics.evaluate("sims", np.array([-0.8, -0.2, 0.05, 0.6, -0.05]), y)
    assert np.float64(y[2]) > 0.1  # what a comparison in float64 would see
    assert got["acc5"] == 1.0
    assert got["acc3"] == 1.0
    assert got["acc2"] == 1.0  # {<= 0, > 0}


def test_sims_clips_first_and_drops_neutral_clips_in_non0():
    p, y = np.array([2.0, -3.0, 0.2, -0.2]), np.array([1.0, -1.0, 0.0, 0.4])
    got = metrics.evaluate("sims", p, y)
    assert got["mae"] == pytest.approx((0 + 0 + 0.2 + 0.6) / 4)
    assert got["corr"] == pytest.approx(np.corrcoef(np.clip(p, -1, 1), y)[0, 1])
    assert got["acc2"] == pytest.approx(2 / 4)
    assert got["acc2_non0"] == pytest.approx(2 / 3)
    # round(2 v): y 2 -2 0 1, p 2 -2 0 0; round(v): y 1 -1 0 0, p 1 -1 0 0.
    assert got["mean_abs_jump"] == pytest.approx(1 / 4)
    assert got["jump2"] == 0
    assert got["qwk3"] == 1.0
    assert got["mean_abs_jump3"] == 0
    assert got["qwk5"] == pytest.approx(
        sk.cohen_kappa_score([2, -2, 0, 1], [2, -2, 0, 0], labels=range(-2, 3), weights="quadratic")
    )
    assert got["f1"] == pytest.approx(sk.f1_score(y > 0, p > 0, average="weighted"))
    assert got["f1_non0"] == pytest.approx(sk.f1_score([1, 0, 1], [1, 0, 0], average="weighted"))


def test_ur_funny_from_logits_and_from_classes():
    y = np.array([0, 1, 1, 0])
    logits = np.array([[2, 1], [0, 3], [1, 0], [5, 1]])
    got = metrics.evaluate("ur_funny", logits, y)
    assert got == metrics.evaluate("ur_funny", logits.argmax(1), y)
    assert got["acc2"] == 0.75
    assert got["f1"] == pytest.approx(sk.f1_score(y, logits.argmax(1), average="weighted"))


def test_iemocap_per_emotion():
    rng = np.random.default_rng(0)
    y, logits = rng.integers(0, 2, (50, 4)), rng.normal(size=(50, 4, 2))
    got = metrics.evaluate("iemocap", logits, y)
    assert got == metrics.evaluate("iemocap", logits.argmax(-1), y)
    for k, emotion in enumerate(("happy", "sad", "angry", "neutral")):
        assert got[f"acc_{emotion}"] == pytest.approx(np.mean(logits.argmax(-1)[:, k] == y[:, k]))
        expected = sk.f1_score(y[:, k], logits.argmax(-1)[:, k], average="weighted")
        assert got[f"f1_{emotion}"] == pytest.approx(expected)


NON0 = ("acc2_non0", "f1_non0", "f1_macro_non0")
ONE_LEVEL = "all labels and predictions are on one level"


@pytest.mark.parametrize(
    ("corpus", "p", "y", "reasons"),
    [
        ("mosi", np.ones(5), np.arange(5.0) - 2, {"corr": "all predictions are equal"}),
        ("mosi", np.arange(5.0) - 2, np.ones(5), {"corr": "all labels are equal"}),
        ("mosei", [2.0], [1.0], {"corr": "there is only one clip"}),
        (
            *("mosi", np.zeros(3), np.zeros(3)),
            {"corr": "all predictions are equal", "qwk": ONE_LEVEL}
            | dict.fromkeys((*NON0, "precision_non0", "recall_non0"), "all labels are 0"),
        ),
        ("sims", [0.1, 0.2, 0.2], [0.2, 0.1, 0.2], {"qwk5": ONE_LEVEL, "qwk3": ONE_LEVEL}),
        ("sims", [0.1, -0.9], [0.0, 1e-9], dict.fromkeys(NON0, "all labels are 0")),
        (
            *("mosi", [-1e308, 1e308], [3, -3]),
            dict.fromkeys(("mae", "corr"), "the numbers are too large or too close together"),
        ),
    ],
)
def test_what_is_not_defined_is_nan_and_has_its_reason(corpus, p, y, reasons):
    values, undefined = metrics.explained(corpus, p, y)
    assert undefined == reasons
    assert {key for key, value in values.items() if np.isnan(value)} == set(reasons)
    np.testing.assert_equal(metrics.evaluate(corpus, p, y), values)
    stored = metrics.results(corpus, p, y)
    assert stored.pop("undefined") == reasons
    assert stored == {key: None if key in reasons else value for key, value in values.items()}


@pytest.mark.parametrize("corpus", ["mosi", "mosei", "sims", "ur_funny", "iemocap"])
def test_every_value_is_finite_or_has_a_reason(corpus):
    """Few clips of few values: constants, single clips, one class alone. Warnings are errors."""
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        count, classes = rng.integers(1, 4), corpus in ("ur_funny", "iemocap")
        shape = (count, 4) if corpus == "iemocap" else count
        p, y = (rng.integers(0 if classes else -1, 2, shape).astype(float) for _ in range(2))
        values, undefined = metrics.explained(corpus, p, y)
        assert set(values) == set(metrics.keys(corpus))
        assert {key for key, value in values.items() if not np.isfinite(value)} == set(undefined)
        assert "undefined" not in metrics.results(corpus, p, y) or undefined
        seen |= set(undefined)
    assert bool(seen) is not classes  # accuracies and F1 of classes always are


def test_a_line_shows_what_is_not_defined():
    values = {"mae": 1.23456, "corr": None, "qwk": float("nan")}
    shown = metrics.in_words(values, ["qwk", "mae", "acc2", "corr"])
    assert shown == "qwk not defined  mae 1.2346  corr not defined"


@pytest.mark.parametrize(
    ("corpus", "p", "y", "message"),
    [
        ("mossi", [1.0], [1.0], "unknown corpus"),
        ("mosi", [], [], "no clips"),
        ("mosi", [np.nan], [1.0], "finite"),
        ("mosi", [[1.0, 2.0]], [1.0], "one score per clip"),
        ("iemocap", [[1, 0]], [[1, 0]], r"\[N, 4\]"),
    ],
)
def test_bad_input_is_refused(corpus, p, y, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(corpus, p, y)


@pytest.mark.parametrize(
    ("corpus", "p", "y", "message"),
    [
        ("ur_funny", [0, 9], [0, 1], "predictions holds the class 9; the classes are 0 and 1"),
        ("ur_funny", np.zeros((2, 2)), [0, 0.7], "labels holds the class 0.7"),
        ("iemocap", np.zeros((2, 4, 2)), np.full((2, 4), 9), "labels holds the class 9"),
        ("mosi", [1 + 2j, 1], [1, 2], "predictions holds complex128 values, not real numbers"),
        ("mosi", [1, 2], np.array(["2020-01-01"] * 2, "M8[D]"), r"labels holds datetime64\[D\] values"),
        ("mosi", [datetime.date(2020, 1, 1)] * 2, [1, 2], r"holds datetime.date\(2020, 1, 1\), which is not"),
        ("mosi", 5, [1], "predictions is 5, not an array with one entry a clip"),
        ("mosi", [1], None, "labels holds None, which is not a real number"),
        ("mosi", ["1"], [1], "predictions holds str32 values"),
        ("mosi", [[1, 2], [1]], [1, 2], "predictions is not an array of numbers"),
        ("mosi", [10**400, 1], [1, 2], "predictions is not an array of numbers"),
        ("mosi", np.ma.array([1, 2], mask=[0, 1]), [1, 2], "predictions has masked entries"),
        ("mosi", [1, 2], [1, np.nan], r"labels must be finite, and labels\[1\] is nan"),
        (["mosi"], [1], [1], "unknown corpus"),
    ],
)
def test_what_no_metric_is_made_of_is_refused_and_named(corpus, p, y, message):
    with pytest.raises(UserError, match=message) as raised:
        metrics.evaluate(corpus, p, y)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("corpus", "most"), [("mosi", 3), ("mosei", 3), ("sims", 1)])
def test_labels_of_another_scale_are_refused_and_predictions_are_not(corpus, most):
    labels = np.array([-most, 0.2, np.float32(most + 5e-7)])
    assert metrics.evaluate(corpus, np.add(labels, [-40, 0, 40]), labels)["f1_non0"] == 1
    for wrong in (most + 1e-4, -most - 1e-4, 100):
        line = rf"labels must lie in \[-{most}, {most}\].*labels\[1\] is {wrong:g}; bring"
        with pytest.raises(UserError, match=line):
            metrics.evaluate(corpus, labels, [0, wrong, 0])


def test_numbers_of_every_kind_are_numbers():
    expected = metrics.evaluate("mosi", [1.0, 2.0, -1.0], [1.0, 1.0, -2.0])
    for p in ([decimal.Decimal(1), fractions.Fraction(2), -1], np.array([1, 2, -1], np.int8)):
        assert metrics.evaluate("mosi", p, [1, 1, -2]) == expected
    assert metrics.evaluate("ur_funny", [True, False], [1, 0])["acc2"] == 1
