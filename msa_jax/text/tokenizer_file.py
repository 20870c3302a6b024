"""Tokenizer files (tokenizer.json), held against what real ones have before the library sees them.

The `tokenizers` library trusts its files: a regular expression may take for ever, replacements may make
gigabytes of a word, and a damaged table ends in a panic. BERT, RoBERTa, XLM-RoBERTa and CamemBERT need little
of what the format can say, and that is what is read.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers

from msa_jax.errors import UserError
from msa_jax.files import read_json
from msa_jax.json_kinds import Kind, is_a, number, or_none, shown, whole
from msa_jax.text import tokenizer_bounds

_LONGEST_TOKEN = 1024  # characters
_LARGEST_ID = 1 << 24
_LONGEST_WORD = 200  # letters that WordPiece takes apart: the time rises with their cube; BERT has 100
_MOST_PARTS = 32  # of a normalizer, with those inside it; likewise of the others
# Of those that transformers writes into files; others may take for ever with some texts.
_EXPRESSIONS = (" {2,}", r"\s+", r"\A▁")

_flag, _id = is_a(bool), whole(0, _LARGEST_ID)


def _text(v: Any) -> bool:
    return isinstance(v, str) and 0 < len(v) <= _LONGEST_TOKEN


def _mark(v: Any) -> bool:
    return isinstance(v, str) and len(v) <= 16


def _pattern(v: Any) -> bool:
    fits = {"String": lambda s: _mark(s) and s, "Regex": _EXPRESSIONS.__contains__}
    return isinstance(v, dict) and len(v) == 1 and all(k in fits and fits[k](x) for k, x in v.items())


def _pair(v: Any) -> bool:
    return isinstance(v, list) and len(v) == 2 and _text(v[0]) and _id(v[1])


def _template(v: Any) -> bool:
    """Pieces of a template, in which each text may stand once: more would multiply it."""
    if not (isinstance(v, list) and len(v) <= 16 and all(isinstance(p, dict) and len(p) == 1 for p in v)):
        return False
    kinds = [next(iter(piece)) for piece in v]
    return set(kinds) <= {"Sequence", "SpecialToken"} and kinds.count("Sequence") <= 2


def _ids(v: Any) -> bool:
    return isinstance(v, dict) and len(v) <= 16


def _vocabulary(v: Any) -> bool:
    return isinstance(v, dict) and all(len(k) <= _LONGEST_TOKEN and _id(i) for k, i in v.items())


def _scores(v: Any) -> bool:
    def fits(p: Any) -> bool:
        return isinstance(p, list) and len(p) == 2 and _text(p[0]) and number(p[1]) and abs(p[1]) <= 1e6

    return isinstance(v, list) and len(v) > 0 and all(map(fits, v))


def _merges(v: Any) -> bool:
    def fits(p: Any) -> bool:
        return _text(p) or (isinstance(p, list) and len(p) == 2 and all(map(_text, p)))

    return isinstance(v, list) and all(map(fits, v))


def _plain(*types: str) -> dict[str, dict[str, Kind]]:
    """Types without values."""
    return {name: {} for name in types}


_BYTES = {"add_prefix_space": _flag, "trim_offsets": _flag, "use_regex": _flag}
_SPACES = {"replacement": _mark, "prepend_scheme": _mark, "split": _flag, "add_prefix_space": _flag,
           "str_rep": _mark}  # fmt: skip
_REPLACE: Mapping[str, Kind] = {"pattern": _pattern, "content": _mark}
_ENDS = {"sep": _pair, "cls": _pair}
# What each part of a file may be, and which values each of these may have.
_PARTS: Mapping[str, Mapping[str, Mapping[str, Kind]]] = {
    "normalizer": {
        "BertNormalizer": {
            **{"clean_text": _flag, "handle_chinese_chars": _flag, "lowercase": _flag},
            "strip_accents": or_none(_flag),
        },
        **_plain("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel"),
        "Strip": {"strip_left": _flag, "strip_right": _flag},
        "Prepend": {"prepend": _mark},
        "Precompiled": {"precompiled_charsmap": is_a(str)},
        "Replace": _REPLACE,
    },
    "pre_tokenizer": {
        **_plain("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "UnicodeScripts"),
        "ByteLevel": _BYTES,
        "Metaspace": _SPACES,
        "Punctuation": {"behavior": _mark},
        "Digits": {"individual_digits": _flag},
        "CharDelimiterSplit": {"delimiter": _mark},
        "Split": {"pattern": _pattern, "behavior": or_none(is_a(str)), "invert": _flag},
    },
    "post_processor": {
        "TemplateProcessing": {"single": _template, "pair": _template, "special_tokens": _ids},
        "RobertaProcessing": {**_ENDS, "trim_offsets": _flag, "add_prefix_space": _flag},
        "BertProcessing": _ENDS,
        "ByteLevel": _BYTES,
    },
    "decoder": {
        "WordPiece": {"prefix": _mark, "cleanup": _flag},
        "ByteLevel": _BYTES,
        "Metaspace": _SPACES,
        "BPEDecoder": {"suffix": _mark},
        **_plain("ByteFallback", "Fuse"),
        "Strip": {"content": _mark, "start": whole(0, 16), "stop": whole(0, 16)},
        "Replace": _REPLACE,
    },
    "model": {
        "WordPiece": {
            **{"unk_token": _text, "continuing_subword_prefix": _mark, "vocab": _vocabulary},
            "max_input_chars_per_word": whole(1, _LONGEST_WORD),
        },
        "BPE": {
            "dropout": lambda v: not v,  # other ids each time
            "unk_token": or_none(_text),
            **dict.fromkeys(("continuing_subword_prefix", "end_of_word_suffix"), or_none(_mark)),
            **dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), _flag),
            **{"vocab": _vocabulary, "merges": _merges},
        },
        "Unigram": {"unk_id": or_none(_id), "vocab": _scores, "byte_fallback": _flag},
    },
}
_INSIDE = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers", "post_processor": "processors",
           "decoder": "decoders"}  # fmt: skip
_ADDED: Mapping[str, Kind] = {"id": _id, "content": _text} | dict.fromkeys(
    ("single_word", "lstrip", "rstrip", "normalized", "special"), _flag
)


def read_backend(path: Path) -> tokenizers.Tokenizer:
    """Reads a tokenizer.json, without the truncation and padding that it may ask for.

    Raises:
      UserError: when it cannot be read, or holds what no tokenizer of the families that are read has.
    """
    values = read_json(path)
    for name in ("truncation", "padding"):
        values[name] = None
    _refuse(values, path)
    # What was checked is what is read: a file may give a key twice.
    with explained(lambda reason: f"cannot read {path}: {reason}"):
        return tokenizers.Tokenizer.from_str(json.dumps(values))


def is_panic(error: BaseException) -> bool:
    """Whether the library has given up on itself, which is no Exception in Python."""
    return type(error).__name__ == "PanicException"


@contextlib.contextmanager
def explained(worded: Callable[[str], str]) -> Iterator[None]:
    """Makes a UserError of whatever the library raises, its panics included.

    Args:
      worded: the message, given the library's reason.
    """
    try:
        yield
    except BaseException as e:  # the library raises plain Exception; a panic is none
        if not (isinstance(e, Exception) or is_panic(e)):
            raise
        reason = next(iter(str(e).splitlines()), "") or type(e).__name__
    else:
        return
    raise UserError(worded(reason))


def check(backend: tokenizers.Tokenizer, path: Path) -> None:
    """Refuses a tokenizer that was made from other files, as `read_backend` does one from its own.

    Raises:
      UserError: as `read_backend`.
    """
    _refuse(json.loads(backend.to_str()), path)


def _refuse(values: Mapping[str, Any], path: Path) -> None:
    """UserError where a tokenizer is described that none of the families that are read has."""
    try:
        if not isinstance(values.get("model"), dict):
            raise ValueError(f"{shown(values.get('model'))} as its model")
        flat = {part: _parts(part, values.get(part)) for part in _PARTS}
        growth = tokenizer_bounds.of_normalizers(flat["normalizer"])
        tokenizer_bounds.check_splitters(flat["pre_tokenizer"])
        tokenizer_bounds.check_model(values["model"])
        added = values.get("added_tokens", [])
        if not isinstance(added, list):
            raise ValueError(f"{shown(added)} as its added_tokens")
        for token in added:
            _check("added_tokens", token, _ADDED)
        tokenizer_bounds.check_added(added, growth)
    except ValueError as e:
        raise UserError(
            f"cannot read {path}: no tokenizer of the families that are read (BERT, RoBERTa, XLM-RoBERTa, "
            f"CamemBERT) has {e}; bring the file back from where it came from"
        ) from None


def _parts(part: str, given: Any) -> list[Mapping[str, Any]]:
    flat = [] if given is None else list(_flat(part, given))
    if len(flat) > _MOST_PARTS:
        raise ValueError(f"a {part} of over {_MOST_PARTS} parts")
    return flat


def _flat(part: str, given: Any) -> Iterator[Mapping[str, Any]]:
    """The parts that a part consists of, each checked."""
    if not isinstance(given, dict):
        raise ValueError(f"{shown(given)} as its {part}")
    kind = given.get("type")
    if kind == "Sequence" and part in _INSIDE:
        inside = given.get(_INSIDE[part])
        if not isinstance(inside, list):
            raise ValueError(f"{shown(inside)} as the {_INSIDE[part]} of its {part}")
        for one in inside:
            yield from _flat(part, one)
        return
    if kind is None and part == "model":  # files of early versions say nothing, and are told by their keys
        kind = "BPE" if "merges" in given else "Unigram" if "unk_id" in given else "WordPiece"
    if not isinstance(kind, str) or kind not in _PARTS[part]:
        raise ValueError(f"a {part} of the type {shown(kind)}")
    _check(f"{part} {kind}", {k: v for k, v in given.items() if k != "type"}, _PARTS[part][kind])
    yield given


def _check(where: str, values: Any, kinds: Mapping[str, Kind]) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{shown(values)} in its {where}")
    for key, value in values.items():
        if key not in kinds:
            raise ValueError(f"the key {shown(key)} in its {where}")
        if not kinds[key](value):
            raise ValueError(f"{shown(value)} as {key} of its {where}")
