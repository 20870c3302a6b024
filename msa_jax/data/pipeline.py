"""Pipeline from stored clips to padded batches: it tokenises, aligns and standardises.

Only the tokens of a split stay in memory; features are fetched batch by batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from msa_jax.corpora import MODALITIES, STREAMS
from msa_jax.data import time_line
from msa_jax.data.findings import is_no_text
from msa_jax.data.measure import Measure
from msa_jax.data.plan import Lengths
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.text import Tokenizer

SCAN_CLIPS = 32  # clips read at once while a split is scanned: bounds memory, amortises the reads


class Source(Protocol):
    """Random access to the clips of a split, as `msa_jax.data.datasets` opens it."""

    def __len__(self) -> int: ...

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Mapping[str, Any]]: ...


class Clips:
    """A plain list of clips as a `Source`, for clips that are scored once and never stored."""

    def __init__(self, clips: Sequence[Mapping[str, Any]]) -> None:
        self._clips = clips

    def __len__(self) -> int:
        return len(self._clips)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Mapping[str, Any]]:
        return [self._clips[i] for i in indices]


def chunks(source: Source) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The clips of a source, a few at a time."""
    for start in range(0, len(source), SCAN_CLIPS):
        yield source.__getitems__(range(start, min(start + SCAN_CLIPS, len(source))))


