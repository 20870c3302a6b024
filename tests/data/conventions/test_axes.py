"""Reversed axes: named in every format that holds arrays, and not seen where there are none."""

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


def _refuse(parts, **options):
    axes.refuse_swapped({name: [part] for name, part in parts.items()}, "a.pkl", **options)


SWAPPED = (
    r"a\.pkl: rows and columns are swapped, \(clips, width, rows\) in place of \(clips, rows, width\), in "
)


@pytest.mark.parametrize("container", ["array", "lists", "objects"])
def test_zeros_fill_up_columns(container):
    good = _clips(LENGTHS)
    if container == "objects":
        good = np.array([*good, None], object)[:-1]
    values = good if container != "lists" else good.tolist()
    _refuse({"audio": values})
    with pytest.raises(
        UserError, match=SWAPPED + r"audio \(5, 12\) a clip: zeros fill up .*swapaxes\(1, 2\)$"
    ):
        _refuse({"audio": swapped(values)})


def test_lengths_that_the_last_axis_alone_has_room_for():
    good = _clips(FULL)
    _refuse({"audio": good}, lengths={"audio": LENGTHS})
    with pytest.raises(UserError, match=SWAPPED + r"audio \(5, 12\) a clip: its lengths go up to 12; save"):
        _refuse({"audio": swapped(good)}, lengths={"audio": LENGTHS})
    # An array that was cut to five rows keeps the lengths from before; its zeros tell its rows.
    cut = _clips(LENGTHS, width=12)[:, :5]
    _refuse({"audio": cut}, lengths={"audio": LENGTHS})


def test_clips_that_differ_in_their_columns():
    good = [_clips([length])[0, :length] for length in LENGTHS]
    _refuse({"audio": good})
    with pytest.raises(
        UserError, match=r"audio \(5, 12\) a clip: its clips differ in their columns \(3 to 12\)"
    ):
        _refuse({"audio": [rows.T for rows in good]})


def test_the_rows_of_the_text_and_of_the_others():
    audio, vision, text = (_clips(FULL, width=width) for width in (5, 3, 20))
    _refuse({"audio": audio, "vision": vision, "text": text}, tokens=12)
    with pytest.raises(UserError, match=r"in vision \(3, 12\) a clip: the text has 12 rows; save"):
        _refuse({"audio": audio, "vision": swapped(vision)}, tokens=12)
    with pytest.raises(UserError, match=r"in vision \(3, 12\) a clip: the others have 12 rows; save"):
        _refuse({"audio": audio, "vision": swapped(vision), "text": text})
    every = {"audio": swapped(audio), "vision": swapped(vision), "text": swapped(text)}
    with pytest.raises(UserError, match=r"audio .* 3 streams have 12 columns .* vision .* text .*"):
        _refuse(every)


def test_streams_of_one_width_and_their_own_rows_are_read():
    _refuse({name: _clips(FULL, width=64, rows=rows) for name, rows in (("a", 10), ("b", 16), ("c", 7))})
    sparse = _clips(LENGTHS)
    sparse[::2, :, 3:] = 0  # columns that are silent in some clips
    _refuse({"audio": sparse})
