"""Training: the run from its config to its results."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from msa_jax import agreement, identity, models, optim, parallel, seals, seeds, stopping
from msa_jax.assemble import Pieces, assemble, count_parameters
from msa_jax.data import opening
from msa_jax.data.findings import Finding, of_videos
from msa_jax.data.pipeline import Split
from msa_jax.data.synthetic import metric_set
from msa_jax.errors import UserError, counted
from msa_jax.files import expanded
from msa_jax.forks import refuse_forked
from msa_jax.identity import DefaultFolder
from msa_jax.lane_memory import fitting
from msa_jax.lanes import Lane, groups, numbers
from msa_jax.loop import make_plan, train
from msa_jax.machine import unused_devices
from msa_jax.parallel import Layout
from msa_jax.progress import say
from msa_jax.results import OTHER_SPLITS, banner, show
from msa_jax.run import evaluate_splits, load
from msa_jax.workdir import alone, claim, config_is_whole, finish, other_code, read_results

if TYPE_CHECKING:
    from msa_jax.data.datasets import Built

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
        own = seeds.members(config, workdir)
        pieces = assemble(own[0][0], corpus)
        stopping.check()  # before the first program is compiled
        for line in pieces.summary(config):
            say(line)
        if idle := unused_devices(layout.local_devices):
            say(f"note: {idle}")
        findings = _findings(pieces, corpus)
        lanes = [Lane(one, folder, identity.of_run(one, content)) for one, folder in own]
        with _held(config, workdir, lanes):
            _claim(pieces, lanes, data, content)
            results = {lane.config.seed: _results_there(lane.config, lane.workdir) for lane in lanes}
            left = [lane for lane in lanes if results[lane.config.seed] is None]
            _train(pieces, left, layout, started=started)
            splits = {"valid": pieces.splits["valid"]}
            for lane in left:
                results[lane.config.seed] = _results(lane, corpus, splits, findings)
            agreement.wait_for_all("written")
            return _ended(config, workdir, results)


@contextlib.contextmanager
def _held(config: ConfigDict, workdir: Path, lanes: Sequence[Lane]) -> Iterator[None]:
    """Keeps the folders of the runs, and that above those of several seeds, for the first process."""
    with contextlib.ExitStack() as stack:
        if agreement.is_first():
            if config.seeds:
                stack.enter_context(alone(workdir))
                seeds.forget(workdir)
            for lane in lanes:
                stack.enter_context(alone(lane.workdir))
        yield


def _claim(pieces: Pieces, lanes: Sequence[Lane], data: dict[str, Any], content: dict[str, Any]) -> None:
    """Writes what the runs are, or checks that they are still the same, in all processes."""
    for lane in lanes:
        longer = functools.partial(_refuse_longer, lane.config, pieces)
        claim(lane.config, lane.workdir, lane.run, data, content, pieces.preparation, refuse_longer=longer)
    agreement.wait_for_all("claimed")
    for lane in lanes:
        _refuse_different(lane.config, pieces, lane.workdir, lane.run)


def _train(pieces: Pieces, lanes: Sequence[Lane], layout: Layout, *, started: float) -> None:
    """Trains the runs, together as far as they are at the same step."""
    if not lanes:
        return
    config, at_once = lanes[0].config, 1
    plan = make_plan(config, pieces, config.epochs)
    while left := [lane for lane in lanes if not lane.ended]:
        if len(left) < len(lanes):
            say(f"seeds that are left: {numbers(left)}")
        group = groups(left, config.patience, plan.steps_per_epoch, len(plan))[0]
        if len(group) > at_once:
            say(f"compiling the step of {len(group)} seeds, to see that the memory holds them")
            at_once, why = fitting(config, pieces, layout, len(group))
            say(f"{at_once} of the {len(group)} seeds are trained at once" + (f": {why}" if why else ""))
            stopping.check()
        group = group[:at_once]
        train(group[0].config, pieces.of_seed(group[0].config.seed), group, layout, started=started)
        agreement.wait_for_all("trained")  # the first process has written it all by then
        started = time.monotonic()


def _ended(config: ConfigDict, workdir: Path, results: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """Shows the results of a run, or what those of several seeds tell together, which it writes."""
    if not config.seeds:
        (found,) = results.values()
        show(found, workdir)
        return found
    found = seeds.summary(results)
    seeds.write(workdir, found)
    seeds.show(found, workdir)
    return found


def _refuse_different(config: ConfigDict, pieces: Pieces, workdir: Path, run: str) -> None:
    """UserError where several processes do not train the same run on the same clips in the same folder."""
    until = time.monotonic() + _SEEN
    while not agreement.is_first() and not (workdir / seals.FILE).exists() and time.monotonic() < until:
        time.sleep(0.5)  # a network's file system shows a new file late
    seal = workdir / seals.FILE
    plan = make_plan(config, pieces, config.epochs)
    for what, mine in (
        ("settings or data", run),
        ("clips", str((len(plan), plan.buckets, len(pieces.splits["valid"])))),
        (f"folder at {workdir}", seal.read_text(encoding="utf-8") if seal.exists() else ""),
    ):
        if odd := agreement.differing(mine):
            raise UserError(
                f"{counted(len(odd), '{process has|processes have}')} another {what} than process 0 "
                f"({', '.join(map(str, odd))}); all must see the same files at the same paths"
            )


def _finished(config: ConfigDict, workdir: Path) -> dict[str, Any] | None:
    """The results of a training that is done, which are shown; None where there is something left to do.

    Raises:
      UserError: when another run is in the folder, or its results cannot be read.
    """
    seeds.refuse_mixed(config, workdir)
    results = {one.seed: _results_there(one, folder) for one, folder in seeds.members(config, workdir)}
    if None in results.values():
        return None
    say(banner(next(iter(results.values()))["data"]))
    say(f"{workdir} is finished; its results:")
    return _ended(config, workdir, results)


def _results_there(config: ConfigDict, workdir: Path) -> dict[str, Any] | None:
    """The results of a run that is done; None where it is not."""
    results = None
    if config_is_whole(workdir):  # otherwise which run it is its identity says, once the data are open
        identity.refuse_other_run(config, workdir)
        results = read_results(workdir, config.epochs)
        if results is not None:
            models.refuse_changed(config.model.name)
            if other_code(workdir, models.code(config.model.name)):
                code = f"other code of {config.model.name}"
                raise UserError(f"--workdir: {workdir} was trained with {code}; name another folder")
    if not agreement.of_first(results is not None):
        return None
    if results is None:  # a network's file system has not shown them here
        raise UserError(f"{workdir} is finished, as process 0 sees it; start again")
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


def _findings(pieces: Pieces, corpus: "Built") -> dict[str, list[Finding]]:
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
    lane: Lane, corpus: "Built", splits: dict[str, Split], findings: dict[str, list[Finding]]
) -> dict[str, Any]:
    """Scores the validation and the test split with the best epoch, and writes the results.

    Args:
      lane: the run.
      corpus: what it was trained on.
      splits: scanned ones by name; gets those that are scanned here.
      findings: of the clips of each split; gets those of other splits, which are said.
    """
    began = time.monotonic()
    best = load(lane.workdir, step=lane.progress["best_step"])
    results: dict[str, Any] = {
        "data": opening.source_name(corpus),
        "data_hash": corpus.content_hash,
        "official_splits": corpus.official,
        "conventions": corpus.conventions,
    }
    for name in ("valid", "test"):
        if name not in splits:
            splits[name] = best.preparation.scan(corpus.split(name))
        if name not in findings:
            findings[name] = best.preparation.findings(splits[name])
            for finding in findings[name]:
                say(f"note: {name}: {finding}")
        corpus_name = metric_set(lane.config.data.corpus)
        results[name] = evaluate_splits(best, [splits[name]], corpus_name, lane.workdir, name)
    results |= {
        "findings": {name: [dataclasses.asdict(f) for f in listed] for name, listed in findings.items()},
        "best_epoch": lane.progress["best_epoch"],
        "selected_by": lane.progress["best_by"],
        "seed": lane.config.seed,
        "parameters": count_parameters(best.params),
        "wall_seconds": lane.progress["seconds"] + time.monotonic() - began,
    }
    finish(lane.workdir, results, lane.progress["best_step"])
    return results


def _introduce(corpus: "Built", source: str) -> None:
    """Says what the data are."""
    say(banner(source))
    for line in corpus.messages():
        say(f"note: {line}")
    if not (corpus.official or source == "synthetic"):
        say(OTHER_SPLITS)
