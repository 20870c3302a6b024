"""The three jobs of the command line: train (and test once), eval, predict."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from msa_jax import metrics, optim, predict, setup
from msa_jax.bounds import FEATURES, metric_set
from msa_jax.cli import Command
from msa_jax.corpora import EMOTIONS, SPLITS, STREAMS
from msa_jax.data import readers, synthetic
from msa_jax.data.datasets import Built, checks
from msa_jax.data.pipeline import Split
from msa_jax.data.plan import choose_buckets
from msa_jax.data.readers.clean import NoTextFeatures, NoWords
from msa_jax.errors import UserError
from msa_jax.files import read_json, write_json
from msa_jax.progress import say
from msa_jax.train import train
from msa_jax.workdir import claim, refuse_other_run, trained_on, write_predictions

SYNTHETIC = "SYNTHETIC DATA (the scores say nothing about a real corpus)"
OTHER_SPLITS = "NOT THE OFFICIAL SPLITS (the scores compare with no published ones)"
SHOWN = ("mae", "corr", "acc7", "acc5", "acc2_has0", "acc2_non0", "acc2", "f1_non0", "f1")
SHOWN = (*SHOWN, *(f"{name}_{emotion}" for emotion in EMOTIONS for name in ("acc", "f1")))


def with_data(command: Command) -> Command:
    """The command itself, or, without any data for it, the same on the embedded corpus.

    A data path that is given is never replaced.
    """
    config = command.config
    if config.data.path is not None or config.data.corpus in synthetic.PRESETS:
        return command
    if setup.find_built(config):
        return command
    made = command.on_made_data()
    kind = " with text features" if config.text.encoder == FEATURES else ""
    say(
        f"{SYNTHETIC}: --config.data.path is not set and no {config.data.corpus} corpus{kind} has been "
        f"built, so this runs {made.spec}"
    )
    return made


def source_name(corpus: Built) -> str:
    """What results.json says of the data: "synthetic", or the user's file."""
    return "synthetic" if corpus.corpus in synthetic.PRESETS else corpus.source


def banner(data: str) -> str:
    """The first line printed: what the scores are scores of."""
    return SYNTHETIC if data == "synthetic" else f"data: {data}"


