"""Encodings of texts in bytes, told from all texts of a file, and never noise."""

import re

import numpy as np
import pytest

from msa_jax.data.conventions import encodings, texts
from msa_jax.errors import UserError

SIMPLIFIED = ["这部电影很好", "太差了，我不喜欢"]
TRADITIONAL = ["這部電影很好看", "演員的表演太差了"]
FRENCH = ["c'est un très bon film à voir", "déçu par l'intrigue", "une soirée créée", "à", "où l'été"]
QUOTES = ["it’s “good”", "don’t – go…"]
GERMAN = ["schön", "Über Straßen", "¡Hola!", "20°"]
ENGLISH = ["the film was good", "really bad"]


def _decide(every, codec, said=None, more=()):
    return encodings.decide([text.encode(codec) for text in every] + list(more), said=said, where="a.pkl")


@pytest.mark.parametrize(
    ("every", "codec", "found"),
    [
        (SIMPLIFIED, "utf-8", "utf-8"),
        (SIMPLIFIED, "utf-8-sig", "utf-8"),
        (SIMPLIFIED, "gbk", "gb18030"),
        (SIMPLIFIED, "gb18030", "gb18030"),
        (["好看的电影𠀀吗，我说"], "gb18030", "gb18030"),
        (TRADITIONAL, "gbk", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (["這套電影，係唔係好睇啲嘅呢，我都想知"], "big5hkscs", "big5hkscs"),
        (SIMPLIFIED, "utf-16", "utf-16"),
        (ENGLISH, "utf-16", "utf-16"),
        (["really bad"], "utf-16-be", "utf-16-be"),
        (SIMPLIFIED, "utf-16-le", "utf-16-le"),
        (SIMPLIFIED, "utf-16-be", "utf-16-be"),
        (ENGLISH, "utf-16-le", "utf-16-le"),
        (FRENCH, "utf-8", "utf-8"),
        (FRENCH, "latin-1", "latin-1"),
        (GERMAN, "latin-1", "latin-1"),
        (["caf\xe9"], "latin-1", "latin-1"),
        (["café", *QUOTES], "cp1252", "cp1252"),
        (["it’s “good”", "don’t—no"], "gbk", "gb18030"),  # English written on a Chinese system
        (ENGLISH, "ascii", "utf-8"),
    ],
)
@pytest.mark.parametrize("with_english", [False, True])
def test_told_and_decoded(every, codec, found, with_english):
    if with_english:
        if codec.startswith("utf-16-"):
            pytest.skip("plain ASCII beside it says that it is not UTF-16")
        every = [*every, *ENGLISH]
    encoding = _decide(every, codec)
    assert encoding.codec == found
    assert [encoding.decode(text.encode(codec)) for text in every] == every
    assert bool(encoding.line) is (every != ENGLISH or codec != "ascii") or with_english


@pytest.mark.parametrize(
    ("every", "codec"),
    [
        (["이 영화는 정말 재미있었다", "연기가 별로였다"], "euc-kr"),
        (["この映画はとても良かった", "話が退屈です"], "euc-jp"),
        (["この映画はとても良かった", "話が退屈です"], "shift-jis"),
        (["этот фильм очень хороший"], "cp1251"),
        (["этот фильм очень хороший"], "koi8-r"),
        (["η ταινία ήταν πολύ καλή"], "cp1253"),
        (["สวัสดี"], "cp874"),
    ],
)
def test_refused_rather_than_noise(every, codec):
    with pytest.raises(UserError) as error:
        _decide(every, codec)
    message = str(error.value)
    assert message.startswith("a.pkl: the encoding of the texts is not clear")
    # Some of these are bytes that gb18030 decodes: it is not named, for it makes noise of them.
    assert message.endswith(
        "and read as a language in no encoding that this program tells); save it as UTF-8, or say "
        "--config.data.encoding=NAME of its encoding (in Python: encoding=...)"
    )
    assert "\n" not in message
    said = _decide(every, codec, said=codec)
    assert said.decode(every[0].encode(codec)) == every[0]


@pytest.mark.parametrize(("text", "codec", "named"), [("好", "gbk", "gb18030"), ("好 film", "big5", "big5")])
def test_few_chinese_characters_are_refused_with_what_they_are(text, codec, named):
    with pytest.raises(UserError, match=rf"could be {named} \('好'\)\); .*encoding={named} or another \(in"):
        _decide([text], codec)
    assert _decide([text], codec, said=named).decode(text.encode(codec)) == text


def test_no_codec_that_makes_noise_is_named_beside_marks():
    hz = [text.encode("hz") for text in SIMPLIFIED]
    russian = ["этот фильм очень хороший".encode("cp1251")]
    with pytest.raises(UserError, match=r"could be hz\); save it as UTF-8$"):
        encodings.decide([*hz, *russian], said=None, where="a.pkl")
    with pytest.raises(UserError, match=r"save it as UTF-8, or say --config.data.encoding=latin-1 \(in"):
        encodings.decide([*hz, *(text.encode("latin-1") for text in FRENCH)], said=None, where="a.pkl")


def test_zeros_inside_a_text_are_no_text():
    with pytest.raises(UserError, match="not clear"):
        _decide([], "ascii", more=[b"abc\0d\0\0efgh"])


def test_utf8_in_some_texts_and_european_in_others():
    encoding = _decide(["très", "déjà vu"], "utf-8", more=[b"caf\xe9", b"plain"])
    assert encoding.line == "UTF-8, but latin-1 in 1 of 3 different texts beyond ASCII"
    assert [encoding.decode(raw) for raw in ("très".encode(), b"caf\xe9")] == ["très", "café"]
    for other in ("très bon été", "演员的表演很好"):
        with pytest.raises(UserError, match="not clear"):
            _decide([other], "utf-8", more=[text.encode("gbk") for text in SIMPLIFIED])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("klingon", "'klingon' is not a text encoding that Python knows"),
        ("hex", "'hex' is not a text encoding"),
        ("a\0b", "is not a text encoding"),
        (
            "ascii",
            r"a\.pkl: --config.data.encoding=ascii, but 2 of 2 different texts are not in it, such as b'",
        ),
    ],
)
def test_what_the_user_must_not_say(said, message):
    with pytest.raises(UserError, match=message) as error:
        _decide(SIMPLIFIED, "gbk", said=said)
    assert "\n" not in str(error.value)


