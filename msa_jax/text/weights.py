"""Weights of a model folder: its safetensors files become the parameters of `Encoder`.

Pickled weights are never opened.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open

from msa_jax.errors import UserError
from msa_jax.files import read_json, refuse_special
from msa_jax.text.config import EncoderConfig

_WORDS = "embeddings.word_embeddings.weight"
_FIRST_LAYER = "encoder.layer.0.attention.self.query.weight"


def read_weights(folder: Path, config: EncoderConfig) -> dict[str, Any]:
    """Reads a model folder's safetensors files into the parameters of `Encoder`.

    Understands names with any prefix (`bert.`, `module.roberta.`, ...), the old `gamma` and `beta` of layer
    norms, sharded checkpoints and half-precision tensors. Heads and poolers are left unread.

    Args:
      folder: the model folder.
      config: its configuration.

    Returns:
      The parameter tree with float32 NumPy leaves.

    Raises:
      UserError: when there are no safetensors, they hold no encoder or several, or a tensor is missing or of
        the wrong shape.
    """
    folder = Path(folder)
    c, D, F = config, config.hidden_size, config.intermediate_size
    with contextlib.ExitStack() as stack:
        # Half-precision tensors pass through JAX (NumPy has no bfloat16): keep them off an accelerator, where
        # JAX has a CPU (JAX_PLATFORMS=cuda leaves it none).
        with contextlib.suppress(RuntimeError):
            stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        tensors = _open_tensors(folder, stack)

        def get(name: str, *shape: int) -> np.ndarray:
            if name not in tensors:
                raise UserError(f"{folder}: the weights have no tensor {name!r}, though they have others")
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
    """Maps the plain name of each of the encoder's tensors to (open file, name in that file)."""
    places: dict[str, Any] = {}
    for path in weight_files(folder):
        refuse_special(path)
        try:
            file = stack.enter_context(safe_open(path, framework="flax"))
        except FileNotFoundError:
            raise UserError(f"{path} is missing: {folder} is incomplete") from None
        except (SafetensorError, OSError, UnicodeError) as e:
            raise UserError(f"cannot read {path}: {e}") from None
        places |= dict.fromkeys(file.keys(), file)
    prefix = _prefix(places, folder)
    tensors = {}
    for key, file in places.items():
        if key.startswith(prefix):
            plain = key.removeprefix(prefix)
            plain = plain.replace("LayerNorm.gamma", "LayerNorm.weight")
            tensors[plain.replace("LayerNorm.beta", "LayerNorm.bias")] = (file, key)
    return tensors


def _prefix(names: Iterable[str], folder: Path) -> str:
    """What stands before the encoder's own names: models, trainers and wrappers each put theirs in front."""
    names = set(names)
    found = sorted(
        prefix
        for name in names
        if name.endswith(_WORDS) and (prefix := name.removesuffix(_WORDS))[-1:] in ("", ".")
    )
    with_layers = [prefix for prefix in found if prefix + _FIRST_LAYER in names] or found
    if len(with_layers) == 1:
        return with_layers[0]
    if with_layers:
        raise UserError(
            f"{folder}: the weights hold {len(with_layers)} encoders, named "
            f"{', '.join(repr(prefix) for prefix in with_layers)}; save the wanted one alone"
        )
    some = ", ".join(repr(name) for name in sorted(names)[:3])
    raise UserError(
        f"{folder}: the weights have no tensor {_WORDS!r}, with or without something before it "
        f"(they begin with {some or 'nothing'}): they are not those of a BERT or RoBERTa in PyTorch's naming"
    )


def weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if (single := folder / "model.safetensors").is_file():
        return [single]
    if index.is_file():
        names = read_json(index).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise UserError(f"{index} has no weight_map that names files")
        if outside := [name for name in names.values() if name != Path(name).name]:
            raise UserError(f"{index} names {outside[0]!r}, which is not the name of a file beside it")
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
