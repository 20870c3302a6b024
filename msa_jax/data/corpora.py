"""Facts about the corpora that several modules need: label ranges and official split sizes."""

import dataclasses

SPLITS = ("train", "valid", "test")


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What is known of a corpus without opening its files.

    Attributes:
      title: the name as papers write it.
      low, high: the range of its sentiment labels, both ends included.
      counts: clips in the official train, valid and test splits.
      split_by_clip: True where the official splits divide clips, not videos, so that one video may be in
        several of them.
    """

    title: str
    low: float
    high: float
    counts: tuple[int, int, int]
    split_by_clip: bool = False


CORPORA: dict[str, Corpus] = {
    "mosi": Corpus("CMU-MOSI", -3.0, 3.0, (1284, 229, 686)),
    "mosei": Corpus("CMU-MOSEI", -3.0, 3.0, (16326, 1871, 4659)),
    "sims": Corpus("CH-SIMS", -1.0, 1.0, (1368, 456, 457), split_by_clip=True),
}
