"""Code pages: the same bytes are letters of several languages, and the texts tell which, or are refused."""

import itertools
import re

import pytest

from msa_jax.data.conventions import alphabets, code_pages, encodings, samples, texts
from msa_jax.errors import UserError

SENTENCES = {
    "french": "le début était très réussi / où est passée la vraie leçon à la fin / même déçu je l'ai aimé",
    "german": "die Geschichte wäre schön gewesen / völlig überzeugt hat mich keiner / großes Kino für Väter",
    "spanish": "la música no me convenció / qué lástima de guión y de niño / el público salió contentísimo",
    "portuguese": "a canção não é má / os irmãos são ótimos atores / ninguém esperava estas emoções",
    "italian": "è la più bella storia che c'è / la città però non si vede / perché così è già finita",
    "dutch": "één van de beste / de scène is geënsceneerd / zo'n cliché, en toch ontroerend, vóór alles",
    "danish": "jeg græd på vejen hjem / lyden er dårlig, men øjnene ser / en gård på en bjergtop så smukt",
    "swedish": "jag grät på vägen hem / ljudet är dåligt men ögonen räcker / en gård på en höjd, så vackert",
    "norwegian": "jeg gråt på veien hjem / lyden er dårlig, se på øynene / en gård på så høy ås, kjære",
    "finnish": "itkin tätä elämää / ääni on heikko mutta näyttelijät hyviä / kylä mäellä, kyllä",
    "hungarian": "sírtam hazafelé, őszintén / hangja gyenge, a színésznő gyönyörű / időről időre megnézném",
    "polish": "płakałem całą drogę / dźwięk jest słaby, ale zdjęcia są świetne / aż żal, że się kończy",
    "czech": "brečel jsem celou cestu domů / zvuk je špatný, herečka je skvělá / škoda, končí příliš brzy",
    "romanian": "am plâns până acasă / sunet slab, dar actriţa şi-a făcut rolul / o poveste în sfârşit bună",
    "turkish": "eve dönerken ağladım / sesi kötü ama oyuncuları çok başarılı / keşke hiç bitmeseydi",
    "icelandic": "ég grét á leiðinni / hljóðið er slæmt en leikarinn góður / það var sorglegt",
    "estonian": "nutsin tõesti / heli on nõrk, aga näitleja hää / lõpuks jõudis õnnelik šokk žanrisse",
    "slovenian": "jokal sem vso pot / zvok je slab, igralka pa še boljša / žal se že konča",
}
WESTERN = ("french", "german", "spanish", "portuguese", "italian", "dutch", "danish", "swedish", "norwegian")
CODE_PAGES = (
    *("latin-1", "cp1252", "cp1250", "cp1254", "cp1257", "iso8859_2", "iso8859_4", "iso8859_15", "mac_roman"),
    *("mac_latin2", "mac_turkish", "mac_iceland", "cp437", "cp850", "cp852", "cp857", "cp860", "cp861"),
    *("cp863", "cp865"),
)
NAMES = ("café", "naïve", "fiancée", "Beyoncé", "jalapeño", "Søren", "Håkan", "São Paulo", "Zoë", "déjà vu")
MEND = re.compile(r"not clear .*; save it as UTF-8, or say --config\.data\.encoding=")


def _lines(language):
    return SENTENCES[language].split(" / ")


def _raw(language, codec):
    return [text.encode(codec) for text in _lines(language)]


def _decide(raw):
    return encodings.decide(raw, said=None, where="a.csv")


def _has(codec, text):
    try:
        return bool(text.encode(codec))
    except UnicodeEncodeError:
        return False


@pytest.mark.parametrize(
    ("language", "codec"),
    [pair for pair in itertools.product(SENTENCES, CODE_PAGES) if _has(pair[1], SENTENCES[pair[0]])],
)
def test_no_language_is_read_in_another_code_page(language, codec):
    raw, message = _raw(language, codec), ""
    try:
        read = [_decide(raw).decode(text) for text in raw]
    except UserError as error:
        read, message = _lines(language), str(error)
    assert read == _lines(language)
    assert not message or MEND.search(message)
    assert not message or language not in WESTERN or codec not in ("latin-1", "cp1252")


