"""The time line of audio and vision: which rows of a clip go where, with the text or on their own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from msa_jax.corpora import STREAMS
from msa_jax.data import align
from msa_jax.data.example import SPECIAL, UNKNOWN
from msa_jax.data.preprocessing import Preprocessing, Statistics

# How rows reach the text's tokens: by `align.to_tokens`, one to one, or through words. SPREAD is ROWS for
# want of the words. STEPS: there is no text, and the steps are the stream's own.
ROWS, SAME, WORDS, SPREAD, STEPS = "rows", "same tokens", "words", "spread", "steps"


def own_rows(clip: Mapping[str, Any], modality: str, how: Preprocessing) -> np.ndarray:
    """The rows of one modality on its own time line.

    Args:
      clip: as a source gives it.
      modality: "audio" or "vision".
      how: the preprocessing; with `special_rows` those of special tokens are kept.

    Returns:
      [F, D]: the rows in use, without those of special tokens.
    """
    rows = clip[modality]
    if not len(clip["tokens"]) or not len(rows):
        return rows
    if how.special_rows and how.time_line == "own":
        return rows if rows[0].any() else rows[1:]  # a file that has no row for [CLS], or a silent one
    return align.content_rows(rows, clip["token_words"])


def steps(clip: Mapping[str, Any], how: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """The time line of a clip without text, in a run that reads none.

    Args:
      clip: as a source gives it.
      how: the preprocessing.

    Returns:
      (tokens, words), as of a text with a word for each step of the longer stream, at most `max_content`: no
      tokens, and [T] the step, -1 where a text has a special token (text features have none).
    """
    longest = max((len(own_rows(clip, m, how)) for m in STREAMS if m in how.modalities), default=0)
    count = max(min(longest, how.max_content), 1)
    words_T = np.arange(count) if how.text_width else np.r_[SPECIAL, np.arange(count), SPECIAL]
    return np.zeros(0, np.int32), words_T


def route(clip: Mapping[str, Any], tokens_T: np.ndarray, how: Preprocessing) -> str:
    """How the rows of a clip reach the text's tokens.

    Args:
      clip: as a source gives it.
      tokens_T: the ids of the run's tokenizer, special tokens included; empty where the text is features.
      how: the preprocessing.

    Returns:
      `ROWS` where they do not belong to tokens, `SAME` where the run's tokenizer gives the very ids of the
      file (as far as these go) or the text is the features of these tokens, `WORDS` where it gives others,
      and `SPREAD` where it does and the words of the file's tokens are not known.
    """
    if not len(clip["tokens"]) or how.time_line == "own":
        return ROWS
    content_N = clip["tokens"][clip["token_words"] != SPECIAL]
    if how.text_width or np.array_equal(tokens_T[1:-1][: len(content_N)], content_N):
        return SAME
    return SPREAD if (clip["token_words"] == UNKNOWN).any() else WORDS


def on_time_line(
    clip: Mapping[str, Any],
    modality: str,
    words_T: np.ndarray,
    how: Preprocessing,
    statistics: Statistics,
    *,
    route: str,
) -> tuple[np.ndarray, np.ndarray]:
    """One modality of one clip, standardised, on the time line that `how` asks for.

    Args:
      clip: as a source gives it; it has the modality.
      modality: "audio" or "vision".
      words_T: for each step of the text its word, -1 on special tokens.
      how, statistics: the preprocessing.
      route: what `route` says of the clip; `STEPS` where it has no text.

    Returns:
      (features, mask): [F, D] float32 and [F] bool; F = T on the text's time line.
    """
    clip = {**clip, modality: statistics.clip(modality, clip[modality])}
    if how.time_line == "own":
        rows_FD = statistics.apply(modality, own_rows(clip, modality, how))
        if len(rows_FD) > how.max_frames:
            rows_FD = align.resample(rows_FD, how.max_frames)
        return rows_FD, np.ones(len(rows_FD), bool)
    rows_RD, token_words_N = clip[modality], clip["token_words"]
    if route == SAME:
        if how.text_width:  # text features have the same rows
            words_T = np.where(token_words_N == SPECIAL, SPECIAL, np.arange(len(token_words_N)))[
                : len(words_T)
            ]
        return align.from_same_tokens(statistics.apply(modality, rows_RD), token_words_N, words_T)
    if route == WORDS:
        words = 1 + int(max(words_T.max(), token_words_N.max(), 0))
        rows_WD, there_W = align.word_rows(rows_RD, token_words_N, words)
        scaled_WD = np.where(there_W[:, None], statistics.apply(modality, rows_WD), np.float32(0))
        return align.words_to_tokens(scaled_WD, there_W, words_T)
    rows_FD = statistics.apply(modality, own_rows(clip, modality, how))
    # Rows of text features are words only where there are as many.
    aligned = len(rows_FD) == len(words_T) if how.text_width else clip["aligned"] and route != STEPS
    return align.to_tokens(rows_FD, words_T, aligned=aligned)
