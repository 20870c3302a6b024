"""Arguments of losses: NaN and what is no class come out as NaN, and what no loss is made of is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax import losses
from msa_jax.errors import ArgumentError, UserError
from msa_jax.losses.tasks import TASKS

MPR = {"alpha": 1.0, "beta": 1.0, "gamma": 0.5, "max_pairs": 10}
CONTRASTS = (losses.nce, losses.nt_xent, losses.info_nce)


@pytest.mark.parametrize("wrong", [np.nan, 0.7, -1, 2, np.inf, -0.5])
def test_a_label_that_is_no_class_gives_nan_and_so_does_its_gradient(wrong):
    logits, labels = np.zeros((3, 2), np.float32), np.array([0, wrong, 1], np.float32)
    value, gradient = jax.jit(jax.value_and_grad(losses.cross_entropy))(logits, labels)
    assert np.isnan(value)
    assert np.isnan(gradient[1]).all()
    kept = np.array([True, False, True])
    assert losses.cross_entropy(logits, labels, mask=kept) == pytest.approx(np.log(2))
    assert np.isnan(TASKS["cross_entropy"].validation(logits.astype(float), labels))


def test_classes_of_every_dtype_are_taken_for_what_they_are():
    logits = np.array([[0.0, 1.0, 3.0]] * 2)
    for labels in (np.array([2, 0], np.uint8), np.array([2.0, 0.0]), [2, 0]):
        expected = np.log(np.exp(logits[0]).sum()) - 1.5
        assert losses.cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-6)
        assert TASKS["cross_entropy"].validation(logits, np.asarray(labels)) == pytest.approx(expected)
    assert np.isnan(losses.cross_entropy(logits, np.array([2, 255], np.uint8)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("loss", CONTRASTS)
def test_a_vector_that_is_not_finite_makes_a_contrast_nan(loss, value):
    broken = np.eye(3, dtype=np.float32)
    broken[1, 1] = value
    for pair in ((broken, np.eye(3)), (np.eye(3), broken)):
        assert np.isnan(loss(*pair, temperature=1.0))
        assert np.isfinite(loss(*pair, temperature=1.0, mask=[True, False, True]))


def test_a_score_or_label_of_nan_makes_the_ranking_nan_though_it_is_in_no_pair():
    scores, labels = np.array([1.0, 2.0, np.nan]), np.array([1.0, 2.0, 2.0])
    assert np.isnan(losses.mpr(scores, labels, **MPR))
    assert np.isnan(losses.mpr(labels, scores, **MPR))
    assert losses.mpr(scores, labels, mask=[True, True, False], **MPR) == 0  # as far apart as they should be


@pytest.mark.parametrize("given", [np.array([1j, 0]), "ab", ["a", "b"], None, np.array([{}, {}], object)])
@pytest.mark.parametrize("loss", [losses.mse, losses.l1])
def test_what_is_not_real_numbers_is_refused(loss, given):
    for pair in ((given, np.zeros(2)), (np.zeros(2), given)):
        with pytest.raises(ArgumentError, match=r"real numbers|not an array of numbers"):
            loss(*pair)


@pytest.mark.parametrize("mask", [[np.nan, 1], [0.5, 1], [2, 0]])
def test_a_mask_is_true_or_false(mask):
    with pytest.raises(ArgumentError, match="mask holds other values than True and False"):
        losses.mse([1.0, 2.0], [1.0, 2.0], mask=mask)
    assert losses.mse([1.0, 2.0], [1.0, 4.0], mask=[0.0, 1.0]) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.eioi([1.0], [1.0], delta=-1), "delta is -1, not a number of at least 0"),
        (lambda: losses.eioi([1.0], [1.0], delta="a"), "delta is 'a', not a number"),
        (lambda: losses.mpr([1.0], [1.0], **{**MPR, "beta": np.nan}), "beta is nan"),
        (lambda: losses.mpr([1.0], [1.0], **{**MPR, "max_pairs": 1.5}), "max_pairs must be a whole number"),
        (lambda: losses.mpr([1.0], [1.0], **{**MPR, "max_pairs": None}), "max_pairs must be a whole number"),
        (lambda: losses.nce(np.eye(2), np.eye(2), temperature=0), "temperature is 0, not a number above 0"),
        (lambda: losses.nt_xent(np.eye(2), np.eye(2), temperature=None), "temperature is None"),
        (lambda: losses.ramped(-1, 0.5), "weight is -1"),
        (lambda: losses.ramped(1, 0.5, unit="day"), "unit is 'day'; there are: epoch, step"),
    ],
)
def test_a_hyperparameter_out_of_its_range_is_refused(call, message):
    with pytest.raises(ArgumentError, match=message) as raised:
        call()
    assert isinstance(raised.value, UserError)
    assert isinstance(raised.value, ValueError)
    assert "\n" not in str(raised.value)


def test_a_hyperparameter_may_be_traced():
    rows = jnp.eye(3)
    traced = jax.jit(lambda t: losses.nce(rows, rows, temperature=t))(0.5)
    np.testing.assert_allclose(traced, losses.nce(rows, rows, temperature=0.5), rtol=1e-5)
