"""Training: the run from its config to its results."""

import contextlib
import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from msa_jax import identity, optim, parallel, seals, stopping
from msa_jax.assemble import Pieces, assemble, count_parameters
from msa_jax.data import opening
from msa_jax.data.datasets import Built
from msa_jax.data.findings import Finding, of_videos
from msa_jax.errors import UserError, counted
from msa_jax.files import expanded
from msa_jax.forks import refuse_forked
from msa_jax.identity import DefaultFolder
from msa_jax.loop import make_plan, train
from msa_jax.machine import unused_devices
from msa_jax.progress import say
from msa_jax.results import OTHER_SPLITS, banner, show
from msa_jax.run import evaluate_splits, load
from msa_jax.workdir import alone, claim, config_is_whole, finish, read_results

_SEEN = 30.0  # seconds until a file that one machine has written is seen on the others


def train_and_evaluate(config: ConfigDict, workdir: str | Path | DefaultFolder) -> dict[str, Any]:
    """The main job: train, keep the best epoch on the validation split, then read the test split once.

    A folder with the same run in it is resumed, or, when finished, only read. Within it a signal is obeyed
    where nothing is lost.

    Args:
      config: the settings.
      workdir: the run's folder, made where it is not there; or what gives it its name.

    Returns:
      What results.json holds.

    Raises:
      UserError: bad data or settings, another run in the folder, or a process that was forked from one in
        which JAX had started.
      Stopped: when a signal has asked for it; all is saved then.
    """
    refuse_forked()
    started = time.monotonic()
    workdir = workdir if isinstance(workdir, DefaultFolder) else expanded(workdir)
    with stopping.orderly():
        if isinstance(workdir, Path) and (results := _finished(config, workdir)):
            return results
        # Before the corpus is built, which may take minutes.
        layout = parallel.layout(config.parallel.devices, shard_state=config.parallel.shard_state)
        corpus = opening.open_corpus(config)
        data = {"source": opening.source_name(corpus), "hash": corpus.content_hash, "cut": corpus.cut}
        content = identity.contents(config, data)
        if not isinstance(workdir, Path):
            workdir = workdir.named(content)
            if results := _finished(config, workdir):
                return results
        _introduce(corpus, data["source"])
        say(f"the run's folder is {workdir}")
        stopping.check()
        pieces = assemble(config, corpus)
        stopping.check()  # before the first program is compiled
        for line in pieces.summary(config):
            say(line)
        if idle := unused_devices(layout.mesh.local_devices):
            say(f"note: {idle}")
        findings = _findings(pieces, corpus)
        run = identity.of_run(config, content)
        with alone(workdir) if parallel.is_first() else contextlib.nullcontext():
            longer = functools.partial(_refuse_longer, config, pieces)
            claim(config, workdir, run, data, content, pieces.preparation, refuse_longer=longer)
            parallel.wait_for_all("claimed")
            _refuse_different(config, pieces, workdir, run)
            progress = train(config, pieces, workdir, run, layout, started=started)
            results = _results(config, pieces, corpus, workdir, findings, progress, time.monotonic())
            parallel.wait_for_all("written")
            return results


def _refuse_different(config: ConfigDict, pieces: Pieces, workdir: Path, run: str) -> None:
    """UserError where several processes do not train the same run on the same clips in the same folder."""
    until = time.monotonic() + _SEEN
    while not parallel.is_first() and not (workdir / seals.FILE).exists() and time.monotonic() < until:
        time.sleep(0.5)  # a network's file system shows a new file late
    seal = workdir / seals.FILE
    plan = make_plan(config, pieces, config.epochs)
    for what, mine in (
        ("settings or data", run),
        ("clips", str((len(plan), plan.buckets, len(pieces.splits["valid"])))),
        (f"folder at {workdir}", seal.read_text(encoding="utf-8") if seal.exists() else ""),
    ):
        if odd := parallel.differing(mine):
            raise UserError(
                f"{counted(len(odd), '{process has|processes have}')} another {what} than process 0 "
                f"({', '.join(map(str, odd))}); all must see the same files at the same paths"
            )


