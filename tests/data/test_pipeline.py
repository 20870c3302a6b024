"""From clips to batches."""

import tracemalloc

import numpy as np
import pytest

from msa_jax.data.pipeline import Clips, Preprocessing, Split, Statistics, batches
from msa_jax.data.plan import BatchPlan, choose_buckets
from msa_jax.text import train_tokenizer

TEXTS = ["good movie", "", "a really unbelievable story with an ending that nobody saw coming at all", "bad"]
HOW = Preprocessing(9, False, ("text", "audio", "vision"), {"audio": 3, "vision": 2})


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["good bad movie a the story really"], 60)


def clip(i, text, *, aligned=True, audio=True, seed=0):
    rng = np.random.default_rng((seed, i))
    n = len(text.split()) if aligned else 7
    return {
        "id": f"v_{i}",
        "video": "v",
        "text": text,
        "audio": rng.normal(50, 9, (n if audio else 0, 3)).astype(np.float32),
        "vision": rng.normal(-2, 0.1, (n, 2)).astype(np.float32),
        "aligned": aligned,
        "label": float(i),
    }


@pytest.fixture
def split(tokenizer):
    clips = [clip(i, text, audio=i != 3) for i, text in enumerate(TEXTS)]
    return Split(Clips(clips), tokenizer, HOW, measure=True)


def test_lengths_are_cut_to_content_plus_two_special_tokens(split, tokenizer):
    assert split.lengths.tolist()[1] == 2
    assert split.lengths.max() == 11
    ids, _ = tokenizer.encode(TEXTS[2], 1000)
    batch = split.batch(np.array([2]), 12, 1, split.statistics)
    np.testing.assert_array_equal(batch["text"][0, :11], [*ids[:10], ids[-1]])
    assert batch["text_mask"].sum() == 11
    assert batch["audio_mask"].sum() == 9


def test_rows_follow_their_words_through_subwords_and_the_cut(split, tokenizer):
    ids, words = tokenizer.encode(TEXTS[2], 1000)
    assert len(ids) - 2 > len(TEXTS[2].split())  # some words are split
    batch = split.batch(np.array([2]), 12, 1, Statistics.identity(HOW.widths))
    rows = clip(2, TEXTS[2])["audio"]
    for t in range(1, 10):
        np.testing.assert_array_equal(batch["audio"][0, t], rows[words[t]])
    np.testing.assert_array_equal(batch["audio"][0, [0, 10, 11]], 0)


def test_a_batch_is_padded_and_masked(split):
    batch = split.batch(np.array([0, 3, 1]), 12, 5, split.statistics)
    assert {k: (v.shape, v.dtype.name) for k, v in batch.items()} == {
        "text": ((5, 12), "int32"), "text_mask": ((5, 12), "bool"),
        "audio": ((5, 12, 3), "float32"), "audio_mask": ((5, 12), "bool"),
        "vision": ((5, 12, 2), "float32"), "vision_mask": ((5, 12), "bool"),
        "label": ((5,), "float32"), "mask": ((5,), "bool"), "index": ((5,), "int32"),
    }  # fmt: skip
    np.testing.assert_array_equal(batch["mask"], [True, True, True, False, False])
    np.testing.assert_array_equal(batch["index"], [0, 3, 1, -1, -1])
    np.testing.assert_array_equal(batch["label"], [0, 3, 1, 0, 0])
    assert not batch["audio_mask"][1].any()  # the clip has no audio
    assert batch["vision_mask"][1].any()
    assert not batch["audio_mask"][2].any()  # no words, so nothing to hang features on
    for m in ("audio", "vision"):
        np.testing.assert_array_equal(batch[m][~batch[f"{m}_mask"]], 0)


def test_a_modality_left_out_is_masked(tokenizer):
    how = Preprocessing(9, False, ("text", "vision"), HOW.widths)
    batch = Split(Clips([clip(0, TEXTS[0])]), tokenizer, how).batch(
        np.array([0]), 12, 1, Statistics.identity(HOW.widths)
    )
    assert not batch["audio_mask"].any()
    assert not batch["audio"].any()
    assert batch["vision_mask"].any()


def test_statistics_are_of_all_rows_of_the_split_that_is_measured(split):
    rows = np.concatenate([clip(i, text)["audio"] for i, text in enumerate(TEXTS) if i != 3])
    np.testing.assert_allclose(split.statistics.mean["audio"], rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(split.statistics.scale["audio"], rows.std(0), rtol=1e-5)
    again = Statistics.from_json(split.statistics.to_json())
    np.testing.assert_array_equal(again.apply("audio", rows), split.statistics.apply("audio", rows))
    np.testing.assert_allclose(again.apply("audio", rows).std(0), 1, rtol=1e-4)


def test_a_constant_column_stays_finite(tokenizer):
    clips = [clip(i, "good movie") for i in range(3)]
    for c in clips:
        c["audio"][:, 1] = 4.0
    split = Split(Clips(clips), tokenizer, HOW, measure=True)
    batch = split.batch(np.arange(3), 12, 3, split.statistics)
    np.testing.assert_array_equal(batch["audio"][..., 1], 0)


def test_streams_are_resampled_to_the_content(tokenizer):
    c = clip(0, "good movie", aligned=False)
    split = Split(Clips([c]), tokenizer, HOW)
    n = split.lengths[0] - 2
    batch = split.batch(np.array([0]), 12, 1, Statistics.identity(HOW.widths))
    assert batch["audio_mask"][0].sum() == n
    np.testing.assert_allclose(batch["audio"][0, 1], c["audio"][: -(-7 // n)].mean(0), rtol=1e-5)


def test_lowercase_is_an_option(tokenizer):
    loud = clip(0, "GOOD Movie")
    how = Preprocessing(9, True, HOW.modalities, HOW.widths)
    split = Split(Clips([loud, clip(1, "good movie")]), tokenizer, how)
    texts = split.batch(np.array([0, 1]), 12, 2, split.statistics)["text"]
    np.testing.assert_array_equal(texts[0], texts[1])


@pytest.mark.parametrize("threads", [0, 2])
def test_the_iterator_resumes_at_the_exact_batch(split, threads):
    plan = BatchPlan(split.lengths, choose_buckets(split.lengths, 2), 2, epochs=3, seed=0)
    whole = list(batches(split, plan, split.statistics, threads=threads))
    assert len(whole) == len(plan) == 6
    iterator = batches(split, plan, split.statistics, threads=threads)
    for _ in range(4):
        next(iterator)
    state = iterator.get_state()
    resumed = batches(split, plan, split.statistics, threads=threads)
    resumed.set_state(state)
    for got, want in zip(list(resumed), whole[4:], strict=True):
        for key in want:
            np.testing.assert_array_equal(got[key], want[key])


def test_memory_does_not_grow_with_the_features(tokenizer):
    """A corpus of 400 MB of features is scanned, measured and batched in a small part of that."""
    how = Preprocessing(9, False, HOW.modalities, {"audio": 100, "vision": 2})

    class Endless:
        def __len__(self):
            return 2000

        def __getitems__(self, rows):
            return [
                {**clip(i, "good movie", aligned=False), "audio": np.full((500, 100), i % 7, np.float32)}
                for i in rows
            ]

    tracemalloc.start()
    split = Split(Endless(), tokenizer, how, measure=True)
    plan = BatchPlan(split.lengths, (12,), 16)
    for _, batch in zip(range(10), batches(split, plan, split.statistics, threads=1), strict=False):
        assert batch["audio_mask"].any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 2000 * 500 * 100 * 4
