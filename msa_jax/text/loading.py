"""Loading of the tokenizer of a pretrained encoder, from whichever files its folder has.

transformers is imported only for a folder that has no tokenizer.json.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models

from msa_jax.errors import UserError
from msa_jax.files import read_json, refuse_special
from msa_jax.text.casing import lowers_by_evidence, note_on_vocabulary, settle_case
from msa_jax.text.pretrained import resolve
from msa_jax.text.sentence_piece import FILE as SENTENCEPIECE
from msa_jax.text.sentence_piece import read_sentencepiece
from msa_jax.text.tokenizer import BERT_TOKENS, Tokenizer
from msa_jax.text.tokenizer_file import check, is_panic, read_backend

_ROBERTA_TOKENS = {"cls": "<s>", "sep": "</s>", "pad": "<pad>"}
_CONFIG = "tokenizer_config.json"
# Classes of tokenizer_config.json whose vocab.txt is plain WordPiece; that of BertJapaneseTokenizer is not.
_WORDPIECE = (None, "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend")
_LARGEST_VOCABULARY = 1 << 26  # bytes; the largest have some 5 MB
_NAMED = 5  # missing tokens that a message names


def load_tokenizer(name: str) -> Tokenizer:
    """Loads the tokenizer of a pretrained encoder.

    A tokenizer.json is read as it is. Of a folder with a vocab.txt alone `do_lower_case` of
    tokenizer_config.json says whether texts are lowered; without it the vocabulary does: one with capitals
    keeps them.

    Args:
      name: a local folder, `pkg:<package>/<folder>`, or a Hugging Face id, as for `load_encoder`.

    Returns:
      The tokenizer, without the truncation or padding that its files may ask for.

    Raises:
      UserError: when the name cannot be resolved, or holds no usable tokenizer, one that is not certain, or
        one with tokens that the encoder has no rows for.
    """
    folder = resolve(name)
    config = _optional_json(folder / "config.json")
    if (folder / "tokenizer.json").is_file():
        backend = read_backend(folder / "tokenizer.json")
        lowers, note = settle_case(backend, _said(folder), folder)
    elif (pieces := _pieces(folder)) is not None:
        backend, lowers, note = _from_pieces(folder, pieces)
    elif (folder / SENTENCEPIECE).is_file():
        backend, lowers, note = _from_sentencepiece(folder, config), False, ""
    else:
        _refuse_half_a_vocabulary(folder)
        backend, lowers, note = _converted(folder), False, ""
    if not (folder / "tokenizer.json").is_file():
        check(backend, folder)
    if isinstance(backend.model, models.WordPiece) and not note:
        note = note_on_vocabulary(backend.get_vocab(with_added_tokens=False), lowers, folder)
    _refuse_no_words(backend, folder)
    _refuse_missing_rows(backend, config.get("vocab_size"), folder)
    named = _named_tokens(folder)
    for usual in (BERT_TOKENS, _ROBERTA_TOKENS):
        tokens = {**usual, **named}
        if all(backend.token_to_id(token) is not None for token in tokens.values()):
            return Tokenizer(backend, **tokens, note=note)
    raise UserError(
        f"cannot tell the start, end and padding tokens of the tokenizer in {folder}: name cls_token, "
        f"sep_token and pad_token in its {_CONFIG}"
    )


def read_pieces(path: Path) -> list[str]:
    """The pieces of a vocab.txt, one a line: a piece's id is its line's number.

    Raises:
      UserError: when the file cannot be read as text, or is too large.
    """
    try:
        # Not splitlines: a vocabulary may hold characters that it takes for the end of a line.
        refuse_special(path)
        if path.stat().st_size > _LARGEST_VOCABULARY:
            raise UserError(f"{path}: is larger than {_LARGEST_VOCABULARY >> 20} MiB, as no vocabulary is")
        pieces = path.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a vocabulary, a piece a line ({error})") from None
    return pieces[:-1] if pieces[-1] == "" else pieces


def _optional_json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}


def _said(folder: Path) -> bool | None:
    """`do_lower_case` of tokenizer_config.json; None where it is not there."""
    said = _optional_json(folder / _CONFIG).get("do_lower_case")
    return said if isinstance(said, bool) else None


def _pieces(folder: Path) -> list[str] | None:
    """The WordPiece vocabulary of a folder's vocab.txt; None where there is none of that kind."""
    path = folder / "vocab.txt"
    if not path.is_file() or _optional_json(folder / _CONFIG).get("tokenizer_class") not in _WORDPIECE:
        return None
    pieces = read_pieces(path)
    return pieces if "[UNK]" in pieces else None


