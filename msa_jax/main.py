"""The command: `python -m msa_jax.main --help`."""

import sys

from msa_jax import cli
from msa_jax.errors import UserError


def main(argv: list[str]) -> int:
    """Runs the command line; returns the exit code: 0, or 2 for what the user can mend."""
    try:
        command = cli.parse(argv)
        if command is None:
            print(cli.help_text())
            return 0
        # Imported late: --help and a typo are answered at once.
        from msa_jax import run

        run.prepare_process(command.config)
        if command.mode == "train":
            command = run.with_data(command)
            run.train_and_evaluate(command.config, command.workdir)
        elif command.mode == "eval":
            run.evaluate_run(command.config, command.workdir)
        else:
            run.predict_file(command.config, command.workdir, command.output)
    except UserError as e:
        print(f"msa_jax: {e}", file=sys.stderr)
        return 2
    except OSError as e:  # a folder that cannot be written, a full disk
        print(f"msa_jax: {e.filename or 'input/output'}: {e.strerror or e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("msa_jax: interrupted; the same command again resumes", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
