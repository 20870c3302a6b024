"""Benchmark: what the program's steps, epochs and commands cost, beside the least that they could.

    python experiments/benchmark.py [--case NAME [--case NAME ...]] [--config NAME ...] [--markdown FILE]
    python experiments/benchmark.py --against torch [--torch=PYTHON] [--pairs=3] [--batch=16]
    python experiments/benchmark.py --against mmsa [--model NAME ...] [--steps=full] [--pairs=3]

One JSON line for each row, with the device, the versions and the commit, and at the end Markdown tables of
them, without what is nested in a line, printed or in FILE. Each case runs in a process of its own, without a
compilation cache; without --case and --config it is the first four:

    main_job     the whole command on the embedded corpus, from its start
    synthetic, mosi_buckets, mosi_padded
                 an epoch: of the embedded corpus, of MiniLM on MOSI's texts (--mosi) in length buckets, and
                 padded to 50 tokens; `mosi_speedup` is the ratio of the last two
    crosssent    CrossSent's Table 4: parameters, latency, throughput, memory, with and without GMRA
    finetune     a step of CrossSent with an encoder of BERT base's shape at batch 64 and 256
    growth       what a step costs as the batch and the length double
    devices      the same batch on 1, 2, 4 and 8 devices, those that there are, and without a mesh
    seeds        a step of one seed and of --seeds at once; whole commands: experiments/seeds.py
    start        how soon the first step of a command is logged that has been started before: of each shipped
                 config on the embedded corpus, and of MiniLM on MOSI's texts; the least of three starts
    idle         the share of some epochs that the device is idle, and its dearest kernels; on a GPU, without
                 XLA's command buffers, which a profile does not survive

With --config it is the train step of shipped configs (`all`, or names): compile time, step time, and the
floor by the device's measured matrix rate and bandwidth (experiments/floors.py). --precision says what the
encoder, and the model where it can, compute in. --against is explained in experiments/against_torch.py and
against_mmsa.py.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import report
from against_mmsa import STEPS

EPOCHS = ("main_job", "synthetic", "mosi_buckets", "mosi_padded")
CASES = (*EPOCHS, "crosssent", "finetune", "growth", "devices", "seeds", "start", "idle")
CONFIG = "config:"  # and the name of a shipped one: its train step


def rows_of(name: str, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rows of a case, computed in this process."""
    import epochs
    import floors
    import steps

    limits = json.loads(args.ceilings) if args.ceilings else None
    how = {"precision": args.precision}
    if name == "ceilings":
        yield floors.ceilings()
    elif name.startswith(CONFIG):
        config = name.removeprefix(CONFIG)
        made = steps.config_of(config, **how)
        yield {
            "config": config,
            **steps.measured(made, limits, rows=args.batch or made.batch_size, length=steps.LENGTH, **how),
        }
    elif name == "main_job":
        yield epochs.main_job()
    elif name in EPOCHS:
        yield _epoch(name, args)
    elif name == "crosssent":
        import crosssent_cost

        for adapter in (True, False):
            yield crosssent_cost.cost(args.precision, adapter=adapter)
    elif name == "finetune":
        for rows in (64, 256):
            made = steps.config_of("crosssent_mosi", **how)
            yield steps.measured(made, limits, rows=rows, length=steps.LENGTH, **how)
    elif name == "growth":
        for rows, length in ((16, 16), (32, 16), (64, 16), (16, 32), (16, 64)):
            made = steps.config_of("crosssent_mosi", **how, encoder=steps.MINILM, length=length)
            yield steps.measured(made, limits, rows=rows, length=length, **how)
    elif name == "devices":
        yield from _devices(args)
    elif name == "seeds":
        yield from _seeds(args)
    elif name == "start":
        for config in shipped():
            yield epochs.second_start(config, [f"--config=configs/{config}.py:synthetic"])
        yield epochs.second_start("MiniLM", [*epochs.MINILM, f"--config.data.path={args.mosi}"])
    elif name == "idle":
        large = {f"text.{key}": value for key, value in steps.BERT_BASE.items()}
        yield epochs.idle("mulg_mosi:synthetic", 6, {"batch_size": 128})
        yield epochs.idle("crosssent_mosi:synthetic", 5, {"batch_size": 64, **large})


