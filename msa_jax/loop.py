"""Loop over the steps of a run: the next batch, one step, and, at times, validation and a checkpoint."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import evaluate, kept, optim, parallel, stopping
from msa_jax.assemble import Pieces
from msa_jax.checkpoint import Checkpoints
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.log import MetricLog, StepLog
from msa_jax.metrics import NOT_DEFINED
from msa_jax.parallel import Layout, Signals
from msa_jax.progress import bar, say
from msa_jax.step import TrainState, make_state, split_frozen, train_step


def train(
    config: ConfigDict, pieces: Pieces, workdir: Path, run: str, layout: Layout, *, started: float
) -> dict[str, Any]:
    """Trains to the last epoch, or until `patience` epochs bring nothing better; resumes a checkpoint.

    The best epoch is that with the best value of `config.select` on the validation split, or of the task loss
    while that is not defined in any epoch.

    Args:
      config: the run's settings.
      pieces: the run before its first step.
      workdir: its folder, which this process holds.
      run: its identity.
      layout: the devices.
      started: `time.monotonic()` when this start of the run began.

    Returns:
      What the run knows of itself: `best_epoch` (from 0), `best_value` and what it is a value of (`best_by`),
      `seconds` over all its starts.

    Raises:
      UserError: when the loss or its gradient is not finite; names the step and the last good checkpoint.
      Stopped: when a signal has asked for it; all is saved then.
    """
    plan = make_plan(config, pieces, config.epochs)
    state, rate = make_state(config, pieces, plan, layout)
    for term in state.objective.idle():
        say(f"note: the loss's term {term} has no weight in any of the {config.epochs} epochs")
    per_epoch = plan.steps_per_epoch
    checkpoints = Checkpoints(workdir, run)
    state, progress = _resumed(checkpoints, state, plan)
    done, before = int(state.step), progress["seconds"]
    data = _batches(config, pieces, plan, layout, start=done)
    step_fn, signals = _compiled_step(state, layout), Signals(layout)

    def rate_now(step: int) -> Array:
        return rate(step) * progress["plateau"].get("rate_factor", 1.0)

    with (
        contextlib.closing(checkpoints),
        contextlib.closing(MetricLog(workdir, resume_step=done, judged=not progress["to_judge"])) as log,
        bar(len(plan), done) as shown,
    ):
        names, sums, every = state.objective.names(), progress["sums"], config.log_every
        steps = StepLog(log, checkpoints, shown, plan, names, sums, every=every, rate=rate_now)
        if progress["to_judge"]:
            epoch = done // per_epoch - 1
            state = validate(config, pieces, state, layout, checkpoints, steps, progress, epoch=epoch)
        for step in range(done + 1, len(plan) + 1):
            epoch, left = divmod(step - 1, per_epoch)
            if not left and config.patience and epoch - 1 - progress["best_epoch"] >= config.patience:
                say(f"no better epoch in {config.patience}: stopped after epoch {epoch}")
                break
            batch, on_devices = next(data)
            with steps.calling(batch):
                state, terms = step_fn(state, on_devices)
            shown.update()
            # The step before is looked at while this one runs: the device never waits for the host.
            steps.add(step, terms, len(plan[step - 1][0]))
            epoch_ends, stop = left == per_epoch - 1, signals.asked()
            if not (epoch_ends or step % config.checkpoint_every == 0 or stop):
                continue
            # Looked at first: a broken state must never become the last good checkpoint.
            steps.flush()
            if epoch_ends:
                # A signal may stop it: then the epoch is judged when the run goes on.
                with contextlib.suppress(stopping.Stopped):
                    state = validate(config, pieces, state, layout, checkpoints, steps, progress, epoch=epoch)
                stop = stop or (layout.alone and stopping.asked())
            progress["seconds"] = before + time.monotonic() - started
            _save(checkpoints, state, progress, stop=stop)
            steps.restart_clock()  # validation and checkpoints are not training time
    if progress["best_epoch"] < 0:
        raise UserError(
            f"no epoch had a finite validation value of {config.select}; try a lower optim.learning_rate"
        )
    return progress


def _batches(
    config: ConfigDict, pieces: Pieces, plan: BatchPlan, layout: Layout, *, start: int
) -> Iterator[tuple[Mapping[str, np.ndarray], dict[str, Array]]]:
    """The batches of the run from a step on, in memory and on the devices."""
    share, threads = dataclasses.replace(layout.share, parts=config.parts), config.data.threads
    split = pieces.splits["train"]
    return layout.ahead(pieces.preparation.batches(split, plan, threads=threads, share=share, start=start))


def _compiled_step(state: TrainState, layout: Layout) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """`train_step`, compiled when it is first called; the state stays where it is."""
    places = jax.tree.map(lambda x: x.sharding, state)
    # A function of this run: JAX keeps the programs of a function as long as that lives.
    step = functools.partial(train_step)
    return jax.jit(step, donate_argnums=0, out_shardings=(places, layout.repeated))


def make_plan(config: ConfigDict, pieces: Pieces, epochs: int) -> BatchPlan:
    """The batches of a run of so many epochs."""
    split, buckets = pieces.splits["train"], pieces.preparation.buckets
    seed = config.seed if config.data.seed is None else config.data.seed
    return BatchPlan(split.lengths, buckets, config.batch_size, epochs=epochs, seed=seed)


def _resumed(
    checkpoints: Checkpoints, state: TrainState, plan: BatchPlan
) -> tuple[TrainState, dict[str, Any]]:
    """(state, what the run knows of itself) as the latest checkpoint has them, or those of a new run.

    Args:
      checkpoints: of the run.
      state: at the start of a new one.
      plan: the batches of the whole run.

    Raises:
      UserError: when the checkpoint cannot be read, is damaged, or holds what no run has.
    """
    trained, frozen = split_frozen(state.params, state.frozen)
    checkpoints.save_frozen(frozen)
    if checkpoints.latest_step is None:
        return state, kept.fresh()
    restored, progress = checkpoints.restore_latest(
        state.replace(params=trained), functools.partial(kept.check, per_epoch=plan.steps_per_epoch)
    )
    say(f"resuming at step {int(restored.step)} of {len(plan)}")
    return restored.replace(params={**restored.params, **frozen}), progress


def _save(checkpoints: Checkpoints, state: TrainState, progress: dict[str, Any], *, stop: bool) -> None:
    """Keeps the state; ends the run where a signal has asked for it."""
    step = int(state.step)
    trained, _ = split_frozen(state.params, state.frozen)
    checkpoints.save_latest(step, state.replace(params=trained), progress)
    if stop:
        checkpoints.flush()
        parallel.wait_for_all("saved")
        say(f"stopped at step {step}, which is saved in {checkpoints.folder}")
        stopping.check()


def validate(
    config: ConfigDict,
    pieces: Pieces,
    state: TrainState,
    layout: Layout,
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
      layout: the devices.
      checkpoints, steps: where the parameters and the values go.
      progress: what the run knows of itself; changed in place. `to_judge` says whether it was stopped here.
      epoch: from 0.

    Returns:
      The state, with a lower learning rate where the schedule "plateau" asks for it.

    Raises:
      Stopped: when a signal asks for it, before anything but `to_judge` is changed.
    """
    progress["to_judge"] = True
    split, step = pieces.splits["valid"], int(state.step)
    variables = layout.gathered({"params": state.params, **state.collections})
    size, threads = config.eval_batch_size, config.data.threads
    batches = pieces.preparation.in_order(split, batch_size=size, threads=threads, share=layout.share)
    predictions = evaluate.score(pieces.model, variables, batches, len(split), layout)
    verdict = evaluate.validation(config, pieces.metrics, predictions, split.labels)
    # NumPy's last bit may be another on another machine, and all must decide the same.
    verdict = evaluate.Verdict(**parallel.facts_of_first(dataclasses.asdict(verdict)))
    if config.optim.schedule == "plateau":
        progress["plateau"] = optim.watch_plateau(progress["plateau"], verdict.loss, **config.optim.plateau)
        factor = progress["plateau"]["rate_factor"]
        state = state.replace(opt_state=optim.lower_rate(state.opt_state, factor))
    best = verdict.beats(progress["best_by"], progress["best_value"])
    if best:
        progress |= {"best_value": verdict.value, "best_by": verdict.by, "best_epoch": epoch}
        progress["best_step"] = step
        trained, _ = split_frozen(variables["params"], state.frozen)
        checkpoints.save_best(step, {**variables, "params": trained})
    progress["to_judge"] = False
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
