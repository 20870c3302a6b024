"""Padding: the end it is at, decided once for a file, and cut off a clip."""

import numpy as np
import pytest

from msa_jax.data.conventions import padding
from msa_jax.data.conventions.lengths import by_lengths
from msa_jax.data.conventions.padding import Padding, by_ends, together, trim
from msa_jax.data.conventions.used import edges, ends, of_edges
from msa_jax.errors import UserError

BOTH = dict.fromkeys(("", "audio", "vision", "text", "a", "b"), Padding(None))


def _rows(pattern, width=3):
    """[L, width] with a 1 in the last column where the pattern has an x."""
    rows = np.zeros((len(pattern), width))
    rows[:, -1] = [mark == "x" for mark in pattern]
    return rows + np.arange(len(pattern))[:, None] * rows  # tells the steps apart


def _ends(*patterns):
    return ends(np.stack([_rows(pattern) for pattern in patterns]))


@pytest.mark.parametrize(
    ("patterns", "side", "text"),
    [
        (["..xx"] * 9 + ["xxxx"], "front", "in front, 9 of 9 clips"),
        (["xx.."] * 9 + ["x.xx"], "behind", "behind, 9 of 9 clips"),
        (["..xx"] * 9 + ["..x."], "front", "in front, 9 of 10 clips"),  # one ends in silence
        (["xx.."] * 18 + [".xx.", ".x.."], "behind", "behind, 18 of 20 clips"),
        (["xx.."] * 17 + [".xx.", ".x..", "...x"], None, "at both ends, where the clips do not agree"),
        (["xxxx", "x..x", "...."], None, "none"),
        # Some begin in silence; none has zeros in front alone.
        (["xx.."] * 30 + [".xx."] * 40, "behind", "behind, 30 of 70 clips, the others at both ends"),
        (["..xx"] * 3 + [".xx."], "front", "in front, 3 of 4 clips, the others at both ends"),
        (["xx.."] * 5 + [".xx."] * 95, None, "at both ends, where the clips do not agree"),  # centred
    ],
)
def test_the_end_of_nearly_all_clips_with_zeros_at_one(patterns, side, text):
    found = by_ends(_ends(*patterns))
    assert found.side == side
    assert str(found).startswith(text)
    lists = by_ends(ends([_rows(pattern).tolist() for pattern in patterns]))
    assert lists == found == by_ends(of_edges(edges(np.stack(list(map(_rows, patterns))))))


def test_what_the_user_says_counts():
    assert by_ends(_ends("..xx", "..xx"), "behind") == padding.asked("behind")
    assert str(padding.asked("behind")) == "behind, as you said"
    assert padding.asked("front").used(1, 3, 6) == slice(1, 6)


@pytest.mark.parametrize(
    ("side", "used"), [("front", slice(1, 6)), ("behind", slice(0, 3)), (None, slice(1, 3))]
)
def test_rows_without_a_length(side, used):
    assert Padding(side).used(1, 3, 6) == used
    assert Padding(side).used(0, 0, 6) == slice(0, 0)


def _by_lengths(patterns, lengths, **options):
    return by_lengths(edges([_rows(p) for p in patterns]), lengths, what="a.pkl, audio", **options)


@pytest.mark.parametrize(
    ("patterns", "lengths", "side", "text"),
    [
        (["...xxx", "..x.xx"], [3, 4], "front", "in front, 2 of 2 clips"),
        (["xxx...", "xx.x.."], [3, 4], "behind", "behind, 2 of 2 clips"),
        (["....x.", "...xx."], [3, 3], "front", "in front, 2 of 2 clips"),  # silent at their ends
        ([".x....", "..x..."], [3, 3], "behind", "behind, 2 of 2 clips"),
        ([".xx...", "xxxxxx", "......"], [3, 6, 2], "behind", "behind, 1 of 1 clips"),  # the others fit both
        (["xxxxxx", "xxx"], [6, 7], None, "none"),
        (["xxx..."] * 4 + ["..xxx."], [3] * 5, "behind", "behind, 4 of 5 clips"),
        # Lengths that fit no clip count nowhere.
        (
            ["..xxxx", "...xxx", ".xxxxx"],
            [0, 0, 0],
            "front",
            "in front, 3 of 3 clips, by the zeros, which the lengths contradict",
        ),
        (
            ["xxxx..", "xxxxxx", "xxxxxx"],
            [0, 0, 0],
            "behind",
            "behind, 1 of 1 clips, by the zeros, which the lengths contradict",
        ),
        (
            ["..xxxx", ".xxxxx"],
            [2, 3],
            "front",
            "in front, 2 of 2 clips, by the zeros, which the lengths contradict",
        ),
    ],
)
def test_the_end_at_which_the_lengths_fit(patterns, lengths, side, text):
    found = _by_lengths(patterns, lengths)
    assert (found.side, str(found)) == (side, text)


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["xxxxxx"] * 3, r"of 3 that .* arrays 3 have more rows in use than their length"),
        (["xxx..."] * 2 + ["...xxx"], r"of 3 that .* arrays 2 behind, 1 in front\)"),
    ],
)
def test_what_does_not_decide_is_refused_with_the_mend(patterns, message):
    with pytest.raises(UserError, match=message) as error:
        _by_lengths(patterns, [3, 3, 3])
    assert "a.pkl, audio: it is not clear at which end" in str(error.value)
    assert "say --config.data.padding=front or behind (in Python: padding=...)" in str(error.value)
    for side in ("front", "behind"):
        assert _by_lengths(patterns, [3, 3, 3], said=side) == padding.asked(side)


