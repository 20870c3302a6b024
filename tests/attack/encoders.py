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


def encoder_of_growing_texts(folder: Path) -> Path:
    """A tokenizer of some hundred bytes that makes 48 letters of one."""
    growing = [{"type": "Replace", "pattern": {"String": "a"}, "content": "a" * count} for count in (16, 3)]
    return _with_tokenizer(folder, normalizer={"type": "Sequence", "normalizers": growing})


def encoder_of_doubled_bytes(folder: Path) -> Path:
    """A tokenizer that spells bytes by bytes, again and again."""
    spelt = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return _with_tokenizer(folder, pre_tokenizer={"type": "Sequence", "pretokenizers": [spelt] * 30})


def encoder_of_impossible_merges(folder: Path) -> Path:
    """A tokenizer on which the library panics."""
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
    return _with_tokenizer(folder, model={**model, "continuing_subword_prefix": "##abc"})


def _with_tokenizer(folder: Path, **values: object) -> Path:
    """A folder whose tokenizer.json has other values."""
    pieces = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4}
    model = {"type": "WordPiece", "vocab": pieces, "unk_token": "[UNK]", "max_input_chars_per_word": 100}
    sound = {"added_tokens": [], "model": {**model, "continuing_subword_prefix": "##"}}
    (_encoder(folder) / "tokenizer.json").write_text(json.dumps({"version": "1.0", **sound, **values}))
    return folder
