"""Vocabularies of BERT that are at hand, to find the words of tokens that came as ids."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers

from msa_jax.errors import UserError, counted
from msa_jax.files import expanded
from msa_jax.text.casing import is_cased
from msa_jax.text.loading import load_tokenizer, read_pieces
from msa_jax.text.piece_words import UNKNOWN, learn_words
from msa_jax.text.pretrained import resolve
from msa_jax.text.tokenizer import BERT_TOKENS, Tokenizer, words_of
from msa_jax.text.tokenizer_file import read_backend
from msa_jax.text.wordpiece import PREFIX

_USUAL = (
    "bert-base-uncased",
    "bert-base-chinese",
    "bert-base-cased",
)  # what the field's scripts tokenise with
_FILES = ("tokenizer.json", "vocab.txt")
_SAMPLE = 64  # texts that tell whether a vocabulary made the ids
_MADE = (
    0.5  # share of the texts whose ids the right vocabulary gives, as some may be changed; others give few
)


@dataclasses.dataclass(frozen=True)
class TokenWords:
    """The word of each token of each text, and how it was found.

    Attributes:
      words: for each text [n] int32, the index into `words_of(text)`; `UNKNOWN` where it was not found.
      note: how, in one sentence.
      open: texts of which a vocabulary that made the tokens could say more.
    """

    words: list[np.ndarray]
    note: str
    open: int = 0


def find_words(
    texts: Sequence[str],
    ids: Sequence[np.ndarray],
    cut: Sequence[bool],
    *,
    bert_vocab: str | None = None,
    encoder: str | None = None,
    repeats: Callable[[int], np.ndarray] | None = None,
    where: str = "",
) -> TokenWords:
    """Finds the words of BERT's tokens by the vocabulary that made them, or without one from the ids alone.

    Args:
      texts: N texts.
      ids: of each the content ids, without special tokens.
      cut: of each whether its ids may end before the text does.
      bert_vocab: the vocabulary to use (see `load_vocabulary`); None = any that is at hand and gives the ids:
        that of the encoder, else a local copy of those that the field's scripts use, else none.
      encoder: the name of the run's text encoder.
      repeats: as in `learn_words`.
      where: what to call the file in messages.

    Raises:
      UserError: when `bert_vocab` cannot be loaded, or does not give the ids.
    """
    for name, load in _at_hand(bert_vocab, encoder):
        words = _by_vocabulary(load(), texts, ids, cut, all_texts=name == bert_vocab)
        missing = [k for k, found in enumerate(words) if found is None]
        if len(missing) <= (1 - _MADE) * len(texts):
            note = f"The words of the tokens were found by the vocabulary of {name}"
            unsolved = 0
            if missing:  # texts that were changed after their ids were made, or ids that were cut elsewhere
                learnt = learn_words(texts, ids, cut, repeats)[0]
                for k in missing:
                    words[k] = learnt[k]
                unsolved = sum(UNKNOWN in learnt[k] for k in missing)
                note += f"; {counted(len(missing), '{clip has|clips have}')} other ids"
                note += f", and {unsolved} of these have tokens of unknown words" if unsolved else ""
            return TokenWords(words, f"{note}.", unsolved)
        if name == bert_vocab:
            raise UserError(
                f"{where}: the vocabulary --config.data.bert_vocab={name} gives the ids of text_bert in "
                f"{len(texts) - len(missing)} of {len(texts)} clips only; name the one that made them, or "
                "leave it out"
            )
    words, assumed, unsolved = learn_words(texts, ids, cut, repeats)
    note = "No vocabulary that made the BERT tokens is at hand; their words were found from the ids alone"
    if assumed:
        note += f"; in {counted(assumed, '{clip|clips}')} the likeliest way was taken"
    if unsolved:
        note += f"; in {counted(unsolved, '{clip|clips}')} none was found"
    mend = " (--config.data.bert_vocab names one)" if assumed or unsolved else ""
    return TokenWords(words, f"{note}{mend}.", assumed + unsolved)


def fitting(texts: Sequence[str], ids: Sequence[np.ndarray], encoder: str | None) -> str | None:
    """The name of a vocabulary at hand that gives these texts these content ids; None where none does."""
    for name, load in _at_hand(None, encoder):
        found = _by_vocabulary(load(), texts, ids, [True] * len(texts), all_texts=True)
        if sum(words is None for words in found) <= (1 - _MADE) * len(texts):
            return name
    return None


def fingerprint(name: str, *, download: bool = True) -> str:
    """A hash of what a vocabulary holds; arguments as of `load_vocabulary`.

    Raises:
      UserError: when it cannot be loaded.
    """
    tokenizer = _named(name) if download else load_vocabulary(name, download=False)
    return hashlib.sha256(tokenizer.to_json().encode()).hexdigest()


def load_vocabulary(name: str, *, download: bool = True) -> Tokenizer:
    """Loads a BERT vocabulary.

    Args:
      name: a vocab.txt or tokenizer.json, a folder with one of them, `pkg:<package>/<folder>`, or a Hugging
        Face id.
      download: whether that of a Hugging Face id that is not in the local cache may be downloaded.

    Raises:
      UserError: when nothing is there, or what is there is not a tokenizer.
    """
    path = expanded(name)
    if path.is_file():
        return _from_file(path)
    if not name or (not path.exists() and (path.is_absolute() or path.suffix in (".txt", ".json"))):
        raise UserError(
            f"{name!r}: no such file or folder; name a vocab.txt or tokenizer.json, a folder with one of "
            "them, or a Hugging Face id"
        )
    if path.is_dir() or name.startswith("pkg:"):
        return _from_folder(path if path.is_dir() else resolve(name))
    if (file := _cached(name)) is not None:
        return _from_file(file)
    if not download:
        raise UserError("it is no file or folder, and not in the Hugging Face cache")
    return load_tokenizer(name)


def _at_hand(bert_vocab: str | None, encoder: str | None) -> Iterator[tuple[str, Callable[[], Tokenizer]]]:
    if bert_vocab is not None:
        yield bert_vocab, functools.partial(_named, bert_vocab)
        return
    if encoder is not None:
        try:
            tokenizer = load_tokenizer(encoder)
        except UserError:  # reported later, where the encoder is needed
            pass
        else:
            yield encoder, lambda: tokenizer
    for name in _USUAL:
        for known in (name, f"google-bert/{name}"):
            if (file := _cached(known)) is not None:
                yield known, lambda file=file: _from_file(file)


def _named(name: str) -> Tokenizer:
    try:
        return load_vocabulary(name)
    except UserError as error:
        raise UserError(f"--config.data.bert_vocab: {error}") from None


def _cached(name: str) -> Path | None:
    """The vocabulary of a Hugging Face model in the local cache; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for file in _FILES:
        try:
            found = try_to_load_from_cache(name, file)
        except HFValidationError:
            return None
        if isinstance(found, str):
            return Path(found)
    return None


