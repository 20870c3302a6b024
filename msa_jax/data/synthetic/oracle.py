"""Oracle of the synthetic corpus, its best possible predictor: exact Bayesian inference on a grid.

It knows how the corpus is made, but of a clip only what a model sees; `synthetic.floor` scores it.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import special

from msa_jax.data import synthetic
from msa_jax.data.example import Example
from msa_jax.data.synthetic import LIMIT, POLARITIES, STEP, SyntheticConfig
from msa_jax.data.synthetic.posterior import GRID, Posterior

_BATCH = 64


@dataclasses.dataclass
class _Rows:
    """One stream of a batch: channels [B, T] of each row, and the rows that show nothing."""

    valence: np.ndarray
    marker: np.ndarray
    dead: np.ndarray


@dataclasses.dataclass
class _Batch:
    """The observations of B clips of up to T words; `level` is the word's polarity in POLARITIES, or -1."""

    exists: np.ndarray
    level: np.ndarray
    streams: dict[str, _Rows]


def _observe(config: SyntheticConfig, examples: Sequence[Example]) -> _Batch:
    world = synthetic.world(config)
    level_of = {word: i for i, words in enumerate(world.lexicon) for word in words}
    words = [example.text.split(" ") for example in examples]
    shape = (len(words), max(map(len, words)))
    exists = np.arange(shape[1]) < np.array([len(w) for w in words])[:, None]
    level = np.full(shape, -1)
    level[exists] = [level_of.get(word, -1) for clip in words for word in clip]
    streams = {}
    for name in ("audio", "vision"):
        mixing = getattr(world, name)
        channels = np.zeros((*shape, synthetic.CHANNELS))
        channels[exists] = mixing.unmix(np.concatenate([getattr(example, name) for example in examples]))
        dead = channels[..., synthetic.ENERGY] < 0
        streams[name] = _Rows(channels[..., synthetic.VALENCE], channels[..., synthetic.MARKER], dead)
    return _Batch(exists, level, streams)


def _log_normal(x: np.ndarray, mean: np.ndarray | float, sd: np.ndarray | float) -> np.ndarray:
    return -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi)


@dataclasses.dataclass
class _Shifted:
    """A stream under one guess of lag and noise, by *word* [B, T]; zeros where no row shows the word."""

    log_prior: np.ndarray  # [B], of the guess and of the rows that are dead
    shown: np.ndarray
    valence: np.ndarray
    precision: np.ndarray  # of the valence as a sight of the word's meaning
    marker: np.ndarray  # [2, B, T] log likelihood of plain and of ironic


def _guesses(config: SyntheticConfig, batch: _Batch, name: str, levels: Sequence[float]) -> list[_Shifted]:
    rows, width = batch.streams[name], batch.exists.shape[1]
    enter, stay = synthetic.transition(config.dead_rate, config.dead_length)
    chain = np.log([[1 - enter, enter], [1 - stay, stay]])
    start = np.log([1 - config.dead_rate, config.dead_rate])
    guesses = []
    for (lag, odds), noise in itertools.product(enumerate(config.lag_odds), levels):
        before = batch.exists & (np.arange(width) < lag)
        dead = rows.dead.astype(int)
        steps = np.where(np.arange(1, width) <= lag, 0.0, chain[dead[:, :-1], dead[:, 1:]])
        log_prior = np.where(batch.exists[:, 1:], steps, 0.0).sum(1) + np.log(odds / len(levels))
        if lag < width:
            log_prior += np.where(batch.exists[:, lag], start[dead[:, lag]], 0.0)
        log_prior = np.where((before & ~rows.dead).any(1), -np.inf, log_prior)

        def by_word(x: np.ndarray, lag: int = lag) -> np.ndarray:
            return np.pad(x, ((0, 0), (0, lag)))[:, lag:]

        shown = by_word(batch.exists & ~rows.dead)
        sd_valence, sd_marker = (
            np.hypot(base * noise, synthetic.COLUMN_NOISE)
            for base in (config.valence_noise, config.marker_noise)
        )
        marker = np.stack([_log_normal(by_word(rows.marker), sign, sd_marker) for sign in (-1.0, 1.0)])
        valence = np.where(shown, by_word(rows.valence), 0.0)
        precision = np.where(shown, sd_valence**-2, 0.0)
        guesses.append(_Shifted(log_prior, shown, valence, precision, np.where(shown, marker, 0.0)))
    return guesses


