"""F1 of CH-SIMS, weighted and macro, with and without neutral clips, against counting and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from msa_jax import metrics

KEYS = {"acc2", "acc2_non0", "f1", "f1_macro", "f1_non0", "f1_macro_non0"}


def f1_numpy(truth, guess, *, macro):
    """Mean of the F1 of the two classes, weighted by the clips of each where it is not macro."""
    scores, clips = [], []
    for kind in (False, True):
        hits = np.sum((truth == kind) & (guess == kind))
        sizes = np.sum(truth == kind) + np.sum(guess == kind)
        scores.append(2 * hits / sizes if sizes else 0.0)
        clips.append(np.sum(truth == kind))
    return np.mean(scores) if macro else np.average(scores, weights=clips)


def scores(seed):
    """Labels in fifths, three in four of them above 0 and some 0, and noisy predictions; float32."""
    rng = np.random.default_rng(seed)
    y = np.round(np.clip(rng.normal(0.5, 0.6, 457), -1, 1) * 5) / 5
    return (y + rng.normal(0, 0.5, 457)).astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_each_f1_equals_its_double_and_scikit_learn(seed):
    p, y = scores(seed)
    got = metrics.evaluate("sims", p, y)
    neutral = y == 0
    assert 0 < neutral.sum() < 100
    for name, kept in (("", np.ones(len(y), bool)), ("_non0", ~neutral)):
        truth, guess = y[kept] > 0, p[kept] > 0
        for key, average in (("f1", "weighted"), ("f1_macro", "macro")):
            assert got[key + name] == pytest.approx(f1_numpy(truth, guess, macro=average == "macro"))
            assert got[key + name] == pytest.approx(f1_score(truth, guess, average=average))
        assert abs(got["f1" + name] - got["f1_macro" + name]) > 1e-3  # the classes are not of one size


def test_macro_counts_a_rare_class_as_much_as_a_common_one():
    # Of three positive clips all are found, of one negative none: F1 6/7 and 0.
    got = metrics.evaluate("sims", [0.4, 0.2, 0.6, 0.2], [0.2, 0.4, 0.6, -0.4])
    assert got["f1"] == got["f1_non0"] == pytest.approx(3 / 4 * 6 / 7)
    assert got["f1_macro"] == got["f1_macro_non0"] == pytest.approx(1 / 2 * 6 / 7)


def test_an_epoch_may_be_chosen_by_each_of_them():
    assert set(metrics.keys("sims")) >= KEYS
    assert not KEYS & metrics.LOWER_IS_BETTER


def test_only_neutral_clips_have_no_f1_without_them():
    got = metrics.evaluate("sims", [0.1, -0.2, 0.3], [0.0, 0.0, 1e-9])
    assert all(np.isnan(got[key]) for key in ("acc2_non0", "f1_non0", "f1_macro_non0"))
    assert got["f1_macro"] == pytest.approx(f1_score([0, 0, 0], [1, 0, 1], average="macro"))


def test_a_label_that_float32_moves_off_0_is_still_neutral():
    y, p = np.array([0.2, -0.2, 1e-8], np.float32), np.array([0.3, -0.3, 0.3], np.float32)
    got = metrics.evaluate("sims", p, y)
    assert got["f1_macro_non0"] == 1.0
    assert got["f1_macro"] == pytest.approx(f1_numpy(np.array([1, 0, 0]) > 0, p > 0, macro=True))
