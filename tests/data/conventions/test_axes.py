"""Reversed axes: named in every format that holds arrays, and not seen where there are none."""

import pickle

import h5py
import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.conventions import axes
from msa_jax.errors import UserError
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
