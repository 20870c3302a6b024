"""Packing of several clips into one row: the least that an epoch could take, beside what buckets take.

    python experiments/packing.py [--mosi FILE] [--batch 16]

Nothing in the package packs; this says beforehand what it could bring. An epoch of MiniLM on MOSI's texts has
its batches in four length buckets; for packing they are drawn without buckets, and each is packed first-fit,
longest clip first, into rows of 50 tokens. The step is timed at every shape that comes up so, and the epoch
is the sum over its batches. What keeps the clips of a row apart comes on top.
"""

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import epochs
import floors
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from msa_jax import cli, parallel
from msa_jax.assemble import Pieces, assemble
from msa_jax.data import opening
from msa_jax.data.plan import BatchPlan
from msa_jax.step import make_state, train_step

ROW = 50  # tokens of a row


def rows_of(lengths: Iterable[int], row: int) -> int:
    """How many rows of so many tokens hold clips of these lengths, packed first-fit, longest first.

    Raises:
      ValueError: when a clip is longer than a row.
    """
    free: list[int] = []
    for length in sorted(lengths, reverse=True):
        if length > row:
            raise ValueError(f"a clip of {length} tokens does not fit a row of {row}")
        for place, left in enumerate(free):
            if left >= length:
                free[place] -= length
                break
        else:
            free.append(row - length)
    return len(free)


def milliseconds(pieces: Pieces, config: ConfigDict, rows: int, length: int) -> float:
    """Of a training step of so many rows of so many tokens, on one device."""
    layout, split = parallel.layout(1), pieces.splits["train"]
    shape = (length,) * 3
    fits = np.flatnonzero((split.lengths <= shape).all(1))[:rows]
    batch = layout.batch(split.batch(fits, shape, rows, pieces.preparation.statistics))
    plan = BatchPlan(split.lengths[fits], (shape,), rows, epochs=config.epochs, seed=0)
    # A copy: the step takes its arrays over.
    own = dataclasses.replace(pieces, variables=jax.tree.map(jnp.copy, pieces.variables))
    state, _ = make_state(config, own, plan, layout)
    return 1e3 * floors.step_seconds(jax.jit(train_step, donate_argnums=0), state, batch)


def main() -> None:
    """Prints a line for each shape, and one of the epoch."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mosi", type=Path, default=Path("../shared/data/mosi/mosi_text_labels.csv"))
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    if not args.mosi.is_file():
        parser.error(f"--mosi: there is no file {args.mosi}")
    config = cli.parse(
        [*epochs.MINILM, f"--config.batch_size={args.batch}", f"--config.data.path={args.mosi}"]
    ).config
    pieces = assemble(config, opening.open_corpus(config))
    tokens = pieces.splits["train"].lengths
    in_buckets, packed = Counter(), Counter()
    for _, lengths in BatchPlan(tokens, pieces.preparation.buckets, args.batch, seed=0):
        in_buckets[args.batch, lengths[0]] += 1
    for rows, _ in BatchPlan(tokens, (tuple(tokens.max(0)),), args.batch, seed=0):
        packed[rows_of(tokens[rows, 0], ROW), ROW] += 1
    times = {}
    for rows, length in sorted({*in_buckets, *packed}):
        times[rows, length] = milliseconds(pieces, config, rows, length)
        line = {"rows": rows, "tokens": length, "step_milliseconds": round(times[rows, length], 1)}
        print(json.dumps(line | {"buckets": in_buckets[rows, length], "packed": packed[rows, length]}))
    found = {"real_tokens": int(tokens[:, 0].sum())}
    for name, counts in (("buckets", in_buckets), ("packed", packed)):
        found[f"{name}_tokens"] = sum(n * rows * length for (rows, length), n in counts.items())
        found[f"{name}_seconds"] = round(sum(n * times[shape] for shape, n in counts.items()) / 1e3, 2)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
