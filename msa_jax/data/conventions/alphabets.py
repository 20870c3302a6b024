"""Alphabets of European languages that are written in Latin letters, with how often each letter is.

They tell the language of a text, and with it the code page of its accented letters: ő and ű beside á, é
and ö are Hungarian, while õ and û beside them are letters of no single language. The numbers were counted in
lists of frequent words, where each word counts by how often it is used and once more by itself.
"""

import functools
import math
from collections.abc import Mapping

# A language a line, with its letters in ten thousand.
_TABLE = """
English e1244 t823 a783 i748 o723 n710 s691 r670 l449 d392 h375 c370 u292 m264 p251 g241 f197 y194 w161 b144
  v116 k91 x27 j24 q11 z8
French e1420 i780 s768 r765 a737 n724 t721 o582 u535 l470 c383 p333 m314 d308 é238 v162 f128 g113 b93 h86
  q85 j47 x43 è39 y28 à25 ê17 z14 ç9 ô7 k6 î6 w4 â3 û3 œ2 ù2 ë1
German e1638 n1000 i752 r707 t672 s654 a572 h488 d416 l398 u348 g326 c305 m265 o258 b213 f192 w157 k145 z115
  v89 p86 ü65 ä57 ö36 j30 y10 x6 q2
Spanish e1270 a1153 o872 s714 i699 n696 r693 c493 t491 l469 d452 u376 m300 p286 b136 g128 v120 h83 f82 ó80
  q71 y64 í56 j55 á39 z37 é26 x20 ñ18 ú13 k3 w2
Portuguese a1204 e1158 o1018 s743 r732 i682 n540 t511 d452 m428 c390 u379 l302 p289 v156 g134 f120 b104 h98
  ã88 q80 ç74 é44 á41 j39 z37 í31 x29 ê23 ó21 õ13 ú12 k7 w7 y6 à4 â4 ô4
Italian e1153 i1100 a1058 o994 t717 n710 r689 s534 l485 c459 d320 p315 m291 u281 g182 v177 f120 z112 b98 h90
  q38 à21 è17 ù6 k6 y5 w5 é5 ò4 ì4 x2 j1
Catalan a1195 e1188 r796 s781 i765 t694 n649 l548 o518 c471 u372 d343 m318 p316 g144 v144 b133 f104 q77 ó66
  x57 h50 à40 j37 è36 é35 í31 y23 ò20 ç14 z12 ú12 ü4 ï3 k2 w2
Dutch e1828 n934 a742 i670 t654 r646 o592 d496 l430 s410 g336 k276 m244 v243 h239 u200 b174 p171 j167 c160
  w151 z117 f88 y13 x9 ë6 é4 ï1 ó1 è1
Danish e1573 r874 t722 n710 d602 i578 a575 s573 l539 g444 o433 k356 m313 v254 f243 h179 u179 b173 p151 æ105
  ø101 å100 j91 y77 c40 w9 x3 é2 z1
Norwegian e1605 r886 t868 n775 s605 i583 a556 l548 o435 k427 d414 g381 m299 v250 f206 p201 u174 h155 b146
  å135 j115 ø105 y84 æ24 c12 w6 x3 é1
Swedish a995 e919 t888 r884 n790 s592 l554 i537 d417 k364 o360 g347 m326 ä260 v247 f208 h188 p179 u175 å167
  ö157 b146 j112 c98 y68 x14 w6 z1 é1
Finnish a1243 i1052 t966 n862 e785 s715 o575 l569 ä522 k519 u501 m324 v240 h205 j194 r190 p188 y184 d90 ö45
  g12 b6 f5 c5 w3 x2
Icelandic a939 r850 n826 i799 e636 s584 t575 l493 u455 g393 m390 ð335 k334 f304 v219 o214 h205 d173 á164
  í160 j132 b112 þ106 y103 ó94 æ89 ö84 p79 ú53 é53 ý24 c12 w6 x5
Turkish a1183 e952 i886 n678 r659 l608 k488 d426 ı413 m383 t349 s348 y336 u308 o287 b262 ü179 ş166 z152 g150
  h133 ç115 v112 p97 c91 ğ90 ö84 f53 j8 w4 x1 â1 İ5
Polish i862 a854 e833 o750 z563 n508 s439 w423 t421 r420 c383 y376 d360 k327 m316 p308 j261 u234 l208 ł164
  b159 ę130 g129 h94 ż92 ó88 ś86 ą81 ć69 f29 ń17 ź9 v3 x3
Czech e811 o775 a650 n631 t585 s466 d423 l417 i416 v394 m363 r354 k353 í321 u319 p313 j238 c230 á226 h220
  ě202 y194 z188 b179 ž113 ř110 č104 é102 š91 ý73 ů48 f32 g18 ú14 x8 ň5 ť4 ď4 w3 ó2
Slovak o900 e869 a838 n567 i541 t506 s495 r493 v437 k368 l359 d357 m350 p316 u275 h220 c216 j214 á197 b182
  z179 y168 č112 í108 ž102 ý102 š100 ť83 é80 ú79 ľ44 ô28 f26 ď20 g19 ä14 ó13 ň12 x6 w5 ĺ1 ŕ1
Slovenian e1058 a1002 o981 i840 n678 r526 s475 l466 t460 j456 v444 d374 k345 p331 m299 z210 u201 b190 g150
  č149 h110 š104 c65 ž65 f13 w4 y3
Croatian a1172 o972 i917 e877 n610 r525 s484 j472 t467 u432 d397 v383 k354 l340 m319 p287 g183 z177 b167 š86
  c84 č76 ž63 h59 ć48 f24 đ18 y4 w2 x2
Hungarian e1073 a875 t755 n628 l601 s565 k466 i465 r432 m416 o412 z394 g348 é306 á290 y246 d233 b207 v192
  h163 j122 p112 ö105 u102 f86 c83 ó82 ő82 ü55 í45 ú28 ű17 w7 x6
Romanian e1153 i1049 a1046 r745 t713 n618 u596 c525 l493 o452 s405 p327 m317 d316 ă286 v129 f126 ţ120 b98
  g94 ş92 î81 z66 â52 h34 j30 x20 k6 w6 y5 ș92 ț120
Latvian a1159 i939 s843 t650 e637 u531 r524 ā424 n423 k415 m365 d337 l334 v318 o305 p273 j224 ī203 b192 z188
  ē174 g134 c108 š90 ū54 ņ40 ļ39 f23 ž19 ķ10 ģ9 č8 h6 w2 y2
Lithuanian i1312 a1193 s810 t611 o609 e560 r546 k470 u456 n448 m317 l310 p281 d272 v260 j224 g197 ė160 y151
  b146 ų141 š114 ž92 ą76 į59 ū53 č34 c30 z22 f18 ę16 h5 x3 w2
Estonian a1189 e1013 i1010 s839 t630 n620 l619 o528 u504 k453 r435 m366 d338 v228 g190 h176 p170 j159 b108
  ä99 õ95 ü75 f38 c35 ö19 y15 w11 z9 š7 x4 ž3 q2
Albanian e965 i890 t837 ë791 a756 r716 n667 s580 h432 o410 m351 l316 k305 d301 u298 j280 p256 g166 v155 b117
  f102 q89 z70 c69 y50 ç16 x11 w7
"""
_WHOLE = 10_000  # letters that the numbers of a language are out of
_FOREIGN = 1e-4  # how often a plain letter is that a language does not have, in names and the like
# An accented letter that a language does not have: in names those of Western languages are.
_NAMES = dict.fromkeys("àâãäåæçèêëìîïñòóôöøùûüáíúœ", 1e-5) | {"é": 1e-4, "õ": 2e-6, "š": 2e-6, "ž": 2e-6}
_STRANGE = 1e-8
_CAPITAL = 0.2  # of the accented letters
# Signs: quotes and dashes are told from letters most surely in English, which has few accents; the apostrophe
# stands within words of some other languages.
_SIGN = 1e-4
_IN_ENGLISH = dict.fromkeys("’“”", 5e-3) | dict.fromkeys("‘–—…", 1e-3) | dict.fromkeys("«»", 1e-6)
_WITH_APOSTROPHE = ("French", "Italian", "Catalan", "Dutch", "Turkish")
_WESTERN = (
    *("English", "French", "German", "Spanish", "Portuguese", "Italian"),
    *("Catalan", "Dutch", "Danish", "Norwegian", "Swedish"),
)
_SEVERAL = "several Western languages"


