"""Case of vocabularies and texts, and tokens that the weights lack, in folders as people have them."""

import json

import numpy as np
import pytest
import tokenizers

from msa_jax.errors import UserError
from msa_jax.text import load_tokenizer, train_tokenizer
from msa_jax.text.casing import is_cased, note_on_texts

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CASED = [*SPECIAL, "the", "The", "film", "was", "good", "Good", "GOOD", "not", "##ly", "电", "影"]
UNCASED = [piece for piece in CASED if piece in SPECIAL or piece == piece.lower()]
TEXT = "The film was Good not GOOD"


def write(folder, pieces=CASED, *, lowers=None, said=None, extra=(), rows=None, **options):
    """A folder with vocab.txt, or where `lowers` is given tokenizer.json; `said` is do_lower_case."""
    if lowers is None:
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    else:
        wordpiece = tokenizers.models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]")
        backend = tokenizers.Tokenizer(wordpiece)
        backend.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowers)
        backend.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
        backend.add_special_tokens(SPECIAL)
        backend.add_tokens(list(extra))
        backend.save(str(folder / "tokenizer.json"))
    if said is not None or options:
        values = options if said is None else {"do_lower_case": said, **options}
        (folder / "tokenizer_config.json").write_text(json.dumps(values))
    config = {"model_type": "bert", "vocab_size": rows or len(pieces)}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def spelt(folder, pieces=CASED, text=TEXT):
    """(pieces of the text, the tokenizer's note)."""
    tokenizer = load_tokenizer(str(folder))
    return " ".join(pieces[i] for i in tokenizer.encode(text)[0][1:-1]), tokenizer.note


LOWERED = "the film was good not good"
UNREAD = "[UNK] film was [UNK] not [UNK]"


@pytest.mark.parametrize(
    ("pieces", "said", "want", "note"),
    [
        (
            CASED,
            None,
            TEXT,
            "has capitals and no tokenizer_config.json says do_lower_case: the case of texts",
        ),
        (CASED, False, TEXT, ""),
        (CASED, True, LOWERED, "lowers all texts, though its vocabulary has capitals"),
        (UNCASED, None, LOWERED, ""),
        (UNCASED, True, LOWERED, ""),
        (UNCASED, False, UNREAD, "keeps capitals, though its vocabulary has none"),
    ],
)
def test_a_vocabulary_alone(tmp_path, pieces, said, want, note):
    got, told = spelt(write(tmp_path, pieces, said=said), pieces)
    assert got == want
    assert note in told
    assert bool(note) == bool(told)


@pytest.mark.parametrize(
    ("pieces", "lowers", "said", "want", "note"),
    [
        (CASED, False, None, TEXT, ""),
        (UNCASED, True, None, LOWERED, ""),
        (CASED, False, False, TEXT, ""),
        (CASED, True, None, LOWERED, "lowers all texts, though its vocabulary has capitals"),
        (CASED, True, True, LOWERED, "lowers all texts, though its vocabulary has capitals"),
        (CASED, True, False, TEXT, "contradict each other on do_lower_case; its vocabulary has capitals"),
        (CASED, False, True, TEXT, "contradict each other on do_lower_case; its vocabulary has capitals"),
        (UNCASED, True, False, LOWERED, "its vocabulary has no capitals: texts are lowered"),
        (UNCASED, False, True, LOWERED, "its vocabulary has no capitals: texts are lowered"),
        (UNCASED, False, None, UNREAD, "keeps capitals, though its vocabulary has none"),
    ],
)
def test_a_tokenizer_file_and_what_stands_beside_it(tmp_path, pieces, lowers, said, want, note):
    got, told = spelt(write(tmp_path, pieces, lowers=lowers, said=said), pieces)
    assert got == want
    assert note in told
    assert bool(note) == bool(told)