def _filled(length, side, filler):
    """[6, 2] with rows of something else than zeros beside those that count."""
    clip = np.arange(1.0, 13).reshape(6, 2)
    part = slice(length, None) if side == "behind" else slice(0, 6 - length)
    clip[part] = filler(clip, length if side == "behind" else 6 - length)
    return clip


@pytest.mark.parametrize("side", ["front", "behind"])
@pytest.mark.parametrize(
    "filler", [lambda clip, at: -1.0, lambda clip, at: clip[at - 1], lambda clip, at: (0.5, -0.5)]
)
def test_rows_that_repeat_tell_the_end(side, filler):
    lengths = [2, 3, 4, 6]
    clips = [_filled(length, side, filler) for length in lengths]
    found = by_lengths(edges(clips), lengths, rows=lambda: clips, what="a.pkl, audio")
    assert str(found) == f"{padding.asked(side)}".replace("as you said", "3 of 3 clips, by rows that repeat")
    for clip, length in zip(clips, lengths, strict=True):
        part = found.counted(*edges([clip])[0], length)
        assert part == (slice(0, length) if side == "behind" else slice(6 - length, 6))


def test_rows_that_repeat_at_either_end_tell_nothing():
    clips = [_filled(3, side, lambda clip, at: -1.0) for side in ("front", "behind")]
    for arrays in (clips, [np.ones((6, 2))] * 2):
        with pytest.raises(UserError, match="it is not clear at which end"):
            by_lengths(edges(arrays), [3, 3], rows=lambda: arrays, what="a.pkl, audio")  # noqa: B023


@pytest.mark.parametrize("side", ["front", "behind"])
def test_rows_of_nan_are_padding(side):
    rows = np.ones((8, 5, 2), np.float32)
    part = slice(0, 2) if side == "front" else slice(3, 5)
    rows[1:, part] = np.nan
    rows[0, 2, 1] = np.nan  # a number is beside it
    found = by_ends(ends(rows))
    assert found == by_ends(of_edges(edges(rows))) == by_ends(ends([clip.tolist() for clip in rows]))
    assert str(found) == f"{padding.asked(side)}".replace("as you said", "7 of 7 clips")
    for one_time_line in (False, True):
        cut = trim({"audio": rows[1]}, dict.fromkeys(("", "audio"), found), together=one_time_line)["audio"]
        assert cut.tolist() == [[1, 1]] * 3


@pytest.mark.parametrize(
    ("said", "pattern", "length", "used"),
    [
        (Padding("front", "x"), "..x.xx", 5, slice(1, 6)),
        (Padding("behind", "x"), "..x...", 3, slice(0, 3)),
        (Padding("behind", "x"), "..x.x.", 3, slice(2, 5)),  # the zeros contradict the length
        (Padding("behind", "x"), "xxxxxx", 9, slice(0, 6)),
        (Padding("front", "x"), "......", 2, slice(4, 6)),
        (padding.asked("front"), "xxxxxx", 2, slice(4, 6)),
        (padding.asked("behind"), "xxxxxx", 2, slice(0, 2)),
        (Padding("front", "x", counting=False), "..xxx.", 0, slice(2, 6)),
        (Padding("behind", "x", counting=False), ".xxx..", 0, slice(0, 4)),
    ],
)
def test_rows_with_a_length(said, pattern, length, used):
    (first, stop, limit), *_ = edges([_rows(pattern)])
    assert said.counted(first, stop, limit, length) == used


def test_streams_in_a_few_words():
    front, behind = Padding("front", "3 of 3 clips"), Padding("behind", "2 of 2 clips")
    assert padding.line({"audio": front, "vision": front}) == "in front, 3 of 3 clips"
    assert padding.line({"audio": front, "vision": Padding(None)}) == "audio in front, 3 of 3 clips"
    assert padding.line({"audio": front, "vision": behind}) == (
        "audio in front, 3 of 3 clips; vision behind, 2 of 2 clips"
    )
    assert padding.line({"": Padding(None)}) == ""


