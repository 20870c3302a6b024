"""Several commands in one process, for tests that ask about each: a start of Python takes seconds.

    python -m tests.many_commands '{"eval": ["--mode=eval", "--workdir=run"], ...}'

Prints, as JSON, the code and what was written to stdout and to stderr for each. The name "table"
stands for experiments/models_embedded.py, which trains one of its rows, briefly, and shows it in all.
"""

import contextlib
import dataclasses
import io
import json
import sys
from pathlib import Path

from msa_jax import cli
from msa_jax.data import synthetic
from msa_jax.main import main

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
BRIEF = {"epochs": 1, "text.scratch.num_layers": 1, "text.scratch.hidden_size": 16}


def embedded_table(argv: list[str]) -> int:
    """experiments/models_embedded.py on a few clips, with the training of the row `no_near` only."""
    sys.path.insert(0, str(EXPERIMENTS))
    import models_embedded
    import table

    few = dataclasses.replace(synthetic.PRESETS["synthetic_short"], counts=(24, 8, 8))
    synthetic.PRESETS["synthetic_short"] = few

    def train_one(runs, jobs, seeds, *, workers):
        for config, overrides in jobs.values():  # every row is a config that the command takes
            cli.parse([f"--config={config}", *(f"--config.{k}={v}" for k, v in overrides.items())])
        config, overrides = jobs["no_near"]
        _, results = table.train(runs / "no_near", config, {**overrides, **BRIEF})
        return {name: [results] * len(seeds) for name in jobs}

    models_embedded.train_all = train_one
    sys.argv = ["models_embedded.py", *argv]
    models_embedded.main()
    return 0


if __name__ == "__main__":
    done = {}
    for name, argv in json.loads(sys.argv[1]).items():
        with (
            contextlib.redirect_stdout(io.StringIO()) as out,
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            code = embedded_table(argv) if name == "table" else main(argv)
        done[name] = [code, out.getvalue(), err.getvalue()]
    print(json.dumps(done))
