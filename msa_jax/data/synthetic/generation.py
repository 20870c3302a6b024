"""Generation of the clips of a synthetic corpus, with their hidden truth."""

import dataclasses
import hashlib
import json
from typing import NamedTuple

import numpy as np
from scipy import special

from msa_jax.corpora import SPLITS
from msa_jax.data.example import Example, no_features
from msa_jax.data.synthetic import tasks, worlds
from msa_jax.data.synthetic.config import SyntheticConfig
from msa_jax.data.synthetic.worlds import (
    CHANNELS,
    COLUMN_NOISE,
    ENERGY,
    FILLERS,
    LIMIT,
    MARKER,
    POLARITIES,
    SPEAKER,
    STEP,
    SYNONYMS,
    VALENCE,
    World,
)

VERSION = 1  # goes into `corpus_key`: raise it when other code makes other clips of the same config
ANNOTATORS = 5  # their mean lies on a grid of 0.2, as MOSI's labels do
ENERGY_ON = 1.0  # dead rows have -ENERGY_ON: far enough apart for no noise to confuse them


@dataclasses.dataclass(frozen=True)
class Facts:
    """The hidden truth of one clip of n words.

    Attributes:
      id: the id of the example.
      sentiment: what the annotators saw before their own noise, in [-3, 3].
      is_sentiment_word: bool [n].
      meaning: float [n], what each word means, 0 on fillers. Under irony the word on the page shows the
        opposite.
      irony: bool [n], the word belongs to an ironic span.
      silent: bool [n], *row* r of audio shows no word: silence, or the stream has not begun (r < audio_lag).
      occluded: bool [n], the same for vision.
      audio_lag, vision_lag: row r shows word r - lag; what would fall beyond the last row is lost.
      text_noise, audio_noise, vision_noise: the levels drawn for the clip.
    """

    id: str
    sentiment: float
    is_sentiment_word: np.ndarray
    meaning: np.ndarray
    irony: np.ndarray
    silent: np.ndarray
    occluded: np.ndarray
    audio_lag: int
    vision_lag: int
    text_noise: float
    audio_noise: float
    vision_noise: float

    @property
    def heard(self) -> np.ndarray:
        """bool [n], some row of audio shows *word* k."""
        return _shown(self.silent, self.audio_lag)

    @property
    def seen(self) -> np.ndarray:
        """bool [n], some row of vision shows *word* k."""
        return _shown(self.occluded, self.vision_lag)


def _shown(dead_rows: np.ndarray, lag: int) -> np.ndarray:
    return np.concatenate([~dead_rows[lag:], np.zeros(min(lag, len(dead_rows)), bool)])


def world(config: SyntheticConfig) -> World:
    """The lexicon and the feature columns of `config`."""
    return worlds.draw(config.seed, config.audio_width, config.vision_width, config.text_width)


def transition(rate: float, length: float) -> tuple[float, float]:
    """Two-state chain with a stationary share and a mean span: P(on | off) and P(on | on)."""
    return rate / (1 - rate) / length, 1 - 1 / length


