"""Entry point of `python -m msa_jax.data FILE`, which tells what a feature file is."""

import sys

from msa_jax import stopping
from msa_jax.inspect.command import main

if __name__ == "__main__":
    stopping.leave(lambda: main(sys.argv[1:]))
