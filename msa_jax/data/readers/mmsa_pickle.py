"""The MMSA pickle (`aligned_50.pkl`, `unaligned_50.pkl`, `unaligned_39.pkl`): padded arrays by split.

Follows MMSA's loader (`data_loader.py`) and what writes such files: MMSA-FET (`src/MSA_FET/dataset.py`) and
MMSA's older `data/getLengths.py`, which takes the first row whose sum is 0 for the length.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from msa_jax.data.example import SPECIAL, Example
from msa_jax.data.readers import clean, mmsa_rows, mult_pickle
from msa_jax.data.readers.mmsa_split import NAME, Split, checked, need
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError


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
    rows: str | None = None,
    bert_vocab: str | None = None,
    encoder: str | None = None,
) -> Reading:
    """Prepares to read a loaded MMSA pickle.

    Args:
      content: {split: {raw_text, id, audio (N, La, da), vision (N, Lv, dv), audio_lengths, vision_lengths,
        text_bert, regression_labels, ...}}, or what such a split holds alone. Audio or vision may be missing.
        The lengths are there in unaligned files only: the first rows are meant, unless the zeros say
        otherwise (see `Split.stretch`). text_bert (N, 3, Lt) holds ids, mask and segments of BERT's tokens;
        in aligned files row i of audio and vision is that of token i, unless the counts say otherwise (see
        `mmsa_rows.decide`). Features of the text are `text` (N, Lt, dt), of which those under text_bert's
        mask are valid; they are dropped at once where nobody asks for them, to free their memory. CH-SIMS
        has regression_labels_T, _A and _V as well.
      where: what to call the file in messages.
      require_labels: whether missing regression_labels are an error.
      text_features: whether to read the features of the text.
      rows: one of `mmsa_rows.KINDS`, where the user says what the rows are; None = decided by the counts.
      bert_vocab, encoder: where to look for the vocabulary that made text_bert; see
        `msa_jax.text.bert_vocab.find_words`.

    Returns:
      What starts the iteration; features are cut to their valid rows.

    Raises:
      UserError: an array is missing, arrays of one split disagree, or it is not clear what the rows are.
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
    how = _rows(list(splits.values()), rows, where)
    notes = [note for split in splits.values() for note in split.notes(how)]
    if how.kind == "tokens":
        notes.append(_find_words(list(splits.values()), how, bert_vocab, encoder, where))

    def examples() -> Iterator[Example]:
        for name, split in splits.items():
            for index in range(len(split)):
                try:
                    yield split.example(index, name, how)
                except (TypeError, ValueError) as error:
                    raise UserError(f"{split.where} clip {index}: not as in an {NAME}: {error}") from None

    streams = any(split.streams for split in splits.values())
    return Reading(examples, tuple(notes), str(how) if streams else "")


def _by_split(content: dict) -> dict[object, dict]:
    """The arrays by split; what holds no splits stands alone."""
    if not any(clean.split_alias(key) for key in content):
        return {"": content}
    return {key: arrays for key, arrays in content.items() if clean.split_alias(key)}


def _rows(splits: Sequence[Split], asked: str | None, where: str) -> mmsa_rows.Rows:
    """What the rows of audio and vision are, over all splits."""
    lengths = set().union(*(split.row_counts() for split in splits))
    tokens = None
    if all(split.ids is not None for split in splits):
        tokens = [len(ids) for split in splits for ids in split.ids]
        fits = lengths == {split.token_limit for split in splits}
        tokens = tokens if any(tokens) and (fits or asked) else None
    if asked == "tokens" and tokens is None:
        raise UserError(
            f"{where}: --config.data.rows=tokens, but the file has no text_bert that says which tokens; "
            "leave it out, or say words or stream"
        )
    measured = any(split.lengths for split in splits)
    if not lengths or (asked is None and (measured or len(lengths) > 1)):
        return mmsa_rows.STREAM
    # A stream that a split lacks is in use nowhere.
    streams = sorted({stream for split in splits for stream in split.streams})
    edges = [
        np.stack([split.edges.get(m, np.zeros((len(split), 3), int)) for m in streams], 1) for split in splits
    ]
    words = [text.count(" ") + bool(text) for split in splits for text in split.texts]
    return mmsa_rows.decide(np.concatenate(edges), tokens, words, asked=asked, where=where)


def _find_words(
    splits: Sequence[Split], how: mmsa_rows.Rows, bert_vocab: str | None, encoder: str | None, where: str
) -> str:
    """Gives every split the words of its tokens; returns how they were found."""
    from msa_jax.text.bert_vocab import find_words  # late: needed by aligned files only

    places = [(split, k) for split in splits for k in range(len(split))]
    tokens = [split.ids[k] for split, k in places]
    # [CLS] and [SEP] are what nearly all clips begin and end with; a clip that is cut may lack the latter.
    outer = [(ids.item(0), ids.item(-1)) if len(ids) else (None, None) for ids in tokens]
    first, last = (Counter(found).most_common(1)[0][0] for found in zip(*outer, strict=True))
    starts = [int(begin == first and len(ids) > 0) for ids, (begin, _) in zip(tokens, outer, strict=True)]
    ends = [len(ids) - int(end == last and len(ids) > 1) for ids, (_, end) in zip(tokens, outer, strict=True)]

    def repeats(clip: int) -> np.ndarray:
        split, k = places[clip]
        same = split.repeats(k, how)[starts[clip] : ends[clip]]
        same[:1] = False
        return same

    found = find_words(
        [split.texts[k] for split, k in places],
        [ids[start:end] for ids, start, end in zip(tokens, starts, ends, strict=True)],
        [len(ids) == split.token_limit for ids, (split, _) in zip(tokens, places, strict=True)],
        bert_vocab=bert_vocab,
        encoder=encoder,
        repeats=repeats,
        where=where,
    )
    every = np.full(sum(map(len, tokens)), SPECIAL, np.int32)
    at = 0
    for (split, k), ids, start, end, words in zip(places, tokens, starts, ends, found.words, strict=True):
        every[at + start : at + end] = words
        split.token_words[k] = every[at : (at := at + len(ids))]
    return found.note
