"""Tokenizer files of somebody else: what real ones have is read; what takes for ever or panics is refused."""

import base64
import contextlib
import json
import time

import numpy as np
import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from msa_jax.errors import UserError
from msa_jax.text import charsmap, load_tokenizer
from msa_jax.text.bert_vocab import load_vocabulary
from msa_jax.text.tokenizer_file import explained, read_backend

PIECES = {p: i for i, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "film", "##a", "▁a", "▁film"])}
SCORES = [(piece, -float(i)) for piece, i in PIECES.items()]
LETTERS = {"a": 0, "f": 1, "fa": 2, "[PAD]": 3, "[CLS]": 4, "[SEP]": 5}
TEXT = "A film, fa \ufdfa a"


def file_of(backend, path, **changes):
    """A tokenizer.json with values changed by their dotted path."""
    values = json.loads(backend.to_str())
    for place, value in changes.items():
        *keys, last = place.split("__")
        inner = values
        for key in keys:
            inner = inner[key]
        inner[last] = value
    path.write_text(json.dumps(values))
    return path


def wordpiece():
    return tokenizers.Tokenizer(models.WordPiece(PIECES, unk_token="[UNK]"))


def sequence(*normalizers):
    return {"type": "Sequence", "normalizers": list(normalizers)}


def replace(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def precompiled(content):
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


def split(pattern):
    return {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}


A = {"String": "a"}
TWICE = [{"Sequence": {"id": "A", "type_id": 0}}] * 3
HOSTILE = {
    "an expression": ("normalizer", replace({"Regex": "(a+)+$"}, ""), "(a+)+$"),
    "one in a sequence": (
        "normalizer",
        sequence({"type": "NFC"}, replace({"Regex": "(a|a)*$"}, "")),
        "(a|a)*$",
    ),
    "an expression that splits": ("pre_tokenizer", split({"Regex": "(a|a)*$"}), "(a|a)*$"),
    "one of a decoder": ("decoder", replace({"Regex": "(a+)+$"}, ""), "(a+)+$"),
    "nothing replaced": ("normalizer", replace({"String": ""}, "x"), "'String': ''"),
    "a long text": ("normalizer", replace(A, "x" * 17), "as content of its normalizer Replace"),
    "growth": ("normalizer", sequence(*[replace(A, "a" * 16)] * 2), "makes over 4 bytes of one"),
    "growth of one": ("normalizer", replace(A, "a" * 5), "a normalizer that makes over 4 bytes of one"),
    "many parts": ("normalizer", sequence(*[{"type": "NFC"}] * 33), "a normalizer of over 32 parts"),
    "a short map": ("normalizer", precompiled(b"\0\0\0"), "a character map that is cut off"),
    "an empty table": ("normalizer", precompiled(b"\0\0\0\0\0\0\0\0"), "a character map that is cut off"),
    "a table without rows": ("normalizer", precompiled(b"\4\0\0\0\5\0\0\0"), "whose ways lead out of it"),
    "a map in no encoding": ("normalizer", {"type": "Precompiled", "precompiled_charsmap": "!"}, "in base64"),
    "an unknown type": ("normalizer", {"type": "Own"}, "a normalizer of the type 'Own'"),
    "no type": ("pre_tokenizer", {}, "a pre_tokenizer of the type None"),
    "a key": (
        "pre_tokenizer",
        {"type": "Whitespace", "own": 1},
        "the key 'own' in its pre_tokenizer Whitespace",
    ),
    "a template": (
        "post_processor",
        {"type": "TemplateProcessing", "single": TWICE},
        "as single of its post",
    ),
    "long words": ("model__max_input_chars_per_word", 10**9, "1000000000 as max_input_chars_per_word"),
    "an id": ("model__vocab", {"a": 1 << 40}, "as vocab of its model WordPiece"),
    "an empty token": ("added_tokens", [{"id": 0, "content": ""}], "'' as content of its added_tokens"),
    "no model": ("model", None, "None as its model"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_get_one_line(case, tmp_path):
    place, value, line = HOSTILE[case]
    path = file_of(wordpiece(), tmp_path / "tokenizer.json", **{place: value})
    began = time.monotonic()
    for load in (
        read_backend,
        lambda file: load_vocabulary(str(file)),
        lambda file: load_tokenizer(str(file.parent)),
    ):
        with pytest.raises(
            UserError, match=r"cannot read .*tokenizer\.json: no tokenizer of the fam"
        ) as error:
            load(path)
        assert line in str(error.value)
    assert time.monotonic() - began < 5


def test_other_ids_each_time_are_refused(tmp_path):
    path = file_of(tokenizers.Tokenizer(models.BPE(LETTERS, [("f", "a")], dropout=0.5)), tmp_path / "a.json")
    with pytest.raises(UserError, match=r"0\.5 as dropout of its model BPE"):
        read_backend(path)


def test_a_file_that_gives_a_key_twice_is_read_as_it_was_checked(tmp_path):
    text = json.dumps(json.loads(wordpiece().to_str()))
    evil = json.dumps(replace({"Regex": "(a+)+$"}, ""))
    for pair in (f'"normalizer": {evil}, "normalizer": null', f'"normalizer": null, "normalizer": {evil}'):
        (tmp_path / "a.json").write_text(text.replace('"normalizer": null', pair))
        found = None
        with contextlib.suppress(UserError):
            found = read_backend(tmp_path / "a.json").normalizer
        assert found is None


def test_what_padding_and_truncation_ask_for_is_not_read(tmp_path):
    backend = wordpiece()
    backend.enable_padding(length=1 << 40)
    backend.enable_truncation(1)
    found = read_backend(file_of(backend, tmp_path / "a.json"))
    assert (found.padding, found.truncation) == (None, None)


def small_map():
    """A map that makes b of a, and cccc of aa."""
    units = np.zeros(1024, np.uint32)
    places = {"": 0, "a": 256 ^ 97, "aa": 512 ^ 97}
    units[0] = 256 << 10
    units[places["a"]] = ((places["a"] ^ 512) << 10) | (1 << 8) | 97
    units[512] = (1 << 31) | 0
    units[places["aa"]] = ((places["aa"] ^ 768) << 10) | (1 << 8) | 97
    units[768] = (1 << 31) | 2
    return (4 * len(units)).to_bytes(4, "little") + units.tobytes() + b"b\0cccc\0"


def test_a_map_is_followed_to_its_ends():
    content = small_map()
    assert normalizers.Precompiled(content).normalize_str("aaxa") == "bbxb"
    assert charsmap.check(content) == 2.0  # four bytes of two, as one of one


def applied(content):
    """What a map makes of some texts; None where the library panics."""
    try:
        with explained(str):
            use = normalizers.Precompiled(bytes(content)).normalize_str
            return {text: use(text) for text in ("aaaa", "a", "xaxaaz")}
    except UserError:
        return None


def test_a_map_that_passes_never_panics():
    """Of maps with some bits changed the library panics at many: all of these are refused before."""
    content, rng = small_map(), np.random.default_rng(0)
    used = [4 * k + 4 + j for k in (0, 256 ^ 97, 512, 512 ^ 97, 768) for j in range(4)] + list(
        range(4100, 4107)
    )
    refused = panicked = passed = 0
    for _ in range(400):
        mutant = bytearray(content)
        for place in rng.choice(used, 2):
            mutant[place] ^= 1 << int(rng.integers(8))
        try:
            growth = charsmap.check(bytes(mutant))
        except ValueError:
            refused += 1
            panicked += applied(mutant) is None
            continue
        passed += 1
        for text, made in applied(mutant).items():
            assert len(made.encode()) <= growth * len(text)
    assert min(refused, passed, panicked) > 20


FAMILIES = {
    "BERT": (
        wordpiece,
        {"normalizer": normalizers.BertNormalizer(), "pre_tokenizer": pre_tokenizers.BertPreTokenizer()},
        {
            "decoder": decoders.WordPiece(),
            "post_processor": processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
        },
    ),
    "RoBERTa": (
        lambda: tokenizers.Tokenizer(models.BPE(LETTERS, [("f", "a")])),
        {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=False), "decoder": decoders.ByteLevel()},
        {"post_processor": processors.RobertaProcessing(("[SEP]", 5), ("[CLS]", 4))},
    ),
    "XLM-RoBERTa": (
        lambda: tokenizers.Tokenizer(models.Unigram(SCORES, unk_id=1)),
        {
            "normalizer": normalizers.Sequence(
                [
                    normalizers.Strip(),
                    normalizers.Precompiled(small_map()),
                    normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
                ]
            ),
            "pre_tokenizer": pre_tokenizers.Sequence(
                [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
            ),
        },
        {
            "decoder": decoders.Metaspace(),
            "post_processor": processors.TemplateProcessing(
                single="[CLS] $A [SEP]",
                pair="[CLS] $A [SEP] $B [SEP]",
                special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
            ),
        },
    ),
    "plain": (
        wordpiece,
        {"normalizer": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])},
        {
            "pre_tokenizer": pre_tokenizers.Sequence(
                [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]
            )
        },
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_real_files_are_read_to_the_same_tokenizer(family, tmp_path):
    made, *parts = FAMILIES[family]
    backend = made()
    for name, part in {**parts[0], **parts[1]}.items():
        setattr(backend, name, part)
    backend.add_special_tokens(["[PAD]", "[CLS]"])
    found = read_backend(file_of(backend, tmp_path / "tokenizer.json"))
    assert found.to_str() == backend.to_str()
    assert found.encode(TEXT).ids == backend.encode(TEXT).ids


def test_a_model_without_its_type_is_told_by_its_keys(tmp_path):
    for backend in (wordpiece(), FAMILIES["RoBERTa"][0](), FAMILIES["XLM-RoBERTa"][0]()):
        values = json.loads(backend.to_str())
        del values["model"]["type"]
        (tmp_path / "a.json").write_text(json.dumps(values))
        assert read_backend(tmp_path / "a.json").to_str() == backend.to_str()


def test_only_panics_of_what_is_no_exception_become_a_line():
    class PanicException(BaseException):
        pass

    with (
        pytest.raises(UserError, match=r"^it said: at once$"),
        explained(lambda reason: f"it said: {reason}"),
    ):
        raise PanicException("at once\nlater")
    with pytest.raises(KeyboardInterrupt), explained(str):
        raise KeyboardInterrupt
