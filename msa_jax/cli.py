"""The command line: flags, overrides, and what to say when one of them is wrong."""

import ast
import dataclasses
import itertools
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from msa_jax import config as configs
from msa_jax import files
from msa_jax.data.conventions import FIELDS
from msa_jax.errors import UserError
from msa_jax.progress import say

MODES = ("train", "eval", "predict")
# Keys that may be overridden once a run is trained.
EVAL_KEYS = (
    *("path", "cache", "corpus", "cut", "split_name", "other_counts", "context", *FIELDS),
    *("eval_split", "modalities", "threads"),
)

USAGE = """\
usage: python -m msa_jax.main --config=FILE[:VARIANT...] [--workdir=DIR] [--config.KEY=VALUE ...]
       python -m msa_jax.main --mode=eval --workdir=DIR [--config.data.path=PATH] [--config.data.KEY=VALUE]
       python -m msa_jax.main --mode=predict --workdir=DIR --config.data.path=FILE [--output=CSV]

Trains, selects the best epoch on validation data, tests once and leaves everything in the workdir; the same
command again resumes. eval scores a finished run on any corpus; predict scores clips without labels.
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """The user's request.

    Attributes:
      mode: one of `MODES`.
      config: the settings, overrides applied.
      config_name: of the config file with its variants, as in "crosssent_mosi-no_gmra"; "" where none.
      workdir: the run's folder.
      output: the file that predict writes; None = its default.
      spec: FILE[:VARIANT...] as given; "" where none.
      overrides: the --config.KEY=VALUE arguments.
      own_workdir: whether the user named the folder.
    """

    mode: str
    config: ConfigDict
    config_name: str
    workdir: Path
    output: Path | None
    spec: str
    overrides: tuple[str, ...]
    own_workdir: bool

    def on_made_data(self) -> "Command":
        """The same on the embedded corpus: the variant `synthetic` before the others, every override kept.

        Says so: it is for a command without any data; a data path that is given is never replaced. Its
        default folder is another one, so that the same command can run once there are data.
        """
        from msa_jax import bounds
        from msa_jax.data.opening import FEATURES
        from msa_jax.workdir import SYNTHETIC

        file, *variants = configs.split_spec(self.spec)
        spec = ":".join((file, "synthetic", *variants))
        config, name = configs.load(spec)
        config = configs.override(config, self.overrides)
        bounds.check(config)
        corpus = f"{self.config.data.corpus} corpus"
        if self.config.text.encoder == FEATURES:
            corpus += " with text features"
        say(f"{SYNTHETIC}: --config.data.path is not set and no {corpus} has been built, so this runs {spec}")
        workdir = self.workdir if self.own_workdir else Path("runs") / name
        return dataclasses.replace(self, config=config, config_name=name, workdir=workdir, spec=spec)


def _define(values: flags.FlagValues) -> flags.FlagValues:
    flags.DEFINE_string("config", None, "config file, with :variant after it where wanted", values)
    flags.DEFINE_enum("mode", "train", MODES, "what to do", values)
    flags.DEFINE_string("workdir", None, "the run's folder; default runs/<config name>", values)
    flags.DEFINE_string(
        "output", None, "predict: file to write; default <workdir>/predictions_<file name>.csv", values
    )
    flags.DEFINE_bool("help", False, "show this help", values, short_name="h")
    return values


def help_text() -> str:
    """The text of --help: usage, flags, where the keys are, shipped configs with their variants."""
    values = _define(flags.FlagValues())
    lines = [USAGE, "flags:"]
    for name in ("config", "mode", "workdir", "output", "help"):
        kind = f" ({'|'.join(MODES)})" if name == "mode" else ""
        lines.append(f"  --{name:8s} {values[name].help}{kind}")
    lines.append(
        "  --config.KEY=VALUE  overrides a key; configs/base.py lists the common ones, the model's file"
    )
    lines.append("                      in msa_jax/models those of the sections model and loss")
    lines += ["", "shipped configs, and the variants that follow FILE, as in FILE:synthetic:no_audio:"]
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in configs.shipped_files()}
    models = sorted((p.stem for p in (Path(__file__).parent / "models").glob("*.py")), key=len)

    def model_of(path: Path) -> str:
        return [name for name in models if path.stem.startswith(f"{name}_")][-1]

    for model, group in itertools.groupby(sources, model_of):
        for path in group:
            lines.append(f"  configs/{path.name:28s} {ast.get_docstring(sources[path]).splitlines()[0]}")
        lines += _wrapped(_variant_names(Path(__file__).parent / "models" / f"{model}.py"))
    lines += ["  variants of each of them", *_wrapped(list(configs.base.VARIANTS))]
    return "\n".join(lines)


def _wrapped(names: Sequence[str]) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(
        " ".join(f":{n}" for n in names), 105, initial_indent=indent, subsequent_indent=indent
    )


def _variant_names(path: Path) -> list[str]:
    """Those that a model's file declares, read without importing JAX."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])  # with a type or without
        if any(getattr(target, "id", "") == "VARIANTS" for target in targets):
            names = [key.value for key in node.value.keys]
            return [name for name in names if name not in configs.base.VARIANTS]
    return []


