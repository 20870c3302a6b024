"""The command line: flags, config files, overrides, and what to say when one of them is wrong."""

import dataclasses
import difflib
import importlib.machinery
import itertools
import re
import sys
import textwrap
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from msa_jax import files, settings
from msa_jax.errors import UserError
from msa_jax.files import read_json

MODES = ("train", "eval", "predict")
NULLABLE = ("data.split_name", "data.rows", "data.bert_vocab")  # texts that None takes back
# What may be overridden once a run is trained.
EVAL_KEYS = (
    *("path", "cache", "corpus", "cut", "split_name", "other_counts", "context", "rows", "bert_vocab"),
    *("eval_split", "modalities", "threads"),
)

USAGE = """\
usage: python -m msa_jax.main --config=FILE[:VARIANT] [--workdir=DIR] [--config.KEY=VALUE ...]
       python -m msa_jax.main --mode=eval --workdir=DIR [--config.data.path=PATH] [--config.data.KEY=VALUE]
       python -m msa_jax.main --mode=predict --workdir=DIR --config.data.path=FILE [--output=CSV]

Trains, selects the best epoch on validation data, tests once and leaves everything in the workdir; the same
command again resumes. eval scores a finished run on any corpus; predict scores clips without labels.
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """What the user asked for.

    Attributes:
      mode: one of `MODES`.
      config: the settings, overrides applied.
      config_name: of the config file with its variant, as in "crosssent_mosi-no_gmra"; "" where none.
      workdir: the run's folder.
      output: the file that predict writes; None = its default.
      argv: the arguments, to parse them again with another config file.
    """

    mode: str
    config: ConfigDict
    config_name: str
    workdir: Path
    output: Path | None
    argv: tuple[str, ...]


def shipped_configs() -> Path:
    """The folder of the configs that come with the package."""
    here = Path(__file__).parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def load_config(spec: str) -> tuple[ConfigDict, str]:
    """Reads a config file.

    Args:
      spec: FILE or FILE:VARIANT; a file that is not there is looked for among the shipped ones.

    Returns:
      (config, name): the locked config, and its name with the variant, for folders.

    Raises:
      UserError: when there is no such file or variant; names the nearest.
    """
    file, _, variant = spec.partition(":")
    shipped = sorted(p for p in shipped_configs().glob("*_*.py") if not p.name.startswith("_"))
    path = Path(file)
    if not path.is_file():
        path = next((p for p in shipped if path == Path("configs", p.name)), path)
    if not path.is_file():
        known = [f"configs/{p.name}" for p in shipped]
        raise UserError(f"--config: there is no file {file}; {nearest(file, known)}")
    module = _import_config(path)
    variants = getattr(module, "VARIANTS", {})
    if variant and variant not in variants:
        raise UserError(f"--config: {file} has no variant {variant!r}; {nearest(variant, list(variants))}")
    try:
        config = module.get_config(variant) if variant else module.get_config()
    except Exception as e:  # a user's file may do anything
        raise UserError(f"--config: get_config of {file} failed: {type(e).__name__}: {e}") from e
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: get_config of {file} must return a ConfigDict, not {type(config).__name__}"
        )
    return config.lock(), "-".join(filter(None, (path.stem, variant)))


def variants(path: Path) -> dict[str, dict[str, Any]]:
    """The variants of a config file: what each `:name` changes."""
    return dict(getattr(_import_config(path), "VARIANTS", {}))


def _import_config(path: Path) -> types.ModuleType:
    """Runs a config file, with `configs` importable: its own folder, then the shipped one."""
    package = types.ModuleType("configs")
    package.__path__ = [str(path.parent), str(shipped_configs())]
    sys.modules["configs"] = package
    for name in [n for n in sys.modules if n.startswith("configs.")]:
        del sys.modules[name]
    loader = importlib.machinery.SourceFileLoader(f"configs.{path.stem}", str(path))
    module = types.ModuleType(loader.name)
    try:
        loader.exec_module(module)
        module.get_config  # noqa: B018
    except Exception as e:
        raise UserError(f"--config: {path} is no config file: {type(e).__name__}: {e}") from e
    return module


def nearest(wrong: str, known: Sequence[str]) -> str:
    """ "did you mean ...?", or the known names where none is near."""
    close = difflib.get_close_matches(wrong, known, 1, 0.6)
    return f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"


def flat_keys(config: ConfigDict) -> list[str]:
    """Every key of a config by its dotted path, sections included."""
    keys = []
    for key in config:
        keys.append(key)
        if isinstance(config[key], ConfigDict):
            keys += [f"{key}.{inner}" for inner in flat_keys(config[key])]
    return keys


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
    """What --help prints: usage, flags, config keys' home, shipped configs with their variants."""
    values = _define(flags.FlagValues())
    lines = [USAGE, "flags:"]
    for name in ("config", "mode", "workdir", "output", "help"):
        kind = f" ({'|'.join(MODES)})" if name == "mode" else ""
        lines.append(f"  --{name:8s} {values[name].help}{kind}")
    lines.append("  --config.KEY=VALUE  overrides a key; configs/base.py and configs/<model>.py list them")
    lines += ["", "shipped configs, and the variants that follow FILE:"]
    modules = {path.name: _import_config(path) for path in sorted(shipped_configs().glob("*_*.py"))}
    for _, group in itertools.groupby(modules.items(), lambda item: tuple(item[1].VARIANTS)):
        for name, module in group:
            lines.append(f"  configs/{name:28s} {module.__doc__.splitlines()[0]}")
        names = " ".join(f":{v}" for v in module.VARIANTS)
        indent = " " * 8
        lines += textwrap.wrap(names, 105, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines)


