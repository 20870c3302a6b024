"""Configs: found, imported, changed by variants and overrides, and read back from a run's folder.

`from msa_jax.config import base` is how a config file, shipped or a user's own, gets at the common keys.
"""

import importlib.util
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from msa_jax.errors import UserError, nearest
from msa_jax.files import OLDER, read_json
from msa_jax.progress import say


def shipped() -> Path:
    """The folder of the configs that come with the package."""
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else inside.parents[1] / "configs"


def shipped_files() -> list[Path]:
    """The configs that come with the package; base.py is not one."""
    return sorted(p for p in shipped().glob("*_*.py") if not p.name.startswith("_"))


def _run_file(path: Path, name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


base = _run_file(shipped() / "base.py", "msa_jax.config.base")


def load(spec: str) -> tuple[ConfigDict, str]:
    """Reads a config file and applies its variants from left to right.

    Args:
      spec: FILE, FILE:VARIANT, FILE:VARIANT:VARIANT, ...; a file that is not there is looked for among the
        shipped ones.

    Returns:
      (config, name): the locked config, and its name with the variants, for folders.

    Raises:
      UserError: when there is no such file or variant; names the nearest.
    """
    file, *variants = split_spec(spec)
    module = _import(path := _find(file, variants))
    try:
        config = module.get_config()
    except UserError:
        raise
    except Exception as e:  # a user's file may do anything
        raise UserError(f"--config: get_config of {file} failed: {_reason(e)}") from e
    if not isinstance(config, ConfigDict):
        raise UserError(
            f"--config: get_config of {file} returned a {type(config).__name__}, not a ConfigDict"
        )
    if "name" not in (config.get("model") or ()):
        raise UserError(f"--config: {file}: the config has no model.name; start it from base.config(NAME)")
    own = getattr(module, "VARIANTS", {})
    config.lock()
    for place, name in enumerate(variants):
        try:
            before = flatten(config)
            base.apply(config, name, own)
            _say_what_is_undone(before, config, variants[:place], name, own)
        except KeyError as e:
            if e.args[0] != name:
                raise UserError(
                    f"--config: {file}: the variant {name} sets {e.args[0]}, which is not there"
                ) from None
            known = list(variants_of(config.model.name, own))
            raise UserError(f"--config: {file} has no variant {name!r}; {nearest(name, known)}") from None
        except TypeError as e:
            raise UserError(
                f"--config: {file}: the variant {name} sets a wrong value: {_reason(e)}"
            ) from None
    return config, "-".join((path.stem, *variants))


def _say_what_is_undone(
    before: Mapping[str, Any], config: ConfigDict, earlier: Sequence[str], name: str, own: Mapping[str, Any]
) -> None:
    """One line where a variant of every config, such as `tiny`, takes back what one before it had set."""
    if name not in ("synthetic", *base.VARIANTS):
        return
    of, after = variants_of(config.model.name, own), flatten(config)
    for one in (v for v in earlier if v != "synthetic" and v not in base.VARIANTS):
        for key in of[one].keys() & of[name].keys():
            if before.get(key) != after.get(key):
                say(f"note: {name} sets {key} again, which {one} had set; write :{name} first to keep it")


def split_spec(spec: str) -> list[str]:
    """FILE and the variants that follow it; a drive letter such as C: belongs to the file."""
    return re.split(r":(?![\\/])", spec)


def variants_of(model: str, own: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The changes of each variant: those of all models, of the model's file, and of the config's own."""
    of_model = base.models.find(model).variants
    names = dict.fromkeys((*of_model, *own, *base.VARIANTS))
    sources = (base.VARIANTS, of_model, own)  # the last one has the last word, as in `base.apply`
    return {n: {k: v for source in sources for k, v in source.get(n, {}).items()} for n in names}


def variants(path: Path) -> dict[str, Mapping[str, Any]]:
    """The variants of a config file."""
    module = _import(path)
    return variants_of(module.get_config().model.name, getattr(module, "VARIANTS", {}))


def _find(file: str, variants: Sequence[str]) -> Path:
    path = Path(file)
    if path.is_file():
        return path
    found = next((p for p in shipped_files() if path == Path("configs", p.name)), None)
    if found is not None:
        return found
    known = [f"configs/{p.name}" for p in shipped_files()]
    # 0.1.0 had files of their own for the embedded corpora.
    model, *rest = [part for part in path.stem.split("_") if part != "synthetic"] or [""]
    names = (f"configs/{model}_{corpus}.py" for corpus in ("_".join(rest), "mosi"))
    now = next((name for name in names if name in known), None)
    if now and "synthetic" in path.stem.split("_"):
        raise UserError(
            f"--config: {file} is now a variant; say --config={':'.join((now, 'synthetic', *variants))}"
        )
    raise UserError(f"--config: there is no file {file}; {nearest(file, known)}")


def _import(path: Path) -> types.ModuleType:
    try:
        module = _run_file(path, f"msa_jax_config_{path.stem}")
    except ModuleNotFoundError as e:
        if str(e.name).split(".")[0] != "configs":
            raise UserError(f"--config: {path} is not a config file: {_reason(e)}") from e
        raise UserError(
            f"--config: {path} imports from `configs`, which is not a package any more; say "
            "`from msa_jax.config import base` and start from base.config(MODEL)"
        ) from e
    except Exception as e:
        raise UserError(f"--config: {path} is not a config file: {_reason(e)}") from e
    if not callable(getattr(module, "get_config", None)):
        raise UserError(f"--config: {path} is not a config file: it has no function get_config")
    return module


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


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
            raise UserError(f"--config.{match[2]}: the config has no such key; {_near_key(match[2], known)}")
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


def _near_key(wrong: str, known: Sequence[str]) -> str:
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
    """The config of a run's config.json, locked, with the types that its keys have.

    Args:
      file: the config.json.
      hint: what to say where it is not there.

    Raises:
      UserError: when it is not there, or not a config of this version.
    """
    content = read_json(file, hint=hint)
    try:
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
    except TypeError:
        raise UserError(f"{file} is not a config of this library: {key} is {flat[key]!r}") from None
    return config


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
