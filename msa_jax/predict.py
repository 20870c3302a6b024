"""A finished run, loaded to score clips: `msa_jax.load`, `--mode=eval` and `--mode=predict` stand on it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from scipy import special

from msa_jax import config as configs
from msa_jax import setup
from msa_jax.bounds import metric_set
from msa_jax.checkpoint import Checkpoints
from msa_jax.corpora import CORPORA, MODALITIES, STREAMS
from msa_jax.data.datasets import checks
from msa_jax.data.example import Example, no_features
from msa_jax.data.pipeline import Clips, Source, Split
from msa_jax.data.plan import Lengths
from msa_jax.data.preprocessing import Preprocessing, Statistics
from msa_jax.errors import UserError
from msa_jax.evaluate import score
from msa_jax.files import read_json, write_json
from msa_jax.progress import say
from msa_jax.text import Encoder, EncoderConfig, Tokenizer

_MOST_SPREAD = 0.01  # share of a split's clips whose rows may be spread for want of words


def save_preparation(
    workdir: Path,
    tokenizer: Tokenizer | None,
    encoder: Encoder | None,
    how: Preprocessing,
    statistics: Statistics,
    buckets: tuple[Lengths, ...],
) -> None:
    """Writes what turns clips into the arrays that a model was trained on.

    Args:
      workdir: the run's folder.
      tokenizer, encoder: of the text; None where the text is features.
      how, statistics, buckets: of the features and batches.
    """
    if tokenizer is not None:
        tokenizer.save(workdir / "tokenizer.json")
    data = {
        "encoder": None if encoder is None else dataclasses.asdict(encoder.config),
        "preprocessing": dataclasses.asdict(how),
        "statistics": statistics.to_json(),
        "buckets": list(buckets),
    }
    write_json(workdir / "preparation.json", data)


@dataclasses.dataclass
class Run:
    """A trained model with everything that it needs to score new clips.

    Attributes:
      workdir: the run's folder.
      config: its settings.
      model, params: the module, and its parameters at the best epoch.
      tokenizer, how, statistics, buckets: as in training.
    """

    workdir: Path
    config: ConfigDict
    model: nn.Module
    params: Any
    tokenizer: Tokenizer | None
    how: Preprocessing
    statistics: Statistics
    buckets: tuple[Lengths, ...]

    def scan(self, source: Source) -> Split:
        """Tokenises the clips of a source.

        Raises:
          UserError: the rows of many clips belong to tokens whose words are not known.
        """
        split = Split(source, self.tokenizer, self.how)
        check_spread(split)
        return split

    def score(self, split: Split) -> np.ndarray:
        """[N] scores, or [N, ..., classes] logits, of a scanned split, float32, in its order."""
        return score(
            self.model,
            self.params,
            split,
            self.statistics,
            buckets=self.buckets,
            batch_size=self.config.eval_batch_size,
            threads=self.config.data.threads,
        )

    def predict(
        self,
        texts: Sequence[str],
        audio: Sequence[np.ndarray | None] | None = None,
        vision: Sequence[np.ndarray | None] | None = None,
        *,
        text_features: Sequence[np.ndarray] | None = None,
        aligned: bool = False,
    ) -> np.ndarray:
        """Scores clips that are at hand.

        Args:
          texts: N transcripts.
          audio: N arrays [frames, d_a] with the columns of the training data, unstandardised; None, for all
            or for one clip, where there is none.
          vision: likewise.
          text_features: N arrays [tokens, d_t], for a run whose text is features; texts are not read then.
          aligned: whether the arrays have one row per word of the text (words are what spaces separate);
            otherwise they are streams, resampled to the text.

        Returns:
          [N] float32 scores, on the scale of the training labels; of a run on classes, their probabilities,
          [N, 2] (UR-FUNNY) or [N, 4, 2] (IEMOCAP).

        Raises:
          UserError: when the numbers of clips, rows or columns do not match.
        """
        if self.how.text_width and "text" in self.how.modalities and text_features is None:
            raise UserError(f"the run reads text features of {self.how.text_width} columns, not texts")
        examples = []
        for i, text in enumerate(texts):
            arrays = {}
            given_by_name = {"audio": audio, "vision": vision, "text_features": text_features}
            for name, given in given_by_name.items():
                if given is not None and len(given) != len(texts):
                    raise UserError(f"{name} has {len(given)} clips, texts has {len(texts)}")
                rows = None if given is None else given[i]
                arrays[name] = no_features() if rows is None else np.asarray(rows, np.float32)
            words = " ".join(str(text).split())
            examples.append(Example(str(i), str(i), "", words, **arrays, aligned=aligned, label=np.nan))
        scores = self.score(self.scan(self.clips(examples)))
        return scores if scores.ndim == 1 else special.softmax(scores, -1)

    def clips(self, examples: Sequence[Example]) -> Clips:
        """Checks examples against what the model was trained on, and makes a source of them.

        Raises:
          UserError: names the clip and what does not match.
        """
        for e in examples:
            self._check_text(e)
            for m in STREAMS:
                rows = getattr(e, m)
                if rows.ndim != 2:
                    raise UserError(f"clip {e.id}: {m} must be [rows, columns], got shape {rows.shape}")
                if m in self.how.modalities and len(rows):
                    self.check_width(m, rows.shape[1], f"clip {e.id}")
                    words = len(e.text.split()) or len(e.text_features)
                    if e.aligned and len(rows) != words:
                        raise UserError(f"clip {e.id}: {m} has {len(rows)} rows for {words} words")
                    if not np.isfinite(rows).all():
                        raise UserError(f"clip {e.id}: {m} holds NaN or infinity")
        return Clips([dataclasses.asdict(e) for e in examples])

    def _check_text(self, e: Example) -> None:
        """UserError where a clip has not the kind of text that the run was trained on."""
        given, wanted = e.text_features, self.how.text_width
        if "text" not in self.how.modalities:
            return
        if not wanted:
            if len(given):
                raise UserError(f"clip {e.id}: the run reads texts, and takes no text features")
        elif given.ndim != 2 or (len(given) and given.shape[1] != wanted):
            raise UserError(
                f"clip {e.id}: the run was trained on text features of {wanted} columns, "
                f"got shape {given.shape}"
            )
        elif not np.isfinite(given).all():
            raise UserError(f"clip {e.id}: the text features hold NaN or infinity")

    def check_width(self, modality: str, width: int, where: str) -> None:
        """UserError unless `width` is that of the training data."""
        if width != self.how.widths[modality]:
            rest = tuple(m for m in self.how.modalities if m != modality)
            raise UserError(
                f"{where}: {modality} has {width} columns, the run was trained on "
                f"{self.how.widths[modality]}; "
                f'bring the same features, or leave it out with --config.data.modalities="{rest}"'
            )


def check_spread(split: Split) -> None:
    """Says of which clips the rows are spread over the text, as the words of their tokens are not known.

    Raises:
      UserError: of more than one clip in a hundred.
    """
    clips = checks.named("clips have BERT tokens of unknown words", split.spread)
    if len(split.spread) > _MOST_SPREAD * len(split):
        raise UserError(
            f"{clips}, and the run's encoder has other tokens; name the vocabulary that made them by "
            "--config.data.bert_vocab"
        )
    if split.spread:
        say(f"note: {clips}; their rows are spread over the text")


def load(workdir: str | Path, config: ConfigDict | None = None) -> Run:
    """Loads the best checkpoint of a run.

    Args:
      workdir: the run's folder.
      config: its config with changes to `data` and `eval_batch_size`; None takes it as it is stored.

    Raises:
      UserError: when the folder holds no run, or one without a best checkpoint yet.
    """
    workdir = Path(workdir)
    hint = f"{workdir} holds no trained run"
    trained = configs.stored(workdir / "config.json", hint=hint)
    config = trained if config is None else config
    was, now = (metric_set(c.data.corpus) for c in (trained, config))
    if CORPORA[was].outputs != CORPORA[now].outputs:
        raise UserError(f"{workdir} was trained on labels of {was}, which are not of the kind of {now}'s")
    stored = read_json(workdir / "preparation.json", hint=hint)
    try:
        sizes, how = stored["encoder"], Preprocessing(**stored["preprocessing"])
        how = dataclasses.replace(how, modalities=tuple(how.modalities))
        dtype = jnp.dtype(config.text.dtype)
        encoder = None if sizes is None else Encoder(EncoderConfig(**sizes), dtype=dtype)
        statistics = Statistics.from_json(stored["statistics"])
        buckets = tuple(tuple(lengths) for lengths in stored["buckets"])
    except (KeyError, TypeError):
        raise UserError(
            f"{workdir / 'preparation.json'} was not written by this version; train again"
        ) from None
    tokenizer = None if how.text_width else Tokenizer.load(workdir / "tokenizer.json")
    model = setup.make_model(config, encoder, how)
    # What the run never saw stays masked, whatever the data or the config bring.
    how = how.without(*(m for m in MODALITIES if m not in config.data.modalities))
    shapes = jax.eval_shape(lambda: setup.init_params(model, how, jax.random.key(0), None))
    checkpoints = Checkpoints(workdir)
    try:
        params = checkpoints.restore_best(shapes)
    except FileNotFoundError:
        raise UserError(
            f"{workdir} has no best checkpoint yet; let the training pass its first epoch"
        ) from None
    finally:
        checkpoints.close()
    return Run(workdir, config, model, params, tokenizer, how, statistics, buckets)
