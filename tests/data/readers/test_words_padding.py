"""Words pickles whose rows are words and are padded to one length."""

import pickle

import numpy as np
import pytest

from msa_jax.corpora import CORPORA
from msa_jax.data import readers
from msa_jax.data.datasets.prepared import prepare
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError


def _write(path, clips):
    path.write_bytes(pickle.dumps(clips))
    return path


def _padded_clips(front, behind, *, count=12, pad=0.0):
    """(clips as they are, the same with every array padded to 20 rows), the first with a silent last word."""
    plain, padded = [], []
    for k in range(count):
        rng, words = np.random.default_rng(k), ["sp", "the", "film", "was", "good"][: 2 + k % 4]
        vision, audio = (rng.normal(size=(len(words), d)).astype(np.float32) for d in (4, 5))
        if k == 0:
            audio[-1] = vision[-1] = 0
        more = 20 - len(words)
        ends = ((more * front, more * behind), (0, 0))
        wide = [np.pad(rows, ends, constant_values=pad) for rows in (vision, audio)]
        plain.append((([0], vision, audio, words), np.array([[0.5]]), f"v{k}[0]"))
        padded.append((([0], *wide, words), np.array([[0.5]]), f"v{k}[0]"))
    return plain, padded


@pytest.mark.parametrize(("front", "behind", "name"), [(1, 0, "in front"), (0, 1, "behind")])
@pytest.mark.parametrize("mag_bert", [False, True])
def test_rows_of_words_that_are_padded(tmp_path, front, behind, name, mag_bert):
    right, padded = _padded_clips(front, behind)
    if mag_bert:
        right, padded = ([((w, v, a), y, n) for (_, v, a, w), y, n in clips] for clips in (right, padded))
    source = readers.read(_write(tmp_path / "padded.pkl", padded))
    found = list(source)
    for clip, expected in zip(found, readers.read(_write(tmp_path / "plain.pkl", right)), strict=True):
        assert (clip.text, clip.aligned) == (expected.text, True)
        np.testing.assert_array_equal(clip.audio, expected.audio)
        np.testing.assert_array_equal(clip.vision, expected.vision)
    # The clip that ends in silence could be padded at either end, where the padding is behind.
    assert source.reading.conventions["padding"].startswith(name)
    assert "of 24 arrays with more rows than words" in source.reading.conventions["padding"]


def test_padding_of_rows_of_words_as_the_user_says(tmp_path):
    right, padded = _padded_clips(1, 0, pad=-1.0)
    path = _write(tmp_path / "x.pkl", padded)
    assert {len(clip.audio) for clip in readers.read(path)} == {20}  # as they are: the checks refuse them
    source = readers.read(path, padding="front")
    for clip, (parts, _, _) in zip(source, right, strict=True):
        np.testing.assert_array_equal(clip.audio, parts[2][1:])  # without the row of the pause
    assert source.reading.conventions["padding"] == "in front, as you said"
    assert not source.reading.notes


def test_a_row_too_many_in_one_clip_is_not_padding(tmp_path):
    right, _ = _padded_clips(1, 0)
    (parts, label, name) = right[3]
    right[3] = ((parts[0], parts[1], np.pad(parts[2], ((0, 1), (0, 0)), mode="edge"), parts[3]), label, name)
    source = readers.read(_write(tmp_path / "x.pkl", right))
    assert len(list(source)[3].audio) == len(parts[2]) + 1
    assert "padding" not in source.reading.conventions


def _prepared(path, **said):
    return prepare(readers.read(path, **said), CORPORA["mosi"], where="a.pkl", cut=Cut(), other_counts=True)


def test_rows_that_no_zeros_tell_are_refused_with_the_key_that_mends_them(tmp_path):
    _, padded = _padded_clips(0, 1, pad=-1.0)
    for k in range(12):  # no rows repeat
        for rows in padded[k][0][1:3]:
            rows[:] += np.arange(20)[:, None] / 8
    path = _write(tmp_path / "padded.pkl", padded)
    with pytest.raises(UserError, match="12 clips have audio rows that do not match") as error:
        _prepared(path)
    say = "padding, say --config.data.padding=front or behind (in Python: padding=...); else correct the file"
    assert str(error.value).count(f"; where the rows beyond the words are {say}") == 1
    assert sum(_prepared(path, padding="behind").counts.values()) == 12


def test_no_key_is_named_where_rows_are_missing_or_the_end_is_said(tmp_path):
    plain, padded = _padded_clips(0, 1)
    plain[3] = (([0], plain[3][0][1][:2], *plain[3][0][2:]), *plain[3][1:])
    padded[3] = (([0], padded[3][0][1][:2], *padded[3][0][2:]), *padded[3][1:])
    for path, said in (("plain", {}), ("padded", {"padding": "behind"})):
        clips = {"plain": plain, "padded": padded}[path]
        with pytest.raises(UserError, match=r"1 clip has vision rows that do not match .*; correct") as error:
            _prepared(_write(tmp_path / f"{path}.pkl", clips), **said)
        assert "padding" not in str(error.value)


