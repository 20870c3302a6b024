"""The command line: flags, overrides, and what to say when one of them is wrong."""

import copy
import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags
from ml_collections import ConfigDict

from msa_jax import files, help, processes
from msa_jax.errors import UserError, nearest
from msa_jax.processes import Group
from msa_jax.progress import say
from msa_jax.specs import split_spec

if TYPE_CHECKING:
    from msa_jax.identity import DefaultFolder

MODES = ("train", "eval", "predict")
FLAGS = {
    "config": "the config: NAME of a shipped one, or FILE; with :VARIANT after it where wanted",
    "mode": f"what to do ({'|'.join(MODES)})",
    "workdir": "the run's folder; default runs/<config name>-<hash of the overrides and the data>",
    "output": "predict: the file to write; eval: the folder; default: in the workdir",
    "processes": "how many processes work together (1: alone); SLURM, torchrun and Open MPI tell it, too",
    "process": "the number of this process, 0 to processes - 1; the first one writes and speaks",
    "coordinator": "HOST:PORT, the machine of process 0 and a free port there, where the processes meet",
    "help": "show this help; --help keys: every key, of --config or of all models",
}


@dataclasses.dataclass(frozen=True)
class Command:
    """The user's request.

    Attributes:
      mode: one of `MODES`.
      config: the settings, overrides applied.
      config_name: of the config file with its variants, as in "crosssent_mosi-no_gmra"; "" where none.
      workdir: the run's folder; of a training whose user names none, what gives it its name.
      output: the file that predict writes; None = its default.
      spec: FILE[:VARIANT...] as given; "" where none.
      overrides: the --config.KEY=VALUE arguments.
    """

    mode: str
    config: ConfigDict
    config_name: str
    workdir: "Path | DefaultFolder"
    output: Path | None
    spec: str
    overrides: tuple[str, ...]

    def says(self, key: str) -> bool:
        """Whether the user gives a key of the config, be it with the value that it has."""
        return _says(self.overrides, key)

    def on_made_data(self) -> "Command":
        """The same on the embedded corpus: the variant `synthetic` before the others, every override kept.

        Says so: it is for a command without any data; a data path that is given is never replaced. Its
        default folder is another one, so that the same command can run once there are data.
        """
        from msa_jax import bounds
        from msa_jax import config as configs
        from msa_jax.data.opening import FEATURES
        from msa_jax.identity import DefaultFolder, changes
        from msa_jax.results import SYNTHETIC

        file, *variants = split_spec(self.spec)
        spec = ":".join((file, "synthetic", *variants))
        plain, name = configs.load(spec)
        config = configs.override(copy.deepcopy(plain), self.overrides)
        bounds.check(config)
        corpus = f"{self.config.data.corpus} corpus"
        if self.config.text.encoder == FEATURES:
            corpus += " with text features"
        say(f"{SYNTHETIC}: --config.data.path is not set and no {corpus} has been built, so this runs {spec}")
        default = DefaultFolder(name, changes(config, plain))
        workdir = self.workdir if isinstance(self.workdir, Path) else default
        return dataclasses.replace(self, config=config, config_name=name, workdir=workdir, spec=spec)


