"""SentencePiece models of XLM-RoBERTa and CamemBERT, as tokenizers of the `tokenizers` library."""

from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from msa_jax.errors import UserError
from msa_jax.text import charsmap
from msa_jax.text.tokenizer_file import explained

FILE = "sentencepiece.bpe.model"
_UNIGRAM = 1  # the kind of both models, whatever the file's name says
_CONTROL = ("<unk>", "<s>", "</s>")  # the first pieces of either file

# What stands before the file's pieces in the encoder's vocabulary, and from which piece on they follow; last
# comes <mask>. XLM-RoBERTa gives the control pieces ids of its own, CamemBERT keeps <s> and </s> of the file.
_ORDERS: dict[str, tuple[list[tuple[str, float]], int]] = {
    "xlm-roberta": ([("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)], 3),
    "camembert": (
        [
            ("<s>NOTUSED", 0.0),
            ("<pad>", 0.0),
            ("</s>NOTUSED", 0.0),
            ("<unk>", 0.0),
            ("<unk>NOTUSED", -100.0),
        ],
        1,
    ),
}


def read_sentencepiece(path: Path, model_type: str | None, vocab_size: int | None) -> tokenizers.Tokenizer:
    """Reads a sentencepiece.bpe.model.

    Args:
      path: the file.
      model_type: of the folder's config.json. A "roberta" may have either order of ids: the one that gives
        `vocab_size` ids is taken.
      vocab_size: rows of the encoder's word embedding; None where that is not known.

    Returns:
      The tokenizer, with `<s>`, `</s>`, `<pad>`, `<unk>` and `<mask>` as special tokens.

    Raises:
      UserError: when the file is not such a model, or nothing tells the order of its ids.
    """
    proto = _parsed(path)
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    if proto.trainer_spec.model_type != _UNIGRAM or tuple(piece for piece, _ in pieces[:3]) != _CONTROL:
        raise UserError(
            f"{path} is not a SentencePiece model of XLM-RoBERTa's or CamemBERT's kind (unigrams, with "
            "<unk>, <s> and </s> first); give a tokenizer.json"
        )
    orders = {name: [*front, *pieces[start:], ("<mask>", 0.0)] for name, (front, start) in _ORDERS.items()}
    fitting = [model_type] if model_type in orders else [n for n, v in orders.items() if len(v) == vocab_size]
    if len(fitting) != 1:
        raise UserError(
            f"{path}: nothing tells the ids of its pieces: XLM-RoBERTa's order has "
            f"{len(orders['xlm-roberta'])}, CamemBERT's {len(orders['camembert'])}, config.json {vocab_size}"
            "; write model_type xlm-roberta or camembert in config.json"
        )
    vocabulary = orders[fitting[0]]
    with explained(lambda reason: f"cannot read {path}: {reason}"):
        backend = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
        if proto.normalizer_spec.precompiled_charsmap:
            charsmap.check(proto.normalizer_spec.precompiled_charsmap)
            backend.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    backend.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    return backend


def _parsed(path: Path) -> Any:
    """The content of the file, which is a protocol buffer."""
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    try:
        proto.ParseFromString(path.read_bytes())
    except Exception as e:  # the library's DecodeError is of another class in each of its implementations
        raise UserError(f"cannot read {path}: it is not a SentencePiece model ({e})") from None
    return proto
