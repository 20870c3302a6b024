"""From a random-access source of clips to padded batches: tokenise, align, standardise, bucket, prefetch.

Only the tokens of a split stay in memory; features are fetched batch by batch.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import grain
import numpy as np
from sklearn.preprocessing import StandardScaler

from msa_jax.data import align
from msa_jax.data.plan import BatchPlan
from msa_jax.text import Tokenizer

STREAMS = ("audio", "vision")
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


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How clips become arrays; a run keeps it, so that new clips are treated as the training split was.

    Attributes:
      max_content: subwords kept of a text, before the special tokens are added.
      lowercase: lower the case of the text first (releases differ; a cased tokenizer cuts capitals up).
      modalities: those in use, of "text", "audio", "vision"; the others are masked out.
      widths: features per row of "audio" and "vision"; 1 where the corpus has none.
    """

    max_content: int
    lowercase: bool
    modalities: tuple[str, ...]
    widths: Mapping[str, int]

    def without(self, *modalities: str) -> "Preprocessing":
        """The same with some modalities masked out."""
        kept = tuple(m for m in self.modalities if m not in modalities)
        return dataclasses.replace(self, modalities=kept)


class Statistics:
    """Mean and scale of each feature column over the rows of one split (StandardScaler's definitions)."""

    def __init__(self, mean: Mapping[str, np.ndarray], scale: Mapping[str, np.ndarray]) -> None:
        self.mean, self.scale = dict(mean), dict(scale)

    @classmethod
    def identity(cls, widths: Mapping[str, int]) -> "Statistics":
        """Leaves features as they are."""
        return cls({m: np.zeros(d) for m, d in widths.items()}, {m: np.ones(d) for m, d in widths.items()})

    def apply(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """(rows - mean) / scale, [F, D] float32; no rows stay no rows."""
        return ((rows - self.mean[modality]) / self.scale[modality]).astype(np.float32)

    def to_json(self) -> dict[str, dict[str, list[float]]]:
        """For a run's folder."""
        return {
            name: {m: v.tolist() for m, v in part.items()}
            for name, part in (("mean", self.mean), ("scale", self.scale))
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, list[float]]]) -> "Statistics":
        """The reverse of `to_json`."""
        return cls(*({m: np.array(v) for m, v in data[name].items()} for name in ("mean", "scale")))


class Split:
    """One split, scanned once: its tokens and labels in memory, its features where they are.

    Attributes:
      ids: clip names, in the order of the source.
      tokens: per clip, ids of the whole text, special tokens included.
      words: per clip and token, the word that it came from; -1 on special tokens.
      labels: [N] float32, NaN where the source has none.
      lengths: [N] tokens of each clip after the cut, special tokens included.
    """

    def __init__(self, source: Source, tokenizer: Tokenizer, how: Preprocessing, *, measure: bool = False):
        """Scans the split.

        Args:
          source: the clips.
          tokenizer: of the text encoder.
          how: the preprocessing.
          measure: whether to gather the feature statistics (`statistics`) on the way.
        """
        self._source, self._tokenizer, self._how = source, tokenizer, how
        scalers = {m: StandardScaler() for m in STREAMS}
        self.ids: list[str] = []
        self.words: list[np.ndarray] = []
        self.tokens: list[np.ndarray] = []
        labels: list[float] = []
        for start in range(0, len(source), SCAN_CLIPS):
            clips = source.__getitems__(range(start, min(start + SCAN_CLIPS, len(source))))
            for clip in clips:
                text = clip["text"].lower() if how.lowercase else clip["text"]
                tokens, words = tokenizer.encode(text)
                self.tokens.append(tokens)
                self.words.append(words)
                self.ids.append(clip["id"])
                labels.append(clip["label"])
            for m in STREAMS if measure else ():
                rows = [clip[m] for clip in clips if len(clip[m])]
                if rows:
                    scalers[m].partial_fit(np.concatenate(rows).astype(np.float64))
        self.labels = np.array(labels, np.float32)
        self.lengths = np.array([len(self._cut(t)) for t in self.tokens])
        self.statistics = Statistics.identity(how.widths)
        for m, scaler in scalers.items():
            if hasattr(scaler, "mean_"):
                self.statistics.mean[m], self.statistics.scale[m] = scaler.mean_, scaler.scale_

    def __len__(self) -> int:
        return len(self.ids)

    def _cut(self, tokens_T: np.ndarray) -> np.ndarray:
        """Keeps the first special token, `max_content` of the content, and the last special token."""
        if len(tokens_T) - 2 <= self._how.max_content:
            return tokens_T
        return np.concatenate([tokens_T[: self._how.max_content + 1], tokens_T[-1:]])

    def batch(
        self, rows: np.ndarray, length: int, batch_size: int, statistics: Statistics
    ) -> dict[str, np.ndarray]:
        """Collates clips into one padded batch.

        Args:
          rows: places of the clips in the split, at most `batch_size`.
          length: tokens to pad to, T.
          batch_size: B; missing rows are padding.
          statistics: of the training split.

        Returns:
          `text` [B, T] int32, `audio` and `vision` [B, T, d] float32, `text_mask`, `audio_mask`,
          `vision_mask` [B, T] bool, `label` [B] float32, `mask` [B] bool, `index` [B] int32 (-1 on padding).
        """
        B, T = batch_size, length
        out: dict[str, np.ndarray] = {
            "text": np.full((B, T), self._tokenizer.pad_id, np.int32),
            "text_mask": np.zeros((B, T), bool),
            "label": np.zeros(B, np.float32),
            "mask": np.arange(B) < len(rows),
            "index": np.full(B, -1, np.int32),
        }
        for m in STREAMS:
            out[m] = np.zeros((B, T, self._how.widths[m]), np.float32)
            out[f"{m}_mask"] = np.zeros((B, T), bool)
        out["label"][: len(rows)] = self.labels[rows]
        out["index"][: len(rows)] = rows
        streams = [m for m in STREAMS if m in self._how.modalities]
        clips = self._source.__getitems__([int(r) for r in rows]) if streams else ()
        for b, r in enumerate(rows):
            tokens = self._cut(self.tokens[r])
            out["text"][b, : len(tokens)] = tokens
            out["text_mask"][b, : len(tokens)] = True
        for m in streams:
            for b, (r, clip) in enumerate(zip(rows, clips, strict=True)):
                if not len(clip[m]):
                    continue
                scaled = statistics.apply(m, clip[m])
                features, mask = align.to_tokens(scaled, self.words[r], aligned=clip["aligned"])
                features, mask = self._cut(features), self._cut(mask)
                out[m][b, : len(mask)], out[f"{m}_mask"][b, : len(mask)] = features, mask
        return out


class _Batches:
    """The batches of a plan as a Grain source."""

    def __init__(self, split: Split, plan: BatchPlan, statistics: Statistics) -> None:
        self._split, self._plan, self._statistics = split, plan, statistics

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, i: int) -> dict[str, np.ndarray]:
        rows, length = self._plan[int(i)]
        return self._split.batch(rows, length, self._plan.batch_size, self._statistics)


def batches(split: Split, plan: BatchPlan, statistics: Statistics, *, threads: int) -> grain.DatasetIterator:
    """An iterator over the batches of a plan, made ahead of time by background threads.

    Its `get_state` / `set_state` hold and restore the exact position.

    Args:
      split: the clips.
      plan: which clips form which batch.
      statistics: of the training split.
      threads: background threads; 0 makes each batch when it is asked for.
    """
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4 * threads)
    return iter(grain.MapDataset.source(_Batches(split, plan, statistics)).to_iter_dataset(options))