def _from_folder(folder: Path) -> Tokenizer:
    for file in _FILES:
        if (folder / file).is_file():
            return _from_file(folder / file)
    return load_tokenizer(str(folder))


def _from_file(path: Path) -> Tokenizer:
    """A tokenizer.json, or a list of pieces, one a line, cased where they have capitals."""
    if path.suffix == ".json":
        backend = read_backend(path)
    else:
        pieces = read_pieces(path)
        if "[UNK]" not in pieces:
            raise UserError(f"{path}: is not a vocabulary of BERT: it has no line [UNK]")
        cased = is_cased(pieces) is not False  # where it may be either, lowered texts are tried as well
        vocabulary = {piece: i for i, piece in enumerate(pieces)}
        backend = tokenizers.Tokenizer(
            models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=PREFIX)
        )
        backend.normalizer = normalizers.BertNormalizer(lowercase=not cased)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece(prefix=PREFIX)
    return Tokenizer(backend, **BERT_TOKENS)


def _by_vocabulary(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    ids: Sequence[np.ndarray],
    cut: Sequence[bool],
    *,
    all_texts: bool,
) -> list[np.ndarray | None]:
    """The words of each text's tokens, None where other ids come out.

    Unless `all_texts`, a few are tried first: all are None if other ids often come out of these.
    """
    sample = range(0, len(texts), max(1, len(texts) // _SAMPLE))
    some = [[part[k] for k in sample] for part in (texts, ids, cut)]
    for written in (str, str.lower):  # as it is, and in lower case where a cased vocabulary was given that
        tried = _matched(tokenizer, [written(text) for text in some[0]], *some[1:])
        if sum(found is not None for found in tried) >= _MADE * len(tried):
            return _matched(tokenizer, [written(text) for text in texts], ids, cut)
    return _matched(tokenizer, texts, ids, cut) if all_texts else [None] * len(texts)


def _matched(
    tokenizer: Tokenizer, texts: Sequence[str], ids: Sequence[np.ndarray], cut: Sequence[bool]
) -> list[np.ndarray | None]:
    words = [words_of(text) for text in texts]
    different = sorted(set().union(*words))  # WordPiece cuts each word by itself, wherever it stands
    pieces = dict(zip(different, tokenizer.pieces(different), strict=True))
    found: list[np.ndarray | None] = []
    for spoken, wanted, ends_early in zip(words, ids, cut, strict=True):
        parts = [pieces[word] for word in spoken]
        made = list(itertools.chain.from_iterable(parts))
        if ends_early:
            made = made[: len(wanted)]
        if made != wanted.tolist():
            found.append(None)
            continue
        places = np.arange(len(spoken), dtype=np.int32)
        found.append(np.repeat(places, [len(part) for part in parts])[: len(made)])
    return found


__all__ = ["UNKNOWN", "TokenWords", "find_words", "load_vocabulary"]
