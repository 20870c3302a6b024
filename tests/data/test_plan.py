"""Buckets and batch plans."""

import itertools

import numpy as np
import pytest

from msa_jax.data.plan import BatchPlan, beyond, choose_buckets, levels


def same(lengths):
    """[N, 3]: each modality as long as the text."""
    return np.repeat(np.asarray(lengths)[:, None], 3, 1)


def triples(*lengths):
    return tuple((n, n, n) for n in lengths)


def padded(lengths, buckets):
    return sum(min(b for b in buckets if b >= n) for n in lengths)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_buckets_pad_least_of_all_choices(count):
    lengths = np.random.default_rng(0).integers(3, 14, 60)
    best = min(
        padded(lengths, (*inner, lengths.max()))
        for k in range(count)
        for inner in itertools.combinations(range(3, 14), k)
    )
    buckets = choose_buckets(same(lengths), count)
    assert len(buckets) <= count
    assert buckets[-1] == (lengths.max(),) * 3
    assert padded(lengths, [b[0] for b in buckets]) == best


def test_each_modality_has_a_length_of_its_own_that_holds_the_bucket_and_those_before():
    rng = np.random.default_rng(0)
    lengths = np.stack([rng.integers(3, 20, 80), rng.integers(1, 90, 80), np.ones(80, int)], 1)
    buckets = choose_buckets(lengths, 3)
    assert len(buckets) == 3
    assert (np.diff(buckets, axis=0) >= 0).all()
    assert buckets[-1] == tuple(lengths.max(0))
    assert {b[2] for b in buckets} == {1}
    plan = BatchPlan(lengths, buckets, 8, epochs=1, seed=0)
    for i in range(len(plan)):
        rows, batch_lengths = plan[i]
        assert (lengths[rows] <= batch_lengths).all()


def test_hardly_any_other_pair_of_buckets_over_two_modalities_pads_less():
    rng = np.random.default_rng(2)
    lengths = np.stack([np.full(40, 6), rng.integers(1, 12, 40), rng.integers(1, 12, 40)], 1)
    last = tuple(lengths.max(0))

    def steps(first):
        return sum(sum(first) if (row <= first).all() else sum(last) for row in lengths)

    best = min(steps((6, a, v)) for a in range(1, 12) for v in range(1, 12))
    buckets = choose_buckets(lengths, 2)
    assert len(buckets) == 2
    assert steps(buckets[0]) <= 1.1 * best  # chains along five orders, not all chains
    assert steps(buckets[0]) < 0.9 * 40 * sum(last)


def test_clips_that_differ_in_one_modality_are_bucketed_by_it():
    vision = np.repeat([5, 300], 50)
    lengths = np.stack([np.full(100, 40), np.full(100, 301), vision], 1)  # the longest says nothing
    assert choose_buckets(lengths, 2) == ((40, 301, 5), (40, 301, 300))


def test_more_buckets_than_lengths():
    assert choose_buckets(same([5, 5, 7]), 8) == triples(5, 7)


@pytest.fixture
def lengths():
    return same(np.random.default_rng(1).integers(3, 50, 203))


def test_each_epoch_visits_every_clip_once_in_full_batches_but_one(lengths):
    plan = BatchPlan(lengths, choose_buckets(lengths, 4), 16, epochs=3, seed=0)
    assert len(plan) == 3 * plan.steps_per_epoch == 3 * 13
    for epoch in range(3):
        batches = [plan[i] for i in range(epoch * 13, (epoch + 1) * 13)]
        np.testing.assert_array_equal(np.sort(np.concatenate([r for r, _ in batches])), np.arange(203))
        assert sorted(len(rows) for rows, _ in batches) == [203 - 12 * 16, *[16] * 12]
        for rows, batch_lengths in batches:
            assert batch_lengths in plan.buckets
            assert (lengths[rows] <= batch_lengths).all()


def test_the_plan_is_a_function_of_seed_and_epoch(lengths):
    def first(seed, i):
        return BatchPlan(lengths, triples(20, 50), 16, epochs=2, seed=seed)[i][0].tolist()

    assert first(0, 0) == first(0, 0)
    assert first(0, 0) != first(1, 0)
    assert first(0, 0) != first(0, 13)


def test_evaluation_keeps_the_order_of_length(lengths):
    plan = BatchPlan(lengths, triples(20, 50), 16)
    order = np.concatenate([plan[i][0] for i in range(len(plan))])
    assert (np.diff(lengths[order, 0]) >= 0).all()


def test_a_clip_that_fits_no_bucket_is_an_error(lengths):
    with pytest.raises(ValueError, match="fits into none of the buckets"):
        BatchPlan(lengths, triples(20, 30), 16)


def test_padding_counts_the_tokens_that_are_none():
    plan = BatchPlan(same([2, 4, 4]), triples(4), 2)
    assert plan.padding() == pytest.approx(1 - 10 / 16)


def test_an_index_outside_is_an_error(lengths):
    with pytest.raises(IndexError):
        BatchPlan(lengths, triples(50), 16)[13]


def test_longer_clips_than_any_in_training_get_one_of_few_sizes():
    buckets, most = ((5, 30, 20), (12, 90, 100)), (50, 500, 500)
    rng = np.random.default_rng(3)

    def made(*longest):
        return beyond(buckets, np.concatenate([rng.integers(1, longest, (9, 3)), [longest]]), most)

    assert made(12, 90, 100) == made(12, 40, 3) == buckets
    assert beyond(buckets, np.zeros((0, 3), int), most) == buckets
    assert made(12, 91, 3) == made(4, 125, 100) == (*buckets, (12, 125, 100))
    assert made(13, 90, 101) == (*buckets, (25, 90, 125))
    assert made(50, 500, 500) == made(26, 251, 499) == (*buckets, most)
    every = {made(*longest)[-1] for longest in rng.integers(1, most, (2000, 3)) + 1}
    assert len(every) <= 3 * 4 * 4


def test_one_time_line_stays_one():
    made = beyond(triples(9), same([3, 20]), (50,) * 3)
    assert made == triples(9, 25)


@pytest.mark.parametrize("longest", [1, 15, 16, 17, 50, 512, 10_000])
def test_levels_end_with_the_longest(longest):
    for widen in (True, False):
        found = levels(longest, 6, widen=widen)
        assert found[-1] == longest
        assert len(found) <= 6
        assert list(found) == sorted(set(found))