def _finished(config: ConfigDict, workdir: Path) -> dict[str, Any] | None:
    """The results of a run that is done, which are shown; None where there is something left to do.

    Raises:
      UserError: when another run is in the folder, or its results cannot be read.
    """
    results = None
    if config_is_whole(workdir):  # otherwise which run it is its identity says, once the data are open
        identity.refuse_other_run(config, workdir)
        results = read_results(workdir, config.epochs)
    if not parallel.of_first(results is not None):
        return None
    if results is None:  # a network's file system has not shown them here
        raise UserError(f"{workdir} is finished, as process 0 sees it; start again")
    say(banner(results["data"]))
    say(f"{workdir} is finished; its results:")
    show(results, workdir)
    return results


def _refuse_longer(config: ConfigDict, pieces: Pieces, before: int) -> None:
    """UserError where the epochs that are done would have been others in a run of more epochs."""
    why = optim.bound_to_length(config.optim)
    now, then = (
        pieces.loss.objective(
            pieces.model, epochs=epochs, steps_per_epoch=make_plan(config, pieces, epochs).steps_per_epoch
        )
        for epochs in (config.epochs, before)
    )
    if why is None and (terms := then.bound_to_length(now)):
        why = f"the weight of {', '.join(terms)} rises over a share of all epochs"
    if why:
        raise UserError(
            f"--config.epochs: the run was begun for {before} epochs, and cannot go on to {config.epochs}: "
            f"{why}; name another folder by --workdir to train from the start"
        )


def _findings(pieces: Pieces, corpus: Built) -> dict[str, list[Finding]]:
    """What a user should know of the clips that are trained on, which it says."""
    findings = {
        name: pieces.preparation.findings(split, training=name == "train")
        for name, split in pieces.splits.items()
    }
    findings["corpus"] = of_videos(corpus.untold_videos)
    for name, listed in findings.items():
        for finding in listed:
            say(f"note: {name}: {finding}")
    return findings


def _results(
    config: ConfigDict,
    pieces: Pieces,
    corpus: Built,
    workdir: Path,
    findings: dict[str, list[Finding]],
    progress: dict[str, Any],
    trained: float,
) -> dict[str, Any]:
    """Scores the validation and the test split with the best epoch, and writes and shows the results."""
    parallel.wait_for_all("trained")  # the first process has written it all by then
    best = load(workdir, step=progress["best_step"])
    source = opening.source_name(corpus)
    results: dict[str, Any] = {
        "data": source,
        "data_hash": corpus.content_hash,
        "official_splits": corpus.official,
        "conventions": corpus.conventions,
    }
    for name in ("valid", "test"):
        split = pieces.splits["valid"] if name == "valid" else best.preparation.scan(corpus.split(name))
        if name not in findings:
            findings[name] = best.preparation.findings(split)
            for finding in findings[name]:
                say(f"note: {name}: {finding}")
        results[name] = evaluate_splits(best, [split], pieces.metrics, workdir, name)
    results |= {
        "findings": {name: [dataclasses.asdict(f) for f in listed] for name, listed in findings.items()},
        "best_epoch": progress["best_epoch"],
        "selected_by": progress["best_by"],
        "seed": config.seed,
        "parameters": count_parameters(pieces.variables["params"]),
        "wall_seconds": progress["seconds"] + time.monotonic() - trained,
    }
    finish(workdir, results, progress["best_step"])
    show(results, workdir)
    return results


def _introduce(corpus: Built, source: str) -> None:
    """Says what the data are."""
    say(banner(source))
    for line in corpus.messages():
        say(f"note: {line}")
    if not (corpus.official or source == "synthetic"):
        say(OTHER_SPLITS)
