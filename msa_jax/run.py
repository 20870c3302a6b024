"""Runs that are finished: loaded, scored on any corpus, asked for predictions and for intermediate arrays."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from scipy import special

from msa_jax import assemble, evaluate, metrics
from msa_jax import config as configs
from msa_jax.checkpoint import Checkpoints
from msa_jax.corpora import CORPORA, MODALITIES, SPLITS, STREAMS
from msa_jax.data import conventions, opening, readers
from msa_jax.data.datasets import checks
from msa_jax.data.example import Example, no_features
from msa_jax.data.pipeline import Split
from msa_jax.data.preparation import Preparation
from msa_jax.data.readers.clean import NoTextFeatures, NoWords
from msa_jax.data.synthetic import metric_set
from msa_jax.errors import UserError
from msa_jax.files import write_json
from msa_jax.progress import say
from msa_jax.text import Encoder
from msa_jax.workdir import SYNTHETIC, banner, show, trained_on, write_predictions


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

    @property
    def params(self) -> Any:
        """The parameters."""
        return self.variables["params"]

    def _batches(self, split: Split) -> Iterable[Mapping[str, np.ndarray]]:
        size, threads = self.config.eval_batch_size, self.config.data.threads
        return self.preparation.in_order(split, batch_size=size, threads=threads)

    def score(self, split: Split) -> np.ndarray:
        """[N] scores, or [N, ..., classes] logits, of a scanned split, float32, in its order."""
        return evaluate.score(self.model, self.variables, self._batches(split), len(split))

    def outputs(self, split: Split, names: str | Sequence[str] | None = None) -> dict[str, list[np.ndarray]]:
        """The model's named outputs for every clip of a split, such as `gate`, `scores` or `attention`.

        Args:
          split: the clips, as `preparation.scan` gives them.
          names: of the model's outputs, and of the batch's arrays (such as "text_mask"); None: every output.

        Returns:
          For each name N arrays, in the order of the split, each without the axis of the clips. Steps are
          padded to the length of the batch that the clip was in; the masks say which are valid.

        Raises:
          UserError: when there is no such output, or it has no single axis of clips (as [B, B] has).
        """
        if names is not None:
            names = (names,) if isinstance(names, str) else tuple(names)
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

        Args:
          texts: N transcripts.
          audio: N arrays [frames, d_a] with the columns of the training data, unstandardised; None, for all
            or for one clip, where there is none.
          vision: likewise.
          text_features: N arrays [tokens, d_t], for a run whose text is features; texts are not read then.
          aligned: whether the arrays have one row per word of the text (words are what spaces separate);
            otherwise they are streams, brought onto the run's time line.

        Returns:
          [N] float32 scores, on the scale of the training labels; of a run on classes, their probabilities,
          [N, 2] (UR-FUNNY) or [N, 4, 2] (IEMOCAP).

        Raises:
          UserError: when the numbers of clips, rows or columns do not match.
        """
        how = self.preparation.preprocessing
        if how.text_width and "text" in how.modalities and text_features is None:
            raise UserError(f"the run reads text features of {how.text_width} columns, not texts")
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
        scores = self.score(self.preparation.scan(self.preparation.check(examples)))
        return scores if scores.ndim == 1 else special.softmax(scores, -1)


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
    preparation = Preparation.load(workdir)
    sizes, dtype = preparation.encoder, jnp.dtype(config.text.dtype)
    encoder = None if sizes is None else Encoder(sizes, dtype=dtype)
    model = assemble.make_model(config, encoder, preparation)
    # A modality that the run never saw stays masked, even if the data and the config bring it.
    preparation = preparation.without(*(m for m in MODALITIES if m not in config.data.modalities))
    shapes = jax.eval_shape(
        lambda key: assemble.init_variables(model, preparation, key, None), jax.random.key(0)
    )
    checkpoints = Checkpoints(workdir)
    try:
        variables = checkpoints.restore_best(shapes)
    except FileNotFoundError:
        raise UserError(
            f"{workdir} has no best checkpoint yet; let the training pass its first epoch"
        ) from None
    finally:
        checkpoints.close()
    return Run(workdir, config, model, variables, preparation)


