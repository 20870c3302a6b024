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
