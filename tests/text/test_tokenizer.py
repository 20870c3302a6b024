"""Token ids, the words they come from, saving, loading and training."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tokenizers

from msa_jax.errors import UserError
from msa_jax.text import Tokenizer, load_tokenizer, train_tokenizer
from msa_jax.text.pretrained import resolve
from msa_jax.text.wordpiece import learn_vocabulary

TEXTS = [
    "the cat sat on the mat",
    "The film was great, really great!",
    "it isn't unbelievably bad",
    "的 电影",
]


@pytest.fixture
def roberta_folder(tmp_path):
    """A byte-level BPE tokenizer in RoBERTa's format, with padding and truncation switched on in its file."""
    bpe = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    bpe.train_from_iterator(TEXTS * 3, vocab_size=300, special_tokens=special, show_progress=False)
    backend = bpe._tokenizer
    backend.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    backend.enable_padding(length=50)
    backend.enable_truncation(4)
    folder = tmp_path / "roberta"
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    return folder


def pieces(tokenizer, text, max_content=50):
    """(subword, word it came from) of the content."""
    ids, word_ids = tokenizer.encode(text, max_content)
    assert ids.dtype == word_ids.dtype == np.int32
    assert (ids[0], ids[-1]) == (tokenizer.cls_id, tokenizer.sep_id)
    assert word_ids[0] == word_ids[-1] == -1
    words = text.split(" ")
    return [
        (tokenizer._backend.id_to_token(i), words[w]) for i, w in zip(ids[1:-1], word_ids[1:-1], strict=True)
    ]


def test_minilm_subwords_know_their_words(minilm):
    tokenizer = load_tokenizer(minilm)
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id) == (0, 101, 102)
    assert tokenizer.vocab_size == 30522
    assert pieces(tokenizer, "Héllo, unbelievably don't") == [
        ("hello", "Héllo,"),
        (",", "Héllo,"),
        ("un", "unbelievably"),
        ("##bel", "unbelievably"),
        ("##ie", "unbelievably"),
        ("##va", "unbelievably"),
        ("##bly", "unbelievably"),
        ("don", "don't"),
        ("'", "don't"),
        ("t", "don't"),
    ]
    # Decomposed letters, a tab inside a word, empty words between two spaces, a space at either end.
    assert tokenizer.encode(" cafe\u0301 a\tb  ok ", 50)[1].tolist() == [-1, 1, 2, 2, 4, -1]
    chinese = pieces(tokenizer, "电影 好")  # every character is a subword
    assert [word for _, word in chinese] == ["电影", "电影", "好"]


def test_cut_and_empty(minilm):
    tokenizer = load_tokenizer(minilm)
    ids, word_ids = tokenizer.encode("unbelievably good", 2)
    assert ids.tolist() == [101, 4895, 8671, 102]
    assert word_ids.tolist() == [-1, 0, 0, -1]
    for text in ("", "   "):
        ids, word_ids = tokenizer.encode(text, 5)
        assert ids.tolist() == [101, 102]
        assert word_ids.tolist() == [-1, -1]
    assert len(tokenizer.encode("word " * 300, 1000)[0]) == 302  # the file itself asks to truncate at 128


def test_byte_level_subwords_know_their_words(roberta_folder):
    tokenizer = load_tokenizer(str(roberta_folder))
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id) == (1, 0, 2)
    got = pieces(tokenizer, "the cat sat great, 😀 film")
    assert [word for _, word in got[:2]] == ["the", "cat"]
    assert got[1][0].startswith("Ġ")  # its offsets may take in the space before it
    assert {word for _, word in got} == {"the", "cat", "sat", "great,", "😀", "film"}
    order = tokenizer.encode("the cat sat great, 😀 film", 50)[1][1:-1]
    assert (np.diff(order) >= 0).all()
    text = "the  cat "  # two empty words
    got = pieces(tokenizer, text)
    assert ("the", "the") in got
    assert [word for _, word in got] == ["the", "", "cat", ""]


