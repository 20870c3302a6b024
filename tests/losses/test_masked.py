"""Masked means, and which rows of a batch count in them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.losses import masked_mean, present
from msa_jax.losses.masked import valid_rows

VALUES, MASK = np.array([1.0, np.nan, 4.0, np.inf, -2.0]), np.array([True, False, True, False, True])


def test_the_mean_is_over_the_rows_that_count():
    value, gradient = jax.value_and_grad(lambda v: masked_mean(v, MASK))(jnp.asarray(VALUES))
    np.testing.assert_allclose(value, np.mean([1.0, 4.0, -2.0]), rtol=1e-6)
    np.testing.assert_allclose(gradient, MASK / 3, rtol=1e-6)


def test_the_mean_over_no_row_is_0_without_a_gradient():
    value, gradient = jax.value_and_grad(lambda v: masked_mean(v, np.zeros(5, bool)))(jnp.asarray(VALUES))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_rows_that_do_not_count_are_0_whatever_stands_there():
    p, y, m = valid_rows(VALUES, VALUES[::-1], MASK)
    np.testing.assert_array_equal(p, [1, 0, 4, 0, -2])
    np.testing.assert_array_equal(y, [-2, 0, 4, 0, 1])
    np.testing.assert_array_equal(m, MASK)
    assert (p.dtype, y.dtype, m.dtype) == (jnp.float32, jnp.float32, bool)
    np.testing.assert_array_equal(valid_rows([1, 2], [3, 4], None)[2], [True, True])


@pytest.mark.parametrize(
    ("p", "y", "mask", "message"),
    [
        (np.zeros((3, 1)), np.zeros(3), None, "expected predictions"),
        (np.zeros(3), np.zeros(2), None, "expected predictions"),
        (np.zeros(3), np.zeros(3), np.ones(2, bool), r"expected mask \(3,\), got \(2,\)"),
    ],
)
def test_shapes_that_do_not_match_are_refused(p, y, mask, message):
    with pytest.raises(ValueError, match=message):
        valid_rows(p, y, mask)


def test_a_clip_counts_where_it_has_a_step_of_each_modality_and_is_no_padding():
    batch = {
        "mask": np.array([True, True, True, False]),
        "text_mask": np.ones((4, 2), bool),
        "audio_mask": np.array([[False, True], [False, False], [True, True], [True, True]]),
        "vision_mask": np.array([[True], [True], [False], [True]]),
    }
    for modalities, expected in (
        ((), [True, True, True, False]),
        (("text",), [True, True, True, False]),
        (("audio",), [True, False, True, False]),
        (("text", "audio", "vision"), [True, False, False, False]),
    ):
        np.testing.assert_array_equal(present(batch, *modalities), expected)
