"""Step of the optimiser: the state that it changes, the pure function that does so, and the first state."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array
from ml_collections import ConfigDict

from msa_jax import optim
from msa_jax.assemble import Pieces
from msa_jax.data.plan import BatchPlan
from msa_jax.errors import UserError
from msa_jax.losses import Objective
from msa_jax.parallel import Layout
from msa_jax.used_rows import UsedRows


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
      whole: the parameters as they are computed with, see `Layout.whole`.
      parts: that a batch is computed in, one after the other.
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
    whole: Callable[[Any], Any] = flax.struct.field(pytree_node=False)
    parts: int = flax.struct.field(pytree_node=False)


def split_frozen(params: Mapping[str, Any], frozen: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(parameters that are trained, those of the frozen parts)."""
    parts: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name, part in params.items():
        parts[name in frozen][name] = part
    return parts


def train_step(
    state: TrainState, batch: dict[str, Array], rows: UsedRows | None = None
) -> tuple[TrainState, dict[str, Array]]:
    """One optimiser step.

    Args:
      state: before the step.
      batch: as `Split.batch` makes it.
      rows: of the word embedding, where no others need be computed.

    Returns:
      The state after it, and scalars: `loss`, each term unweighted, `grad_norm` before the clip.
    """
    (loss, (terms, changed)), grads = gradient(state, batch, rows)
    whole = split_frozen(state.params, state.frozen)[0], state.opt_state
    trained, opt_state = whole if rows is None else rows.of(whole)
    updates, opt_state = state.tx.update(grads, opt_state, trained)
    after = optax.apply_updates(trained, updates), opt_state
    trained, opt_state = after if rows is None else rows.back(after, whole)
    params = {**state.params, **trained}
    terms = {"loss": loss, **terms, "grad_norm": optax.tree.norm(grads)}
    collections = {**state.collections, **changed}
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state, collections=collections)
    return state, terms


def gradient(
    state: TrainState, batch: dict[str, Array], rows: UsedRows | None = None
) -> tuple[tuple[Array, tuple[dict[str, Array], dict[str, Any]]], Any]:
    """The loss of a batch with dropout, and its gradient.

    Args:
      state, batch, rows: as for `train_step`.

    Returns:
      ((loss, (unweighted terms, the collections after the step)), the gradient of the trained parameters).
    """
    dropout_key, loss_key = jax.random.split(jax.random.fold_in(state.key, state.step))
    rngs = {"dropout": dropout_key, "sample": jax.random.fold_in(dropout_key, 1)}

    def loss_fn(trained: Any) -> tuple[Array, tuple[dict[str, Array], dict[str, Any]]]:
        of_model, used = state, {}
        if rows is not None:
            used, trained = rows.variables(trained), rows.whole(trained, state.params)
            apply = state.apply_fn
            of_model = state.replace(
                apply_fn=lambda v, *args, **kwargs: apply({**v, **used}, *args, **kwargs)
            )
        outputs, changed = _forward(of_model, state.whole({**state.params, **trained}), batch, rngs)
        loss, terms = state.objective(outputs, batch, step=state.step, key=loss_key)
        return loss, (terms, changed)

    # What is frozen has no gradient: it would count in the norm that the others are clipped by.
    trained = split_frozen(state.params, state.frozen)[0]
    trained = trained if rows is None else rows.of(trained)
    return jax.value_and_grad(loss_fn, has_aux=True)(trained)


