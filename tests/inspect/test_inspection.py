"""Inspection of files, against the same facts counted the plain way."""

import dataclasses
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from msa_jax import cli, models
from msa_jax.corpora import CORPORA, SPLITS
from msa_jax.data import readers
from msa_jax.data.datasets import load
from msa_jax.data.example import Example
from msa_jax.data.readers.reading import Reading
from msa_jax.data.splits import Cut
from msa_jax.errors import UserError
from msa_jax.inspect import advice
from msa_jax.inspect.guess import Evidence, guess
from msa_jax.inspect.inspection import inspect
from msa_jax.inspect.scan import PERCENTILES

MOSI = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "mosi"
WORDS = "the film was really not as good as they all had said".split()  # noqa: SIM905
LONG = "nobody else says this very long sentence"


def _arrays(split, count, seed):
    """An MMSA split: audio of width 3 and vision of width 20, on time lines of their own."""
    rng = np.random.default_rng(seed)
    audio_lengths, vision_lengths = rng.integers(1, 9, (2, count))
    arrays = {
        "raw_text": [" ".join(rng.choice(WORDS, rng.integers(2, 6))) + f" {split} {k}" for k in range(count)],
        "id": [f"{split}{k // 4}$_${k}" for k in range(count)],
        "audio": rng.normal(size=(count, 8, 3)),
        "vision": rng.normal(size=(count, 8, 20)),
        "audio_lengths": audio_lengths,
        "vision_lengths": vision_lengths,
        "regression_labels": np.round(rng.uniform(-3, 3, count), 1),
    }
    arrays["regression_labels"][0] = 2.8
    return _padded(arrays)


def _padded(arrays):
    """The split itself, with zeros behind the lengths."""
    for stream in ("audio", "vision"):
        for rows, length in zip(arrays[stream], arrays[f"{stream}_lengths"], strict=True):
            rows[length:] = 0
    return arrays


@pytest.fixture
def content():
    return {split: _arrays(split, 8 + place, place) for place, split in enumerate(SPLITS)}


@pytest.fixture
def look(tmp_path, content):
    """Writes `content` as it is by then, and inspects it."""

    def write_and_inspect(**options):
        path = tmp_path / "file.pkl"
        path.write_bytes(pickle.dumps(content))
        return inspect(path, cut=Cut(), **options)

    return write_and_inspect


def _findings(found):
    return {finding.what: (finding.count, finding.first, finding.effect) for finding in found.findings}


def _leaks(found):
    return {leak.what: (leak.count, leak.first, leak.effect) for leak in found.leaks}


def test_counts_lengths_and_sizes(look, content):
    found = look()
    assert (found.format, found.corpus, found.official, found.cut) == ("MMSA pickle", "mosi", False, False)
    assert found.clips == found.given == {"train": 8, "valid": 9, "test": 10}
    assert (found.videos, found.distinct_videos) == ({"train": 2, "valid": 3, "test": 3}, 8)
    assert (found.findings, found.leaks, found.refusal) == ([], [], "")
    assert found.bytes == Path(found.path).stat().st_size
    by_name = {modality.name: modality for modality in found.modalities}
    assert list(by_name) == ["text", "audio", "vision"]
    lengths = {
        "text": [len(t.split()) for split in SPLITS for t in content[split]["raw_text"]],
        **{m: np.concatenate([content[s][f"{m}_lengths"] for s in SPLITS]) for m in ("audio", "vision")},
    }
    for name, expected in lengths.items():
        modality = by_name[name]
        assert (modality.clips, modality.rows) == (27, sum(expected))
        for share in PERCENTILES:  # the first length that so many clips do not exceed
            need = max(1, int(np.ceil(share / 100 * 27)))
            assert modality.lengths[str(share)] == sorted(expected)[need - 1]
    rows = [content[s]["vision"][k, :n] for s in SPLITS for k, n in enumerate(content[s]["vision_lengths"])]
    assert by_name["vision"].widths == {20: 27}
    assert by_name["vision"].low == np.concatenate(rows).astype(np.float32).min()
    assert by_name["vision"].high == np.concatenate(rows).astype(np.float32).max()
    assert found.rows_bytes == 4 * (3 * sum(lengths["audio"]) + 20 * sum(lengths["vision"]))
    assert found.batch_bytes == 4 * 32 * (3 * max(lengths["audio"]) + 20 * max(lengths["vision"]))


