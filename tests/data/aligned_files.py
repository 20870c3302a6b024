"""MMSA's aligned files as MMSA and MMSA-FET write them, each row holding the number of its word.

Keys, order, dtypes and padding follow `aligned_50.pkl`: no length keys, text_bert (N, 3, 50) of ids, mask
and segments cut at 50 tokens, audio and vision (N, 50, d) float64 with zeros behind, text (N, 50, d) float32
whose padding is not zero.
"""

import dataclasses
import pickle
from pathlib import Path

import numpy as np

from msa_jax.text import Tokenizer

LIMIT = 50
WIDTHS = {"audio": 5, "vision": 3}
SPECIAL_ROW = -7.0  # what the rows of [CLS] and [SEP] hold where they hold something


@dataclasses.dataclass(frozen=True)
class Form:
    """How a file is written.

    Attributes:
      specials: what stands in the rows of [CLS] and [SEP]: "values", "zero", or "none" for no such rows.
      front: whether audio and vision are padded in front, as MMSA-FET does on request.
      text_bert: whether the file has it.
      dtype: of audio and vision.
      by: what a row belongs to, "tokens" or "words".
      silent: share of the clips whose last rows are zero, the vision's more often.
    """

    specials: str = "values"
    front: bool = False
    text_bert: bool = True
    dtype: type = np.float64
    by: str = "tokens"
    silent: float = 0.0


def content(texts, splits, tokenizer: Tokenizer, form: Form, *, text_width: int = 0, seed: int = 0) -> dict:
    """What such a file holds.

    Args:
      texts, splits: N texts, and "train", "valid" or "test" of each.
      tokenizer: BERT's.
      form: how it is written.
      text_width: columns of `text`; 0 = left out.
      seed: of which rows fall silent, and of the text's values.
    """
    rng = np.random.default_rng(seed)
    whole = {}
    for split in dict.fromkeys(splits):
        clips = [k for k, s in enumerate(splits) if s == split]
        arrays = {
            "raw_text": np.array([texts[k] for k in clips]),
            **{m: np.zeros((len(clips), LIMIT, d), form.dtype) for m, d in WIDTHS.items()},
            "id": np.array([f"video{k // 3}{split}$_${k % 3}" for k in clips]),
        }
        bert = np.zeros((len(clips), 3, LIMIT), np.int64)
        for row, k in enumerate(clips):
            ids, words = tokens(texts[k], tokenizer)
            bert[row, 0, : len(ids)], bert[row, 1, : len(ids)] = ids, 1
            for m in WIDTHS:
                values = _values(words, len(texts[k].split()), form)
                quiet = form.silent * (1.0 if m == "vision" else 0.5)
                if rng.random() < quiet:
                    values[-rng.integers(1, 3) :] = 0
                place = slice(LIMIT - len(values), None) if form.front else slice(len(values))
                arrays[m][row, place] = values[:, None]
        if form.text_bert:
            arrays["text_bert"] = bert
        if text_width:
            arrays["text"] = rng.normal(size=(len(clips), LIMIT, text_width)).astype(np.float32)
        arrays["regression_labels"] = np.linspace(-3, 3, len(clips))
        arrays["classification_labels"] = np.zeros(len(clips))
        whole[split] = arrays
    return whole


def tokens(text: str, tokenizer: Tokenizer, limit: int = LIMIT) -> tuple[np.ndarray, np.ndarray]:
    """(ids, the word of each, -1 on special tokens): each word, or Chinese character, by itself, then cut."""
    words = [part for word in text.split() for part in (word if not word.isascii() else [word])]
    parts = [tokenizer.encode(word)[0][1:-1] for word in words]
    ids = [int(i) for part in parts for i in part][: limit - 2]
    places = [k for k, part in enumerate(parts) for _ in part][: limit - 2]
    return np.array([tokenizer.cls_id, *ids, tokenizer.sep_id]), np.array([-1, *places, -1])


def _values(words: np.ndarray, count: int, form: Form) -> np.ndarray:
    """One number a row: that of the word, counted from 1."""
    if form.by == "words":
        return np.arange(1.0, min(count, LIMIT) + 1)
    if form.specials == "none":
        return words[1:-1] + 1.0
    return np.where(words < 0, SPECIAL_ROW if form.specials == "values" else 0.0, words + 1.0)


def write(path: Path, whole: dict) -> Path:
    """Pickles it; returns the path."""
    path.write_bytes(pickle.dumps(whole, protocol=4))
    return path