def _spans(rate: float, length: float, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    enter, stay = transition(rate, length)
    draws = rng.random(shape)
    on = np.zeros(shape, bool)
    on[:, 0] = draws[:, 0] < rate
    for k in range(1, shape[1]):
        on[:, k] = draws[:, k] < np.where(on[:, k - 1], stay, enter)
    return on


class _Stream(NamedTuple):
    rows: list[np.ndarray]
    dead: np.ndarray
    lag: np.ndarray
    noise: np.ndarray


def _stream(config, mixing, levels, meaning, irony, lengths, speaker, rng) -> _Stream:
    """Audio or vision of clips whose words mean `meaning` [N, T], of which the first `lengths` [N] exist."""
    shape = meaning.shape
    lag = rng.choice(len(config.lag_odds), shape[0], p=config.lag_odds)
    noise = rng.choice(levels, shape[0])
    row = np.arange(shape[1])
    dead = _spans(config.dead_rate, config.dead_length, shape, rng) | (row < lag[:, None])
    word = np.maximum(row - lag[:, None], 0)
    channels = np.empty((*shape, CHANNELS))
    channels[..., VALENCE] = np.take_along_axis(meaning, word, 1)
    channels[..., MARKER] = np.where(np.take_along_axis(irony, word, 1), 1.0, -1.0)
    for channel, sd in ((VALENCE, config.valence_noise), (MARKER, config.marker_noise)):
        channels[..., channel] += sd * noise[:, None] * rng.standard_normal(shape)
    channels[..., SPEAKER:] = speaker[:, None]
    channels[dead] = 0.0
    channels[..., ENERGY] = np.where(dead, -ENERGY_ON, ENERGY_ON)
    features = mixing.mix(channels[row < lengths[:, None]], rng)
    return _Stream(np.split(features, np.cumsum(lengths)[:-1]), dead, lag, noise)


def _split(config: SyntheticConfig, index: int, first_video: int) -> tuple[list[Example], list[Facts]]:
    # A generator of its own for each split: another number of clips in one leaves the others as they are.
    rng = np.random.default_rng([config.seed, index])
    here, count = world(config), config.counts[index]
    sizes = rng.integers(14, 35, count)  # clips per video, more videos than it takes
    video = np.repeat(np.arange(count), sizes)[:count]
    number = np.arange(count) - np.searchsorted(video, video)

    cut = special.ndtr(LIMIT / config.sentiment_sd)
    sentiment = config.sentiment_sd * special.ndtri(rng.uniform(1 - cut, cut, count))
    mean_log = np.log(config.mean_words) - config.words_spread**2 / 2
    lengths = np.rint(rng.lognormal(mean_log, config.words_spread, count)).astype(int)
    lengths = np.clip(lengths, config.min_words, config.max_words)
    shape = (count, int(lengths.max()))
    exists = np.arange(shape[1]) < lengths[:, None]

    bears = rng.random(shape) < config.sentiment_rate
    while (bare := ~(bears & exists).any(1)).any():
        bears[bare] = rng.random((int(bare.sum()), shape[1])) < config.sentiment_rate
    meaning = sentiment[:, None] + config.meaning_sd * rng.standard_normal(shape)
    meaning = np.where(bears, meaning, 0.0)
    irony = _spans(config.irony_rate, config.irony_length, shape, rng)

    text_noise = rng.choice(config.text_noise, count)
    written = np.where(irony, -meaning, meaning) + text_noise[:, None] * rng.standard_normal(shape)
    level = np.clip(np.rint((written + LIMIT) / STEP), 0, POLARITIES.size - 1).astype(int)
    zipf = 1.0 / np.arange(1, FILLERS + 1)
    filler = here.fillers[rng.choice(FILLERS, shape, p=zipf / zipf.sum())]
    words = np.where(bears, here.lexicon[level, rng.integers(SYNONYMS, size=shape)], filler)

    speaker = rng.standard_normal((count, CHANNELS - SPEAKER))[video]
    shared = (meaning, irony, lengths, speaker, rng)
    audio = _stream(config, here.audio, config.audio_noise, *shared)
    vision = _stream(config, here.vision, config.vision_noise, *shared)
    ratings = sentiment[:, None] + config.annotator_sd * rng.standard_normal((count, ANNOTATORS))
    label = tasks.labels(config.task, np.clip(np.rint(ratings), -LIMIT, LIMIT).sum(1) / ANNOTATORS)

    examples, facts = [], []
    for i, n in enumerate(lengths):
        name = f"synth{first_video + video[i]:04d}"
        clip = f"{name}_{number[i] + 1}"
        streams = (audio.rows[i], vision.rows[i])
        text, truth = " ".join(words[i, :n]), label[i] if label.ndim > 1 else float(label[i])
        vectors = np.stack([here.vectors[word] for word in words[i, :n]]) if here.vectors else no_features()
        examples.append(Example(clip, name, SPLITS[index], text, *streams, True, truth, vectors))
        per_word = {"is_sentiment_word": bears, "meaning": meaning, "irony": irony}
        per_word |= {"silent": audio.dead, "occluded": vision.dead}
        facts.append(
            Facts(
                id=clip,
                sentiment=float(sentiment[i]),
                audio_lag=int(audio.lag[i]),
                vision_lag=int(vision.lag[i]),
                text_noise=float(text_noise[i]),
                audio_noise=float(audio.noise[i]),
                vision_noise=float(vision.noise[i]),
                **{fact: values[i, :n] for fact, values in per_word.items()},
            )
        )
    return examples, facts


def generate(config: SyntheticConfig) -> tuple[list[Example], list[Facts]]:
    """Draws the corpus.

    Args:
      config: what to draw it from.

    Returns:
      The examples (word-aligned; train, then valid, then test) and, in the same order, their hidden facts.
    """
    examples: list[Example] = []
    facts: list[Facts] = []
    videos = 0
    for index, count in enumerate(config.counts):
        if count:
            new, hidden = _split(config, index, videos)
            examples += new
            facts += hidden
            videos += len({example.video for example in new})
    return examples, facts


def corpus_key(config: SyntheticConfig) -> str:
    """Names the corpus of `config`: 16 hexadecimal digits that change with it and every module constant."""
    words = (LIMIT, STEP, POLARITIES.tolist(), FILLERS, SYNONYMS)
    rows = (VALENCE, MARKER, ENERGY, SPEAKER, CHANNELS, ENERGY_ON, COLUMN_NOISE)
    content = [VERSION, SPLITS, ANNOTATORS, words, rows, tasks.BANDS, dataclasses.asdict(config)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
