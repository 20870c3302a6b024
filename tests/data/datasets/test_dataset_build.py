"""Builds: made on first use, found again, and read as they were written."""

import dataclasses
import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from msa_jax.data import checks, datasets, readers
from msa_jax.data.example import Example, no_features
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.text.bert_vocab import load_vocabulary
from tests.data import aligned_files

MOSI = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosi"
real = pytest.mark.skipif(not MOSI.exists(), reason="needs the real MOSI files in ../shared")


def _write(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


def _load(path, cache, corpus="mosi", cut=None, **options):
    return datasets.load(corpus, path, cache=cache, cut=cut or Cut(), **{"other_counts": True, **options})


def _names(cache):
    return sorted(set(os.listdir(cache)) - {".locks"}) if cache.exists() else []


def _assert_same(record, clip, split=None):
    assert split is None or clip.split == split
    for name in ("id", "video", "text", "aligned", "label"):
        assert record[name] == getattr(clip, name)
        assert type(record[name]) is type(getattr(clip, name))
    for name in ("audio", "vision"):
        np.testing.assert_array_equal(record[name], getattr(clip, name))
        assert record[name].dtype == np.float32


def test_what_is_built_is_read_back(source, cache):
    built = _load(source, cache)
    assert built.counts == {"train": 4, "valid": 4, "test": 4}
    assert built.widths == {"audio": 5, "vision": 4}
    assert (built.corpus, built.source, built.format) == ("mosi", str(source), "words pickle")
    assert built.content_hash == hashlib.sha256(source.read_bytes()).hexdigest()
    assert built.report == {}
    assert built.messages() == []
    assert built.cut is None
    clips = list(readers.read(source))
    for name in ("train", "valid", "test"):
        split, expected = built.split(name), [clip for clip in clips if clip.split == name]
        assert len(split) == len(expected)
        for record, clip in zip(split.__getitems__(range(len(split))), expected, strict=True):
            _assert_same(record, clip, name)
        _assert_same(split[2], expected[2])
        assert [record["id"] for record in split.__getitems__([3, 0, 3])] == [
            expected[k].id for k in (3, 0, 3)
        ]
        assert len(list(split)) == len(expected)
        again = pickle.loads(pickle.dumps(split))
        assert again[1]["id"] == expected[1].id
        with pytest.raises(IndexError):
            split[4]
        with pytest.raises(IndexError):
            split[-1]
    with pytest.raises(UserError, match="no split 'dev'"):
        built.split("dev")


def test_missing_modalities(tmp_path, cache):
    splits = ("train", "valid", "test")
    rows = [f"{split}{k},{k},some text,0.1,{split}" for split in splits for k in range(2)]
    path = tmp_path / "clips.csv"
    path.write_text("video_id,clip_id,text,label,mode\n" + "\n".join(rows))
    built = _load(path, cache)
    assert built.widths == {"audio": 1, "vision": 1}
    record = built.split("valid")[0]
    assert record["audio"].shape == record["vision"].shape == (0, 1)
    assert record["label"] == 0.1


def test_the_same_file_is_not_built_again(source, content, cache, count_builds):
    first = _load(source, cache)
    assert _load(source, cache, cut=Cut(seed=5)) == first, "the file has its splits: the cut does not matter"
    copy = _write(source.with_name("copy.pkl"), content)
    again = _load(str(copy), cache)
    assert again.folder == first.folder, "the content counts, not the name"
    assert again.source == str(copy)
    assert len(count_builds) == 1
    assert datasets.open_built(first.folder) == first
    assert datasets.find_built("mosi", cache) == [first]
    assert datasets.find_built("mosei", cache) == []
    assert datasets.find_built("mosi", cache / "nowhere") == []


def test_a_changed_file_is_another_build(source, content, cache, count_builds):
    first = _load(source, cache)
    content["train"][0][0][2][0, 0] = 0.25
    os.utime(_write(source, content), (0, 0))
    second = _load(source, cache)
    assert second.folder != first.folder
    assert second.content_hash != first.content_hash
    assert second.split("train")[0]["audio"][0, 0] == 0.25
    assert first.split("train")[0]["audio"][0, 0] != 0.25
    assert len(count_builds) == 2
    assert {built.folder for built in datasets.find_built("mosi", cache)} == {first.folder, second.folder}


def test_a_folder_is_hashed_with_its_names(tmp_path, content, cache):
    folder = tmp_path / "split"
    folder.mkdir()
    for name, clips in content.items():
        _write(folder / f"{name}.pkl", clips)
    first = _load(folder, cache)
    (folder / "notes.txt").write_text("not data")
    assert _load(folder, cache) == first
    (folder / "dev.pkl").rename(folder / "x")
    (folder / "test.pkl").rename(folder / "dev.pkl")
    (folder / "x").rename(folder / "test.pkl")
    assert _load(folder, cache).split("test")[0]["id"] == "dev0_0"


def test_cuts_of_an_undivided_file(tmp_path, undivided, cache, count_builds):
    path = _write(tmp_path / "x", undivided)
    first, other = _load(path, cache), _load(path, cache, cut=Cut(fold=1))
    assert first.folder != other.folder
    assert first.cut == dataclasses.asdict(Cut())
    assert _load(path, cache, cut=Cut(fold=1)) == other
    assert len(count_builds) == 2
    assert other.counts == {"train": 21, "valid": 3, "test": 6}
    videos = [{record["video"] for record in other.split(name)} for name in ("train", "valid", "test")]
    assert sum(map(len, videos)) == len(set.union(*videos)) == 10
    with pytest.raises(UserError, match="x: 10 videos cannot be cut into 20 folds"):
        _load(path, cache, cut=Cut(folds=20))


def test_split_name_is_part_of_the_key(tmp_path, cache):
    splits = np.array(["train", "valid", "test"])
    np.savez(tmp_path / "x.npz", id=["a_0", "b_0", "c_0"], text=["x"] * 3, label=[0.0] * 3, split_a=splits,
             split_b=splits[::-1])  # fmt: skip
    built = [_load(tmp_path / "x.npz", cache, split_name=name) for name in "ab"]
    assert [b.split("train")[0]["id"] for b in built] == ["a_0", "c_0"]
    with pytest.raises(UserError, match="2 divisions"):
        _load(tmp_path / "x.npz", cache)


def test_infinities_are_repaired_and_reported(tmp_path, content, cache):
    content["train"][1][0][2][0, 0] = -np.inf
    content["test"][0][0][1][:] = np.nan
    content["dev"][3][0][3][:] = ["sp", "sp", "sp"]
    built = _load(_write(tmp_path / "x", content), cache)
    assert built.report == {
        "NaN or infinity in audio, set to 0 (1 number)": ["train0_1"],
        "empty text": ["dev1_3"],
        "no finite number in vision, left out (12 numbers)": ["test0_0"],
    }
    assert built.messages()[0] == "1 clip with NaN or infinity in audio, set to 0 (1 number): train0_1"
    assert built.split("train")[1]["audio"][0, 0] == 0
    assert built.split("test")[0]["vision"].shape == (0, 4)
    assert built.split("valid")[3]["text"] == ""
    assert datasets.open_built(built.folder).report == built.report
    for name in ("train", "valid", "test"):
        assert all(
            np.isfinite(record[stream]).all() for record in built.split(name) for stream in checks.STREAMS
        )


def test_generated_examples_take_the_same_path(cache):
    def clip(split, k):
        rows = np.full((2, 3), k, np.float32)
        return Example(f"{split}_{k}", f"{split}{k}", split, "two words", rows, no_features(), True, 0.5)

    counts = {"train": 200, "valid": 2, "test": 2}
    clips = [clip(split, k) for split, count in counts.items() for k in range(count)]
    built = datasets.build_examples("synthetic", iter(clips), cache=cache, key="seed 0")
    assert built.counts == counts
    assert (built.corpus, built.format) == ("synthetic", "generated")
    assert built.widths == {"audio": 3, "vision": 1}
    assert [record["id"] for record in built.split("train")] == [f"train_{k}" for k in range(200)]

    def never():
        raise AssertionError("the build is there already")
        yield

    assert datasets.build_examples("synthetic", never(), cache=cache, key="seed 0") == built
    assert datasets.find_built("synthetic", cache) == [built]
    other = datasets.build_examples("synthetic", clips, cache=cache, key="seed 1")
    assert other.folder != built.folder
    assert other.content_hash != built.content_hash
    with pytest.raises(UserError, match="1 clip id occurs twice: train_0"):
        datasets.build_examples("synthetic", [*clips, clips[0]], cache=cache, key="seed 2")


def test_no_tensorflow_no_output_no_litter(source, cache, tmp_path):
    """Building and reading import no TensorFlow, print nothing, and leave only the build."""
    script = """
import sys
from msa_jax.data import datasets
from msa_jax.data.splits import Cut
built = datasets.load("mosi", sys.argv[1], cache=sys.argv[2], cut=Cut(), other_counts=True)
assert len(built.split("train")[0]["text"]) > 0
assert not {"tensorflow", "torch", "jax"} & set(sys.modules), "too many imports"
"""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(source), str(cache)],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert _names(scratch) == []
    (name,) = _names(cache)
    folder = cache / name
    assert _names(folder) == ["cmu_mosi", "seal.json", "source.json"]


