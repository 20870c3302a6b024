"""Findings: what is odd in clips is counted and named, and a robust range is told from the training split."""

import dataclasses
import json

import numpy as np
import pytest

from msa_jax.data.findings import of_split
from msa_jax.data.measure import Measure
from msa_jax.data.pipeline import Clips, Split, chunks
from msa_jax.data.preparation import Preparation
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.data.ranges import Sample, robust_range
from msa_jax.files import finite
from msa_jax.text import train_tokenizer

WORDS = "good bad film plot story actor music great awful fine"
HOW = Preprocessing(4, False, ("text", "audio", "vision"), {"audio": 3, "vision": 2})


def clip(k, text="good film", *, audio=None, vision=None):
    rng = np.random.default_rng(k)
    streams = {"audio": rng.normal(5, 3, (6, 3)), "vision": rng.normal(0, 1, (4, 2))}
    given = {"audio": audio, "vision": vision}
    return {
        "id": f"v_{k}",
        "text": text,
        "aligned": False,
        "label": 0.5,
        "unimodal_labels": np.zeros(0),
        "tokens": np.zeros(0, np.int32),
        "token_words": np.zeros(0, np.int32),
        "text_features": np.zeros((0, 0), np.float32),
        **{m: np.asarray(rows if given[m] is None else given[m], np.float32) for m, rows in streams.items()},
    }


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([WORDS] * 3, 200)  # each word is one subword


def told(clips, tokenizer, how=HOW, *, trained_on=None):
    """The findings of clips, as lines, with the statistics of the clips that a run was trained on."""
    measure = Measure(how, standardise=True)
    source = Clips(trained_on or [clip(k) for k in range(40)])
    Split(source, tokenizer, how, measure=measure)
    found = of_split(Split(Clips(clips), tokenizer, how), how, measure.statistics(chunks(source)))
    return [str(finding) for finding in found]


def test_ordinary_clips_have_nothing_to_tell(tokenizer):
    assert told([clip(k) for k in range(100, 140)], tokenizer) == []


def test_a_text_that_is_cut_is_named(tokenizer):
    clips = [clip(0), clip(1, "good bad film plot story"), clip(2, "good bad film plot")]
    assert told(clips, tokenizer) == ["1 text is cut at 4 subwords, its end is not read: v_1"]
    end = dataclasses.replace(HOW, keep_end=True)
    assert told(clips, tokenizer, end) == ["1 text is cut at 4 subwords, its beginning is not read: v_1"]


def test_unknown_words_are_counted_over_all_subwords(tokenizer):
    clips = [clip(0, "good film"), clip(1, "电 影"), clip(2, "good 电")]
    (line,) = told(clips, tokenizer)
    assert line.startswith("2 texts have [UNK], 50 % of all subwords")
    assert line.endswith("v_1, v_2")
    many = [clip(k, "good film bad plot") for k in range(60)]
    assert told([*many, clip(99, "good 电")], tokenizer) == []  # 1 of 242


@pytest.mark.parametrize(("value", "column"), [(3.4e38, 1), (-9999.0, 0), (-3.4e38, 2)])
def test_an_absurd_value_is_told_with_its_column(tokenizer, value, column):
    rows = np.full((6, 3), 5.0)
    rows[2, column] = value
    clips = [clip(0), clip(7, audio=rows)]
    (line,) = told(clips, tokenizer)
    assert line == f"1 clip has values in audio far outside the usual range (columns {column}): v_7"
    # Where it stands in many training clips, too.
    trained_on = [clip(k, audio=rows if k % 3 else None) for k in range(60)]
    assert told(clips, tokenizer, trained_on=trained_on) == [line]


def test_clips_without_a_modality_and_constant_columns_are_told(tokenizer):
    flat = np.tile([1.0, 2.0], (4, 1))
    clips = [clip(k, vision=flat + np.array([0, k])) for k in range(4)] + [
        clip(9, "", vision=np.zeros((0, 0)))
    ]
    measure = Measure(HOW, standardise=True)
    split = Split(Clips(clips), tokenizer, HOW, measure=measure)
    lines = [str(f) for f in of_split(split, HOW, measure.statistics(()), training=True)]
    assert lines == [
        "1 clip is without text: v_9",
        "1 clip is without vision: v_9",
        "1 of 2 columns of vision is constant (counted from 0): 0",
    ]
    deaf = dataclasses.replace(HOW, modalities=("audio",))
    assert [str(f) for f in of_split(split, deaf, measure.statistics(()), training=True)] == []


