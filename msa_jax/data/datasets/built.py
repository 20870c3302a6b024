"""Built corpora on disk: opened, and read clip by clip in any order."""

import dataclasses
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msa_jax import seals
from msa_jax.corpora import CORPORA, SPLITS
from msa_jax.data import checks, conventions
from msa_jax.data.datasets import builders
from msa_jax.data.datasets.corpus import VERSION
from msa_jax.data.datasets.prepared import require_official
from msa_jax.errors import UserError, named
from msa_jax.files import expanded, read_json

SIDECAR = "source.json"  # written last: a folder without it is not a build


@dataclasses.dataclass(frozen=True)
class Built:
    """A complete build of a corpus.

    Attributes:
      folder: where it lies.
      corpus: its key, such as "mosi".
      content_hash: SHA-256 of the source it was built from.
      source: the path of that source, or what made the clips.
      format: the format of the source.
      counts: clips in each split.
      widths: features per row of "audio" and "vision"; 1 where no clip has the modality.
      streams: those of "audio" and "vision" that some clip has.
      text_width: features per row of the text features; 0 where there are none.
      words: whether some clip has words.
      cut: the cut that made the splits; None where the source has them all.
      official: whether the source itself divides its clips, into splits of the official sizes; never of a
        corpus that is made, which has no official ones.
      report: what was repaired or is odd: the ids of the clips by problem.
      notes: how the source was understood, a line each.
      conventions: what was decided where the format leaves it open, as in `Reading`.
      open_words: clips whose BERT tokens a vocabulary could give to words with more certainty.
      untold_videos: clips whose video the ids could not tell.
      by_modality: the smallest and the largest of the source's labels by modality, kept or not; None where
        it has none.
      chinese: clips whose text is Chinese.
    """

    folder: Path
    corpus: str
    content_hash: str
    source: str
    format: str
    counts: dict[str, int]
    widths: dict[str, int]
    streams: list[str]
    text_width: int
    words: bool
    cut: dict[str, Any] | None
    official: bool
    report: dict[str, list[str]]
    notes: list[str]
    conventions: dict[str, str]
    open_words: int
    untold_videos: int
    by_modality: list[float] | None
    chinese: int

    def split(self, name: str) -> "Split":
        """Opens "train", "valid" or "test" for random access."""
        if name not in SPLITS:
            raise UserError(f"{self.corpus}: there is no split {name!r}, only {', '.join(SPLITS)}")
        return Split(self.folder, name)

    def require_official(self) -> None:
        """Refuses a build with other splits than the official ones, where its corpus has official ones.

        Raises:
          UserError: when the source was cut, or its splits are of other sizes.
        """
        if self.corpus in CORPORA:
            require_official(self.counts, self.cut, CORPORA[self.corpus], self.source)

    def messages(self) -> list[str]:
        """How the source was understood, and one line for each problem, with the first ids."""
        problems = [named(f"{{clip|clips}} with {problem}", ids) for problem, ids in self.report.items()]
        return [*conventions.lines(self.conventions), *self.notes, *problems]


class Split:
    """The clips of one split, in the order of the source; cheap to pickle, opened again where it arrives.

    A clip is a dict: id, video and text (str), audio float32 [A, d_a], vision float32 [V, d_v] and
    text_features float32 [T, d_t] with no rows where the clip lacks them, aligned (bool), label (float, or
    float64 [4] where a clip has four); unimodal_labels float64 [3] or [0], tokens and token_words int32 [n]
    as in `Example`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._place = (folder, name)
        self._records = builders.records(folder, name)

    def __reduce__(self) -> tuple:
        return type(self), self._place

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Reads several clips at once, which is much faster than one by one."""
        count = len(self)
        for index in indices:
            if not 0 <= index < count:  # also ends the iteration protocol
                raise IndexError(f"clip {index} of {count}")
        try:
            records = self._records.__getitems__([int(index) for index in indices])
        except Exception as e:  # of ArrayRecord, whose chunks have checksums
            raise UserError(
                f"{self._place[0]}: a record cannot be read ({next(iter(str(e).splitlines()), '')[:200]}); "
                "delete that folder, and the same command builds the corpus again"
            ) from e
        return [_clip(record) for record in records]