def test_what_the_pieces_say():
    letters = [f"w{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(600)]
    assert is_cased(SPECIAL) is False  # special tokens are not words
    assert is_cased([*SPECIAL, "<S>", "<T>", "[unused1]", "Ⅻ", "电", *letters]) is False
    assert is_cased(["K", "M", *letters]) is False  # as in bert-base-chinese
    assert is_cased([*(word.upper() for word in letters[:12]), *letters]) is None
    assert is_cased([*("##" + word.upper() for word in letters[:60]), *letters]) is True


def test_pieces_that_do_not_decide_are_refused_with_the_mend(tmp_path):
    words = [f"w{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(100)]
    pieces = [*SPECIAL, "URL", "USER", *words]
    with pytest.raises(
        UserError, match=r'too few to tell .* write "do_lower_case": true or false in its tok'
    ):
        load_tokenizer(str(write(tmp_path, pieces)))
    assert spelt(write(tmp_path, pieces, said=True), pieces, "WAA waa URL")[0] == "waa waa [UNK]"
    assert spelt(write(tmp_path, pieces, said=False), pieces, "WAA waa URL")[0] == "[UNK] waa URL"


def test_chinese_characters_are_pieces_of_their_own(tmp_path):
    pieces = [*SPECIAL, "电", "影", "好", "very"]
    (tmp_path / "chinese-roberta-wwm-ext").mkdir()
    folder = write(tmp_path / "chinese-roberta-wwm-ext", pieces)
    assert spelt(folder, pieces, "电影VERY好")[0] == "电 影 very 好"


def test_a_vocab_txt_that_is_not_wordpiece_is_not_read_as_one(tmp_path):
    write(tmp_path, tokenizer_class="BertJapaneseTokenizer")
    with pytest.raises(UserError, match="there is no usable tokenizer in"):
        load_tokenizer(str(tmp_path))


def test_a_piece_may_be_what_ends_a_line_elsewhere(tmp_path):
    pieces = [*SPECIAL, "\u2028", "good"]
    assert load_tokenizer(str(write(tmp_path, pieces))).encode("good")[0].tolist() == [2, 6, 3]


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "camembert"])
def test_a_folder_without_a_vocabulary_is_refused(tmp_path, family):
    config = {"model_type": family, "vocab_size": 97}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"no usable tokenizer in .*: its vocabulary has no words; copy the"):
        load_tokenizer(str(tmp_path))


def test_half_of_the_byte_pairs_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "roberta", "vocab_size": 97}')
    (tmp_path / "vocab.json").write_text('{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4}')
    with pytest.raises(UserError, match=r"has a vocab\.json but no merges\.txt; copy that file as well"):
        load_tokenizer(str(tmp_path))


def test_tokens_that_the_weights_lack_are_named(tmp_path):
    folder = write(tmp_path, lowers=True, extra=["[SPEAKER_A]", "[LAUGHTER]"])
    with pytest.raises(UserError) as error:
        load_tokenizer(str(folder))
    assert str(error.value) == (
        f"{folder}: its tokenizer has tokens that its weights lack: '[SPEAKER_A]' (16), '[LAUGHTER]' (17); "
        "the word embedding has 16 rows. Take them out of the tokenizer's files, or save the weights again "
        "after model.resize_token_embeddings(18) in transformers"
    )
    tokenizer = load_tokenizer(str(write(tmp_path, lowers=True, extra=["[SPEAKER_A]"], rows=17)))
    assert 16 in tokenizer.encode("[SPEAKER_A] good")[0]


def test_many_missing_tokens_are_counted(tmp_path):
    folder = write(tmp_path, lowers=True, extra=[f"[S{k}]" for k in range(9)])
    with pytest.raises(UserError, match=r"'\[S4\]' \(20\) and 4 more; the word"):
        load_tokenizer(str(folder))


def test_the_case_of_texts_and_the_setting(tmp_path):
    cased = load_tokenizer(str(write(tmp_path, lowers=False)))
    lowering = train_tokenizer(["the film was good"], 40)
    mixed, shouted = ["The film was Good", "not good"] * 3, ["THE FILM", "WAS GOOD", "GOOD"]
    says = {
        (
            True,
            "mixed",
        ): "data.lowercase=True lowers the texts, though x tells capitals from small letters and "
        "3 of the first 6 texts have both; --config.data.lowercase=False keeps them",
        (False, "shouted"): "3 of the first 3 texts are in capitals throughout, which x cuts into many small "
        "pieces; --config.data.lowercase=True lowers them",
    }
    for lowercase in (False, True):
        for kind, texts in (("mixed", mixed), ("shouted", shouted), ("chinese", ["电影"]), ("none", [])):
            said = note_on_texts(cased, texts, lowercase=lowercase, name="x")
            assert said == says.get((lowercase, kind), "")
            assert note_on_texts(lowering, texts, lowercase=lowercase, name="x") == ""


def test_only_the_first_texts_are_looked_at(tmp_path):
    cased, seen = load_tokenizer(str(write(tmp_path, lowers=False))), []
    texts = (seen.append(k) or "The film" for k in range(10_000))
    assert "of the first 64 texts" in note_on_texts(cased, texts, lowercase=True, name="x")
    assert len(seen) == 64
    assert np.array(seen).max() == 63
