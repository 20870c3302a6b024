"""Builds of a corpus: made once, found again by their content, and complete or not there at all."""

import dataclasses
import hashlib
import json
import numbers
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msa_jax import seals
from msa_jax.corpora import STREAMS
from msa_jax.data import readers
from msa_jax.data.content import content_hash
from msa_jax.data.conventions import Said
from msa_jax.data.datasets import place
from msa_jax.data.datasets.builders import BUILDERS
from msa_jax.data.datasets.built import SIDECAR, Built, open_built
from msa_jax.data.datasets.corpus import VERSION
from msa_jax.data.datasets.prepared import Prepared, prepare
from msa_jax.data.example import SPECIAL, Example
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError, check_flags, nearest
from msa_jax.files import expanded, write_json
from msa_jax.progress import say

_TICK = 2.0  # seconds; file systems note times that coarsely
_SAMPLE = 64  # clips that tell which vocabulary made the tokens of a build


def load(
    corpus: str,
    path: str | Path,
    *,
    cache: str | Path,
    cut: Cut,
    split_name: str | None = None,
    text_features: bool = False,
    context: bool = False,
    encoder: str | None = None,
    other_counts: bool = False,
    need_text: bool = True,
    **said: Any,
) -> Built:
    """Opens a corpus, building it first where this very file has not been built before.

    While another process builds the same file, waits for it and opens what it built.

    Args:
      corpus: a key of `msa_jax.corpora.CORPORA`.
      path: the user's feature file or folder.
      cache: where builds are kept; made where it is missing.
      cut: how to cut what the file leaves undivided.
      split_name: which division into splits to use, where the file has several.
      text_features: whether to keep the features of the text that the file brings; they are large.
      context: whether clips begin with the sentences before them (UR-FUNNY).
      encoder: the name of the run's text encoder; see `msa_jax.data.readers.read`.
      other_counts: whether splits of other sizes than the official ones are accepted, a cut among them.
      need_text: whether the clips' text is needed, as words or as features; False: a file without any is
        built as well.
      **said: the fields of `msa_jax.data.conventions.Said`: what the file leaves open.

    Returns:
      The build, in `<cache>/<corpus>-<hash of content, split_name, version and, where they matter,
      text_features, context, what is said, and cut>`.

    Raises:
      UserError: when the path cannot be read, its contents cannot be repaired or lack text features, its
        splits are not the official ones, or the disk cannot be written.
    """
    check_flags(text_features=text_features, context=context, other_counts=other_counts, need_text=need_text)
    _check_arguments(corpus, encoder, split_name, cut)
    path, cache = expanded(path), expanded(cache)
    marks = _marks(path)
    content = content_hash(path)
    given = Said(**said).given()
    asked = {"text_features": text_features, "context": context}
    folders = _folders(cache, corpus, content, split_name, cut, asked, given)
    built = _open_one(folders, path, other_counts)
    if built and built.open_words and "bert_vocab" not in given and (by := _vocabulary(built, encoder)):
        # Built without a vocabulary; there is one by now, and the words of the tokens are surer by it.
        folders = _folders(cache, corpus, content, split_name, cut, asked, {**given, "bert_vocab": by})
        built = _open_one(folders, path, other_counts)
    if built:
        return built
    with place.workshop(folders[0]) as scratch:
        # By the process that was waited for:
        if built := _open_one(folders, path, other_counts, again=True):
            return built
        source = readers.read(
            path, split_name=split_name, encoder=encoder, need_text=need_text, **asked, **given
        )
        facts = BUILDERS[corpus].facts
        prepared = prepare(source, facts, where=str(path), cut=cut, other_counts=other_counts)
        folder = folders[0] if prepared.cut is None else folders[1]
        facts = {"content_hash": content, "source": str(path), "format": source.format}
        return _build(
            corpus, prepared, scratch, folder, lambda: _refuse_changed(path, content, marks), **facts
        )


def _check_arguments(corpus: object, encoder: object, split_name: object, cut: object) -> None:
    """UserError for what no build can be made by; says what was given."""
    if not isinstance(corpus, str) or corpus not in BUILDERS:
        raise UserError(f"the corpus is {corpus!r}; {nearest(corpus, list(BUILDERS))}")
    for name, value in (("encoder", encoder), ("split_name", split_name)):
        if value is not None and not isinstance(value, str):
            raise UserError(f"{name} is {value!r}, which is not a name")
    if not isinstance(cut, Cut):
        raise UserError(f"cut is {cut!r}; write msa_jax.data.splits.Cut(...)")
    if not (isinstance(cut.fold, numbers.Integral) and 0 <= cut.fold < max(cut.folds, 1)):
        raise UserError(f"the cut's fold is {cut.fold!r}; there are 0 to {cut.folds - 1}")


