"""Loop over the steps of a run: the next batch, one step, and, at times, validation and a checkpoint."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import agreement, evaluate, kept, optim, stopping, used_rows
from msa_jax.assemble import Pieces
from msa_jax.checkpoint import Checkpoints
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.lanes import Lane, last_common_step, numbers, of_seed, out_of_patience
from msa_jax.log import MetricLog
from msa_jax.metrics import NOT_DEFINED
from msa_jax.parallel import Layout, Signals
from msa_jax.progress import bar, say
from msa_jax.step import TrainState, split_frozen, starter, train_step
from msa_jax.step_log import Judged, StepLog
from msa_jax.together import Together
from msa_jax.writer import Writer


def train(
    config: ConfigDict, pieces: Pieces, lanes: Sequence[Lane], layout: Layout, *, started: float
) -> None:
    """Trains to the last epoch, or until `patience` epochs bring nothing better; resumes checkpoints.

    The best epoch is that with the best value of `config.select` on the validation split, or of the task loss
    while that is not defined in any epoch. Of several lanes each has its own; the training returns once half
    of them have ended, so that the others can go on alone.

    Args:
      config: what the lanes have in common.
      pieces: the run before its first step.
      lanes: the runs, which have a state of the same step; on return what each knows of itself is in its
        `progress`, and `ended` is set where it is done.
      layout: the devices.
      started: `time.monotonic()` when this start of the run began.

    Raises:
      UserError: when the loss or its gradient is not finite; names the step and the last good checkpoint.
      Stopped: when a signal has asked for it; all is saved then.
    """
    plan = make_plan(config, pieces, config.epochs)
    together = Together(len(lanes), pieces.shared, layout.for_seeds(len(lanes)))
    layout, per_epoch = together.layout, plan.steps_per_epoch
    with contextlib.ExitStack() as stack:
        state, rate = _begun(config, pieces, plan, lanes, together, stack)
        done, before = int(state.step), max(lane.progress["seconds"] for lane in lanes)
        data = _batches(config, pieces, plan, layout, start=done)
        step_fn, signals = compiled_step(config, pieces, state, together), Signals(layout)
        shown = stack.enter_context(bar(len(plan), done))
        steps = StepLog(lanes, shown, plan, state.objective.names(), every=config.log_every, rate=rate)
        if any(lane.progress["to_judge"] for lane in lanes):
            state = validate(config, pieces, state, together, lanes, steps, epoch=done // per_epoch - 1)
        for step in range(done + 1, len(plan) + 1):
            epoch, left = divmod(step - 1, per_epoch)
            if not left and out_of_patience(lanes, config.patience, epoch):
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
                for lane in lanes:
                    lane.progress["to_judge"] = True
                # A signal may stop it: then the epoch is judged when the run goes on.
                with contextlib.suppress(stopping.Stopped):
                    state = validate(config, pieces, state, together, lanes, steps, epoch=epoch)
                stop = stop or (layout.alone and stopping.asked())
            _save(state, together, lanes, seconds=before + time.monotonic() - started, stop=stop)
            steps.restart_clock()  # validation and checkpoints are not training time
        else:
            for lane in lanes:
                lane.ended = True
    for lane in (lane for lane in lanes if lane.ended and lane.progress["best_epoch"] < 0):
        raise UserError(
            f"no epoch{of_seed(lane, lanes)} had a finite validation value of {config.select}; try a lower "
            "optim.learning_rate"
        )


def _begun(
    config: ConfigDict,
    pieces: Pieces,
    plan: BatchPlan,
    lanes: Sequence[Lane],
    together: Together,
    stack: contextlib.ExitStack,
) -> tuple[TrainState, optax.Schedule]:
    """(state, learning-rate schedule) of the lanes, at their start or as the latest checkpoints have it.

    Opens the checkpoints of the lanes, which one thread writes, and their logs; the stack closes them.
    """
    writer, at, states = Writer("checkpoints"), last_common_step(lanes), []
    stack.callback(writer.close)
    start, rate = starter(config, pieces, plan, together.layout)
    for lane in lanes:
        lane.checkpoints = Checkpoints(lane.workdir, lane.run, writer=writer, at=at)
        seed = lane.config.seed
        state = together.layout.state(start(pieces.of_seed(seed).variables, seed))
        state, lane.progress = _resumed(lane.checkpoints, state, plan)
        done, judged = int(state.step), not lane.progress["to_judge"]
        lane.log = MetricLog(lane.workdir, resume_step=done, judged=judged)
        stack.callback(lane.log.close)
        states.append(state)
    first = states[0]
    for term in first.objective.idle():
        say(f"note: the loss's term {term} has no weight in any of the {config.epochs} epochs")
    if done := int(first.step):
        several = f" (seeds {numbers(lanes)})" if len(lanes) > 1 else ""
        say(f"resuming at step {done} of {len(plan)}{several}")
    return together.state(states), rate


def _batches(
    config: ConfigDict, pieces: Pieces, plan: BatchPlan, layout: Layout, *, start: int
) -> Iterator[tuple[Mapping[str, np.ndarray], dict[str, Array]]]:
    """The batches of the run from a step on, in memory and on the devices."""
    split, threads, share = pieces.splits["train"], config.data.threads, layout.share_in(config.parts)
    return layout.ahead(pieces.preparation.batches(split, plan, threads=threads, share=share, start=start))


def compiled_step(
    config: ConfigDict, pieces: Pieces, state: TrainState, together: Together
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """`train_step`, compiled when it is first called; the state stays where it is.

    Args:
      config, pieces: of the run.
      state: of the lanes, or its shapes.
      together: how they are one.
    """
    tokens = pieces.splits["train"].tokens
    rows = used_rows.find(config, pieces.variables["params"], pieces.preparation.tokenizer, tokens)
    places = jax.tree.map(lambda x: x.sharding, state)
    # A function of this run: JAX keeps the programs of a function as long as that lives.
    one = functools.partial(train_step, **({} if rows is None else {"rows": rows}))
    step = together.step(one, state)
    return jax.jit(step, donate_argnums=0, out_shardings=(places, together.layout.repeated))


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
    return restored.replace(params={**restored.params, **frozen}), progress


def _save(
    state: TrainState, together: Together, lanes: Sequence[Lane], *, seconds: float, stop: bool
) -> None:
    """Keeps the state of each lane; ends the training where a signal has asked for it."""
    step = int(state.step)
    trained, _ = split_frozen(state.params, state.frozen)
    states = together.states_of(state.replace(params=trained))
    if len(lanes) > 1:
        # So that the lanes are never more than one checkpoint apart, and can go on from the same step.
        lanes[0].checkpoints.flush()
    for lane, of_lane in zip(lanes, states, strict=True):
        if not lane.ended:
            lane.progress["seconds"] = seconds
            lane.checkpoints.save_latest(step, of_lane, lane.progress)
    if stop:
        for lane in lanes:
            lane.checkpoints.flush()
        agreement.wait_for_all("saved")
        folders = [str(lane.checkpoints.folder) for lane in lanes if not lane.ended]
        where = ", ".join(folders[:3]) + ", ..." * (len(folders) > 3)
        say(f"stopped at step {step}, which is saved in {where}")
        stopping.check()


def validate(
    config: ConfigDict,
    pieces: Pieces,
    state: TrainState,
    together: Together,
    lanes: Sequence[Lane],
    steps: StepLog,
    *,
    epoch: int,
) -> TrainState:
    """Judges an epoch on the validation split, and keeps the parameters of the lanes whose best so far it is.

    Args:
      config, pieces: of the run.
      state: at the end of the epoch.
      together: how the lanes are one.
      lanes: those are judged whose `to_judge` in their progress says so, which is changed in place: it stays
        where it was stopped here.
      steps: where the values go.
      epoch: from 0.

    Returns:
      The state, with a lower learning rate where the schedule "plateau" asks for it.

    Raises:
      Stopped: when a signal asks for it, before anything but `to_judge` is changed.
    """
    split, layout = pieces.splits["valid"], together.layout
    variables = layout.gathered({"params": state.params, **state.collections})
    size, threads = config.eval_batch_size, config.data.threads
    batches = pieces.preparation.in_order(split, batch_size=size, threads=threads, share=layout.share)
    predictions = evaluate.score(pieces.model, variables, batches, len(split), layout, together)
    of_lanes, labels = [predictions] if len(lanes) == 1 else predictions, split.labels
    judged = [
        _judged(config, pieces.metrics, lane, mine, labels, epoch, int(state.step))
        for lane, mine in zip(lanes, of_lanes, strict=True)
        if lane.progress["to_judge"] and not lane.ended
    ]
    if any(one.best for one in judged):
        trained = {**variables, "params": split_frozen(variables["params"], state.frozen)[0]}
        kept_of = dict(zip(map(id, lanes), together.variables_of(trained), strict=True))
        for one in (one for one in judged if one.best):
            one.lane.checkpoints.save_best(int(state.step), kept_of[id(one.lane)])
    if config.optim.schedule == "plateau":
        factors = [lane.progress["plateau"].get("rate_factor", 1.0) for lane in lanes]
        factor = factors[0] if len(lanes) == 1 else np.array(factors)
        state = state.replace(opt_state=optim.lower_rate(state.opt_state, factor))
    steps.end_epoch(int(state.step), judged, at_most=bool(config.patience))
    return state


def _judged(
    config: ConfigDict,
    corpus: str,
    lane: Lane,
    predictions: np.ndarray,
    labels: np.ndarray,
    epoch: int,
    step: int,
) -> Judged:
    """The verdict on a lane's epoch, which is noted in its progress."""
    progress = lane.progress
    verdict = evaluate.validation(config, corpus, predictions, labels)
    # NumPy's last bit may be another on another machine, and all must decide the same.
    verdict = evaluate.Verdict(**agreement.facts_of_first(dataclasses.asdict(verdict)))
    if config.optim.schedule == "plateau":
        progress["plateau"] = optim.watch_plateau(progress["plateau"], verdict.loss, **config.optim.plateau)
    best = verdict.beats(progress["best_by"], progress["best_value"])
    if best:
        progress |= {"best_value": verdict.value, "best_by": verdict.by, "best_epoch": epoch}
        progress["best_step"] = step
    progress["to_judge"] = False
    return Judged(lane, verdict, best, _standing(verdict, best, progress, config.select))


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
