"""Fillers: one row of all clips, or one of the own of each, told by many clips; honest repeats are kept."""

import pickle

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.conventions import fillers
from msa_jax.data.conventions.fillers import Filler, find
from msa_jax.errors import UserError

LIMIT = 20


def _clips(count: int = 30, longest: int = 15, width: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(int(rng.integers(4, longest + 1)), width)) for _ in range(count)]


def _filled(clips, fill, side="behind"):
    """The clips in arrays of LIMIT rows; fill(clip) is the row beside."""
    full = []
    for clip in clips:
        beside = np.tile(fill(clip), (LIMIT - len(clip), 1))
        full.append(np.concatenate([clip, beside] if side == "behind" else [beside, clip]))
    return np.stack(full)


def _minus_one(clip):
    return np.full(clip.shape[1], -1.0)


@pytest.mark.parametrize("side", ["behind", "front"])
def test_one_row_of_all_clips_becomes_zeros(side):
    clips = _clips()
    full = _filled(clips, _minus_one, side)
    found = find([full[:20], list(full[20:])])
    assert (found.ends, found.row.tolist(), str(found)) == ((side,), [-1, -1, -1], "by rows of -1")
    zeros = _filled(clips, lambda clip: np.zeros(3), side)
    np.testing.assert_array_equal(found.blanked_all(full), zeros)
    assert found.blanked(clips[0]) is clips[0]


@pytest.mark.parametrize("side", ["behind", "front"])
def test_a_row_of_the_clips_own_counts_once(side):
    clips = _clips()
    full = _filled(clips, lambda clip: clip[-1 if side == "behind" else 0], side)
    found = find([full])
    assert (found.ends, found.row) == ((side,), None)
    np.testing.assert_array_equal(found.blanked_all(full), _filled(clips, lambda clip: np.zeros(3), side))


def test_one_row_at_both_ends():
    rng, full = np.random.default_rng(1), np.full((30, LIMIT, 2), 1e-8)
    places = [(int(rng.integers(1, 6)), int(rng.integers(10, 19))) for _ in full]
    for clip, (start, stop) in zip(full, places, strict=True):
        clip[start:stop] = rng.normal(size=(stop - start, 2))
    found = find([full])
    assert set(found.ends) == {"behind", "front"}
    for clip, (start, stop) in zip(found.blanked_all(full), places, strict=True):
        assert np.flatnonzero(clip.any(axis=1)).tolist() == list(range(start, stop))


def test_long_clips_that_are_cut_are_not_filled_up():
    clips = [clip[:LIMIT] for clip in _clips(60, longest=60)]
    assert sum(len(clip) == LIMIT for clip in clips) > 0.6 * len(clips)
    assert find([_filled(clips, _minus_one)]).ends == ("behind",)


def _windows():
    return np.random.default_rng(2).normal(size=(30, LIMIT, 3))


def _upsampled():
    return np.repeat(_windows()[:, ::4], 4, axis=1)


def _utterances():
    return np.repeat(_windows()[:, :1], LIMIT, axis=1)


def _silence():
    """One row of silence within and at the end of clips."""
    full = _windows()
    for k, clip in enumerate(full):
        clip[LIMIT - k % 5 :] = clip[k % 7 : k % 7 + 2] = -80
    return full


def _emotions():
    return np.eye(3)[np.random.default_rng(3).integers(0, 3, (30, LIMIT))]


def _zeros():
    """Zeros pad; some clips end in a row that others end in, too."""
    full = _filled(_clips(), lambda clip: np.zeros(3))
    full[:5, -6:] = -1
    return full


def _one_stretch():
    """Every clip has the same stretch at its end, as a constant tail of all windows."""
    full = _windows()
    full[:, -5:] = -1
    return full


@pytest.mark.parametrize(
    "values",
    [_windows, _upsampled, _utterances, _silence, _emotions, _zeros, _one_stretch],
    ids=lambda make: make.__name__,
)
def test_honest_rows_are_kept(values):
    assert find([values()]) is None


def test_what_is_not_numbers_of_one_length_is_kept():
    assert find([[np.full((k + 4, 2), -1.0) for k in range(30)]]) is None
    assert find([[["a"] * LIMIT] * 30, []]) is None
    assert Filler(("behind",)).blanked_all([["a"]]) == [["a"]]


