"""Seeds: the time of several that are trained at once, and of as many runs one after the other.

    python experiments/seeds.py [CONFIG ...] [--seeds 8] [--epochs 3]

CONFIG is that of the embedded corpus, by default mulg_mosi:synthetic. Each way has a cache of its own, which
is empty at first, so that compiling counts in both: of the runs one after the other all but the first find
what it has compiled. One JSON line a config: seconds of the whole commands.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(config: str, folder: Path, cache: Path, *more: str) -> float:
    """Seconds of a training."""
    arguments = [f"--config={config}", f"--workdir={folder}", f"--config.data.cache={cache}", *more]
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "msa_jax.main", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def compare(config: str, seeds: int, epochs: int) -> dict[str, object]:
    """The seconds of both ways, and their ratio."""
    with tempfile.TemporaryDirectory() as place:
        root, numbers = Path(place), range(seeds)
        length = f"--config.epochs={epochs}"
        every = ",".join(map(str, numbers))
        together = command(config, root / "together", root / "one", length, f"--config.seeds={every}")
        alone = [
            command(
                config,
                root / f"alone_{seed}",
                root / "two",
                length,
                f"--config.seed={seed}",
                "--config.data.seed=0",
            )
            for seed in numbers
        ]
    return {
        "config": config,
        "seeds": seeds,
        "epochs": epochs,
        "together_seconds": round(together, 1),
        "alone_seconds": [round(seconds, 1) for seconds in alone],
        "ratio": round(together / sum(alone), 2),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="*", metavar="CONFIG", default=["mulg_mosi:synthetic"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    for name in arguments.configs:
        print(json.dumps(compare(name, arguments.seeds, arguments.epochs)), flush=True)