def test_a_range_is_that_of_the_different_values_of_a_column():
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(size=3000), np.full(3000, -9999.0), np.full(3000, 7.0)], axis=1)
    rows[:1000, 1] = rng.normal(size=1000)
    rows[5, 0] = np.nan
    low, high = robust_range(rows)
    assert low[0] == pytest.approx(-30 * 1.645, rel=0.2)
    assert high[0] == pytest.approx(30 * 1.645, rel=0.2)
    assert -9999 < low[1] < -30  # it stands in two rows of three, but is one value
    assert (low[2], high[2]) == (7 - 210, 7 + 210)


def test_a_sample_is_spread_over_all_rows_and_stays_small():
    sample = Sample()
    for start in range(0, 60000, 7):
        sample.add(np.arange(start, min(start + 7, 60000))[:, None])
    kept = sample.rows()[:, 0]
    assert 400 < len(kept) <= 2 * 512 + 7
    assert len(set(np.diff(kept))) == 1
    assert kept[0] == 0
    assert kept[-1] > 59000


def test_values_are_clipped_before_they_are_measured_and_in_new_clips(tokenizer, tmp_path):
    how = dataclasses.replace(HOW, clip_values=True)
    rows = np.full((6, 3), 5.0, np.float32)
    rows[2, 1] = 3e38
    clips = [clip(k) for k in range(40)] + [clip(90, audio=rows)]
    made, split = Preparation.fit(Clips(clips), tokenizer, how, buckets=1)
    assert 4 < made.statistics.mean["audio"][1] < 7
    assert made.statistics.scale["audio"][1] < 20
    made.save(tmp_path)
    again = Preparation.load(tmp_path)
    for preparation in (made, again):
        batch = next(iter(preparation.in_order(split, batch_size=41, threads=0)))
        assert np.abs(batch["audio"]).max() < 20
        ordinary = preparation.statistics.clip("audio", clips[0]["audio"])
        np.testing.assert_array_equal(ordinary, clips[0]["audio"])
    plain, split = Preparation.fit(Clips(clips), tokenizer, HOW, buckets=1)
    assert plain.statistics.scale["audio"][1] > 1e36  # what a single value does to its column


def test_statistics_without_a_range_come_back_without_one():
    statistics = Statistics.identity({"audio": 2})
    again = Statistics.from_json(json.loads(json.dumps(finite(statistics.to_json()))))
    np.testing.assert_array_equal(again.low["audio"], [-np.inf, -np.inf])
    np.testing.assert_array_equal(again.high["audio"], [np.inf, np.inf])


@pytest.mark.parametrize("value", [-9999.0, 3.4e38])
@pytest.mark.parametrize("share", [1 / 300, 1 / 3])
@pytest.mark.parametrize("levels", [2, 5, 15])
def test_an_absurd_value_is_told_in_a_column_of_few_values_too(value, share, levels):
    rows = np.arange(300)[:, None] % levels * 1.0
    rows[:: round(1 / share)] = value
    low, high = robust_range(rows)
    assert not low[0] <= value <= high[0]
    assert low[0] < 0
    assert high[0] > levels - 1


def test_texts_that_are_no_texts_are_counted(tokenizer):
    texts = ["None", "nan", "??????", "\ufffd\ufffd ??", "#N/A", "good film", "None of them", "why?", ""]
    clips = [clip(k, text) for k, text in enumerate(texts)]
    (line,) = [line for line in told(clips, tokenizer) if "only question marks" in line]
    assert line == (
        '5 texts are "None", "nan" or only question marks, as programs write where they have none: v_0, v_1, '
        "v_2, ..."
    )
    features = dataclasses.replace(HOW, text_width=2)
    given = [clip(0, "None") | {"text_features": np.ones((1, 2), np.float32)}]
    assert not any(
        "question" in str(f) for f in of_split(Split(Clips(given), None, features), features, STILL)
    )


STILL = Statistics(*(dict.fromkeys(("audio", "vision"), np.float32(v)) for v in (0.0, 1.0, -np.inf, np.inf)))