def test_label_histogram(look, content):
    found = look()
    labels = np.concatenate([content[split]["regression_labels"] for split in SPLITS])
    assert (found.labelled, found.label_range) == (27, (labels.min(), labels.max()))
    for bar in found.labels:
        for split in SPLITS:
            expected = np.sum(np.rint(content[split]["regression_labels"]) == float(bar.label))
            assert bar.clips[split] == expected
    assert sum(sum(bar.clips.values()) for bar in found.labels) == 27


def test_histogram_by_value_in_tenths_and_by_class(look, content):
    for split in SPLITS:
        content[split]["regression_labels"] = np.resize([0.2, -1.0, 0.2], len(content[split]["id"]))
    assert [(bar.label, sum(bar.clips.values())) for bar in look().labels] == [("-1", 9), ("0.2", 18)]
    for split in SPLITS:
        content[split]["regression_labels"] = np.linspace(0, 99, len(content[split]["id"]))
    bars = look().labels
    assert len(bars) == 10
    assert sum(sum(bar.clips.values()) for bar in bars) == 27
    for split in SPLITS:
        content[split]["regression_labels"] = np.resize([1, 0, 0, 1], (len(content[split]["id"]), 4))
    found = look()
    assert found.corpus == "iemocap"
    assert [(bar.label, bar.clips["test"]) for bar in found.labels] == [
        ("happy", 10), ("sad", 0), ("angry", 0), ("neutral", 10)
    ]  # fmt: skip


def test_dirt(look, content):
    train, test = content["train"], content["test"]
    train["audio_lengths"][:] = 8
    train["audio"][0, 0, 0] = -np.inf
    train["audio"][1, 1] = np.nan
    train["audio"][2] = np.nan
    train["vision"][3] = 0
    train["raw_text"][4] = ""
    train["audio_lengths"][5] = 0
    for arrays in content.values():
        arrays["audio"][..., 2] = np.where(np.isnan(arrays["audio"][..., 2]), np.nan, 0.25)
        _padded(arrays)
    test["regression_labels"][:2] = np.nan, 3.5
    test["id"][3] = test["id"][4]
    assert _findings(look()) == {
        "clip without text": (1, ["train1_4"], "kept"),
        "clip without audio": (1, ["train1_5"], "kept"),
        "clip with infinity in audio (1 number)": (1, ["train0_0"], "set to 0"),
        "clip with NaN in audio (3 numbers)": (1, ["train0_1"], "set to 0"),
        "clip whose audio has no finite number": (1, ["train0_2"], "left out"),
        "clip with nothing but zeros in vision": (1, ["train0_3"], "left out"),
        "of 3 columns of audio is constant (counted from 0)": (1, ["2"], "kept"),
        "clip without label": (1, ["test0_0"], "refused"),
        "clip with a label outside [-3, 3]": (1, ["test0_1"], "refused"),
        "id occurs more than once": (1, ["test1_4"], "refused"),
    }


def test_a_range_leaves_out_what_is_not_finite(look, content):
    expected = np.concatenate([content[s]["audio"][:, :1].ravel() for s in SPLITS]).astype(np.float32)
    for arrays in content.values():
        arrays["audio_lengths"][:] = 2
        arrays["audio"][:, 1] = np.array([np.nan, -np.inf, np.inf])
        arrays["audio"][:, 2:] = 0
    audio = next(modality for modality in look().modalities if modality.name == "audio")
    assert (audio.low, audio.high) == (expected.min(), expected.max())


def test_several_widths_and_what_no_clip_has(look, content):
    content["test"]["vision"] = content["test"]["vision"][..., :7]
    for arrays in content.values():
        del arrays["audio"], arrays["audio_lengths"]
    found = look()
    assert [modality.name for modality in found.modalities] == ["text", "vision"]
    assert found.modalities[1].widths == {20: 17, 7: 10}
    assert _findings(found)["widths of vision"][0] == 2
    assert "vision" in found.refusal


def test_text_features_are_seen(look, content):
    for arrays in content.values():
        arrays["text"] = np.ones((len(arrays["id"]), 6, 5), np.float32)
    assert {modality.name: modality.widths for modality in look().modalities}["text_features"] == {5: 27}


def test_leaks_between_splits(look, content):
    train, valid, test = (content[split] for split in SPLITS)
    train["id"][0] = test["id"][0]  # and so the video
    for key in ("raw_text", "audio", "vision", "audio_lengths", "vision_lengths"):
        valid[key][1] = train[key][1]
    train["raw_text"][2] = f"{LONG}."
    test["raw_text"][2] = LONG.upper()
    train["raw_text"][3] = test["raw_text"][3] = "thank you very much"  # said in every other video
    train["raw_text"][4] = train["raw_text"][5] = f"{LONG} twice in one split"
    assert _leaks(look()) == {
        "video": (1, ["test0"], "refused"),
        "id": (1, ["test0_0"], "refused"),
        "clip with the same text and features": (1, ["train0_1 (train) = valid0_1 (valid)"], "kept"),
        "text of 6 words or more": (1, ["train0_2 (train) = test0_2 (test)"], "kept"),
    }
    content["train"]["id"][0] = "train0$_$0"
    content["train"]["id"][1] = "test0$_$99"
    divided = _leaks(look(corpus="sims"))
    assert divided["video (the official splits divide clips, not videos)"] == (1, ["test0"], "kept")


