"""Pipeline from clips to batches."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

from msa_jax.data import align
from msa_jax.data.batching import Share, batches
from msa_jax.data.example import no_tokens, no_unimodal_labels
from msa_jax.data.pipeline import Clips, Split
from msa_jax.data.plan import BatchPlan, choose_buckets
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.text import train_tokenizer
from tests.data import measuring

TEXTS = ["good movie", "", "a really unbelievable story with an ending that nobody saw coming at all", "bad"]
HOW = Preprocessing(9, False, ("text", "audio", "vision"), {"audio": 3, "vision": 2})


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["good bad movie a the story really"], 60)


def clip(i, text, *, aligned=True, audio=True, seed=0, features=0):
    rng = np.random.default_rng((seed, i))
    n = len(text.split()) if aligned else 7
    return {
        "id": f"v_{i}",
        "video": "v",
        "text": text,
        "audio": rng.normal(50, 9, (n if audio else 0, 3)).astype(np.float32),
        "vision": rng.normal(-2, 0.1, (n, 2)).astype(np.float32),
        "text_features": rng.normal(size=(features, 4)).astype(np.float32),
        "aligned": aligned,
        "tokens": no_tokens(),
        "token_words": no_tokens(),
        "unimodal_labels": no_unimodal_labels(),
        "label": float(i),
    }


@pytest.fixture
def split(tokenizer):
    clips = [clip(i, text, audio=i != 3) for i, text in enumerate(TEXTS)]
    return measured(Clips(clips), tokenizer, HOW)


def measured(source, tokenizer, how):
    """A scanned training split with its statistics in `measured`."""
    split, split.measured = measuring.measured(source, tokenizer, how)
    return split


def test_lengths_are_cut_to_content_plus_two_special_tokens(split, tokenizer):
    assert split.lengths.tolist()[1] == [2, 2, 2]
    assert split.lengths.max() == 11
    ids, _ = tokenizer.encode(TEXTS[2], 1000)
    batch = split.batch(np.array([2]), (12, 12, 12), 1, split.measured)
    np.testing.assert_array_equal(batch["text"][0, :11], [*ids[:10], ids[-1]])
    assert batch["text_mask"].sum() == 11
    assert batch["audio_mask"].sum() == 9


@pytest.mark.parametrize("features", [0, 30])
def test_a_long_text_can_keep_its_end(tokenizer, features):
    how = dataclasses.replace(HOW, keep_end=True, text_width=4 if features else 0)
    c = clip(2, TEXTS[2], features=features)
    split = Split(Clips([c]), None if features else tokenizer, how)
    batch = split.batch(np.array([0]), (11, 11, 11), 1, Statistics.identity(HOW.widths))
    if features:
        np.testing.assert_array_equal(batch["text"][0], c["text_features"][-11:])
        return
    ids, words = tokenizer.encode(TEXTS[2], 1000)
    np.testing.assert_array_equal(batch["text"][0], [ids[0], *ids[-10:]])
    np.testing.assert_array_equal(batch["audio"][0, 9], c["audio"][words[-2]])
    assert words[-2] == len(TEXTS[2].split()) - 1


def test_rows_follow_their_words_through_subwords_and_the_cut(split, tokenizer):
    ids, words = tokenizer.encode(TEXTS[2], 1000)
    assert len(ids) - 2 > len(TEXTS[2].split())  # some words are split
    batch = split.batch(np.array([2]), (12, 12, 12), 1, Statistics.identity(HOW.widths))
    rows = clip(2, TEXTS[2])["audio"]
    for t in range(1, 10):
        np.testing.assert_array_equal(batch["audio"][0, t], rows[words[t]])
    np.testing.assert_array_equal(batch["audio"][0, [0, 10, 11]], 0)


def test_a_batch_is_padded_and_masked(split):
    batch = split.batch(np.array([0, 3, 1]), (12, 12, 12), 5, split.measured)
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
        np.array([0]), (12, 12, 12), 1, Statistics.identity(HOW.widths)
    )
    assert not batch["audio_mask"].any()
    assert not batch["audio"].any()
    assert batch["vision_mask"].any()


@pytest.mark.parametrize("time_line", ["text", "own"])
def test_text_left_out_is_masked_on_either_time_line(tokenizer, time_line):
    how = dataclasses.replace(HOW, modalities=("audio", "vision"), time_line=time_line)
    split = Split(Clips([clip(0, TEXTS[0]), clip(2, TEXTS[2])]), tokenizer, how)
    lengths = tuple(split.lengths.max(0).tolist())
    assert (lengths[0] == 1) is (time_line == "own")
    batch = split.batch(np.array([0, 1]), lengths, 2, Statistics.identity(how.widths))
    assert not batch["text_mask"].any()
    assert (batch["text"] == tokenizer.pad_id).all()
    assert batch["audio_mask"].any(1).all()


def test_on_its_own_time_line_a_modality_keeps_its_rows(tokenizer):
    how = dataclasses.replace(HOW, time_line="own", max_frames=5)
    clips = [clip(0, TEXTS[0]), clip(2, TEXTS[2], aligned=False), clip(3, TEXTS[3], audio=False)]
    split = Split(Clips(clips), tokenizer, how)
    assert split.lengths[:, 0].tolist() == [len(t) for t in map(split._cut, split.tokens)]
    assert split.lengths[:, 1:].tolist() == [[2, 2], [5, 5], [1, 1]]
    batch = split.batch(np.arange(3), (11, 6, 5), 4, Statistics.identity(HOW.widths))
    assert batch["audio"].shape == (4, 6, 3)
    assert batch["vision"].shape == (4, 5, 2)
    np.testing.assert_array_equal(batch["audio_mask"].sum(1), [2, 5, 0, 0])
    np.testing.assert_array_equal(batch["audio"][0, :2], clips[0]["audio"])  # a row is a word, not a token
    np.testing.assert_allclose(batch["vision"][1], align.resample(clips[1]["vision"], 5), rtol=1e-6)


@pytest.mark.parametrize("rows", [2, 7, 15])
def test_text_features_take_the_place_of_tokens(rows):
    """As many as words, other than that, and more than are kept."""
    how = dataclasses.replace(HOW, text_width=4)
    one = clip(0, TEXTS[0], features=rows)
    split = Split(Clips([one, clip(1, "", features=0)]), None, how)
    kept = min(rows, 11)
    assert split.lengths.tolist() == [[kept] * 3, [1] * 3]
    batch = split.batch(np.arange(2), (12, 12, 12), 2, Statistics.identity(HOW.widths))
    assert batch["text"].dtype == np.float32
    np.testing.assert_array_equal(batch["text"][0, :kept], one["text_features"][:kept])
    np.testing.assert_array_equal(batch["text_mask"].sum(1), [kept, 0])
    assert batch["audio_mask"][0].sum() == kept
    first = one["audio"][0] if rows == 2 else align.resample(one["audio"], rows)[0]
    np.testing.assert_allclose(batch["audio"][0, 0], first, rtol=1e-6)


def test_labels_of_several_tasks_keep_their_columns(tokenizer):
    clips = [{**clip(i, "good movie"), "label": np.array([0.0, 1, i, 1])} for i in range(2)]
    split = Split(Clips(clips), tokenizer, HOW)
    batch = split.batch(np.arange(2), (12, 12, 12), 3, Statistics.identity(HOW.widths))
    np.testing.assert_array_equal(batch["label"], [[0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 0]])


def test_statistics_are_of_all_rows_of_the_split_that_is_measured(split):
    rows = np.concatenate([clip(i, text)["audio"] for i, text in enumerate(TEXTS) if i != 3])
    np.testing.assert_allclose(split.measured.mean["audio"], rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(split.measured.scale["audio"], rows.std(0), rtol=1e-5)
    again = Statistics.from_json(split.measured.to_json())
    np.testing.assert_array_equal(again.apply("audio", rows), split.measured.apply("audio", rows))
    np.testing.assert_allclose(again.apply("audio", rows).std(0), 1, rtol=1e-4)


def test_a_constant_column_stays_finite(tokenizer):
    clips = [clip(i, "good movie") for i in range(3)]
    for c in clips:
        c["audio"][:, 1] = 4.0
    split = measured(Clips(clips), tokenizer, HOW)
    batch = split.batch(np.arange(3), (12, 12, 12), 3, split.measured)
    np.testing.assert_array_equal(batch["audio"][..., 1], 0)


def test_streams_are_resampled_to_the_content(tokenizer):
    c = clip(0, "good movie", aligned=False)
    split = Split(Clips([c]), tokenizer, HOW)
    n = split.lengths[0, 0] - 2
    batch = split.batch(np.array([0]), (12, 12, 12), 1, Statistics.identity(HOW.widths))
    assert batch["audio_mask"][0].sum() == n
    np.testing.assert_allclose(batch["audio"][0, 1], c["audio"][: -(-7 // n)].mean(0), rtol=1e-5)


def test_lowercase_is_an_option(tokenizer):
    loud = clip(0, "GOOD Movie")
    how = Preprocessing(9, True, HOW.modalities, HOW.widths)
    split = Split(Clips([loud, clip(1, "good movie")]), tokenizer, how)
    texts = split.batch(np.array([0, 1]), (12, 12, 12), 2, Statistics.identity(how.widths))["text"]
    np.testing.assert_array_equal(texts[0], texts[1])


@pytest.mark.parametrize("threads", [0, 2])
def test_the_iterator_resumes_at_the_exact_batch(split, threads):
    plan = BatchPlan(split.lengths, choose_buckets(split.lengths, 2), 2, epochs=3, seed=0)
    whole = list(batches(split, plan, split.measured, threads=threads))
    assert len(whole) == len(plan) == 6
    for start in (1, 4, 6):
        resumed = list(batches(split, plan, split.measured, threads=threads, start=start))
        for got, want in zip(resumed, whole[start:], strict=True):
            for key in want:
                np.testing.assert_array_equal(got[key], want[key])


def test_processes_that_train_together_see_the_same_shapes_and_share_the_rows(tokenizer):
    how = dataclasses.replace(HOW, time_line="own")
    clips = [clip(i, " ".join(["good"] * (1 + i % 5)), audio=i % 7 > 0) for i in range(27)]
    split = measured(Clips(clips), tokenizer, how)
    plan = BatchPlan(split.lengths, choose_buckets(split.lengths, 3), 6, epochs=2, seed=0)
    whole = list(batches(split, plan, split.measured, threads=0))
    parts = [
        list(batches(split, plan, split.measured, threads=1, share=Share(process, 3))) for process in range(3)
    ]
    assert {len(part) for part in parts} == {len(plan)}
    for batch, *shares in zip(whole, *parts, strict=True):
        for key, value in batch.items():
            assert len({share[key].shape for share in shares}) == 1
            np.testing.assert_array_equal(np.concatenate([share[key] for share in shares]), value)
    assert any(not share["mask"].any() for part in parts for share in part)  # one has padding alone


def test_a_batch_that_the_processes_do_not_divide_is_padded(split):
    plan = BatchPlan(split.lengths, choose_buckets(split.lengths, 1), 4)
    whole = [next(iter(batches(split, plan, split.measured, threads=0)))]
    parts = [next(iter(batches(split, plan, split.measured, threads=0, share=Share(k, 3)))) for k in range(3)]
    assert [len(part["mask"]) for part in parts] == [2, 2, 2]
    rows = np.concatenate([part["index"][part["mask"]] for part in parts])
    np.testing.assert_array_equal(rows, whole[0]["index"][whole[0]["mask"]])


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
    split = measured(Endless(), tokenizer, how)
    plan = BatchPlan(split.lengths, ((12, 12, 12),), 16)
    for _, batch in zip(range(10), batches(split, plan, split.measured, threads=1), strict=False):
        assert batch["audio_mask"].any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * 2000 * 500 * 100 * 4


def test_labels_by_modality_reach_the_batch(tokenizer):
    clips = [clip(i, text) for i, text in enumerate(TEXTS)]
    clips[0]["unimodal_labels"] = np.array([0.2, -0.4, 0.6])
    clips[2]["unimodal_labels"] = np.array([1.0, np.nan, -1.0])
    split = Split(Clips(clips), tokenizer, HOW)
    batch = split.batch(np.array([2, 1, 0]), (12, 12, 12), 4, Statistics.identity(HOW.widths))
    for m, values in {
        "text": [1, np.nan, 0.2],
        "audio": [np.nan, np.nan, -0.4],
        "vision": [-1, np.nan, 0.6],
    }.items():
        assert batch[f"label_{m}"].dtype == np.float32
        np.testing.assert_allclose(batch[f"label_{m}"], [*values, np.nan], rtol=1e-6)
    without = Split(Clips([clip(0, TEXTS[0])]), tokenizer, HOW)
    assert not any(
        key.startswith("label_")
        for key in without.batch(np.array([0]), (12, 12, 12), 1, Statistics.identity(HOW.widths))
    )
