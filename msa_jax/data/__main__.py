"""Entry point of `python -m msa_jax.data FILE`, which tells what a feature file is."""

import sys

from msa_jax.inspect.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