def test_features_that_say_nothing_are_no_copy(look, content):
    for arrays in content.values():
        arrays["audio"][0] = arrays["vision"][0] = 0
        arrays["audio_lengths"][0] = arrays["vision_lengths"][0] = 4
        arrays["raw_text"][0] = "yes"
    found = look()
    assert found.leaks == []
    assert _findings(found)["clips with nothing but zeros in audio"][0] == 3


def test_splits_that_a_build_would_cut(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"video{k // 5}_{k}" for k in range(100)]
    label = np.round(rng.uniform(-3, 3, 100), 1)
    np.savez(tmp_path / "x.npz", id=ids, text=["a b"] * 100, label=label, audio=rng.normal(size=(100, 2)))
    found = inspect(tmp_path / "x.npz", cut=Cut())
    assert (found.given, found.cut, found.official) == ({"": 100}, True, False)
    assert sum(found.clips.values()) == 100
    assert (
        found.clips
        == load("mosi", tmp_path / "x.npz", cache=tmp_path / "c", cut=Cut(), other_counts=True).counts
    )
    np.savez(tmp_path / "few.npz", id=ids[:5], text=["a"] * 5, label=label[:5])
    few = inspect(tmp_path / "few.npz", cut=Cut())
    assert few.clips == {"": 5}
    assert "1 video cannot be cut" in few.refusal


def test_refuses_for_the_reasons_that_a_build_refuses(look, content, tmp_path):
    content["test"]["regression_labels"][0] = 9
    content["test"]["id"][1] = content["train"]["id"][1]
    found = look()
    with pytest.raises(UserError) as error:
        load("mosi", found.path, cache=tmp_path / "c", cut=Cut(), other_counts=True)
    assert found.refusal in str(error.value)
    assert "9" in str(found.label_range)
    assert advice.training(found) == []


def _evidence(counts, labels=(), vision=(), chinese=False):
    return Evidence(counts, labels, frozenset(vision), chinese)


MOSEI_LIKE = list(np.linspace(-3, 3, 50))


@pytest.mark.parametrize(
    ("evidence", "corpus", "reason"),
    [
        (_evidence(dict(zip(SPLITS, (1284, 229, 686), strict=True)), MOSEI_LIKE, {35}), "mosi", "official"),
        (_evidence(dict(zip(SPLITS, (16265, 1869, 4643), strict=True)), MOSEI_LIKE), "mosei", "within 0.4 %"),
        # The CMU-MultimodalSDK makes one training clip less.
        (_evidence({"": 2198}, MOSEI_LIKE, {35}), "mosi", "2198 clips in all"),
        (_evidence({"train": 1283}, MOSEI_LIKE, {35}), "mosi", "official train split"),
        (_evidence({"": 2281}, [0.2, -1.0]), "sims", "2281 clips in all"),
        (_evidence({"": 229}, MOSEI_LIKE), "mosi", "official valid split"),
        (_evidence({"test": 994}, [0, 1]), "ur_funny", "official test split"),
        (_evidence({"train": 994}, MOSEI_LIKE), "mosi", "so do those of mosei"),
        (_evidence({"valid": 229}, [1.0, 5.0]), None, "from 1 to 5"),  # the number alone does not prove it
        (_evidence(dict(zip(SPLITS, (1284, 229, 686), strict=True))), "mosi", "official"),
        (_evidence({"": 40}), None, "no labels"),
        (_evidence({"": 40}, [np.array([0, 1, 0, 1])]), "iemocap", "four classes"),
        (_evidence({"": 40}, [np.array([0, 1])]), None, "shape"),
        (_evidence({"": 40}, [0.0, 1.0] * 20), "ur_funny", "0 or 1"),
        (_evidence({"": 40}, [0.2, -0.8] * 20), "sims", "[-1, 1]"),
        (_evidence({"": 40}, chinese=True), "sims", "Chinese"),
        (_evidence({"": 40}, [-3.0, 3.0], chinese=True), None, "Chinese"),
        (_evidence({"": 40}, MOSEI_LIKE, {35}), "mosei", "35 columns"),
        (_evidence({"": 40}, MOSEI_LIKE, {47}), "mosi", "47 columns"),
        (_evidence({"": 3000}, MOSEI_LIKE * 60), "mosei", "more than"),
        (_evidence({"": 100}, [*MOSEI_LIKE * 2, 7.0]), "mosi", "[-3, 3]"),  # one impossible label is dirt
    ],
)
def test_guess(evidence, corpus, reason):
    found, why = guess(evidence)
    assert found == corpus
    assert reason in why