def test_evidence_in_a_few_words():
    assert _decide(SIMPLIFIED, "gbk").line == ("GB18030 (13 of 13 Chinese characters are common)")
    assert _decide(QUOTES, "cp1252").line == (
        "cp1252 (6 of 6 characters beyond ASCII are European letters and signs)"
    )
    assert _decide(SIMPLIFIED, "gbk", said="gbk").line == "gbk, as you said"


def test_containers_are_decoded_throughout():
    raw = [text.encode("gbk") for text in SIMPLIFIED]
    rows = np.arange(6).reshape(3, 2)
    objects = np.empty(2, object)
    objects[:] = [raw[0], rows]
    key = raw[1].decode("utf-8", "surrogateescape")
    content = {"a": [raw[0], ("plain", 1.5, rows)], key: np.array(raw), "o": objects, "s": {raw[0]}}
    found = texts.decoded(content, None, "a.pkl")
    assert found.content["a"] == [SIMPLIFIED[0], ("plain", 1.5, rows)]
    assert found.content[SIMPLIFIED[1]].tolist() == SIMPLIFIED
    assert found.content["o"][0] == SIMPLIFIED[0]
    assert found.content["o"][1] is rows
    assert found.content["s"] == {SIMPLIFIED[0]}
    assert found.conventions == {"encoding": "GB18030 (13 of 13 Chinese characters are common)"}
    assert found.notes == ()


