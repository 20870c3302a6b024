"""Worlds of synthetic corpora: the words and the feature columns that all clips of one share."""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from msa_jax.corpora import SPLITS

LIMIT = 3.0  # sentiments and labels lie in [-LIMIT, LIMIT]
STEP = 0.5  # words come in polarities that are STEP apart
POLARITIES = np.arange(-LIMIT, LIMIT + STEP, STEP)
VALENCE, MARKER, ENERGY, SPEAKER = range(4)  # hidden channels of a stream; the rest are the speaker's too
CHANNELS = SPEAKER + 2
COLUMN_NOISE = 0.1  # noise floor: standard deviation per feature column, in units of the channels
FILLERS = 60
SYNONYMS = 2


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Feature columns out of a stream's hidden channels: offset + scale * (loadings @ channels + noise).

    The loadings are orthonormal and the noise is the same in every column, so that projecting on them loses
    nothing: `unmix` is a sufficient statistic, with independent noise of COLUMN_NOISE in each channel.
    """

    loadings: np.ndarray
    scale: np.ndarray
    offset: np.ndarray

    def mix(self, channels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Channels [R, CHANNELS] to features, float32 [R, width]."""
        # einsum, not BLAS: the sum's order, and so the bytes, must not hang on the number of threads.
        columns = np.einsum("rc,wc->rw", channels, self.loadings)
        columns += COLUMN_NOISE * rng.standard_normal(columns.shape)
        return (self.offset + self.scale * columns).astype(np.float32)

    def unmix(self, features: np.ndarray) -> np.ndarray:
        """Features [R, width] to noisy channels, float64 [R, CHANNELS]."""
        return np.einsum("rw,wc->rc", (features - self.offset) / self.scale, self.loadings)


class World(NamedTuple):
    """The words and columns that all clips of a corpus share.

    Attributes:
      fillers: words without polarity, the most frequent first.
      lexicon: [13, SYNONYMS] words of each of POLARITIES.
      audio, vision: the feature columns of the two streams.
      vectors: text features of each word, float32 [text_width]; empty where the corpus has none.
    """

    fillers: np.ndarray
    lexicon: np.ndarray
    audio: Mixing
    vision: Mixing
    vectors: dict[str, np.ndarray]


@functools.lru_cache(maxsize=4)
def draw(seed: int, audio_width: int, vision_width: int, text_width: int) -> World:
    """The lexicon and the feature columns of the corpora of these settings (see `SyntheticConfig`)."""
    # The splits' own generators are seeded with [seed, 0], [seed, 1], ...
    rng = np.random.default_rng([seed, len(SPLITS)])
    words = _pseudo_words(FILLERS + POLARITIES.size * SYNONYMS, rng)
    lexicon = words[FILLERS:].reshape(POLARITIES.size, SYNONYMS)
    streams = _mixing(audio_width, rng), _mixing(vision_width, rng)
    vectors = rng.standard_normal((len(words), text_width)).astype(np.float32)
    by_word = dict(zip(words.tolist(), vectors, strict=True)) if text_width else {}
    return World(words[:FILLERS], lexicon, *streams, by_word)


def _pseudo_words(count: int, rng: np.random.Generator) -> np.ndarray:
    words: dict[str, None] = {}
    while len(words) < count:
        # A word of four or five syllables is long enough for a small vocabulary to cut it into pieces.
        syllables = rng.choice([1, 2, 3, 4, 5], p=[0.1, 0.4, 0.3, 0.15, 0.05])
        onsets, vowels = rng.choice(list("bdfgklmnprstvz"), syllables), rng.choice(list("aeiou"), syllables)
        word = "".join(o + v for o, v in zip(onsets, vowels, strict=True)) + rng.choice(
            ["", "l", "n", "r", "m"]
        )
        words[word] = None
    return np.array(list(words))


def _mixing(width: int, rng: np.random.Generator) -> Mixing:
    loadings, _ = np.linalg.qr(rng.standard_normal((width, CHANNELS)))
    scale = 10.0 ** rng.uniform(-1, 1, width)  # real features differ in scale by a hundred
    return Mixing(loadings, scale, scale * rng.normal(0, 2, width))
