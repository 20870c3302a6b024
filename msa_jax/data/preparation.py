"""Preparation: all that turns clips into the arrays that a model was trained on, as one thing."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from msa_jax.corpora import STREAMS
from msa_jax.data.batching import ALONE, Share, batches
from msa_jax.data.example import Example
from msa_jax.data.findings import Finding, of_split
from msa_jax.data.measure import Measure
from msa_jax.data.pipeline import Clips, Source, Split, chunks
from msa_jax.data.plan import BatchPlan, Lengths, beyond, choose_buckets
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.data.stored import check as check_stored
from msa_jax.errors import UserError, named
from msa_jax.files import OLDER, read_json, write_json
from msa_jax.progress import say
from msa_jax.text import EncoderConfig, Tokenizer

_MOST_SPREAD = 0.01  # share of a split's clips whose rows may be spread for want of words


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Tokenizer, preprocessing, statistics and batch lengths of a run; new clips are treated the same.

    Attributes:
      tokenizer: of the text; None where the text is features, or the training clips have none.
      preprocessing: its settings.
      statistics: of the training split's audio and vision.
      buckets: lengths that batches are padded to.
      clips: number of clips in the training split.
      encoder: sizes of the text encoder; None where there is none.
    """

    tokenizer: Tokenizer | None
    preprocessing: Preprocessing
    statistics: Statistics
    buckets: tuple[Lengths, ...]
    clips: int
    encoder: EncoderConfig | None = None

    @classmethod
    def fit(
        cls,
        source: Source,
        tokenizer: Tokenizer | None,
        preprocessing: Preprocessing,
        *,
        buckets: int,
        standardise: bool = True,
        encoder: EncoderConfig | None = None,
    ) -> tuple["Preparation", Split]:
        """Measures the training split.

        Args:
          source: its clips.
          tokenizer: as the attribute.
          preprocessing: as the attribute.
          buckets: at most so many lengths of batches.
          standardise: whether audio and vision get the split's mean and deviation; False: 0 and 1.
          encoder: as the attribute.

        Returns:
          (the preparation, the scanned split).

        Raises:
          UserError: when the rows of many clips belong to tokens whose words are not known.
        """
        measure = Measure(preprocessing, standardise=standardise)
        split = Split(source, tokenizer, preprocessing, measure=measure)
        _check_spread(split)
        statistics = measure.statistics(chunks(source))
        chosen = choose_buckets(split.lengths, buckets)
        return cls(tokenizer, preprocessing, statistics, chosen, len(split), encoder), split

    @property
    def texts_count(self) -> bool:
        """Whether a text makes a difference: as words, or as the time line of audio and vision."""
        if "text" in self.preprocessing.modalities:
            return not self.preprocessing.text_width
        return self.tokenizer is not None and self.preprocessing.time_line == "text"

    def without(self, *modalities: str) -> "Preparation":
        """The same with some modalities masked out."""
        return dataclasses.replace(self, preprocessing=self.preprocessing.without(*modalities))

    def scan(self, source: Source) -> Split:
        """Tokenises the clips of a source.

        Raises:
          UserError: when the rows of many clips belong to tokens whose words are not known.
        """
        split = Split(source, self.tokenizer, self.preprocessing)
        _check_spread(split)
        return split

    def findings(self, split: Split, *, training: bool = False, missing: bool = True) -> list[Finding]:
        """What a user should know of a split's clips; see `findings.of_split`."""
        return of_split(split, self.preprocessing, self.statistics, training=training, missing=missing)

    def batches(
        self, split: Split, plan: BatchPlan, *, threads: int, share: Share = ALONE, start: int = 0
    ) -> Any:
        """The batches of a plan, standardised, made ahead of time; see `batching.batches`.

        Raises:
          UserError: when there is no memory for one.
        """
        self._check_room(plan)
        return batches(split, plan, self.statistics, threads=threads, share=share, start=start)

    def _check_room(self, plan: BatchPlan) -> None:
        how, longest = self.preprocessing, np.max(plan.buckets, axis=0).tolist()
        columns = (how.text_width or 1, *(how.widths[m] for m in STREAMS))
        needed = 4 * plan.batch_size * int(np.dot(longest, columns))
        free = psutil.virtual_memory().available
        if needed > free:
            steps = ", ".join(map(str, longest))
            raise UserError(
                f"a batch of {plan.batch_size} clips of {steps} steps takes {needed / 2**30:.1f} GiB, of "
                f"which {free / 2**30:.1f} are free; lower --config.batch_size or --config.eval_batch_size"
            )

    def in_order(
        self, split: Split, *, batch_size: int, threads: int, share: Share = ALONE
    ) -> Iterator[dict[str, np.ndarray]]:
        """Every clip of a split once, in batches of similar length, for scoring.

        Args:
          split: the clips; those that are longer than any training clip get a length of their own, one of
            few for all splits that there can be.
          batch_size: clips in a batch.
          threads: background threads that make batches.
          share: the rows of each batch to make; by default all.
        """
        buckets = beyond(self.buckets, split.lengths, self.preprocessing.longest)
        plan = BatchPlan(split.lengths, buckets, batch_size)
        return self.batches(split, plan, threads=threads, share=share)

    def blank_batch(self, *, rows: int = 1, length: int = 4) -> dict[str, np.ndarray]:
        """A batch of zeros with the shapes of the data, to initialise a model with.

        Args:
          rows: B.
          length: T, A and V.
        """
        how = self.preprocessing
        text = (rows, length, how.text_width) if how.text_width else (rows, length)
        batch = {
            "text": np.zeros(text, np.float32 if how.text_width else np.int32),
            "text_mask": np.ones((rows, length), bool),
            "mask": np.ones(rows, bool),
            "index": np.zeros(rows, np.int32),
        }
        for m in STREAMS:
            batch[m] = np.zeros((rows, length, how.widths[m]), np.float32)
            batch[f"{m}_mask"] = np.zeros((rows, length), bool)
        return batch

    def check(self, examples: Sequence[Example], surplus: str = "") -> Clips:
        """Checks new clips against the training data, and makes a source of them.

        Args:
          examples: the clips.
          surplus: what to say where one has more rows than words, as in `Reading`.

        Raises:
          UserError: when a clip does not match; names it and what does not.
        """
        for e in examples:
            self.check_clip(e, surplus)
        return Clips([dataclasses.asdict(e) for e in examples])

    def check_clip(self, e: Example, surplus: str = "") -> None:
        """UserError where a new clip does not match the training data; arguments as for `check`."""
        how = self.preprocessing
        self._check_text(e)
        for m in STREAMS:
            rows = getattr(e, m)
            if rows.ndim != 2:
                raise UserError(f"clip {e.id}: {m} must be [rows, columns], got shape {rows.shape}")
            if m in how.modalities and rows.shape[1]:  # perhaps without a row: zeros alone have a width
                if rows.shape[0] == how.widths[m] != rows.shape[1]:
                    raise UserError(
                        f"clip {e.id}: {m} has shape {rows.shape}, and the run was trained on "
                        f"{how.widths[m]} columns: rows and columns are swapped; write array.T"
                    )
                self.check_width(m, rows.shape[1], f"clip {e.id}")
                words = len(e.text.split()) or len(e.text_features)
                if e.aligned and len(rows) not in (0, words):
                    advice = f"; {surplus}" if surplus and len(rows) > words else ""
                    raise UserError(f"clip {e.id}: {m} has {len(rows)} rows for {words} words{advice}")
                if not np.isfinite(rows).all():
                    raise UserError(f"clip {e.id}: {m} holds NaN or infinity")

    def _check_text(self, e: Example) -> None:
        given, wanted = e.text_features, self.preprocessing.text_width
        if "text" not in self.preprocessing.modalities:
            return
        if not wanted:
            if len(given):
                raise UserError(f"clip {e.id}: the run reads texts, and takes no text features")
        elif given.ndim != 2 or given.shape[1] not in (0, wanted):
            raise UserError(
                f"clip {e.id}: the run was trained on text features of {wanted} columns, "
                f"got shape {given.shape}"
            )
        elif not np.isfinite(given).all():
            raise UserError(f"clip {e.id}: the text features hold NaN or infinity")

    def check_width(self, modality: str, width: int, where: str) -> None:
        """UserError unless `width` is that of the training data; `where` names the clip or the file."""
        wanted = self.preprocessing.widths[modality]
        if width != wanted:
            rest = tuple(m for m in self.preprocessing.modalities if m != modality)
            raise UserError(
                f"{where}: {modality} has {width} columns, the run was trained on {wanted}; "
                f'bring the same features, or leave it out with --config.data.modalities="{rest}"'
            )

    def save(self, workdir: Path) -> None:
        """Writes it into a run's folder: preparation.json, and tokenizer.json where there is one."""
        if self.tokenizer is not None:
            self.tokenizer.save(workdir / "tokenizer.json")
        data = {
            "encoder": None if self.encoder is None else dataclasses.asdict(self.encoder),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "statistics": self.statistics.to_json(),
            "buckets": list(self.buckets),
            "clips": self.clips,
        }
        write_json(workdir / "preparation.json", data)

    @classmethod
    def load(cls, workdir: Path) -> "Preparation":
        """Reads what `save` wrote.

        Raises:
          UserError: when it is not there, of another version, or holds a value that no run has.
        """
        file = workdir / "preparation.json"
        stored = read_json(file, hint=f"{workdir} holds no trained run")
        try:
            check_stored(stored)
        except UserError as e:
            raise UserError(f"{file} is damaged: {e}; train again in another folder") from None
        except (KeyError, TypeError):
            raise UserError(f"{file} {OLDER}; train again in another folder") from None
        sizes, how = stored["encoder"], Preprocessing(**stored["preprocessing"])
        how = dataclasses.replace(how, modalities=tuple(how.modalities))
        encoder = None if sizes is None else EncoderConfig(**sizes)
        statistics = Statistics.from_json(stored["statistics"], clips=how.clip_values)
        buckets = tuple(tuple(lengths) for lengths in stored["buckets"])
        clips = stored["clips"]
        place = workdir / "tokenizer.json"
        needed = "text" in how.modalities and not how.text_width
        tokenizer = Tokenizer.load(place) if needed or place.exists() else None
        return cls(tokenizer, how, statistics, buckets, clips, encoder)


def _check_spread(split: Split) -> None:
    """Says of which clips the rows are spread over the text, as the words of their tokens are not known.

    Raises:
      UserError: when they are more than one clip in a hundred.
    """
    clips = named("{clip has|clips have} BERT tokens of unknown words", split.spread)
    if len(split.spread) > _MOST_SPREAD * len(split):
        raise UserError(
            f"{clips}, and the run's encoder has other tokens; name the vocabulary that made them by "
            "--config.data.bert_vocab"
        )
    if split.spread:
        say(f"note: {clips}; their rows are spread over the text")
