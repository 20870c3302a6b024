"""Corpus builder of TFDS that all corpora share: the schema, and how clips reach the disk."""

import contextlib
import dataclasses
import itertools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants

from msa_jax.corpora import SPLITS, Corpus
from msa_jax.data import checks, readers
from msa_jax.data.conventions import FIELDS, Said
from msa_jax.data.datasets import place, schema, stored
from msa_jax.data.datasets.prepared import Prepared, is_official, prepare, require_official
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.progress import watched

VERSION = "4.2.0"  # raise it when a build of the same file would come out different
_CHUNK = 128  # clips handed over at once: TFDS writes its files of metadata anew each time
_CHUNK_BYTES = 4 << 20  # and no more bytes than these, about
_SHARD = 2048  # clips per file


class _Info(tfds.core.DatasetInfo):
    """The description of a corpus for TFDS, without asking the network for more."""

    def initialize_from_bucket(self) -> None:
        """Does nothing: no corpus of this package lies in a bucket."""


class CorpusBuilder(tfds.core.DatasetBuilder, skip_registration=True):
    """A corpus out of a user's feature file, as ArrayRecord, written in the order of the file.

    `download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=...))` builds it and
    `as_data_source(split="train")` reads it; there is no TensorFlow dataset. TFDS's generator-based builder
    would collect each split in memory to shuffle it, and beyond 1 GB would need TensorFlow.

    Attributes:
      facts: what is known of the corpus; set by the subclass, as are the next three.
      about: one sentence on it.
      homepage: where it can be had.
      citation: its paper, as BibTeX.
    """

    VERSION = tfds.core.Version(VERSION)
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "4.2.0": "A stream of zeros alone counts as none in every format; more encodings are told; what the "
        "source shows of its corpus is kept.",
        "4.1.0": "Padding by one-sided zeros and rows of NaN; swapped axes and streams of other units are "
        "refused.",
        "4.0.0": "The conventions of a file (padding, rows, times, labels, encoding, videos) are decided "
        "once for all its clips, and kept.",
        "3.0.0": "The forms in which the field's own scripts write their files: rows of audio and vision "
        "that belong to BERT's tokens, padding at either end, and more.",
        "2.0.0": "Labels by modality; builders that TFDS finds by name; splits of other sizes than the "
        "official ones on request only.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put one feature file of the corpus into manual_dir (an MMSA pickle, a words pickle, ...), or let "
        "manual_dir be a folder of files that belong together (train.pkl, dev.pkl, test.pkl, ...)."
    )
    facts: Corpus
    about: str
    homepage: str | None = None
    citation: str | None = None

    def __init__(
        self,
        *,
        data_dir: str | Path | None = None,
        cut: Cut | None = None,
        split_name: str | None = None,
        text_features: bool = False,
        context: bool = False,
        other_counts: bool = False,
        prepared: Prepared | None = None,
        **options: Any,
    ) -> None:
        """Opens what is prepared in `data_dir`, or makes ready to prepare it.

        Args:
          data_dir: where the files come to lie, in `<data_dir>/<name>/<version>`; TFDS's own default.
          cut: how to cut what the file leaves undivided, which needs `other_counts` too.
          split_name: which division into splits to use, where the file has several.
          text_features: whether to keep the features of the text that the file brings; they are large.
          context: whether clips begin with the sentences before them (UR-FUNNY).
          other_counts: whether splits of other sizes than the official ones are accepted.
          prepared: the clips, where they need not be read from manual_dir.
          **options: the fields of `msa_jax.data.conventions.Said`, which say what the file leaves open; and
            `config` and `version`, as TFDS passes them.
        """
        said = Said(**{name: options.pop(name) for name in FIELDS if name in options})
        self._cut = cut or Cut()
        self._options = {
            "split_name": split_name,
            "text_features": text_features,
            "context": context,
            **dataclasses.asdict(said),
        }
        self._other_counts = other_counts
        self._prepared = prepared
        self._now: tfds.core.DatasetInfo | None = None
        super().__init__(data_dir=data_dir, **options)
        self._original_state |= {**self._options, "cut": cut, "other_counts": other_counts}  # for pickle

    @property
    def info(self) -> tfds.core.DatasetInfo:
        """The description of the corpus for TFDS, with the widths of its features once it is prepared."""
        if self._now is None:
            self._now = self._info()
        return self._now

    def _info(self, widths: Sequence[int | None] = schema.UNKNOWN) -> tfds.core.DatasetInfo:
        return _Info(
            builder=self,
            description=f"{self.about} Utterances with text, audio, vision and a label.",
            features=self._stored() if self._is_there() else schema.features(widths, self.facts),
            homepage=self.homepage,
            citation=self.citation,
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def _stored(self) -> tfds.features.FeaturesDict:
        """The features on the disk, with their widths; UserError where they are not this builder's."""
        return stored.features(Path(self.data_dir), self.facts, name=self.name, version=str(self.VERSION))

    def download_and_prepare(self, **options: Any) -> None:
        """Builds the corpus from the file in manual_dir, unless it is there already; see TFDS.

        While another process does the same, waits for it.

        Args:
          **options: those of TFDS; of `download_config`, `manual_dir` and `download_mode` matter.

        Raises:
          UserError: when there is no file, or one that cannot be used, when the disk is full, or when what is
            there already was built with other options.
        """
        config = options.pop("download_config", None) or tfds.download.DownloadConfig()
        config = dataclasses.replace(config, try_download_gcs=False)  # no corpus of this package lies there
        folder = Path(self.data_dir)
        # With `prepared`, the caller already holds the lock.
        with place.alone(folder) if self._prepared is None else contextlib.nullcontext():
            for left in folder.parent.glob(f"{constants.INCOMPLETE_PREFIX}*_{folder.name}"):
                shutil.rmtree(left, ignore_errors=True)  # by a process that was killed
            self._now = None
            if self._is_there() and not config.download_mode.overwrite_dataset:
                self._reopen()
            try:
                with place.explained(folder):
                    super().download_and_prepare(download_config=config, **options)
            except BaseException:
                self._now = None  # it names a folder that is gone
                raise

    def as_data_source(self, *args: Any, **options: Any) -> Any:
        """The clips of a split, or of every split, for random access; see TFDS.

        Raises:
          UserError: when nothing is prepared, or the splits are not the official ones and there is no
            `other_counts`.
        """
        if not self._is_there():
            raise UserError(f"{self.data_dir}: nothing is prepared there; call download_and_prepare first")
        if not self._other_counts:
            counts = {split: self.info.splits[split].num_examples for split in SPLITS}
            require_official(counts, self.info.metadata["cut"], self.facts, self.data_dir)
        return super().as_data_source(*args, **options)

    def _is_there(self) -> bool:
        """The answer of `is_prepared`, without the warnings that TFDS logs about a missing folder."""
        return (Path(self.data_dir) / constants.DATASET_INFO_FILENAME).is_file()

    def _reopen(self) -> None:
        """Takes up what lies in the folder, which another process may have put there."""
        self.info.read_from_directory(self.data_dir)
        metadata = self.info.metadata
        cut = dataclasses.asdict(self._cut) if metadata["cut"] else None
        asked = {**self._options, "cut": cut}
        for name, value in asked.items():
            if metadata[name] != value:
                raise UserError(
                    f"{self.data_dir}: prepared with {name}={metadata[name]!r}, not {value!r}; choose "
                    "another data_dir, or delete that folder"
                )

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: Any = None
    ) -> None:
        del download_config
        prepared = self._prepared or self._read(dl_manager)
        root = Path(self.data_dir_root)
        place.check_room(root, prepared.nbytes)
        self._now = self._info(prepared.widths)  # bound to the temporary folder that TFDS builds in
        with place.explained(root, prepared.nbytes):
            report = self._write(prepared)
        source = str(getattr(prepared.source, "path", ""))
        self.info.metadata.update(
            self._options,
            source=source,
            cut=prepared.cut,
            official=is_official(prepared.counts, prepared.cut, self.facts),
            repaired=report.problems(),
        )

    def _read(self, dl_manager: tfds.download.DownloadManager) -> Prepared:
        try:
            folder = Path(dl_manager.manual_dir)
        except AssertionError as error:  # it is missing or empty: the message says so, and what to do
            raise UserError(str(error)) from None
        except NotADirectoryError:
            raise UserError("manual_dir is a file; name the folder that it lies in") from None
        path = _feature_file(folder)
        source = readers.read(path, **self._options)
        return prepare(source, self.facts, where=str(path), cut=self._cut, other_counts=self._other_counts)

    def _write(self, prepared: Prepared) -> checks.Report:
        report = checks.Report()
        writer = tfds.core.SequentialWriter(self.info, _SHARD, file_format="array_record")
        writer.initialize_splits(list(SPLITS))
        size = max(1, min(_CHUNK, _CHUNK_BYTES * len(prepared.splits) // max(prepared.nbytes, 1)))
        left = prepared.counts
        clips = iter(watched(prepared.clips(report), "writing", "clip", len(prepared.splits)))
        while chunk := list(itertools.islice(clips, size)):
            by_split: dict[str, list[dict[str, Any]]] = {}
            for clip in chunk:
                by_split.setdefault(clip.split, []).append(schema.record(clip, self.facts))
                left[clip.split] -= 1
            with _disk_errors():
                writer.add_examples(by_split)
                if ended := [split for split in by_split if not left[split]]:
                    writer.close_splits(ended)  # an open one holds tens of megabytes
        return report

    def _as_dataset(self, *args: object, **kwargs: object) -> None:
        raise NotImplementedError("there is no TensorFlow dataset; use as_data_source")

    def _log_download_bytes(self) -> None:
        """TFDS prints the size of a download here; there is none."""

    def _log_download_done(self) -> None:
        """TFDS prints where the download went here; there is none."""


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """ArrayRecord tells of a full disk by a RuntimeError, "write() failed: <reason>; <details>"."""
    try:
        yield
    except RuntimeError as error:
        raise OSError(str(error).split(";")[0]) from error


def _feature_file(folder: Path) -> Path:
    """The path to read in a manual_dir: the one thing in it, or the folder itself.

    Raises:
      UserError: when there is nothing, or several files that do not belong together.
    """
    inside = [item for item in sorted(folder.iterdir()) if not item.name.startswith(".")]
    if len(inside) == 1:
        return inside[0]
    try:
        readers.files(folder)
    except UserError as error:
        raise UserError(
            f"{error}; manual_dir must hold one feature file, or files that belong together"
        ) from None
    return folder
