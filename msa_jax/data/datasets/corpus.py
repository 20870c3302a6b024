"""The TFDS builder that every corpus shares: the schema, and how clips reach the disk."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow_datasets as tfds

from msa_jax.data.corpora import SPLITS, Corpus
from msa_jax.data.example import Example

VERSION = "1.2.0"  # raise it when a build of the same file would come out different
_CHUNK = 128  # clips handed over at once
_SHARD = 2048  # clips per file


class _Info(tfds.core.DatasetInfo):
    """What TFDS knows of a corpus, without asking the network for more."""

    def initialize_from_bucket(self) -> None:
        """Does nothing: no corpus of this package lies in a bucket."""


class CorpusBuilder(tfds.core.DatasetBuilder, skip_registration=True):
    """Writes clips as ArrayRecord in one pass over them, in their order, holding a few at a time.

    TFDS's generator-based builder would collect each split in memory to shuffle it, and beyond 1 GB would
    need TensorFlow. Reading goes through `as_data_source`; there is no TensorFlow dataset.

    Attributes:
      facts: what is known of the corpus; set by the subclass.
    """

    VERSION = tfds.core.Version(VERSION)
    facts: Corpus

    def __init__(self, *, data_dir: str, widths: Sequence[int], examples: Iterable[Example]) -> None:
        """Prepares a build; `download_and_prepare` does it.

        Args:
          data_dir: where to build; the files come to lie in `<data_dir>/<name>/<version>`.
          widths: features per row of audio, of vision and of the text features, at least 1.
          examples: the clips, checked, each in one of the three splits.
        """
        self._widths = widths
        self._examples = examples
        super().__init__(data_dir=data_dir)

    def _info(self) -> tfds.core.DatasetInfo:
        audio, vision, text = (
            tfds.features.Tensor(shape=(None, width), dtype=np.float32, encoding="bytes")
            for width in self._widths
        )
        return _Info(
            builder=self,
            description=f"{self.facts.title}: utterances with text, audio, vision and a label.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "video": tfds.features.Text(),
                    "text": tfds.features.Text(),
                    "audio": audio,
                    "vision": vision,
                    "text_features": text,
                    "aligned": np.bool_,
                    "label": tfds.features.Tensor(
                        shape=self.facts.label_shape, dtype=np.float64, encoding="bytes"
                    ),
                }
            ),
            disable_shuffling=True,
        )

    def _download_and_prepare(self, dl_manager: object, download_config: object = None) -> None:
        del dl_manager, download_config
        info = self._info()  # bound to the temporary folder that TFDS builds in, which self.info is not
        writer = tfds.core.SequentialWriter(info, _SHARD, file_format="array_record")
        writer.initialize_splits(list(SPLITS))
        examples = iter(self._examples)
        while chunk := list(itertools.islice(examples, _CHUNK)):
            by_split = {split: [_record(clip) for clip in chunk if clip.split == split] for split in SPLITS}
            writer.add_examples({split: records for split, records in by_split.items() if records})
        writer.close_all()
        self.info.set_file_format("array_record")
        self.info.set_splits(info.splits)

    def _as_dataset(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError("there is no TensorFlow dataset; use as_data_source")

    def _log_download_bytes(self) -> None:
        """TFDS prints the size of a download here; there is none."""

    def _log_download_done(self) -> None:
        """TFDS prints where the download went here; there is none."""


def _record(clip: Example) -> dict:
    return {
        "id": clip.id,
        "video": clip.video,
        "text": clip.text,
        "audio": clip.audio,
        "vision": clip.vision,
        "text_features": clip.text_features,
        "aligned": clip.aligned,
        "label": np.asarray(clip.label, np.float64),
    }
