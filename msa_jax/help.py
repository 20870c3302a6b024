"""Help: the texts of --help and of --help keys, made from the files that say what there is.

The first is read from source, without JAX, so that it is there at once; the second imports the models.
"""

import ast
import dataclasses
import functools
import inspect
import io
import itertools
import textwrap
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from msa_jax.specs import shipped, shipped_files

USAGE = """\
usage: python -m msa_jax.main --config=NAME[:VARIANT...] [--workdir=DIR] [--config.KEY=VALUE ...]
       python -m msa_jax.main --mode=eval --workdir=DIR [--config.data.path=PATH] [--config.data.KEY=VALUE]
       python -m msa_jax.main --mode=predict --workdir=DIR --config.data.path=FILE [--output=CSV]
       msa-jax train|eval|predict, with the same arguments; msa-jax data FILE tells what a file is

Trains, selects the best epoch on validation data, tests once and leaves everything in the workdir; the same
command again resumes. eval scores a finished run on any corpus; predict scores clips without labels.
"""
_MODELS = Path(__file__).parent / "models"
_WIDTH, _COLUMN = 105, 44


def text(flags: Mapping[str, str]) -> str:
    """The text of --help: usage, flags, where the keys are, shipped configs with their variants.

    Args:
      flags: what each flag is for, by its name.
    """
    lines = [USAGE, "flags:"]
    lines += [f"  --{name:8s} {what}" for name, what in flags.items()]
    lines.append("  --config.KEY=VALUE  overrides a key; --help keys lists them all with their meaning")
    lines += ["", "shipped configs (NAME is short for configs/NAME.py), and the variants that may follow"]
    lines += ["one, as in NAME:synthetic:no_audio:"]
    models = sorted((p.stem for p in _MODELS.glob("*.py")), key=len)

    def model_of(path: Path) -> str:
        return [name for name in models if path.stem.startswith(f"{name}_")][-1]

    shared = _variant_names(shipped() / "base.py")
    for model, group in itertools.groupby(shipped_files(), model_of):
        for path in group:
            title = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
            lines.append(f"  configs/{path.name:28s} {title}")
        lines += _listed(n for n in _variant_names(_MODELS / f"{model}.py") if n not in shared)
    return "\n".join([*lines, "  variants of each of them", *_listed(shared)])


def _listed(names: Iterator[str] | Sequence[str]) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(
        " ".join(f":{n}" for n in names), _WIDTH, initial_indent=indent, subsequent_indent=indent
    )


def _variant_names(path: Path) -> list[str]:
    """Those that a file declares, read without importing it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])  # with a type or without
        if any(getattr(target, "id", "") == "VARIANTS" for target in targets):
            return [key.value for key in node.value.keys]
    return []


def keys(spec: str | None) -> str:
    """The text of --help keys: every key of a config, its value, and the comment that explains it.

    Args:
      spec: the config, as --config takes it; None: the common keys at their defaults, and those of the
        sections `model` and `loss` of every model.

    Raises:
      UserError: when there is no such config.
    """
    from msa_jax import config as configs
    from msa_jax import models

    named = [configs.load(spec)[0]] if spec else [configs.base.config(name) for name in models.names()]
    common = named[0] if spec else configs.base.common()
    said, sections = common_comments()
    of = f"values in {spec}" if spec else "defaults (--config=NAME --help keys: those of a config)"
    lines = [f"The keys, as in --config.seed=1, with their {of}:", ""]
    lines += (_line(k, v, said) for k, v in common.items() if not isinstance(v, ConfigDict))
    for name, what in sections.items():
        lines += ["", f"{name}: {what}", *_section(name, common[name], said)]
    for config in named:
        paper = models.find(config.model.name)
        for section, cls in (("model", paper.model), ("loss", paper.loss)):
            of = field_comments(cls, section)
            lines += ["", f"{section} ({paper.name}): the fields of {cls.__module__}.{cls.__qualname__}"]
            lines += _section(section, config[section], of)
    return "\n".join(lines)


def _section(prefix: str, section: ConfigDict, said: Mapping[str, str]) -> Iterator[str]:
    for key, value in section.items():
        path = f"{prefix}.{key}"
        if isinstance(value, ConfigDict):
            yield _line(path, None, said, is_section=True)
            yield from _section(path, value, said)
        elif path != "model.name":
            yield _line(path, value, said)


def _line(key: str, value: Any, said: Mapping[str, str], *, is_section: bool = False) -> str:
    start = f"  {key}:" if is_section else f"  {key}={value}"
    indent = " " * _COLUMN
    lines = textwrap.wrap(said.get(key, ""), _WIDTH, initial_indent=indent, subsequent_indent=indent)
    if lines and len(start) < _COLUMN - 1:
        lines[0] = start + lines[0][len(start) :]
        return "\n".join(lines)
    return "\n".join([start, *lines])


def common_comments() -> tuple[dict[str, str], dict[str, str]]:
    """What configs/base.py says: (comment of each common key and inner section, title of each section)."""
    source = (shipped() / "base.py").read_text(encoding="utf-8")
    comments, said, sections = _Comments(source), {}, {}
    functions = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    for name in ("common", "data", "text", "optim", "parallel"):
        if name != "common":
            sections[name] = ast.get_docstring(functions[name]).splitlines()[0].partition(": ")[2]
        for node in functions[name].body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                path = ast.unparse(node.targets[0]).split(".")[1:]  # without the name of the config
                said[".".join(path if name == "common" else (name, *path))] = comments.of(node)
    return said, sections


def field_comments(cls: type, prefix: str) -> dict[str, str]:
    """The comment of each field of a model's or a loss's class, and of the classes inside, by dotted key."""
    said: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        if dataclasses.is_dataclass(one) and (file := inspect.getsourcefile(one)):
            said |= {f"{prefix}.{k}": v for k, v in _of_class(file, one.__name__).items()}
    for field in dataclasses.fields(cls):
        made = field.default_factory
        value = field.default if made is dataclasses.MISSING else made()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            said |= field_comments(type(value), f"{prefix}.{field.name}")
    return said


@functools.cache
def _of_class(file: str, name: str) -> dict[str, str]:
    source = Path(file).read_text(encoding="utf-8")
    comments = _Comments(source)
    return {
        node.target.id: comments.of(node)
        for found in ast.walk(ast.parse(source))
        if isinstance(found, ast.ClassDef) and found.name == name
        for node in found.body
        if isinstance(node, ast.AnnAssign)
    }


class _Comments:
    """The comments of a source, by line: beside code, and on lines of their own."""

    def __init__(self, source: str) -> None:
        self._beside: dict[int, str] = {}
        self._alone: dict[int, str] = {}
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                place = self._beside if token.line[: token.start[1]].strip() else self._alone
                place[token.start[0]] = token.string.lstrip("# ")

    def of(self, node: ast.stmt) -> str:
        """That beside a statement, or else that above it; "" where there is none."""
        beside = [self._beside[n] for n in range(node.lineno, node.end_lineno + 1) if n in self._beside]
        if beside:
            return " ".join(beside)
        first = node.lineno
        while first - 1 in self._alone:
            first -= 1
        return " ".join(self._alone[n] for n in range(first, node.lineno))
