"""Tokenizers: texts become token ids, each with the place of the word that it came from.

A thin layer over the `tokenizers` library: a saved tokenizer is one `tokenizer.json` that this library reads
by itself.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tokenizers
from jaxtyping import Int32
from tokenizers import models, normalizers, pre_tokenizers, processors

from msa_jax.errors import UserError
from msa_jax.files import read_json, whole_file
from msa_jax.text.tokenizer_bounds import check_text
from msa_jax.text.tokenizer_file import explained, read_backend
from msa_jax.text.wordpiece import PREFIX, learn_vocabulary

BERT_TOKENS = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]"}
# The characters that BERT's tokenizer sets apart (its "CJK Unified Ideographs" and their extensions).
_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002ceaf\U0002f800-\U0002fa1f"
_CHINESE_CHARACTER = re.compile(f"[{_CHINESE}]")
_WORD = re.compile(f"[{_CHINESE}]|[^\\s{_CHINESE}]+")
_AT_ONCE = 1 << 18  # letters of words that are taken apart together
_TRAINED_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


class Tokenizer:
    """Turns a text into token ids between a start and an end token.

    Attributes:
      cls_id: id of the start token ([CLS], <s>).
      sep_id: id of the end token ([SEP], </s>).
      pad_id: id of the padding token.
      unk_id: id of the token for what the vocabulary lacks; None where it lacks nothing.
      vocab_size: number of ids.
      note: what was decided about it from evidence when it was loaded, and what settles it; may be empty.
    """

    def __init__(
        self, backend: tokenizers.Tokenizer, *, cls: str, sep: str, pad: str, note: str = ""
    ) -> None:
        """Wraps a tokenizer.

        Args:
          backend: the tokenizer; a copy is kept, with truncation and padding off.
          cls: start token.
          sep: end token.
          pad: padding token.
          note: as the attribute.

        Raises:
          UserError: when one of the three is not in the vocabulary.
        """
        ids = {token: backend.token_to_id(token) for token in (cls, sep, pad)}
        if missing := [token for token, value in ids.items() if value is None]:
            raise UserError(f"the tokenizer's vocabulary lacks the special tokens {', '.join(missing)}")
        self._backend = tokenizers.Tokenizer.from_str(backend.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self._cls, self._sep, self._pad = cls, sep, pad
        self.cls_id, self.sep_id, self.pad_id = (int(ids[token]) for token in (cls, sep, pad))
        self.unk_id = _unknown(self._backend)
        self.vocab_size = self._backend.get_vocab_size()
        self.note = note

    @property
    def special_ids(self) -> list[int]:
        """The ids of its special tokens, that for masked ones included."""
        added = self._backend.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        masks = (self._backend.token_to_id(token) for token in ("[MASK]", "<mask>"))
        named = {self.cls_id, self.sep_id, self.pad_id, self.unk_id, *masks} - {None}
        return sorted(special | named)

    def encode(
        self, text: str, max_content: int | None = None, *, chinese: bool = False
    ) -> tuple[Int32[np.ndarray, " n"], Int32[np.ndarray, " n"]]:
        """Encodes one text.

        Args:
          text: the text; an empty one gives the two special tokens.
          max_content: the most subwords to keep; with the special tokens, n is at most `max_content + 2`.
            None keeps all.
          chinese: whether each Chinese character is a word of its own, as in `words_of`.

        Returns:
          ids: [n] token ids, the first `cls_id` and the last `sep_id`.
          word_ids: [n] for each token the index into `text.split(" ")`, or into `words_of(text)`, of the
            word that it begins in, -1 for the two special tokens.

        Raises:
          UserError: when the text has what the vocabulary lacks, the token for that among it, or becomes far
            longer in the tokenizer.
        """
        check_text(self._backend, text)
        with _explained():
            encoding = self._backend.encode(text, add_special_tokens=False)
        ids, offsets = encoding.ids[:max_content], encoding.offsets[:max_content]
        starts = [_skip_spaces(text, start, end) for start, end in offsets]
        words = _word_at(text, chinese)[np.asarray(starts, np.int64)]
        return (
            np.array([self.cls_id, *ids, self.sep_id], np.int32),
            np.array([-1, *words, -1], np.int32),
        )

    def pieces(self, words: Sequence[str]) -> list[list[int]]:
        """The ids of each word by itself, without special tokens; raises as `encode`."""
        found: list[list[int]] = []
        for some in _together(words):
            check_text(self._backend, " ".join(some))
            with _explained():
                encoded = self._backend.encode_batch(some, add_special_tokens=False)
            found += [encoding.ids for encoding in encoded]
        return found

    def save(self, path: Path) -> None:
        """Writes one `tokenizer.json`, which `Tokenizer.load` and the `tokenizers` library both read.

        The special tokens are written where that format has a place for them: the start and end token as the
        post-processor's template, the padding token in the padding section.
        """
        with whole_file(Path(path)) as f:
            f.write(self.to_json())

    def to_json(self) -> str:
        """The content of that file."""
        backend = tokenizers.Tokenizer.from_str(self._backend.to_str())
        backend.post_processor = processors.TemplateProcessing(
            single=f"{self._cls} $A {self._sep}",
            special_tokens=[(self._cls, self.cls_id), (self._sep, self.sep_id)],
        )
        backend.enable_padding(pad_id=self.pad_id, pad_token=self._pad)
        return backend.to_str()

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Reads what `save` wrote; UserError if the file is missing or was not written by it."""
        values = read_json(Path(path))
        try:
            template = [piece["SpecialToken"]["id"] for piece in values["post_processor"]["single"][::2]]
            start, end = template
            pad = values["padding"]["pad_token"]
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path} is not a tokenizer that msa_jax saved; read it with load_tokenizer"
            ) from None
        return cls(read_backend(Path(path)), cls=start, sep=end, pad=pad)