@pytest.mark.parametrize("trim", [True, False])
def test_word_ids_do_not_depend_on_trimmed_offsets(roberta_folder, trim):
    path = roberta_folder / "tokenizer.json"
    values = json.loads(path.read_text())
    values["post_processor"]["trim_offsets"] = trim
    path.write_text(json.dumps(values))
    ids, word_ids = load_tokenizer(str(roberta_folder)).encode("the cat  sat on 的 mat", 50)
    assert word_ids[1:4].tolist() == [0, 1, 2]
    assert word_ids.max() == 6
    assert len(ids) == len(word_ids)


def test_saved_tokenizer_reads_back_from_one_file(roberta_folder, tmp_path):
    for tokenizer in (load_tokenizer(str(roberta_folder)), train_tokenizer(TEXTS, 80)):
        path = tmp_path / "tokenizer.json"
        tokenizer.save(path)
        again = Tokenizer.load(path)
        for name in ("cls_id", "sep_id", "pad_id", "vocab_size"):
            assert getattr(again, name) == getattr(tokenizer, name)
        for text in [*TEXTS, "", "unseen ✓ text"]:
            for got, want in zip(again.encode(text, 9), tokenizer.encode(text, 9), strict=True):
                np.testing.assert_array_equal(got, want)
        # The library alone, without this class, adds the same special tokens.
        plain = tokenizers.Tokenizer.from_file(str(path)).encode(TEXTS[0]).ids
        assert plain == tokenizer.encode(TEXTS[0], 50)[0].tolist()


def test_files_that_are_no_saved_tokenizer(roberta_folder, tmp_path):
    with pytest.raises(UserError, match="load_tokenizer"):
        Tokenizer.load(roberta_folder / "tokenizer.json")
    with pytest.raises(UserError, match=r"no tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")
    (roberta_folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="cannot read"):
        load_tokenizer(str(roberta_folder))
    (roberta_folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="no usable tokenizer"):
        load_tokenizer(str(roberta_folder))


def test_special_tokens_of_the_side_files_win(roberta_folder):
    side = {"cls_token": "<mask>", "pad_token": {"content": "<unk>"}}
    (roberta_folder / "tokenizer_config.json").write_text(json.dumps(side))
    tokenizer = load_tokenizer(str(roberta_folder))
    assert (tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id) == (4, 2, 3)
    (roberta_folder / "tokenizer_config.json").write_text('{"cls_token": "<nowhere>"}')
    with pytest.raises(UserError, match="cannot tell the start, end and padding tokens"):
        load_tokenizer(str(roberta_folder))


def test_folder_with_only_a_vocabulary(minilm, tmp_path):
    source = resolve(minilm)
    for file in ("vocab.txt", "tokenizer_config.json", "config.json"):
        shutil.copy(source / file, tmp_path)
    code = (
        "from msa_jax.text import load_tokenizer\n"
        f"print(load_tokenizer({str(tmp_path)!r}).encode('Héllo, unbelievably', 50)[0].tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert json.loads(done.stdout) == load_tokenizer(minilm).encode("Héllo, unbelievably", 50)[0].tolist()


def test_training_is_deterministic_and_lower_cases():
    first, again = train_tokenizer(TEXTS, 80), train_tokenizer(reversed(TEXTS), 80)
    assert first._backend.to_str() == again._backend.to_str()
    assert first.vocab_size <= 80
    assert (first.pad_id, first.cls_id, first.sep_id) == (0, 2, 3)
    np.testing.assert_array_equal(first.encode("THE Great", 9)[0], first.encode("the great", 9)[0])
    assert ("great", "Great") in pieces(first, "a Great film")
    unk = first._backend.token_to_id("[UNK]")
    assert unk not in first.encode(" ".join(TEXTS), 999)[0]
    assert unk in first.encode("Ω", 9)[0]
    with pytest.raises(UserError, match="vocab_size 5"):
        train_tokenizer(TEXTS, 5)


def test_vocabulary_joins_the_most_frequent_pairs_first():
    counts = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    got = learn_vocabulary(counts, 100)
    letters = {"l", "n", "w", *(f"##{c}" for c in "owerstid")}
    assert set(got[: len(letters)]) == letters
    # By hand: es and st occur 9 times, in lo and ow 7 times, and so on; ties fall alphabetically.
    assert got[len(letters) :][:4] == ["##es", "##est", "##ow", "low"]
    assert got[-1] != got[-2]
    assert learn_vocabulary({"abb": 3}, 9) == ["##b", "a", "##bb", "abb"]