@real
def test_real_labels(cache):
    path = MOSI / "mosi_text_labels.csv"
    built = _load(path, cache)
    assert built.counts == {"train": 1284, "valid": 229, "test": 686}
    assert built.report == {}
    clips = [clip for clip in readers.read(path) if clip.split == "test"]
    split = built.split("test")
    for record, clip in zip(split.__getitems__(range(len(split))), clips, strict=True):
        assert (record["id"], record["text"], record["label"]) == (clip.id, clip.text, clip.label)


@real
def test_real_words(cache):
    path = MOSI / "mosi_words_valid.pkl"
    built = _load(path, cache, cut=Cut(fold=2))
    assert sum(built.counts.values()) == 229
    assert built.widths == {"audio": 74, "vision": 47}
    clips = {clip.id: clip for clip in readers.read(path)}
    for name in ("train", "valid", "test"):
        for record in built.split(name):
            _assert_same(record, clips.pop(record["id"]))
    assert clips == {}


@real
def test_real_utterances(cache):
    built = _load(MOSI / "mosi_utterance_av.npz", cache)
    assert built.counts["test"] == 752
    assert built.counts["train"] + built.counts["valid"] == 1447
    assert built.widths == {"audio": 73, "vision": 100}
    assert built.report == {}


def _aligned_file(tmp_path, seed=0):
    """An aligned file of 60 clips, and the vocabulary that made its tokens."""
    rng = np.random.default_rng(seed)
    # The two names always stand together: of their three pieces the middle one may be of either.
    words = ["rob pattinson", "unfilmed", "good", "film", "a", "of", "goodness"]
    texts = [" ".join(rng.choice(words, rng.integers(2, 6), replace=False)) for _ in range(60)]
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "a",
        "of",
        "good",
        "film",
        "rob",
        "patti",
        "un",
    ]
    vocabulary += ["##nson", "##film", "##ed", "##ness"]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(vocabulary), "utf-8")
    load_vocabulary(str(path)).save(tmp_path / "tokenizer.json")
    splits = [("train", "valid", "test")[k % 3] for k in range(60)]
    whole = aligned_files.content(texts, splits, load_vocabulary(str(path)), aligned_files.Form("zero"))
    for arrays in whole.values():
        for stream in aligned_files.WIDTHS:  # rows that differ within a word tell nothing of words
            noise = rng.uniform(0.1, 0.2, arrays[stream].shape)
            arrays[stream] += noise * (arrays[stream] != 0)
    return aligned_files.write(tmp_path / "aligned_50.pkl", whole), path


