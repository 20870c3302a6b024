"""The synthetic corpus: reproducible, of MOSI's shape, and true to the facts that it hands out."""

import dataclasses
import hashlib

import numpy as np
import pytest

from msa_jax.corpora import CORPORA, SPLITS
from msa_jax.data import synthetic
from msa_jax.data.synthetic import MARKER, PRESETS, VALENCE, SyntheticConfig, generation, worlds

SMALL = SyntheticConfig(counts=(60, 20, 30))


@pytest.fixture(scope="module")
def corpus():
    return synthetic.generate(SyntheticConfig())


@pytest.fixture(scope="module")
def rows(corpus):
    """All audio and vision rows: their channels, deadness, and the word that each shows (or would show)."""
    world = synthetic.world(SyntheticConfig())
    columns = {}
    for name, dead_name in (("audio", "silent"), ("vision", "occluded")):
        parts = []
        for example, fact in zip(*corpus, strict=True):
            channels = getattr(world, name).unmix(getattr(example, name))
            dead, lag = getattr(fact, dead_name), getattr(fact, f"{name}_lag")
            word = np.arange(len(dead)) - lag
            assert dead[word < 0].all()
            level = np.full(len(dead), getattr(fact, f"{name}_noise"))
            word = np.maximum(word, 0)
            parts.append(np.column_stack([channels, dead, fact.meaning[word], fact.irony[word], level]))
        columns[name] = np.concatenate(parts)
    return columns


def _same(one, two):
    return all(
        np.array_equal(getattr(a, field.name), getattr(b, field.name))
        for a, b in zip(one, two, strict=True)
        for field in dataclasses.fields(a)
    )


def test_the_seed_fixes_every_byte():
    first, again = synthetic.generate(SMALL), synthetic.generate(SMALL)
    assert _same(first[0], again[0])
    assert _same(first[1], again[1])
    other, _ = synthetic.generate(dataclasses.replace(SMALL, seed=SMALL.seed + 1))
    assert first[0][0].text != other[0].text
    assert [e.label for e in first[0]] != [e.label for e in other]


def test_a_split_does_not_hang_on_the_size_of_the_next():
    more, _ = synthetic.generate(dataclasses.replace(SMALL, counts=(60, 0, 31)))
    assert _same(more[:60], synthetic.generate(SMALL)[0][:60])


def test_counts_shapes_and_labels(corpus):
    examples, facts = corpus
    assert tuple(sum(e.split == split for e in examples) for split in SPLITS) == CORPORA["mosi"].counts
    assert len({e.id for e in examples}) == len(examples)
    for example, fact in zip(examples, facts, strict=True):
        n = len(example.text.split(" "))
        assert 2 <= n <= 45
        assert example.id == fact.id
        assert example.id.startswith(example.video + "_")
        assert example.aligned
        assert example.audio.shape == (n, 74)
        assert example.vision.shape == (n, 47)
        assert example.audio.dtype == example.vision.dtype == np.float32
        assert np.isfinite(example.audio).all()
        assert np.isfinite(example.vision).all()
        per_word = (fact.is_sentiment_word, fact.meaning, fact.irony, fact.silent, fact.occluded)
        assert {len(x) for x in (*per_word, fact.heard, fact.seen)} == {n}
        assert fact.is_sentiment_word.any()
    labels = np.array([e.label for e in examples])
    assert np.abs(labels).max() <= 3
    np.testing.assert_allclose(labels * 5, np.rint(labels * 5), atol=1e-9)
    assert abs(labels.mean()) < 0.15
    assert 1.4 < labels.std() < 1.8
    assert 11 < np.mean([len(f.irony) for f in facts]) < 13
    assert np.mean([f.irony.mean() for f in facts]) == pytest.approx(0.3, abs=0.03)


def test_a_video_lies_in_one_split(corpus):
    examples, _ = corpus
    videos = {}
    for example in examples:
        videos.setdefault(example.video, []).append(example.split)
    assert all(len(set(splits)) == 1 for splits in videos.values())
    assert max(map(len, videos.values())) <= 34
    # Only the last video of a split may be cut short.
    assert sum(len(splits) < 14 for splits in videos.values()) <= len(SPLITS)


def test_irony_flips_the_polarity_of_the_word(corpus):
    world = synthetic.world(SyntheticConfig())
    polarity = {w: p for p, words in zip(synthetic.POLARITIES, world.lexicon, strict=True) for w in words}
    assert len(polarity) == world.lexicon.size
    assert not polarity.keys() & set(world.fillers)
    written, meaning, irony = [], [], []
    for example, fact in zip(*corpus, strict=True):
        found = np.array([polarity.get(word, np.nan) for word in example.text.split(" ")])
        np.testing.assert_array_equal(~np.isnan(found), fact.is_sentiment_word)
        np.testing.assert_array_equal(fact.meaning != 0, fact.is_sentiment_word)
        written.append(found[fact.is_sentiment_word])
        meaning.append(fact.meaning[fact.is_sentiment_word])
        irony.append(fact.irony[fact.is_sentiment_word])
    written, meaning, irony = map(np.concatenate, (written, meaning, irony))
    assert np.corrcoef(written[~irony], meaning[~irony])[0, 1] > 0.9
    assert np.corrcoef(written[irony], meaning[irony])[0, 1] < -0.9


