"""Reversed axes: named in every format that holds arrays, and not seen where there are none."""

import itertools
import pickle

import h5py
import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.conventions import axes
from msa_jax.errors import UserError
from tests.data.conventions.swapped_files import swapped
from tests.data.small_files import csd_folder, hdf5_folder, mmsa, mult_pickle, npz_file, words_folder, write

MESSAGE = (
    r"the axes are reversed, \(width, .*\) in place of \(.*, width\), as MATLAB writes them; save array\.T"
)


def test_what_counts_as_reversed():
    assert axes.are_reversed((3, 20, 50), 50)
    assert not axes.are_reversed((50, 20, 3), 50)
    assert not axes.are_reversed((50, 20, 50), 50)
    assert not axes.are_reversed((50,), 50)
    assert axes.all_reversed([(74, 20, 50), (36, 20, 50), (1, 50)])
    assert axes.all_reversed([(74, 20, 50), (36, 20, 50)])
    assert not axes.all_reversed([(50, 20, 74), (50, 20, 74), (50,)])
    assert not axes.all_reversed([(50, 20, 74), (49, 20, 36)])


def _hdf5(folder):
    path = hdf5_folder(folder)
    for file in path.iterdir():
        with h5py.File(file) as opened:
            array = opened["d1"][()]
        with h5py.File(file, "w") as opened:
            opened["d1"] = array.T
    return path


def _mmsa(folder):
    content = mmsa()
    for arrays in content.values():
        arrays["audio"], arrays["vision"] = arrays["audio"].T, arrays["vision"].T
    return write(folder, pickle.dumps(content))


def _mult(folder):
    path = mult_pickle(folder)
    content = pickle.loads(path.read_bytes())
    for arrays in content.values():
        arrays |= {name: arrays[name].T for name in ("text", "audio", "vision")}
    return write(folder, pickle.dumps(content))


def _npz(folder):
    return npz_file(folder, audio=np.ones((3, 12), np.float32))


def _words(folder):
    path = words_folder(folder)
    for file in path.iterdir():
        clips = [((i, v.T, a.T, w), y, name) for (i, v, a, w), y, name in pickle.loads(file.read_bytes())]
        clips = [((i, np.ones((3, 2)), a, w), y, name) for (i, _, a, w), y, name in clips]
        file.write_bytes(pickle.dumps(clips))
    return path


def _csd(folder):
    path = csd_folder(folder)
    with h5py.File(path / "CMU_MOSI_COVAREP.csd", "a") as file:
        for group in file["COVAREP/data"].values():
            rows = group["features"][()]
            del group["features"]
            group["features"] = rows.T
    return path


@pytest.mark.parametrize("make", [_hdf5, _mmsa, _mult, _npz, _words, _csd])
@pytest.mark.parametrize("require_labels", [True, None])
def test_reversed_arrays_are_named(tmp_path, make, require_labels):
    path = make(tmp_path)
    with pytest.raises(UserError, match=MESSAGE) as error:
        list(readers.read(path, require_labels=require_labels, text_features=None, need_text=False))
    assert "\n" not in str(error.value)
    assert path.name in str(error.value)


def _clips(lengths, *, width=5, rows=12):
    """[N, rows, width] padded behind with zeros; without them where a length is 0."""
    values = np.random.default_rng(0).uniform(0.5, 1, (len(lengths), rows, width))
    for clip, length in zip(values, lengths, strict=True):
        clip[length or rows :] = 0
    return values


LENGTHS = [12, 3, 7, 9, 5, 12, 8, 6]
FULL = [0] * 8


def _decide(parts, **options):
    return axes.decide({name: [part] for name, part in parts.items()}, "a.pkl", **options)


SWAPPED = (
    r"a\.pkl: rows and columns are swapped, \(clips, width, rows\) in place of \(clips, rows, width\), in "
)
KEY = r" or, if they are not swapped, say --config\.data\.axes=rows_first \(in Python: axes=\"rows_first\"\)$"
SAID = {"axes": "rows before columns, as you said"}


def _refused(parts, found, **options):
    """The file is refused, by name, and read as it is where the user says so."""
    with pytest.raises(UserError, match=SWAPPED + found + r"; save array\.swapaxes\(1, 2\)," + KEY):
        _decide(parts, **options)
    assert _decide(parts, said="rows_first", **options) == SAID


@pytest.mark.parametrize("container", ["array", "lists", "objects"])
@pytest.mark.parametrize("front", [False, True])
def test_zeros_fill_up_columns(container, front):
    good = _clips(LENGTHS)
    good = good[:, ::-1] if front else good
    if container == "objects":
        good = np.array([*good, None], object)[:-1]
    values = good if container != "lists" else good.tolist()
    assert _decide({"audio": values}) == {}
    _refused({"audio": swapped(values)}, r"audio \(5, 12\) a clip: zeros fill up its columns, not its rows")


