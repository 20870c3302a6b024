"""Encoders of somebody else: folders that try what they can."""

import json
import os
from pathlib import Path

from tests.attack import MARKER


def _encoder(folder: Path, **config: object) -> Path:
    """A folder that looks like BERT's, with a vocabulary and no weights."""
    sizes = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = {"model_type": "bert", "intermediate_size": 8, "max_position_embeddings": 8, **sizes, **config}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "film"]))
    return folder


def encoder_pipe(folder: Path) -> Path:
    """A named pipe in place of config.json."""
    (_encoder(folder) / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    return folder


def encoder_in_depth(folder: Path) -> Path:
    """A config.json of brackets."""
    (_encoder(folder) / "config.json").write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    return folder


def encoder_outside(folder: Path) -> Path:
    """Weights that lie elsewhere."""
    index = {"weight_map": {"embeddings.word_embeddings.weight": "../../secret.safetensors"}}
    (_encoder(folder) / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def encoder_with_code(folder: Path) -> Path:
    """A tokenizer and a model that bring code of their own."""
    tokenizer = {"AutoTokenizer": ["own.Own", None]}
    _encoder(folder, auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own", **tokenizer})
    (folder / "vocab.txt").unlink()
    marker = folder / MARKER
    (folder / "own.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Own: pass\n")
    said = {"tokenizer_class": "Own", "auto_map": tokenizer, "trust_remote_code": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return folder
