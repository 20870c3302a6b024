"""Preprocessing of clips into arrays: its settings and statistics, which a run keeps for new clips."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How clips become arrays; a run keeps it, so that new clips are treated as the training split was.

    Attributes:
      max_content: subwords kept of a text, before the special tokens are added.
      lowercase: lower the case of the text first (releases differ; a cased tokenizer cuts capitals up).
      modalities: those in use, of "text", "audio", "vision"; the others are masked out.
      widths: features per row of "audio" and "vision"; 1 where the corpus has none.
      time_line: "text" brings audio and vision onto the text's time line; "own" leaves each on its own.
      max_frames: longest audio or vision on its own time line; a longer one is resampled to it.
      text_width: features per row of the text where the file brings them; 0 = the text is tokenised.
      keep_end: of a text that is too long keep the end, not the start (a punchline follows its context).
      special_rows: on their own time line keep the rows that a file has for BERT's special tokens.
      clip_values: clip audio and vision to the robust range of the training split (`Statistics.low`, `high`).
    """

    max_content: int
    lowercase: bool
    modalities: tuple[str, ...]
    widths: Mapping[str, int]
    time_line: str = "text"
    max_frames: int = 500
    text_width: int = 0
    keep_end: bool = False
    special_rows: bool = False
    clip_values: bool = False

    @property
    def reads(self) -> str:
        """What a model gets to see, for messages: "text, audio", or "text features of 300 columns"."""
        features = f"text features of {self.text_width} columns"
        named = {"text": features} if self.text_width else {}
        return ", ".join(named.get(m, m) for m in self.modalities)

    @property
    def longest(self) -> tuple[int, int, int]:
        """The most steps that a clip can have of text, audio and vision; 1 where it is not read."""
        text = self.max_content + 2  # special tokens
        if self.time_line == "text":
            return text, text, text
        own = {"text": text, "audio": self.max_frames, "vision": self.max_frames}
        return tuple(steps if m in self.modalities else 1 for m, steps in own.items())

    def without(self, *modalities: str) -> "Preprocessing":
        """The same with some modalities masked out."""
        kept = tuple(m for m in self.modalities if m not in modalities)
        return dataclasses.replace(self, modalities=kept)


_PARTS = ("mean", "scale", "low", "high")


class Statistics:
    """What is known of each feature column over the rows of the training split.

    Attributes:
      mean, scale: by modality, [D] (StandardScaler's definitions).
      low, high: by modality, [D], the range that no ordinary value leaves (see `ranges.robust_range`);
        infinite where it was not measured.
      clips: whether values are clipped to that range first.
    """

    def __init__(
        self,
        mean: Mapping[str, np.ndarray],
        scale: Mapping[str, np.ndarray],
        low: Mapping[str, np.ndarray],
        high: Mapping[str, np.ndarray],
        *,
        clips: bool = False,
    ) -> None:
        self.mean, self.scale, self.low, self.high = dict(mean), dict(scale), dict(low), dict(high)
        self.clips = clips

    @classmethod
    def identity(cls, widths: Mapping[str, int]) -> "Statistics":
        """Leaves features as they are."""
        values = (0.0, 1.0, -np.inf, np.inf)
        return cls(*({m: np.full(d, value) for m, d in widths.items()} for value in values))

    def clip(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """The rows [F, D] with their values inside the range; as they are where nothing is clipped."""
        if not self.clips:
            return rows
        return np.clip(rows, self.low[modality], self.high[modality]).astype(np.float32)

    def apply(self, modality: str, rows: np.ndarray) -> np.ndarray:
        """(rows - mean) / scale, [F, D] float32; no rows stay no rows."""
        with np.errstate(over="ignore"):  # what is infinite here gives a score that is refused
            return ((rows - self.mean[modality]) / self.scale[modality]).astype(np.float32)

    def to_json(self) -> dict[str, dict[str, list[float]]]:
        """For a run's folder."""
        return {name: {m: v.tolist() for m, v in getattr(self, name).items()} for name in _PARTS}

    @classmethod
    def from_json(
        cls, data: Mapping[str, Mapping[str, list[float | None]]], *, clips: bool = False
    ) -> "Statistics":
        """The reverse of `to_json`; infinity is None there."""
        parts = ({m: np.array(v, float) for m, v in data[name].items()} for name in ("mean", "scale"))
        ends = (
            {m: np.nan_to_num(np.array(v, float), nan=end) for m, v in data[name].items()}
            for name, end in (("low", -np.inf), ("high", np.inf))
        )
        return cls(*parts, *ends, clips=clips)
