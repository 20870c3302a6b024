"""Configs: loaded, changed by variants and overrides, and read back from a run's folder.

`from msa_jax.config import base` is how a config file, shipped or a user's own, gets at the common keys.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from msa_jax import config_files, models
from msa_jax.config_files import base, reason
from msa_jax.data.conventions import FIELDS
from msa_jax.errors import UserError, nearest
from msa_jax.files import OLDER, finite, read_json
from msa_jax.progress import say
from msa_jax.specs import find, shipped, shipped_files, split_spec

__all__ = [
    "base", "flatten", "get", "keys", "load", "near_key", "nearest", "override", "shipped", "shipped_files",
    "split_spec", "stored", "variants", "variants_of",
]  # fmt: skip

SIZES = ("synthetic", "tiny")  # variants that change what a run is tried on, and not what is tried
# Keys that may change between two starts of the same run: where things lie and how they are shown, and what
# only later evaluations read.
RESUME_KEYS = (
    *("data.cache", "data.threads", "data.eval_split", "data.rescale"),
    *("log_every", "checkpoint_every", "eval_batch_size", "parallel", "text.remat"),
)
# What the user says of the file that the run is trained on; for another file these are None again.
FILE_KEYS = tuple(f"data.{name}" for name in FIELDS)
# Keys that may be overridden once a run is trained: what it then scores, and how that is read.
TRAINED_KEYS = (
    *("data.path", "data.cache", "data.corpus", "data.cut", "data.split_name", "data.other_counts"),
    *("data.context", *FILE_KEYS, "data.eval_split", "data.rescale", "data.modalities"),
    *("data.threads", "eval_batch_size", "parallel"),
)


def load(spec: str) -> tuple[ConfigDict, str]:
    """Reads a config file and applies its variants from left to right.

    Args:
      spec: FILE, FILE:VARIANT, FILE:VARIANT:VARIANT, ...; FILE is a path, or the name of a shipped one, as
        `msa_jax.specs.find` takes it.

    Returns:
      (config, name): the locked config, and its name with the variants, for folders.

    Raises:
      UserError: when there is no such file or variant; names the nearest.
    """
    file, *variants = split_spec(spec)
    module = config_files.read(path := find(file, variants))
    try:
        config = module.get_config()
    except UserError:
        raise
    except Exception as e:  # a user's file may do anything
        raise UserError(f"--config: get_config of {file} failed: {reason(e)}") from e
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: get_config of {file} returned a {type(config).__name__}, not a ConfigDict"
        )
    if "name" not in (config.get("model") or ()):
        raise UserError(f"--config: {file}: the config has no model.name; start it from base.config(NAME)")
    own = getattr(module, "VARIANTS", {})
    if not (isinstance(own, Mapping) and all(isinstance(changes, Mapping) for changes in own.values())):
        raise UserError(
            f"--config: {file}: VARIANTS must be a dict by name of dicts by key, as in "
            '{"wide": {"model.width": 256}}'
        )
    config.lock()
    for place, name in enumerate(variants):
        try:
            before = flatten(config)
            base.apply(config, name, own)
            _say_what_is_undone(before, config, variants[:place], name, own, shipped=path in shipped_files())
        except KeyError as e:
            if e.args[0] != name:
                raise UserError(
                    f"--config: {file}: the variant {name} sets {e.args[0]}, which is not there"
                ) from None
            known = list(variants_of(config.model.name, own))
            raise UserError(f"--config: {file} has no variant {name!r}; {nearest(name, known)}") from None
        except TypeError as e:
            raise UserError(f"--config: {file}: the variant {name} sets a wrong value: {reason(e)}") from None
    return config, "-".join((path.stem, *variants))


def _say_what_is_undone(
    before: Mapping[str, Any],
    config: ConfigDict,
    earlier: Sequence[str],
    name: str,
    own: Mapping[str, Any],
    *,
    shipped: bool,
) -> None:
    """One line where a variant takes back what one before it, or the user's own file, had set.

    `synthetic` and `tiny` are there to be changed by what follows.
    """
    of, after = variants_of(config.model.name, own), flatten(config)
    for one in (v for v in earlier if v not in SIZES):
        for key in sorted(of[one].keys() & of[name].keys()):
            if before.get(key) != after.get(key):
                mend = f"write :{name} first to keep it" if name in SIZES else "the last one counts"
                say(f"note: {name} sets {key} again, which {one} had set; {mend}")
    if name in SIZES and not shipped:
        default = flatten(base.config(config.model.name))
        mine = [k for k, v in before.items() if v != default.get(k) and after.get(k, v) != v]
        if mine := [k for k in mine if not any(k in of[v] for v in earlier) and k != "data.corpus"]:
            say(f"note: {name} sets {', '.join(mine)}, which get_config had set; override them to keep them")


def variants_of(model: str, own: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The changes of each variant: those of all models, of the model's file, and of the config's own."""
    of_model = base.models.find(model).variants
    names = dict.fromkeys((*of_model, *own, *base.VARIANTS))
    sources = (base.VARIANTS, of_model, own)  # the last one has the last word, as in `base.apply`
    return {n: {k: v for source in sources for k, v in source.get(n, {}).items()} for n in names}


