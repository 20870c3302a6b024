"""Bounds of what a tokenizer file may ask for: bytes that it makes of a text, and time to take texts apart.

Each is well above what tokenizers of the families that are read have, and low enough that a text of a million
characters takes seconds and some hundred megabytes.
"""

import base64
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tokenizers

from msa_jax.errors import UserError
from msa_jax.json_kinds import shown
from msa_jax.text import charsmap

_MOST_GROWTH = 4  # bytes that the normalizers may make of one, but for character maps; likewise the splitters
_MOST_OF_MAPS = 48
_LONGEST_PIECE = (
    64  # characters of a piece of Unigram, which tries all that begin at a place; real ones have 16
)
_MOST_ADDED = 1 << 18  # bytes of all added tokens together, as they are searched for
_LONGEST = (
    6 << 20
)  # bytes that a text may become; a million Chinese characters have 5; memory is 100 times it
_AT_ONCE = 1 << 10  # characters that are measured together
_SHORT = 1 << 14  # characters of texts that are not measured


def of_normalizers(parts: Sequence[Mapping[str, Any]]) -> float:
    """How many bytes normalizers make of one at most, but for Unicode's forms.

    Raises:
      ValueError: when these are too many, or a character map is not whole; says which.
    """
    maps = [part for part in parts if part["type"] == "Precompiled"]
    growth = math.prod(_of_normalizer(part) for part in parts if part["type"] != "Precompiled")
    of_maps = math.prod(_of_map(part.get("precompiled_charsmap", "")) for part in maps)
    for found, most in ((growth, _MOST_GROWTH), (of_maps, _MOST_OF_MAPS)):
        if found > most:
            raise ValueError(f"a normalizer that makes over {most} bytes of one")
    return growth * of_maps


def check_splitters(parts: Sequence[Mapping[str, Any]]) -> None:
    """ValueError where pre-tokenizers make too many bytes of one; those that mark a word do so with each."""
    growth = 1
    for part in parts:
        if part["type"] == "Metaspace":
            marks = (part.get("replacement", "▁"), part.get("str_rep", ""))
            growth *= 1 + max(len(mark.encode()) for mark in marks)
        elif part["type"] == "ByteLevel":
            growth *= 4 if part.get("add_prefix_space", True) else 2
    if growth > _MOST_GROWTH:
        raise ValueError(f"a pre_tokenizer that makes over {_MOST_GROWTH} bytes of one")


def _of_normalizer(part: Mapping[str, Any]) -> float:
    if part["type"] == "Replace":
        least = len(part.get("pattern", {}).get("String", " ").encode())
        return max(1.0, len(part.get("content", "").encode()) / least)
    if part["type"] == "Prepend":  # to each text between two added tokens
        return 1.0 + len(part.get("prepend", "").encode())
    return 2.0 if part["type"] == "ByteLevel" else 1.0


@functools.lru_cache(4)
def _of_map(written: str) -> float:
    try:
        content = base64.b64decode(written, validate=True)
    except ValueError:
        raise ValueError("a character map that is not in base64") from None
    return charsmap.check(content)


def check_added(tokens: Iterable[Mapping[str, Any]], growth: float) -> None:
    """ValueError where added tokens take too long to be made ready; `growth` is that of the normalizers."""
    total = 0.0
    for token in tokens:
        total += len(token.get("content", "").encode()) * (growth if token.get("normalized", True) else 1)
    if total > _MOST_ADDED:
        raise ValueError(f"added_tokens of over {_MOST_ADDED} bytes once they are normalized")


def check_model(model: Mapping[str, Any]) -> None:
    """ValueError for pieces that take long to look for, and for merges on which the library gives up."""
    vocabulary, merges = model.get("vocab") or {}, model.get("merges") or []
    if isinstance(vocabulary, list) and any(len(piece) > _LONGEST_PIECE for piece, _ in vocabulary):
        raise ValueError(f"a piece of over {_LONGEST_PIECE} characters in the vocabulary of its model")
    prefix = model.get("continuing_subword_prefix") or ""
    for merge in merges:
        if isinstance(merge, str) and merge.startswith("#version"):  # which the library passes over
            continue
        parts = merge.split(" ") if isinstance(merge, str) else merge
        # Of the second part, the library takes what follows as many bytes as the prefix has.
        if len(parts) != 2 or not parts[1].startswith(prefix):
            raise ValueError(f"the merge {shown(merge)} beside the prefix {shown(prefix)}")
        lacks = [p for p in (*parts, parts[0] + parts[1][len(prefix) :]) if p not in vocabulary]
        if lacks:
            raise ValueError(f"the merge {shown(merge)}, whose {shown(lacks[0])} is not in its vocabulary")


def check_text(backend: tokenizers.Tokenizer, text: str) -> None:
    """Refuses a text that becomes too long; a part of it after the other is normalized for that.

    Raises:
      UserError: when it does.
    """
    normalizer = backend.normalizer
    if len(text) <= _SHORT or normalizer is None:
        return
    total = 0
    for start in range(0, len(text), _AT_ONCE):
        total += len(normalizer.normalize_str(text[start : start + _AT_ONCE]).encode())
        if total > _LONGEST:
            raise UserError(
                f"the tokenizer makes over {_LONGEST >> 20} MiB of a text of {len(text)} characters "
                f"({text[:20]!r}...), which no real text becomes; leave the clip out"
            )
