"""Folders with one HDF5 file an array."""

import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from msa_jax.data.readers import hdf5_arrays
from msa_jax.errors import UserError

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "mmmo"
FILES = {"audio": "audio_{}.h5", "vision": "video_{}.h5", "text": "text_{}_emb.h5", "label": "y_{}.h5"}


def _write(path, array, dataset="d1"):
    with h5py.File(path, "w") as file:
        file[dataset] = array


def _arrays(count, steps=6, seed=0):
    rng = np.random.default_rng(seed)
    widths = {"audio": 4, "vision": 3, "text": 5}
    arrays = {name: rng.normal(size=(count, steps, width)) for name, width in widths.items()}
    return arrays | {"label": rng.uniform(-3, 3, count)}


@pytest.fixture
def arrays():
    return {"train": _arrays(5), "valid": _arrays(2, seed=1), "test": _arrays(3, seed=2)}


@pytest.fixture
def folder(tmp_path, arrays):
    for split, parts in arrays.items():
        for name, array in parts.items():
            _write(tmp_path / FILES[name].format(split), array)
    return tmp_path


def _read(folder, require_labels=True, **options):
    return list(hdf5_arrays.reader(folder, str(folder), require_labels, **options).examples())


def _same(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert (a.id, a.video, a.split, a.text, a.aligned) == (b.id, b.video, b.split, b.text, b.aligned)
        for name in ("audio", "vision", "text_features", "label"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_every_array_reaches_its_clip(folder, arrays):
    clips = _read(folder, text_features=True)
    names = [(split, k) for split, count in (("train", 5), ("valid", 2), ("test", 3)) for k in range(count)]
    assert [(clip.split, clip.id) for clip in clips] == [(split, f"{split}_{k}") for split, k in names]
    for clip, (split, k) in zip(clips, names, strict=True):
        assert (clip.video, clip.text, clip.aligned) == (clip.id, "", False)
        assert clip.label == arrays[split]["label"][k]
        for name, read in (("audio", clip.audio), ("vision", clip.vision), ("text", clip.text_features)):
            assert read.dtype == np.float32
            np.testing.assert_array_equal(read, arrays[split][name][k].astype(np.float32))


def test_text_is_read_only_on_request(folder, monkeypatch):
    opened = []
    file = h5py.File
    monkeypatch.setattr(
        h5py, "File", lambda path, mode: opened.append((Path(path).name, mode)) or file(path, mode)
    )
    examples = hdf5_arrays.reader(folder, "x", True).examples
    opened.clear()
    assert {clip.text_features.shape for clip in examples()} == {(0, 0)}
    assert opened
    assert not any(name.startswith("text") for name, _ in opened)
    assert {mode for _, mode in opened} == {"r"}


def test_other_names_and_shapes_are_the_same(folder, arrays, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    names = {
        "audio": "AUDIO_{}.H5",
        "vision": "vision_{}.hdf5",
        "text": "text_{}.h5",
        "label": "labels_{}.h5",
    }
    splits = {"train": "Train", "valid": "dev", "test": "test"}
    for split, parts in arrays.items():
        for name, array in parts.items():
            shaped = array.reshape(-1, 1, 1) if split == "train" else array[:, None]
            dataset = {"train": "d1", "valid": "data", "test": "anything"}[split]
            _write(other / names[name].format(splits[split]), shaped if name == "label" else array, dataset)
    (other / "notes.txt").write_text("no array")
    (other / "audio_words.h5").write_text("of no split")
    assert len(hdf5_arrays.members(other)) == 12
    assert hdf5_arrays.members(other) == sorted(hdf5_arrays.members(other))
    _same(_read(other, text_features=True), _read(folder, text_features=True))


def test_members_of_another_folder(tmp_path):
    (tmp_path / "train.pkl").touch()
    (tmp_path / "labels.h5").touch()
    (tmp_path / "audio_train.h5").mkdir()
    assert hdf5_arrays.members(tmp_path) == []


def test_padding_is_cut_on_one_time_line(folder, arrays):
    parts = arrays["train"]
    for name in ("audio", "vision", "text"):
        parts[name][0, :2] = 0  # padded on the left
        parts[name][1, 4:] = 0  # and on the right
    parts["vision"][0, 2:4] = 0  # silent, not padding
    parts["vision"][2] = 0  # no vision at all
    parts["audio"][3, 0, 1:] = 0
    parts["audio"][3, 0, 0] = -np.inf
    for name, array in parts.items():
        _write(folder / FILES[name].format("train"), array)
    clips = _read(folder, text_features=True)
    for name, field in (("audio", "audio"), ("vision", "vision"), ("text", "text_features")):
        for k, stretch in ((0, slice(2, 6)), (1, slice(0, 4)), (3, slice(0, 6))):
            np.testing.assert_array_equal(
                getattr(clips[k], field), parts[name][k, stretch].astype(np.float32), err_msg=f"{name} {k}"
            )
    assert clips[2].vision.shape == (0, 0)
    assert clips[2].audio.shape == (6, 4)


def test_modalities_of_their_own_lengths(folder, arrays):
    for split, parts in arrays.items():
        parts["audio"] = np.pad(parts["audio"], ((0, 0), (3, 0), (0, 0)))
        _write(folder / FILES["audio"].format(split), parts["audio"])
    clips = _read(folder)
    assert {(clip.audio.shape, clip.vision.shape) for clip in clips} == {((6, 4), (6, 3))}


def test_blocks_join_up(folder, monkeypatch):
    whole = _read(folder, text_features=True)
    for size in (1, 2 * 6 * 5 * 8):  # one clip, and two, at a time
        monkeypatch.setattr(hdf5_arrays, "_BLOCK", size)
        _same(_read(folder, text_features=True), whole)


def test_no_array_is_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5_arrays, "_BLOCK", 1 << 20)
    count, shape = 500, (100, 100)  # 40 MB an array, of which next to nothing lies on the disk
    for name in ("audio", "video"):
        with h5py.File(tmp_path / f"{name}_train.h5", "w") as file:
            data = file.create_dataset("d1", (count, *shape), "f8", chunks=(1, *shape), fillvalue=0.0)
            data[count - 1] = 1.0
    _write(tmp_path / "y_train.h5", np.zeros(count))
    examples = hdf5_arrays.reader(tmp_path, "x", True).examples
    tracemalloc.start()
    try:
        shapes = [clip.audio.shape for clip in examples()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shapes == [(0, 0)] * (count - 1) + [shape]
    assert peak < 16e6


def test_twice_the_same_and_nothing_left_open(folder):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}
    examples = hdf5_arrays.reader(folder, "x", True).examples
    started = examples()
    next(started)
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0
    _same(list(examples()), list(examples()))
    assert h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == 0
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()} == before


def test_files_of_one_modality_need_no_note(folder):
    assert hdf5_arrays.reader(folder, str(folder), True).notes == ()


def test_missing_labels(folder):
    (folder / "y_test.h5").unlink()
    with pytest.raises(UserError, match=r"test split has no label array, only .*audio_test\.h5"):
        hdf5_arrays.reader(folder, str(folder), True)
    clips = _read(folder, require_labels=False)
    assert [bool(np.isnan(clip.label)) for clip in clips] == [False] * 7 + [True] * 3


def test_a_modality_may_be_missing_everywhere(folder):
    for split in ("train", "valid", "test"):
        (folder / f"text_{split}_emb.h5").unlink()
        (folder / f"video_{split}.h5").unlink()
    assert {(clip.audio.shape, clip.vision.shape) for clip in _read(folder)} == {((6, 4), (0, 0))}
    with pytest.raises(UserError, match="no text features"):
        hdf5_arrays.reader(folder, str(folder), True, text_features=True)


def test_what_all_splits_have_is_read(folder, arrays):
    (folder / "text_train_emb.h5").unlink()
    (folder / "video_valid.h5").unlink()
    reading = hdf5_arrays.reader(folder, str(folder), True)
    assert reading.notes == (
        "The valid split has no vision; what all splits have is read: audio.",
        "The train split has no text; what all splits have is read: audio.",
    )
    clips = list(reading.examples())
    assert len(clips) == 10
    assert {clip.vision.shape for clip in clips} == {(0, 0)}
    np.testing.assert_array_equal(clips[0].audio, arrays["train"]["audio"][0].astype(np.float32))
    with pytest.raises(UserError, match="no text features"):
        hdf5_arrays.reader(folder, str(folder), True, text_features=True)


def test_numbers_of_words_beside_their_vectors_are_passed_over(folder, arrays):
    whole = _read(folder, text_features=True)
    for split, parts in arrays.items():
        _write(
            folder / f"text_{split}.h5", np.arange(parts["text"][..., 0].size).reshape(-1, 6).astype(float)
        )
    reading = hdf5_arrays.reader(folder, str(folder), True, text_features=True)
    assert reading.notes == (
        "text_test.h5, text_train.h5, text_valid.h5 hold numbers of words, not vectors, and are passed over.",
    )
    _same(list(reading.examples()), whole)
    for split in arrays:
        (folder / f"text_{split}_emb.h5").unlink()
    with pytest.raises(UserError, match="no text features"):
        hdf5_arrays.reader(folder, str(folder), True, text_features=True)
    assert len(_read(folder)) == 10


def test_two_files_of_vectors_are_one_too_many(folder, arrays):
    _write(folder / "text_train.h5", arrays["train"]["text"])
    with pytest.raises(UserError, match=r"text_train\.h5 and text_train_emb\.h5 are both the text array"):
        _read(folder)


def _without(name):
    return lambda folder: (folder / name).unlink()


def _with(name, array, dataset="d1"):
    return lambda folder: _write(folder / name, array, dataset)


def _second_dataset(folder):
    with h5py.File(folder / "audio_valid.h5", "a") as file:
        file["d2"] = np.zeros(3)


def _cut_short(folder):
    path = folder / "audio_valid.h5"
    path.write_bytes(path.read_bytes()[:-100])


def _only_labels(folder):
    for path in folder.iterdir():
        if not path.name.startswith("y_"):
            path.unlink()


def _no_clips(folder):
    for path in folder.iterdir():
        with h5py.File(path) as file:
            shape = file["d1"].shape
        _write(path, np.zeros((0, *shape[1:])))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _with("vision_valid.h5", np.zeros((2, 6, 3))),
            r"video_valid\.h5 and vision_valid\.h5 are both the vision",
        ),
        (_with("audio_dev.h5", np.zeros((2, 6, 4))), r"audio_dev\.h5 and audio_valid\.h5 are both the audio"),
        (
            _with("audio_valid.h5", np.zeros((3, 6, 4))),
            r"valid split differ .*3 in audio_valid\.h5, .*2 in y_valid",
        ),
        (_with("y_valid.h5", np.zeros(3)), r"valid split differ in their number of clips .*3 in y_valid\.h5"),
        (
            _with("audio_valid.h5", np.zeros((2, 4))),
            r"audio_valid\.h5: d1 must be \(clips, steps, width\), found \(2, 4\)",
        ),
        (
            _with("y_valid.h5", np.zeros((2, 3))),
            r"differ in their number of labels \(1 in train and 3 in valid\)",
        ),
        (_with("y_valid.h5", 1.0), r"0 in y_valid\.h5"),
        (_with("audio_valid.h5", np.array([b"x", b"y"])), r"audio_valid\.h5: d1 must hold numbers"),
        (_with("audio_valid.h5", np.zeros((2, 6, 4)), "group/d1"), "must hold one dataset .* found none"),
        (_second_dataset, r"audio_valid\.h5: must hold one dataset \(d1 or data\), found d1, d2"),
        (_cut_short, r"audio_valid\.h5: cannot be read as HDF5 \(truncated file"),
        (
            lambda folder: (folder / "audio_valid.h5").write_bytes(b"PK\x00"),
            r"audio_valid\.h5: cannot be read as HDF5",
        ),
        (_only_labels, "labels but no audio, video or text"),
        (_no_clips, "hold no clips"),
    ],
)
def test_bad_folders(folder, spoil, message):
    spoil(folder)
    with pytest.raises(UserError, match=message) as error:
        hdf5_arrays.reader(folder, str(folder), True)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_folder_of_this_format(tmp_path):
    with pytest.raises(UserError, match="no files named as"):
        hdf5_arrays.reader(tmp_path, str(tmp_path), True)