def test_what_is_utf8_or_text_is_left_as_it_is():
    content = {"a": ["好".encode(), "好", "plain"]}
    found = texts.decoded(content, None, "a.pkl")
    assert found.content is content
    assert found.conventions == {"encoding": "UTF-8"}
    assert texts.decoded({"a": ["好"]}, None, "a.pkl").conventions == {}
    (note,) = texts.decoded({"a": ["好"]}, "gbk", "a.pkl").notes
    assert note == "No text of the file is in bytes: --config.data.encoding makes no difference."


@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
def test_texts_that_were_decoded_wrongly_are_named(wrong):
    bad = ["中国".encode().decode(wrong), "é".encode().decode(wrong)]
    (note,) = texts.decoded([*bad, "bon été", "好", "plain"], None, "a.pkl").notes
    assert note.startswith(f"a.pkl: 2 of 5 different texts look like UTF-8 that was read as {wrong} (")
    assert "kept as they are" in note


WESTERN = {
    "english": ["it’s “good”", "don’t go – it’s a café"],
    "french": ["C'était très bien, à Noël", "Ça vaut l'été, malgré la fin bâclée"],
    "german": ["schön und überraschend", "Größe, Straße, Mädchen", "Äpfel ÜBER ÖL"],
    "spanish": ["¿Qué pasó? ¡Mañana será!", "el niño comió piña"],
    "portuguese": ["não é ótimo, irmão", "a atuação"],
    "danish": ["på en ø i søen", "smørrebrød og æbler"],
}
TURKISH = ["Bu film çok güzeldi, oyunculuk başarılıydı", "ağır bir hikâye, İyi değil"]


@pytest.mark.parametrize("codec", ["latin-1", "cp1252", "mac_roman", "cp850"])
@pytest.mark.parametrize("language", WESTERN)
def test_code_pages_of_western_languages_are_told_apart(language, codec):
    every = WESTERN[language]
    if language == "english" and codec in ("latin-1", "cp850"):
        pytest.skip("it has no such quotes")
    encoding = _decide(every, codec)
    assert [encoding.decode(text.encode(codec)) for text in every] == every
    assert encoding.codec == ("latin-1" if codec == "cp1252" and language != "english" else codec)


def test_turkish_is_not_read_as_western():
    assert _decide(TURKISH, "cp1254").codec == "cp1254"
    assert [_decide(TURKISH, "cp1254").decode(text.encode("cp1254")) for text in TURKISH] == TURKISH


@pytest.mark.parametrize(
    ("every", "codec"),
    [
        (["я и он в кино", "и в"], "cp1251"),
        (["я и он в кино", "и в"], "koi8-r"),
        (["příliš žluťoučký kůň"], "cp1250"),
        (["don’t"], "mac_roman"),  # too little
        (["Viðey"], "latin-1"),  # Icelandic, or "Viğey" in Turkish's code page
    ],
)
def test_a_code_page_that_the_letters_do_not_tell_is_refused(every, codec):
    with pytest.raises(UserError, match=r"encoding of the texts is not clear .* --config.data.encoding="):
        _decide(every, codec)
    assert _decide(every, codec, said=codec).decode(every[0].encode(codec)) == every[0]


@pytest.mark.parametrize(
    ("every", "codec", "found"),
    [
        (SIMPLIFIED, "hz", "hz"),
        (SIMPLIFIED, "utf-7", "utf_7"),
        (FRENCH, "utf-7", "utf_7"),
        (["это очень хорошо"], "utf-7", "utf_7"),
        (["이 영화는 정말 재미있다"], "utf-7", "utf_7"),
        (["この映画はとても良かった"], "iso2022_jp", "iso2022_jp"),
        (["이 영화는", "정말"], "iso2022_kr", "iso2022_kr"),
    ],
)
def test_encodings_in_ascii_are_told_by_their_marks(every, codec, found):
    every = [*every, "~ C++ and 1 ~{ 2, a~b", "really bad"]  # not in it, so kept as they are
    raw = [text.encode(codec) for text in every[:-2]] + [text.encode() for text in every[-2:]]
    encoding = encodings.decide(raw, said=None, where="a.pkl")
    assert encoding.codec == found
    assert [encoding.decode(text) for text in raw] == every
    assert encodings.decide(raw, said=codec, where="a.pkl").decode(raw[0]) == every[0]