@functools.cache
def _shares() -> dict[str, dict[str, float]]:
    """Of each language, and of several Western ones in one file, the share of each letter."""
    found = {}
    for line in _TABLE.replace("\n  ", " ").split("\n"):
        if line:
            language, *letters = line.split()
            found[language] = {letter[0]: int(letter[1:]) / _WHOLE for letter in letters}
    found["English"] |= _IN_ENGLISH
    for language in _WITH_APOSTROPHE:
        found[language]["’"] = 2e-3
    western = [found[language] for language in _WESTERN]
    found[_SEVERAL] = {
        letter: sum(shares.get(letter, 0) for shares in western) / len(western)
        for letter in {letter for shares in western for letter in shares}
    }
    return found


@functools.cache
def letters() -> frozenset[str]:
    """The accented letters of all languages, small and capital."""
    small = {letter for shares in _shares().values() for letter in shares if not letter.isascii()}
    return frozenset(small | {letter.upper() for letter in small if len(letter.upper()) == 1})


def plain(counts: Mapping[str, int]) -> dict[str, float]:
    """How well the plain letters of words fit each language.

    Args:
      counts: of each letter from a to z, how often it is there.

    Returns:
      Of each language, the logarithm of how probable these letters are in it.
    """
    return {
        language: sum(n * math.log(shares.get(letter, _FOREIGN)) for letter, n in counts.items())
        for language, shares in _shares().items()
    }


def accented(counts: Mapping[str, int], language: str) -> float:
    """The logarithm of how probable characters beyond ASCII, letters and signs, are in a language.

    Args:
      counts: of each character, how often it is there.
      language: one that `plain` names.
    """
    shares = _shares()[language]
    return sum(n * math.log(_share(c, shares)) for c, n in counts.items())


def has(c: str, language: str) -> bool:
    """Whether a character beyond ASCII is a letter of a language, or in its names; signs are in all."""
    return _share(c, _shares()[language]) > _STRANGE


def _share(c: str, shares: Mapping[str, float]) -> float:
    if not c.isalpha() or c in "ªº":
        return shares.get(c, _SIGN)
    small = c if c in shares else c.lower()
    return (shares.get(small) or _NAMES.get(small, _STRANGE)) * (1 if small == c else _CAPITAL)