def train_and_evaluate(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """The main job: train, keep the best epoch on the validation split, then read the test split once.

    A folder with the same run in it is resumed, or, when finished, only read.

    Args:
      config: the settings.
      workdir: the run's folder; made where it is not there.

    Returns:
      What results.json holds.

    Raises:
      UserError: bad data or settings, or another run in the folder.
    """
    started = time.monotonic()
    refuse_other_run(config, workdir)
    if (workdir / "results.json").exists():
        results = read_json(workdir / "results.json")
        say(banner(results["data"]))
        say(f"{workdir} is finished; its results:")
        show(results, workdir)
        return results
    corpus = setup.open_corpus(config)
    say(banner(source_name(corpus)))
    for line in corpus.messages():
        say(f"note: {line}")
    if not (corpus.official or source_name(corpus) == "synthetic"):
        say(OTHER_SPLITS)
    how = setup.preprocessing(config, corpus.widths, corpus.streams, corpus.text_width)
    texts = setup.training_texts(corpus)
    tokenizer = setup.make_tokenizer(config, texts)
    encoder, pretrained = setup.make_encoder(config, tokenizer, how)
    model = setup.make_model(config, encoder, how)
    split = {name: _scan(corpus, name, tokenizer, how, config) for name in ("train", "valid")}
    params = setup.init_params(model, how, jax.random.key(config.seed), pretrained)
    parts = ", ".join(f"{name} {setup.count_parameters(part):,}" for name, part in params.items())
    say(
        f"{config.model.name}: {setup.count_parameters(params):,} parameters ({parts}); "
        f"{len(split['train'])} clips to train on, {len(split['valid'])} to validate; "
        f"{jax.devices()[0].device_kind}"
    )
    for line in model.notes(config.batch_size) if hasattr(model, "notes") else ():
        say(f"note: {line}")
    optim.group_factors(params, config.optim.groups)  # refused before anything is written
    workdir.mkdir(parents=True, exist_ok=True)
    data = {"source": source_name(corpus), "hash": corpus.content_hash, "cut": corpus.cut}
    claim(config, workdir, data)
    buckets = choose_buckets(split["train"].lengths, config.data.buckets)
    predict.save_preparation(workdir, tokenizer, encoder, how, split["train"].statistics, buckets)
    progress = train(
        config,
        workdir,
        model,
        params,
        split,
        buckets=buckets,
        corpus=metric_set(config.data.corpus),
        started=started,
    )
    trained = time.monotonic()

    best = predict.load(workdir)
    results: dict[str, Any] = {
        "data": source_name(corpus),
        "data_hash": corpus.content_hash,
        "official_splits": corpus.official,
        "rows": corpus.rows or None,
    }
    for name in ("valid", "test"):
        scanned = split.get(name) or best.scan(corpus.split(name))
        results[name] = _evaluate(best, [scanned], metric_set(config.data.corpus), workdir, name)
    results |= {
        "best_epoch": progress["best_epoch"],
        "seed": config.seed,
        "parameters": setup.count_parameters(params),
        "wall_seconds": progress["seconds"] + time.monotonic() - trained,
    }
    write_json(workdir / "results.json", results)
    show(results, workdir)
    return results


def _scan(corpus: Built, name: str, tokenizer: Any, how: Any, config: ConfigDict) -> Split:
    measure = name == "train" and config.data.standardise
    split = Split(corpus.split(name), tokenizer, how, measure=measure)
    predict.check_spread(split)
    return split


def _evaluate(
    run: predict.Run, splits: Sequence[Split], corpus: str, folder: Path, name: str
) -> dict[str, float]:
    """Scores splits, taken together; writes their predictions and returns their metrics."""
    ids = [clip for split in splits for clip in split.ids]
    predictions = np.concatenate([run.score(split) for split in splits])
    labels = np.concatenate([split.labels for split in splits])
    write_predictions(folder / f"predictions_{name}.csv", ids, predictions, labels)
    return {"clips": len(ids), **metrics.evaluate(corpus, predictions, labels)}


def show(results: dict[str, Any], workdir: Path) -> None:
    """Prints the main numbers, and where they are of made data or of other splits, that they are."""
    for name in (n for n in (*SPLITS, "all") if n in results):
        values = [f"{k} {results[name][k]:.4f}" for k in SHOWN if results[name].get(k) is not None]
        say(f"{name:5s} ({results[name]['clips']} clips): {'  '.join(values)}")
    say(f"everything is in {workdir}")
    if results["data"] == "synthetic":
        say(SYNTHETIC)
    elif results.get("official_splits") is False:
        say(OTHER_SPLITS)


def evaluate_run(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Scores a finished run on a labelled corpus, its own or another, without any tuning.

    Args:
      config: the run's config with the data to score in `data`.
      workdir: the run's folder; results go into a folder of their own in it.

    Returns:
      What that folder's results.json holds.
    """
    run, before = predict.load(workdir, config), trained_on(workdir)
    corpus = setup.open_corpus(config)
    say(banner(source_name(corpus)))
    say(f"trained on: {before['source']}")
    if corpus.rows:
        say(f"note: rows of audio and vision: {corpus.rows}")
    if run.how.text_width not in (0, corpus.text_width):
        raise UserError(
            f"{corpus.source}: its text features have {corpus.text_width} columns, the run was trained on "
            f"{run.how.text_width}"
        )
    for m in corpus.streams:
        if m in run.how.modalities:
            run.check_width(m, corpus.widths[m], corpus.source)
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
    folder = workdir / f"eval_{Path(source_name(corpus)).stem}_{corpus.content_hash[:8]}"
    folder.mkdir(exist_ok=True)
    results: dict[str, Any] = {
        "data": source_name(corpus),
        "data_hash": corpus.content_hash,
        "official_splits": corpus.official,
        "rows": corpus.rows or None,
        "trained_on": before["source"],
        "modalities": list(run.how.modalities),
        "cut": corpus.cut,
        "seed": config.seed,
    }
    splits = [run.scan(corpus.split(name)) for name in (SPLITS if wanted == "all" else (wanted,))]
    results[wanted] = _evaluate(run, splits, metric_set(config.data.corpus), folder, wanted)
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
    run = predict.load(workdir, config)
    if trained_on(workdir).get("source") == "synthetic":
        say(f"{SYNTHETIC}: that is what this run was trained on")
    report = checks.Report()
    text_width = run.how.text_width
    widths = (*(run.how.widths[m] for m in STREAMS), max(text_width, 1))
    try:
        source = readers.read(
            path,
            require_labels=False,
            text_features=bool(text_width),
            **setup.reading(config),
        )
    except (NoTextFeatures, NoWords):  # what they advise is fixed by the run
        reads = f"text features of {text_width} columns" if text_width else "words"
        raise UserError(
            f"{path}: this run reads {reads}, which the file has not; bring one with them"
        ) from None
    for line in source.reading.lines():
        say(f"note: {line}")
    examples = [checks.repair(example, widths, report) for example in source]
    for problem, ids in report.problems().items():
        say(f"note: {checks.named(f'clips with {problem}', ids)}")
    split = run.scan(run.clips(examples))
    write_predictions(output, split.ids, run.score(split))
    say(f"{len(split)} scores are in {output}")
    return output