def _folders(
    cache: str | Path,
    corpus: str,
    content: str,
    split_name: str | None,
    cut: Cut,
    asked: Mapping[str, bool],
    said: Mapping[str, Any],
) -> list[Path]:
    """Where a build lies if the file has all its splits, and if it has to be cut."""
    key: list[object] = [content, split_name, *(name for name, wanted in asked.items() if wanted)]
    for name, value in said.items():
        if name == "bert_vocab":
            from msa_jax.text.bert_vocab import fingerprint  # late: it brings JAX, which few builds need

            value = fingerprint(value)
        key.append([name, value])
    # A file that has all its splits is built once for every cut, so that seeds do not multiply builds.
    return [_folder(cache, corpus, [*key, *part]) for part in ([], [dataclasses.asdict(cut)])]


def _vocabulary(built: Built, encoder: str | None) -> str | None:
    """The name of a vocabulary at hand that made the tokens of a build, told by some of its clips."""
    from msa_jax.text.bert_vocab import fitting

    train = built.split("train")
    clips = train.__getitems__(range(min(len(train), _SAMPLE)))
    content = [clip["tokens"][clip["token_words"] != SPECIAL] for clip in clips]
    return fitting([clip["text"] for clip in clips], content, encoder)


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
      UserError: when the clips fail the checks that a file's clips have to pass.
    """
    folder = _folder(cache, corpus, [key])
    if built := _whole(folder):
        return built
    with place.workshop(folder) as scratch:
        if built := _whole(folder, again=True):
            return built
        if isinstance(examples, Iterator):
            examples = list(examples)
        prepared = prepare(examples, BUILDERS[corpus].facts, where=corpus, cut=Cut())
        content = hashlib.sha256(key.encode()).hexdigest()
        facts = {"content_hash": content, "source": corpus, "format": "generated"}
        return _build(corpus, prepared, scratch, folder, lambda: None, **facts)


def _whole(folder: Path, *, again: bool = False) -> Built | None:
    """The build in a folder; None where there is none, or a damaged one, which is said unless it was."""
    if not (folder / SIDECAR).is_file():
        return None
    try:
        return open_built(folder)
    except UserError as e:
        if not again:
            say(f"note: {str(e).partition('; delete')[0]}: the corpus is built again")
        return None


def _marks(path: Path) -> list[tuple[int, ...]] | None:
    """What changes with each file's content; None where it was written so lately that a clock may miss more.

    The time of the last change (`st_ctime_ns`) is the file system's own, and cannot be set back.
    """
    marks = []
    for file in readers.files(path):
        try:
            found = file.stat()
        except OSError as error:
            raise readers.clean.unreadable(file, error) from None
        if time.time() - found.st_ctime < _TICK:
            return None
        marks.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    return marks


def _refuse_changed(path: Path, content: str, marks: list[tuple[int, ...]] | None) -> None:
    """UserError where the content is not what it was; it is only read again where the marks differ."""
    if (marks is None or _marks(path) != marks) and content_hash(path) != content:
        raise UserError(f"{path}: changed while it was read; leave it as it is, and say the same again")


def _open_one(
    folders: Sequence[Path], path: Path, other_counts: bool, *, again: bool = False
) -> Built | None:
    """That of the folders which is complete, if any."""
    for folder in folders:
        if found := _whole(folder, again=again):
            built = dataclasses.replace(found, source=str(path))  # the file may have moved
            if not other_counts:
                built.require_official()
            return built
    return None


def _build(
    corpus: str, prepared: Prepared, scratch: Path, folder: Path, last: Callable[[], None], **facts: object
) -> Built:
    """Writes the clips to a scratch folder, seals it, and renames it when `last` has nothing against it."""
    builder = BUILDERS[corpus](data_dir=scratch, prepared=prepared)
    with place.explained(folder, prepared.nbytes):
        builder.download_and_prepare()
        shutil.rmtree(scratch / "downloads", ignore_errors=True)  # empty, but TFDS makes it
        sidecar = {
            "version": VERSION,
            "corpus": corpus,
            **facts,
            "counts": prepared.counts,
            "widths": dict(zip(STREAMS, prepared.widths, strict=False)),
            "streams": prepared.streams,
            "text_width": prepared.text_width,
            "words": prepared.words,
            "cut": prepared.cut,
            "official": builder.info.metadata["official"],
            "report": builder.info.metadata["repaired"],
            "notes": prepared.notes,
            "conventions": prepared.conventions,
            "open_words": prepared.open_words,
            "untold_videos": prepared.untold_videos,
            "by_modality": prepared.by_modality,
            "chinese": prepared.chinese,
        }
        write_json(scratch / SIDECAR, sidecar)
        seals.write(scratch)
        last()
        if folder.exists():  # without a sidecar, or damaged
            shutil.rmtree(folder)
        scratch.rename(folder)
    return open_built(folder)


def _folder(cache: str | Path, corpus: str, parts: Sequence[object]) -> Path:
    key = hashlib.sha256(json.dumps([VERSION, corpus, *parts]).encode()).hexdigest()
    return expanded(cache) / f"{corpus}-{key[:16]}"
