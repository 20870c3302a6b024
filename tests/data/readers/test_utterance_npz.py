"""Archives with one vector a clip."""

import types
from pathlib import Path

import numpy as np
import pytest

from msa_jax.data import readers
from msa_jax.data.readers import npz, room
from msa_jax.errors import UserError

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosi" / "mosi_utterance_av.npz"


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "id": np.array(["v_1_10", "v_1_2", "w_0"]),
        "text": np.array(["A  B", "C", "D"]),
        "label": np.array([[1.0], [-2.5], [0.0]], np.float32),
        "audio": rng.normal(size=(3, 5)),
        "vision": rng.normal(size=(3, 4)).astype(np.float32),
        "split_a": np.array(["train", "val", "test"]),
    }


def _read(tmp_path, arrays, **options):
    np.savez(tmp_path / "x.npz", **arrays)
    path = (tmp_path / "x.npz").rename(tmp_path / "features")
    return list(readers.read(path, **options))


def test_vectors_become_rows(tmp_path, arrays):
    clips = _read(tmp_path, arrays)
    assert [(clip.id, clip.video) for clip in clips] == [("v_1_10", "v_1"), ("v_1_2", "v_1"), ("w_0", "w")]
    assert [clip.split for clip in clips] == ["train", "valid", "test"]
    assert [clip.label for clip in clips] == [1.0, -2.5, 0.0]
    assert clips[0].text == "A B"
    assert not clips[0].aligned
    assert clips[0].audio.shape == (1, 5)
    np.testing.assert_array_equal(clips[2].audio[0], arrays["audio"][2].astype(np.float32))
    np.testing.assert_array_equal(clips[2].vision[0], arrays["vision"][2])


def test_several_divisions_need_a_choice(tmp_path, arrays):
    arrays["split_b"] = np.array(["test", "test", "train"])
    with pytest.raises(UserError, match=r"2 divisions \(split_a, split_b\); set --config\.data\.split_name"):
        _read(tmp_path, arrays)
    for name in ("b", "split_b"):
        assert [clip.split for clip in _read(tmp_path, arrays, split_name=name)] == ["test", "test", "train"]
    with pytest.raises(
        UserError, match="split_name is 'c', but the file divides its clips by split_a, split_b"
    ):
        _read(tmp_path, arrays, split_name="c")


@pytest.mark.parametrize("name", ["split", "splits", "mode", "Split", "SPLIT_A"])
def test_a_division_of_any_usual_name_is_read(tmp_path, arrays, name):
    arrays[name] = arrays.pop("split_a")
    assert [clip.split for clip in _read(tmp_path, arrays)] == ["train", "valid", "test"]
    arrays["split_b"] = np.array(["test", "test", "train"])
    with pytest.raises(UserError, match=rf"2 divisions \({name}, split_b\)"):
        _read(tmp_path, arrays)
    assert [clip.split for clip in _read(tmp_path, arrays, split_name=name)] == ["train", "valid", "test"]
    arrays[name] = np.array([0, 1, 2])
    with pytest.raises(UserError, match=f"{name} holds '0', which is none of train, valid"):
        _read(tmp_path, arrays, split_name=name)


def test_arrays_that_are_not_read_are_named(tmp_path, arrays):
    arrays |= {"fold": np.arange(3), "Vision2": np.ones((3, 2)), "means": np.ones(5), "kind": np.array("a")}
    arrays |= {"speakers": np.array(["a", None, "b"], object), "split_b": arrays["split_a"]}
    np.savez(tmp_path / "x.npz", **arrays)
    source = readers.read(tmp_path / "x.npz", split_name="a")
    assert source.reading.notes == (f"{tmp_path / 'x.npz'}: 3 arrays are not read: fold, Vision2, speakers.",)
    assert not readers.read(tmp_path / "x.npz", split_name="a", require_labels=None).reading.notes[1:]
    for name in ("fold", "Vision2", "speakers"):
        del arrays[name]
    np.savez(tmp_path / "x.npz", **arrays)
    assert readers.read(tmp_path / "x.npz", split_name="a").reading.notes == ()