def parse(argv: Sequence[str]) -> Command | None:
    """Reads the command line.

    Args:
      argv: the arguments, without the program's name.

    Returns:
      The command; None when help is asked for.

    Raises:
      UserError: when an argument is wrong; names it and the nearest valid one.
    """
    values = _define(flags.FlagValues())
    try:
        rest = values(["main", *argv], known_only=True)[1:]
    except flags.Error as e:
        raise UserError(str(e).splitlines()[0]) from None
    if values.help:
        return None
    from msa_jax import bounds  # late: it imports JAX, and --help is to be answered at once

    overrides = [a for a in rest if re.match(r"--?(no)?config\.", a)]
    known = [f"--{name}" for name in ("config", "mode", "workdir", "output", "help")]
    for i, argument in enumerate(rest):
        value_of_override = i > 0 and rest[i - 1] in overrides and "=" not in rest[i - 1]
        if argument not in overrides and not (value_of_override and not argument.startswith("-")):
            name = argument.split("=")[0]
            raise UserError(f"unknown argument {argument}; {configs.nearest(name, known)} (--help lists all)")
    workdir = Path(values.workdir) if values.workdir else None
    own_workdir = workdir is not None
    if values.config:
        config, name = configs.load(values.config)
    elif values.mode == "train" or workdir is None:
        example = "configs/crosssent_mosi.py" if values.mode == "train" else "... or --workdir=DIR"
        raise UserError(f"--config is missing: say --config={example} (--help lists the shipped ones)")
    else:
        config, name = ConfigDict(), ""
    workdir = workdir or Path("runs") / name
    if values.mode != "train":
        hint = "--workdir must name the folder of a trained run"
        config = configs.stored(workdir / "config.json", hint=hint)
    trained_on = config.data.path if values.mode != "train" else None
    config = configs.override(config, rest)
    if values.mode != "train":
        _refuse_fixed(overrides)
        if not _same_file(config.data.path, trained_on):
            _forget(config, [f"data.{name}" for name in FIELDS], overrides)
    bounds.check(config, training=values.mode == "train")
    output = Path(values.output) if values.output else None
    spec = values.config or ""
    return Command(values.mode, config, name, workdir, output, spec, tuple(rest), own_workdir)


def _refuse_fixed(overrides: Iterable[str]) -> None:
    for argument in overrides:
        key = re.match(r"--?(?:no)?config\.([^=]+)", argument)[1]
        section, _, rest = key.partition(".")
        if key != "eval_batch_size" and not (section == "data" and rest.split(".")[0] in EVAL_KEYS):
            raise UserError(
                f"--config.{key} is fixed by the trained run; only eval_batch_size and, of data, "
                f"{', '.join(EVAL_KEYS)} can change"
            )


def _same_file(one: str | None, other: str | None) -> bool:
    return one == other or (None not in (one, other) and files.resolved(one) == files.resolved(other))


def _forget(config: ConfigDict, keys: Iterable[str], overrides: Sequence[str]) -> None:
    """Sets keys that speak of the file that the run was trained on, and not of another one, to None."""
    for key in keys:
        if not any(re.match(rf"--?config\.{re.escape(key)}(=|$)", argument) for argument in overrides):
            configs.base.set_key(config, key, None)
