"""Identity of a run: its settings and the content of its data, wherever these lie."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from msa_jax import config as configs
from msa_jax import models
from msa_jax.errors import UserError
from msa_jax.files import finite, fitting
from msa_jax.seals import digest_json
from msa_jax.text import bert_vocab
from msa_jax.text.pretrained import fingerprint

# Their content counts, not the place where it lies.
PLACES = ("data.path", "data.bert_vocab", "text.encoder")
FREE = ("epochs", "seeds", *configs.RESUME_KEYS, *PLACES)
_NO_PLACES = (None, "scratch", "features")  # of text.encoder


def contents(config: ConfigDict, data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of what a config names by its place, and JAX's mode.

    Args:
      config: of the run.
      data: `hash` of the content of its data, and their `cut`.

    Raises:
      UserError: when there is no such encoder or vocabulary.
    """
    models.refuse_changed(config.model.name)
    encoder, vocabulary, code = config.text.encoder, config.data.bert_vocab, models.code(config.model.name)
    return {
        "data": [data["hash"], data["cut"]],
        "text.encoder": encoder if encoder in _NO_PLACES else fingerprint(encoder),
        "data.bert_vocab": None if vocabulary is None else bert_vocab.fingerprint(vocabulary),
        "64-bit mode": bool(jax.config.jax_enable_x64),
        **({} if code is None else {"model.name": code}),
    }


def of_run(config: ConfigDict, content: Mapping[str, Any]) -> str:
    """The run's identity, 64 hexadecimal digits: two runs with the same one compute the same.

    Args:
      config: its settings; `epochs` does not count, as a run can go on.
      content: as `contents` gives it.
    """
    flat = configs.flatten(config)
    settings = {key: finite(value) for key, value in flat.items() if not configs.is_one_of(key, FREE)}
    return digest_json([settings, content])


def changes(config: ConfigDict, plain: ConfigDict) -> dict[str, Any]:
    """What was overridden of a config, but for what does not belong to a run's identity.

    Args:
      config: with the overrides.
      plain: without them.
    """
    differ = configs.differences(plain, config, free=FREE)
    return {key: now for key, (_, now) in differ.items()}


def own_places(config: ConfigDict, trained: ConfigDict) -> list[str]:
    """The keys of `PLACES` whose places the run names, and not the user.

    Args:
      config: with which it is loaded.
      trained: its own.
    """
    now, was = configs.flatten(config), configs.flatten(trained)
    return [key for key in PLACES if now[key] == was[key]]


@dataclasses.dataclass(frozen=True)
class DefaultFolder:
    """The folder of a run whose user names none; its last part is known once the data are.

    Attributes:
      name: of the config with its variants.
      changed: what was overridden, as `changes` gives it.
    """

    name: str
    changed: Mapping[str, Any]

    def named(self, content: Mapping[str, Any]) -> Path:
        """`runs/<name>-<hash>`: another seed, rate or file has another folder; more epochs have the same.

        Args:
          content: as `contents` gives it.
        """
        return Path("runs") / fitting("", self.name, f"-{digest_json([dict(self.changed), content])[:8]}")


def trained_folders(name: str) -> list[Path]:
    """The default folders of a config that hold a run."""
    found = []
    for own, file in ((name, "config.json"), (f"{name}-seeds", "seed_*/config.json")):
        start = fitting("", own, "-" + "0" * 8)[:-8]
        of_name = re.compile(rf"{re.escape(start)}[0-9a-f]{{8}}")
        places = (p.parent for p in Path("runs").glob(f"*/{file}"))
        found += [p for p in places if of_name.fullmatch(p.relative_to("runs").parts[0])]
    return sorted(found)


def refuse_other_run(config: ConfigDict, workdir: Path) -> None:
    """Stops before a folder that holds a run with other settings.

    Args:
      config: of the run that is to start, or to go on.
      workdir: its folder, which need not be there yet.

    Raises:
      UserError: when settings differ; names them.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir: {workdir} is a file; name a folder")
    if not (workdir / "config.json").exists():
        return
    # A config of another version is refused for what it is, and not for the first key that differs.
    old = configs.stored(workdir / "config.json", hint="")
    changed = configs.differences(old, config, free=FREE)
    was, now = old.text.encoder, config.text.encoder
    if was != now and (was in _NO_PLACES or now in _NO_PLACES):
        changed["text.encoder"] = (was, now)
    if config.epochs < old.epochs:
        changed["epochs"] = (old.epochs, config.epochs)
    if changed:
        (key, (was, now)), *rest = changed.items()
        more = f" (and {', '.join(k for k, _ in rest)})" if rest else ""
        raise UserError(
            f"--workdir: {workdir} holds a run with {key}={was}, not {now}{more}; "
            "name another folder, or repeat that run's settings"
        )
