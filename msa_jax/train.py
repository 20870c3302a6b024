"""One step, and one readable loop around it."""

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import models, optim
from msa_jax.checkpoint import Checkpoints
from msa_jax.data.pipeline import Split, batches
from msa_jax.data.plan import BatchPlan, Lengths
from msa_jax.errors import UserError
from msa_jax.evaluate import better, score, validation
from msa_jax.losses import Objective
from msa_jax.models import fields
from msa_jax.progress import bar, say
from msa_jax.workdir import MetricLog


@flax.struct.dataclass
class TrainState:
    """Everything a step changes, and, outside the tree, the functions that change it.

    Attributes:
      step: [] int32, optimiser steps done.
      params, opt_state: trees of arrays.
      key: of the whole run; a step draws from fold_in(key, step), so a resumed run draws the same.
      apply_fn: the model's `apply`.
      tx: the optimiser.
      objective: the loss.
      frozen: top-level parts of the parameters that are not trained.
    """

    step: Array
    params: Any
    opt_state: Any
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

    def loss_fn(params: Any) -> tuple[Array, dict[str, Array]]:
        # What is frozen has no gradient: it would count in the norm that the others are clipped by.
        params = {k: jax.lax.stop_gradient(v) if k in state.frozen else v for k, v in params.items()}
        outputs = state.apply_fn({"params": params}, batch, train=True, rngs=rngs)
        return state.objective(outputs, batch, step=state.step, key=loss_key)

    (loss, terms), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
    updates, opt_state = state.tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    terms = {"loss": loss, **terms, "grad_norm": optax.tree.norm(grads)}
    return state.replace(step=state.step + 1, params=params, opt_state=opt_state), terms


def make_state(
    config: ConfigDict, model: Any, params: Any, plan: BatchPlan
) -> tuple[TrainState, optax.Schedule]:
    """(state, learning-rate schedule) at the start of a run.

    Args:
      config: `seed`, `epochs`, `model`, `loss`, `optim`, `text.frozen`.
      model: the module.
      params: its parameters.
      plan: the batches of the whole run.
    """
    frozen = ("encoder",) if config.text.frozen else ()
    tx, rate = optim.make_optimizer(config.optim, params, total_steps=len(plan), frozen=frozen)
    loss = fields.build(models.find(config.model.name).loss, config.loss.to_dict())
    objective = loss.objective(model, epochs=config.epochs, steps_per_epoch=plan.steps_per_epoch)
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=jax.jit(tx.init)(params),
        key=jax.random.key(config.seed + 1),
        apply_fn=model.apply,
        tx=tx,
        objective=objective,
        frozen=frozen,
    )
    return state, rate