@pytest.mark.parametrize(
    ("raw", "could"),
    [
        (b"~{:C~}", "could be hz"),
        (b"don+IBk-t", "could be utf_7"),
        (b"\x0eVPND\x0f", "in none that this program knows"),  # Korean without its beginning
        (b"\x1b$)A\x0eVPND\x0f", "in none that this program knows"),
    ],
)
def test_marks_with_little_between_them_are_refused_with_the_mend(raw, could):
    with pytest.raises(UserError, match=r"not clear \(some in ASCII have the marks.*data.encoding=") as error:
        encodings.decide([raw, b"plain"], said=None, where="a.pkl")
    assert could in str(error.value)
    assert encodings.decide([raw], said="ascii", where="a.pkl").decode(raw) == raw.decode()


@pytest.mark.parametrize("codec", ["gb18030", "utf-8"])
def test_marks_beside_another_encoding_are_refused_with_the_one_that_is_possible(codec):
    more = [text.encode("hz") for text in SIMPLIFIED]
    with pytest.raises(UserError, match="some in ASCII beside 2 beyond ASCII have the marks") as error:
        _decide(SIMPLIFIED, codec, more=more)
    assert f"or say --config.data.encoding={codec} (in Python" in str(error.value)
    said = _decide(SIMPLIFIED, codec, more=more, said=codec)
    assert [said.decode(raw) for raw in more] == [raw.decode() for raw in more]
    assert said.decode(SIMPLIFIED[0].encode(codec)) == SIMPLIFIED[0]


@pytest.mark.parametrize("mark", ["a\x0eb", "\x1b(B", "\x1b(Jodd", "\x0f", "\x1b$ 5", "caf+AOk-", "~{:C~}"])
def test_control_characters_and_chance_marks_beside_utf8_are_kept(mark):
    raw = [mark.encode(), "é".encode()]
    encoding = encodings.decide(raw, said=None, where="a.pkl")
    assert [encoding.decode(text) for text in raw] == [mark, "é"]
    assert texts.decoded([mark, "é"], None, "a.pkl").content == [mark, "é"]


@pytest.mark.parametrize("text", ["one \x0e alone", "\x1b(B", "a\x0ebcd\x0f", "\x1b$"])
def test_a_control_character_decides_nothing(text):
    assert encodings.decide([text.encode(), b"plain"], said=None, where="a.pkl") == encodings.Encoding()


def test_texts_are_judged_one_by_one():
    bad = [f"{text}{k}".encode("gb18030").decode("latin-1") for text in SIMPLIFIED for k in range(25)]
    honest = ["café", "bon été, à Noël", "££££", "····", "½½½½", "¡¡¡¿¿¿ QUÉ"]
    with pytest.raises(UserError, match="50 different texts are Chinese in GB18030"):
        texts.decoded(bad, None, "a.pkl")
    with pytest.raises(UserError, match="50 different texts are Chinese in GB18030"):
        texts.decoded([*bad, *honest], None, "a.pkl")
    assert texts.decoded(honest, None, "a.pkl").notes == ()
    for codec in ("utf-8", "gb18030"):
        alone = "这部电影很好".encode(codec).decode("latin-1")
        (note,) = texts.decoded([alone, *(f"good {k}" for k in range(500))], None, "a.pkl").notes
        assert note.startswith("a.pkl: 1 of 501 different texts look like ")
        assert "is '这部电影很好'" in note


@pytest.mark.parametrize(
    "text",
    [
        "wow ~{ nice ~}",
        "~{helloo~}",
        "~{WHAT~}",
        "a +word- b",
        "+abc-",
        "+100",
        "+4912345",
        "C++ +-",
        "\x1b[31mred",
    ],
)
def test_english_with_such_marks_stays_english(text):
    encoding = encodings.decide([text.encode(), b"plain"], said=None, where="a.pkl")
    assert encoding == encodings.Encoding()
    assert texts.decoded([text], None, "a.pkl").content == [text]


