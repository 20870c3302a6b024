"""Words of BERT's tokens, found without the vocabulary."""

import numpy as np
import pytest

from msa_jax.text import train_tokenizer
from msa_jax.text.piece_words import UNKNOWN, learn_words

# Ids as a vocabulary would give them: 1-9 begin words, from 20 on they continue one; 0 is [UNK].
PIECES = {
    "a": [1], "good": [2], "film": [3], "films": [3, 20], "goodness": [2, 21], "un": [4],
    "unfilmed": [4, 22, 23], "rob": [5], "bob": [6], "pattinson": [7, 24], "qxz": [0], "zzz": [0], "the": [8],
}  # fmt: skip


def _clips(*texts):
    ids = [np.array([i for word in text.split() for i in PIECES[word]], np.int32) for text in texts]
    words = [[k for k, word in enumerate(text.split()) for _ in PIECES[word]] for text in texts]
    return list(texts), ids, words


def test_what_some_texts_teach_solves_the_others():
    texts, ids, words = _clips(
        "a good film", "films a good", "a goodness film", "the unfilmed film", "the film", "un a"
    )
    found, assumed, unsolved = learn_words(texts, ids, [False] * len(texts))
    assert [w.tolist() for w in found] == words
    assert (assumed, unsolved) == (0, 0)
    assert all(w.dtype == np.int32 for w in found)


def test_the_unknown_word_has_no_letters_of_its_own():
    texts, ids, words = _clips("a qxz film", "the zzz", "qxz films a zzz", "good a", "films zzz")
    found, assumed, _ = learn_words(texts, ids, [False] * len(texts))
    assert [w.tolist() for w in found] == words
    assert assumed == 0


def test_the_unknown_word_that_a_first_text_gave_letters():
    texts, ids, words = _clips("a qxz film", "the zzz films", "qxz films zzz", "good the")
    found, assumed, unsolved = learn_words(texts, ids, [False] * len(texts))
    assert [w.tolist() for w in found] == words
    assert (assumed, unsolved) == (0, 0)


def test_rows_that_are_repeated_settle_what_letters_leave_open():
    """rob pattinson: three unknown pieces for two unknown words."""
    texts, ids, words = _clips("rob pattinson", "the films", "a good film", "goodness the film", "the un")
    repeats = lambda k: np.array([False, *(np.diff(words[k]) == 0)])  # noqa: E731
    found, assumed, unsolved = learn_words(texts, ids, [False] * len(texts), repeats)
    assert [w.tolist() for w in found] == words
    assert (assumed, unsolved) == (1, 0)
    # The other way round, the rows say the other thing.
    other = lambda k: np.array([False, True, False]) if k == 0 else repeats(k)  # noqa: E731
    found, _, _ = learn_words(texts, ids, [False] * len(texts), other)
    assert found[0].tolist() == [0, 0, 1]
    # Where rows are not repeated for the pieces of a word, they say nothing.
    never = lambda k: np.array([k == 0 and place == 1 for place in range(len(ids[k]))])  # noqa: E731
    found, _, _ = learn_words(texts, ids, [False] * len(texts), never)
    assert found[0].tolist() == words[0], "a long word is likelier to be cut than a short one"


def test_a_text_that_its_ids_do_not_spell_is_left_out_and_said():
    texts, ids, words = _clips("a good film", "the film", "films a", "un good film")
    texts[1] = "the film is so very much longer"
    found, assumed, unsolved = learn_words(texts, ids, [False] * len(texts))
    assert [found[k].tolist() for k in (0, 2, 3)] == [words[k] for k in (0, 2, 3)]
    assert found[1].tolist() == [UNKNOWN, UNKNOWN]
    assert (assumed, unsolved) == (0, 1)


def test_ids_that_end_before_the_text():
    texts, ids, words = _clips("a good film", "films a", "unfilmed a", "un a", "the film", "a unfilmed film")
    cut = [False] * 5 + [True]
    ids[5], words[5] = ids[5][:3], words[5][:3]  # within "unfilmed"
    found, _, unsolved = learn_words(texts, ids, cut)
    assert [w.tolist() for w in found] == words
    assert unsolved == 0


def test_a_letter_that_occurs_twice_is_not_taken_for_the_first():
    """ "asleep" as a? ##sle? ##e ##p: the e that is known is the second one."""
    pieces = {"asleep": [1, 30, 20, 21], "be": [2], "bee": [2, 20], "beep": [2, 20, 21], "a": [3]}
    texts = ["be a", "a bee", "a beep", "beep be asleep a"]
    ids = [np.array([i for word in text.split() for i in pieces[word]], np.int32) for text in texts]
    found, assumed, unsolved = learn_words(texts, ids, [False] * len(texts))
    assert found[3].tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3]
    assert (assumed, unsolved) == (0, 0)


def test_nothing_to_do():
    assert learn_words([], [], []) == ([], 0, 0)
    found, assumed, unsolved = learn_words([""], [np.zeros(0, np.int32)], [False])
    assert (found[0].tolist(), assumed, unsolved) == ([], 0, 0)


@pytest.mark.parametrize("text", ["don't stop, it's 5.5!", "naïve café", "我不想嫁给李茶", "ok 好的 bye"])
def test_punctuation_accents_and_chinese_characters_are_units(text):
    tokenizer = train_tokenizer([text, "stop it bye ok"], 200)
    ids, words = tokenizer.encode(text, chinese=True)
    found, _, unsolved = learn_words([text, text], [ids[1:-1]] * 2, [False] * 2)
    assert found[0].tolist() == words[1:-1].tolist()
    assert unsolved == 0
