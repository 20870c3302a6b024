"""Scoring with a finished run, as the command line does it: a labelled corpus, or clips without labels."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from msa_jax import config as configs
from msa_jax import destination, files, identity
from msa_jax.agreement import by_first
from msa_jax.corpora import SPLITS, STREAMS
from msa_jax.data import checks, conventions, opening, readers
from msa_jax.data.clip_store import ClipStore
from msa_jax.data.findings import Finding, of_videos
from msa_jax.data.pipeline import Split
from msa_jax.data.readers.clean import NoTextFeatures, NoWords
from msa_jax.data.synthetic import metric_set
from msa_jax.errors import UserError, counted, named
from msa_jax.files import write_json
from msa_jax.progress import say, watched
from msa_jax.results import SYNTHETIC, banner, show, write_predictions
from msa_jax.run import Run, evaluate_splits, load
from msa_jax.scales import Rescaling, Signs, rescaling, suspected
from msa_jax.workdir import recorded, trained_on

if TYPE_CHECKING:  # it brings TFDS, which scoring a file does without
    from msa_jax.data.datasets import Built


def evaluate_run(
    config: ConfigDict,
    workdir: str | Path,
    output: str | Path | None = None,
    *,
    own: Collection[str] | None = None,
    corpus_said: bool = False,
) -> dict[str, Any]:
    """Scores a finished run on a labelled corpus, its own or another, without any tuning.

    A clip that has nothing of what the run reads keeps its place in the metrics, and is named; where that is
    true of all clips, the corpus is refused.

    Args:
      config: the run's config with the data to score in `data`.
      workdir: the run's folder.
      output: the folder for the results; None: one of their own in the workdir, `eval_<data>_<hash>` with
        the split, the modalities and whatever else is asked for that is not the run's own.
      own: the keys of `identity.PLACES` whose places the run names, and not the user: what is there must be
        what the run was trained with. None: those at which the config says what the run's own does; where
        you name the same places yourself, and mean what lies there now, give `()`.
      corpus_said: whether the user names `data.corpus`, be it the run's own; then its scale is believed.

    Returns:
      What that folder's results.json holds.

    Raises:
      UserError: when the corpus does not fit the run, its labels are on another scale and `data.rescale` is
        not set, or a score is not finite.
    """
    workdir, output = files.expanded(workdir), None if output is None else files.expanded(output)
    trained, before = _trained(workdir), trained_on(workdir)
    rescale = _rescaling(trained, config)
    run = load(workdir, config)
    corpus = opening.open_corpus(config, recorded(run.workdir, _own(own, config, trained)))
    source = opening.source_name(corpus)
    say(banner(source))
    say(f"trained on: {before['source']}")
    for line in conventions.lines(corpus.conventions):
        say(f"note: {line}")
    _check_fit(run, corpus)
    same = before["hash"] == corpus.content_hash
    if same and before["cut"] != corpus.cut:
        raise UserError(
            f"--config.data.cut: the run was trained on this very file, cut as {before['cut']}; another cut "
            "would test it on clips that it has seen"
        )
    wanted = usual = "all" if corpus.cut and not same else "test"
    if config.data.eval_split != "auto":
        wanted = config.data.eval_split
    names = SPLITS if wanted == "all" else (wanted,)
    splits = [run.preparation.scan(corpus.split(name)) for name in names]
    _name_lacking(run, splits, corpus)
    if not same:
        _check_scale(trained, config, splits, corpus, corpus_said)
        for key in configs.FILE_KEYS:
            configs.base.set_key(trained, key, None)
    called = f"{Path(source).stem}_{corpus.content_hash[:8]}"
    of = "" if wanted == usual else wanted
    folder = destination.evaluation_folder(workdir, output, called, config, trained, of)
    results: dict[str, Any] = {
        "data": source,
        "data_hash": corpus.content_hash,
        "official_splits": corpus.official,
        "conventions": corpus.conventions,
        "trained_on": before["source"],
        "modalities": list(run.preparation.preprocessing.modalities),
        "rescaled": None if rescale is None else str(rescale),
        "cut": corpus.cut,
        "seed": config.seed,
    }
    results["findings"] = {
        name: [dataclasses.asdict(finding) for finding in _tell(run, split, f"{name}: ")]
        for name, split in zip(names, splits, strict=True)
    }
    results["findings"]["corpus"] = [dataclasses.asdict(f) for f in of_videos(corpus.untold_videos)]
    results[wanted] = evaluate_splits(run, splits, metric_set(config.data.corpus), folder, wanted, rescale)
    if output is not None and (folder / "results.json").exists():
        say(f"note: the results that were in {folder} are replaced")
    by_first(write_json)(folder / "results.json", results)
    show(results, folder)
    return results


def _tell(run: Run, split: Split, where: str = "") -> list[Finding]:
    """Says what a user should know of the clips that are scored."""
    found = run.preparation.findings(split)
    for finding in found:
        say(f"note: {where}{finding}")
    return found


def _trained(workdir: Path) -> ConfigDict:
    """The config that a run was trained with."""
    return configs.stored(workdir / "config.json", hint=f"{workdir} holds no trained run")


def _own(own: Collection[str] | None, config: ConfigDict, trained: ConfigDict) -> Collection[str]:
    return identity.own_places(config, trained) if own is None else own


def _rescaling(trained: ConfigDict, config: ConfigDict) -> Rescaling | None:
    """The map onto the scale of the config's corpus, which it says; None where the run has that scale."""
    was, now = (metric_set(c.data.corpus) for c in (trained, config))
    found = rescaling(was, now, allowed=config.data.rescale)
    if found is not None:
        say(f"note: scores are mapped linearly {found}")
    return found