def _clip(record: dict[str, Any]) -> dict[str, Any]:
    texts = {key: record[key].decode() for key in ("id", "video", "text")}
    features = {key: np.asarray(record[key], np.float32) for key in checks.FEATURES}
    label = np.asarray(record["label"], np.float64)
    return {
        **texts,
        **features,
        "aligned": bool(record["aligned"]),
        **{name: np.asarray(record[name], np.int32) for name in ("tokens", "token_words")},
        "label": label if label.ndim else label.item(),
        "unimodal_labels": np.asarray(record.get("unimodal_labels", ()), np.float64),
    }


class OtherVersion(UserError):
    """The build is sound, and of another version of the builder."""


def open_built(folder: str | Path, *, mend: str | None = None) -> Built:
    """Opens a complete build, and compares all of it with its seal.

    Args:
      folder: as `Built.folder`.
      mend: what to do where it is damaged; None: delete it and build again.

    Raises:
      UserError: when the folder is not a complete build of this version, or damaged.
    """
    folder = expanded(folder)
    mend = mend or f"delete {folder} and build the corpus again"
    built = _described(folder, mend)
    seals.check(folder, mend=mend)
    return built


def _described(folder: Path, mend: str) -> Built:
    """What a build says of itself, of which its records are not looked at."""
    try:
        facts = read_json(folder / SIDECAR)
    except UserError as e:
        raise UserError(f"{e}; {mend}") from None
    version = facts.pop("version", None)
    if version == VERSION or (folder / seals.FILE).exists():  # else of a version that had no seals
        seals.check(folder, mend=mend, only=(SIDECAR,))
    if version != VERSION:
        raise OtherVersion(
            f"{folder}: built by version {version} of the builder, not {VERSION}; build it again"
        )
    kinds = {field.name: _kind(field.type) for field in dataclasses.fields(Built) if field.name != "folder"}
    if facts.keys() != kinds.keys() or not all(isinstance(facts[k], kind) for k, kind in kinds.items()):
        raise OtherVersion(f"{folder / SIDECAR}: is not of a build of this version; {mend}")
    return Built(folder=folder, **facts)


def _kind(annotation: Any) -> Any:
    """What `isinstance` takes of the annotation of a field."""
    if typing.get_origin(annotation) is types.UnionType:
        return tuple(_kind(part) for part in typing.get_args(annotation))
    return typing.get_origin(annotation) or annotation


def find_built(
    corpus: str, cache: str | Path, *, text_features: bool | None = False, content: str | None = None
) -> list[Built]:
    """The builds of a corpus by this version of the builder, the latest first.

    Only what they say of themselves is looked at: `open_built` compares the rest.

    Args:
      corpus: such as "mosi".
      cache: where builds are kept.
      text_features: whether to look for those with or for those without features of the text; None: both.
      content: the hash of a source; where there are builds of it, only these.

    Raises:
      UserError: when what a build says of itself is damaged, unless there are others of the wanted content.
    """
    found, damaged = [], None
    for folder in _folders(corpus, expanded(cache)):
        mend = f"delete {folder}, and name its data by --config.data.path"
        try:
            found.append(_described(folder, mend))
        except OtherVersion:
            continue
        except UserError as e:
            damaged = damaged or e
    found = [built for built in found if text_features in (None, bool(built.text_width))]
    wanted = [built for built in found if built.content_hash == content]
    if damaged and not wanted:
        raise damaged
    return wanted or found


def _folders(corpus: str, cache: Path) -> list[Path]:
    """Those of builds, whole or not, the latest first: they are sealed before they get their names."""
    marks = [place for name in (SIDECAR, seals.FILE) for place in cache.glob(f"{corpus}-*/{name}")]
    written = {place.parent: place.stat().st_mtime for place in reversed(marks)}  # the sidecar's time counts
    return sorted(written, key=written.__getitem__, reverse=True)
