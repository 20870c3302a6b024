"""Letters of languages: how well a text reads as Chinese, or as a European language with accents."""

import itertools
import re
from collections.abc import Iterable
from typing import NamedTuple

# The characters that running Chinese text mostly consists of, in both scripts: some 70 % of it. Text that is
# decoded by a wrong encoding has a few in a hundred of them.
COMMON = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行"
    "所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力"
    "它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产"
    "或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口"
    "认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区"
    "保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张"
    "该交规万取拉格望觉术领共确传师观清今切院让识候带导争运吗吧呢啊哦呀哈嗯哎爱喜欢影片剧演故错差棒坏妈爸谢请"
    "這個們來為國時會對於著過發後裡種經麼學現當沒動還進樣開從實軍無與長機關點業將兩間問應戰頭體見產話給門兒東聲"
    "員論處義幾條氣題爾別變總電數報結務場計資許統區隊決馬書則聽卻達難權設記類據張該規萬覺術領確傳師觀讓識帶導爭"
    "運嗎歡劇錯壞媽愛謝請"
)
LEAST = 6  # letters of another script than the Latin one that an encoding is told by
_OTHERS = 0.1  # share of the characters beyond ASCII of a Chinese text that may be neither it nor its signs
_COMMON_SHARE = 0.4  # of the Chinese characters of running text
_OTHER_SCRIPTS = re.compile("[\u3040-\u30ff\u1100-\u11ff\uac00-\ud7af]")  # kana and Hangul
_WORDS = re.compile(r"[^\W\d_\u4e00-\u9fff]+")  # in letters that are not Chinese
_SIGNS = re.compile("[‐-‧′″、-〃〇-〕〝〞！-～·×…—]")  # punctuation of Chinese text
_OPENING, _CLOSING = "“„‚‹", "”›"
_ANYWHERE = "‘’–—…•™«»\xa0\xad"  # signs that stand anywhere in European text
_BESIDE_DIGIT = "°£¥²³½¼¾ºª"
# The accented letters of Western languages but Icelandic's, whose bytes are Turkish letters in cp1254, and ÿ,
# the Russian "я" in cp1251; those of Icelandic and Turkish; and those that are words of their own.
WESTERN = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüßœšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜŒŠŽ")
ICELANDIC = frozenset("áæéíðóöúýþÁÆÉÍÓÖÚÝÞ")  # without Ð, which begins no word: Đ does in Croatian names
TURKISH = frozenset("âçğıîöşûüÂÇĞİÎÖŞÛÜ")
_ALONE = "àÀáÁèÈéÉêÊíÍóÓòÒôÔåÅöÖőŐøØæÆúÚįĮ"
_MOST_ACCENTS = 2  # in a row, as in "créée"
_WORD = re.compile(r"[A-Za-z]")


class Chinese(NamedTuple):
    """The characters of texts that tell whether they are Chinese.

    Attributes:
      ideographs: Chinese characters.
      common: those of them that are common in running text.
      others: other characters that are neither ASCII nor Chinese punctuation.
      signs: punctuation of Chinese text, beyond ASCII.
    """

    ideographs: int
    common: int
    others: int
    signs: int

    @property
    def alone(self) -> bool:
        """Whether hardly any other characters beyond ASCII are there."""
        return self.others <= _OTHERS * (self.ideographs + self.others + self.signs)

    @property
    def reads(self) -> bool:
        """Whether there are Chinese characters, and enough common ones: a wrong encoding has a tenth."""
        return self.ideographs > 0 and self.common >= _COMMON_SHARE * self.ideographs

    @property
    def certain(self) -> bool:
        """Whether they read as Chinese, and are enough to tell an encoding by."""
        return self.reads and self.ideographs >= LEAST

    def __str__(self) -> str:
        return f"{self.common} of {self.ideographs} Chinese characters are common"


def chinese(texts: Iterable[str]) -> Chinese:
    """Counts the characters of texts that tell whether they are Chinese."""
    ideographs = common = others = signs = 0
    for c in itertools.chain.from_iterable(texts):
        if c.isascii():
            continue
        if _SIGNS.match(c):
            signs += 1
        elif "一" <= c <= "鿿":
            ideographs += 1
            common += c in COMMON
        else:
            others += 1
    return Chinese(ideographs, common, others, signs)


def is_chinese(text: str) -> bool:
    """Whether a text is Chinese: it has more Chinese characters than words in letters, and no kana or Hangul.

    A word in Latin letters, as in a name, counts as much as a character.
    """
    if text.isascii() or _OTHER_SCRIPTS.search(text):
        return False
    return chinese([text]).ideographs > len(_WORDS.findall(text))


def accented(text: str, alphabet: frozenset[str] = WESTERN) -> tuple[int, int]:
    """Counts the characters of a text that tell whether it is European.

    Args:
      text: to look at.
      alphabet: the accented letters of its language.

    Returns:
      (characters beyond ASCII, those of them that stand where European text has them: accented letters, at
      most two in a row, that begin, end or stand within a word of plain letters, or are a word alone, no
      capital behind a small letter; quotes at their side of a word, dashes and a few signs).
    """
    places = [k for k, c in enumerate(text) if not c.isascii()]
    return len(places), sum(stands(text, k, alphabet) for k in places)


def stands(text: str, place: int, alphabet: frozenset[str], row: int = _MOST_ACCENTS) -> bool:
    """Tells whether the character beyond ASCII at a place of a text stands where European text has it.

    Args:
      text: to look in.
      place: the character's index.
      alphabet: the accented letters of the language.
      row: how many of them may follow each other.
    """
    c, before, after = text[place], text[max(0, place - 1) : place], text[place + 1 : place + 2]
    if c in _ANYWHERE:
        return True
    if c in _OPENING:
        return not before.isalpha() and c not in (before, after)
    if c in _CLOSING:
        return not after.isalpha()
    if c in "¡¿":
        return bool(_WORD.match(after)) and not _WORD.match(before)
    if c == "€":
        return not before.isalpha() and not after.isalpha()
    if c in _BESIDE_DIGIT:
        return before.isdigit() or after.isdigit()
    if c not in alphabet or (c.isupper() and before.islower()):
        return False
    start, end = place, place + 1  # of the accented letters in a row
    # With one more than that it is settled: a long row is not walked from each of its letters.
    while start and end - start <= row and text[start - 1].isalpha() and not text[start - 1].isascii():
        start -= 1
    while end < len(text) and end - start <= row and text[end].isalpha() and not text[end].isascii():
        end += 1
    if end - start > row:
        return False
    if _WORD.match(text[max(0, start - 1) : start]) or _WORD.match(text[end : end + 1]):
        return True
    return end - start == 1 and c in _ALONE  # a word of one letter, as the French "à"
