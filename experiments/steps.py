"""Steps of training on clips that are drawn at random: what one costs, alone, on several devices, of seeds.

Where a config names a pretrained encoder, one of BERT base's layers stands in for it, with hardly any
vocabulary, as a training goes over the rows of the word embedding alone that its texts use.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import floors
import jax
import numpy as np
from ml_collections import ConfigDict

from msa_jax import cli, parallel
from msa_jax.assemble import Pieces, count_parameters, without_data
from msa_jax.corpora import MODALITIES
from msa_jax.data.plan import BatchPlan
from msa_jax.data.synthetic import facts
from msa_jax.parallel import Layout
from msa_jax.step import make_state, train_step
from msa_jax.together import Together

LENGTH = 50  # steps of each modality, as CrossSent's program pads to
WIDTHS = {"audio": 74, "vision": 47}  # of CMU-MOSI's usual features
TEXT_WIDTH = 300  # of word vectors
BERT_BASE = {
    "encoder": "scratch",
    "scratch.hidden_size": 768,
    "scratch.num_layers": 12,
    "scratch.num_heads": 12,
    "scratch.intermediate_size": 3072,
}
MINILM = BERT_BASE | {
    "scratch.hidden_size": 384,
    "scratch.num_layers": 6,
    "scratch.intermediate_size": 1536,
}
_PRECISIONS = ("text.dtype", "model.dtype")


def config_of(
    name: str, *, precision: str = "float32", encoder: Mapping[str, Any] = BERT_BASE, length: int = LENGTH
) -> ConfigDict:
    """A shipped config with an encoder that needs nothing from disk.

    Args:
      name: such as "tecafn_mosi".
      precision: compute type of the encoder and of the model, where that has one.
      encoder: keys of `text` that stand in for a pretrained encoder.
      length: steps that the text may have.
    """
    argument = f"--config={Path(__file__).parents[1] / 'configs' / name}.py"
    config = cli.parse([argument]).config
    keys = (
        {} if config.text.encoder in ("scratch", "features") else {f"text.{k}": v for k, v in encoder.items()}
    )
    if length > config.text.max_length:
        keys |= {"text.max_length": length, "text.max_content": length - 2}
        keys |= {"model.gmra.max_length": length} if "gmra" in config.model else {}
    keys |= {key: precision for key in _PRECISIONS if key == "text.dtype" or "dtype" in config.model}
    return cli.parse([argument, *(f"--config.{k}={v}" for k, v in keys.items())]).config


def pieces_of(config: ConfigDict, length: int = LENGTH) -> Pieces:
    """The pieces of a run with random features of the usual widths."""
    return without_data(config, WIDTHS, text_width=TEXT_WIDTH, length=length)


def random_batch(config: ConfigDict, pieces: Pieces, rows: int, length: int) -> dict[str, np.ndarray]:
    """A batch in which every clip has every modality on every step."""
    rng = np.random.default_rng(0)
    batch = pieces.preparation.blank_batch(rows=rows, length=length)
    for m in MODALITIES:
        shape = batch[m].shape
        words = pieces.preparation.tokenizer.vocab_size if m == "text" and len(shape) == 2 else 0
        drawn = rng.integers(0, words, shape) if words else rng.normal(size=shape)
        batch[m] = drawn.astype(batch[m].dtype)
        batch[f"{m}_mask"] = np.ones((rows, length), bool)
    of_corpus = facts(config.data.corpus)
    shape = (rows, *of_corpus.label_shape)
    labels = rng.integers(0, 2, shape) if of_corpus.outputs else rng.uniform(-3, 3, shape)
    batch |= {"label": labels.astype(np.float32), "index": np.arange(rows, dtype=np.int32)}
    if of_corpus.by_modality:
        batch |= {f"label_{m}": batch["label"] for m in MODALITIES}
    return batch


def plan_of(config: ConfigDict, rows: int, length: int) -> BatchPlan:
    """A plan of one batch in an epoch."""
    return BatchPlan(np.full((rows, 3), length), ((length,) * 3,), rows, epochs=config.epochs, seed=0)


def measured(
    config: ConfigDict, limits: Mapping[str, Any] | None, *, rows: int, length: int, precision: str
) -> dict[str, Any]:
    """One step of a config on one device: how long it takes to trace, to compile and to run, and its floor.

    Args:
      config: from `config_of`.
      limits: what `floors.ceilings` gives; None leaves the floor out.
      rows: B.
      length: steps of each modality.
      precision: that the config computes in.
    """
    config.batch_size = rows
    pieces = pieces_of(config, length)
    layout = parallel.layout(1)
    state, _ = make_state(config, pieces, plan_of(config, rows, length), layout)
    batch = layout.batch(random_batch(config, pieces, rows, length))
    operations = floors.product_operations(train_step, state, batch)
    parameters = count_parameters(state.params)
    started = time.perf_counter()
    lowered = jax.jit(train_step, donate_argnums=0).lower(state, batch)
    traced = time.perf_counter()
    step = lowered.compile()
    compiled = time.perf_counter()
    sizes = floors.held_bytes(step)
    seconds = floors.step_seconds(step, state, batch)
    out = {
        "batch_size": rows,
        "length": length,
        "precision": precision,
        "parameters": parameters,
        "trace_seconds": round(traced - started, 1),
        "compile_seconds": round(compiled - traced, 1),
        "step_milliseconds": round(1e3 * seconds, 2),
        "clips_per_second": round(rows / seconds, 1),
        "gflop": round(operations / 1e9, 2),
        "program_memory_mb": sizes["peak"] >> 20,
    }
    if limits is None:
        return out
    return out | floors.against_floor(seconds, operations, sizes["moved"], limits, precision)


def of_seeds(config: ConfigDict, seeds: int, *, rows: int, length: int) -> float:
    """Seconds of a step of several seeds at once, on one device; with one it is that of a run."""
    config.batch_size = rows
    pieces = pieces_of(config, length)
    layout = parallel.layout(1)
    together = Together(seeds, pieces.shared, layout.for_seeds(seeds))
    plan = plan_of(config, rows, length)
    state = together.state(
        [make_state(config, pieces.of_seed(seed), plan, together.layout)[0] for seed in range(seeds)]
    )
    step = jax.jit(together.step(train_step, state), donate_argnums=0)
    batch = together.layout.batch(random_batch(config, pieces, rows, length))
    return floors.step_seconds(step, state, batch)


def on_devices(config: ConfigDict, devices: int, *, rows: int, length: int) -> float:
    """Seconds of a step whose batch is split over so many devices; 0: a plain jit, without a mesh."""
    config.batch_size = rows
    pieces = pieces_of(config, length)
    layout: Layout = parallel.layout(devices or 1)
    state, _ = make_state(config, pieces, plan_of(config, rows, length), layout)
    batch = random_batch(config, pieces, rows, length)
    if not devices:
        state, batch = jax.device_put((state, batch), jax.devices()[0])
        return floors.step_seconds(jax.jit(train_step, donate_argnums=0), state, batch)
    places = jax.tree.map(lambda x: x.sharding, state)
    step = jax.jit(train_step, donate_argnums=0, out_shardings=(places, layout.repeated))
    return floors.step_seconds(step, state, layout.batch(batch))
