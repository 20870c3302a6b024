"""Rows of MMSA pickles: their owner, decided by counts."""

import numpy as np
import pytest

from msa_jax.data.conventions import rows as row_kinds
from msa_jax.data.conventions.used import edges
from msa_jax.errors import UserError

LIMIT = 20
TOKENS = [5, 9, 12, 20, 7, 8, 14, 6, 11, 10]  # special tokens included
WORDS = [2, 6, 8, 15, 5, 5, 11, 4, 8, 7]


def _edges(lengths, *, front=False, first=0):
    """The edges of clips of one stream with so many rows in use, the first `first` of them zero."""
    spans = [(LIMIT - n, LIMIT - first) if front else (first, n) for n in lengths]
    return np.array([[(*span, LIMIT)] for span in spans])


def _decide(edges, *, tokens=TOKENS, words=WORDS, asked=None, padded=None):
    return row_kinds.decide(edges, tokens, words, asked=asked, padded=padded, where="a.pkl")


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize(
    ("lengths", "first", "name", "skip"),
    [
        (TOKENS, 0, "BERT tokens with [CLS] and [SEP]", 0),
        ([n - 1 for n in TOKENS], 1, "BERT tokens, [CLS] and [SEP] zero", 0),
        ([n - 2 for n in TOKENS], 0, "BERT tokens without [CLS] and [SEP]", 1),
        (WORDS, 0, "words", 0),
    ],
)
def test_every_reading_at_either_end(front, lengths, first, name, skip):
    rows = _decide(_edges(lengths, front=front, first=first))
    assert (rows.name, rows.front, rows.skip) == (name, front, skip)
    assert (rows.fitting, rows.ending, rows.clips) == (10, 10, 10)
    padded = ", padded in front" if front else ""
    assert str(rows) == f"{name}{padded}, 10 of 10 clips (10 end with the last one)"


def test_the_later_of_two_streams_counts():
    silent = _edges([n - 3 for n in TOKENS])
    assert _decide(np.concatenate([silent, _edges(TOKENS)], 1)).name == "BERT tokens with [CLS] and [SEP]"


def test_clips_that_fall_silent_before_their_end_do_not_change_the_reading():
    silent = [n - 3 * (k in (0, 4, 6, 8)) for k, n in enumerate(TOKENS)]
    rows = _decide(_edges(silent))
    assert (rows.name, rows.ending) == ("BERT tokens with [CLS] and [SEP]", 6)


def test_where_some_end_with_sep_and_some_just_before_row_i_is_token_i_still():
    mixed = [n - (k % 2) for k, n in enumerate(TOKENS)]
    rows = _decide(_edges(mixed))
    assert (rows.kind, rows.skip, rows.ending) == ("tokens", 0, 10)


def test_of_two_readings_that_fit_the_one_that_more_clips_end_with():
    unsplit = [n - 2 for n in TOKENS]  # words, but for one clip
    words = [*unsplit[:-1], unsplit[-1] - 1]
    assert _decide(_edges(unsplit), words=words).name == "BERT tokens without [CLS] and [SEP]"
    assert _decide(_edges(words), words=words).name == "words"


@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("asked", [None, "tokens"])
def test_a_full_stop_without_a_row_is_no_lack_of_rows_for_special_tokens(front, asked):
    """[CLS] and [SEP] are zero, and so is the last token: row i is token i."""
    rows = _decide(_edges([n - 2 for n in TOKENS], front=front, first=1), asked=asked)
    assert (rows.name, rows.skip, rows.ending) == ("BERT tokens, [CLS] and [SEP] zero", 0, 10)


def test_asking_for_tokens_gives_a_possible_reading():
    """Rows that end two before the last token, none on the first: not "no rows for special tokens"."""
    lengths = [n - 2 - (k % 3) for k, n in enumerate(TOKENS)]
    assert _decide(_edges(lengths, first=1), asked="tokens").skip == 0


def test_one_clip_in_a_hundred_may_go_beyond():
    tokens = TOKENS * 10
    lengths = [*tokens[:-1], tokens[-1] + 1]
    rows = _decide(_edges(lengths), tokens=tokens, words=WORDS * 10)
    assert (rows.name, rows.fitting, rows.ending) == ("BERT tokens with [CLS] and [SEP]", 99, 99)
    lengths[0] += 1
    with pytest.raises(UserError):
        _decide(_edges(lengths), tokens=tokens, words=WORDS * 10)


def test_none_fits():
    with pytest.raises(UserError) as error:
        _decide(_edges([LIMIT] * 10))
    assert str(error.value) == (
        "a.pkl: it is not clear what the rows of audio and vision belong to (of 10 clips 1 end as BERT "
        "tokens with [CLS] and [SEP] would, 1 end as BERT tokens with [CLS] and [SEP], padded in front "
        "would); say what they are by --config.data.rows=tokens, words or stream (in Python: rows=...)"
    )
    assert _decide(_edges([LIMIT] * 10), asked="tokens", padded="behind").kind == "tokens"
    assert _decide(_edges([LIMIT] * 10), asked="words", padded="behind").kind == "words"
    assert _decide(_edges([LIMIT] * 10), asked="stream") is row_kinds.STREAM