class Split:
    """One split, scanned once: its tokens and labels in memory, its features where they are.

    Attributes:
      ids: clip names, in the order of the source.
      tokens: per clip, ids of the whole text, special tokens included; empty where the text is features.
      words: per clip and step of the text, the word that it came from; -1 on special tokens. For text
        features the step itself.
      labels: [N], or [N, K], float32, NaN where the source has none.
      unimodal_labels: [N, 3] float32, those by text, audio and vision alone, NaN where the source has none.
      lengths: [N, 3] steps of each clip's text, audio and vision, after the text's cut.
      routes: per clip, how the rows of audio and vision reach the tokens; see `time_line.route`.
      has: by modality, [N] bool, which clips have it.
      no_text: [N] bool, which texts are what programs write where there is none.
      subwords, unknown: [N] number of subwords of each text, and of those that the vocabulary lacks.
    """

    def __init__(
        self,
        source: Source,
        tokenizer: Tokenizer | None,
        how: Preprocessing,
        *,
        measure: Measure | None = None,
    ):
        """Scans the split.

        Args:
          source: the clips.
          tokenizer: of the text encoder; None where the text is features, or there is none.
          how: the preprocessing.
          measure: gathers the statistics of the features on the way.
        """
        self._source, self._tokenizer, self._how = source, tokenizer, how
        self.ids: list[str] = []
        self.words: list[np.ndarray] = []
        self.tokens: list[np.ndarray] = []
        self.routes: list[str] = []
        self._extents: dict[str, list[np.ndarray]] = {m: [] for m in STREAMS}
        has: dict[str, list[bool]] = {m: [] for m in MODALITIES}
        labels, unimodal, lengths, no_text = [], [], [], []
        for clips in chunks(source):
            for clip in clips:
                wordless = self._has_no_text(clip)
                tokens, words = time_line.steps(clip, how) if wordless else self._read_text(clip)
                self.tokens.append(tokens)
                self.words.append(words)
                self.ids.append(clip["id"])
                labels.append(clip["label"])
                no_text.append(not how.text_width and is_no_text(clip["text"]))
                given = clip["unimodal_labels"]
                unimodal.append(given if len(given) else np.full(len(MODALITIES), np.nan))
                lengths.append(self._lengths(clip, len(self._cut(words))))
                self.routes.append(time_line.STEPS if wordless else time_line.route(clip, tokens, how))
                has["text"].append(not wordless and self._has_text(clip, words))
                for m in STREAMS:
                    rows = time_line.own_rows(clip, m, how)
                    has[m].append(len(rows) > 0)
                    if len(rows):
                        self._extents[m].append(np.stack([rows.min(0), rows.max(0)]))
            if measure is not None:
                measure.add(clips)
        self.has = {m: np.array(there, bool) for m, there in has.items()}
        self.labels, self.no_text = np.array(labels, np.float32), np.array(no_text, bool)
        self.unimodal_labels = np.array(unimodal, np.float32).reshape(-1, len(MODALITIES))
        self.lengths = np.array(lengths, int).reshape(-1, 3)
        self.subwords = np.array([max(len(ids) - 2, 0) for ids in self.tokens], int)
        unknown = None if tokenizer is None else tokenizer.unk_id
        self.unknown = np.array([np.count_nonzero(ids == unknown) for ids in self.tokens], int)

    def __len__(self) -> int:
        return len(self.ids)

    def extent(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) [n, D] of each column in the n clips that have the modality."""
        return tuple(np.stack(self._extents[modality], axis=1))

    @property
    def spread(self) -> list[str]:
        """Names of the clips whose rows are spread over the text: the words of their tokens are not known."""
        return [name for name, way in zip(self.ids, self.routes, strict=True) if way == time_line.SPREAD]

    def clip(self, place: int) -> Mapping[str, Any]:
        """The clip at a place of the split, as the source gives it."""
        return self._source.__getitems__([place])[0]

    @property
    def lacking(self) -> list[str]:
        """Names of the clips that have nothing of what the run reads."""
        any_N = np.any([self.has[m] for m in self._how.modalities], axis=0)
        return [name for name, there in zip(self.ids, any_N, strict=True) if not there]

    def _has_text(self, clip: Mapping[str, Any], words: np.ndarray) -> bool:
        return len(clip["text_features"]) > 0 if self._how.text_width else bool((words >= 0).any())

    def _has_no_text(self, clip: Mapping[str, Any]) -> bool:
        """Whether a run without text lays the clip out by the steps of its streams, for want of a text."""
        if "text" in self._how.modalities:
            return False
        if self._how.text_width:
            return not len(clip["text_features"])
        return self._tokenizer is None or not clip["text"]

    def _read_text(self, clip: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        if self._how.text_width:
            return np.zeros(0, np.int32), np.arange(max(len(clip["text_features"]), 1))
        text = clip["text"].lower() if self._how.lowercase else clip["text"]
        return self._tokenizer.encode(text, chinese=len(clip["tokens"]) > 0)

    def _lengths(self, clip: Mapping[str, Any], text: int) -> tuple[int, int, int]:
        how = self._how
        if how.time_line == "text":
            return text, text, text
        used = {
            m: min(len(time_line.own_rows(clip, m, how)), how.max_frames) if m in how.modalities else 0
            for m in STREAMS
        }
        # One step where there is none: an array of no steps has no shape to compile for.
        return text if "text" in how.modalities else 1, max(used["audio"], 1), max(used["vision"], 1)

    def _cut(self, steps_T: np.ndarray) -> np.ndarray:
        """Keeps the first special token, `max_content` of the content, and the last special token.

        Of text features, which say nothing of special tokens, it keeps as many rows.
        """
        how, limit = self._how, self._how.max_content + 2
        if len(steps_T) <= limit:
            return steps_T
        if how.text_width:
            return steps_T[-limit:] if how.keep_end else steps_T[:limit]
        if how.keep_end:
            return np.concatenate([steps_T[:1], steps_T[1 - limit :]])
        return np.concatenate([steps_T[: limit - 1], steps_T[-1:]])

    def batch(
        self, rows: np.ndarray, lengths: Lengths, batch_size: int, statistics: Statistics
    ) -> dict[str, np.ndarray]:
        """Collates clips into one padded batch.

        Args:
          rows: places of the clips in the split, at most `batch_size`.
          lengths: steps of text, audio and vision to pad to: T, A, V.
          batch_size: B; missing rows are padding.
          statistics: of the training split.

        Returns:
          `text` [B, T] int32 ids or [B, T, d_t] float32 features, `audio` [B, A, d_a] and `vision`
          [B, V, d_v] float32, `text_mask` [B, T], `audio_mask` [B, A], `vision_mask` [B, V] bool, `label`
          [B] or [B, K] float32, `mask` [B] bool, `index` [B] int32 (-1 on padding); where the split has
          labels by modality also `label_text`, `label_audio` and `label_vision` [B] float32, NaN where a
          clip has none.
        """
        how, B = self._how, batch_size
        out: dict[str, np.ndarray] = {
            "text": self._blank_text(B, lengths[0]),
            "text_mask": np.zeros((B, lengths[0]), bool),
            "label": np.zeros((B, *self.labels.shape[1:]), np.float32),
            "mask": np.arange(B) < len(rows),
            "index": np.full(B, -1, np.int32),
        }
        for m, length in zip(STREAMS, lengths[1:], strict=True):
            out[m] = np.zeros((B, length, how.widths[m]), np.float32)
            out[f"{m}_mask"] = np.zeros((B, length), bool)
        out["label"][: len(rows)] = self.labels[rows]
        if not np.isnan(self.unimodal_labels).all():
            for m, values in zip(MODALITIES, self.unimodal_labels[rows].T, strict=True):
                out[f"label_{m}"] = np.full(B, np.nan, np.float32)
                out[f"label_{m}"][: len(rows)] = values
        out["index"][: len(rows)] = rows
        streams = [m for m in STREAMS if m in how.modalities]
        fetch = streams or (how.text_width and "text" in how.modalities)
        clips = self._source.__getitems__([int(r) for r in rows]) if fetch else [None] * len(rows)
        for b, (r, clip) in enumerate(zip(rows, clips, strict=True)):
            if "text" in how.modalities:
                text = self._cut(clip["text_features"] if how.text_width else self.tokens[r])
                out["text"][b, : len(text)], out["text_mask"][b, : len(text)] = text, True
            for m in streams:
                if len(clip[m]):
                    features, mask = time_line.on_time_line(
                        clip, m, self.words[r], how, statistics, route=self.routes[r]
                    )
                    if how.time_line == "text":
                        features, mask = self._cut(features), self._cut(mask)
                    out[m][b, : len(mask)], out[f"{m}_mask"][b, : len(mask)] = features, mask
        return out

    def _blank_text(self, rows: int, length: int) -> np.ndarray:
        if self._how.text_width:
            return np.zeros((rows, length, self._how.text_width), np.float32)
        return np.full((rows, length), self._tokenizer.pad_id if self._tokenizer else 0, np.int32)
