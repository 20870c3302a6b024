"""Command that tells what a feature file is: `python -m msa_jax.data --help`."""

import argparse
import ast
import contextlib
import dataclasses
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msa_jax import terminal
from msa_jax.corpora import CORPORA
from msa_jax.data.conventions import FIELDS
from msa_jax.errors import UserError, exit_code

if TYPE_CHECKING:
    from msa_jax.inspect.inspection import Inspection

_DESCRIPTION = """\
Tells what a feature file holds, without training: its format, which corpus it
seems to be, clips, lengths, labels, what is wrong with it, what its splits
share, and the command that trains on it. The file is never changed.
"""
_EXAMPLES = """\
examples:
  python -m msa_jax.data aligned_50.pkl               what is in this file?
  python -m msa_jax.data FOLDER/                      train.pkl, dev.pkl, ...
  python -m msa_jax.data features.npz --split_name=A  one of several divisions
  python -m msa_jax.data aligned_50.pkl --json        the same for a program
  python -m msa_jax.data aligned_50.pkl --build       convert it now; training
                                                      does so when it needs to
"""


def main(argv: list[str], *, prog: str = "python -m msa_jax.data") -> int:
    """Runs the command line.

    Args:
      argv: the arguments.
      prog: the command's name, for its help.

    Returns:
      The exit code: 0, 1 where nobody reads the output any more, 2 for what the user can mend, 130 after
      Ctrl-C.
    """
    terminal.prepare_streams()
    arguments = _parser(prog).parse_args(argv)
    return exit_code(lambda: _run(arguments), interrupted="interrupted", worded=_in_own_options)


class _Parser(argparse.ArgumentParser):
    """A parser that answers what it does not understand by one line, without what could steer a terminal."""

    def error(self, message: str) -> NoReturn:
        """Prints the message, and exits with code 2."""
        self.exit(2, f"{self.prog}: {terminal.line(message)}; see {self.prog} --help\n")


def _in_own_options(message: str) -> str:
    """A message about the training command's keys, put into the options of this command."""
    return re.sub(
        rf"(--config\.)?\bdata\.(split_name|other_counts|context|cache|{'|'.join(FIELDS)})(=True)?",
        r"--\2",
        message,
    )


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description=_DESCRIPTION,
        epilog=_EXAMPLES.replace("python -m msa_jax.data", prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("path", metavar="PATH", help="a feature file, or a folder of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument(
        "--split_name", metavar="NAME", help="which division into splits to use, where the file has several"
    )
    parser.add_argument(
        "--corpus",
        choices=CORPORA,
        metavar="NAME",
        help=f"the corpus ({', '.join(CORPORA)}); default: a guess",
    )
    parser.add_argument(
        "--context", action="store_true", help="UR-FUNNY: with the sentences before the punchline"
    )
    _add_conventions(parser)
    build = parser.add_argument_group("converting")
    build.add_argument(
        "--build", action="store_true", help="convert the file into the form that training reads"
    )
    build.add_argument(
        "--cache", metavar="DIR", help="where to keep that; default: where training looks for it"
    )
    build.add_argument(
        "--other_counts", action="store_true", help="convert even where the splits are not the official ones"
    )
    return parser


def _add_conventions(parser: argparse.ArgumentParser) -> None:
    """The options that say what a file leaves open, the fields of `Said`."""
    parser.add_argument(
        "--rows",
        choices=("tokens", "words", "stream"),
        help="MMSA: what a row of audio and vision is; default: told by the counts of all clips",
    )
    parser.add_argument(
        "--axes",
        choices=("rows_first",),
        help="arrays are (clips, rows, width), even where they look like (clips, width, rows)",
    )
    parser.add_argument(
        "--bert_vocab",
        metavar="NAME",
        help="MMSA: the vocabulary that made the BERT tokens; default: any at hand",
    )
    parser.add_argument(
        "--padding",
        choices=("front", "behind", "none"),
        help="the end at which clips are padded; none: all rows count; default: told by the zeros, or the "
        "rows that repeat, of all clips",
    )
    parser.add_argument(
        "--encoding",
        metavar="NAME",
        help="the encoding of texts in bytes, such as gb18030; default: told by the texts",
    )
    parser.add_argument(
        "--video_id",
        metavar="REGEX",
        help="finds the video in a clip's id by its one group; default: told by all ids",
    )
    parser.add_argument(
        "--time_units",
        type=_literal,
        metavar="PAIRS",
        help=".csd: how many units of a stream's times make a second, as in \"(('audio', 1000.0),)\"; "
        "default: told by where the streams end",
    )
    parser.add_argument(
        "--label_column",
        type=int,
        metavar="K",
        help="the column that is the label, from 0, where clips have several; default: told by their ranges",
    )


def _literal(text: str) -> object:
    """The value of an option that is written as in Python."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a value as Python writes it") from None


def _run(arguments: argparse.Namespace) -> None:
    # Imported late: --help and a typo are answered at once.
    from msa_jax.config import base
    from msa_jax.data.splits import Cut
    from msa_jax.inspect import advice, report
    from msa_jax.inspect.inspection import OPTIONS, inspect
    from msa_jax.progress import watched

    options = {
        name: value
        for name in OPTIONS
        if (value := getattr(arguments, name)) is not None and value is not False
    }
    reading = [f"--config.data.{name}={value}" for name, value in options.items()]
    caching = [f"--config.data.cache={arguments.cache}"] if arguments.cache else []
    cut = Cut(**base.common().data.cut)
    found = inspect(
        arguments.path,
        cut=cut,
        corpus=arguments.corpus,
        watch=lambda clips: watched(clips, "reading", "clip"),
        **options,
    )
    found = dataclasses.replace(
        found,
        refusal=_in_own_options(found.refusal),
        notes=[_in_own_options(note) for note in found.notes],
        conventions={name: _in_own_options(text) for name, text in found.conventions.items()},
    )
    train, predict = advice.training(found, [*reading, *caching]), advice.prediction(found, reading)
    if not arguments.json:
        report.show(found, train, predict)
    folder = None
    if arguments.build:
        with contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext():
            folder = str(_build(found, [*reading, *caching], arguments.other_counts))
        if not arguments.json:
            print(f"\nBuilt\n  {terminal.printable(folder)}")
    if arguments.json:
        following = report.command(train or predict) if train or predict else None
        print(report.as_json(found, next=following, built=folder))
    sys.stdout.flush()


def _build(found: "Inspection", overrides: list[str], other_counts: bool) -> Path:
    """Converts as the training command would, so that it finds the build; returns where it lies."""
    from msa_jax import cli
    from msa_jax.data import opening
    from msa_jax.inspect import advice

    if found.corpus is None:
        raise UserError(f"{found.path}: {found.refusal}; name its corpus with --corpus")
    # A file that is refused is tried as well: the build's own message says what to do about it.
    train = advice.training(dataclasses.replace(found, refusal=""), overrides)
    if not train:
        raise UserError(f"{found.path}: holds nothing but labels, and cannot be trained on")
    # That the suggested command accepts other counts does not mean that the user has.
    config = cli.parse([*train, f"--config.data.other_counts={other_counts}"]).config
    return opening.open_corpus(config).folder