def test_columns_that_are_padded_from_the_lengths_on():
    good = _clips(FULL)
    for clip, length in zip(good, LENGTHS, strict=True):
        clip[length:] = clip[length - 1] + 1  # no zeros
    lengths = {"audio": LENGTHS}
    assert _decide({"audio": good}, lengths=lengths) == {}
    found = r"audio \(5, 12\) a clip: its columns, not its rows, are padded from its lengths on"
    _refused({"audio": swapped(good)}, found, lengths=lengths)
    _refused({"audio": swapped(good[1:2])}, found, lengths={"audio": LENGTHS[1:2]})
    # An array that was cut to five rows keeps the lengths from before; its zeros tell its rows.
    assert _decide({"audio": _clips(LENGTHS, width=12)[:, :5]}, lengths=lengths) == {}


def test_lengths_of_two_streams_that_the_columns_alone_have_room_for():
    audio, vision = _clips(FULL), _clips(FULL, width=3, rows=15)
    lengths = {"audio": LENGTHS, "vision": [15, *LENGTHS[1:]]}
    assert _decide({"audio": audio, "vision": vision}, lengths=lengths) == {}
    found = r"audio \(5, 12\) a clip: its lengths go up to 12, vision \(3, 15\) a clip: .* up to 15"
    _refused({"audio": swapped(audio), "vision": swapped(vision)}, found, lengths=lengths)
    line = _decide({"audio": swapped(audio)}, lengths={"audio": LENGTHS})["axes"]
    assert line == (
        "taken for rows before columns, also in audio (5, 12) a clip (its lengths go up to 12); if they are "
        "swapped, save array.swapaxes(1, 2)"
    )


def test_clips_that_differ_in_their_columns():
    good = [_clips([length])[0, :length] for length in LENGTHS]
    assert _decide({"audio": good}) == {}
    found = r"audio \(5, 12\) a clip: its clips differ in their columns \(3 to 12\) and not in their rows"
    _refused({"audio": [rows.T for rows in good]}, found)


HONEST = {
    "one clip whose tokens are as many as its columns": (
        {"vision": _clips([0], width=20, rows=137), "text": _clips([0], width=768, rows=20)},
        {"tokens": 20},
        "vision (137, 20) a clip (the text has 20 rows)",
    ),
    "three streams of one width": (
        {name: _clips(FULL, width=64, rows=rows) for name, rows in (("a", 10), ("b", 80), ("c", 30))},
        {},
        "all streams have 64 columns",
    ),
    "columns as many as the rows of the others": (
        {"a": _clips(FULL, width=5), "b": _clips(FULL, width=7), "c": _clips(FULL, width=12, rows=40)},
        {},
        "c (40, 12) a clip (the others have 12 rows)",
    ),
    "an emotion in each row": ({"a": np.eye(7)[np.random.default_rng(0).integers(0, 7, (60, 10))]}, {}, ""),
    "an emotion in each row, the first ones often": (
        {"a": np.eye(12)[np.random.default_rng(0).geometric(0.4, (60, 10)).clip(max=12) - 1]},
        {},
        "",
    ),
    "a sparse row a clip": (
        {
            "a": np.random.default_rng(0).uniform(size=(60, 1, 50))
            * (np.arange(50) < np.arange(5, 65)[:, None, None] % 50)
        },
        {},
        "",
    ),
    "silent columns": ({"a": _clips(LENGTHS) * ([[[1]], [[0]]] * 4 + np.array([1, 1, 1, 0, 0]) > 0)}, {}, ""),
    "lengths from before the clips were cut": (
        {"a": _clips(FULL, width=768, rows=50)},
        {"lengths": {"a": [665, 100, 80, 70, 300, 90, 51, 40]}},
        "a (50, 768) a clip (its lengths go up to 665)",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_files_are_read_and_equal_numbers_are_said(name):
    parts, options, line = HONEST[name]
    said = _decide(parts, **options)
    assert line in said["axes"] if line else said == {}


def test_a_file_that_is_read_after_all(tmp_path):
    content = mmsa()
    for arrays in content.values():
        count = len(arrays["id"])
        values = np.random.default_rng(0).uniform(0.5, 1, (count, 5, 12)).astype("f4")
        for clip, length in zip(values, itertools.cycle((4, 9, 12, 6)), strict=False):
            clip[:, length:] = 0
        arrays |= {"audio": values, "vision": values}
        arrays |= {f"{name}_lengths": [5] * count for name in ("audio", "vision")}
    path = write(tmp_path, pickle.dumps(content))
    options = {"text_features": False, "require_labels": None}
    with pytest.raises(UserError, match=r"audio \(5, 12\) a clip: zeros .*data\.axes=rows_first"):
        readers.read(path, **options)
    source = readers.read(path, axes="rows_first", **options)
    assert source.reading.conventions["axes"] == SAID["axes"]
    audio = np.concatenate([arrays["audio"] for arrays in content.values()])
    np.testing.assert_array_equal(np.stack([clip.audio for clip in source]), audio)
