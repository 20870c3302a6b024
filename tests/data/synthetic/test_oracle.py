"""The oracle: against inference by brute force, its own uncertainty, and lesser predictors."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Ridge

from msa_jax.data import synthetic
from msa_jax.data.synthetic import PRESETS, SyntheticConfig, oracle, tasks
from msa_jax.data.synthetic.floor import MODALITIES, floor, main, scores
from msa_jax.data.synthetic.posterior import GRID, LABELS

CONFIG = SyntheticConfig()
CLIPS = 1000


@pytest.fixture(scope="module")
def sample():
    return synthetic.generate(dataclasses.replace(CONFIG, counts=(0, 0, CLIPS)))


@pytest.fixture(scope="module")
def labels(sample):
    return np.array([example.label for example in sample[0]])


@pytest.fixture(scope="module")
def found(sample):
    return {
        name: oracle.posterior(CONFIG, sample[0], use_text=t, use_audio=a, use_vision=v)
        for name, (t, a, v) in MODALITIES.items()
    }


def test_text_posterior_agrees_with_brute_force():
    """Irony, noise level and meaning summed one by one, the last by quadrature."""
    config = dataclasses.replace(CONFIG, counts=(0, 0, 40), max_words=6, mean_words=4.0)
    examples, _ = synthetic.generate(config)
    lexicon = synthetic.world(config).lexicon
    level_of = {word: i for i, words in enumerate(lexicon) for word in words}
    edges = np.concatenate([[-np.inf], synthetic.POLARITIES[:-1] + synthetic.STEP / 2, [np.inf]])
    enter, stay = synthetic.transition(config.irony_rate, config.irony_length)
    start, chain = [1 - config.irony_rate, config.irony_rate], [[1 - enter, enter], [1 - stay, stay]]
    deviation = np.linspace(-6, 6, 241) * config.meaning_sd
    weight = stats.norm.pdf(deviation, 0, config.meaning_sd)
    weight /= weight.sum()
    meaning = GRID[:, None] + deviation
    prior = stats.norm.pdf(GRID, 0, config.sentiment_sd)
    prior[[0, -1]] /= 2
    result = oracle.posterior(config, examples, use_audio=False, use_vision=False).sentiment
    for example, row in zip(examples, result, strict=True):
        words = example.text.split(" ")
        total = np.zeros(GRID.size)
        for noise in config.text_noise:
            shown = {}
            for i in {level_of[w] for w in words if w in level_of}:
                for irony, sign in enumerate((1, -1)):
                    upper, lower = (edges[i + j] - sign * meaning for j in (1, 0))
                    inside = stats.norm.cdf(upper / noise) - stats.norm.cdf(lower / noise)
                    shown[i, irony] = inside @ weight
            for path in np.ndindex(*(2,) * len(words)):
                p = start[path[0]] * np.prod([chain[a][b] for a, b in itertools.pairwise(path)])
                for word, irony in zip(words, path, strict=True):
                    p = p * shown[level_of[word], irony] if word in level_of else p
                total += p
        total *= prior
        np.testing.assert_allclose(row, total / total.sum(), atol=2e-4)


def test_labels_are_not_looked_at(sample):
    blind = [dataclasses.replace(example, label=np.nan) for example in sample[0][:20]]
    one, two = (oracle.posterior(CONFIG, examples) for examples in (sample[0][:20], blind))
    np.testing.assert_array_equal(one.sentiment, two.sentiment)


def test_order_and_batching_do_not_matter(sample, found):
    alone = oracle.posterior(CONFIG, sample[0][7:8]).sentiment[0]
    np.testing.assert_allclose(found["text, audio, vision"].sentiment[7], alone, atol=1e-10)


@pytest.mark.parametrize("name", list(MODALITIES))
def test_posterior_is_calibrated(sample, labels, found, name):
    truth = np.array([fact.sentiment for fact in sample[1]])
    for mass in (0.5, 0.8):
        low, high = found[name].interval(mass)
        covered = np.mean((low <= truth) & (truth <= high))
        assert abs(covered - mass) < 3.5 * np.sqrt(mass * (1 - mass) / CLIPS)
    # It also knows how far off it will be.
    expected = np.abs(LABELS - found[name].median()[:, None])
    expected = (found[name].label * expected).sum(1)
    error = np.abs(found[name].median() - labels)
    assert abs((error - expected).mean()) < 3.5 * (error - expected).std() / np.sqrt(CLIPS)


def _gain(better, worse, labels):
    """How much lower the first's absolute error is, in standard errors of the paired difference."""
    gap = np.abs(worse - labels) - np.abs(better - labels)
    return gap.mean() / (gap.std() / np.sqrt(len(gap)))


def test_each_modality_pays(labels, found):
    median = {name: posterior.median() for name, posterior in found.items()}
    for partial in ("text, audio", "text, vision"):
        assert _gain(median["text, audio, vision"], median[partial], labels) > 2
        assert _gain(median[partial], median["text"], labels) > 10
    assert _gain(median["text, audio, vision"], median["audio, vision"], labels) > 10