def test_optional_arrays(tmp_path, arrays):
    for name in ("split_a", "vision"):
        del arrays[name]
    clips = _read(tmp_path, arrays)
    assert {clip.split for clip in clips} == {""}
    assert clips[0].vision.shape == (0, 0)
    del arrays["label"]
    assert all(np.isnan(clip.label) for clip in _read(tmp_path, arrays, require_labels=False))
    with pytest.raises(UserError, match="needs 'label'"):
        _read(tmp_path, arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"audio": np.ones((2, 5))}, r"audio has shape \(2, 5\), expected one entry for each of 3 clips"),
        ({"audio": np.ones((3, 2, 5))}, r"audio has shape \(3, 2, 5\)"),
        ({"label": np.ones((3, 2))}, r"the labels have 2 columns \(0 to 1 in \[1, 1\]\), and nothing tells"),
        ({"label": np.array([1, 2j, 3])}, r"clip \S+ has the complex number \(1\+0j\), which"),
        ({"split_a": np.array(["train", "x", "test"])}, "split_a holds 'x'"),
        ({"text": np.array(["a", None, 3], dtype=object)}, "holds Python objects"),
    ],
)
def test_bad_arrays(tmp_path, arrays, change, message):
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path, arrays | change)
    assert "\n" not in str(error.value)


def test_damaged_member(tmp_path, arrays):
    np.savez(tmp_path / "x.npz", **arrays)
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    raw[raw.index(arrays["audio"].tobytes()[:32])] ^= 1
    (tmp_path / "x.npz").write_bytes(raw)
    with pytest.raises(UserError, match="archive is damaged"):
        readers.read(tmp_path / "x.npz")


@pytest.mark.skipif(not REAL.exists(), reason="needs the real MOSI utterance features in ../shared")
def test_real_archive():
    clips = list(readers.read(REAL))
    assert len(clips) == 2199
    assert {(clip.audio.shape, clip.vision.shape) for clip in clips} == {((1, 73), (1, 100))}
    assert sum(clip.split == "train" for clip in clips) == 1447
    assert len({clip.video for clip in clips}) == 93


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_numpy_reads_them(save, tmp_path):
    """Whole or in pieces, compressed or not, in either order of the axes."""
    rng = np.random.default_rng(0)
    path, count = tmp_path / "x.npz", 3000
    arrays = {
        "id": np.array([f"电影v{k}_{k}" for k in range(count)]),
        "text": np.array([f"{'good ' * (k % 50)}\0film" for k in range(count)]),
        "ascii": np.array([f"{k}" * (k % 9) for k in range(count)], "S"),
        "label": rng.normal(size=(count, 2)),
        "audio": rng.normal(size=(count, 700)).astype(">f4"),
        "fortran": np.asfortranarray(rng.normal(size=(count, 7))),
        "flags": rng.random(size=(2, 3, 4)) > 0.5,
        "one": np.float32(5),
        "none": np.zeros((0, 4)),
        "empty": np.zeros((4, 0)),
    }
    save(path, **arrays)
    archive = npz.Archive(path)
    assert archive.files == list(arrays)
    for name, expected in arrays.items():
        found = archive.array(name)
        assert found.shape == expected.shape == archive.header(name).shape
        assert found.tolist() == expected.tolist()
        if expected.dtype.kind not in "SU":
            assert found.dtype == expected.dtype
        if expected.ndim == 2:
            rows = list(archive.rows(name))
            assert len(rows) == len(expected)
            assert all(np.array_equal(row, wanted) for row, wanted in zip(rows, expected, strict=True))


def test_honest_zeros_are_read(tmp_path):
    """Padding and empty columns shrink well, and are no reason to refuse a file."""
    path, count = tmp_path / "x.npz", 2000
    audio = np.zeros((count, 4000), np.float32)  # 32 MB in some 40 kB
    audio[:, 0] = np.arange(count)
    texts = ["x" * 4000] + ["a"] * (count - 1)
    np.savez_compressed(path, id=[f"v{k}_0" for k in range(count)], text=texts, audio=audio)
    assert path.stat().st_size < 200_000
    clips = list(readers.read(path, require_labels=False))
    assert [clip.audio[0, 0] for clip in clips] == list(range(count))
    assert len(clips[0].text) == 4000


def test_memory_that_is_not_free_is_not_taken(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    np.savez(path, id=["v_0"], text=["a"], label=[1.0], audio=np.ones((1, 1000)))
    monkeypatch.setattr(room, "_SLACK", 1000)
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=7000))
    with pytest.raises(UserError, match=r"audio: is read whole, and 0\.00 GiB of memory are not free"):
        list(readers.read(path))
