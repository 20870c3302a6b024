"""Vocabulary of WordPiece, as far as texts and their ids tell it.

WordPiece cuts each word (and each punctuation mark and each Chinese character) by itself, into one piece that
begins it and pieces ("##...") that only continue one. An id is always of the same kind and always of the same
letters, so that few texts are enough to learn both, and with them where the words begin.
"""

import functools
import itertools
from collections.abc import Iterable, Sequence

from tokenizers import normalizers, pre_tokenizers


class Clip:
    """A text cut into the units that WordPiece works on, and its content ids.

    Attributes:
      ids: of its tokens, without special tokens.
      cut: whether the ids may end before the text does.
      units, letters, words: the units as written, their letters in lower case and without accents, and the
        word that each is of, an index into the words.
    """

    def __init__(self, words: Sequence[str], ids: Sequence[int], cut: bool) -> None:
        """Cuts the words of a text into units."""
        self.ids, self.cut = tuple(ids), cut
        self.units: list[str] = []
        self.letters: list[str] = []
        self.words: list[int] = []
        for place, word in enumerate(words):
            units, letters = _units(word)
            self.units += units
            self.letters += letters
            self.words += [place] * len(units)


_normalise = normalizers.BertNormalizer(lowercase=False, strip_accents=False).normalize_str
_lower = normalizers.BertNormalizer(lowercase=True).normalize_str
_split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str


@functools.lru_cache(1 << 16)
def _units(word: str) -> tuple[list[str], list[str]]:
    """The units of a word, and their letters."""
    units = [unit for unit, _ in _split(_normalise(word))]
    return units, [_lower(unit).strip() or unit for unit in units]


Spans = list[dict[int, list[int]]]  # for each unit, by the place of its first id, where it may end


