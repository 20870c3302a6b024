"""Start of a job that opens a run: processor seconds of its parts, the least of several processes.

    python experiments/start.py RUN [--times 5]

`imports` are those of `eval` and `predict`; `seals` compares the files of the run and of its best checkpoint
(`megabytes`) with their hashes; `load` is `msa_jax.load`, the seals with it. One JSON line.
"""

import argparse
import json
import subprocess
import sys

_PROGRAM = """
import json, sys, time
from pathlib import Path
start = time.process_time()
import jax
from msa_jax import run, scoring, seals, workdir
jax.devices()
imported = time.process_time()
folder = Path(sys.argv[1])
best = folder / "checkpoints" / "best" / str(workdir.best_step(folder))
workdir.check(folder)
seals.check(best, mend="")
compared = time.process_time()
run.load(folder)
files = [p for p in best.rglob("*") if p.is_file()]
found = {"imports": imported - start, "seals": compared - imported, "load": time.process_time() - compared}
print(json.dumps({**found, "megabytes": sum(p.stat().st_size for p in files) / 1e6}))
"""


def main(folder: str, times: int) -> None:
    """Prints the line."""
    found = []
    for _ in range(times):
        command = [sys.executable, "-c", _PROGRAM, folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    print(json.dumps({key: round(min(one[key] for one in found), 4) for key in found[0]}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="RUN", help="the folder of a finished run")
    parser.add_argument("--times", type=int, default=5, help="processes")
    arguments = parser.parse_args()
    main(arguments.folder, arguments.times)
