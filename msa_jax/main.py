"""Main command: `python -m msa_jax.main --help`."""

import sys

from msa_jax import cli
from msa_jax.errors import exit_code


def main(argv: list[str]) -> int:
    """Runs the command line; returns the exit code: 0, or 2 for what the user can mend."""
    return exit_code(lambda: _run(argv), interrupted="interrupted; the same command again resumes")


def _run(argv: list[str]) -> None:
    shown = cli.help_wanted(argv)
    if shown is not None:
        print(shown, flush=True)
        return
    command = cli.parse(argv)
    # Imported late: --help and a typo are answered at once.
    from msa_jax import scoring, train
    from msa_jax.data import opening
    from msa_jax.parallel import prepare_process

    prepare_process(opening.cache_folder(command.config))
    if command.mode == "train":
        if not opening.has_data(command.config):
            command = command.on_made_data()
        train.train_and_evaluate(command.config, command.workdir)
    elif command.mode == "eval":
        said = command.says("data.corpus")
        scoring.evaluate_run(command.config, command.workdir, command.output, corpus_said=said)
    else:
        scoring.predict_file(command.config, command.workdir, command.output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