def test_without_text_bert_rows_are_words_or_a_stream():
    assert _decide(_edges(WORDS), tokens=None).name == "words"
    assert _decide(_edges(TOKENS), tokens=None) is row_kinds.STREAM
    assert _decide(_edges([0] * 10), tokens=None) is row_kinds.STREAM


def test_words_beyond_the_arrays():
    words = [*WORDS[:-1], LIMIT + 5]
    assert _decide(_edges([*WORDS[:-1], LIMIT]), words=words).name == "words"


@pytest.mark.parametrize("kind", ["words", "tokens"])
def test_rows_beyond_the_words_of_which_no_zeros_tell_the_end(kind):
    full = _edges([LIMIT] * len(WORDS))
    with pytest.raises(
        UserError, match=r"no zeros tell at which end .* --config\.data\.padding=front or behind"
    ):
        _decide(full, asked=kind)
    for side in ("front", "behind"):
        assert _decide(full, asked=kind, padded=side).front == (side == "front")


@pytest.mark.parametrize("kind", ["array", "list"])
def test_edges(kind):
    rows = np.zeros((4, 5, 2))
    rows[0, 1:3, 1] = 1
    rows[1, 3, 1] = np.nan  # beside a number, in use
    rows[1, 4] = np.nan  # throughout, not in use
    rows[2] = -1
    values = rows if kind == "array" else [clip.tolist() for clip in rows]
    assert edges(values).tolist() == [[1, 3, 5], [3, 4, 5], [0, 5, 5], [0, 0, 5]]


def test_edges_of_nothing():
    assert edges(np.zeros((0, 5, 2))).shape == (0, 3)
    assert edges(np.zeros((2, 0, 2))).tolist() == [[0, 0, 0]] * 2


ROWS = np.arange(1.0, 7)[:, None] * [1, 10]  # 1 to 6 in the first column


@pytest.mark.parametrize(
    ("rows", "stop", "count", "expected"),
    [
        (row_kinds.Rows("tokens", ""), 6, 4, [1, 2, 3, 4]),
        (row_kinds.Rows("tokens", ""), 3, 4, [1, 2, 3]),
        (row_kinds.Rows("tokens", ""), 0, 4, []),
        (row_kinds.Rows("tokens", "", front=True), 6, 4, [3, 4, 5, 6]),
        (row_kinds.Rows("tokens", "", front=True), 5, 4, [3, 4, 5]),
        (row_kinds.Rows("tokens", "", skip=1), 4, 6, [0, 1, 2, 3, 4]),
        (row_kinds.Rows("tokens", "", skip=1), 2, 6, [0, 1, 2]),
        (row_kinds.Rows("tokens", "", front=True, skip=1), 6, 6, [0, 3, 4, 5, 6]),
        (row_kinds.Rows("tokens", "", skip=1), 6, 0, []),
        (row_kinds.Rows("tokens", "", front=True, skip=1), 6, 1, []),
    ],
)
def test_rows_of_tokens(rows, stop, count, expected):
    found = rows.of_tokens(ROWS, stop, count)
    assert found[:, 0].tolist() == expected
    np.testing.assert_array_equal(found[:, 1], 10 * found[:, 0])


def test_rows_of_words():
    behind, front = row_kinds.Rows("words", ""), row_kinds.Rows("words", "", front=True)
    assert behind.of_words(ROWS, 2)[:, 0].tolist() == [1, 2]
    assert front.of_words(ROWS, 2)[:, 0].tolist() == [5, 6]
    assert behind.of_words(ROWS, 8)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 0, 0]


def _behind(used, limit):
    """[N, 1, 3] edges of clips that have so many rows in use, and are padded behind."""
    return np.array([[[0, n, limit]] for n in used])


def test_arrays_shorter_than_the_texts_are_no_words():
    rng = np.random.default_rng(0)
    words = rng.integers(10, 31, 100)
    for limit in (1, 8):  # utterance-level features, and a few frames a clip
        found = row_kinds.decide(_behind([limit] * 100, limit), None, words, asked=None, where="a.pkl")
        assert found == row_kinds.STREAM
    long = rng.integers(60, 301, 60)  # cut at 50 rows, a quarter padded behind
    used = np.where(np.arange(60) % 4 == 0, rng.integers(20, 50, 60), 50)
    assert row_kinds.decide(_behind(used, 50), None, long, asked=None, where="a.pkl") == row_kinds.STREAM
    with pytest.raises(row_kinds.UnclearRows, match=r"--config.data.rows=tokens, words or stream"):
        row_kinds.decide(_behind([8] * 100, 8), words + 2, words, asked=None, where="a.pkl")
    one = words.copy()
    one[3] = 2
    assert row_kinds.decide(_behind([8] * 100, 8), None, one, asked=None, where="a.pkl") == row_kinds.STREAM


def test_arrays_as_long_as_the_longest_text_and_cut_texts_are_words():
    words = np.random.default_rng(1).integers(5, 40, 100)
    used = np.minimum(words, 30)
    assert row_kinds.decide(_behind(used, 30), None, words, asked=None, where="a.pkl").kind == "words"
    assert (
        row_kinds.decide(_behind([7], 7), None, [7], asked=None, where="a.pkl").kind == "words"
    )  # not padded
