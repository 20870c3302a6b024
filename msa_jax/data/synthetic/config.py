"""Configs of synthetic corpora: the constants that clips are drawn from, and the shipped presets."""

import dataclasses

from msa_jax.corpora import SPLITS
from msa_jax.data.synthetic.tasks import TASKS
from msa_jax.data.synthetic.worlds import CHANNELS


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """The constants that a corpus is drawn from.

    Attributes:
      seed: seeds the lexicon, the feature columns and every clip.
      counts: clips in train, valid and test.
      audio_width, vision_width: feature columns per row, at least `CHANNELS`.
      sentiment_sd: of the clip's hidden sentiment, a normal cut off at -3 and 3.
      mean_words, words_spread: mean and log-scale spread of the clip's number of words.
      min_words, max_words: its range.
      sentiment_rate: share of words that bear sentiment; every clip has at least one.
      meaning_sd: how far a word's meaning strays from the clip's sentiment.
      text_noise: levels, one drawn per clip, of the error with which a word's polarity shows its meaning.
      irony_rate, irony_length: share of ironic words, and words in a mean ironic span.
      dead_rate, dead_length: share of silent (occluded) rows, and rows in a mean span, in each stream.
      lag_odds: probabilities that a stream lags the words by 0, 1, 2, ... words.
      audio_noise, vision_noise: noise levels of a stream, one drawn per clip.
      valence_noise, marker_noise: noise of the two channels at level 1; the marker itself is -1 or 1.
      annotator_sd: of one annotator's impression, before it is rounded to a whole number.
      task: what the labels are, one of `msa_jax.data.synthetic.tasks.TASKS`.
      text_width: width of the text features, a fixed random vector for each word; 0 for none.
    """

    seed: int = 1
    counts: tuple[int, int, int] = (1284, 229, 686)
    audio_width: int = 74
    vision_width: int = 47
    sentiment_sd: float = 2.5
    mean_words: float = 12.0
    words_spread: float = 0.6
    min_words: int = 2
    max_words: int = 45
    sentiment_rate: float = 0.4
    meaning_sd: float = 0.7
    text_noise: tuple[float, ...] = (0.2, 0.6)
    irony_rate: float = 0.3
    irony_length: float = 5.0
    dead_rate: float = 0.15
    dead_length: float = 3.0
    lag_odds: tuple[float, ...] = (0.6, 0.3, 0.1)
    audio_noise: tuple[float, ...] = (0.4, 1.0)
    vision_noise: tuple[float, ...] = (0.4, 1.0)
    valence_noise: float = 5.0
    marker_noise: float = 0.5
    annotator_sd: float = 0.7
    task: str = "mosi"
    text_width: int = 0

    def __post_init__(self) -> None:
        if min(self.audio_width, self.vision_width) < CHANNELS:
            raise ValueError(f"a stream's {CHANNELS} hidden channels need at least as many feature columns")
        if len(self.counts) != len(SPLITS) or min(self.counts) < 0:
            raise ValueError(f"counts must be one number of clips for each of {SPLITS}, got {self.counts}")
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}")


# Clips of a phrase, most of them ironic as a whole or not at all. A stream is either plain to read or nearly
# useless, so that the other one pays.
_SHORT = SyntheticConfig(
    mean_words=7.0,
    words_spread=0.35,
    max_words=12,
    sentiment_rate=0.6,
    irony_length=10.0,
    dead_rate=0.1,
    lag_odds=(1.0,),
    audio_noise=(0.3, 3.0),
    vision_noise=(0.3, 3.0),
    valence_noise=2.0,
    marker_noise=0.7,
)

PRESETS: dict[str, SyntheticConfig] = {
    "synthetic": SyntheticConfig(),
    "synthetic_ur_funny": SyntheticConfig(task="ur_funny", audio_width=81, vision_width=371),
    "synthetic_iemocap": SyntheticConfig(task="iemocap", audio_width=74, vision_width=35),
    "synthetic_short": _SHORT,
    # Each modality alone can be anything from clear to useless, and is the clearest of the three in about a
    # third of the clips.
    "synthetic_dominance": dataclasses.replace(
        _SHORT,
        meaning_sd=0.5,
        irony_rate=0.05,
        irony_length=6.0,
        text_noise=(0.2, 1.0, 5.0),
        audio_noise=(0.4, 2.0, 6.0),
        vision_noise=(0.4, 2.0, 6.0),
        valence_noise=1.0,
        marker_noise=0.5,
    ),
}