def _parse_flags(argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """(the flags, the arguments that are not flags)."""
    values = flags.FlagValues()
    for name in ("config", "workdir", "output"):
        flags.DEFINE_string(name, None, FLAGS[name], values)
    flags.DEFINE_integer("processes", None, FLAGS["processes"], flag_values=values)
    flags.DEFINE_integer("process", None, FLAGS["process"], flag_values=values)
    flags.DEFINE_string("coordinator", None, FLAGS["coordinator"], values)
    flags.DEFINE_enum("mode", "train", MODES, FLAGS["mode"], values)
    flags.DEFINE_bool("help", False, FLAGS["help"], values, short_name="h")
    # absl's --help takes no value but True and False.
    asks_keys = re.compile("--?h(elp)?=keys", re.IGNORECASE)
    given = (("--help", "keys") if asks_keys.fullmatch(a) else (a,) for a in argv)
    try:
        rest = values(["main", *itertools.chain.from_iterable(given)], known_only=True)[1:]
    except flags.Error as e:
        said = re.sub(r"^flag (--\w+)=(.*): invalid literal for int\(\).*", r"\1: '\2' is not an int", str(e))
        raise UserError(said.splitlines()[0]) from None
    return values, rest


def help_wanted(argv: Sequence[str]) -> str | None:
    """The help that a command line asks for; None where it asks for none.

    Raises:
      UserError: when a flag is wrong, or there is no such config to help with.
    """
    values, rest = _parse_flags(argv)
    if not values.help:
        return None
    if any(argument.lower() == "keys" for argument in rest):
        return help.keys(values.config)
    return help.text(FLAGS)


def group(argv: Sequence[str]) -> Group | None:
    """The processes that the command line, or the environment, puts this one among; None: it is alone.

    Raises:
      UserError: as `processes.find`.
    """
    values, _ = _parse_flags(argv)
    return processes.find(values.processes, values.process, values.coordinator, os.environ)


def parse(argv: Sequence[str]) -> Command:
    """Reads the command line.

    Args:
      argv: the arguments, without the program's name.

    Returns:
      The command.

    Raises:
      UserError: when an argument is wrong; names it and the nearest valid one.
    """
    values, rest = _parse_flags(argv)
    from msa_jax import (
        bounds,  # late: these import JAX, and --help is to be answered at once
        identity,
        seeds,
    )
    from msa_jax import config as configs

    overrides = [a for a in rest if re.match(r"--?(no)?config\.", a)]
    for i, argument in enumerate(rest):
        value_of_override = i > 0 and rest[i - 1] in overrides and "=" not in rest[i - 1]
        if argument not in overrides and not (value_of_override and not argument.startswith("-")):
            near = nearest(argument.split("=")[0], [f"--{name}" for name in FLAGS])
            raise UserError(f"unknown argument {argument}; {near} (--help lists all)")
    training = values.mode == "train"
    if training and values.output:
        raise UserError(f"--output: {values.output}: training writes into --workdir; leave --output out")
    if not values.config and (training or not values.workdir):
        example = "configs/crosssent_mosi.py" if training else "... or --workdir=DIR"
        raise UserError(f"--config is missing: say --config={example} (--help lists the shipped ones)")
    config, name = configs.load(values.config) if values.config else (None, "")
    named = files.expanded(values.workdir) if values.workdir else None
    if training:
        plain = copy.deepcopy(config)
        config = configs.override(config, rest)
        if config.seeds and _says(overrides, "seed"):
            raise UserError("--config.seed: --config.seeds is given, too; leave one of them out")
        # Beside the folder of one run, as it holds a run for each seed.
        of_folder, changed = name, identity.changes(config, plain)
        if config.seeds:
            of_folder, changed = f"{name}-seeds", {**changed, "data.seed": seeds.order(config)}
        workdir = named or identity.DefaultFolder(of_folder, changed)
    else:
        workdir = named or _trained_folder(name)
        config = _config_of_run(workdir, values.config, config, rest, overrides)
    bounds.check(config, training=training)
    output = files.expanded(values.output) if values.output else None
    return Command(values.mode, config, name, workdir, output, values.config or "", tuple(rest))


def _trained_folder(name: str) -> Path:
    """The one default folder of a config that holds a run; UserError where there is none, or several."""
    from msa_jax.identity import trained_folders

    found = trained_folders(name)
    if len(found) == 1:
        return found[0]
    several = f"there are several runs of {name}: {', '.join(map(str, found))}"
    there = several if found else f"there is no run of {name} in runs/"
    raise UserError(f"{there}; name the folder by --workdir")


def _config_of_run(
    workdir: Path, spec: str | None, given: ConfigDict | None, rest: Sequence[str], overrides: Sequence[str]
) -> ConfigDict:
    """The config of a trained run with the changes that may be made to it.

    Args:
      workdir: the run's folder.
      spec, given: the --config of the command and what it holds; None where there is none.
      rest: the arguments that are not flags.
      overrides: those of them that begin an override.

    Raises:
      UserError: when something is asked for that the run was not trained with.
    """
    from msa_jax import config as configs
    from msa_jax import seeds

    hint = seeds.in_place_of(workdir) or "--workdir must name the folder of a trained run"
    trained = configs.stored(workdir / "config.json", hint=hint)
    if given is None:
        _refuse_fixed(overrides)
    else:  # the training's own overrides may be said again
        given = configs.override(given, rest)
        free = (*configs.TRAINED_KEYS, *configs.RESUME_KEYS)
        _refuse_another(workdir, spec, configs.differences(trained, given, free=free))
    path = trained.data.path
    config = configs.override(trained, rest)
    if given is not None:  # what changes the scores may be overridden, but not by the way of a config
        free = [key for key in configs.flatten(config) if key not in ("data.modalities", "data.corpus")]
        _refuse_another(workdir, spec, configs.differences(config, given, free=free))
    if not _same_file(config.data.path, path):
        _forget(config, configs.FILE_KEYS, overrides)
    return config


def _refuse_another(workdir: Path, spec: str | None, differ: Mapping[str, tuple[Any, Any]]) -> None:
    """UserError where a config differs from the run's; names the first key."""
    for key, (was, now) in differ.items():
        raise UserError(
            f"--config: {workdir} was trained with {key}={was}, and {spec} has {now}; leave --config out "
            "(the run's own is used), or name the folder of that config's run by --workdir"
        )


def _refuse_fixed(overrides: Iterable[str]) -> None:
    from msa_jax.config import TRAINED_KEYS, is_one_of

    for argument in overrides:
        key = re.match(r"--?(?:no)?config\.([^=]+)", argument)[1]
        if not is_one_of(key, TRAINED_KEYS):
            raise UserError(
                f"--config.{key} is fixed by the trained run; only {', '.join(TRAINED_KEYS)} can change"
            )


def _same_file(one: str | None, other: str | None) -> bool:
    return one == other or (None not in (one, other) and files.resolved(one) == files.resolved(other))


def _says(overrides: Iterable[str], key: str) -> bool:
    return any(re.match(rf"--?config\.{re.escape(key)}(=|$)", argument) for argument in overrides)


def _forget(config: ConfigDict, keys: Iterable[str], overrides: Sequence[str]) -> None:
    """Sets keys that speak of the file that the run was trained on, and not of another one, to None."""
    from msa_jax.config import base

    for key in keys:
        if not _says(overrides, key):
            base.set_key(config, key, None)
