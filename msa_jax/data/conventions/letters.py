"""Letters of languages: how well a text reads as Chinese, or as a European language with accents."""

import re
import unicodedata

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
_SIGNS = re.compile("[‐-‧′″、-〕〝〞！-～·×…—]")  # punctuation of Chinese text
_QUOTES = "‘’‚“”„‹›–—…•™€«»\xa0\xad"  # signs that stand anywhere in European text
_BESIDE_DIGIT = "°£¥²³½¼¾ºª"
_WORD = re.compile(r"[A-Za-z]")


def chinese(text: str) -> tuple[int, int, int]:
    """Counts the characters of a text that tell whether it is Chinese.

    Returns:
      (Chinese characters, those of them that are common, other characters that are neither ASCII nor Chinese
      punctuation).
    """
    ideographs = common = others = 0
    for c in text:
        if c.isascii() or _SIGNS.match(c):
            continue
        if "一" <= c <= "鿿":
            ideographs += 1
            common += c in COMMON
        else:
            others += 1
    return ideographs, common, others


def signs(text: str) -> int:
    """How many characters are punctuation of Chinese text, beyond ASCII."""
    return len(_SIGNS.findall(text))


def accented(text: str) -> tuple[int, int]:
    """Counts the characters of a text that tell whether it is European.

    Returns:
      (characters beyond ASCII, those of them that stand where European text has them: accented letters, at
      most two in a row, that begin, end or stand within a word of plain letters, or are one alone; quotes,
      dashes and a few signs).
    """
    places = [k for k, c in enumerate(text) if not c.isascii()]
    return len(places), sum(_fits(text, k) for k in places)


def _fits(text: str, place: int) -> bool:
    c = text[place]
    before, after = text[:place][-2:], text[place + 1 : place + 3]
    if c in _QUOTES:
        return True
    if c in "¡¿":
        return bool(_WORD.match(after[:1] or " ")) and not _WORD.search(before[-1:])
    if c in _BESIDE_DIGIT:
        return before[-1:].isdigit() or after[:1].isdigit()
    if not unicodedata.category(c).startswith("L"):
        return False
    near = [other for other in (before[-1:], after[:1]) if other]
    if any(_WORD.match(other) for other in near):
        return len(before) < 2 or before.isascii() or _WORD.search(before) is not None
    plain = all(other.isascii() for other in near)
    if plain:  # a word of one letter, as the French "à"
        return True
    # One of two in a row, the other of which touches a plain letter ("créée").
    return any(_WORD.match(far) for far in (before[:1] if len(before) > 1 else "", after[1:]) if far)
