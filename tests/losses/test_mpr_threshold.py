"""MPR's threshold on the labels that corpora have, against exact arithmetic."""

from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from msa_jax.losses import mpr


def steps(per_unit, top=3):
    """Labels -top .. top in steps of 1 / per_unit."""
    return {Fraction(k, per_unit) for k in range(-top * per_unit, top * per_unit + 1)}


# CMU-MOSI's labels are means over five annotators, in places over four or three: 53 values, all on the
# first grid; CMU-MOSEI's are thirds, CH-SIMS's fifths in [-1, 1]. The last one holds all of these.
GRIDS = {
    "mosi": steps(5) | steps(4) | steps(3),
    "mosei": steps(3),
    "sims": steps(5, top=1),
    "tenths": steps(10),
    "all": steps(60),
}
GAMMAS = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "1/3", "1", "2")


def as_float32(labels):
    return np.array([float(v) for v in labels], np.float32)


@partial(jax.jit, static_argnums=1)
def counts(labels_N2, gamma):
    """Which pairs count: with beta = 0 and equal scores the hinge of each pair that does is 1."""
    return jax.vmap(lambda y: mpr(jnp.zeros(2), y, alpha=1.0, beta=0.0, gamma=gamma, max_pairs=1))(labels_N2)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("grid", GRIDS)
def test_of_all_pairs_of_labels_those_count_whose_exact_gap_is_gamma_or_more(grid, gamma):
    labels, gamma = sorted(GRIDS[grid]), Fraction(gamma)
    first, second = np.triu_indices(len(labels))  # a label with itself, too
    exact = [abs(labels[i] - labels[j]) >= gamma for i, j in zip(first, second, strict=True)]
    values = as_float32(labels)
    got = counts(np.stack([values[first], values[second]], 1), float(gamma))
    np.testing.assert_array_equal(got, exact)
    np.testing.assert_array_equal(counts(np.stack([values[second], values[first]], 1), float(gamma)), exact)


def test_float32_alone_would_lose_half_of_the_gaps_of_exactly_0_3_on_this_grid():
    labels = sorted(GRIDS["tenths"])
    values = as_float32(labels)
    first, second = np.array([(i, j) for i in range(len(labels)) for j in range(i) if i - j == 3]).T
    lost = np.abs(values[first] - values[second]) < np.float32(0.3)
    assert np.mean(lost) > 0.4
    np.testing.assert_array_equal(counts(np.stack([values[first], values[second]], 1), 0.3), 1.0)


def test_the_mean_of_a_batch_is_over_the_pairs_that_exact_arithmetic_counts():
    rng = np.random.default_rng(0)
    labels = rng.choice(sorted(GRIDS["mosi"]), 60)
    gaps = [abs(a - b) for k, a in enumerate(labels) for b in labels[:k]]
    kept = [gap for gap in gaps if gap >= Fraction("0.3")]
    assert Fraction("0.3") in kept
    got = mpr(np.zeros(60), as_float32(labels), alpha=0.3, beta=1.0, gamma=0.3, max_pairs=8192)
    np.testing.assert_allclose(got, 0.3 * float(sum(kept) / len(kept)), rtol=1e-5)


@pytest.mark.parametrize("gamma", [1e-3, 1e-5, 1e-12])
def test_equal_labels_stay_out_however_small_gamma_is(gamma):
    pairs = np.array([[0.2, 0.2], [0.2, 0.2 + 1 / 60]], np.float32)
    np.testing.assert_array_equal(counts(pairs, gamma), [0.0, 1.0])


def test_a_gamma_of_0_lets_every_pair_in():
    np.testing.assert_array_equal(counts(np.array([[0.2, 0.2], [0.2, 0.4]], np.float32), 0.0), 1.0)