def test_a_row_of_one_time_line_is_in_use_where_it_is_in_one_stream():
    found = together({"audio": _ends("..xx", "...."), "vision": _ends("xx..", "....")}, "a.pkl")
    assert found.tolist() == [[True, True, True], [False, False, False]]


def test_streams_of_one_time_line_that_are_padded_at_two_ends():
    used = {"audio": _ends(*["..xx"] * 20), "vision": _ends(*["xx.."] * 20)}
    with pytest.raises(
        UserError, match=r"a\.pkl: audio is padded in front and vision behind.*data\.padding="
    ):
        together(used, "a.pkl")
    assert together(used, "a.pkl", "front").all()  # where the user says that the others are silence


def test_clips_that_fit_at_both_ends_are_not_guessed():
    edges_N3 = np.array([[2, 8, 10]] * 20)
    with pytest.raises(
        UserError, match=r"\(of 20 .* 20 have room for their lengths at either end\); say .*padding="
    ):
        by_lengths(edges_N3, [8] * 20, what="a.pkl, audio")
    assert by_lengths(edges_N3, [8] * 20, said="front", what="").counted(2, 8, 10, 8) == slice(2, 10)
    # One that fits at one end alone tells it for the others.
    edges_N3[0] = [2, 10, 10]
    assert by_lengths(edges_N3, [8] * 20, what="").side == "front"


@pytest.mark.parametrize(
    ("pattern", "first", "stop"),
    [("..xx", 2, 4), ("xx..", 0, 2), (".x.x.", 1, 4), ("xxx", 0, 3), ("...", 0, 0), ("", 0, 0)],
)
@pytest.mark.parametrize("together", [False, True])
def test_either_side(pattern, first, stop, together):
    rows = _rows(pattern)
    cut = trim({"audio": rows}, BOTH, together=together)["audio"]
    assert cut.shape == (stop - first, 3)
    np.testing.assert_array_equal(cut, rows[first:stop])


def test_modalities_of_one_time_line_keep_silent_steps():
    rows = {"audio": _rows("..x.x.."), "vision": _rows("...xx.."), "text": _rows("...x.x.", 1)}
    cut = trim(rows, BOTH, together=True)
    assert list(cut) == ["audio", "vision", "text"]
    for name in rows:
        np.testing.assert_array_equal(cut[name], rows[name][2:6])


def test_modalities_of_their_own_are_cut_apart():
    rows = {"audio": _rows("..x.x.."), "vision": _rows("xx.")}
    cut = trim(rows, BOTH, together=False)
    np.testing.assert_array_equal(cut["audio"], rows["audio"][2:5])
    np.testing.assert_array_equal(cut["vision"], rows["vision"][:2])


@pytest.mark.parametrize("together", [False, True])
def test_a_silent_modality_has_no_rows(together):
    cut = trim({"audio": _rows("...."), "vision": _rows(".xx.")}, BOTH, together=together)
    assert cut["audio"].shape == (0, 3)
    assert cut["vision"].shape == (2, 3)
    assert all(
        part.shape == (0, 3)
        for part in trim({"a": _rows(".."), "b": _rows("..")}, BOTH, together=True).values()
    )


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e-300])
def test_what_is_not_zero_is_no_padding(value):
    rows = np.zeros((4, 2))
    rows[1, 1] = value
    assert trim({"audio": rows}, BOTH, together=False)["audio"].shape == (1, 2)


def test_one_time_line_has_one_length():
    with pytest.raises(ValueError, match=r"audio 3, vision 2"):
        trim({"audio": _rows("xxx"), "vision": _rows("xx")}, BOTH, together=True)


def test_nothing_to_cut():
    assert trim({}, BOTH, together=True) == {}


@pytest.mark.parametrize(("side", "length"), [("front", 4), ("behind", 5), (None, 3)])
@pytest.mark.parametrize("one_time_line", [False, True])
def test_silence_at_the_other_end_stays(side, length, one_time_line):
    paddings = dict.fromkeys(("", "audio", "vision"), Padding(side, "x"))
    rows = {"audio": _rows("..x.x."), "vision": _rows("..x.x.", 1)}
    cut = trim(rows, paddings, together=one_time_line)
    assert [len(part) for part in cut.values()] == [length] * 2


def test_streams_that_are_padded_at_different_ends_have_no_common_time_line():
    front, behind = _ends(*["..xx"] * 12), _ends(*["xx.."] * 12)
    with pytest.raises(
        UserError, match="audio is padded in front and vision behind, in arrays of one length"
    ):
        together({"audio": front, "vision": behind}, "a.pkl")
    one = together({"audio": front, "vision": _ends(*["...x"] * 12)}, "a.pkl")
    assert by_ends(one).side == "front"
    few = _ends(*["..xx"] * 4, *["xxxx"] * 20)  # silence at the start of some clips
    assert together({"audio": few, "vision": _ends(*["xx.."] * 24)}, "a.pkl")[:, 0].all()