def test_a_build_without_the_vocabulary_gives_way_once_there_is_one(tmp_path, cache):
    path, vocabulary = _aligned_file(tmp_path)
    first = _load(path, cache)
    assert first.open_words > 0
    assert any("the likeliest way was taken" in note for note in first.notes)
    assert _load(path, cache).folder == first.folder
    encoder = str(vocabulary.parent)
    second = _load(path, cache, encoder=encoder)
    assert second.folder != first.folder
    assert second.open_words == 0
    assert _load(path, cache, encoder=encoder).folder == second.folder
    assert _load(path, cache, bert_vocab=str(vocabulary)).folder == second.folder, (
        "the same pieces, the same build"
    )
    vocabulary.write_text(vocabulary.read_text("utf-8") + "\nmore", "utf-8")
    assert _load(path, cache, bert_vocab=str(vocabulary)).folder not in (first.folder, second.folder)


def test_a_vocabulary_that_explains_part_of_the_clips_is_used_for_these(tmp_path, cache):
    path, vocabulary = _aligned_file(tmp_path)
    whole = pickle.loads(path.read_bytes())
    texts = whole["train"]["raw_text"]
    whole["train"]["raw_text"] = np.array(
        [f"{text} of" if k % 8 == 0 else text for k, text in enumerate(texts)]
    )
    aligned_files.write(path, whole)
    first = _load(path, cache, encoder=str(vocabulary.parent))
    (note,) = first.notes
    assert note.endswith("; 3 clips have other ids, and 2 of these have tokens of unknown words.")
    for _ in range(2):
        again = _load(path, cache, encoder=str(vocabulary.parent))
        assert (again.notes, again.open_words) == (first.notes, 2)
    assert len(datasets.find_built("mosi", cache)) <= 2


def test_rows_that_are_named_are_a_build_of_their_own(tmp_path, cache):
    path, _ = _aligned_file(tmp_path)
    built, named = _load(path, cache), _load(path, cache, rows="stream")
    assert built.folder != named.folder
    assert named.conventions["rows"] == "a stream of their own"
    assert named.split("train")[0]["tokens"].shape == (0,)
    clip = built.split("train")[0]
    assert len(clip["tokens"]) == len(clip["token_words"]) > 0
    assert clip["tokens"].dtype == clip["token_words"].dtype == np.int32
    assert built.conventions["rows"].startswith("BERT tokens, [CLS] and [SEP] zero, 60 of 60 clips")


def test_options_on_rows_are_refused_where_there_is_no_choice(source, cache):
    _, vocabulary = _aligned_file(source.parent)
    for option in ({"rows": "tokens"}, {"bert_vocab": str(vocabulary)}):
        with pytest.raises(UserError, match="a words pickle leaves no choice here; remove data"):
            _load(source, cache, **option)