def _word_lists(pad, *, front=False, fill=0.0, count=12, mag_bert=False, joined=False, in_use=0, apart=False):
    """(clips as they are, the same with lists of 9 words), the last of which has no word at all."""
    right, padded = [], []
    for k in range(count):
        rng, words = np.random.default_rng(k), ["sp", "the", "film", "was", "<pad>", "good"][: 2 + k % 5]
        words = [] if k == count - 1 else [word for word in words if word != "<pad>" or words[-1] == "good"]
        more = 9 - len(words)
        vision, audio = (rng.normal(size=(len(words), d)).astype(np.float32) for d in (4, 5))
        full = [
            np.pad(rows, ((more * front, more * (not front)), (0, 0)), constant_values=fill)
            for rows in (vision, audio)
        ]
        if k < in_use:
            full[1][0 if front else -1, 2] = 1
        listed = [pad] * more + words if front else words + [pad] * more
        spoken = " ".join(listed) if joined else listed
        wide = [vision, audio] if apart else full
        for to, streams, said in ((right, (vision, audio), words), (padded, wide, spoken)):
            parts = (said, *streams) if mag_bert else (list(range(9)), *streams, said)
            to.append((parts, np.array([[k / 5]]), f"v{k}[0]"))
    return right, padded


@pytest.mark.parametrize(
    ("pad", "how"),
    [
        ("<pad>", {}),
        ("[PAD]", {"front": True}),
        ("", {}),
        ("", {"front": True, "apart": True}),
        ("<PAD>", {"fill": np.nan}),
        ("<pad>", {"mag_bert": True}),
        ("<pad>", {"joined": True}),
        ("<pad>", {"apart": True}),
    ],
)
def test_padding_words_are_cut_off_with_their_rows(tmp_path, pad, how):
    right, padded = _word_lists(pad, **how)
    source = readers.read(_write(tmp_path / "padded.pkl", padded))
    for clip, expected in zip(source, readers.read(_write(tmp_path / "right.pkl", right)), strict=True):
        assert (clip.text, clip.label, clip.aligned) == (expected.text, expected.label, True)
        np.testing.assert_array_equal(clip.audio, expected.audio)
        np.testing.assert_array_equal(clip.vision, expected.vision)
    side, word = "in front" if how.get("front") else "behind", repr(pad) if pad else "empty words"
    assert source.reading.conventions["padding"] == f"{side}, {word} in 12 of 12 clips"
    assert source.reading.notes == ()


def test_padding_words_in_bytes_are_padding_words(tmp_path):
    def in_bytes(clips):
        return [
            ((words, *rows, [word.encode() for word in said]), *more) for (words, *rows, said), *more in clips
        ]

    right, padded = _word_lists("<pad>")
    source = readers.read(_write(tmp_path / "padded.pkl", in_bytes(padded)))
    expected = readers.read(_write(tmp_path / "right.pkl", in_bytes(right)))
    assert [clip.text for clip in source] == [clip.text for clip in expected]
    assert [len(clip.audio) for clip in source] == [len(clip.audio) for clip in expected]
    assert source.reading.conventions["padding"] == "behind, '<pad>' in 12 of 12 clips"


def test_padding_words_whose_rows_are_in_use_are_kept_and_said(tmp_path):
    right, padded = _word_lists("<pad>", in_use=3)
    path = _write(tmp_path / "x.pkl", padded)
    source = readers.read(path)
    clips = list(source)
    assert clips[1].text == " ".join(["the", "film"] + ["<pad>"] * 6)
    assert (len(clips[1].audio), len(clips[5].audio)) == (8, 8)
    assert "padding" not in source.reading.conventions
    assert source.reading.notes == (
        "In 12 of 12 clips '<pad>' at an end is kept as a word, as its rows are in use; where it is padding, "
        "say --config.data.padding=front or behind (in Python: padding=...).",
    )
    mended = readers.read(path, padding="behind")
    assert [clip.text for clip in mended] == [
        clip.text for clip in readers.read(_write(tmp_path / "y.pkl", right))
    ]
    assert mended.reading.conventions["padding"] == "behind, as you said"
    for said in ("none", "front"):
        kept = readers.read(path, padding=said)
        assert [clip.text for clip in kept][1] == clips[1].text
        count = 12 if said == "none" else 11  # of the clip without words, any end is padding
        assert kept.reading.notes == (
            f"In {count} of 12 clips '<pad>' at an end is kept as a word, as you said.",
        )


def test_few_padding_words_in_use_are_kept_alone(tmp_path):
    right, padded = _word_lists("<pad>", in_use=1)
    source = readers.read(_write(tmp_path / "x.pkl", padded))
    found = [clip.text for clip in source]
    assert found[1:] == [clip.text for clip in readers.read(_write(tmp_path / "y.pkl", right))][1:]
    assert found[0].endswith("<pad>")
    assert source.reading.conventions["padding"] == "behind, '<pad>' in 11 of 12 clips"
    assert source.reading.notes[0].startswith("In 1 of 12 clips '<pad>' at an end is kept as a word")


def test_padding_words_beside_streams_of_their_own(tmp_path):
    right, padded = _word_lists("<pad>")
    rows = np.random.default_rng(0).normal(size=(30, 4))
    of_own = [
        [((0, rows, rows, parts[3], 30, 30), y, name) for parts, y, name in clips]
        for clips in (right, padded)
    ]
    expected, source = (readers.read(_write(tmp_path / f"{k}.pkl", clips)) for k, clips in enumerate(of_own))
    assert [clip.text for clip in source] == [clip.text for clip in expected]
    assert {len(clip.audio) for clip in source} == {30}
    assert source.reading.conventions["padding"] == "behind, '<pad>' in 12 of 12 clips"