def _irony_chain(config: SyntheticConfig, plain: np.ndarray, ironic: np.ndarray) -> np.ndarray:
    """Log likelihood [B, S] of words' log likelihoods [B, T, S], summed over all courses of irony."""
    enter, stay = synthetic.transition(config.irony_rate, config.irony_length)
    peak = np.maximum(plain, ironic)
    plain, ironic = np.exp(plain - peak), np.exp(ironic - peak)
    p_ironic = np.full(plain[:, 0].shape, config.irony_rate)
    product = np.ones_like(p_ironic)  # each factor is above min(enter, 1 - stay): 45 of them cannot underflow
    for k in range(plain.shape[1]):
        joint = ironic[:, k] * p_ironic
        total = joint + plain[:, k] * (1 - p_ironic)
        product *= total
        p_ironic = enter + (stay - enter) * joint / total
    return peak.sum(1) + np.log(product)


@dataclasses.dataclass
class _Heard:
    """The evidence of the streams on each word [B, T], by sentiment [B, T, S], under one guess of each."""

    log_prior: np.ndarray  # [B]
    filler: np.ndarray  # log likelihood of the valences, the word being a filler
    bearing: np.ndarray  # [B, T, S], the word bearing sentiment, its meaning integrated out
    mean: np.ndarray  # [B, T, S] of the meaning of such a word
    sd: np.ndarray  # of the same
    marker: np.ndarray  # [2, B, T]


def _listen(config: SyntheticConfig, batch: _Batch, streams: tuple[_Shifted, ...]) -> _Heard:
    zero, prior = np.zeros(batch.exists.shape), config.meaning_sd**-2
    precision = prior + sum((s.precision for s in streams), zero)
    pull = sum((s.precision * s.valence for s in streams), zero)
    filler = zero
    for s in streams:
        seen = _log_normal(s.valence, 0.0, 1 / np.sqrt(np.where(s.shown, s.precision, 1.0)))
        filler = filler + np.where(s.shown, seen, 0.0)
    mean = (prior * GRID + pull[..., None]) / precision[..., None]
    # The integral over m of N(m; s, meaning_sd) * prod N(valence; m, sd), as its ratio to the filler's
    # prod N(valence; 0, sd).
    ratio = mean**2 * precision[..., None] - prior * GRID**2 + np.log(prior / precision)[..., None]
    return _Heard(
        log_prior=sum((s.log_prior for s in streams), np.zeros(len(zero))),
        filler=filler,
        bearing=filler[..., None] + 0.5 * ratio,
        mean=mean,
        sd=precision**-0.5,
        marker=sum((s.marker for s in streams), np.zeros((2, *zero.shape))),
    )


def _without_text(config: SyntheticConfig, batch: _Batch, heard: _Heard) -> np.ndarray:
    """Log likelihood [B, S], summed over which words bear sentiment, less the case that none does."""
    rate = config.sentiment_rate
    filler = np.where(batch.exists, heard.filler + np.log1p(-rate), 0.0)[..., None]
    bearing = np.where(batch.exists[..., None], heard.bearing + np.log(rate), -np.inf)
    either = np.logaddexp(bearing, filler).sum(1)
    words = either + np.log(-np.expm1(filler.sum(1) - either))
    irony = _irony_chain(config, heard.marker[0][..., None], heard.marker[1][..., None])
    return heard.log_prior[:, None] + words + irony