def test_sentiment_words_are_frequent_enough_to_be_learned(corpus):
    train = " ".join(e.text for e in corpus[0] if e.split == "train").split(" ")
    words, counts = np.unique(train, return_counts=True)
    seen = dict(zip(words, counts, strict=True))
    assert min(seen[w] for w in synthetic.world(SyntheticConfig()).lexicon.ravel()) >= 50


@pytest.mark.parametrize("name", ["audio", "vision"])
def test_streams_show_the_lagged_word_where_they_are_alive(rows, name):
    table = rows[name]
    channels, (dead, meaning, irony, level) = table[:, : synthetic.CHANNELS], table[:, synthetic.CHANNELS :].T
    dead, irony = dead.astype(bool), irony.astype(bool)
    assert 0.15 < dead.mean() < 0.35
    np.testing.assert_array_equal(channels[:, synthetic.ENERGY] < 0, dead)
    # Dead rows: the noise floor and nothing else.
    floor = channels[dead][:, [VALENCE, MARKER]]
    assert floor.std() == pytest.approx(synthetic.COLUMN_NOISE, rel=0.05)
    assert np.abs(np.corrcoef(floor[:, 0], meaning[dead])[0, 1]) < 0.05
    # Living rows: the word's meaning and irony, off by the noise of the clip's level.
    config = SyntheticConfig()
    for noise in config.audio_noise:
        here = ~dead & (level == noise)
        valence_error = channels[here, VALENCE] - meaning[here]
        marker_error = channels[here, MARKER] - np.where(irony[here], 1.0, -1.0)
        for error, base in ((valence_error, config.valence_noise), (marker_error, config.marker_noise)):
            assert error.std() == pytest.approx(np.hypot(base * noise, synthetic.COLUMN_NOISE), rel=0.05)
            assert abs(error.mean()) < 4 * error.std() / np.sqrt(error.size)


def test_heard_words_are_those_with_a_living_row():
    _, facts = synthetic.generate(SMALL)
    for fact in facts:
        n = len(fact.silent)
        for k in range(n):
            row = k + fact.audio_lag
            assert fact.heard[k] == (row < n and not fact.silent[row])


def test_columns_differ_in_scale(corpus):
    scales = np.concatenate([e.audio for e in corpus[0]]).std(0)
    assert scales.max() / scales.min() > 30


def test_corpus_key_follows_the_config():
    key = synthetic.corpus_key(SMALL)
    assert key == synthetic.corpus_key(dataclasses.replace(SMALL))
    assert len(key) == 16
    assert key != synthetic.corpus_key(dataclasses.replace(SMALL, marker_noise=0.6))


def _constants(module):
    return {name for name in vars(module) if name.isupper()} - {"PRESETS"}  # configs, not constants


@pytest.mark.parametrize("name", sorted(_constants(generation)))
def test_corpus_key_follows_the_constants(monkeypatch, name):
    key, value = synthetic.corpus_key(SMALL), getattr(generation, name)
    monkeypatch.setattr(generation, name, (*value, "more") if isinstance(value, tuple) else value + 1)
    assert key != synthetic.corpus_key(SMALL)


def test_corpus_key_knows_every_constant_of_the_world():
    assert _constants(worlds) <= _constants(generation)


def test_impossible_configs_are_refused():
    with pytest.raises(ValueError, match="feature columns"):
        SyntheticConfig(vision_width=3)
    with pytest.raises(ValueError, match="counts"):
        SyntheticConfig(counts=(10, 10))


def test_the_default_clips_stay_as_they_are():
    """Results that were published on them hold as long as this does."""
    examples, _ = synthetic.generate(SMALL)
    told = "\n".join(f"{e.id} {e.split} {e.text} {e.label:.1f}" for e in examples)
    assert hashlib.sha256(told.encode()).hexdigest()[:16] == "eff2c192323fb1ef"
    for name, size in (("audio", 3.0540523608), ("vision", 3.1062098948)):
        columns = np.concatenate([getattr(e, name) for e in examples])
        assert np.abs(columns).mean(dtype=np.float64) == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets(name):
    config = PRESETS[name]
    assert config.counts == CORPORA["mosi"].counts
    examples, _ = synthetic.generate(dataclasses.replace(config, counts=(40, 0, 0)))
    for example in examples:
        n = len(example.text.split(" "))
        assert config.min_words <= n <= config.max_words
        assert example.audio.shape == (n, config.audio_width)
        assert example.vision.shape == (n, config.vision_width)
        assert np.shape(example.label) == CORPORA[config.task].label_shape
        assert example.text_features.shape == ((n, config.text_width) if config.text_width else (0, 0))


def test_presets_are_different_corpora():
    assert len({synthetic.corpus_key(config) for config in PRESETS.values()}) == len(PRESETS)


def test_text_features_are_a_vector_for_each_word():
    config = dataclasses.replace(SMALL, text_width=7)
    examples, _ = synthetic.generate(config)
    plain, _ = synthetic.generate(SMALL)
    vectors = {}
    for example, other in zip(examples, plain, strict=True):
        assert example.text_features.dtype == np.float32
        for word, row in zip(example.text.split(" "), example.text_features, strict=True):
            np.testing.assert_array_equal(vectors.setdefault(word, row), row)
        assert example.text == other.text  # all else is as without them
        np.testing.assert_array_equal(example.audio, other.audio)
        assert other.text_features.shape == (0, 0)
    assert len({row.tobytes() for row in vectors.values()}) == len(vectors) > 60
