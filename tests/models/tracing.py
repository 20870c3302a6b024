"""Traces of what a config describes, made without data and without weights on disk."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from msa_jax import assemble, optim, parallel, step
from msa_jax import config as configs
from msa_jax.corpora import MODALITIES
from msa_jax.data.plan import BatchPlan
from msa_jax.data.synthetic import facts

ROWS, STEPS, TEXT_WIDTH, WIDTHS = 8, 12, 5, {"audio": 3, "vision": 2}


def config_of(name, *variants, **values):
    """The config of a model at its defaults, changed by variants and then by keys with __ for the dots.

    A pretrained encoder, which is not on disk, gives way to one from scratch. Where the model's own text is
    features it stays so, whatever the variants say: an encoder in front of each takes long to compile.
    """
    config = configs.base.config(name)
    features = config.text.encoder == "features"
    for variant in variants:
        configs.base.apply(config, variant)
    if features:
        config.text.encoder = "features"
    return without_weights(config, **values)


def without_weights(config, **values):
    """The config with an encoder that needs nothing from disk, and with few clips in a batch."""
    if config.text.encoder != "features":
        config.text.encoder = "scratch"
    config.batch_size = min(config.batch_size, ROWS)
    for key, value in values.items():
        configs.base.set_key(config, key.replace("__", "."), value)
    return config


def without_numbers(config):
    """The pieces of a run, with shapes in place of its parameters: nothing is compiled."""
    made = []

    def variables():
        made.append(assemble.without_data(config, WIDTHS, text_width=TEXT_WIDTH, length=STEPS))
        return made[0].variables

    shapes = jax.eval_shape(variables)
    return dataclasses.replace(made[0], variables=shapes)


def prepared(config):
    """(pieces, batch): every clip has the modalities that the config uses, on every step."""
    pieces = without_numbers(config)
    used = pieces.preparation.preprocessing.modalities
    B, rng = config.batch_size, np.random.default_rng(0)
    batch = pieces.preparation.blank_batch(rows=B, length=STEPS)
    for m in MODALITIES:  # the same clips whatever is used of them
        drawn = rng.normal(size=batch[m].shape) if batch[m].ndim > 2 else rng.integers(5, 20, batch[m].shape)
        batch[m] = (drawn if m in used else 0 * drawn).astype(batch[m].dtype)
        batch[f"{m}_mask"] = np.full((B, STEPS), m in used)
    rows = np.arange(B)
    tasks = facts(config.data.corpus).label_shape
    label = np.broadcast_to(rows.reshape(-1, *(1,) * len(tasks)) % 2, (B, *tasks)).astype(np.float32)
    if facts(config.data.corpus).by_modality:
        batch |= {f"label_{m}": label for m in MODALITIES}
    return pieces, {**batch, "label": label, "index": rows.astype(np.int32)}


def make_state(config, pieces):
    """The state before the first step."""
    lengths = (STEPS,) * 3
    plan = BatchPlan(np.full((100, 3), STEPS), (lengths,), config.batch_size, epochs=config.epochs, seed=0)
    return step.make_state(config, pieces, plan, parallel.layout())[0]


@dataclasses.dataclass
class Traced:
    """A config's model and loss; what is asked of it is computed once.

    Attributes:
      model, loss, batch: what is computed, and on what.
      variables: shapes of the parameters and of the other collections.
      terms: names of what a training step logs of the loss.
      optim: the config's section.
    """

    model: Any
    loss: Any
    batch: dict
    variables: Any
    terms: set
    optim: Any

    @property
    def shapes(self):
        """Those of the parameters."""
        return self.variables["params"]

    @functools.cached_property
    def program(self):
        """The training step's loss as a program, not compiled."""
        return _total.lower(self.model, self.loss, self.variables, self.batch).as_text()

    @functools.cached_property
    def optimiser(self):
        """One step of the optimiser as a program, not compiled."""
        params = self.shapes
        tx, _ = optim.make_optimizer(self.optim, params, total_steps=100)
        return jax.jit(tx.update).lower(params, jax.eval_shape(tx.init, params), params).as_text()

    @functools.cached_property
    def value(self):
        """The loss of a training step at the run's end, with parameters away from those of the start."""
        rng = np.random.default_rng(0)

        def draw(path, leaf):
            mean = 1.0 if path[-1].key == "scale" else 0.0
            return (mean + 0.3 * rng.normal(size=leaf.shape)).astype(leaf.dtype)

        return float(_total(self.model, self.loss, _map(draw, self.variables), self.batch)[0])


def _map(function, tree):
    return jax.tree_util.tree_map_with_path(function, tree)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _total(model, loss, variables, batch):
    dropout, sample, draw = jax.random.split(jax.random.key(0), 3)
    rngs = {"dropout": dropout, "sample": sample}
    others = [name for name in variables if name != "params"]
    outputs, _ = model.apply(variables, batch, train=True, rngs=rngs, mutable=others)
    return loss.objective(model, epochs=2, steps_per_epoch=1)(outputs, batch, step=2, key=draw)


def traced(config):
    """See `Traced`."""
    pieces, batch = prepared(config)
    model, loss, variables = pieces.model, pieces.loss, pieces.variables
    _, terms = jax.eval_shape(functools.partial(_total, model, loss), variables, batch)
    return Traced(model, loss, batch, variables, set(terms), config.optim)
