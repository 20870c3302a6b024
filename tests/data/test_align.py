"""Alignment: word rows to subwords, streams to content tokens."""

import numpy as np
import pytest

from msa_jax.data import align

# "[CLS] un ##believ ##able movie ! [SEP]": the first word in three subwords, the second in two.
WORD_IDS = np.array([-1, 0, 0, 0, 1, 1, -1])
WORDS_OF_RUN = np.array([-1, 0, 0, 1, 2, -1])  # three words by another tokenizer, two subwords in the first


def test_a_word_row_is_repeated_for_each_of_its_subwords():
    rows = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    features, mask = align.to_tokens(rows, WORD_IDS, aligned=True)
    expected = [[0, 0], [1, 2], [1, 2], [1, 2], [3, 4], [3, 4], [0, 0]]
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(mask, [False, True, True, True, True, True, False])


def resample_numpy(frames, length):
    F = len(frames)
    bounds = [(i * F // length, -((-(i + 1) * F) // length)) for i in range(length)]
    return np.stack([frames[a:b].mean(0) for a, b in bounds])


@pytest.mark.parametrize(("F", "length"), [(1, 5), (5, 5), (7, 3), (3, 7), (400, 13), (13, 12), (2, 1)])
def test_resampling_is_adaptive_mean_pooling_and_keeps_every_frame(F, length):
    frames = np.random.default_rng(F).normal(size=(F, 4)).astype(np.float32)
    np.testing.assert_allclose(align.resample(frames, length), resample_numpy(frames, length), atol=1e-5)
    for k in range(F):
        spike = np.zeros((F, 1), np.float32)
        spike[k] = 1
        assert align.resample(spike, length).max() > 0


def test_a_stream_is_written_under_the_content():
    frames = np.arange(10, dtype=np.float32)[:, None]
    features, mask = align.to_tokens(frames, WORD_IDS, aligned=False)
    np.testing.assert_allclose(features[:, 0], [0, 0.5, 2.5, 4.5, 6.5, 8.5, 0])
    np.testing.assert_array_equal(mask, WORD_IDS >= 0)


@pytest.mark.parametrize("aligned", [True, False])
def test_a_missing_modality_or_an_empty_text_is_a_mask_of_false(aligned):
    features, mask = align.to_tokens(np.zeros((0, 3), np.float32), WORD_IDS, aligned=aligned)
    assert features.shape == (7, 3)
    assert not features.any()
    assert not mask.any()
    features, mask = align.to_tokens(np.ones((4, 3), np.float32), np.array([-1, -1]), aligned=aligned)
    assert not features.any()
    assert not mask.any()


def test_rows_by_word_and_by_subword_reach_the_same_tokens():
    """The same clip in a file with a row a word, and in one with a row for each token of a vocabulary."""
    rows_WD = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    token_words = np.array([0, 1, 1, 1, 2, 2])  # the file's tokenizer: one, three and two subwords
    from_words, mask = align.to_tokens(rows_WD, WORDS_OF_RUN, aligned=True)
    made_WD, there_W = align.word_rows(rows_WD[token_words], token_words, 3)
    from_subwords, same_mask = align.words_to_tokens(made_WD, there_W, WORDS_OF_RUN)
    np.testing.assert_array_equal(from_words, from_subwords)
    np.testing.assert_array_equal(mask, same_mask)
    one_to_one, last_mask = align.from_same_tokens(
        rows_WD[WORDS_OF_RUN[1:-1]], WORDS_OF_RUN[1:-1], WORDS_OF_RUN
    )
    np.testing.assert_array_equal(from_words, one_to_one)
    np.testing.assert_array_equal(mask, last_mask)


def test_a_word_without_a_row_is_masked():
    features, mask = align.words_to_tokens(
        np.ones((3, 1), np.float32), np.array([True, False, True]), WORDS_OF_RUN
    )
    np.testing.assert_array_equal(mask, [False, True, True, False, True, False])
    assert features.shape == (6, 1)
