"""One split of an MMSA pickle: its checked arrays, and the clips that they hold."""

import numpy as np

from msa_jax.corpora import STREAMS
from msa_jax.data.conventions import axes, label_columns
from msa_jax.data.conventions import rows as row_kinds
from msa_jax.data.conventions.padding import Padding
from msa_jax.data.conventions.used import edges, ends
from msa_jax.data.example import Example, no_features, no_tokens, no_unimodal_labels
from msa_jax.data.readers import clean
from msa_jax.errors import UserError, counted

NAME = "MMSA pickle"
_UNIMODAL = tuple(f"regression_labels_{modality}" for modality in "TAV")  # of CH-SIMS
LABELS = ("regression_labels", *_UNIMODAL)
_BY_CLIP = ("id", "raw_text", *LABELS)  # what a text in place of a list would be taken apart for
_SHOWN, _LETTERS = 3, 40  # ids, and letters of a text, named in a message


class Split:
    """The clips of one split.

    Attributes:
      where: what to call it in messages.
      streams: those of audio and vision that the file has.
      texts: the transcripts.
      edges: by stream, where the rows of each clip are in use; see `row_kinds.edges`.
      lengths: by stream the number of rows of each clip, as far as the file says it.
      id_fields: of each clip the fields of its id.
      names: (id, video) of each clip; filled in by the reader, as are the next and the last two.
      padding: by stream, and under "text" for text features without text_bert, at which end it is.
      ids: of each clip the ids of BERT's tokens under text_bert's mask, int32 [n]; None without text_bert.
      token_limit: the most tokens that text_bert has room for.
      token_words: of each clip the words of these tokens.
      labels: the numbers [N, K] of each clip, as far as the file has any; the reader leaves the label [N] or
        [N, 4] of them.
    """

    def __init__(self, arrays: dict, where: str) -> None:
        """Takes over what `checked` gives."""
        self._arrays, self.where = arrays, where
        self.streams = [m for m in STREAMS if m in arrays]
        self.texts = [clean.text(text) for text in arrays["raw_text"]]
        self.edges = {m: edges(arrays[m]) for m in self.streams}
        self.lengths = {m: arrays[f"{m}_lengths"] for m in self.streams if f"{m}_lengths" in arrays}
        self.id_fields = [clean.id_fields(value) for value in arrays["id"]]
        self.names: list[tuple[str, str]] = []
        self.padding: dict[str, Padding] = {}
        bert = arrays.get("text_bert")
        self.ids = None if bert is None else _masked(bert)
        self.token_limit = 0 if bert is None else bert.shape[2]
        self.token_words = [no_tokens()] * len(self)
        self.labels: np.ndarray | None = arrays.get("regression_labels")

    def __len__(self) -> int:
        return len(self._arrays["id"])

    def clips(self, stream: str) -> object:
        """The arrays [L, d] of all clips in a stream, as the file has them."""
        return self._arrays[stream]

    def rows(self, stream: str, index: int) -> np.ndarray:
        """The rows [L, d] of a clip in a stream, as the file has them."""
        return np.asarray(self._arrays[stream][index])

    def stretch(self, stream: str, index: int) -> slice:
        """The rows of a clip in a stream of its own."""
        found, padding = self.edges[stream][index], self.padding[stream]
        if stream in self.lengths:
            return padding.counted(*found, self.lengths[stream][index])
        return padding.used(*found)

    def odd_lengths(self, stream: str) -> tuple[list[str], list[str]]:
        """Names of the clips whose length exceeds their rows, and of those where the zeros contradict it.

        There are none where the lengths of the stream do not count at all.
        """
        if stream not in self.lengths or not self.padding[stream].counting:
            return [], []
        edges, lengths, padding = self.edges[stream], self.lengths[stream], self.padding[stream]
        long, odd = [], []
        for (name, _), (first, stop, limit), length in zip(self.names, edges, lengths, strict=True):
            if length > limit:
                long.append(name)
            if padding.counted(first, stop, limit, length) != padding.named(limit, length):
                odd.append(name)
        return long, odd

    def text_ends(self) -> np.ndarray | None:
        """What `used.ends` says of text features without text_bert; None where there are none."""
        return ends(self._arrays["text"]) if "text" in self._arrays and self.ids is None else None

    def finite(self, stream: str) -> np.ndarray:
        """[N] bool, whether a clip has a finite number."""
        try:
            return np.array([np.isfinite(clean.features(rows)).any() for rows in self._arrays[stream]], bool)
        except (TypeError, ValueError):  # letters
            return np.zeros(len(self), bool)

    def repeats(self, index: int, how: row_kinds.Rows) -> np.ndarray:
        """For each token of a clip, whether its rows are those of the token before."""
        count = len(self.ids[index])
        same = np.ones(count, bool)
        for stream in self.streams:
            rows = how.of_tokens(self.rows(stream, index), self.edges[stream][index, 1], count)
            rows = np.pad(rows, ((0, count - len(rows)), (0, 0)))
            same[1:] &= (rows[1:] == rows[:-1]).all(axis=1)
        return same

    def example(self, index: int, split: str, how: row_kinds.Rows) -> Example:
        """One clip, its rows read as `how` says."""
        identity, video = self.names[index]
        text = self.texts[index]
        aligned, words = False, 0
        if how.kind == "words" and self.streams:
            words = len(text.split())
            aligned = how.holds_words(np.stack([self.edges[m][index] for m in self.streams]), words)
        features = {}
        for stream in self.streams:
            rows = self.rows(stream, index)
            if how.kind == "tokens":
                rows = how.of_tokens(rows, self.edges[stream][index, 1], len(self.ids[index]))
            elif aligned:
                rows = how.of_words(rows, words)
            else:
                rows = rows[self.stretch(stream, index)]
            features[stream] = clean.features(rows)
        tokens = how.kind == "tokens"
        return Example(
            identity,
            video,
            split,
            text,
            features.get("audio", no_features()),
            features.get("vision", no_features()),
            aligned,
            np.nan if self.labels is None else label_columns.one(self.labels[index]),
            self._text_features(index),
            self._unimodal_labels(index),
            self.ids[index] if tokens else no_tokens(),
            self.token_words[index],
        )

    def _text_features(self, index: int) -> np.ndarray:
        """The rows under text_bert's mask: those behind are BERT's states of [PAD], and not zero."""
        if "text" not in self._arrays:
            return no_features()
        rows = np.asarray(self._arrays["text"][index])
        if self.ids is None:
            return clean.features(rows[self.padding["text"].used(*edges([rows])[0])])
        mask = self._arrays["text_bert"][index][1][: len(rows)] != 0
        return clean.features(rows[: len(mask)][mask])

    def _unimodal_labels(self, index: int) -> np.ndarray:
        if not any(key in self._arrays for key in _UNIMODAL):
            return no_unimodal_labels()
        return np.array([self._arrays[key][index] if key in self._arrays else np.nan for key in _UNIMODAL])