def _forward(
    state: TrainState, params: Any, batch: dict[str, Array], rngs: dict[str, Array]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """The model's outputs for the whole batch, in parts where the state says so, and its collections.

    The parts' outputs are put together before the loss sees them, so that one that compares clips compares
    all of the batch; nothing else of a part is kept, and the backward pass computes it again (as GradCache of
    Gao et al. 2021 does).
    """
    if state.parts == 1:
        return _apply(state, params, batch, rngs)

    # Rows k, k + parts, ...: each device has rows of every part.
    def split(x: Array) -> Array:
        return x.reshape(-1, state.parts, *x.shape[1:]).swapaxes(0, 1)

    def one(
        collections: dict[str, Any], part: tuple[Array, dict[str, Array]]
    ) -> tuple[Any, dict[str, Array]]:
        k, rows = part
        keys = {name: jax.random.fold_in(key, k) for name, key in rngs.items()}
        outputs, after = _apply(state.replace(collections=collections), params, rows, keys)
        return {**collections, **after}, {name: outputs[name] for name in of_clips}

    parts = jnp.arange(state.parts), {name: split(x) for name, x in batch.items()}
    of_clips = _of_clips(state, params, {name: x[0] for name, x in parts[1].items()}, rngs)
    changed, outputs = jax.lax.scan(jax.checkpoint(one), state.collections, parts)
    return {n: v.swapaxes(0, 1).reshape(-1, *v.shape[2:]) for n, v in outputs.items()}, changed


def _of_clips(state: TrainState, params: Any, batch: dict[str, Array], rngs: dict[str, Array]) -> list[str]:
    """The outputs whose first axis, and no other, counts the clips, told by the shapes for two sizes.

    Raises:
      UserError: when the one that the task judges is not among them.
    """

    def shapes(clips: int) -> dict[str, tuple[int, ...]]:
        sized = {k: jax.ShapeDtypeStruct((clips, *x.shape[1:]), x.dtype) for k, x in batch.items()}
        found = jax.eval_shape(lambda rows: _apply(state, params, rows, rngs)[0], sized)
        return {name: x.shape for name, x in found.items()}

    clips = len(batch["mask"])
    one, other = shapes(clips), shapes(clips + 1)
    found = [n for n, s in one.items() if s[:1] == (clips,) and other[n] == (clips + 1, *s[1:])]
    if state.objective.output not in found:
        raise UserError(f"--config.parts: the model's output {state.objective.output!r} is not one of clips")
    return found


def _apply(
    state: TrainState, params: Any, batch: dict[str, Array], rngs: dict[str, Array]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """The model's outputs, and its collections after the step.

    Raises:
      UserError: when a collection is made or grows in a step: each step would be another program.
    """
    before = state.collections
    try:
        variables = {"params": params, **before}
        outputs, after = state.apply_fn(variables, batch, train=True, rngs=rngs, mutable=list(before))
    except (flax.errors.ScopeCollectionNotFound, flax.errors.ScopeParamNotFoundError) as e:
        what = "collection" if isinstance(e, flax.errors.ScopeCollectionNotFound) else "parameter"
        raise UserError(
            f"the model makes a {what} in training alone ({str(e).splitlines()[0]}); make it with "
            "train=False too"
        ) from None
    except flax.errors.InvalidRngError as e:
        raise UserError(
            f"the model draws from a random stream that a step does not have ({str(e).splitlines()[0]}); "
            f"there are: {', '.join(rngs)}"
        ) from None
    for name, collection in after.items():
        was, now = (jax.tree.map(lambda x: (x.shape, x.dtype), c) for c in (before[name], collection))
        if was != now:
            raise UserError(
                f"the model's collection {name!r} changes its shape or type in a step; keep it by "
                "self.variable, or sow into 'intermediates'"
            )
    return outputs, after


def make_state(
    config: ConfigDict, pieces: Pieces, plan: BatchPlan, layout: Layout
) -> tuple[TrainState, optax.Schedule]:
    """(state, learning-rate schedule) of one run at its start, on the devices; arguments as for `starter`."""
    start, rate = starter(config, pieces, plan, layout)
    return layout.state(start(pieces.variables, config.seed)), rate


def starter(
    config: ConfigDict, pieces: Pieces, plan: BatchPlan, layout: Layout
) -> tuple[Callable[[Mapping[str, Any], int], TrainState], optax.Schedule]:
    """Makes the function that gives each seed of a run its first state: by one program, with one optimiser.

    Args:
      config: `epochs`, `parts`, `optim`, `text.frozen`.
      pieces: model and loss, and variables for their shapes.
      plan: the batches of the whole run.
      layout: of the devices that the state is going to lie on.

    Returns:
      (a function from the variables of a seed, and the seed, to its state; the learning-rate schedule).
    """
    frozen = ("encoder",) if config.text.frozen else ()
    trained = split_frozen(pieces.variables["params"], frozen)[0]
    tx, rate = optim.make_optimizer(config.optim, trained, total_steps=len(plan))
    init_optimiser = jax.jit(tx.init)
    objective = pieces.loss.objective(
        pieces.model, epochs=config.epochs, steps_per_epoch=plan.steps_per_epoch
    )

    def start(variables: Mapping[str, Any], seed: int) -> TrainState:
        collections = dict(variables)
        params = collections.pop("params")
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=init_optimiser(split_frozen(params, frozen)[0]),
            collections=collections,
            key=jax.random.key(seed + 1),
            apply_fn=pieces.model.apply,
            tx=tx,
            objective=objective,
            frozen=frozen,
            whole=layout.whole,
            parts=config.parts,
        )

    return start, rate
