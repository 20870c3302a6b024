"""Runs that are finished: loaded, asked for scores and for intermediate arrays, and evaluated on splits."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from scipy import special

from msa_jax import agreement, assemble, bounds, evaluate, files, metrics, models, parallel, seeds, serving
from msa_jax import config as configs
from msa_jax.checkpoint_folders import restore_best
from msa_jax.corpora import CORPORA, MODALITIES, SPLITS
from msa_jax.data import causes, given
from msa_jax.data.batching import ALONE, Share
from msa_jax.data.opening import open_corpus
from msa_jax.data.pipeline import Split
from msa_jax.data.preparation import Preparation
from msa_jax.data.synthetic import metric_set
from msa_jax.errors import UserError, check_count, named
from msa_jax.forks import refuse_forked
from msa_jax.identity import own_places
from msa_jax.progress import say
from msa_jax.results import write_predictions
from msa_jax.text import Encoder
from msa_jax.workdir import best_step, check, other_code, recorded


@dataclasses.dataclass
class Run:
    """A trained model with everything that it needs to score new clips.

    Attributes:
      workdir: the run's folder.
      config: its settings.
      model, variables: the module, and its parameters and other collections at the best epoch.
      preparation: what turns clips into arrays, as in training.
    """

    workdir: Path
    config: ConfigDict
    model: nn.Module
    variables: dict[str, Any]
    preparation: Preparation
    _programs: serving.Programs = dataclasses.field(
        default_factory=serving.Programs, init=False, repr=False, compare=False
    )

    @property
    def params(self) -> Any:
        """The parameters."""
        return self.variables["params"]

    def _batches(self, split: Split, share: Share = ALONE) -> Iterable[Mapping[str, np.ndarray]]:
        size, threads = self.config.eval_batch_size, self.config.data.threads
        return self.preparation.in_order(split, batch_size=size, threads=threads, share=share)

    def score(self, split: Split) -> np.ndarray:
        """[N] scores, or [N, ..., classes] logits, of a scanned split, float32, in its order.

        Raises:
          UserError: when one is not finite; names the clips and the columns that explain it. In a process
            that was forked from one that has used JAX.
        """
        self._check(split)
        layout = parallel.layout(self.config.parallel.devices)
        batches, variables = self._batches(split, layout.share), layout.everywhere(self.variables)
        return self._finite(evaluate.score(self.model, variables, batches, len(split), layout), split)

    def split(self, name: str) -> Split:
        """Scans a split of the corpus that the run was trained on, for `score` and `outputs`.

        Of a run that was loaded with other data in its config, it is these data's.

        Args:
          name: "train", "valid" or "test".

        Raises:
          UserError: when there is no such split, or the data are no longer where they were, or are others.
        """
        if name not in SPLITS:
            raise UserError(f"there is no split {name!r}; there are {', '.join(SPLITS)}")
        own = own_places(self.config, configs.stored(self.workdir / "config.json", hint="the run is gone"))
        return self.preparation.scan(open_corpus(self.config, recorded(self.workdir, own)).split(name))

    def _check(self, split: Split) -> None:
        refuse_forked()
        if not isinstance(split, Split):
            raise UserError(f"the split is {split!r}; make one by run.split or run.preparation.scan")

    def _finite(self, scores: np.ndarray, split: Split) -> np.ndarray:
        if not np.isfinite(scores).all():
            broken = [
                jax.tree_util.keystr(path, simple=True, separator="/")
                for path, leaf in jax.tree_util.tree_leaves_with_path(self.params)
                if not np.isfinite(leaf).all()
            ]
            causes.refuse_not_finite(scores, split, self.preparation, broken)
        return scores

    def outputs(self, split: Split, names: str | Sequence[str] | None = None) -> dict[str, list[np.ndarray]]:
        """The model's named outputs for every clip of a split, such as `gate`, `scores` or `attention`.

        Args:
          split: the clips, as `Run.split` or `preparation.scan` gives them.
          names: of the model's outputs, and of the batch's arrays (such as "text_mask"); None: every output.

        Returns:
          For each name N arrays, in the order of the split, each without the axis of the clips. Steps are
          padded to the length of the batch that the clip was in; the masks say which are valid.

        Raises:
          UserError: when there is no such output, or it has no single axis of clips (as [B, B] has).
        """
        self._check(split)
        if names is not None:
            names = (names,) if isinstance(names, str) else names
            if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
                raise UserError(f"names is {names!r}, which is neither a name nor a list of names")
            names = tuple(names)
        return evaluate.outputs(self.model, self.variables, self._batches(split), len(split), names)

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

        It may be called from several threads at once. Clips are padded to one of few lengths, each of which
        compiles when it is first needed; `compile` does so ahead.

        Args:
          texts: N transcripts, "" where a clip has none. Of a run that reads no words, but whose training
            clips had some, they give the time line that audio and vision are brought onto; where not even
            that is so (`Preparation.texts_count`), they must be "" unless `aligned` counts rows by words.
          audio: N arrays [frames, d_a] with the columns of the training data, unstandardised; None, for all
            or for one clip, where there is none. As in files an array of zeros counts as none, and so do rows
            of zeros at an end, which are padding, unless `aligned`.
          vision: likewise.
          text_features: N arrays [tokens, d_t], for a run whose text is features.
          aligned: whether the arrays have one row per word of the text (words are what spaces separate);
            otherwise they are streams, brought onto the run's time line.

        Returns:
          [N] float32 scores, on the scale of the training labels; of a run on classes, their probabilities,
          [N, 2] (UR-FUNNY) or [N, 4, 2] (IEMOCAP).

        Raises:
          UserError: when a text is not a text or features are not numbers, when the numbers of clips, rows or
            columns do not match, when there is a text or a modality that the run does not read, when a clip
            has nothing of what it reads, and as `score`.
        """
        refuse_forked()
        features = {"audio": audio, "vision": vision, "text_features": text_features}
        how, texts_count = self.preparation.preprocessing, self.preparation.texts_count
        clips = given.examples(texts, features, how, aligned=aligned, texts_count=texts_count)
        split = self.preparation.scan(self.preparation.check(clips))
        self.refuse_lacking(split)
        for finding in self.preparation.findings(split, missing=False):  # what is missing the caller left out
            say(f"note: {finding}")
        scores = self._programs.score(self.model, self.variables, self.preparation, split)
        scores = self._finite(scores, split)
        return scores if scores.ndim == 1 else special.softmax(scores, -1)

    def compile(self, clips: int | None = None, rows: int | None = None) -> int:
        """Compiles ahead what `predict` would compile when it first needs it.

        Args:
          clips: number of clips in a call, at most; None: any number.
          rows: rows of each modality of a clip, at most; None: any number.

        Returns:
          How many programs of the run are compiled now.

        Raises:
          UserError: when a number is not a whole number of at least 1, and in a forked process.
        """
        refuse_forked()
        check_count(clips=clips, rows=rows)
        wanted = serving.shapes(self.preparation, clips=clips, rows=rows)
        self._programs.compile(self.model, self.variables, self.preparation, wanted)
        return len(self._programs)

    def refuse_lacking(self, split: Split) -> None:
        """UserError where a clip has nothing that its score could rest on."""
        if split.lacking:
            clips = named("{clip has|clips have} nothing of what the run reads", split.lacking)
            reads = self.preparation.preprocessing.reads
            raise UserError(f"{clips}; it reads {reads}: give them some of it, or leave them out")


