"""Pretrained encoders: a name becomes a Flax module and its parameters.

A name is a local folder, `pkg:<package>/<folder>` (a folder inside an installed Python package) or a Hugging
Face id.
"""

import contextlib
import hashlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from msa_jax.errors import UserError
from msa_jax.files import expanded, read_json
from msa_jax.seals import digest
from msa_jax.text.config import EncoderConfig
from msa_jax.text.encoder import Encoder
from msa_jax.text.weights import read_weights, weight_files

_TEXT_FILES = ["config.json", "tokenizer*", "vocab*", "merges*", "sentencepiece.bpe.model"]
_TEXT_FILES += ["special_tokens_map.json", "added_tokens.json"]
_HUB_FILES = ["*.safetensors", "model.safetensors.index.json", *_TEXT_FILES]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_NEEDS = "a folder with config.json, model.safetensors and tokenizer.json"


def load_encoder(name: str, *, dtype: Any = jnp.float32) -> tuple[Encoder, dict[str, Any]]:
    """Loads a pretrained encoder: a BERT, or a RoBERTa, XLM-RoBERTa or CamemBERT.

    Args:
      name: a local folder, `pkg:<package>/<folder>`, or a Hugging Face id.
      dtype: compute dtype of the module; the parameters are float32.

    Returns:
      The module and its variables, `{"params": ...}` with NumPy leaves.

    Raises:
      UserError: when the name cannot be resolved or its files cannot be used.
    """
    folder = resolve(name)
    config = read_config(folder)
    return Encoder(config, dtype=dtype), {"params": read_weights(folder, config)}


def fingerprint(name: str) -> str:
    """A hash of the files that a pretrained encoder and its tokenizer are made of, wherever they lie.

    Args:
      name: see `load_encoder`.

    Raises:
      UserError: when the name cannot be resolved, or a file cannot be read.
    """
    folder = resolve(name)
    parts = {path for pattern in _TEXT_FILES for path in folder.glob(pattern) if path.is_file()}
    parts |= set(weight_files(folder))
    total = hashlib.sha256()
    for path in sorted(parts):
        try:
            total.update(f"{path.name} {digest(path)}\n".encode())
        except OSError as e:
            raise UserError(f"cannot read {path}: {e.strerror or e}") from None
    return total.hexdigest()


def resolve(name: str) -> Path:
    """Finds the folder that holds a pretrained model's files, downloading it if need be.

    Args:
      name: see `load_encoder`.

    Returns:
      The folder.

    Raises:
      UserError: when there is none; the message lists what was tried.
    """
    if name.startswith("pkg:"):
        return _package_folder(name)
    path = expanded(name)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError(f"encoder {name!r} is a file; give {_NEEDS}")
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"encoder {name!r}: it is not a folder, and not a Hugging Face id; give {_NEEDS}")
    return _hub_folder(name)


def _package_folder(name: str) -> Path:
    package, _, inside = name.removeprefix("pkg:").partition("/")
    # Only top-level names: looking for a.b would import a.
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:
        raise UserError(
            f"encoder {name!r}: no package {package!r} is installed (the form is pkg:<package>/<folder>)"
        )
    for location in spec.submodule_search_locations or ():
        if (folder := Path(location, inside)).is_dir():
            return folder
    raise UserError(f"encoder {name!r}: package {package!r} is installed but has no folder {inside!r}")


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Silences huggingface_hub's notices, and its progress bars where nobody watches them."""
    from huggingface_hub import utils

    level, bars = utils.logging.get_verbosity(), utils.are_progress_bars_disabled()
    utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not sys.stderr.isatty():
            utils.disable_progress_bars()
        try:
            yield
        finally:
            utils.logging.set_verbosity(level)
            if not bars:
                utils.enable_progress_bars()


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download

    tried = [f"no folder {name!r}"]
    with _quiet_hub():
        try:
            folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES, local_files_only=True))
            # Another program may have cached the tokenizer or the configuration alone.
            if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
                return folder
            tried.append("Hugging Face cache: only part of the files")
        except OSError:
            tried.append("not in the Hugging Face cache")
        try:
            return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
        except Exception as e:  # the hub client raises a dozen unrelated kinds, of three HTTP libraries
            tried.append(f"Hugging Face hub: {type(e).__name__}: {next(iter(str(e).splitlines()), '')[:200]}")
    raise UserError(
        f"cannot find the encoder {name!r} (tried: {'; '.join(tried)}). Give {_NEEDS}, or "
        "pkg:<package>/<folder>, or see to the network (and HF_TOKEN where the model is private)"
    )


def read_config(folder: Path) -> EncoderConfig:
    """Reads `config.json` of a model folder; UserError if it is missing or the model is not supported."""
    values = read_json(Path(folder) / "config.json", hint=f"give {_NEEDS}")
    try:
        return EncoderConfig.from_json(values)
    except UserError as e:
        raise UserError(f"{folder}: {e}") from None