def parse(argv: Sequence[str], *, instead: str | None = None) -> Command | None:
    """Reads the command line.

    Args:
      argv: the arguments, without the program's name.
      instead: a config to read in place of the one that the arguments name.

    Returns:
      The command; None when help is asked for.

    Raises:
      UserError: one line that names the wrong argument and the nearest valid one.
    """
    values = _define(flags.FlagValues())
    try:
        rest = values(["main", *argv], known_only=True)[1:]
    except flags.Error as e:
        raise UserError(_first_line(e)) from None
    if values.help:
        return None
    overrides = [a for a in rest if re.match(r"--?(no)?config\.", a)]
    known = [f"--{name}" for name in ("config", "mode", "workdir", "output", "help")]
    for i, argument in enumerate(rest):
        value_of_override = i > 0 and rest[i - 1] in overrides and "=" not in rest[i - 1]
        if argument not in overrides and not (value_of_override and not argument.startswith("-")):
            name = argument.split("=")[0]
            raise UserError(f"unknown argument {argument}; {nearest(name, known)} (--help lists all)")
    workdir = Path(values.workdir) if values.workdir else None
    if values.config:
        config, name = load_config(instead or values.config)
    elif values.mode == "train" or workdir is None:
        example = "configs/crosssent_mosi.py" if values.mode == "train" else "... or --workdir=DIR"
        raise UserError(f"--config is missing: say --config={example} (--help lists the shipped ones)")
    else:
        config, name = ConfigDict(), ""
    workdir = workdir or Path("runs") / name
    if values.mode != "train":
        config = _trained_config(workdir)
    trained_on = config.data.path if values.mode != "train" else None
    config = _override(config, rest)
    if values.mode != "train":
        _refuse_fixed(overrides)
        if not _same_file(config.data.path, trained_on):
            _forget(config, ("data.rows", "data.bert_vocab"), overrides)
    settings.check(config, training=values.mode == "train")
    output = Path(values.output) if values.output else None
    return Command(values.mode, config, name, workdir, output, tuple(argv))


def _trained_config(workdir: Path) -> ConfigDict:
    """The config of the run in a folder."""
    hint = "--workdir must name the folder of a trained run"
    stored = read_json(workdir / "config.json", hint=hint)
    return settings.to_config(stored)


def _override(config: ConfigDict, rest: Sequence[str]) -> ConfigDict:
    """Applies --config.key=value arguments, with ml_collections' own parsing and type checks."""
    keys = flat_keys(config)
    for argument in rest:
        match = re.match(r"--?(no)?config\.([^=]+)", argument)
        if match and match[2] not in keys:
            leaf = match[2].rsplit(".", 1)[-1]
            same_leaf = [k for k in keys if k.rsplit(".", 1)[-1] == leaf]
            hint = f"did you mean {same_leaf[0]}?" if same_leaf else nearest(match[2], keys)
            raise UserError(f"--config.{match[2]}: the config has no such key; {hint}")
        # ml_collections cannot replace a section, as when a part of a model is left out, or a text by None.
        if match and argument.endswith("=None") and _may_be_none(config, match[2]):
            config.update_from_flattened_dict({match[2]: None})
    argv = ["main", *(a for a in rest if not (a.endswith("=None") and _is_none(config, a)))]
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        values(argv)
    except flags.IllegalFlagValueError as e:
        key, given = re.match(r"flag --config\.([^=]+)=(.*?): ", str(e), re.S).groups()
        valid = _get(config, key)
        kind = "section" if isinstance(valid, ConfigDict) else type(valid).__name__
        example = "" if kind == "section" else f", as in --config.{key}={valid}"
        raise UserError(f"--config.{key}: {given!r} is no {kind}{example}") from None
    except (flags.Error, TypeError, ValueError) as e:
        raise UserError(_first_line(e)) from None
    return values.config


def _get(config: ConfigDict, key: str) -> Any:
    for part in key.split("."):
        config = config[part]
    return config


def _is_none(config: ConfigDict, argument: str) -> bool:
    match = re.match(r"--?config\.([^=]+)", argument)
    return bool(match) and _get(config, match[1]) is None


def _refuse_fixed(overrides: Iterable[str]) -> None:
    for argument in overrides:
        key = re.match(r"--?(?:no)?config\.([^=]+)", argument)[1]
        section, _, rest = key.partition(".")
        if key != "eval_batch_size" and not (section == "data" and rest.split(".")[0] in EVAL_KEYS):
            raise UserError(
                f"--config.{key} is fixed by the trained run; only eval_batch_size and, of data, "
                f"{', '.join(EVAL_KEYS)} can change"
            )


def _may_be_none(config: ConfigDict, key: str) -> bool:
    return key in NULLABLE or isinstance(_get(config, key), ConfigDict)


def _same_file(one: str | None, other: str | None) -> bool:
    return one == other or (None not in (one, other) and files.resolved(one) == files.resolved(other))


def _forget(config: ConfigDict, keys: Iterable[str], overrides: Sequence[str]) -> None:
    """Sets keys that speak of the file that the run was trained on, and not of another one, to None."""
    for key in keys:
        if not any(re.match(rf"--?config\.{re.escape(key)}(=|$)", argument) for argument in overrides):
            config.update_from_flattened_dict({key: None})


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
