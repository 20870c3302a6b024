"""The MMSA pickle (`aligned_50.pkl`, `unaligned_50.pkl`, `unaligned_39.pkl`): padded arrays by split.

Follows MMSA's loader (`data_loader.py`) and what writes such files: MMSA-FET (`src/MSA_FET/dataset.py`) and
MMSA's older `data/getLengths.py`, which takes the first row whose sum is 0 for the length.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from msa_jax.data.conventions import NOTHING, Said, axes, fillers, label_columns, padding, videos
from msa_jax.data.conventions import rows as row_kinds
from msa_jax.data.conventions.lengths import by_lengths
from msa_jax.data.conventions.texts import decoded
from msa_jax.data.conventions.used import of_edges
from msa_jax.data.example import Example
from msa_jax.data.readers import clean, mmsa_split, mmsa_tokens, mult_pickle
from msa_jax.data.readers.mmsa_split import NAME, Split, checked, need
from msa_jax.data.readers.reading import Reading
from msa_jax.errors import UserError

# Fields of `Said` that matter here.
LEAVES_OPEN: tuple[str, ...] = (
    "axes",
    "rows",
    "bert_vocab",
    "padding",
    "encoding",
    "video_id",
    "label_column",
)
_SHOWN = 3  # ids named in a message


def matches(content: object) -> bool:
    """True for a dict of dicts by split with words, and for one such dict without splits (CH-SIMS v2's)."""
    if not isinstance(content, dict) or mult_pickle.matches(content):
        return False
    splits = [value for key, value in content.items() if clean.split_alias(key)]
    if not splits:
        return {"raw_text", "id"} <= content.keys() and not isinstance(content["raw_text"], (str, bytes))
    return all(isinstance(value, dict) for value in splits)


def reader(
    content: dict,
    where: str,
    require_labels: bool | None,
    text_features: bool = False,
    said: Said = NOTHING,
    encoder: str | None = None,
    words: bool = True,
    need_text: bool = True,
) -> Reading:
    """Prepares to read a loaded MMSA pickle.

    Args:
      content: {split: {raw_text, id, audio (N, La, da), vision (N, Lv, dv), audio_lengths, vision_lengths,
        text_bert, regression_labels, ...}}, or what such a split holds alone. Audio or vision may be missing.
        The lengths are there in unaligned files only: so many rows at the end that is not padded (see
        `lengths.by_lengths`). text_bert (N, 3, Lt) holds ids, mask and segments of BERT's tokens;
        in aligned files row i of audio and vision is that of token i, unless the counts say otherwise (see
        `row_kinds.decide`). Features of the text are `text` (N, Lt, dt), of which those under text_bert's
        mask are valid; they are dropped at once where nobody asks for them, to free their memory. CH-SIMS
        has regression_labels_T, _A and _V as well.
      where: what to call the file in messages.
      require_labels: whether missing regression_labels are an error; None: no labels are read.
      text_features: whether to read the features of the text.
      said: what the user says of the file; see also `msa_jax.text.bert_vocab.find_words`.
      encoder: the name of the run's text encoder, whose vocabulary may have made text_bert.
      words: whether to find the words of BERT's tokens, which lead to the tokens of other tokenizers; text
        features need none.
      need_text: whether words are needed where the features of the text are not read.

    Returns:
      What starts the iteration; features are cut to their valid rows.

    Raises:
      UserError: when an array is missing, arrays of one split disagree, or it is not clear what the rows are.
    """
    parts: dict[str, tuple[dict, str]] = {}
    texts = decoded(content, said.encoding, where)
    content = texts.content
    for key, arrays in _by_split(content, labels=require_labels is not None).items():
        named = f"{where}, {key}" if key else where
        clean.rename(arrays, named)
        if arrays.get("id") is not None and len(arrays["id"]):
            if need_text and not text_features:
                _need_words(arrays, named)
            if not text_features:
                arrays.pop("text", None)
            elif arrays.get("text") is None:
                raise clean.NoTextFeatures(where)
            parts[clean.split_alias(key) or ""] = checked(arrays, named, require_labels), named
        elif arrays:
            need(arrays, "id", named)
    if not parts:
        raise UserError(f"{where}: the pickle holds no clips")
    filled = _blank([arrays for arrays, _ in parts.values()], said.padding)
    splits = {split: Split(*part) for split, part in parts.items()}
    every = list(splits.values())
    conventions = _decide_axes(every, said, where)
    columns = _decide_labels(splits, said.label_column, where)
    how = _rows(every, said, where)
    ends = padding.conventions(fillers.told(_padding(every, how, said.padding, where), filled.fillers))
    named = _name(every, said.video_id, where)
    notes = [*texts.notes, *filled.notes, *_unused(every, how, said.bert_vocab)]
    notes += _length_notes(every, where) if how.kind == "stream" else []
    found = None
    if how.kind == "tokens":
        places = mmsa_tokens.content(every)
        if words and need_text and not text_features:
            found = mmsa_tokens.find_words(places, how, said.bert_vocab, encoder, where)
            notes.append(found.note)
        mmsa_tokens.hand_out(places, found)

    def examples() -> Iterator[Example]:
        for name, split in splits.items():
            for index in range(len(split)):
                try:
                    yield split.example(index, name, how)
                except (TypeError, ValueError) as error:
                    raise UserError(f"{split.where} clip {index}: not as in an {NAME}: {error}") from None

    conventions |= {"rows": str(how)} if any(split.streams for split in every) else {}
    conventions |= ends
    conventions |= texts.conventions | named.conventions | columns.conventions
    return Reading(
        examples, tuple(notes), conventions, 0 if found is None else found.open, untold_videos=named.untold
    )


def _decide_axes(splits: Sequence[Split], said: Said, where: str) -> dict[str, str]:
    """Refuses (clips, width, rows), by the lengths and the room of text_bert as well."""
    held = {m: [s for s in splits if m in s.streams] for m in mmsa_split.STREAMS}
    lengths = {m: [n for s in having for n in s.lengths.get(m, ())] for m, having in held.items()}
    rooms = {split.token_limit for split in splits}
    return axes.decide(
        {m: [split.clips(m) for split in having] for m, having in held.items()},
        where,
        said=said.axes,
        lengths=lengths,
        tokens=rooms.pop() if len(rooms) == 1 else 0,
    )


def _name(splits: Sequence[Split], pattern: str | None, where: str) -> videos.Named:
    """Names the clips of all splits, as one decision."""
    named = videos.name([fields for split in splits for fields in split.id_fields], pattern, where=where)
    names = iter(named.names)
    for split in splits:
        split.names = list(itertools.islice(names, len(split)))
    return named


def _padding(
    splits: Sequence[Split], how: row_kinds.Rows, said: str | None, where: str
) -> dict[str, padding.Padding]:
    """Decides at which end the streams of all splits are padded, and hands it out to them."""
    found: dict[str, padding.Padding] = {}
    for stream in mmsa_split.STREAMS:
        having = [split for split in splits if stream in split.streams]
        if having and how.kind != "stream":
            found[stream] = padding.Padding("front" if how.front else "behind", how.padding)
        elif counted := [split for split in having if stream in split.lengths]:
            found[stream] = _by_lengths(counted, stream, said, where)
        elif having:
            edges = np.concatenate([split.edges[stream] for split in having])
            found[stream] = padding.by_ends(of_edges(edges), said)
    if texts := [used for split in splits if (used := split.text_ends()) is not None]:
        found["text"] = padding.by_ends(np.concatenate(texts), said)
    for split in splits:
        split.padding = found
    return found


def _blank(splits: Sequence[dict], said: str | None) -> fillers.Found:
    """Puts zeros in place of what fills up the streams whose rows nothing else counts."""
    held = set().union(*splits)
    names = [m for m in (*mmsa_split.STREAMS, "text") if f"{m}_lengths" not in held]
    return fillers.blank(splits, [m for m in names if m != "text" or "text_bert" not in held], said)


def _by_lengths(splits: Sequence[Split], stream: str, said: str | None, where: str) -> padding.Padding:
    edges = np.concatenate([split.edges[stream] for split in splits])
    lengths = np.concatenate([split.lengths[stream] for split in splits])

    def rows() -> Iterator[np.ndarray]:
        return (split.rows(stream, index) for split in splits for index in range(len(split)))

    try:
        return by_lengths(edges, lengths, said=said, rows=rows, what=f"{where}, {stream}")
    except UserError:
        # What is not a number tells nothing, and is refused later by its own name.
        there = np.concatenate([split.finite(stream) for split in splits])
        if there.all():
            raise
        return by_lengths(edges[there], lengths[there], said=said, what=f"{where}, {stream}")


def _decide_labels(splits: dict[str, Split], asked: int | None, where: str) -> label_columns.Columns:
    """Takes the label out of each split's numbers."""
    numbers = {name or "the file": s.labels for name, s in splits.items() if s.labels is not None}
    columns = label_columns.decide(numbers, asked=asked, where=where)
    for split in splits.values():
        if split.labels is not None:
            split.labels = columns.of(split.labels)
    return columns


def _need_words(arrays: dict, where: str) -> None:
    if arrays.get("raw_text") is None:
        found = ", ".join(sorted(map(str, arrays)))
        what = f"an {NAME} needs 'raw_text' for its words, found only {found}"
        raise clean.NoWords(where, what, features=arrays.get("text") is not None)


def _by_split(content: dict, labels: bool) -> dict[object, dict]:
    """The arrays by split, on request without labels; what holds no splits stands alone."""
    splits = {key: arrays for key, arrays in content.items() if clean.split_alias(key)} or {"": content}
    for arrays in splits.values() if not labels else ():
        for key in mmsa_split.LABELS:
            arrays.pop(key, None)
    return splits


def _length_notes(splits: Sequence[Split], where: str) -> list[str]:
    """Notes on lengths in the file that are odd."""
    notes = []
    for stream in mmsa_split.STREAMS:
        found = [split.odd_lengths(stream) for split in splits]
        long, odd = (list(itertools.chain(*names)) for names in zip(*found, strict=True))
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


def _rows(splits: Sequence[Split], said: Said, where: str) -> row_kinds.Rows:
    """The reading of the rows of audio and vision, over all splits."""
    asked = said.rows
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
        return row_kinds.decide(edges_NS3, tokens, words, asked=asked, padded=said.padding, where=where)
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