def test_simple_predictors_are_beaten(labels, sample, found):
    train, _ = synthetic.generate(dataclasses.replace(CONFIG, counts=(1284, 0, 0)))
    y = np.array([example.label for example in train])
    words = CountVectorizer(token_pattern=r"\S+")
    x = words.fit_transform([example.text for example in train])
    ridge = Ridge(10.0).fit(x, y).predict(words.transform([example.text for example in sample[0]]))
    assert _gain(ridge, np.full(CLIPS, y.mean()), labels) > 3
    assert _gain(found["text"].median(), ridge, labels) > 3


def test_the_docstring_tells_the_floor(labels, found):
    told = re.findall(r"^    ((?:[a-z]+, )*[a-z]+) +(\d\.\d+) ± (\d\.\d+)", synthetic.__doc__, re.MULTILINE)
    told = {name: (float(mae), float(error)) for name, mae, error in told}
    assert told.keys() == {*MODALITIES, "sentiment"}
    for name, posterior in found.items():
        mine = scores(posterior, labels)
        mae, error = told[name]
        assert abs(mine["mae"] - mae) < 3.5 * np.hypot(mine["mae_se"], error)


def test_floor_reports_every_predictor():
    table = floor(CONFIG, n_clips=150)
    assert table.keys() == {*MODALITIES, "sentiment"}
    assert table["sentiment"]["mae"] < table["text, audio, vision"]["mae"] < table["text"]["mae"]
    assert table["sentiment"]["corr"] > 0.95


@pytest.mark.parametrize("preset", ["synthetic_short", "synthetic_dominance"])
def test_each_modality_pays_in_short_clips(preset):
    """Enough for a table of models trained on some of the modalities."""
    mae = {name: row["mae"] for name, row in floor(PRESETS[preset], n_clips=600).items()}
    for one in ("audio", "vision"):
        assert mae["text, audio, vision"] + 0.03 < mae[f"text, {one}"] < mae["text"] - 0.1
    assert mae["text, audio, vision"] + 0.1 < mae["audio, vision"] < min(mae["audio"], mae["vision"]) - 0.1


@pytest.mark.parametrize("preset", ["synthetic_ur_funny", "synthetic_iemocap"])
def test_floor_of_classes(preset):
    table = floor(PRESETS[preset], n_clips=300)
    assert table.keys() == {*MODALITIES, "sentiment"}
    acc = {name: row["acc"] for name, row in table.items()}
    assert acc["sentiment"] > acc["text, audio, vision"] > acc["text"] + 4
    assert acc["text, audio, vision"] > acc["audio, vision"] + 4
    if preset == "synthetic_iemocap":
        for row in table.values():
            each = [row[f"acc_{name}"] for name in ("happy", "sad", "angry", "neutral")]
            assert np.mean(each) == pytest.approx(row["acc"])


@pytest.mark.parametrize("task", ["ur_funny", "iemocap"])
def test_class_probabilities_are_calibrated(sample, labels, found, task):
    truth = tasks.labels(task, labels).reshape(CLIPS, -1)
    for posterior in found.values():
        chance = posterior.classes(task).reshape(CLIPS, -1)
        gap = (chance - truth).mean(0)
        assert (np.abs(gap) < 4 * (chance - truth).std(0) / np.sqrt(CLIPS)).all()
        errors = ((chance > 0.5) != truth).mean(1) - posterior.expected_error(task)
        assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(CLIPS)


@pytest.mark.parametrize("clear", [0, 1, 2])
def test_the_least_noisy_modality_is_the_clear_one(clear):
    noise = [(50.0,)] * 3
    noise[clear] = (0.1,)
    config = dataclasses.replace(
        PRESETS["synthetic_dominance"], counts=(0, 0, 60), dead_rate=1e-3, irony_rate=0.01, irony_length=2.0,
        **dict(zip(("text_noise", "audio_noise", "vision_noise"), noise, strict=True)),
    )  # fmt: skip
    chosen = oracle.least_uncertain(config, synthetic.generate(config)[0])
    assert chosen.shape == (60,)
    assert np.mean(chosen == clear) > 0.95


def test_dominance_spreads_over_the_modalities():
    config = dataclasses.replace(PRESETS["synthetic_dominance"], counts=(0, 0, 600))
    examples, facts = synthetic.generate(config)
    chosen = oracle.least_uncertain(config, examples)
    assert np.bincount(chosen, minlength=3).min() > 0.2 * len(chosen)
    # It is the modality whose level of noise was drawn low, and its prediction is truly the better one.
    levels = np.array([(f.text_noise, f.audio_noise, f.vision_noise) for f in facts])
    errors = []
    for t, a, v in np.eye(3, dtype=bool):
        found = oracle.posterior(config, examples, use_text=t, use_audio=a, use_vision=v)
        errors.append(np.abs(found.median() - [e.label for e in examples]))
    for place in range(3):
        assert levels[chosen == place, place].mean() < levels[chosen != place, place].mean() / 2
        assert np.choose(chosen, errors).mean() < errors[place].mean() - 0.1


def test_floor_of_a_preset_is_printed(capsys, monkeypatch):
    monkeypatch.setattr("msa_jax.data.synthetic.floor.floor", lambda config: floor(config, n_clips=30))
    main(["synthetic_iemocap"])
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["told", "acc", "acc_happy", "acc_sad", "acc_angry", "acc_neutral"]
    assert len(rows) == len(MODALITIES) + 1
    with pytest.raises(SystemExit, match=r"usage: .*synthetic_short"):
        main(["synthetic_long"])
