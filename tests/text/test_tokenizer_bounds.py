"""Bounds of tokenizers: what takes gigabytes or minutes of a small file or text is refused."""

import json
import subprocess
import sys
import time

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from msa_jax.errors import UserError
from msa_jax.text import tokenizer_bounds
from msa_jax.text.tokenizer import Tokenizer
from msa_jax.text.tokenizer_file import read_backend

PIECES = {p: i for i, p in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "film", "##a"])}
BERT = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]"}


def written(path, backend=None, **values):
    """A tokenizer.json with other values at its top."""
    backend = backend or tokenizers.Tokenizer(models.WordPiece(PIECES, unk_token="[UNK]"))
    path.write_text(json.dumps({**json.loads(backend.to_str()), **values}))
    return path


def bpe(*merges, prefix=None, vocabulary="a b ab ##b abb"):
    kept = {name: None for name in ("dropout", "unk_token", "end_of_word_suffix")}
    vocab = {piece: i for i, piece in enumerate(vocabulary.split())}
    return {
        "type": "BPE",
        "vocab": vocab,
        "merges": list(merges),
        "continuing_subword_prefix": prefix,
        **kept,
    }


def refused(path, line):
    began = time.monotonic()
    with pytest.raises(UserError, match="no tokenizer of the families that are read") as error:
        read_backend(path)
    assert line in str(error.value)
    assert time.monotonic() - began < 2


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
SPLITTERS = {
    "bytes of bytes": [BYTE_LEVEL] * 3,
    "bytes of marks": [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}, BYTE_LEVEL],
    "marks of marks": [
        {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always"} for mark in "▁▂"
    ],
}


@pytest.mark.parametrize("case", SPLITTERS)
def test_splitters_that_multiply_a_text_are_refused(case, tmp_path):
    value = {"type": "Sequence", "pretokenizers": SPLITTERS[case]}
    refused(
        written(tmp_path / "a.json", pre_tokenizer=value), "a pre_tokenizer that makes over 4 bytes of one"
    )


def test_what_is_put_before_each_text_counts_as_growth(tmp_path):
    """Added tokens divide a text into as many texts as it has letters."""
    value = {"type": "Prepend", "prepend": "▁▁"}
    refused(written(tmp_path / "a.json", normalizer=value), "a normalizer that makes over 4 bytes of one")
    read_backend(written(tmp_path / "a.json", normalizer={"type": "Prepend", "prepend": "▁"}))


def test_pieces_of_unigram_are_short(tmp_path):
    for longest, passes in ((64, True), (65, False)):
        pieces = [("<unk>", 0.0), *(("a" * k, -float(k)) for k in range(1, longest + 1))]
        path = written(tmp_path / "a.json", tokenizers.Tokenizer(models.Unigram(pieces, unk_id=0)))
        if passes:
            assert read_backend(path).encode("a" * 20).ids == [20]
        else:
            refused(path, "a piece of over 64 characters in the vocabulary of its model")


@pytest.mark.parametrize("normalized", [False, True])
def test_added_tokens_have_a_length_together(normalized, tmp_path):
    growing = {"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"}

    def added(count):
        said = dict.fromkeys(("single_word", "lstrip", "rstrip", "special"), False)
        return [
            {"id": 10 + k, "content": f"{k:04}" + "a" * 60, "normalized": normalized, **said}
            for k in range(count)
        ]

    most = (1 << 18) // 64 // (4 if normalized else 1)
    assert (
        read_backend(
            written(tmp_path / "a.json", normalizer=growing, added_tokens=added(most))
        ).get_vocab_size()
        == len(PIECES) + most
    )
    path = written(tmp_path / "a.json", normalizer=growing, added_tokens=added(most + 1))
    refused(path, "added_tokens of over 262144 bytes once they are normalized")


MERGES = {
    "a short second part": (("a b",), "##abc", "the merge 'a b' beside the prefix '##abc'"),
    "a part that lacks": (("a x",), None, "the merge 'a x', whose 'x' is not in its vocabulary"),
    "a whole that lacks": ((["b", "a"],), None, "whose 'ba' is not in its vocabulary"),
    "three parts": (("a b ab",), None, "the merge 'a b ab' beside the prefix ''"),
    "one part": (("ab",), None, "the merge 'ab' beside"),
}


@pytest.mark.parametrize("case", MERGES)
def test_merges_that_cannot_be_are_refused_before_the_library_sees_them(case, tmp_path):
    merges, prefix, line = MERGES[case]
    refused(written(tmp_path / "a.json", model=bpe(*merges, prefix=prefix)), line)


def test_a_merge_on_which_the_library_panics_is_one_line(tmp_path):
    """A real process: the library prints its panic, and where it was, to stderr."""
    path = written(tmp_path / "a.json", model=bpe("a b", prefix="##abc"))
    code = "import sys, pathlib; from msa_jax.text.tokenizer_file import read_backend as read\n"
    code += "try: read(pathlib.Path(sys.argv[1]))\nexcept Exception as e: print(type(e).__name__)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("UserError\n", "")


@pytest.mark.parametrize("merges", [("a b",), (["a", "b"],), ("#version: 0.2", "a b")])
def test_merges_of_real_files_are_read(merges, tmp_path):
    backend = read_backend(written(tmp_path / "a.json", model=bpe(*merges)))
    assert backend.encode("abb").tokens == ["ab", "b"]


def test_merges_with_a_prefix_are_read(tmp_path):
    backend = read_backend(written(tmp_path / "a.json", model=bpe("a ##b", prefix="##")))
    assert backend.encode("ab").tokens == ["ab"]


def test_a_text_that_becomes_too_long_is_one_line_before_memory_is_taken():
    backend = tokenizers.Tokenizer(models.WordPiece(PIECES, unk_token="[UNK]"))
    backend.normalizer = normalizers.NFKD()  # which makes 18 letters, 33 bytes, of one
    tokenizer = Tokenizer(backend, **BERT)
    text = "\ufdfa" * 250_000
    for use in (tokenizer.encode, lambda long: tokenizer.pieces([long])):
        with pytest.raises(UserError, match="makes over 6 MiB of a text of 250000 characters"):
            use(text)
    many = [str(k) + "\ufdfa" * 1000 for k in range(250)]  # none of which is too long
    with pytest.raises(UserError, match="makes over 6 MiB of a text"):
        tokenizer.pieces(many)


def test_the_longest_honest_texts_are_taken_apart(monkeypatch):
    backend = tokenizers.Tokenizer(models.WordPiece(PIECES, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    for text in ("\u7535" * 1_000_000, "film " * 200_000):
        tokenizer_bounds.check_text(backend, text)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words = ["film"] * 100_000 + ["a", "aa"]
    assert Tokenizer(backend, **BERT).pieces(words) == [[5]] * 100_000 + [[4], [4, 6]]
    assert Tokenizer(backend, **BERT).pieces([]) == []
