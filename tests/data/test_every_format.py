"""Formats, every one of them, from a file on disk to a batch."""

import json

import numpy as np
import pytest

from msa_jax.data import __main__, datasets, readers
from msa_jax.data.preprocessing import Preprocessing
from msa_jax.data.splits import Cut
from msa_jax.text import train_tokenizer
from tests.data.measuring import measured
from tests.data.small_files import WRITERS, mfn_folder, mult_pickle

WORDLESS = ("MulT pickle", "HDF5 per array")


@pytest.mark.parametrize("name", WRITERS)
def test_from_the_disk_to_the_batch(tmp_path, name):
    path = WRITERS[name](tmp_path)
    assert readers.recognise(path) == name
    features = name in WORDLESS
    corpus = "ur_funny" if name.startswith("UR") else "mosi"
    built = datasets.load(
        corpus, path, cache=tmp_path / "cache", cut=Cut(), text_features=features, other_counts=True
    )
    assert not built.official
    assert built.cut is None
    assert not built.report
    source = built.split("train")
    modalities = ("text", *built.streams)
    how = Preprocessing(48, False, modalities, built.widths, time_line="own", text_width=built.text_width)
    tokenizer = None if features else train_tokenizer([source[0]["text"]], 60)
    split, statistics = measured(source, tokenizer, how)
    lengths = tuple(split.lengths.max(0).tolist())
    batch = split.batch(np.arange(len(split)), lengths, len(split) + 1, statistics)
    assert batch["mask"].sum() == len(split) == built.counts["train"]
    for m in modalities:
        assert batch[f"{m}_mask"][:-1].any(1).all()
        assert np.isfinite(batch[m]).all()
    if features:
        assert batch["text"].shape[2] == 5
    if name == "CMU-MultimodalSDK .csd":
        assert [clip["text"] for clip in source] == ["good film"] * 8
        assert source[0]["aligned"]
        assert source[0]["audio"].shape == (2, 3)
        assert [clip["video"] for clip in built.split("test")] == ["video4"] * 4 + ["video5"] * 4


def test_the_context_comes_before_the_punchline(tmp_path):
    path = WRITERS["UR-FUNNY SDK pickles"](tmp_path)
    options = {"cache": tmp_path / "cache", "cut": Cut(), "other_counts": True}
    alone, whole = (
        datasets.load("ur_funny", path, context=context, **options).split("train")[0]
        for context in (False, True)
    )
    assert (alone["text"], whole["text"]) == ("he laughed", "so he laughed")
    np.testing.assert_array_equal(whole["audio"][1:], alone["audio"])
    assert whole["aligned"]


@pytest.mark.parametrize("name", WRITERS)
def test_the_command_tells_what_it_is(tmp_path, name, capsys):
    path = WRITERS[name](tmp_path)
    assert __main__.main([str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == name
    assert sum(found["clips"].values()) == sum(found["given"].values())
    assert found["refusal"] == ""
    assert (found["reading_bytes"] > 0) is ("pickle" in name)
    assert found["unread"] == []
    assert ("text.encoder=features" in found["next"]) is (name in WORDLESS)


@pytest.mark.parametrize(
    ("write", "streams", "text", "note"),
    [
        (mult_pickle, {"audio": 3, "vision": 2}, 5, "The first field of id is different in every clip"),
        (mfn_folder, {"audio": 5, "vision": 20}, 300, "The columns of X_train.h5, X_valid.h5, X_test.h5 are"),
    ],
)
def test_what_was_decided_of_a_file_is_told(tmp_path, capsys, write, streams, text, note):
    path = write(tmp_path)
    options = {"cache": tmp_path / "cache", "cut": Cut(), "text_features": True, "other_counts": True}
    built = datasets.load("mosi", path, **options)
    assert {name: built.widths[name] for name in built.streams} == streams
    assert built.text_width == text
    assert [line.startswith(note) for line in built.notes] == [True]
    assert __main__.main([str(path)]) == 0
    assert note in capsys.readouterr().out


def test_the_command_names_what_it_leaves_out_of_a_folder(tmp_path, capsys):
    path = WRITERS["CMU-MultimodalSDK .csd"](tmp_path)
    WRITERS["utterance .npz"](path)
    assert __main__.main([str(path)]) == 0
    assert "also in the folder, and not read: features.npz" in capsys.readouterr().out