def _check_fit(run: Run, corpus: "Built") -> None:
    """UserError unless a corpus has what the run reads, in as many columns; says what is left out."""
    how = run.preparation.preprocessing
    if how.text_width not in (0, corpus.text_width):
        raise UserError(
            f"{corpus.source}: its text features have {corpus.text_width} columns, the run was trained on "
            f"{how.text_width}"
        )
    for m in corpus.streams:
        if m in how.modalities:
            run.preparation.check_width(m, corpus.widths[m], corpus.source)
        elif m in run.config.data.modalities:
            say(f"note: {m} is left out: the run was trained without it")


def _check_scale(
    trained: ConfigDict, config: ConfigDict, splits: list[Split], corpus: "Built", said: bool
) -> None:
    """Refuses or names labels that may be on a narrower scale; see `scales.suspected`."""
    was, now = (metric_set(c.data.corpus) for c in (trained, config))
    labels = np.concatenate([split.labels for split in splits])
    signs = Signs(corpus.counts, corpus.by_modality, corpus.chinese)
    if line := suspected(labels, now, signs, said=said or was != now, where=corpus.source):
        say(f"note: {line}")


def _name_lacking(run: Run, splits: list[Split], corpus: "Built") -> None:
    """Names clips without anything that the run reads; refuses a corpus in which no clip has."""
    lacking = [clip for split in splits for clip in split.lacking]
    reads = run.preparation.preprocessing.reads
    if lacking and len(lacking) == sum(len(split) for split in splits):
        raise UserError(f"{corpus.source}: no clip has anything of what the run reads ({reads})")
    if lacking:
        clips = named("{clip has|clips have} nothing of what the run reads", lacking)
        say(f"note: {clips} ({reads}); each gets the score of an empty clip, and counts")


def predict_file(
    config: ConfigDict,
    workdir: str | Path,
    output: str | Path | None = None,
    *,
    own: Collection[str] | None = None,
) -> Path:
    """Writes a score for each clip of a file that needs no labels.

    Clips that have nothing of what the run reads are refused by their names, before anything is written.

    Args:
      config: the run's config with the file in `data.path`.
      workdir: the run's folder.
      output: the CSV to write; None = `<workdir>/predictions_<file name>.csv`.
      own: as for `evaluate_run`.

    Returns:
      The file written: id, prediction; the scores are on the scale of the labels that the run was trained on,
      or with `data.rescale` on that of `data.corpus`.

    Raises:
      UserError: when the file cannot be read or does not fit the run, or a score is not finite.
    """
    if not config.data.path:
        raise UserError("--mode=predict needs --config.data.path=FILE, a CSV of texts or a feature file")
    workdir, output = files.expanded(workdir), None if output is None else files.expanded(output)
    path = files.expanded(config.data.path)
    output = destination.predictions_file(workdir, output, path)
    trained = _trained(workdir)
    rescale, own = _rescaling(trained, config), _own(own, config, trained)
    run = load(workdir, config)
    kept = recorded(run.workdir, own)
    if "data.path" in own:
        kept.check_data(config.data.path)
    if trained_on(workdir).get("source") == "synthetic":
        say(f"{SYNTHETIC}: that is what this run was trained on")
    source = _opened(path, run, opening.reading(config, kept))
    with ClipStore(opening.cache_folder(config)) as clips:
        _take_in(source, run, clips)
        del source  # of a pickle it holds all the content
        split = run.preparation.scan(clips)
        run.refuse_lacking(split)
        _tell(run, split)
        scores = run.score(split)
    if output.exists():
        say(f"note: what was in {output} is replaced")
    by_first(write_predictions)(output, split.ids, scores if rescale is None else rescale(scores))
    say(f"{counted(len(split), '{score is|scores are}')} in {output}")
    return output


def _opened(path: Path, run: Run, options: dict[str, Any]) -> readers.Source:
    """A file without labels that has what the run reads; says how it was understood."""
    how = run.preparation.preprocessing
    reads_text, width = "text" in how.modalities, how.text_width
    try:
        source = readers.read(
            path,
            require_labels=None,
            text_features=bool(width) and reads_text,
            need_text=reads_text,
            **options,
        )
    except (NoTextFeatures, NoWords):  # what they advise is fixed by the run
        reads = f"text features of {width} columns" if width else "words"
        raise UserError(
            f"{path}: this run reads {reads}, which the file does not have; bring one with them"
        ) from None
    for line in source.reading.lines():
        say(f"note: {line}")
    return source


def _take_in(source: readers.Source, run: Run, clips: ClipStore) -> None:
    """Stores the clips of a file, repaired and checked, one by one; says what they are like.

    Raises:
      UserError: when the file cannot be read to its end or has no clips, there is no room for them, or one
        does not fit the run, which is said after all notes on the file.
    """
    how, reading = run.preparation.preprocessing, source.reading
    widths = (*(how.widths[m] for m in STREAMS), max(how.text_width, 1))
    report, seen, count = checks.Report(), set(), 0
    unfit: UserError | None = None
    for example in watched(source, "reading", "clip"):
        clip = checks.repair(example, widths, report, text="text" in how.modalities)
        count += 1
        seen.update(m for m in STREAMS if len(getattr(clip, m)))
        if unfit is None:
            try:
                run.preparation.check_clip(clip, reading.surplus)
            except UserError as error:
                unfit = error
            else:
                clips.add(clip)
    for line in reading.later_notes():
        say(f"note: {line}")
    if not count:
        raise UserError(f"{source.path}: the file holds no clips; name one that does")
    for problem, ids in report.problems().items():
        say(f"note: {named(f'{{clip|clips}} with {problem}', ids)}")
    for m in STREAMS:
        if m in seen and m not in how.modalities and m in run.config.data.modalities:
            say(f"note: {m} is left out: the run was trained without it")
    if unfit is not None:
        raise unfit
