"""Pretrained encoders: a name becomes a Flax module and its parameters.

A name is a local folder, `pkg:<package>/<folder>` (a folder inside an installed Python package) or a Hugging
Face id. Weights come from safetensors files only; pickled weights are never opened.
"""

import contextlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from msa_jax.errors import UserError
from msa_jax.files import read_json
from msa_jax.text.config import EncoderConfig
from msa_jax.text.encoder import Encoder

_HUB_FILES = [
    "config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges*",
]
_HUB_FILES += ["special_tokens_map.json", "added_tokens.json"]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_NEEDS = "a folder with config.json, model.safetensors and tokenizer.json"


def load_encoder(name: str, *, dtype: Any = jnp.float32) -> tuple[Encoder, dict[str, Any]]:
    """Loads a pretrained BERT or RoBERTa encoder.

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
    path = Path(name).expanduser()
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


def read_weights(folder: Path, config: EncoderConfig) -> dict[str, Any]:
    """Reads a model folder's safetensors files into the parameters of `Encoder`.

    Understands names with and without the `bert.` or `roberta.` prefix, the old `gamma` and `beta` of layer
    norms, sharded checkpoints and half-precision tensors. Heads and poolers are left unread.

    Args:
      folder: the model folder.
      config: its configuration.

    Returns:
      The parameter tree with float32 NumPy leaves.

    Raises:
      UserError: when there are no safetensors, or a tensor is missing or of the wrong shape.
    """
    folder = Path(folder)
    c, D, F = config, config.hidden_size, config.intermediate_size
    with contextlib.ExitStack() as stack:
        # Half-precision tensors pass through JAX (NumPy has no bfloat16): keep them off an accelerator.
        stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        tensors = _open_tensors(folder, stack)

        def get(name: str, *shape: int) -> np.ndarray:
            if name not in tensors:
                raise UserError(
                    f"{folder}: the weights have no tensor {name!r} (nor one with a model prefix)"
                )
            file, key = tensors[name]
            found = tuple(file.get_slice(key).get_shape())
            if found != shape:
                raise UserError(f"{folder}: tensor {key!r} has shape {found}, config.json implies {shape}")
            return np.array(file.get_tensor(key), np.float32)

        def norm(name: str) -> dict[str, np.ndarray]:
            return {"scale": get(f"{name}.weight", D), "bias": get(f"{name}.bias", D)}

        def dense(d_in: int, d_out: int, *names: str) -> dict[str, np.ndarray]:
            # PyTorch keeps [out, in]; several names make one product, side by side.
            kernels = [get(f"{name}.weight", d_out, d_in).T for name in names]
            biases = [get(f"{name}.bias", d_out) for name in names]
            return {
                "kernel": np.ascontiguousarray(np.concatenate(kernels, 1)),
                "bias": np.concatenate(biases),
            }

        params: dict[str, Any] = {
            "embeddings": {
                "word": get("embeddings.word_embeddings.weight", c.vocab_size, D),
                "position": get("embeddings.position_embeddings.weight", c.max_positions, D),
                "token_type": get("embeddings.token_type_embeddings.weight", c.type_vocab_size, D),
                "norm": norm("embeddings.LayerNorm"),
            }
        }
        for k in range(c.num_layers):
            layer = f"encoder.layer.{k}"
            query, key, value = (f"{layer}.attention.self.{name}" for name in ("query", "key", "value"))
            params[f"layer_{k}"] = {
                "qkv": dense(D, D, query, key, value),
                "attention_out": dense(D, D, f"{layer}.attention.output.dense"),
                "attention_norm": norm(f"{layer}.attention.output.LayerNorm"),
                "mlp_in": dense(D, F, f"{layer}.intermediate.dense"),
                "mlp_out": dense(F, D, f"{layer}.output.dense"),
                "mlp_norm": norm(f"{layer}.output.LayerNorm"),
            }
        return params


def _open_tensors(folder: Path, stack: contextlib.ExitStack) -> dict[str, tuple[Any, str]]:
    """Maps each tensor's plain name to (open file, name in that file)."""
    tensors = {}
    for path in _weight_files(folder):
        try:
            file = stack.enter_context(safe_open(path, framework="flax"))
        except FileNotFoundError:
            raise UserError(f"{path} is missing: {folder} is incomplete") from None
        except (SafetensorError, OSError) as e:
            raise UserError(f"cannot read {path}: {e}") from None
        for key in file.keys():  # noqa: SIM118 (the file is not iterable)
            plain = re.sub(r"^(bert|roberta)\.", "", key)
            plain = plain.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
                "LayerNorm.beta", "LayerNorm.bias"
            )
            tensors[plain] = (file, key)
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if (single := folder / "model.safetensors").is_file():
        return [single]
    if index.is_file():
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict):
            raise UserError(f"{index} has no weight_map")
        return [folder / name for name in sorted(set(names.values()))]
    pickled = any(file.suffix in (".bin", ".pt", ".pth", ".ckpt") for file in folder.iterdir())
    why = (
        "pickled weights are not read"
        if pickled
        else "other formats, such as pytorch_model.bin, are not read"
    )
    raise UserError(
        f"there is no model.safetensors in {folder}: {why}; convert them with transformers, "
        "model.save_pretrained(folder)"
    )
