"""Console script `msa-jax`: train, eval, predict and data in one command."""

import sys
from collections.abc import Sequence
from typing import NoReturn

import msa_jax
from msa_jax import stopping
from msa_jax.errors import UserError, exit_code, nearest

USAGE = """\
usage: msa-jax train --config=NAME[:VARIANT...] [--workdir=DIR] [--config.KEY=VALUE ...]
       msa-jax eval --workdir=DIR [--config.data.path=PATH] [--config.data.KEY=VALUE]
       msa-jax predict --workdir=DIR --config.data.path=FILE [--output=CSV]
       msa-jax data FILE

train    trains, selects the best epoch on validation data and tests once; the same command again resumes
eval     scores a finished run on a labelled corpus
predict  scores clips without labels
data     tells what a feature file is, and the command that trains on it
help     shows this; with one of the others after it, what that one takes
version  prints the version, as --version and -V do

msa-jax help train lists flags, configs and variants, msa-jax help keys every key.
"""
_MODES = ("train", "eval", "predict")
_HELP = ("help", "--help", "-h")
_VERSION = ("version", "--version", "-V")


def run_process() -> NoReturn:
    """Runs the command line of the process, and ends it with the exit code."""
    stopping.leave(main)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
      argv: the arguments, without the program's name; None: those of the process.

    Returns:
      The exit code, as `msa_jax.main.main` gives it.
    """
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["help"]
    if command in _HELP and rest and rest[0] in (*_VERSION, *_HELP):  # help version, help help
        command, rest = rest[0], []
    if command in _VERSION:  # whatever stands behind it, as in other programs
        print(f"msa_jax {msa_jax.__version__}")
        return 0
    if command in _HELP and not rest:
        print(USAGE, end="")
        return 0
    if command in _HELP and rest[0] in (*_MODES, "data"):
        command, rest = rest[0], ["--help"]
    if command == "data":
        from msa_jax.inspect.command import main as inspect

        return inspect(rest, prog="msa-jax data")
    if command == "help" and rest[0].lower() != "keys":
        return exit_code(lambda: _refuse(rest[0]), interrupted="interrupted")
    from msa_jax.main import main as run

    if command in (*_HELP, "--help=keys"):
        return run(["--help" if command == "help" else command, *rest])
    if command in _MODES and not any(a.split("=")[0] in ("--mode", "-mode") for a in rest):
        return run([f"--mode={command}", *rest])
    return exit_code(lambda: _refuse(command), interrupted="interrupted")


def _refuse(command: str) -> None:
    if command in _MODES:
        raise UserError(f"msa-jax {command} says what to do; leave --mode out")
    if command.startswith("-"):
        raise UserError(f"msa-jax {command}: say first what to do, as in msa-jax train {command}")
    names = (*_MODES, "data", "help", "version")
    raise UserError(f"msa-jax has no command {command!r}; {nearest(command, names)}")
