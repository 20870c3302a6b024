"""SentencePiece models of XLM-RoBERTa and CamemBERT, against SentencePiece itself (golden/make_golden.py)."""

import json
import shutil

import numpy as np
import pytest

from msa_jax.errors import UserError
from msa_jax.text import Tokenizer, load_tokenizer
from tests.text.conftest import GOLDEN

SPECIAL = {"xlm_roberta": (0, 2, 1), "camembert": (5, 6, 1)}  # start, end, padding


@pytest.mark.parametrize("case", SPECIAL)
def test_ids_equal_those_of_sentencepiece(case, small_model, tmp_path):
    folder, want = small_model(case)
    tokenizer = load_tokenizer(str(folder))
    assert (tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id) == SPECIAL[case]
    assert tokenizer.vocab_size == json.loads(str(want["config"]))["vocab_size"]
    texts = json.loads(str(want["texts"]))
    for text, ids, mask in zip(texts, want["ids"], want["mask"], strict=True):
        np.testing.assert_array_equal(tokenizer.encode(text)[0], ids[mask], err_msg=text)
    tokenizer.save(tmp_path / "tokenizer.json")
    for saved in (Tokenizer.load(tmp_path / "tokenizer.json"), load_tokenizer(str(_with(folder, tmp_path)))):
        for text in texts:
            np.testing.assert_array_equal(saved.encode(text), tokenizer.encode(text))


def _with(folder, tmp_path):
    """The folder with the tokenizer.json that was saved, in place of the SentencePiece model."""
    shutil.copy(tmp_path / "tokenizer.json", folder)
    (folder / "sentencepiece.bpe.model").unlink()
    return folder


def test_pieces_know_their_words(small_model):
    tokenizer = load_tokenizer(str(small_model("xlm_roberta")[0]))
    text = "the film  was 很好 ω"  # an empty word between two spaces
    ids, words = tokenizer.encode(text)
    spoken = text.split(" ")
    spelt = [""] * len(spoken)
    for number, word in zip(ids[1:-1], words[1:-1], strict=True):
        spelt[word] += tokenizer._backend.id_to_token(number).replace("▁", "")
    assert spelt == ["the", "film", "", "was", "很好", "<unk>"]
    assert tokenizer.encode("很好", chinese=True)[1].max() == 1


@pytest.mark.parametrize(("case", "start"), [("xlm_roberta", 0), ("camembert", 5)])
def test_a_roberta_has_the_order_that_fits_its_rows(small_model, case, start):
    folder, _ = small_model(case)
    _change(folder, model_type="roberta")
    assert load_tokenizer(str(folder)).cls_id == start


def test_an_order_that_nothing_tells_is_refused(small_model):
    folder, _ = small_model("xlm_roberta")
    _change(folder, model_type="roberta", vocab_size=500)
    with pytest.raises(
        UserError, match=r"order has 142, CamemBERT's 145, config\.json 500; write model_type"
    ):
        load_tokenizer(str(folder))


def test_camembert_read_as_xlm_roberta_lacks_rows(small_model):
    folder, _ = small_model("xlm_roberta")
    _change(folder, model_type="camembert")
    with pytest.raises(UserError, match=r"that its weights lack: .*'<mask>' \(144\); .* has 142 rows"):
        load_tokenizer(str(folder))


@pytest.mark.parametrize("content", [b"not a model at all", b""])
def test_a_broken_model_is_named(small_model, content):
    folder, _ = small_model("xlm_roberta")
    (folder / "sentencepiece.bpe.model").write_bytes(content)
    with pytest.raises(UserError, match=r"sentencepiece\.bpe\.model"):
        load_tokenizer(str(folder))


def test_added_tokens_have_the_ids_that_their_file_gives(small_model):
    folder, _ = small_model("xlm_roberta")
    _change(folder, vocab_size=144)
    added = folder / "added_tokens.json"
    added.write_text('{"[LAUGHTER]": 143, "[SPEAKER]": 142, "<mask>": 141}')
    tokenizer = load_tokenizer(str(folder))
    assert [i for i in tokenizer.encode("[SPEAKER] good [LAUGHTER]")[0] if i > 141] == [142, 143]
    added.write_text('{"[SPEAKER]": 150}')
    with pytest.raises(UserError, match=r"'\[SPEAKER\]' the id 150, after the vocabulary it has 142"):
        load_tokenizer(str(folder))


def _change(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_the_golden_model_is_small():
    assert (GOLDEN / "sentencepiece.bpe.model").stat().st_size < 10_000