def _masked(bert_N3L: np.ndarray) -> list[np.ndarray]:
    """Of each clip the ids under the mask, int32 [n]."""
    mask_NL = bert_N3L[:, 1] != 0
    ids = bert_N3L[:, 0][mask_NL].astype(np.int32)
    ends = np.cumsum(mask_NL.sum(axis=1)).tolist()
    return [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def need(arrays: dict, key: str, where: str) -> object:
    """An array that every such file has; UserError where it is missing."""
    if arrays.get(key) is None:
        found = ", ".join(sorted(str(name) for name in arrays)) or "nothing"
        raise UserError(f"{where}: an {NAME} needs {key!r}, found only {found}")
    return arrays[key]


def checked(arrays: dict, where: str, require_labels: bool) -> dict:
    """The arrays of one split that are used, one entry a clip; lengths as ints, labels as float64.

    Args:
      arrays: the split as the file has it.
      where: what to call it in messages.
      require_labels: whether missing regression_labels are an error.

    Raises:
      UserError: when an array is missing or of another form, or the arrays disagree.
    """
    for key, value in arrays.items():
        if isinstance(value, (str, bytes, dict, set, frozenset)) and key in _BY_CLIP:
            found = f" {value[:_LETTERS]!r}" if isinstance(value, (str, bytes)) else ""
            raise UserError(
                f"{where}: {key} is a {type(value).__name__}{found}, not a list with an entry for each clip"
            )
    count = len(arrays["id"])
    texts = arrays.get("raw_text")
    found = {"id": arrays["id"], "raw_text": [""] * count if texts is None else texts}
    for modality in (*STREAMS, "text"):
        values = arrays.get(modality)
        if values is None:
            continue
        shape = clean.shape(values[0]) if len(values) else (0, 0)
        if len(shape) != 2 or (isinstance(values, np.ndarray) and values.dtype.kind not in "biufO"):
            kind = f" of {values.dtype}" if len(shape) == 2 else ""
            raise UserError(
                f"{where}: {modality} must be (clips, rows, width), found {clean.shape(values)}{kind}"
            )
        found[modality] = values
        if (lengths := arrays.get(f"{modality}_lengths")) is not None:
            found[f"{modality}_lengths"] = _lengths(lengths, arrays["id"], modality, where)
    if (bert := _text_bert(arrays, count, where)) is not None:
        found["text_bert"] = bert
    if require_labels:
        need(arrays, "regression_labels", where)
    for key in LABELS:
        if arrays.get(key) is not None:
            found[key] = _labels(arrays, key, where)
    if turned := [key for key in (*STREAMS, "text") if axes.are_reversed(clean.shape(found.get(key)), count)]:
        shapes = ", ".join(f"{key} {clean.shape(found[key])}" for key in turned)
        raise UserError(f"{where}: {axes.reversed_mend()} ({count} ids, and {shapes})")
    uneven = [f"{key} {len(value)}" for key, value in found.items() if len(value) != count]
    if uneven:
        raise UserError(f"{where}: {count} ids but {', '.join(uneven)}; every array needs one entry a clip")
    return found


def _labels(arrays: dict, key: str, where: str) -> np.ndarray:
    """The numbers [N, K] of the clips, [N] where they are those of one modality."""
    names, count = arrays["id"], len(arrays["id"])
    try:
        labels_NK = label_columns.numbers(arrays[key], count, lambda k: "_".join(clean.id_fields(names[k])))
    except ValueError as error:
        raise UserError(f"{where}: {key} are not numbers, one a clip: {error}") from None
    if key not in _UNIMODAL:
        return labels_NK
    if labels_NK.shape[1] != 1:
        raise UserError(f"{where}: {key} are not one number a clip: {labels_NK.shape[1]} labels a clip")
    return labels_NK[:, 0]


def _lengths(values: object, names: object, modality: str, where: str) -> list[int]:
    try:
        if isinstance(values, (str, bytes)):
            raise ValueError(f"found the text {values[:_LETTERS]!r}")
        lengths = [np.asarray(length, np.float64).item() for length in values]
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {modality}_lengths are not numbers: {error}") from None
    named = ["_".join(clean.id_fields(name)) for name in names]
    for what, is_wrong in (
        ("not whole numbers", lambda n: n != np.floor(n) or np.isinf(n)),
        ("below 0", lambda n: n < 0),
    ):
        if wrong := [(name, n) for name, n in zip(named, lengths, strict=False) if is_wrong(n)]:
            shown = ", ".join(f"{name}: {n:g}" for name, n in wrong[:_SHOWN])
            raise UserError(
                f"{where}: {modality}_lengths are {what} in {counted(len(wrong), '{clip|clips}')} ({shown}); "
                "extract the features again"
            )
    return [int(length) for length in lengths]


def _text_bert(arrays: dict, count: int, where: str) -> np.ndarray | None:
    """text_bert [N, 3, L]; None where there is none, or where it is not needed and of another form."""
    values = arrays.get("text_bert")
    if values is None:
        return None
    shape = clean.shape(values)
    try:
        bert = np.asarray(values if shape[1:] else list(values))
        bert = bert.astype(np.float64) if bert.dtype == object else bert
    except (TypeError, ValueError):  # matrices of different sizes, or text
        bert = np.zeros(0)
    if bert.ndim == 3 and bert.shape[:2] == (count, 3) and bert.dtype.kind in "biuf":
        return bert
    if arrays.get("text") is None and any(arrays.get(f"{m}_lengths") is not None for m in STREAMS):
        return None
    raise UserError(f"{where}: text_bert must be ({count}, 3, tokens) numbers, found {shape}")