def _together(words: Sequence[str]) -> Iterator[list[str]]:
    """The words in parts that do not take much memory."""
    some: list[str] = []
    total = 0
    for word in words:
        if some and total + len(word) > _AT_ONCE:
            yield some
            some, total = [], 0
        some.append(word)
        total += len(word)
    yield some


def _explained() -> contextlib.AbstractContextManager[None]:
    return explained(
        lambda reason: (
            f"the tokenizer cannot take a text apart ({reason}): its vocabulary is not whole; bring "
            "its files back from where they came from"
        )
    )


def _unknown(backend: tokenizers.Tokenizer) -> int | None:
    token = getattr(backend.model, "unk_token", None)
    return None if token is None else backend.token_to_id(token)


def words_of(text: str) -> list[str]:
    """The words of a text: what spaces separate, and each Chinese character, as BERT takes it for a word."""
    return text.split() if text.isascii() else _WORD.findall(text)


def _word_at(text: str, chinese: bool) -> np.ndarray:
    """For each character, and for the end of the text, the word that it belongs to."""
    begins = np.zeros(len(text) + 1, np.int32)
    if chinese and _CHINESE_CHARACTER.search(text):
        begins[[word.start() for word in _WORD.finditer(text)]] = 1
        return np.maximum(np.cumsum(begins, dtype=np.int32) - 1, 0)
    begins[1:] = [letter == " " for letter in text]
    return np.cumsum(begins, dtype=np.int32)


def _skip_spaces(text: str, start: int, end: int) -> int:
    # A byte-level subword can begin with the space before its word.
    while start < end and text[start] == " ":
        start += 1
    return start


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Trains a lower-casing WordPiece tokenizer with BERT's special tokens.

    Args:
      texts: the training texts; their order does not matter.
      vocab_size: the most ids, special tokens included.

    Returns:
      The tokenizer; the same texts give the same ids on every run.

    Raises:
      UserError: when `vocab_size` leaves no room beside the special tokens.
    """
    if vocab_size <= len(_TRAINED_TOKENS):
        raise UserError(
            f"vocab_size {vocab_size} leaves no room beside {len(_TRAINED_TOKENS)} special tokens"
        )
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    vocabulary = _TRAINED_TOKENS + learn_vocabulary(counts, vocab_size - len(_TRAINED_TOKENS))
    backend = tokenizers.Tokenizer(
        models.WordPiece(
            {token: i for i, token in enumerate(vocabulary)},
            unk_token="[UNK]",
            continuing_subword_prefix=PREFIX,
        )
    )
    backend.normalizer, backend.pre_tokenizer = normalizer, splitter
    backend.add_special_tokens(_TRAINED_TOKENS)
    return Tokenizer(backend, **BERT_TOKENS)