def test_text_that_was_read_as_ascii_is_decoded_by_its_marks():
    raw = [text.encode("hz").decode() for text in SIMPLIFIED]
    content = {"a": [*raw, "C++"], "b": np.array(raw)}
    found = texts.decoded(content, None, "a.pkl")
    assert found.content["a"] == [*SIMPLIFIED, "C++"]
    assert found.content["b"].tolist() == SIMPLIFIED
    assert found.conventions == {"encoding": "HZ (13 of 13 Chinese characters are common)"}
    kept = texts.decoded({"a": raw}, "ascii", "a.pkl")
    assert (kept.content, kept.notes) == ({"a": raw}, ())


def _is_in(text, codec):
    try:
        return bool(text.encode(codec))
    except UnicodeEncodeError:
        return False


@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
@pytest.mark.parametrize(
    ("every", "codec"), [(SIMPLIFIED, "gb18030"), (TRADITIONAL, "big5"), (SIMPLIFIED, "utf-8")]
)
def test_chinese_that_was_read_as_latin_is_refused_with_the_mend(every, codec, wrong):
    bad = []
    for text in every:
        try:
            bad.append(text.encode(codec).decode(wrong))
        except UnicodeDecodeError:  # a byte that cp1252 lacks, which others keep
            bad.append(text.encode(codec).decode("latin-1"))
    with pytest.raises(UserError, match=r"2 different texts are Chinese in .* that was read as") as error:
        texts.decoded({"a": [*bad, "plain"]}, None, "a.pkl")
    said = re.search(r"write (text\.encode\(.*\)\.decode\(.*\)) in their place, or say", str(error.value))
    assert bool(said) == all(_is_in(text, wrong) for text in bad)  # one mend for all
    if said:
        assert [eval(said[1], {"text": text}) for text in bad] == every
    assert "say --config.data.encoding=utf-8 to keep them as they are" in str(error.value)
    kept = texts.decoded({"a": [*bad, "plain"]}, "utf-8", "a.pkl")
    assert kept.content == {"a": [*bad, "plain"]}
    assert "2 of 3 different texts look like" in kept.notes[0]
    assert repr(every[0][:12]) in str(error.value) or repr(every[1][:12]) in str(error.value)


@pytest.mark.parametrize(
    ("every", "message"),
    [
        (["donÕt", "ÒgoodÓ", "itÕs"], "3 of 3 different texts look like mac_roman that was read as latin-1"),
        (
            ["açýklama yapmadý"],
            "look like cp1254 that was read as latin-1 ('açýklama yap' is 'açıklama yap')",
        ),
        (["ÎÒ°®Äã"], "look like GB18030 that was read as latin-1 ('ÎÒ°®Äã' is '我爱你')"),
        (["ýòîò ôèëüì", "été"], "1 of 2 different texts look like another encoding"),
        (["donâ€™t"], "look like UTF-8 that was read as cp1252 ('â€™t' is '’t')"),
        (["bad \ufffd"], "1 of 1 different texts hold '\\ufffd', which stands for letters"),
    ],
)
def test_texts_that_are_noise_are_named(every, message):
    (note,) = texts.decoded(every, None, "a.pkl").notes
    assert message in note


def test_texts_of_other_languages_are_not_called_noise():
    every = [text for some in WESTERN.values() for text in some] + SIMPLIFIED + TURKISH
    every += ["« à »", "nový kůň", "zażółć", "það er góð", "это", "naïve", "ÉTÉ"]
    assert texts.decoded(every, None, "a.pkl").notes == ()


@pytest.mark.parametrize("texts", [ENGLISH, SIMPLIFIED])
def test_utf_32_is_named(texts):
    with pytest.raises(UserError, match=r"a\.pkl: the texts are in UTF-32, .* save them as UTF-8"):
        _decide(texts, "utf-32")
