"""The time line of audio and vision: which rows of a clip go where, with the text or on their own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from msa_jax.data import align
from msa_jax.data.example import SPECIAL
from msa_jax.data.preprocessing import Preprocessing, Statistics


def own_rows(clip: Mapping[str, Any], modality: str, how: Preprocessing) -> np.ndarray:
    """The rows [F, D] of one modality without those of special tokens, unless `how` asks for these."""
    rows = clip[modality]
    if not len(clip["tokens"]) or (how.special_rows and how.time_line == "own"):
        return rows
    return align.content_rows(rows, clip["token_words"])


def lacks_words(clip: Mapping[str, Any], tokens_T: np.ndarray, how: Preprocessing) -> bool:
    """Whether the rows belong to tokens whose words are not known, but needed.

    They are needed where the rows go to the tokens of another tokenizer. Such rows are spread over the text.

    Args:
      clip: as a source gives it.
      tokens_T: the ids of the run's tokenizer, special tokens included.
      how: the preprocessing.
    """
    if not len(clip["tokens"]) or how.time_line == "own" or how.text_width:
        return False
    return bool(clip["token_words"].min() < SPECIAL) and not _same_tokens(clip, tokens_T)


def on_time_line(
    clip: Mapping[str, Any],
    modality: str,
    tokens_T: np.ndarray,
    words_T: np.ndarray,
    how: Preprocessing,
    statistics: Statistics,
) -> tuple[np.ndarray, np.ndarray]:
    """One modality of one clip, standardised, on the time line that `how` asks for.

    Args:
      clip: as a source gives it; it has the modality.
      modality: "audio" or "vision".
      tokens_T: the ids of the whole text; empty where the text is features.
      words_T: for each step of the text its word, -1 on special tokens.
      how, statistics: the preprocessing.

    Returns:
      (features, mask): [F, D] float32 and [F] bool.
    """
    if how.time_line == "own":
        rows_FD = statistics.apply(modality, own_rows(clip, modality, how))
        if len(rows_FD) > how.max_frames:
            rows_FD = align.resample(rows_FD, how.max_frames)
        return rows_FD, np.ones(len(rows_FD), bool)
    if len(clip["tokens"]) and not lacks_words(clip, tokens_T, how):
        return _of_tokens(clip, modality, tokens_T, words_T, how, statistics)
    rows_FD = statistics.apply(modality, own_rows(clip, modality, how))
    # Rows of text features are words only where there are as many.
    aligned = len(rows_FD) == len(words_T) if how.text_width else clip["aligned"]
    return align.to_tokens(rows_FD, words_T, aligned=aligned)


def _of_tokens(
    clip: Mapping[str, Any],
    modality: str,
    tokens_T: np.ndarray,
    words_T: np.ndarray,
    how: Preprocessing,
    statistics: Statistics,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a file's tokens on the text's time line: one to one, or by word to another tokenizer's."""
    rows_RD, token_words_N = clip[modality], clip["token_words"]
    if how.text_width:  # text features have the same rows
        steps_N = np.where(token_words_N == SPECIAL, -1, np.arange(len(token_words_N)))
        return align.from_same_tokens(statistics.apply(modality, rows_RD), token_words_N, steps_N)
    if _same_tokens(clip, tokens_T):
        return align.from_same_tokens(statistics.apply(modality, rows_RD), token_words_N, words_T)
    words = 1 + int(max(words_T.max(), token_words_N.max(), 0))
    rows_WD, there_W = align.word_rows(rows_RD, token_words_N, words)
    scaled_WD = np.where(there_W[:, None], statistics.apply(modality, rows_WD), np.float32(0))
    return align.expand_words(scaled_WD, words_T), (words_T >= 0) & there_W[words_T]


def _same_tokens(clip: Mapping[str, Any], tokens_T: np.ndarray) -> bool:
    """Whether the run's tokenizer gives the very ids of the file, as far as these go."""
    content_N = clip["tokens"][clip["token_words"] != SPECIAL]
    return np.array_equal(tokens_T[1:-1][: len(content_N)], content_N)