def _pickle(place, full, **arrays):
    count = len(full) // 3
    content = {}
    for k, split in enumerate(("train", "valid", "test")):
        part = slice(k * count, (k + 1) * count)
        content[split] = {
            "id": [f"film{split}{i}$_$1" for i in range(count)],
            "raw_text": ["a good film"] * count,
            "regression_labels": np.linspace(-3, 3, count),
            "audio": full[part],
            **{name: values[part] for name, values in arrays.items()},
        }
    path = place / "features.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_a_file_is_cut_and_says_so_unless_all_rows_are_said_to_count(tmp_path):
    clips = _clips(30)
    path = _pickle(tmp_path, _filled(clips, _minus_one))
    source = readers.read(path)
    assert [len(clip.audio) for clip in source] == [len(clip) for clip in clips]
    expected = "behind, 30 of 30 clips, by rows of -1 (--config.data.padding=none keeps them)"
    assert source.reading.conventions["padding"] == expected
    for said in ("none", "front"):  # there is nothing in front
        assert {len(clip.audio) for clip in readers.read(path, padding=said)} == {LIMIT}
    assert [len(clip.audio) for clip in readers.read(path, padding="behind")] == [len(c) for c in clips]


@pytest.mark.parametrize(
    "lengths",
    [
        lambda right: [LIMIT] * len(right),
        lambda right: [100] * len(right),
        lambda right: right[::-1],
        lambda right: [n - 1 for n in right],
    ],
    ids=["all rows", "more than there are", "of other clips", "one too few"],
)
def test_lengths_that_the_zeros_of_many_clips_contradict_do_not_count(tmp_path, lengths):
    clips = _clips(30)
    counts = [len(clip) for clip in clips]
    full = _filled(clips, lambda clip: np.zeros(3))
    source = readers.read(_pickle(tmp_path, full, audio_lengths=lengths(counts)))
    assert [len(clip.audio) for clip in source] == counts
    expected = "behind, 30 of 30 clips, by the zeros, which the lengths contradict"
    assert source.reading.conventions["padding"] == expected


def test_lengths_with_one_row_too_many_are_believed_and_told(tmp_path):
    clips = _clips(30)
    full = _filled(clips, lambda clip: np.zeros(3))
    source = readers.read(_pickle(tmp_path, full, audio_lengths=[len(clip) + 1 for clip in clips]))
    assert [len(clip.audio) for clip in source] == [len(clip) + 1 for clip in clips]
    expected = "behind, 30 of 30 clips, of which each counts 1 row of zeros in its length"
    assert source.reading.conventions["padding"] == expected


def test_none_keeps_the_rows_of_zeros_too(tmp_path):
    path = _pickle(tmp_path, _filled(_clips(30), lambda clip: np.zeros(3)))
    assert {len(clip.audio) for clip in readers.read(path, padding="none")} == {LIMIT}
    with pytest.raises(UserError, match="front, behind, none"):
        readers.read(path, padding="both")


def test_what_is_told_of_streams_on_one_time_line():
    ends = {"": fillers.Padding("behind", "9 of 9 clips"), "text": fillers.Padding(None)}
    found = fillers.told(ends, {"audio": Filler(("behind",)), "vision": Filler(("behind",))})
    line = "9 of 9 clips, by rows that repeat the last one (--config.data.padding=none keeps them)"
    assert found == {"": fillers.Padding("behind", line), "text": ends["text"]}


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("own", [False, True], ids=["one row", "own rows"])
def test_few_clips_are_said_to_keep_such_rows_and_lose_them_where_the_end_is_said(tmp_path, count, own):
    clips = _clips(count, longest=12)
    full = _filled(clips, (lambda clip: clip[-1]) if own else _minus_one)
    path = tmp_path / "few.pkl"
    content = {"id": [f"film{i}$_$1" for i in range(count)], "raw_text": ["a good film"] * count}
    path.write_bytes(pickle.dumps({"test": {**content, "audio": full}}))
    source = readers.read(path, require_labels=None)
    assert {len(clip.audio) for clip in source} == {LIMIT}
    told = [note for note in source.reading.notes if "rows that repeat" in note]
    assert len(told) == 1
    assert (
        f"{count} clip{'s end' if count > 1 else ' ends'} with rows that repeat; they count, unless"
        in told[0]
    )
    said = readers.read(path, require_labels=None, padding="behind")
    assert [len(clip.audio) for clip in said] == [len(clip) for clip in clips]
    assert not [note for note in said.reading.notes if "rows that repeat" in note]


@pytest.mark.parametrize("fill", [_minus_one, lambda clip: clip[-1]], ids=["one row", "own rows"])
@pytest.mark.parametrize("filled", [2, 12, 24])
def test_a_stream_of_which_few_clips_are_filled_up_is_told_by_the_other(tmp_path, fill, filled):
    audio = _clips(30)
    vision = [
        clip[:, :2] if k < filled else np.random.default_rng(k).normal(size=(LIMIT, 2))
        for k, clip in enumerate(_clips(30))
    ]
    full = np.stack([_filled([clip], fill)[0] for clip in vision])
    source = readers.read(_pickle(tmp_path, _filled(audio, fill), vision=full))
    assert [len(clip.audio) for clip in source] == [len(clip) for clip in audio]
    assert [len(clip.vision) for clip in source] == [len(clip) for clip in vision]