@pytest.mark.parametrize(
    ("language", "codec", "right", "wrong"),
    [
        ("hungarian", "cp1250", "cp1250 ('színésznő')", "latin-1 ('színésznõ')"),
        ("hungarian", "iso8859_2", "cp1250 ('színésznő')", "latin-1 ('színésznõ')"),  # the same letters
        ("portuguese", "cp860", "cp860 ('canção')", "cp850 ('cançäo')"),
        ("icelandic", "cp861", "cp861 ('hljóðið')", "cp850 ('hljóîiî')"),
    ],
)
def test_both_readings_are_named_with_what_a_word_is_in_them(language, codec, right, wrong):
    raw = _raw(language, codec)
    with pytest.raises(UserError) as error:
        _decide(raw)
    first, second = right.split()[0], wrong.split()[0]
    assert f"could be {right} or {wrong}); save it as UTF-8, or say" in str(error.value)
    assert f"or say --config.data.encoding={first} or {second} (in Python" in str(error.value)
    said = encodings.decide(raw, said=first, where="a.csv")
    assert [said.decode(text) for text in raw] == _lines(language)


@pytest.mark.parametrize("language", ["polish", "czech", "romanian", "slovenian"])
def test_the_likely_code_page_is_named_where_none_is_sure(language):
    with pytest.raises(UserError, match=r"could be cp1250 \('.*encoding=cp1250 or (another|cp1252) \(in"):
        _decide(_raw(language, "cp1250"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 40])
def test_english_with_a_name_is_read(name, count):
    every = [f"i must say that {name} was the best of this whole long film, number {k}" for k in range(count)]
    raw = [text.encode("latin-1") for text in [*every, "the others were not so good", "nor were these"]]
    assert _decide(raw).codec == "latin-1"


def test_many_names_and_several_languages_in_one_file_are_read():
    names = [f"then {name} came along and we all went home".encode("latin-1") for name in NAMES]
    assert _decide(names).codec == "latin-1"
    every = [text for language in WESTERN for text in _raw(language, "latin-1")]
    assert _decide(every).codec == "latin-1"
    assert _decide([*names, *every]).codec == "latin-1"


def test_a_repeated_word_is_no_more_evidence():
    once = _decide_or_none([b"sz\xe9p \xf5szi est volt"])
    assert _decide_or_none([b"%d: sz\xe9p \xf5szi est volt" % k for k in range(50)]) == once is None


def _decide_or_none(raw):
    try:
        return _decide(raw)
    except UserError:
        return None


def test_words_in_ascii_tell_the_language_of_few_words_beyond_it():
    text = "the film was good but it did not last long enough for me to like all of its people"
    plain = [(word + end).encode() for word in text.split() for end in ("", "s", "ing")]
    assert _decide([*plain, "jalapeño".encode("latin-1")]).codec == "latin-1"


ENGLISH = [f"the film was good but it did not last long, number {k}".encode() for k in range(3000)]


@pytest.mark.parametrize("name", ["España", "naïve", "crêpe"])
@pytest.mark.parametrize("count", [60, 300])
def test_a_large_english_file_with_one_accented_word_is_read(name, count):
    raw = [f"{name} {k}".encode("latin-1") for k in range(count)]
    assert len(ENGLISH) > encodings._SAMPLE
    assert _decide([*ENGLISH, *raw]).decode(raw[0]) == f"{name} 0"


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize("name", ["Þór", "Hafþór", "Guðmundsdóttir", "Ísafjörður"])
def test_english_with_an_icelandic_name_is_read(name, count):
    raw = [f"this is {name} number {k}".encode("latin-1") for k in range(count)]
    assert _decide([*ENGLISH[:900], *raw]).decode(raw[0]) == f"this is {name} number 0"


def test_icelandic_is_read():
    raw = _raw("icelandic", "latin-1")
    assert [_decide(raw).decode(text) for text in raw] == _lines("icelandic")