def test_damage_inside_is_found_before_the_first_clip(folder, arrays):
    path = folder / "video_valid.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("d1", data=arrays["valid"]["vision"], compression="gzip", chunks=(2, 6, 3))
        start = file["d1"].id.get_chunk_info(0).byte_offset
    raw = bytearray(path.read_bytes())
    raw[start : start + 40] = bytes(40)
    path.write_bytes(raw)
    with pytest.raises(UserError, match=r"video_valid\.h5: cannot be read as HDF5"):
        hdf5_arrays.reader(folder, str(folder), True)


@pytest.mark.skipif(not REAL.exists(), reason="needs the real MMMO arrays in ../shared")
def test_real_arrays():
    clips = _read(REAL, text_features=True)
    assert [sum(clip.split == split for clip in clips) for split in ("train", "valid", "test")] == [0, 40, 80]
    assert {(c.text_features.shape[1], c.audio.shape[1], c.vision.shape[1]) for c in clips} == {(300, 74, 36)}
    assert all(1 <= clip.label <= 5 for clip in clips)
    assert all(len(clip.text_features) == len(clip.audio) == len(clip.vision) for clip in clips)
    # Short clips are padded on the left; of some long ones the last steps are empty.
    with h5py.File(REAL / "text_valid_emb.h5") as file:
        np.testing.assert_array_equal(clips[10].text_features, file["d1"][10, 9:].astype(np.float32))
        np.testing.assert_array_equal(clips[34].text_features, file["d1"][34, :13].astype(np.float32))


