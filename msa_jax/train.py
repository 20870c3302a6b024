"""Training: one step, one readable loop around it, and the run from its config to its results."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import evaluate, optim
from msa_jax.assemble import Pieces, assemble, count_parameters
from msa_jax.checkpoint import Checkpoints
from msa_jax.data import opening
from msa_jax.data.datasets import Built
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.files import read_json, write_json
from msa_jax.losses import Objective
from msa_jax.progress import bar, say
from msa_jax.run import evaluate_splits, load
from msa_jax.workdir import OTHER_SPLITS, MetricLog, StepLog, banner, claim, refuse_other_run, show


@flax.struct.dataclass
class TrainState:
    """Everything a step changes, and, outside the tree, the functions that change it.

    Attributes:
      step: [] int32, optimiser steps done.
      params, opt_state: trees of arrays.
      collections: the model's other collections, by name: state that a step changes, such as a table with an
        entry for each clip, addressed by `batch["index"]`.
      key: of the whole run; a step draws from fold_in(key, step), so a resumed run draws the same.
      apply_fn: the model's `apply`.
      tx: the optimiser.
      objective: the loss.
      frozen: top-level parts of the parameters that are not trained.
    """

    step: Array
    params: Any
    opt_state: Any
    collections: dict[str, Any]
    key: Array
    apply_fn: Callable = flax.struct.field(pytree_node=False)
    tx: optax.GradientTransformation = flax.struct.field(pytree_node=False)
    objective: Objective = flax.struct.field(pytree_node=False)
    frozen: tuple[str, ...] = flax.struct.field(pytree_node=False)


def train_step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, dict[str, Array]]:
    """One optimiser step.

    Args:
      state: before the step.
      batch: as `Split.batch` makes it.

    Returns:
      The state after it, and scalars: `loss`, each term unweighted, `grad_norm` before the clip.
    """
    dropout_key, loss_key = jax.random.split(jax.random.fold_in(state.key, state.step))

    rngs = {"dropout": dropout_key, "sample": jax.random.fold_in(dropout_key, 1)}

    def loss_fn(params: Any) -> tuple[Array, tuple[dict[str, Array], dict[str, Any]]]:
        # What is frozen has no gradient: it would count in the norm that the others are clipped by.
        params = {k: jax.lax.stop_gradient(v) if k in state.frozen else v for k, v in params.items()}
        variables = {"params": params, **state.collections}
        mutable = list(state.collections)
        outputs, changed = state.apply_fn(variables, batch, train=True, rngs=rngs, mutable=mutable)
        loss, terms = state.objective(outputs, batch, step=state.step, key=loss_key)
        return loss, (terms, changed)

    (loss, (terms, changed)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    updates, opt_state = state.tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    terms = {"loss": loss, **terms, "grad_norm": optax.tree.norm(grads)}
    collections = {**state.collections, **changed}
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state, collections=collections)
    return state, terms


def make_state(config: ConfigDict, pieces: Pieces, plan: BatchPlan) -> tuple[TrainState, optax.Schedule]:
    """(state, learning-rate schedule) at the start of a run.

    Args:
      config: `seed`, `epochs`, `optim`, `text.frozen`.
      pieces: model, variables and loss.
      plan: the batches of the whole run.
    """
    collections = dict(pieces.variables)
    params = collections.pop("params")
    frozen = ("encoder",) if config.text.frozen else ()
    tx, rate = optim.make_optimizer(config.optim, params, total_steps=len(plan), frozen=frozen)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=jax.jit(tx.init)(params),
        collections=collections,
        key=jax.random.key(config.seed + 1),
        apply_fn=pieces.model.apply,
        tx=tx,
        objective=pieces.loss.objective(
            pieces.model, epochs=config.epochs, steps_per_epoch=plan.steps_per_epoch
        ),
        frozen=frozen,
    )
    # Bound to the device, as what a checkpoint restores is: the trained model is scored by the same program.
    return jax.device_put(state, jax.devices()[0]), rate


def train(config: ConfigDict, pieces: Pieces, workdir: Path, *, started: float) -> dict[str, Any]:
    """Trains to the last epoch, or until `patience` epochs bring nothing better; resumes a checkpoint.

    The best epoch is that with the best value of `config.select` on the validation split.

    Args:
      config: the run's settings.
      pieces: the run before its first step.
      workdir: its folder.
      started: `time.monotonic()` when this start of the run began.

    Returns:
      What the run knows of itself: `best_epoch` (from 0), `best_value`, `seconds` over all its starts.

    Raises:
      UserError: when the loss or its gradient is not finite; names the step and the last good checkpoint.
    """
    split = pieces.splits["train"]
    seed = config.seed if config.data.seed is None else config.data.seed
    buckets = pieces.preparation.buckets
    plan = BatchPlan(split.lengths, buckets, config.batch_size, epochs=config.epochs, seed=seed)
    state, rate = make_state(config, pieces, plan)
    per_epoch = plan.steps_per_epoch
    data = pieces.preparation.batches(split, plan, threads=config.data.threads)
    progress: dict[str, Any] = {"best_epoch": -1, "best_value": None, "seconds": 0.0, "plateau": {}}
    checkpoints = Checkpoints(workdir)
    if checkpoints.latest_step is not None:
        state, progress = checkpoints.restore_latest(state)
        data.set_state(progress["data"])
        say(f"resuming at step {int(state.step)} of {len(plan)}")
    done, before = int(state.step), progress["seconds"]
    step_fn = jax.jit(train_step, donate_argnums=0)

    def rate_now(step: int) -> Array:
        return rate(step) * progress["plateau"].get("rate_factor", 1.0)

    with (
        contextlib.closing(checkpoints),
        contextlib.closing(MetricLog(workdir, resume_step=done)) as log,
        bar(len(plan), done) as shown,
    ):
        steps = StepLog(log, checkpoints, shown, config.log_every, per_epoch, rate_now)
        for step in range(done + 1, len(plan) + 1):
            epoch, left = divmod(step - 1, per_epoch)
            if not left and config.patience and epoch - 1 - progress["best_epoch"] >= config.patience:
                say(f"no better epoch in {config.patience}: stopped after epoch {epoch}")
                break
            batch = next(data)
            state, terms = step_fn(state, batch)
            shown.update()
            # The step before is looked at while this one runs: the device never waits for the host.
            steps.add(step, terms, int(batch["mask"].sum()))
            epoch_ends = left == per_epoch - 1
            if not (epoch_ends or step % config.checkpoint_every == 0):
                continue
            # Looked at first: a broken state must never become the last good checkpoint.
            loss = steps.flush()
            if epoch_ends:
                state = validate(config, pieces, state, checkpoints, log, progress, epoch=epoch, loss=loss)
            progress |= {"data": data.get_state(), "seconds": before + time.monotonic() - started}
            checkpoints.save_latest(step, state, progress)
            steps.restart_clock()  # validation and checkpoints are not training time
    if progress["best_epoch"] < 0:
        raise UserError(
            f"no epoch had a finite validation value of {config.select}; try a lower optim.learning_rate"
        )
    return progress


def validate(
    config: ConfigDict,
    pieces: Pieces,
    state: TrainState,
    checkpoints: Checkpoints,
    log: MetricLog,
    progress: dict[str, Any],
    *,
    epoch: int,
    loss: float,
) -> TrainState:
    """Judges an epoch on the validation split, and keeps its parameters where it is the best so far.

    Args:
      config, pieces: of the run.
      state: at the end of the epoch.
      checkpoints, log: where the parameters and the value go.
      progress: what the run knows of itself; changed in place.
      epoch: from 0.
      loss: of the epoch's last step, to be shown.

    Returns:
      The state, with a lower learning rate where the schedule "plateau" asks for it.
    """
    split, step = pieces.splits["valid"], int(state.step)
    variables = {"params": state.params, **state.collections}
    size, threads = config.eval_batch_size, config.data.threads
    batches = pieces.preparation.in_order(split, batch_size=size, threads=threads)
    predictions = evaluate.score(pieces.model, variables, batches, len(split))
    name, value = evaluate.validation(config, pieces.metrics, predictions, split.labels)
    if config.optim.schedule == "plateau":
        progress["plateau"] = optim.watch_plateau(
            progress["plateau"],
            evaluate.task_loss(config, predictions, split.labels),
            **config.optim.plateau,
        )
        factor = progress["plateau"]["rate_factor"]
        state = state.replace(opt_state=optim.lower_rate(state.opt_state, factor))
    log.write(step, epoch, {f"valid_{name}": value}, prefix="valid")
    best = evaluate.better(name, value, progress["best_value"])
    if best:
        progress |= {"best_value": value, "best_epoch": epoch}
        checkpoints.save_best(step, variables)
    note = " (best so far)" if best else ""
    say(f"epoch {epoch + 1}/{config.epochs}  loss {loss:.4f}  valid {name} {value:.4f}{note}")
    return state


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
    optim.make_optimizer(config.optim, pieces.variables["params"], total_steps=1)  # refused before writing
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
        "rows": corpus.rows or None,
    }
    for name in ("valid", "test"):
        split = pieces.splits["valid"] if name == "valid" else best.preparation.scan(corpus.split(name))
        results[name] = evaluate_splits(best, [split], pieces.metrics, workdir, name)
    results |= {
        "best_epoch": progress["best_epoch"],
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