def _with_text(config: SyntheticConfig, batch: _Batch, heard: _Heard, noise: float) -> np.ndarray:
    """Log likelihood [B, S] under a guess of the level of the text's noise."""
    bears = batch.level >= 0
    words = np.where(bears[..., None], heard.bearing, heard.filler[..., None])
    words = np.where(batch.exists[..., None], words, 0.0).sum(1)
    polarity = POLARITIES[batch.level[bears]][:, None]
    low = np.where(polarity == -LIMIT, -np.inf, polarity - STEP / 2)
    high = np.where(polarity == LIMIT, np.inf, polarity + STEP / 2)
    mean, sd = heard.mean[bears], np.hypot(noise, heard.sd[bears])[:, None]
    emission = np.repeat(heard.marker[..., None], GRID.size, -1)
    for irony, sign in enumerate((1.0, -1.0)):
        a, b = (low - sign * mean) / sd, (high - sign * mean) / sd
        upper = a > 0  # where differences of probabilities near 1 would be lost to rounding: mirror them
        inside = special.ndtr(np.where(upper, -a, b)) - special.ndtr(np.where(upper, -b, a))
        emission[irony][bears] += np.log(np.maximum(inside, 1e-300))
    return heard.log_prior[:, None] + words + _irony_chain(config, *emission)


def label_given_sentiment(config: SyntheticConfig) -> np.ndarray:
    """[S, 31]: the distribution of the annotators' mean for each sentiment in GRID."""
    cuts = np.concatenate([[-np.inf], np.arange(-LIMIT, LIMIT) + 0.5, [np.inf]])
    rating = np.diff(special.ndtr((cuts - GRID[:, None]) / config.annotator_sd), axis=1)
    label = np.ones((GRID.size, 1))
    for _ in range(synthetic.ANNOTATORS):
        label = np.stack([np.convolve(a, b) for a, b in zip(label, rating, strict=True)])
    return label


def posterior(
    config: SyntheticConfig,
    examples: Sequence[Example],
    *,
    use_text: bool = True,
    use_audio: bool = True,
    use_vision: bool = True,
) -> Posterior:
    """The posterior of sentiment and label, given the chosen modalities of clips.

    Lags, noise levels, irony and meanings are summed out; the examples' labels are not looked at.

    Args:
      config: the config that the examples were generated from.
      examples: N clips.
      use_text, use_audio, use_vision: the modalities that may be looked at.

    Returns:
      The posterior, in the order of the examples.
    """
    log_prior = -0.5 * (GRID / config.sentiment_sd) ** 2
    log_prior[[0, -1]] += np.log(0.5)  # the cells at the ends are half as wide
    order = np.argsort([len(example.audio) for example in examples], kind="stable")  # little padding
    sentiment = np.empty((len(examples), GRID.size))
    for start in range(0, len(order), _BATCH):
        index = order[start : start + _BATCH]
        batch = _observe(config, [examples[i] for i in index])
        guesses = []
        if use_audio:
            guesses.append(_guesses(config, batch, "audio", config.audio_noise))
        if use_vision:
            guesses.append(_guesses(config, batch, "vision", config.vision_noise))
        total = np.full((len(index), GRID.size), -np.inf)
        for streams in itertools.product(*guesses):
            heard = _listen(config, batch, streams)
            if use_text:
                for noise in config.text_noise:
                    total = np.logaddexp(total, _with_text(config, batch, heard, noise))
            else:
                total = np.logaddexp(total, _without_text(config, batch, heard))
        sentiment[index] = special.softmax(total + log_prior, axis=1)
    return Posterior(sentiment, sentiment @ label_given_sentiment(config))


def errors_by_modality(config: SyntheticConfig, examples: Sequence[Example]) -> np.ndarray:
    """How well each modality alone tells the label.

    Args:
      config: the config that the examples were generated from.
      examples: N clips.

    Returns:
      [N, 3] the error that the best prediction from text, audio or vision alone can expect.
    """
    errors = [
        posterior(config, examples, use_text=t, use_audio=a, use_vision=v).expected_error(config.task)
        for t, a, v in np.eye(3, dtype=bool)
    ]
    return np.stack(errors, axis=1)


def least_uncertain(config: SyntheticConfig, examples: Sequence[Example]) -> np.ndarray:
    """The least noisy modality of each clip: the one that alone promises the smallest error of the label.

    Args:
      config: the config that the examples were generated from.
      examples: N clips.

    Returns:
      int [N], places in ("text", "audio", "vision"); the first of equals.
    """
    return errors_by_modality(config, examples).argmin(1)