def _epoch(name: str, args: argparse.Namespace) -> dict[str, Any]:
    import epochs

    with tempfile.TemporaryDirectory() as cache:
        common = [f"--config.data.cache={cache}"]
        if name == "synthetic":
            return epochs.epoch(["--config=configs/crosssent_mosi.py:synthetic", *common], padded=False)
        arguments = [
            *epochs.MINILM,
            f"--config.batch_size={args.batch or 16}",
            f"--config.data.path={args.mosi}",
            f"--config.data.buckets={args.buckets}",
        ]
        return epochs.epoch([*arguments, *common], padded=name == "mosi_padded")


def _devices(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import jax
    import steps

    rows, plain = args.batch or 64, None
    for count in (0, *(n for n in (1, 2, 4, 8) if n <= jax.device_count())):
        config = steps.config_of("crosssent_mosi", precision=args.precision, encoder=steps.MINILM)
        seconds = steps.on_devices(config, count, rows=rows, length=32)
        plain = plain or seconds
        yield {
            "devices": count or "no mesh",
            "batch_size": rows,
            "step_milliseconds": round(1e3 * seconds, 2),
            "times_without_mesh": round(seconds / plain, 3),
        }


def _seeds(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import steps

    for model in ("mulg", "tecafn", "amsgfn"):
        one = None
        for count in (1, args.seeds):
            config = steps.config_of(f"{model}_mosi", precision=args.precision)
            config.text.encoder = "features"
            rows = args.batch or config.batch_size
            seconds = steps.of_seeds(config, count, rows=rows, length=steps.LENGTH)
            one = one or seconds
            yield {
                "model": model,
                "seeds": count,
                "batch_size": rows,
                "step_milliseconds": round(1e3 * seconds, 2),
                "times_one": round(seconds / one, 2),
                "of_one_after_another": round(seconds / (one * count), 3),
            }


def shipped() -> list[str]:
    """The names of the shipped configs."""
    return sorted(path.stem for path in Path(__file__).parents[1].glob("configs/*_*.py"))


def about() -> dict[str, Any]:
    """The device, the versions and the commit of a line."""
    import jax

    git = ("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty")
    commit = subprocess.run(git, check=False, capture_output=True, text=True).stdout.strip()
    return {
        "device": jax.devices()[0].device_kind,
        "devices_there": jax.device_count(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "commit": commit or "unknown",
    }


def in_process(name: str, args: argparse.Namespace) -> None:
    """Prints the rows of a case."""
    if name == "idle":  # profiling with command buffers ended in a CUDA launch failure
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_enable_command_buffer="
    rows = rows_of(name, args)
    # JAX, which `about` asks, would take its share of the device that the commands of `start` are to have.
    for row in [*rows] if name == "start" else rows:
        if name in EPOCHS or name.startswith(CONFIG):  # of several rows each would have the largest before
            who = resource.RUSAGE_CHILDREN if name == "main_job" else resource.RUSAGE_SELF
            row["host_peak_mb"] = resource.getrusage(who).ru_maxrss // 1024
        print(json.dumps({"case": name, **row, **about()}), flush=True)


def lines_of(command: list[str], failed: list[str]) -> list[dict[str, Any]]:
    """The JSON lines that a process prints, passed on as they come; where it fails, `failed` says which."""
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in (line for line in process.stdout if line.startswith('{"case"')):
            print(line, end="", flush=True)
            found.append(json.loads(line))
    if process.returncode:
        failed.append(f"{command[-1]} ended with code {process.returncode}")
    return found


def _at_least_one(text: str) -> int:
    """A number of an option: argparse says that it is wrong, and of which option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mosi", type=Path, default=Path("../shared/data/mosi/mosi_text_labels.csv"))
    parser.add_argument("--case", action="append", help=f"of {', '.join(CASES)}; default: the first four")
    parser.add_argument("--config", nargs="+", default=[], help="shipped configs by name, or all")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    of_batch = "clips in a step, of --config, --against torch and the cases mosi_*, devices, seeds"
    parser.add_argument("--batch", type=_at_least_one, help=of_batch)
    parser.add_argument("--buckets", type=_at_least_one, default=4, help="length buckets of mosi_buckets")
    parser.add_argument("--seeds", type=_at_least_one, default=8, help="of the case seeds")
    parser.add_argument("--markdown", type=Path, help="a file for the tables; default: they are printed")
    parser.add_argument("--against", choices=("torch", "mmsa"), help="compare with others' programs")
    parser.add_argument("--model", nargs="+", help="of --against mmsa: models by name; all that MMSA has")
    parser.add_argument("--torch", default=sys.executable, help="a python that has torch and transformers")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="of --against mmsa")
    parser.add_argument("--pairs", type=_at_least_one, default=3)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ceilings", help=argparse.SUPPRESS)
    args = parser.parse_args()
    known = {*CASES, "ceilings"}
    if unknown := [case for case in args.case or () if case not in known and not case.startswith(CONFIG)]:
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if unknown := set(args.config) - {*shipped(), "all"}:
        parser.error(f"no config {', '.join(unknown)}; there are all, {', '.join(shipped())}")
    cases = set(args.case or (() if args.config else EPOCHS))
    if (args.against or cases & {"mosi_buckets", "mosi_padded", "start"}) and not args.mosi.is_file():
        parser.error(f"--mosi: there is no file {args.mosi}; name MOSI's texts, or other cases by --case")
    if args.against == "mmsa":
        import against_mmsa

        if args.batch:
            parser.error("--batch: --against mmsa has the published batch of each model")
        if why := against_mmsa.unfit(args.model):
            parser.error(f"--against mmsa: {why}")
    if args.against == "torch":
        import against_torch

        if not against_torch.can_train(args.torch):
            parser.error(f"--torch: {args.torch} is not a python that imports torch and transformers")
    if args.markdown and not args.markdown.absolute().parent.is_dir():
        parser.error(f"--markdown: there is no folder {args.markdown.parent}")
    return args


def main() -> None:
    """Runs the cases one after the other, each in its own process."""
    args = arguments()
    if args.here:
        in_process(args.case[0], args)
        return
    if args.against == "mmsa":
        import against_mmsa

        found = list(against_mmsa.rows(args.model, args.steps, args.pairs, args.mosi))
        if not found:
            raise SystemExit(f"--steps: none of these models is timed on {', '.join(args.steps)}")
        report.write(found, args.markdown)
        return
    if args.against:
        import against_torch

        ours = [sys.executable, __file__, "--here", "--case=mosi_buckets", f"--mosi={args.mosi}"]
        against_torch.compare(ours, args.mosi, args.torch, pairs=args.pairs, batch=args.batch or 16)
        return
    configs, failed = shipped() if args.config == ["all"] else args.config, []
    cases = args.case or (() if configs else EPOCHS)
    command = [sys.executable, __file__, "--here", *_handed_on(args)]
    rows = lines_of([*command, "--case=ceilings"], failed)
    if rows:
        limits = {key: rows[0][key] for key in ("tflops", "gb_per_second")}
        command.append(f"--ceilings={json.dumps(limits)}")
    for name in (*cases, *(CONFIG + config for config in configs)):
        rows += lines_of([*command, f"--case={name}"], failed)
    seconds = {row["case"]: row.get("epoch_seconds") for row in rows}
    if {"mosi_buckets", "mosi_padded"} <= set(seconds):
        ratio = round(seconds["mosi_padded"] / seconds["mosi_buckets"], 2)
        rows.append({"case": "mosi_speedup", "padded_over_buckets": ratio})
        print(json.dumps(rows[-1]))
    report.write(rows, args.markdown)
    if failed:
        raise SystemExit("\n".join(failed))


def _handed_on(args: argparse.Namespace) -> list[str]:
    """The options that a case's own process needs."""
    keys = ("mosi", "precision", "batch", "buckets", "seeds")
    return [f"--{key}={value}" for key in keys if (value := getattr(args, key)) is not None]


if __name__ == "__main__":
    main()
