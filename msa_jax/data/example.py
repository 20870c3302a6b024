"""Examples: one clip as every reader yields it and every dataset stores it."""

import dataclasses

import numpy as np


def no_features() -> np.ndarray:
    """The features of a modality that a clip does not have: float32 [0, 0]."""
    return np.zeros((0, 0), np.float32)


def is_silent(rows: np.ndarray) -> bool:
    """Whether features have rows, and all of them are zero: what is written where nothing was found."""
    return rows.size > 0 and not rows.any()


SPECIAL = -1  # the word of a special token
UNKNOWN = -2  # the word of a token whose word is not known; as in `msa_jax.text.piece_words`


def no_tokens() -> np.ndarray:
    """The tokens, or their words, of a clip whose rows do not belong to tokens: int32 [0]."""
    return np.zeros(0, np.int32)


def no_unimodal_labels() -> np.ndarray:
    """The labels by modality of a clip that has none: float64 [0]."""
    return np.zeros(0, np.float64)


@dataclasses.dataclass
class Example:
    """One utterance with up to three modalities.

    Attributes:
      id: unique name of the clip within its corpus, `<video>_<clip>` where the file allows it.
      video: the video (speaker's recording) that the clip was cut from; splits are cut by it.
      split: "train", "valid" or "test"; "" where the file does not divide its clips.
      text: the transcript, words separated by single spaces.
      audio: float32 [A, d_a]; shape (0, 0) where the clip has no audio features.
      vision: float32 [V, d_v]; shape (0, 0) where the clip has no vision features.
      aligned: True where audio and vision have exactly one row per word of `text.split(" ")`.
      label: sentiment score in the corpus's own range or a class, 0 or 1; for IEMOCAP an array [4] of classes
        in the order of `msa_jax.corpora.EMOTIONS`; NaN where the file gives none.
      text_features: float32 [T, d_t], features of the text that the file brings, one row for each token of
        the tokenizer that produced them; shape (0, 0) where there are none.
      unimodal_labels: float64 [3], what annotators gave who had the text, the audio or the vision alone, in
        this order (CH-SIMS), NaN where one is not given; shape (0,) where there are none.
      tokens: int32 [n], the ids of BERT's tokens, special tokens among them, where row i of audio and vision
        is that of token i (a stream may end before the last one), and of the text features as well; shape
        (0,) where the rows are others.
      token_words: int32 [n], of each of these tokens its word, an index into `msa_jax.text.words_of(text)`;
        `SPECIAL` on special tokens, `UNKNOWN` where the word is not known.
    """

    id: str
    video: str
    split: str
    text: str
    audio: np.ndarray
    vision: np.ndarray
    aligned: bool
    label: float | np.ndarray
    text_features: np.ndarray = dataclasses.field(default_factory=no_features)
    unimodal_labels: np.ndarray = dataclasses.field(default_factory=no_unimodal_labels)
    tokens: np.ndarray = dataclasses.field(default_factory=no_tokens)
    token_words: np.ndarray = dataclasses.field(default_factory=no_tokens)