FOREIGN = {
    "cp1250 czech": "Dvořák Škoda Novák Jiří Třešňák Svěrák Hřebejk Věra Němec Zdeněk Ondřej Šverák Kolář",
    "cp1250 polish": "Wałęsa Łódź Kieślowski Wróbel Paweł Michał Żuławski Gołębiowska Stanisław Śląsk Zając",
    "cp1250 hungarian": "Erdős Szabó Jenő Gergő Kertész Csűrös Őry Fűrész",
    "cp1250 croatian": "Đoković Mađarska Anđela Đurđa Tuđman Ćiro Šuker Modrić Kovačić Perišić Mandžukić",
    "iso8859_2 romanian": "Mureş Iaşi Botoşani Ceauşescu Bălan Ţiriac Năstase",
    "cp1254 turkish": "Ceylan Işık Şahin Güneş Yılmaz Erdoğan Çağan Demirağ Kıvanç",
}


@pytest.mark.parametrize("count", [12, 60, 200])
@pytest.mark.parametrize("names", FOREIGN)
def test_english_with_names_of_another_code_page_is_read_in_it_or_refused_with_it(names, count):
    codec, words = names.split()[0], itertools.cycle(FOREIGN[names].split())
    raw = [f"what {next(words)} said of number {k}".encode(codec) for k in range(count)]
    if names == "cp1254 turkish":
        assert _decide([*ENGLISH[:1000], *raw]).codec == codec
        return
    with pytest.raises(UserError) as error:
        _decide([*ENGLISH[:1000], *raw])
    said = re.search(r"data\.encoding=(.*) \(in Python", str(error.value))[1].split(" or ")
    assert {"iso8859_2": "cp1250"}.get(codec, codec) in said
    shown = re.findall(r"(\w+(?:-1)?) \('([^']*)'\)", str(error.value))
    assert [codec for codec, _ in shown] == [name for name in said if name != "another"]
    assert len({word.encode(codec) for codec, word in shown}) == 1  # the same bytes, in each encoding
    assert all(word.isprintable() for _, word in shown)


def test_a_code_page_that_makes_control_characters_is_out():
    raw = ["Šverák a Němec, Škoda, Miloš".encode("cp1250")]  # "Š" is a control character in iso8859_15
    assert code_pages.likely(raw)[0] == "cp1250"
    assert not {"latin-1", "iso8859_2", "iso8859_15"} & set(code_pages.likely(raw))


def test_words_in_several_encodings_are_of_the_same_bytes():
    raw = ["so Güneş, yes".encode("cp1254")]  # a word ends elsewhere where "ü" is "¸"
    assert samples.as_read(raw, ["cp1254", "mac_croatian"]) == ["cp1254 ('Güneş')", "mac_croatian ('G¸neæ')"]
    raw = ["好|看, ok".encode("gb18030")]
    assert samples.as_read(raw, ["gb18030", "utf-16-le"])[0] == "gb18030 ('好|看, ok')"
    assert samples.as_read([b"plain"], ["cp1250", "cp1252"]) == ["cp1250", "cp1252"]


def test_english_with_utf8_in_one_text_and_latin_1_in_another_is_read():
    encoding = _decide([*ENGLISH, "a café".encode(), "a naïve one".encode("latin-1")])
    assert (encoding.codec, encoding.otherwise) == ("utf-8", "latin-1")


def test_letters_of_languages():
    assert alphabets.has("ő", "Hungarian")
    assert not alphabets.has("ő", "Portuguese")
    assert alphabets.has("Ğ", "Turkish")
    assert alphabets.has("İ", "Turkish")
    assert alphabets.has("’", "Polish")
    best = alphabets.plain({"e": 17, "n": 10, "i": 7, "s": 7, "r": 7, "a": 6, "t": 6, "d": 5, "h": 5, "u": 4})
    assert max(best, key=best.get) == "German"
    # Twice 88 in 10 000 letters against twice 0.0001.
    found = alphabets.accented({"ã": 2}, "Portuguese") - alphabets.accented({"ă": 2}, "Portuguese")
    assert found == pytest.approx(2 * 13.6877, abs=1e-3)


def test_texts_in_containers_are_refused_alike():
    raw = _raw("hungarian", "cp1250")
    with pytest.raises(UserError, match="could be cp1250"):
        texts.decoded({"raw_text": raw}, None, "a.pkl")
    assert texts.decoded({"raw_text": raw}, "cp1250", "a.pkl").content == {"raw_text": _lines("hungarian")}