@pytest.mark.parametrize(("train", "official"), [(1284, True), (1283, True), (1282, False)])
def test_every_official_count_is_official(tmp_path, train, official):
    path = tmp_path / "label.csv"
    rows = [
        f"{split}{k},0,a good film,{-3 + 6 * k / count},{split}"
        for split, count in zip(SPLITS, (train, 229, 686), strict=True)
        for k in range(count)
    ]
    path.write_text("\n".join(["video_id,clip_id,text,label,mode", *rows]))
    found = inspect(path, cut=Cut())
    assert (found.corpus, found.official) == ("mosi", official)
    assert (found.reason == "each split has its official count") is official


def test_a_corpus_that_is_named_is_not_guessed(look):
    found = look(corpus="mosei")
    assert (found.corpus, found.reason) == ("mosei", "as you said")


def test_chinese_texts_are_counted_in_characters(look, content):
    for arrays in content.values():
        arrays["raw_text"] = ["我觉得很好"] * len(arrays["id"])
        arrays["regression_labels"] = np.resize([-1, 0.2], len(arrays["id"]))
    text = look().modalities[0]
    assert look().corpus == "sims"
    assert (text.unit, text.lengths["50"]) == ("characters", 5)


def test_memory_does_not_grow_with_the_features(monkeypatch):
    count, rows = 300, np.ones((500, 80), np.float32)

    def clips():
        for k in range(count):
            yield Example(f"v{k}_0", f"v{k}", "", "a b", rows + k, rows - k, False, 0.1 * (k % 30))

    source = readers.Source(Path("x"), "made up", Reading(clips))
    monkeypatch.setattr(readers, "read", lambda *args, **kwargs: source)
    monkeypatch.setattr(readers, "files", lambda path: [])
    tracemalloc.start()
    found = inspect("x", cut=Cut())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.rows_bytes == count * 2 * rows.nbytes
    assert peak < 20 * rows.nbytes


def test_a_file_without_clips_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("video_id,clip_id,text,label\n")
    with pytest.raises(UserError):
        inspect(path, cut=Cut())


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("text", ["words", "features", "both"])
def test_the_suggested_command_is_one(look, corpus, text):
    found = look(corpus=corpus)
    modalities = [m for m in found.modalities if m.name != "text" or text != "features"]
    if text != "words":
        modalities.append(dataclasses.replace(modalities[-1], name="text_features"))
    found = dataclasses.replace(found, modalities=modalities, official=True, refusal="")
    config = cli.parse(advice.training(found)).config
    assert (config.data.corpus, config.data.path) == (corpus, found.path)
    if text != "both":
        assert (config.text.encoder == "features") is (text == "features")
    unofficial = dataclasses.replace(found, official=False)
    extra = set(advice.training(unofficial)) - set(advice.training(found))
    assert extra == {"--config.data.other_counts=True"}
    silent = dataclasses.replace(found, modalities=[m for m in modalities if "text" not in m.name])
    streams = {m.name for m in silent.modalities}
    alone = cli.parse(advice.training(silent)).config
    assert set(alone.data.modalities) == streams
    assert not models.find(alone.model.name).needs_encoder
    assert advice.prediction(silent)
    nothing = dataclasses.replace(found, modalities=[])
    assert advice.training(nothing) == []
    assert advice.prediction(dataclasses.replace(found, modalities=[])) == []


@pytest.mark.skipif(not MOSI.is_dir(), reason="the real MOSI files are not there")
def test_real_files():
    text = inspect(MOSI / "mosi_text_labels.csv", cut=Cut())
    assert (text.corpus, text.official, text.findings, text.leaks) == ("mosi", True, [], [])
    assert (text.distinct_videos, text.labelled, text.label_range) == (93, 2199, (-3, 3))
    words = inspect(MOSI / "mosi_words_valid.pkl", cut=Cut())
    assert (words.corpus, words.aligned, words.given) == ("mosi", 229, {"": 229})
    assert {m.name: m.widths for m in words.modalities if m.widths} == {
        "audio": {74: 229},
        "vision": {47: 229},
    }
