"""Training: one readable loop over steps, and the run from its config to its results."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import evaluate, optim
from msa_jax.assemble import Pieces, assemble, count_parameters
from msa_jax.checkpoint import Checkpoints
from msa_jax.data import opening
from msa_jax.data.datasets import Built
from msa_jax.data.findings import of_videos
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.files import read_json, write_json
from msa_jax.log import MetricLog, StepLog
from msa_jax.metrics import NOT_DEFINED
from msa_jax.progress import bar, say
from msa_jax.run import evaluate_splits, load
from msa_jax.step import TrainState, make_state, train_step
from msa_jax.workdir import OTHER_SPLITS, banner, claim, refuse_other_run, show


def train(config: ConfigDict, pieces: Pieces, workdir: Path, *, started: float) -> dict[str, Any]:
    """Trains to the last epoch, or until `patience` epochs bring nothing better; resumes a checkpoint.

    The best epoch is that with the best value of `config.select` on the validation split, or of the task loss
    while that is not defined in any epoch.

    Args:
      config: the run's settings.
      pieces: the run before its first step.
      workdir: its folder.
      started: `time.monotonic()` when this start of the run began.

    Returns:
      What the run knows of itself: `best_epoch` (from 0), `best_value` and what it is a value of (`best_by`),
      `seconds` over all its starts.

    Raises:
      UserError: when the loss or its gradient is not finite; names the step and the last good checkpoint.
    """
    split = pieces.splits["train"]
    seed = config.seed if config.data.seed is None else config.data.seed
    buckets = pieces.preparation.buckets
    plan = BatchPlan(split.lengths, buckets, config.batch_size, epochs=config.epochs, seed=seed)
    state, rate = make_state(config, pieces, plan)
    for term in state.objective.idle():
        say(f"note: the loss's term {term} has no weight in any of the {config.epochs} epochs")
    per_epoch = plan.steps_per_epoch
    data = pieces.preparation.batches(split, plan, threads=config.data.threads)
    checkpoints = Checkpoints(workdir)
    state, progress = _resumed(checkpoints, state, data, len(plan))
    done, before = int(state.step), progress["seconds"]
    step_fn = jax.jit(train_step, donate_argnums=0)

    def rate_now(step: int) -> Array:
        return rate(step) * progress["plateau"].get("rate_factor", 1.0)

    with (
        contextlib.closing(checkpoints),
        contextlib.closing(MetricLog(workdir, resume_step=done)) as log,
        bar(len(plan), done) as shown,
    ):
        names, sums, every = state.objective.names(), progress["sums"], config.log_every
        steps = StepLog(log, checkpoints, shown, plan, names, sums, every=every, rate=rate_now)
        for step in range(done + 1, len(plan) + 1):
            epoch, left = divmod(step - 1, per_epoch)
            if not left and config.patience and epoch - 1 - progress["best_epoch"] >= config.patience:
                say(f"no better epoch in {config.patience}: stopped after epoch {epoch}")
                break
            batch = next(data)
            with steps.calling(batch):
                state, terms = step_fn(state, batch)
            shown.update()
            # The step before is looked at while this one runs: the device never waits for the host.
            steps.add(step, terms, int(batch["mask"].sum()))
            epoch_ends = left == per_epoch - 1
            if not (epoch_ends or step % config.checkpoint_every == 0):
                continue
            # Looked at first: a broken state must never become the last good checkpoint.
            steps.flush()
            if epoch_ends:
                state = validate(config, pieces, state, checkpoints, steps, progress, epoch=epoch)
            progress |= {"data": data.get_state(), "seconds": before + time.monotonic() - started}
            checkpoints.save_latest(step, state, progress)
            steps.restart_clock()  # validation and checkpoints are not training time
    if progress["best_epoch"] < 0:
        raise UserError(
            f"no epoch had a finite validation value of {config.select}; try a lower optim.learning_rate"
        )
    return progress


def _resumed(
    checkpoints: Checkpoints, state: TrainState, data: Any, steps: int
) -> tuple[TrainState, dict[str, Any]]:
    """(state, what the run knows of itself) as the latest checkpoint has them, or those of a new run.

    Args:
      checkpoints: of the run.
      state: at the start of a new one.
      data: the batches, which are put to their place.
      steps: of the whole run.
    """
    progress: dict[str, Any] = {"best_epoch": -1, "best_value": None, "best_by": None, "seconds": 0.0}
    progress |= {"plateau": {}, "sums": {}}
    if checkpoints.latest_step is None:
        return state, progress
    state, stored = checkpoints.restore_latest(state)
    data.set_state(stored["data"])
    say(f"resuming at step {int(state.step)} of {steps}")
    return state, progress | stored


def validate(
    config: ConfigDict,
    pieces: Pieces,
    state: TrainState,
    checkpoints: Checkpoints,
    steps: StepLog,
    progress: dict[str, Any],
    *,
    epoch: int,
) -> TrainState:
    """Judges an epoch on the validation split, and keeps its parameters where it is the best so far.

    Args:
      config, pieces: of the run.
      state: at the end of the epoch.
      checkpoints, steps: where the parameters and the values go.
      progress: what the run knows of itself; changed in place.
      epoch: from 0.

    Returns:
      The state, with a lower learning rate where the schedule "plateau" asks for it.
    """
    split, step = pieces.splits["valid"], int(state.step)
    variables = {"params": state.params, **state.collections}
    size, threads = config.eval_batch_size, config.data.threads
    batches = pieces.preparation.in_order(split, batch_size=size, threads=threads)
    predictions = evaluate.score(pieces.model, variables, batches, len(split))
    verdict = evaluate.validation(config, pieces.metrics, predictions, split.labels)
    if config.optim.schedule == "plateau":
        progress["plateau"] = optim.watch_plateau(progress["plateau"], verdict.loss, **config.optim.plateau)
        factor = progress["plateau"]["rate_factor"]
        state = state.replace(opt_state=optim.lower_rate(state.opt_state, factor))
    best = verdict.beats(progress["best_by"], progress["best_value"])
    if best:
        progress |= {"best_value": verdict.value, "best_by": verdict.by, "best_epoch": epoch}
        checkpoints.save_best(step, variables)
    standing = _standing(verdict, best, progress, config.select)
    steps.end_epoch(step, verdict, standing, at_most=bool(config.patience))
    return state


def _standing(verdict: evaluate.Verdict, best: bool, progress: dict[str, Any], select: str) -> str:
    """Whether the epoch is the best so far, and which is, in words; and what is compared in place of what."""
    words = []
    if verdict.stands_in:
        words.append(f"{select} is {NOT_DEFINED}: {verdict.undefined[select]}")
    if best:
        words.append("best so far")
    elif progress["best_epoch"] >= 0:
        by, value, place = progress["best_by"], progress["best_value"], progress["best_epoch"] + 1
        words.append(f"best: {by} {value:.4f} in epoch {place}")
    return "; ".join(words)


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
    corpus = opening.open_corpus(config)
    source = opening.source_name(corpus)
    _introduce(corpus, source)
    pieces = assemble(config, corpus)
    for line in pieces.summary(config):
        say(line)
    findings = {
        name: pieces.preparation.findings(split, training=name == "train")
        for name, split in pieces.splits.items()
    }
    findings["corpus"] = of_videos(corpus.untold_videos)
    for name, listed in findings.items():
        for finding in listed:
            say(f"note: {name}: {finding}")
    workdir.mkdir(parents=True, exist_ok=True)
    claim(config, workdir, {"source": source, "hash": corpus.content_hash, "cut": corpus.cut})
    pieces.preparation.save(workdir)
    progress = train(config, pieces, workdir, started=started)
    trained = time.monotonic()

    best = load(workdir)
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
    write_json(workdir / "results.json", results)
    show(results, workdir)
    return results


def _introduce(corpus: Built, source: str) -> None:
    """Says what the data are."""
    say(banner(source))
    for line in corpus.messages():
        say(f"note: {line}")
    if not (corpus.official or source == "synthetic"):
        say(OTHER_SPLITS)