def evaluate_splits(
    run: Run, splits: Sequence[Split], corpus: str, folder: Path, name: str
) -> dict[str, Any]:
    """Scores splits, taken together; writes their predictions and returns their metrics.

    Args:
      run: the run that scores.
      splits: scanned by it.
      corpus: whose metrics apply.
      folder: of the predictions.
      name: of the splits, in the name of the file.
    """
    ids = [clip for split in splits for clip in split.ids]
    predictions = np.concatenate([run.score(split) for split in splits])
    labels = np.concatenate([split.labels for split in splits])
    write_predictions(folder / f"predictions_{name}.csv", ids, predictions, labels)
    return {"clips": len(ids), **metrics.results(corpus, predictions, labels)}


def evaluate_run(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Scores a finished run on a labelled corpus, its own or another, without any tuning.

    Args:
      config: the run's config with the data to score in `data`.
      workdir: the run's folder; results go into a folder of their own in it.

    Returns:
      What that folder's results.json holds.
    """
    run, before = load(workdir, config), trained_on(workdir)
    how = run.preparation.preprocessing
    corpus = opening.open_corpus(config)
    source = opening.source_name(corpus)
    say(banner(source))
    say(f"trained on: {before['source']}")
    for line in conventions.lines(corpus.conventions):
        say(f"note: {line}")
    if how.text_width not in (0, corpus.text_width):
        raise UserError(
            f"{corpus.source}: its text features have {corpus.text_width} columns, the run was trained on "
            f"{how.text_width}"
        )
    for m in corpus.streams:
        if m in how.modalities:
            run.preparation.check_width(m, corpus.widths[m], corpus.source)
        elif m in config.data.modalities:
            say(f"note: {m} is left out: the run was trained without it")
    own = before["hash"] == corpus.content_hash
    if own and before["cut"] != corpus.cut:
        raise UserError(
            f"--config.data.cut: the run was trained on this very file, cut as {before['cut']}; another cut "
            "would test it on clips that it has seen"
        )
    wanted = config.data.eval_split
    if wanted == "auto":
        wanted = "all" if corpus.cut and not own else "test"
    folder = workdir / f"eval_{Path(source).stem}_{corpus.content_hash[:8]}"
    folder.mkdir(exist_ok=True)
    results: dict[str, Any] = {
        "data": source,
        "data_hash": corpus.content_hash,
        "official_splits": corpus.official,
        "conventions": corpus.conventions,
        "trained_on": before["source"],
        "modalities": list(how.modalities),
        "cut": corpus.cut,
        "seed": config.seed,
    }
    splits = [run.preparation.scan(corpus.split(name)) for name in (SPLITS if wanted == "all" else (wanted,))]
    results[wanted] = evaluate_splits(run, splits, metric_set(config.data.corpus), folder, wanted)
    write_json(folder / "results.json", results)
    show(results, folder)
    return results


def predict_file(config: ConfigDict, workdir: Path, output: Path | None) -> Path:
    """Writes a score for each clip of a file that needs no labels.

    Args:
      config: the run's config with the file in `data.path`.
      workdir: the run's folder.
      output: the CSV to write; None = `<workdir>/predictions_<file name>.csv`.

    Returns:
      The file written: id, prediction.
    """
    if not config.data.path:
        raise UserError("--mode=predict needs --config.data.path=FILE, a CSV of texts or a feature file")
    path = Path(config.data.path).expanduser()
    output = output or workdir / f"predictions_{path.stem}.csv"
    if output.is_dir() or not output.parent.is_dir():
        wrong = "is a folder" if output.is_dir() else f"there is no folder {output.parent}"
        raise UserError(f"--output: {output}: {wrong}")
    run = load(workdir, config)
    how = run.preparation.preprocessing
    if trained_on(workdir).get("source") == "synthetic":
        say(f"{SYNTHETIC}: that is what this run was trained on")
    report = checks.Report()
    text_width = how.text_width
    widths = (*(how.widths[m] for m in STREAMS), max(text_width, 1))
    try:
        source = readers.read(
            path,
            require_labels=False,
            text_features=bool(text_width),
            **opening.reading(config),
        )
    except (NoTextFeatures, NoWords):  # what they advise is fixed by the run
        reads = f"text features of {text_width} columns" if text_width else "words"
        raise UserError(
            f"{path}: this run reads {reads}, which the file does not have; bring one with them"
        ) from None
    for line in source.reading.lines():
        say(f"note: {line}")
    examples = [checks.repair(example, widths, report) for example in source]
    for problem, ids in report.problems().items():
        say(f"note: {checks.named(f'clips with {problem}', ids)}")
    split = run.preparation.scan(run.preparation.check(examples))
    write_predictions(output, split.ids, run.score(split))
    say(f"{len(split)} scores are in {output}")
    return output
