"""Facts about the corpora that several rooms need: modalities, splits, labels and official split sizes."""

import dataclasses

MODALITIES = ("text", "audio", "vision")  # in the order that everything here keeps
STREAMS = MODALITIES[1:]  # those that come as rows of features, whatever the text comes as
SPLITS = ("train", "valid", "test")
EMOTIONS = ("happy", "sad", "angry", "neutral")  # of IEMOCAP, in the order of its labels


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The facts of a corpus that are known without opening its files.

    Attributes:
      title: the name as papers write it.
      low, high: the range of its labels, both ends included.
      counts: clips in the official train, valid and test splits; None where no splits are official.
      split_by_clip: True where the official splits divide clips, not videos, so that one video may be in
        several of them.
      outputs: shape of a model's output for one clip: () for a score, else with the classes last.
      by_modality: whether clips are labelled by modality too; only then is `Example.unimodal_labels` kept, as
        reading it takes time.
      step: what all labels are a multiple of; 0 where they are not of any.
      chinese: whether its texts are Chinese, and not English.
      further_counts: counts that are as official as `counts`, since tools of the corpus's authors make them.
    """

    title: str
    low: float
    high: float
    counts: tuple[int, int, int] | None
    split_by_clip: bool = False
    outputs: tuple[int, ...] = ()
    by_modality: bool = False
    step: float = 0.0
    chinese: bool = False
    further_counts: tuple[tuple[int, int, int], ...] = ()

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Shape of one clip's label: () for one score or class, (4,) for four classes."""
        return self.outputs[:-1]

    @property
    def official_counts(self) -> tuple[tuple[int, int, int], ...]:
        """All counts of clips that are official, `counts` first; () where no splits are official."""
        return () if self.counts is None else (self.counts, *self.further_counts)


CORPORA: dict[str, Corpus] = {
    # The CMU-MultimodalSDK drops one training clip (2WGyTLYerpo, label 43), whose label has no length.
    "mosi": Corpus("CMU-MOSI", -3.0, 3.0, (1284, 229, 686), further_counts=((1283, 229, 686),)),
    "mosei": Corpus("CMU-MOSEI", -3.0, 3.0, (16326, 1871, 4659)),
    "sims": Corpus(
        *("CH-SIMS", -1.0, 1.0, (1368, 456, 457)),
        split_by_clip=True,
        by_modality=True,
        step=0.2,
        chinese=True,
    ),
    "ur_funny": Corpus("UR-FUNNY", 0.0, 1.0, (7614, 980, 994), outputs=(2,)),
    # That clips, not sessions, are divided is assumed.
    "iemocap": Corpus("IEMOCAP", 0.0, 1.0, (2717, 798, 938), split_by_clip=True, outputs=(4, 2)),
}