def _from_pieces(folder: Path, pieces: list[str]) -> tuple[tokenizers.Tokenizer, bool, str]:
    """(tokenizer of a folder's vocab.txt, whether it lowers texts, what had to be decided)."""
    lowers, note = _said(folder), ""
    if lowers is None:
        lowers = lowers_by_evidence(pieces, str(folder))
        if not lowers:
            note = (
                f"the vocab.txt of {folder} has capitals and no {_CONFIG} says do_lower_case: the case of "
                'texts is kept ("do_lower_case": true there lowers them)'
            )
    return _converted(folder, do_lower_case=lowers), lowers, note


def _from_sentencepiece(folder: Path, config: dict[str, Any]) -> tokenizers.Tokenizer:
    with _quiet_transformers():
        backend = read_sentencepiece(
            folder / SENTENCEPIECE, config.get("model_type"), config.get("vocab_size")
        )
    added = _optional_json(folder / "added_tokens.json")
    for token, number in sorted(added.items(), key=lambda item: item[1]):
        if backend.token_to_id(token) is None:
            backend.add_tokens([token])
        if backend.token_to_id(token) != number:
            raise UserError(
                f"{folder}: added_tokens.json gives {token!r} the id {number}, after the vocabulary it has "
                f"{backend.token_to_id(token)}; correct the file, or give a tokenizer.json"
            )
    return backend


def _refuse_half_a_vocabulary(folder: Path) -> None:
    """Refuses byte pairs of which one of the two files is missing: transformers makes the other one up."""
    names = ("vocab.json", "merges.txt")
    there = [name for name in names if (folder / name).is_file()]
    if len(there) == 1:
        (missing,) = set(names) - set(there)
        raise UserError(f"{folder}: its tokenizer has a {there[0]} but no {missing}; copy that file as well")


def _refuse_no_words(backend: tokenizers.Tokenizer, folder: Path) -> None:
    """Refuses a vocabulary of special tokens alone: transformers makes one up where the files are missing."""
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    if special.issuperset(backend.get_vocab()):
        raise UserError(
            f"there is no usable tokenizer in {folder}: its vocabulary has no words; copy the encoder's "
            f"tokenizer.json (or vocab.txt, vocab.json and merges.txt, {SENTENCEPIECE}) there"
        )


def _refuse_missing_rows(backend: tokenizers.Tokenizer, rows: Any, folder: Path) -> None:
    """Refuses tokens, most often added ones, for which the word embedding has no row."""
    vocabulary = backend.get_vocab()
    if not isinstance(rows, int) or max(vocabulary.values(), default=-1) < rows:
        return
    missing = sorted((number, token) for token, number in vocabulary.items() if number >= rows)
    named = ", ".join(f"{token!r} ({number})" for number, token in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    raise UserError(
        f"{folder}: its tokenizer has tokens that its weights lack: {named}{more}; the word embedding has "
        f"{rows} rows. Take them out of the tokenizer's files, or save the weights again after "
        f"model.resize_token_embeddings({missing[-1][0] + 1}) in transformers"
    )


def _named_tokens(folder: Path) -> dict[str, str]:
    """The special tokens that a folder's side files name, under our short names."""
    named = {}
    for file in ("special_tokens_map.json", _CONFIG):
        values = _optional_json(folder / file)
        for short in ("cls", "sep", "pad"):
            token = values.get(f"{short}_token")
            if isinstance(token, dict):
                token = token.get("content")
            if isinstance(token, str):
                named[short] = token
    return named


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silences transformers, which announces at import that it found no PyTorch (none is needed here)."""
    variable = "TRANSFORMERS_NO_ADVISORY_WARNINGS"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        from transformers.utils import logging

        level = logging.get_verbosity()
        logging.set_verbosity_error()
        yield
        logging.set_verbosity(level)
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def _converted(folder: Path, **options: Any) -> tokenizers.Tokenizer:
    """Builds the tokenizer of a folder that has only vocabulary files.

    Args:
      folder: the folder.
      options: of BERT's tokenizer, whose vocab.txt the folder has; without any the folder's own files say
        which tokenizer it is.
    """
    with _quiet_transformers():
        from transformers import AutoTokenizer, BertTokenizer

        kind = BertTokenizer if options else AutoTokenizer
        # Said outright: else transformers asks on the terminal whether to run the code of a folder.
        options |= {"local_files_only": True, "trust_remote_code": False}
        try:
            return kind.from_pretrained(str(folder), **options).backend_tokenizer
        except BaseException as e:  # missing files come as OSError, TypeError, ValueError, ...
            if not (isinstance(e, Exception) or is_panic(e)):
                raise
            reason = next(iter(str(e).strip().splitlines()), type(e).__name__)[:200]
    raise UserError(f"there is no usable tokenizer in {folder} (a tokenizer.json is best): {reason}")
