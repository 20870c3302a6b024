"""Alignment of audio and vision with the text's tokens.

Source: CrossSent (Liu et al. 2026), section 4.2: word-level rows are repeated for every subword of their
word; a stream of its own rate is resampled to the number of content tokens. Rows of the tokens of another
tokenizer (MMSA's aligned files) go through words.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from msa_jax.data.example import SPECIAL


def words_to_tokens(
    rows_WD: Float[np.ndarray, "W D"],
    there_W: Bool[np.ndarray, " W"],
    word_ids_T: Int[np.ndarray, " T"],
) -> tuple[Float[np.ndarray, "T D"], Bool[np.ndarray, " T"]]:
    """Repeats each word's row for every one of its subwords: the one way of rows by word to tokens.

    Args:
      rows_WD: one row per word, as the file has them or as `word_rows` makes them of rows by subword.
      there_W: which words have a row.
      word_ids_T: for each token the index of its word; -1 on special tokens.

    Returns:
      (features, mask): [T, D] float32, zeros on special tokens, and [T] bool, False on these and where the
      word has no row.
    """
    out_TD = np.zeros((len(word_ids_T), rows_WD.shape[1]), np.float32)
    content = word_ids_T >= 0
    out_TD[content] = rows_WD[word_ids_T[content]]
    content[content] = there_W[word_ids_T[content]]
    return out_TD, content


def resample(frames_FD: Float[np.ndarray, "F D"], length: int) -> Float[np.ndarray, "length D"]:
    """Adaptive mean pooling over time, which keeps every frame in play.

    Output step i is the mean of the frames floor(i F / length) up to, not including,
    ceil((i + 1) F / length); where there are fewer frames than steps, frames repeat.

    Args:
      frames_FD: at least one frame.
      length: number of output steps.
    """
    F = len(frames_FD)
    step = np.arange(length)
    start, stop = step * F // length, -(-(step + 1) * F // length)
    if length == F:
        return frames_FD.astype(np.float32)
    total_FD = np.zeros((F + 1, frames_FD.shape[1]))
    np.cumsum(frames_FD, axis=0, dtype=np.float64, out=total_FD[1:])
    return ((total_FD[stop] - total_FD[start]) / (stop - start)[:, None]).astype(np.float32)


def content_rows(rows_RD: Float[np.ndarray, "R D"], token_words_N: Int[np.ndarray, " N"]) -> np.ndarray:
    """Those of the rows of a file's tokens that do not belong to special tokens, [r, D]; R <= N."""
    return rows_RD[token_words_N[: len(rows_RD)] != SPECIAL]


def from_same_tokens(
    rows_RD: Float[np.ndarray, "R D"],
    token_words_N: Int[np.ndarray, " N"],
    word_ids_T: Int[np.ndarray, " T"],
) -> tuple[Float[np.ndarray, "T D"], Bool[np.ndarray, " T"]]:
    """Rows of a file's tokens on the same tokens, one to one.

    Where the file's tokens end within a word, the word's other tokens have the row of the last one.

    Args:
      rows_RD: a row for each of the first R of the file's tokens.
      token_words_N: the words of these tokens; `SPECIAL` on special tokens.
      word_ids_T: of the run's tokens, -1 on special tokens.

    Returns:
      (features, mask): [T, D] float32 and [T] bool, False on special tokens and on those without a row.
    """
    content = np.flatnonzero(token_words_N != SPECIAL)
    places = np.flatnonzero(word_ids_T >= 0)
    if 0 < len(content) < len(places):
        same_word = word_ids_T[places] == word_ids_T[places[len(content) - 1]]
        places = places[same_word | (np.arange(len(places)) < len(content))]
        content = np.pad(content, (0, len(places) - len(content)), mode="edge")
    content = content[: len(places)]
    there = content < len(rows_RD)
    out_TD = np.zeros((len(word_ids_T), rows_RD.shape[1]), np.float32)
    mask_T = np.zeros(len(word_ids_T), bool)
    out_TD[places[there]] = rows_RD[content[there]]
    mask_T[places[there]] = True
    return out_TD, mask_T


def word_rows(
    rows_RD: Float[np.ndarray, "R D"], token_words_N: Int[np.ndarray, " N"], words: int
) -> tuple[Float[np.ndarray, "W D"], Bool[np.ndarray, " W"]]:
    """Rows of a file's tokens by word: the mean over its tokens, of the rows that are not zero.

    Args:
      rows_RD: a row for each of the first R of the file's tokens.
      token_words_N: the words of these tokens; negative where a token has none.
      words: W.

    Returns:
      (rows, there): [W, D] float32, exact where all tokens of a word have the same row, and [W] bool, whether
      some token of the word has a row.
    """
    words_R = token_words_N[: len(rows_RD)]
    has_R = words_R >= 0
    there_W = np.zeros(words, bool)
    there_W[words_R[has_R]] = True
    spoken_R = has_R & (rows_RD != 0).any(axis=1)
    total_WD = np.zeros((words, rows_RD.shape[1]))
    np.add.at(total_WD, words_R[spoken_R], rows_RD[spoken_R])
    count_W = np.bincount(words_R[spoken_R], minlength=words)
    return (total_WD / np.maximum(count_W, 1)[:, None]).astype(np.float32), there_W


def to_tokens(
    rows_FD: Float[np.ndarray, "F D"], word_ids_T: Int[np.ndarray, " T"], *, aligned: bool
) -> tuple[Float[np.ndarray, "T D"], Bool[np.ndarray, " T"]]:
    """One modality of one clip on the time line of its tokens.

    Args:
      rows_FD: the features; no rows = the clip does not have this modality.
      word_ids_T: of the *whole* text, -1 on special tokens; cut the results where the text is cut.
      aligned: whether the rows are words; otherwise they are frames of a stream.

    Returns:
      (features, mask): [T, D] float32 and [T] bool, False on special tokens and where there is nothing.
    """
    content = word_ids_T >= 0
    if not len(rows_FD) or not content.any():
        return np.zeros((len(word_ids_T), rows_FD.shape[1]), np.float32), np.zeros(len(word_ids_T), bool)
    if aligned:
        return words_to_tokens(rows_FD, np.ones(len(rows_FD), bool), word_ids_T)
    out_TD = np.zeros((len(word_ids_T), rows_FD.shape[1]), np.float32)
    out_TD[content] = resample(rows_FD, int(content.sum()))
    return out_TD, content