def train(
    config: ConfigDict,
    workdir: Path,
    model: Any,
    params: Any,
    splits: dict[str, Split],
    *,
    buckets: tuple[Lengths, ...],
    corpus: str,
    started: float,
) -> dict[str, Any]:
    """Trains to the last epoch, or until `patience` epochs bring nothing better; resumes a checkpoint.

    The best epoch is that with the best value of `config.select` on the validation split.

    Args:
      config: the run's settings.
      workdir: the run's folder.
      model, params: the module and its parameters at the start.
      splits: "train" (with statistics) and "valid".
      buckets: lengths that batches are padded to.
      corpus: whose metrics apply.
      started: `time.monotonic()` when this start of the run began.

    Returns:
      What the run knows of itself: `best_epoch` (from 0), `best_value`, `seconds` over all its starts.

    Raises:
      UserError: when the loss or its gradient is not finite; names the step and the last good checkpoint.
    """
    train_split, valid_split = splits["train"], splits["valid"]
    seed = config.seed if config.data.seed is None else config.data.seed
    plan = BatchPlan(train_split.lengths, buckets, config.batch_size, epochs=config.epochs, seed=seed)
    state, rate = make_state(config, model, params, plan)
    data = batches(train_split, plan, train_split.statistics, threads=config.data.threads)
    progress = {"best_epoch": -1, "best_value": None, "seconds": 0.0, "data": None}
    checkpoints = Checkpoints(workdir)
    if checkpoints.latest_step is not None:
        state, progress = checkpoints.restore_latest(state)
        data.set_state(progress["data"])
    done = int(state.step)
    if done:
        say(f"resuming at step {done} of {len(plan)}")
    log = MetricLog(workdir, resume_step=done)
    step_fn = jax.jit(train_step, donate_argnums=0)
    before, since, clips = progress["seconds"], time.monotonic(), 0
    pending: tuple[int, dict[str, Array]] | None = None

    with contextlib.closing(checkpoints), contextlib.closing(log), bar(len(plan), done) as shown:

        def record(step: int, terms: dict[str, Array]) -> float:
            """Logs a step, and returns its loss; stops the run where it is not finite."""
            nonlocal since, clips
            values = {name: float(value) for name, value in terms.items()}
            if not (math.isfinite(values["loss"]) and math.isfinite(values["grad_norm"])):
                good = checkpoints.latest_step
                where = f"step {good} in {checkpoints.folder / 'latest'}" if good is not None else "none yet"
                raise UserError(
                    f"the loss or its gradient is not finite at step {step} (loss {values['loss']}, gradient "
                    f"norm {values['grad_norm']}); last good checkpoint: {where}; try a lower "
                    "optim.learning_rate"
                )
            if step % config.log_every == 0:
                values["learning_rate"] = float(rate(step - 1))
                values["clips_per_second"] = clips / (time.monotonic() - since)
                since, clips = time.monotonic(), 0
                log.write(step, (step - 1) // plan.steps_per_epoch, values, prefix="train")
                shown.set_postfix(loss=f"{values['loss']:.3f}", refresh=False)
            return values["loss"]

        for step in range(done + 1, len(plan) + 1):
            seen = (step - 1) // plan.steps_per_epoch
            if config.patience and seen - 1 - progress["best_epoch"] >= config.patience:
                say(f"no better epoch in {config.patience}: stopped after epoch {seen}")
                break
            batch = next(data)
            clips += int(batch["mask"].sum())
            state, terms = step_fn(state, batch)
            shown.update()
            # The step before is looked at while this one runs: the device never waits for the host.
            if pending:
                record(*pending)
            pending = (step, terms)
            epoch, left = divmod(step, plan.steps_per_epoch)
            if left and step % config.checkpoint_every:
                continue
            # Looked at first: a broken state must never become the last good checkpoint.
            loss, pending = record(*pending), None
            if not left:
                predictions = _predict(config, model, state.params, valid_split, train_split, buckets)
                name, value = validation(config, corpus, predictions, valid_split.labels)
                log.write(step, epoch - 1, {f"valid_{name}": value}, prefix="valid")
                best = better(name, value, progress["best_value"])
                if best:
                    progress |= {"best_value": value, "best_epoch": epoch - 1}
                    checkpoints.save_best(step, state.params)
                note = " (best so far)" if best else ""
                say(f"epoch {epoch}/{config.epochs}  loss {loss:.4f}  valid {name} {value:.4f}{note}")
            progress |= {"data": data.get_state(), "seconds": before + time.monotonic() - started}
            checkpoints.save_latest(step, state, progress)
            since, clips = time.monotonic(), 0  # validation and checkpoints are no training time
    if progress["best_epoch"] < 0:
        raise UserError(
            f"no epoch had a finite validation value of {config.select}; try a lower optim.learning_rate"
        )
    return progress


def _predict(
    config: ConfigDict, model: Any, params: Any, valid: Split, training: Split, buckets: tuple[Lengths, ...]
) -> np.ndarray:
    return score(
        model,
        params,
        valid,
        training.statistics,
        buckets=buckets,
        batch_size=config.eval_batch_size,
        threads=config.data.threads,
    )