@pytest.mark.skipif(not REAL.exists(), reason="needs the real YouTube arrays in ../shared")
def test_a_real_folder_in_which_a_split_has_no_text():
    reading = hdf5_arrays.reader(REAL.parent / "youtube", "youtube", None)
    assert reading.notes == ("The train split has no text; what all splits have is read: audio and vision.",)
    clips = list(reading.examples())
    assert [sum(c.split == split for c in clips) for split in ("train", "valid", "test")] == [173, 36, 60]
    assert {c.audio.shape[1] for c in clips if c.audio.size} == {74}
    assert {c.vision.shape[1] for c in clips if c.vision.size} == {36}


def test_other_layouts_of_a_file_are_read_the_same(folder, arrays):
    """Chunks, compression, padding that shrinks a hundredfold, and links within the file."""
    before = list(hdf5_arrays.reader(folder, "f", True, text_features=True).examples())
    for split, parts in arrays.items():
        path = folder / FILES["audio"].format(split)
        path.unlink()
        with h5py.File(path, "w") as file:
            group = file.create_group("inside")
            group.create_dataset("x", data=parts["audio"], chunks=True, compression="gzip", shuffle=True)
            group["y"] = h5py.SoftLink("./x")
            file["d1"] = h5py.SoftLink("/inside/y")
        path = folder / FILES["vision"].format(split)
        path.unlink()
        with h5py.File(path, "w") as file:
            shape = (len(parts["vision"]), 6, 3)
            file.create_dataset("d1", shape, "f8", chunks=shape, compression=9)[...] = parts["vision"]
    after = list(hdf5_arrays.reader(folder, "f", True, text_features=True).examples())
    assert len(before) == len(after) == 10
    for one, other in zip(before, after, strict=True):
        for name in ("audio", "vision", "text_features"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
