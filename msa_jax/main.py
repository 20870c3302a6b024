"""Main command: `python -m msa_jax.main --help`."""

import re
import sys

import msa_jax
from msa_jax import stopping
from msa_jax.errors import exit_code


def main(argv: list[str]) -> int:
    """Runs the command line.

    Returns:
      The exit code: 0, 1 where nobody reads the output any more, 2 for what the user can mend, 130 after
      Ctrl-C, 143 after SIGTERM.
    """
    # Told before the flags are read, as that may be what is interrupted.
    scores = re.search(r"--?mode[= ](eval|predict)\b", " ".join(argv))
    again = "begins anew" if scores else "resumes"
    return exit_code(lambda: _orderly(argv), interrupted=f"interrupted; the same command again {again}")


def _orderly(argv: list[str]) -> None:
    with stopping.orderly(process=True):
        _run(argv)


def _run(argv: list[str]) -> None:
    # Late: signals are handled by now, and the imports take seconds.
    from msa_jax import cli, machine, progress, watch

    shown = cli.help_wanted(argv)
    if shown is not None:
        print(shown, flush=True)
        return
    group = cli.group(argv)
    if group is not None:
        machine.check_flags()
    with watch.joined(group, _same_in_all(argv)):
        if group is not None and group.process:
            progress.mute()
        machine.check()
        if group is not None:
            progress.say(machine.introduce(group))
        _do(argv)


def _same_in_all(argv: list[str]) -> dict[str, list[str]]:
    """What several processes must have in common."""
    own = [k for k, argument in enumerate(argv) if re.fullmatch("--?process(=.*)?", argument)]
    own += [k + 1 for k in own if "=" not in argv[k]]
    command = [argument for k, argument in enumerate(argv) if k not in own]
    return {"the version of msa_jax": [msa_jax.__version__], "the command": command}


def _do(argv: list[str]) -> None:
    from msa_jax import cli

    command = cli.parse(argv)
    stopping.check()
    # Later: --help and a typo are answered at once, and these imports take the longest of a start.
    from msa_jax import scoring, train
    from msa_jax.data import opening
    from msa_jax.identity import PLACES
    from msa_jax.process import prepare_process

    stopping.check()
    prepare_process(opening.cache_folder(command.config))
    what = (command.config, command.workdir, command.output)
    own = [key for key in PLACES if not command.says(key)]  # then the run names the place
    if command.mode == "train":
        if not opening.has_data(command.config):
            command = command.on_made_data()
        train.train_and_evaluate(command.config, command.workdir)
    elif command.mode == "eval":
        said = command.says("data.corpus")
        scoring.evaluate_run(*what, own=own, corpus_said=said)
    else:
        scoring.predict_file(*what, own=own)


if __name__ == "__main__":
    stopping.leave(lambda: main(sys.argv[1:]))
