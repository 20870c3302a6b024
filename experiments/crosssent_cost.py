"""Cost of CrossSent, the paper's Table 4: parameters, latency, throughput and memory, with and without GMRA.

Forward only, at 50 tokens, with an encoder of RoBERTa base's shape and vocabulary; 20 passes first, then 50
that are timed, each waited for.
"""

import statistics
from typing import Any

import floors
import jax
import jax.numpy as jnp
import numpy as np

from msa_jax import evaluate
from msa_jax.assemble import count_parameters
from msa_jax.models.crosssent import GMRA, CrossSent
from msa_jax.text import Encoder, EncoderConfig

ROBERTA_BASE = EncoderConfig(
    family="roberta",
    vocab_size=50265,
    hidden_size=768,
    num_layers=12,
    num_heads=12,
    intermediate_size=3072,
    max_positions=514,
    type_vocab_size=1,
    layer_norm_eps=1e-5,
    pad_id=1,
)
LENGTH, AUDIO, VISION = 50, 74, 47
WARM, TIMED = 20, 50


def batch_of(rows: int) -> dict[str, jax.Array]:
    """Random clips in which every token has audio and vision."""
    rng = np.random.default_rng(0)
    batch = {
        "text": rng.integers(4, ROBERTA_BASE.vocab_size, (rows, LENGTH)).astype(np.int32),
        "audio": rng.normal(size=(rows, LENGTH, AUDIO)).astype(np.float32),
        "vision": rng.normal(size=(rows, LENGTH, VISION)).astype(np.float32),
    }
    batch |= {f"{m}_mask": np.ones((rows, LENGTH), bool) for m in ("text", "audio", "vision")}
    return jax.device_put(batch)


def cost(precision: str, *, adapter: bool) -> dict[str, Any]:
    """The row of the table, for one precision of the encoder."""
    encoder = Encoder(ROBERTA_BASE, dtype=jnp.dtype(precision))
    model = CrossSent(encoder, gmra=GMRA() if adapter else None)
    variables = jax.jit(lambda key: model.init(key, batch_of(1), train=False))(jax.random.key(0))
    found: dict[str, Any] = {"gmra": adapter, "precision": precision}
    found["parameters"] = count_parameters(variables["params"])
    for rows in (1, 64):
        batch = batch_of(rows)
        program = evaluate.forward.lower(model, variables, batch).compile()
        middle = statistics.median(floors.seconds(program, variables, batch, warm=WARM, runs=TIMED))
        if rows == 1:
            found["latency_milliseconds"] = round(1e3 * middle, 2)
        else:
            found["clips_per_second"] = round(rows / middle, 1)
            found["program_memory_mb"] = floors.held_bytes(program)["peak"] >> 20
    return found
