"""Models, one file for each paper. `find` takes a model's file by its name; no table lists them.

A model's file, here or in a package of its own, holds

    Model     a Linen module whose typed fields (see `fields`) are the config's `model` section
    Loss      a frozen dataclass that extends `msa_jax.losses.Loss`; its fields are the `loss` section
    DEFAULTS  common keys that the paper sets for every corpus: dotted keys and their values (optional)
    VARIANTS  what each `:name` after a config file changes, likewise (optional)

and, on the class, what applies of: TIME_LINE = "text" (audio and vision lie beside the text's tokens),
NEEDS_ENCODER = True (the model lives in a text encoder), SCORES_ONLY = True (it has no output for classes),
NEEDS_LABELS = True (it learns from `label_text`, `label_audio` and `label_vision`), SUGGESTED = True (of all
models that take a file, it is the one that the inspection of the file proposes). A method
`check(max_length)` may raise `fields.Misfit` for fields that do not fit together; it is asked before there
is an encoder, too. A method `notes(batch_size)` may yield lines that are printed before a run.

The run fills the fields `encoder`, `frozen`, `modalities`, `outputs` and `clips` (of the training split),
where a model has them. Every parameter and collection must be made with train=False too; the random streams
of a training step are "dropout" and "sample".
"""

import dataclasses
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import flax.linen as nn

from msa_jax import losses
from msa_jax.errors import UserError, nearest
from msa_jax.models import _trusted as trusted
from msa_jax.models import fields
from msa_jax.seals import digest


@dataclasses.dataclass(frozen=True)
class Paper:
    """What a model's file declares.

    Attributes:
      name: as in the config.
      model: class of the module.
      loss: class of the `loss` section.
      defaults: of common keys, by dotted key.
      variants: by name, what each changes.
    """

    name: str
    model: type
    loss: type
    defaults: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]

    @property
    def time_line(self) -> str | None:
        """The only `data.time_line` that the model takes; None: it takes each."""
        return getattr(self.model, "TIME_LINE", None)

    @property
    def needs_encoder(self) -> bool:
        """Whether the model lives in a text encoder, even where there is no text."""
        return getattr(self.model, "NEEDS_ENCODER", False)

    @property
    def scores_only(self) -> bool:
        """Whether the model has no output for classes."""
        return getattr(self.model, "SCORES_ONLY", False)

    @property
    def needs_labels(self) -> bool:
        """Whether the model learns from labels by modality."""
        return getattr(self.model, "NEEDS_LABELS", False)

    @property
    def suggested(self) -> bool:
        """Whether it stands before other models that take the same file, where one is to be named."""
        return getattr(self.model, "SUGGESTED", False)

    @property
    def _not_in_config(self) -> tuple[str, ...]:
        return (*fields.GIVEN, "name", "parent")

    def section(self) -> Any:
        """The config's `model` section at its defaults, and the `name`."""
        section = fields.section(self.model, skip=self._not_in_config)
        section.name = self.name
        return section

    def check(self, section: Mapping[str, Any]) -> None:
        """Refuses a `model` section that the class does not allow.

        Raises:
          UserError: names the key, the value, and what is possible.
        """
        values = {k: v for k, v in section.items() if k != "name"}
        fields.check(self.model, values, "model", skip=self._not_in_config)

    def build(self, section: Mapping[str, Any], *, max_length: int, **given: Any) -> Any:
        """The module that a `model` section describes.

        Args:
          section: the section, with `name`, as a dict.
          max_length: of a text, in tokens.
          **given: the fields that the run fills, of `fields.GIVEN`; those that the class lacks are left out.

        Raises:
          UserError: when the fields do not fit together, or not the run.
        """
        values = {k: v for k, v in section.items() if k != "name"}
        has = {f.name for f in dataclasses.fields(self.model)}
        model = fields.build(self.model, values, **{k: v for k, v in given.items() if k in has})
        if hasattr(model, "check"):
            try:
                model.check(max_length=max_length)
            except fields.Misfit as e:
                raise UserError(f"--config.model.{e}") from None
        return model


def names() -> list[str]:
    """The models of this package, by the names of their files."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(n for n in found if n != "fields" and not n.startswith("_"))


def trust(name: object, folder: Path) -> None:
    """Refuses a model outside of this package that a run names and the user has not; see `_trusted.check`.

    Args:
      name: as for `find`.
      folder: of the run.

    Raises:
      UserError: when it is not to be imported.
    """
    if isinstance(name, str) and name not in names():
        trusted.check(name, folder)


# Of models from elsewhere by name: the spec of the module, which a reload renews, and the hash of its file.
_files: dict[str, tuple[ModuleSpec | None, str | None]] = {}


def find(name: str) -> Paper:
    """The model of a file.

    Args:
      name: of a file in `msa_jax.models`, or the dotted path of a module elsewhere.

    Raises:
      UserError: when there is no such module, or it is not a model's file.
    """
    shipped = isinstance(name, str) and name in names()
    path = f"msa_jax.models.{name}" if shipped else name
    try:
        module = importlib.import_module(path)
    except (Exception, SystemExit) as e:  # a user's file may do anything, and a program ends by itself
        missing = getattr(e, "name", None) if isinstance(e, ModuleNotFoundError) else None
        if not (missing and f"{path}.".startswith(f"{missing}.")):
            reason = f"{type(e).__name__}: {e}".splitlines()[0]
            raise UserError(f"--config.model.name: {path} cannot be imported: {reason}") from e
        hint = nearest(name, names())
        hint += " (a model of your own is named by the dotted path of its file, as in my_package.my_model"
        hint += "; install its package, or put the folder that holds it on PYTHONPATH)"
        raise UserError(f"--config.model.name: there is no model {name!r}; {hint}") from None
    for part in ("Model", "Loss"):
        if not inspect.isclass(getattr(module, part, None)):
            raise UserError(f"--config.model.name: {path} is not a model's file: it has no class {part}")
    kinds = {"Model": (nn.Module, "Linen module"), "Loss": (losses.Loss, "dataclass, a msa_jax.losses.Loss")}
    for part, (kind, words) in kinds.items():
        cls = getattr(module, part)
        if not (issubclass(cls, kind) and "__dataclass_params__" in vars(cls)):
            raise UserError(f"--config.model.name: {path}: {part} must be a {words}")
    if not shipped and (name not in _files or _files[name][0] is not module.__spec__):
        _files[name] = module.__spec__, _digest_of(module)
    defaults, variants = (dict(getattr(module, table, {})) for table in ("DEFAULTS", "VARIANTS"))
    return Paper(name, module.Model, module.Loss, defaults, variants)


def code(name: str) -> str | None:
    """Hash of the file of a model from elsewhere, as it was when `find` first met the module.

    Args:
      name: as for `find`.

    Returns:
      None for a shipped model, and where there is no file.
    """
    if name in names():
        return None
    find(name)
    return _files[name][1]


def refuse_changed(name: str) -> None:
    """UserError where the file of a model has changed since it was imported: it is not what would compute."""
    was = code(name)
    if was is not None and _digest_of(sys.modules[name]) != was:
        raise UserError(
            f"{sys.modules[name].__file__} has changed since it was imported; restart Python, or reload the "
            f"module {name} by importlib.reload"
        )


def _digest_of(module: ModuleType) -> str | None:
    try:
        return digest(Path(module.__file__))
    except (AttributeError, TypeError, OSError):  # no file, as in a zip
        return None
