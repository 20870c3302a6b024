"""Tokens of an MMSA pickle: which of them are special, and the words of the others."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from msa_jax.data.conventions import rows as row_kinds
from msa_jax.data.example import SPECIAL, UNKNOWN
from msa_jax.data.readers.mmsa_split import Split

if TYPE_CHECKING:
    from msa_jax.text.bert_vocab import TokenWords

_CLS, _SEP = 0.9, 0.5  # shares of the clips that begin with [CLS], and end with [SEP]: it may be cut off


def _usual(ids: Sequence[int], least: float) -> int | None:
    """The id that at least such a share of the clips have; None where there is none."""
    piece, count = Counter(ids).most_common(1)[0]
    return piece if count >= least * len(ids) else None


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of a clip's tokens; those from `start` to `end` are not special tokens."""

    split: Split
    clip: int
    start: int
    end: int


def content(splits: Sequence[Split]) -> list[Place]:
    tokens = [ids for split in splits for ids in split.ids]
    first = _usual([ids.item(0) for ids in tokens if len(ids)], _CLS)
    # Scripts that write no [CLS] write no [SEP] either: a token that ends many texts is a full stop then.
    last = None if first is None else _usual([ids.item(-1) for ids in tokens if len(ids)], _SEP)
    found = []
    for split in splits:
        for clip, ids in enumerate(split.ids):
            start = int(len(ids) > 0 and ids.item(0) == first)
            found.append(Place(split, clip, start, len(ids) - int(len(ids) > 1 and ids.item(-1) == last)))
    return found


def find_words(
    places: Sequence[Place],
    how: row_kinds.Rows,
    bert_vocab: str | None,
    encoder: str | None,
    where: str,
) -> "TokenWords":
    """The word of each token."""
    from msa_jax.text.bert_vocab import find_words  # late: few files need it

    def repeats(clip: int) -> np.ndarray:
        c = places[clip]
        same = c.split.repeats(c.clip, how)[c.start : c.end]
        same[:1] = False
        return same

    return find_words(
        [c.split.texts[c.clip] for c in places],
        [c.split.ids[c.clip][c.start : c.end] for c in places],
        # A text that fills the room may be cut; scripts leave room for special tokens that they do not write.
        [len(c.split.ids[c.clip]) >= c.split.token_limit - 2 for c in places],
        bert_vocab=bert_vocab,
        encoder=encoder,
        repeats=repeats,
        where=where,
    )


def hand_out(places: Sequence[Place], found: "TokenWords | None") -> None:
    """Gives every clip the words of its tokens: `SPECIAL` on special tokens, `UNKNOWN` if not known."""
    every = np.full(sum(len(c.split.ids[c.clip]) for c in places), SPECIAL, np.int32)
    at = 0
    for k, c in enumerate(places):
        every[at + c.start : at + c.end] = UNKNOWN if found is None else found.words[k]
        c.split.token_words[c.clip] = every[at : (at := at + len(c.split.ids[c.clip]))]
