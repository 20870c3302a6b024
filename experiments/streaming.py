"""Streaming of a corpus of CMU-MOSEI's size, unaligned, from the pickle to a training step, with its memory.

    python experiments/streaming.py [--folder=DIR] [--scale=1.0] [--steps=20] [--keep] [--parts=write,...]

Writes a pickle in MMSA's form with MOSEI's clips (16326 / 1871 / 4659, audio up to 500 x 74, vision up to
500 x 35, texts; random numbers, 5 GB at --scale=1), converts it, lets the input pipeline run alone, trains
MulG on it, and predicts all of its clips by a run that was trained on a few others. Each part runs in a
process of its own and prints one JSON line; the last compares them. At scale 1 the folder needs 8 GB.
"""

import argparse
import json
import pickle
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COUNTS = {"train": 16326, "valid": 1871, "test": 4659}
FRAMES, AUDIO, VISION, TOKENS = 500, 74, 35, 50
PARTS = ("write", "convert", "pipeline", "train", "run", "predict")
BATCHES = 100  # that the pipeline alone is timed over


def write(path: Path, scale: float) -> dict[str, object]:
    """The pickle: lengths differ tenfold within each modality, audio and vision of a clip go together."""
    import numpy as np

    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("aeioulmnrst"), 5)) for _ in range(2000)])
    content = {}
    for split, count in COUNTS.items():
        n = max(int(count * scale), 40)
        seconds = np.exp(rng.uniform(np.log(0.1), 0.0, n))  # of the longest clip
        arrays: dict[str, object] = {"id": [f"{split}{i // 5}$_${i % 5}" for i in range(n)]}
        for name, width in (("audio", AUDIO), ("vision", VISION)):
            lengths = np.clip(seconds * FRAMES * rng.uniform(0.8, 1.0, n), 1, FRAMES).astype(int)
            rows = rng.standard_normal((n, FRAMES, width), np.float32)
            for clip, length in zip(rows, lengths, strict=True):
                clip[length:] = 0
            arrays[name], arrays[f"{name}_lengths"] = rows, lengths.tolist()
        spoken = np.maximum(seconds * 40, 1).astype(int)
        arrays["raw_text"] = [" ".join(rng.choice(words, length)) for length in spoken]
        arrays["text_bert"] = rng.integers(0, 30000, (n, 3, TOKENS))
        arrays["regression_labels"] = np.clip(rng.normal(size=n), -3, 3).astype(np.float32)
        content[split] = arrays
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=5)
    return {"megabytes": path.stat().st_size // 2**20}


def config_of(path: Path, scale: float) -> object:
    """MulG as shipped for MOSEI, each modality on its own time line, the text through a small encoder."""
    from msa_jax import cli

    values = {
        "data.path": path,
        "data.cache": path.parent / "cache",
        "data.other_counts": scale != 1,
        "text.encoder": "scratch",
        "text.scratch.num_layers": 1,
    }
    return cli.parse(
        ["--config=configs/mulg_mosei.py", *(f"--config.{k}={v}" for k, v in values.items())]
    ).config


def convert(path: Path, scale: float) -> dict[str, object]:
    """The build, as the training command makes it at its first start."""
    from msa_jax.data import opening

    corpus = opening.open_corpus(config_of(path, scale))
    stored = sum(file.stat().st_size for file in corpus.folder.rglob("*") if file.is_file())
    return {"clips": sum(corpus.counts.values()), "stored_megabytes": stored // 2**20}


def prepared(config: object) -> tuple:
    """(pieces, plan): what stands before the first batch."""
    from msa_jax.assemble import assemble
    from msa_jax.data import opening
    from msa_jax.data.plan import BatchPlan

    pieces = assemble(config, opening.open_corpus(config))
    lengths = pieces.splits["train"].lengths
    return pieces, BatchPlan(lengths, pieces.preparation.buckets, config.batch_size, seed=0)


def pipeline(path: Path, scale: float) -> dict[str, object]:
    """Batches as fast as they come, in shuffled order, with nobody computing on them."""
    config = config_of(path, scale)
    started = time.perf_counter()
    pieces, plan = prepared(config)
    scanned = time.perf_counter() - started
    split, threads = pieces.splits["train"], config.data.threads
    iterator = pieces.preparation.batches(split, plan, threads=threads)
    next(iterator)
    started, clips = time.perf_counter(), 0
    for batch, _ in zip(iterator, range(BATCHES), strict=False):
        clips += int(batch["mask"].sum())
    return {
        "scan_seconds": round(scanned, 1),
        "clips_per_second": round(clips / (time.perf_counter() - started), 1),
        "buckets": plan.buckets,
        "padding": round(plan.padding(), 3),
        "padding_in_one_bucket": round(type(plan)(split.lengths, plan.buckets[-1:], 16).padding(), 3),
    }


def train(path: Path, scale: float, steps: int) -> dict[str, object]:
    """Scans, compiles every bucket, takes some steps and validates: what a run holds at its largest."""
    import jax
    import numpy as np

    from msa_jax import evaluate, parallel
    from msa_jax.data import opening
    from msa_jax.process import prepare_process
    from msa_jax.step import make_state, train_step

    config, layout = config_of(path, scale), parallel.layout()
    prepare_process(opening.cache_folder(config))
    pieces, plan = prepared(config)
    split, valid = pieces.splits["train"], pieces.splits["valid"]
    preparation, threads = pieces.preparation, config.data.threads
    state, _ = make_state(config, pieces, plan, layout)
    step = jax.jit(train_step, donate_argnums=0)
    compiled, seconds = {}, []
    for lengths in plan.buckets:
        fits = np.flatnonzero((split.lengths <= lengths).all(1))[:1]
        batch = split.batch(fits, lengths, config.batch_size, preparation.statistics)
        started = time.perf_counter()
        compiled[lengths] = step.lower(state, batch).compile()
        seconds.append(round(time.perf_counter() - started, 1))
    clips, busy = 0, 0.0
    for i, batch in enumerate(preparation.batches(split, plan, threads=threads)):
        started = time.perf_counter()
        lengths = tuple(batch[m].shape[1] for m in ("text", "audio", "vision"))
        state, terms = compiled[lengths](state, batch)
        jax.block_until_ready(terms)
        clips, busy = clips + int(batch["mask"].sum()), busy + time.perf_counter() - started
        if i + 1 == steps:
            break
    started = time.perf_counter()
    in_order = preparation.in_order(valid, batch_size=config.eval_batch_size, threads=threads)
    evaluate.score(pieces.model, {"params": state.params}, in_order, len(valid), layout)
    return {
        "compile_seconds": seconds,
        "clips_per_second": round(clips / busy, 1),
        "validation_seconds": round(time.perf_counter() - started, 1),
        "clips": len(split) + len(valid),
    }


def run(path: Path, scale: float) -> dict[str, object]:
    """A run that is trained on the fewest clips, for `predict`."""
    from msa_jax import train as training
    from msa_jax.config import base

    few = path.with_name("few.pkl")
    write(few, 0)
    config = config_of(few, 0)
    for key, value in (("epochs", 1), ("data.buckets", 1), ("data.other_counts", True)):
        base.set_key(config, key, value)
    training.train_and_evaluate(config, path.with_name("run"))
    few.unlink()
    return {}


def predict(path: Path, scale: float) -> dict[str, object]:
    """What `msa-jax predict` does with all clips of the pickle, and holds at its largest."""
    from msa_jax.main import main as command

    scores = path.with_name("scores.csv")
    asked = {"workdir": path.with_name("run"), "output": scores, "config.data.path": path}
    asked |= {"config.data.cache": path.parent / "cache"}
    if code := command(["--mode=predict", *(f"--{key}={value}" for key, value in asked.items())]):
        sys.exit(code)
    clips = len(scores.read_text().splitlines()) - 1
    return {"clips": clips, "pickle_megabytes": path.stat().st_size // 2**20}


def measured(part: str, path: Path, args: argparse.Namespace) -> dict[str, object]:
    """Runs a part in a process of its own and reads what it prints."""
    command = [sys.executable, __file__, f"--part={part}", f"--folder={path.parent}"]
    command += [f"--scale={args.scale}", f"--steps={args.steps}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    line = done.stdout.splitlines()[-1]
    print(line, flush=True)
    return json.loads(line)


def compared(parts: dict[str, dict[str, object]]) -> dict[str, object]:
    """What the parts say together, as far as they were asked for."""
    found: dict[str, object] = {}
    if {"write", "convert"} <= parts.keys():
        peak = parts["convert"]["peak_memory_mb"]
        found["conversion_peak_over_pickle"] = round(peak / parts["write"]["megabytes"], 2)
    if {"pipeline", "train"} <= parts.keys():
        speeds = (parts[part]["clips_per_second"] for part in ("pipeline", "train"))
        found["training_peak_mb"] = parts["train"]["peak_memory_mb"]
        found["pipeline_over_training"] = round(next(speeds) / next(speeds), 1)
    if "predict" in parts:
        peak, size = (parts["predict"][key] for key in ("peak_memory_mb", "pickle_megabytes"))
        found |= {"prediction_peak_mb": peak, "prediction_peak_over_pickle": round(peak / size, 2)}
    return found


def main() -> None:
    """All parts, or with --part the one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips")
    parser.add_argument("--steps", type=int, default=20, help="training steps to time")
    parser.add_argument("--keep", action="store_true", help="leave the files there")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of these; each needs those before it")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if unknown := {*args.parts.split(",")} - {*PARTS}:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    folder = args.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "unaligned_mosei.pkl"
    if args.part:
        more = (args.steps,) if args.part == "train" else ()
        started = time.perf_counter()
        found = globals()[args.part](path, args.scale, *more)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        wall = round(time.perf_counter() - started, 1)
        print(json.dumps({"part": args.part, **found, "seconds": wall, "peak_memory_mb": peak}))
        return
    try:
        parts = {part: measured(part, path, args) for part in args.parts.split(",")}
    finally:
        if not args.keep:
            for name in (path.name, "few.pkl", "scores.csv"):
                (folder / name).unlink(missing_ok=True)
            for name in ("cache", "run"):
                shutil.rmtree(folder / name, ignore_errors=True)
    print(json.dumps(compared(parts)))


if __name__ == "__main__":
    main()
