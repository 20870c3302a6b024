"""Padding, cut off a clip."""

import numpy as np
import pytest

from msa_jax.data.conventions.padding import trim


def _rows(pattern, width=3):
    """[L, width] with a 1 in the last column where the pattern has an x."""
    rows = np.zeros((len(pattern), width))
    rows[:, -1] = [mark == "x" for mark in pattern]
    return rows + np.arange(len(pattern))[:, None] * rows  # tells the steps apart


@pytest.mark.parametrize(
    ("pattern", "first", "stop"),
    [("..xx", 2, 4), ("xx..", 0, 2), (".x.x.", 1, 4), ("xxx", 0, 3), ("...", 0, 0), ("", 0, 0)],
)
@pytest.mark.parametrize("together", [False, True])
def test_either_side(pattern, first, stop, together):
    rows = _rows(pattern)
    cut = trim({"audio": rows}, together=together)["audio"]
    assert cut.shape == (stop - first, 3)
    np.testing.assert_array_equal(cut, rows[first:stop])


def test_modalities_of_one_time_line_keep_silent_steps():
    rows = {"audio": _rows("..x.x.."), "vision": _rows("...xx.."), "text": _rows("...x.x.", 1)}
    cut = trim(rows, together=True)
    assert list(cut) == ["audio", "vision", "text"]
    for name in rows:
        np.testing.assert_array_equal(cut[name], rows[name][2:6])


def test_modalities_of_their_own_are_cut_apart():
    rows = {"audio": _rows("..x.x.."), "vision": _rows("xx.")}
    cut = trim(rows, together=False)
    np.testing.assert_array_equal(cut["audio"], rows["audio"][2:5])
    np.testing.assert_array_equal(cut["vision"], rows["vision"][:2])


@pytest.mark.parametrize("together", [False, True])
def test_a_silent_modality_has_no_rows(together):
    cut = trim({"audio": _rows("...."), "vision": _rows(".xx.")}, together=together)
    assert cut["audio"].shape == (0, 3)
    assert cut["vision"].shape == (2, 3)
    assert all(
        part.shape == (0, 3) for part in trim({"a": _rows(".."), "b": _rows("..")}, together=True).values()
    )


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e-300])
def test_what_is_not_zero_is_no_padding(value):
    rows = np.zeros((4, 2))
    rows[1, 1] = value
    assert trim({"audio": rows}, together=False)["audio"].shape == (1, 2)


def test_one_time_line_has_one_length():
    with pytest.raises(ValueError, match=r"audio 3, vision 2"):
        trim({"audio": _rows("xxx"), "vision": _rows("xx")}, together=True)


def test_nothing_to_cut():
    assert trim({}, together=True) == {}
