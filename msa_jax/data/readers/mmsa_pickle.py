"""The MMSA pickle (`aligned_50.pkl`, `unaligned_50.pkl`, `unaligned_39.pkl`): padded arrays by split.

Follows MMSA's loader (`data_loader.py`) and what writes such files: MMSA-FET (`src/MSA_FET/dataset.py`) and
MMSA's older `data/getLengths.py`, which takes the first row whose sum is 0 for the length.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from msa_jax.data.conventions import NOTHING, Said
from msa_jax.data.conventions import rows as row_kinds
from msa_jax.data.example import SPECIAL, UNKNOWN, Example
from msa_jax.data.readers import clean, mmsa_split, mult_pickle
from msa_jax.data.readers.mmsa_split import NAME, Split, checked, need
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

if TYPE_CHECKING:
    from msa_jax.text.bert_vocab import TokenWords

LEAVES_OPEN: tuple[str, ...] = ("rows", "bert_vocab")  # fields of `Said` that matter here
_CLS, _SEP = 0.9, 0.5  # shares of the clips that begin with [CLS], and end with [SEP]: it may be cut off
_SHOWN = 3  # ids named in a message


def matches(content: object) -> bool:
    """True for a dict of dicts by split with words, and for one such dict without splits (CH-SIMS v2's)."""
    if not isinstance(content, dict) or mult_pickle.matches(content):
        return False
    splits = [value for key, value in content.items() if clean.split_alias(key)]
    if not splits:
        return {"raw_text", "id"} <= content.keys()
    return all(isinstance(value, dict) for value in splits)


def reader(
    content: dict,
    where: str,
    require_labels: bool,
    text_features: bool = False,
    said: Said = NOTHING,
    encoder: str | None = None,
    words: bool = True,
) -> Reading:
    """Prepares to read a loaded MMSA pickle.

    Args:
      content: {split: {raw_text, id, audio (N, La, da), vision (N, Lv, dv), audio_lengths, vision_lengths,
        text_bert, regression_labels, ...}}, or what such a split holds alone. Audio or vision may be missing.
        The lengths are there in unaligned files only: the first rows are meant, unless the zeros say
        otherwise (see `Split.stretch`). text_bert (N, 3, Lt) holds ids, mask and segments of BERT's tokens;
        in aligned files row i of audio and vision is that of token i, unless the counts say otherwise (see
        `row_kinds.decide`). Features of the text are `text` (N, Lt, dt), of which those under text_bert's
        mask are valid; they are dropped at once where nobody asks for them, to free their memory. CH-SIMS
        has regression_labels_T, _A and _V as well.
      where: what to call the file in messages.
      require_labels: whether missing regression_labels are an error.
      text_features: whether to read the features of the text.
      said: what the user says of the file; see also `msa_jax.text.bert_vocab.find_words`.
      encoder: the name of the run's text encoder, whose vocabulary may have made text_bert.
      words: whether to find the words of BERT's tokens, which lead to the tokens of other tokenizers; text
        features need none.

    Returns:
      What starts the iteration; features are cut to their valid rows.

    Raises:
      UserError: when an array is missing, arrays of one split disagree, or it is not clear what the rows are.
    """
    splits: dict[str, Split] = {}
    for key, arrays in _by_split(content).items():
        named = f"{where}, {key}" if key else where
        if arrays.get("id") is not None and len(arrays["id"]):
            if not text_features:
                arrays.pop("text", None)
            elif arrays.get("text") is None:
                raise clean.NoTextFeatures(where)
            splits[clean.split_alias(key) or ""] = Split(checked(arrays, named, require_labels), named)
        elif arrays:
            need(arrays, "id", named)
    if not splits:
        raise UserError(f"{where}: the pickle holds no clips")
    how = _rows(list(splits.values()), said.rows, where)
    notes = _unused(list(splits.values()), how, said.bert_vocab)
    notes += _length_notes(list(splits.values()), where) if how.kind == "stream" else []
    found = None
    if how.kind == "tokens":
        content = _content(list(splits.values()))
        if words and not text_features:
            found = _find_words(content, how, said.bert_vocab, encoder, where)
            notes.append(found.note)
        _hand_out(content, found)

    def examples() -> Iterator[Example]:
        for name, split in splits.items():
            for index in range(len(split)):
                try:
                    yield split.example(index, name, how)
                except (TypeError, ValueError) as error:
                    raise UserError(f"{split.where} clip {index}: not as in an {NAME}: {error}") from None

    streams = any(split.streams for split in splits.values())
    conventions = {"rows": str(how)} if streams else {}
    return Reading(examples, tuple(notes), conventions, open_words=0 if found is None else found.open)


def _by_split(content: dict) -> dict[object, dict]:
    """The arrays by split; what holds no splits stands alone."""
    if not any(clean.split_alias(key) for key in content):
        return {"": content}
    return {key: arrays for key, arrays in content.items() if clean.split_alias(key)}


def _length_notes(splits: Sequence[Split], where: str) -> list[str]:
    """Notes on lengths in the file that are odd."""
    notes = []
    for stream in mmsa_split.STREAMS:
        long, odd = (
            [name for split in splits for name in split.odd_lengths(stream)[kind]] for kind in (0, 1)
        )
        if long:
            notes.append(f"{where}: {stream}_lengths exceed the rows of {_named(long)}; cut to them.")
        if odd:
            notes.append(
                f"{where}: {stream}_lengths contradict the rows in use of {_named(odd)}; there the zeros at "
                "both ends were cut off instead."
            )
    return notes


def _named(clips: Sequence[str]) -> str:
    more = ", ..." if len(clips) > _SHOWN else ""
    return f"{len(clips)} clip{'s' * (len(clips) > 1)} ({', '.join(clips[:_SHOWN])}{more})"


def _rows(splits: Sequence[Split], asked: str | None, where: str) -> row_kinds.Rows:
    """The reading of the rows of audio and vision, over all splits."""
    # A stream that a split lacks is in use nowhere.
    streams = sorted({stream for split in splits for stream in split.streams})
    if not streams:
        return row_kinds.STREAM
    edges_NS3 = np.concatenate(
        [np.stack([s.edges.get(m, np.zeros((len(s), 3), int)) for m in streams], axis=1) for s in splits]
    )
    limits_NS = edges_NS3[..., 2]
    longest_N = limits_NS.max(axis=1)
    together = bool(np.all((limits_NS == longest_N[:, None]) | (limits_NS == 0)))
    if asked is None and not together:
        return row_kinds.STREAM
    tokens = None
    if not _without_tokens(splits):
        tokens = [len(ids) for split in splits for ids in split.ids]
    elif asked == "tokens":
        raise UserError(
            f"{_without_tokens(splits)[0]}: --config.data.rows=tokens, but there is no text_bert that says "
            "which tokens; leave it out, or say words or stream"
        )
    words = [text.count(" ") + bool(text) for split in splits for text in split.texts]
    try:
        return row_kinds.decide(edges_NS3, tokens, words, asked=asked, where=where)
    except row_kinds.UnclearRows:
        room_N = np.repeat([split.token_limit for split in splits], list(map(len, splits)))
        # Only rows that are padded as the tokens are, without a length, must be one of these.
        if np.all(longest_N == room_N) and not any(split.lengths for split in splits):
            raise
        return row_kinds.STREAM


def _without_tokens(splits: Sequence[Split]) -> list[str]:
    """The splits that have no text_bert, or nothing under its mask."""
    return [split.where for split in splits if split.ids is None or not any(map(len, split.ids))]


def _unused(splits: Sequence[Split], how: row_kinds.Rows, bert_vocab: str | None) -> list[str]:
    """Notes on facts that could have told more, and are missing."""
    notes = []
    lacking = _without_tokens(splits)
    if 0 < len(lacking) < len(splits):
        notes.append(
            f"{', '.join(lacking)}: without text_bert here, rows cannot be told to belong to tokens."
        )
    if bert_vocab is not None and how.kind != "tokens":
        notes.append("The rows do not belong to BERT tokens: --config.data.bert_vocab makes no difference.")
    return notes


def _usual(ids: Sequence[int], least: float) -> int | None:
    """The id that at least such a share of the clips have; None where there is none."""
    piece, count = Counter(ids).most_common(1)[0]
    return piece if count >= least * len(ids) else None


@dataclasses.dataclass(frozen=True)
class _Content:
    """The place of a clip's tokens; those from `start` to `end` are not special tokens."""

    split: Split
    clip: int
    start: int
    end: int


def _content(splits: Sequence[Split]) -> list[_Content]:
    tokens = [ids for split in splits for ids in split.ids]
    first = _usual([ids.item(0) for ids in tokens if len(ids)], _CLS)
    # Scripts that write no [CLS] write no [SEP] either: a token that ends many texts is a full stop then.
    last = None if first is None else _usual([ids.item(-1) for ids in tokens if len(ids)], _SEP)
    found = []
    for split in splits:
        for clip, ids in enumerate(split.ids):
            start = int(len(ids) > 0 and ids.item(0) == first)
            found.append(_Content(split, clip, start, len(ids) - int(len(ids) > 1 and ids.item(-1) == last)))
    return found


def _find_words(
    content: Sequence[_Content],
    how: row_kinds.Rows,
    bert_vocab: str | None,
    encoder: str | None,
    where: str,
) -> "TokenWords":
    """The word of each token."""
    from msa_jax.text.bert_vocab import find_words  # late: few files need it

    def repeats(clip: int) -> np.ndarray:
        c = content[clip]
        same = c.split.repeats(c.clip, how)[c.start : c.end]
        same[:1] = False
        return same

    return find_words(
        [c.split.texts[c.clip] for c in content],
        [c.split.ids[c.clip][c.start : c.end] for c in content],
        # A text that fills the room may be cut; scripts leave room for special tokens that they do not write.
        [len(c.split.ids[c.clip]) >= c.split.token_limit - 2 for c in content],
        bert_vocab=bert_vocab,
        encoder=encoder,
        repeats=repeats,
        where=where,
    )


def _hand_out(content: Sequence[_Content], found: "TokenWords | None") -> None:
    """Gives every clip the words of its tokens: `SPECIAL` on special tokens, `UNKNOWN` if not known."""
    every = np.full(sum(len(c.split.ids[c.clip]) for c in content), SPECIAL, np.int32)
    at = 0
    for k, c in enumerate(content):
        every[at + c.start : at + c.end] = UNKNOWN if found is None else found.words[k]
        c.split.token_words[c.clip] = every[at : (at := at + len(c.split.ids[c.clip]))]