@pytest.mark.parametrize("silent", [0, 3, 11, 30])
def test_silence_at_the_other_end_hides_no_filler(silent):
    clips = _clips(100)
    full = _filled(clips, _minus_one)
    full[:silent, 0] = 0
    assert find([full]).ends == ("behind",)


@pytest.mark.parametrize("silent", [0, 3, 6, 9])
@pytest.mark.parametrize("said", [None, "behind"])
def test_silence_hides_no_lengths_that_are_only_those_of_the_arrays(tmp_path, silent, said):
    clips = _clips(30)
    full = _filled(clips, lambda clip: np.zeros(3))
    full[:silent, 0] = 0
    options = {"padding": said} if said else {}
    source = readers.read(_pickle(tmp_path, full, audio_lengths=[LIMIT] * 30), **options)
    assert [len(clip.audio) for clip in source] == [len(clip) for clip in clips]


def test_lengths_from_before_every_second_row_was_left_out_do_not_count(tmp_path):
    clips = _clips(30)
    full = _filled(clips, lambda clip: np.zeros(3))
    source = readers.read(_pickle(tmp_path, full, audio_lengths=[2 * len(clip) for clip in clips]))
    assert [len(clip.audio) for clip in source] == [len(clip) for clip in clips]


def test_none_keeps_all_rows_beside_lengths_too(tmp_path):
    clips = _clips(30)
    full = _filled(clips, lambda clip: np.zeros(3), "front")
    path = _pickle(tmp_path, full, audio_lengths=[len(clip) for clip in clips])
    assert {len(clip.audio) for clip in readers.read(path, padding="none")} == {LIMIT}


def test_lengths_of_the_arrays_do_not_count_where_all_clips_begin_in_silence(tmp_path):
    clips = _clips(30)
    full = _filled(clips, lambda clip: np.zeros(3))
    full[:, 0] = 0
    source = readers.read(_pickle(tmp_path, full, audio_lengths=[LIMIT] * 30))
    assert [len(clip.audio) for clip in source] == [len(clip) - 1 for clip in clips]
    assert "by the zeros, which the lengths contradict" in source.reading.conventions["padding"]


def test_lengths_that_count_silence_are_taken_where_the_end_is_said(tmp_path):
    clips = _clips(30)
    for k, clip in enumerate(clips):
        clip[len(clip) - k % 4 :] = 0
    full = _filled(clips, lambda clip: np.zeros(3))
    path = _pickle(tmp_path, full, audio_lengths=[len(clip) for clip in clips])
    assert [len(clip.audio) for clip in readers.read(path, padding="behind")] == [len(clip) for clip in clips]


def test_a_row_that_is_also_inside_the_clips_of_another_stream_is_kept(tmp_path):
    audio = _clips(30)
    vision = np.random.default_rng(5).normal(size=(30, LIMIT, 2))
    for k, clip in enumerate(vision):
        clip[5 + k % 6] = -1  # a lost face
        clip[LIMIT - (k % 3) :] = -1
    source = readers.read(_pickle(tmp_path, _filled(audio, _minus_one), vision=vision))
    assert [len(clip.audio) for clip in source] == [len(clip) for clip in audio]
    assert {len(clip.vision) for clip in source} == {LIMIT}


def test_one_held_row_of_another_stream_is_kept(tmp_path):
    audio = _clips(30)
    vision = np.random.default_rng(5).normal(size=(30, LIMIT, 2))
    vision[3, 12:] = vision[3, 12]
    source = readers.read(_pickle(tmp_path, _filled(audio, lambda clip: clip[-1]), vision=vision))
    assert {len(clip.vision) for clip in source} == {LIMIT}


def test_a_stream_is_told_by_those_that_tell_themselves_in_whatever_order_they_come():
    """A stream that is told by another does not tell a third one, so that their order does not matter."""
    streams = {"audio": _clips(30), "vision": _clips(30), "text": _clips(30)}
    filled = {"audio": 30, "vision": 3, "text": 4}
    parts = {}
    for name, clips in streams.items():
        full = _windows()
        full[: filled[name]] = _filled(clips[: filled[name]], _minus_one)
        parts[name] = [full]
    for order in (["audio", "vision", "text"], ["text", "vision", "audio"]):
        found = fillers.decide({name: parts[name] for name in order}).fillers
        assert list(found) == order
        assert {str(filler) for filler in found.values()} == {"by rows of -1"}
