"""Building a corpus once and finding it again: a folder keyed by content, complete or not there at all."""

import dataclasses
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tensorflow_datasets as tfds

from msa_jax.data import readers
from msa_jax.data.corpora import SPLITS
from msa_jax.data.datasets import checks, synthetic
from msa_jax.data.datasets.built import SIDECAR, Built, open_built
from msa_jax.data.datasets.ch_sims import ChSims
from msa_jax.data.datasets.cmu_mosei import CmuMosei
from msa_jax.data.datasets.cmu_mosi import CmuMosi
from msa_jax.data.datasets.corpus import VERSION, CorpusBuilder
from msa_jax.data.datasets.iemocap import Iemocap
from msa_jax.data.datasets.ur_funny import UrFunny
from msa_jax.data.example import Example
from msa_jax.data.splits import Cut, assign
from msa_jax.errors import UserError

BUILDERS: dict[str, type[CorpusBuilder]] = {
    "mosi": CmuMosi,
    "mosei": CmuMosei,
    "sims": ChSims,
    "ur_funny": UrFunny,
    "iemocap": Iemocap,
    **synthetic.BUILDERS,
}
_STALE = 24 * 3600.0  # seconds after which a build that did not end is taken for killed


def load(
    corpus: str,
    path: str | Path,
    *,
    cache: str | Path,
    cut: Cut,
    split_name: str | None = None,
    text_features: bool = False,
) -> Built:
    """Opens a corpus, building it first where this very file has not been built before.

    Args:
      corpus: a key of `msa_jax.data.corpora.CORPORA`.
      path: the user's feature file or folder.
      cache: where builds are kept; made where it is missing.
      cut: how to cut what the file leaves undivided.
      split_name: which division into splits to use, where the file has several.
      text_features: whether to keep the features of the text that the file brings; they are large.

    Returns:
      The build, in `<cache>/<corpus>-<hash of content, split_name, version and, where they matter,
      text_features and cut>`.

    Raises:
      UserError: a path that cannot be read, contents that cannot be repaired, or no text features in it.
    """
    path = Path(path).expanduser()
    content = _content_hash(path)
    # A file that has all its splits is built once for every cut, so that seeds do not multiply builds.
    key = [content, split_name, *(["text_features"] if text_features else [])]
    folders = [_folder(cache, corpus, [*key, *part]) for part in ([], [dataclasses.asdict(cut)])]
    for folder in folders:
        if (folder / SIDECAR).is_file():
            return dataclasses.replace(open_built(folder), source=str(path))  # the file may have moved
    source = readers.read(path, split_name=split_name, text_features=text_features)
    clips = checks.survey(source)
    try:
        splits = assign([clip.video for clip in clips], [clip.split for clip in clips], cut)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    given = all(clip.split == split for clip, split in zip(clips, splits, strict=True))
    return _build(
        corpus,
        source,
        [dataclasses.replace(clip, split=split) for clip, split in zip(clips, splits, strict=True)],
        folders[0] if given else folders[1],
        content_hash=content,
        source=str(path),
        format=source.format,
        cut=None if given else dataclasses.asdict(cut),
    )


def build_examples(corpus: str, examples: Iterable[Example], *, cache: str | Path, key: str) -> Built:
    """Opens a corpus whose clips are made, not read, building it first where it has not been built before.

    Args:
      corpus: the name of a preset of `msa_jax.data.synthetic`, such as "synthetic".
      examples: the clips with their splits; gone through twice, so an iterator is first put into a list, and
        not touched where the build exists.
      cache: where builds are kept.
      key: says everything that the clips depend on; another key is another build.

    Returns:
      The build.

    Raises:
      UserError: the clips fail the checks that a file's clips have to pass.
    """
    folder = _folder(cache, corpus, [key])
    if (folder / SIDECAR).is_file():
        return open_built(folder)
    if isinstance(examples, Iterator):
        examples = list(examples)
    clips = checks.survey(examples)
    content = hashlib.sha256(key.encode()).hexdigest()
    return _build(
        corpus, examples, clips, folder, content_hash=content, source=corpus, format="generated", cut=None
    )


def _build(
    corpus: str,
    examples: Iterable[Example],
    clips: Sequence[checks.Clip],
    folder: Path,
    *,
    source: str,
    **facts: object,
) -> Built:
    """Checks the clips, writes them to a folder beside `folder`, and renames it when all is there."""
    builder = BUILDERS[corpus]
    widths = checks.check(clips, builder.facts, source)
    report = checks.Report()
    splits = [clip.split for clip in clips]

    def repaired() -> Iterator[Example]:
        for clip, split in zip(examples, splits, strict=True):
            yield dataclasses.replace(checks.repair(clip, widths, report), split=split)

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_killed(folder)
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
        temporary.mkdir()
    except OSError as error:
        raise UserError(f"{folder.parent}: cannot keep a build there ({error.strerror or error})") from None
    try:
        tfds.disable_progress_bar()
        builder(data_dir=str(temporary), widths=widths, examples=repaired()).download_and_prepare()
        shutil.rmtree(temporary / "downloads", ignore_errors=True)  # empty, but TFDS makes it
        sidecar = {
            "version": VERSION,
            "corpus": corpus,
            "source": source,
            **facts,
            "counts": {split: splits.count(split) for split in SPLITS},
            "widths": dict(zip(checks.STREAMS, widths, strict=False)),
            "streams": checks.streams(clips),
            "text_width": widths[-1] if checks.has_text_features(clips) else 0,
            "report": report.problems(),
        }
        (temporary / SIDECAR).write_text(json.dumps(sidecar, indent=1, ensure_ascii=False) + "\n", "utf-8")
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / SIDECAR).is_file():  # else another process was faster with the same build
                raise
    except OSError as error:
        raise UserError(f"{folder}: the build could not be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_built(folder)


def _remove_killed(folder: Path) -> None:
    """Frees the place, and the disk of what builds left when they were killed long ago."""
    if folder.exists() and not (folder / SIDECAR).is_file():
        shutil.rmtree(folder)
    for left in folder.parent.glob(f".{folder.name}.*"):
        if time.time() - left.stat().st_mtime > _STALE:
            shutil.rmtree(left, ignore_errors=True)


def _folder(cache: str | Path, corpus: str, parts: Sequence[object]) -> Path:
    key = hashlib.sha256(json.dumps([VERSION, corpus, *parts]).encode()).hexdigest()
    return Path(cache) / f"{corpus}-{key[:16]}"


def _content_hash(path: Path) -> str:
    """SHA-256 over the file, or over the names and contents of a folder's split files."""
    total = hashlib.sha256()
    for file in readers.files(path):
        if path.is_dir():
            total.update(f"{file.name} {os.path.getsize(file)}\n".encode())
        try:
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    total.update(block)
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror or error})") from None
    return total.hexdigest()