class PieceVocabulary:
    """The knowledge of the ids so far; every entry follows from the texts.

    Attributes:
      begins: of an id, whether it begins a word.
      letters: of an id, its letters.
      pieces: of a unit, its ids.
      wild: ids that stand for more than one unit ([UNK]).
      sizes: of a word, how many units it has.
      news: ids of which something has become known since the last look, which empties it.
    """

    def __init__(self, words: Iterable[str]) -> None:
        """Starts with nothing but the units of all words that will come."""
        self.sizes = {word: len(_units(word)[0]) for word in words}
        self.news: set[int] = set()
        self._read: set[str] = set()  # words of which each unit is one piece
        self._spelt: dict[str, tuple[int, ...]] = {}  # the ids of words of which all units are known
        self.begins: dict[int, bool] = {}
        self.letters: dict[int, str] = {}
        self.pieces: dict[str, tuple[int, ...]] = {}
        self.wild: set[int] = set()

    def spell(self, piece: int, letters: str) -> None:
        """Takes note of an id's letters."""
        if piece in self.wild or self.letters.get(piece) == letters:
            return
        if piece in self.letters:
            self.wild.add(piece)
            del self.letters[piece]
        else:
            self.letters[piece] = letters
        self.news.add(piece)

    def read(self, words: Sequence[str], ids: Sequence[int]) -> None:
        """Takes over a text of which each unit is one piece."""
        if self._read.issuperset(words):
            return
        at = 0
        for word in words:
            for unit, letters in zip(*_units(word), strict=True):
                self.begins[ids[at]] = True
                self.pieces[unit] = (ids[at],)
                self.spell(ids[at], letters)
                at += 1
        self._read.update(words)

    def counts(self, words: Sequence[str], ids: Sequence[int], *, cut: bool) -> list[int] | None:
        """How many pieces each word of a text has; None where not all are known, or they are not its ids.

        Args:
          words, ids: the text and its content ids.
          cut: whether the ids may end before the text does.
        """
        parts = [self._spelt.get(word) or self._spelling(word) for word in words]
        if None in parts:
            return None
        made = list(itertools.chain.from_iterable(parts))
        return [len(part) for part in parts] if (made[: len(ids)] if cut else made) == ids else None

    def _spelling(self, word: str) -> tuple[int, ...] | None:
        parts = [self.pieces.get(unit) for unit in _units(word)[0]]
        if None in parts:
            return None
        self._spelt[word] = tuple(itertools.chain.from_iterable(parts))
        return self._spelt[word]

    def fits(self, letters: str, ids: tuple[int, ...], cut: bool) -> bool:
        """Whether ids may be those of a new unit, or of its beginning where the text is cut after them."""
        if len(ids) == 1 and ids[0] in self.wild:
            return True
        if self.begins.get(ids[0]) is False or any(self.begins.get(i) for i in ids[1:]):
            return False
        if any(i in self.wild for i in ids):
            return False
        ends = {0}  # letters that the pieces so far may have spelt
        for i in ids:
            if (piece := self.letters.get(i)) is not None:
                ends = {at + len(piece) for at in ends if letters.startswith(piece, at)}
            else:
                ends = set(range(min(ends) + 1, len(letters) + 1))
            if not ends:
                return False
        return cut or len(letters) in ends

    def ways(self, clip: Clip) -> Spans | None:
        """All ways to cut the ids into the units of the text; None where there is none.

        The first texts with [UNK] make it look like an id with letters. Where a text has no way but for one
        such id that stands for any unit, it is [UNK].
        """
        if (found := self._ways(clip)) is not None or self.wild:
            return found
        possible = []
        for piece in sorted(set(clip.ids) & self.letters.keys()):
            self.wild = {piece}
            if (found := self._ways(clip)) is not None:
                possible.append((piece, found))
            self.wild = set()
        if len(possible) != 1:
            return None
        ((piece, found),) = possible
        self.wild = {piece}
        del self.letters[piece]
        self.news.add(piece)
        return found

    def _ways(self, clip: Clip) -> Spans | None:
        n, count = len(clip.ids), len(clip.units)
        reached: list[set[int]] = [{0}, *(set() for _ in range(count))]
        ways: Spans = []
        for k, (unit, letters) in enumerate(zip(clip.units, clip.letters, strict=True)):
            ways.append({i: self._ends(clip, unit, letters, i, count - k - 1) for i in reached[k]})
            reached[k + 1].update(j for ends in ways[k].values() for j in ends)
        good = {n} & reached[count]
        for k in range(count - 1, -1, -1):
            ways[k] = {i: kept for i, ends in ways[k].items() if (kept := [j for j in ends if j in good])}
            good = set(ways[k]) | ({n} & reached[k] if clip.cut else set())
        return ways if 0 in good else None

    def _ends(self, clip: Clip, unit: str, letters: str, start: int, left: int) -> list[int]:
        n = len(clip.ids)
        if (known := self.pieces.get(unit)) is not None:
            end = min(start + len(known), n) if clip.cut else start + len(known)
            return [end] if end > start and clip.ids[start:end] == known[: end - start] else []
        last = min(start + len(letters), n if clip.cut else n - left)
        return [
            end
            for end in range(start + 1, last + 1)
            if self.fits(letters, clip.ids[start:end], clip.cut and end == n)
        ]

    def learn(self, clip: Clip, ways: Spans) -> bool:
        """Takes over the facts that all ways agree on; says whether there is only one way."""
        single = True
        begins: set[int] = set()
        continues: set[int] = set()
        for k, ends in enumerate(ways):
            begins.update(ends)
            continues.update(p for i, js in ends.items() for j in js for p in range(i + 1, j))
            if len(ends) > 1 or any(len(js) > 1 for js in ends.values()):
                single = False
            elif ends:
                ((start, (end,)),) = ends.items()
                if not (clip.cut and end == len(clip.ids)):
                    self._take(clip.units[k], clip.letters[k], clip.ids[start:end])
        for places, kind in ((begins - continues, True), (continues - begins, False)):
            for place in places:
                if clip.ids[place] not in self.begins and clip.ids[place] not in self.wild:
                    self.begins[clip.ids[place]] = kind
                    self.news.add(clip.ids[place])
        return single

    def _take(self, unit: str, letters: str, ids: tuple[int, ...]) -> None:
        if unit in self.pieces or (len(ids) == 1 and ids[0] in self.wild):
            return
        self.pieces[unit] = ids
        self.news.update(ids)
        unknown = [place for place, i in enumerate(ids) if i not in self.letters]
        if len(unknown) == 1:
            before, after = (
                "".join(self.letters[i] for i in part) for part in (ids[: unknown[0]], ids[unknown[0] + 1 :])
            )
            if letters.startswith(before) and letters.endswith(after):
                self.spell(ids[unknown[0]], letters[len(before) : len(letters) - len(after)])