def variants(path: Path) -> dict[str, Mapping[str, Any]]:
    """The variants of a config file."""
    module = config_files.read(path)
    return variants_of(module.get_config().model.name, getattr(module, "VARIANTS", {}))


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The values of a config by dotted path; a section that is None is one value."""
    return dict(_flat(config, prefix))


def _flat(config: ConfigDict, prefix: str) -> Iterator[tuple[str, Any]]:
    for key in config:
        value = config[key]
        if isinstance(value, ConfigDict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def keys(config: ConfigDict, prefix: str = "") -> list[str]:
    """Every key of a config by its dotted path, sections included."""
    out = []
    for key in config:
        out.append(prefix + key)
        if isinstance(config[key], ConfigDict):
            out += keys(config[key], f"{prefix}{key}.")
    return out


def is_one_of(key: str, keys: Sequence[str]) -> bool:
    """Whether a dotted key, or a section that it is in, is among the keys."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def differences(old: ConfigDict, new: ConfigDict, *, free: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """The keys that two configs differ in, in their order but for the model's name, with (old, new) value.

    Args:
      old, new: whole configs; what a config's file cannot hold apart is the same: lists and tuples, None and
        infinity.
      free: keys, or sections, that do not count.
    """
    was, now = ({k: finite(v) for k, v in flatten(c).items()} for c in (old, new))
    changed = [k for k in sorted({*was, *now}) if not is_one_of(k, free) and was.get(k) != now.get(k)]
    changed.sort(key=lambda k: k != "model.name")
    return {k: (was.get(k), now.get(k)) for k in changed}


def get(config: ConfigDict, key: str) -> Any:
    """The value at a dotted path."""
    for part in key.split("."):
        config = config[part]
    return config


def override(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
    """Applies --config.key=value arguments, with ml_collections' own parsing and type checks.

    Raises:
      UserError: when there is no such key, or it does not take the value; names the key, and what it takes
        or the nearest there is.
    """
    known, model = keys(config), config.model.name
    named = [m for m in (re.match(r"--?(no)?config\.([^=]+)(=None$)?", a) for a in arguments) if m]
    for match in named:
        if match[2] not in known:
            raise UserError(f"--config.{match[2]}: the config has no such key; {near_key(match[2], known)}")
    # ml_collections cannot replace a section, as when a part of a model is left out, or a text by None.
    takes_none = {k for k, v in flatten(base.config(model)).items() if v is None}
    for key in (match[2] for match in named if match[3]):
        if key in keys(config) and (key in takes_none or isinstance(get(config, key), ConfigDict)):
            base.set_key(config, key, None)
    for match in named:
        if match[2] not in keys(config):
            raise UserError(f"--config.{match[2]}: {_none_above(config, match[2])} is None, and has no keys")
    argv = ["main", *(a for a in arguments if not (a.endswith("=None") and _is_none(config, a)))]
    values = flags.FlagValues()
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        values(argv)
    except flags.IllegalFlagValueError as e:
        key, given = re.match(r"flag --config\.([^=]+)=(.*?): ", str(e), re.S).groups()
        section, _, leaf = key.rpartition(".")
        valid, kind = get(config, key), (get(config, section) if section else config).get_type(leaf)
        kinds = {int: "an int", float: "a float", bool: "a bool", tuple: "a tuple", ConfigDict: "a section"}
        kind = kinds.get(kind, f"a {kind.__name__}")
        example = "" if isinstance(valid, ConfigDict) else f", as in --config.{key}={valid}"
        raise UserError(f"--config.{key}: {given!r} is not {kind}{example}") from None
    except (flags.Error, TypeError, ValueError) as e:
        raise UserError(str(e).splitlines()[0] if str(e) else type(e).__name__) from None
    if isinstance(values.config.model, ConfigDict) and values.config.model.name != model:
        base.models.find(values.config.model.name)  # says so where there is none
        raise UserError(
            f"--config.model.name: the config is of the model {model}, and its keys are {model}'s; name a "
            f"config of {values.config.model.name} by --config=FILE"
        )
    return values.config


def near_key(wrong: str, known: Sequence[str]) -> str:
    """What to say of a key that is not one of those known: the nearest, or those of its section."""
    leaf = wrong.rsplit(".", 1)[-1]
    same_leaf = [k for k in known if k.rsplit(".", 1)[-1] == leaf]
    if same_leaf:
        return f"did you mean {same_leaf[0]}?"
    section = wrong.rpartition(".")[0]
    inside = [k for k in known if k.rpartition(".")[0] == section] or [k for k in known if "." not in k]
    hint = nearest(wrong, known)
    return hint if hint.startswith("did") else nearest(wrong, inside)


def _is_none(config: ConfigDict, argument: str) -> bool:
    match = re.match(r"--?config\.([^=]+)", argument)
    return bool(match) and get(config, match[1]) is None


def _none_above(config: ConfigDict, key: str) -> str:
    """The section on the way to a key that is None."""
    parts = key.split(".")
    return next(p for p in (".".join(parts[:n]) for n in range(1, len(parts))) if get(config, p) is None)


def stored(file: Path, *, hint: str) -> ConfigDict:
    """The config of a run's config.json, locked, with the types of its keys, and `data.cache` by default.

    Args:
      file: the config.json.
      hint: what to say where it is not there.

    Raises:
      UserError: when it is not there, or not a config of this version.
    """
    content = read_json(file, hint=hint)
    try:
        models.trust(content["model"]["name"], file.parent)
        config = base.config(content["model"]["name"])
    except (KeyError, TypeError):
        raise UserError(f"{file} is not a config of this library") from None
    flat = dict(_flat(ConfigDict(content), ""))
    for key in (k for k in keys(config) if k in flat and flat[k] is None):
        base.set_key(config, key, None)
    wanted = flatten(config)
    if odd := sorted(wanted.keys() ^ flat.keys()):
        what = "has no" if odd[0] in wanted else "has an unknown"
        of = " or of the model's file" if odd[0].startswith(("model.", "loss.")) else ""
        raise UserError(f"{file} {OLDER}{of} (it {what} key {odd[0]}); train again in another folder")
    try:
        for key, value in flat.items():
            base.set_key(config, key, _tuples(value))
    except (TypeError, OverflowError):  # the latter of a whole number that no float can hold
        raise UserError(f"{file} is not a config of this library: {key} is {flat[key]!r}") from None
    # Programs and corpora are never taken from where a run's folder says: it may come from anybody.
    config.data.cache = base.common().data.cache
    return config


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