def load(workdir: str | Path, config: ConfigDict | None = None, *, step: int | None = None) -> Run:
    """Loads the best checkpoint of a run.

    Args:
      workdir: the run's folder.
      config: its config with changes to `data` and `eval_batch_size`; None takes it as it is stored.
      step: of the best checkpoint, where the caller knows it; None: the one that the run names.

    Raises:
      UserError: when the folder holds no run, or one whose best checkpoint is not there or not yet.
    """
    refuse_forked()
    workdir = files.expanded(workdir)
    if several := seeds.in_place_of(workdir):
        raise UserError(f"{workdir} holds no run: {several}")
    identity = check(workdir)["run"]
    trained = configs.stored(workdir / "config.json", hint=f"{workdir} holds no trained run")
    config = trained if config is None else config
    bounds.check(config, training=False)  # the folder may come from anybody
    was, now = (metric_set(c.data.corpus) for c in (trained, config))
    if CORPORA[was].outputs != CORPORA[now].outputs:
        raise UserError(f"{workdir} was trained on labels of {was}, which are not of the kind of {now}'s")
    preparation = Preparation.load(workdir)
    sizes, dtype = preparation.encoder, jnp.dtype(config.text.dtype)
    encoder = None if sizes is None else Encoder(sizes, dtype=dtype)
    model = assemble.make_model(config, encoder, preparation)
    # A modality that the run never saw stays masked, even if the data and the config bring it.
    reads = preparation.preprocessing.reads
    preparation = preparation.without(*(m for m in MODALITIES if m not in config.data.modalities))
    if not preparation.preprocessing.modalities:
        raise UserError(
            f"--config.data.modalities: {config.data.modalities!r}, but the run reads only {reads}"
        )
    shapes = jax.eval_shape(
        lambda key: assemble.init_variables(model, preparation, key, None), jax.random.key(0)
    )
    try:
        step = best_step(workdir) if step is None else step
        variables = restore_best(workdir, shapes, identity, step)
    except FileNotFoundError:
        raise UserError(
            f"{workdir} has no best checkpoint yet; let the training pass its first epoch"
        ) from None
    if other_code(workdir, models.code(config.model.name)):
        say(f"note: {workdir} was trained with other code of {config.model.name} than that which scores now")
    return Run(workdir, config, model, variables, preparation)


def evaluate_splits(
    run: Run,
    splits: Sequence[Split],
    corpus: str,
    folder: Path,
    name: str,
    rescale: Callable[[np.ndarray], np.ndarray] | None = None,
) -> dict[str, Any]:
    """Scores splits, taken together; writes their predictions and returns their metrics.

    Args:
      run: the run that scores.
      splits: scanned by it.
      corpus: whose metrics apply.
      folder: of the predictions; made where it is not there.
      name: of the splits, in the name of the file.
      rescale: takes the scores to the scale of the labels, where it is another.

    Raises:
      UserError: as `Run.score`.
    """
    ids = [clip for split in splits for clip in split.ids]
    predictions = np.concatenate([run.score(split) for split in splits])
    predictions = predictions if rescale is None else rescale(predictions)
    labels = np.concatenate([split.labels for split in splits])
    folder.mkdir(exist_ok=True)  # late: scores that are refused leave nothing behind
    agreement.by_first(write_predictions)(folder / f"predictions_{name}.csv", ids, predictions, labels)
    return {"clips": len(ids), **metrics.results(corpus, predictions, labels)}
