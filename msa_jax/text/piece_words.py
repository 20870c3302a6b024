"""Words of the tokens of a file that brings BERT's ids but not the vocabulary that made them.

WordPiece cuts each word (and each punctuation mark and each Chinese character) by itself, into one piece that
begins it and pieces ("##...") that only continue one. An id is always of the same kind and always of the same
letters, so that few texts are enough to learn both, and with them where the words begin.
"""

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tokenizers import normalizers, pre_tokenizers

from msa_jax.text.tokenizer import words_of

_REPEATED = 0.9  # share of continuing tokens that must repeat the row before them for rows to be evidence
_SAMPLE = 256  # texts that tell whether rows are repeated
_WEIGHT = 10.0  # of a boundary that the rows contradict, in units of log probability
UNKNOWN = -2  # the word of a token where no reading of the text has as many pieces as there are ids


class _Clip:
    """A text cut into the units that WordPiece works on, and its content ids."""

    def __init__(self, text: str, ids: Sequence[int], cut: bool) -> None:
        self.ids = tuple(int(i) for i in ids)
        self.cut = cut  # the ids may end before the text
        self.units: list[str] = []  # as written
        self.letters: list[str] = []  # in lower case and without accents
        self.words: list[int] = []  # the word of each unit
        for place, word in enumerate(words_of(text)):
            units, letters = _units(word)
            self.units += units
            self.letters += letters
            self.words += [place] * len(units)
        self.single = len(self.ids) == len(self.units) and not cut  # a piece a unit


_normalise = normalizers.BertNormalizer(lowercase=False, strip_accents=False).normalize_str
_lower = normalizers.BertNormalizer(lowercase=True).normalize_str
_split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str


@functools.lru_cache(1 << 16)
def _units(word: str) -> tuple[list[str], list[str]]:
    """The units of a word, and their letters."""
    units = [unit for unit, _ in _split(_normalise(word))]
    return units, [_lower(unit).strip() or unit for unit in units]


Spans = list[dict[int, list[int]]]  # for each unit, by the place of its first id, where it may end


class _Vocabulary:
    """What is known of the ids so far; every entry follows from the texts.

    Attributes:
      begins: of an id, whether it begins a word.
      letters: of an id, its letters.
      pieces: of a unit, its ids.
      wild: ids that stand for more than one unit ([UNK]).
    """

    def __init__(self) -> None:
        self.begins: dict[int, bool] = {}
        self.letters: dict[int, str] = {}
        self.pieces: dict[str, tuple[int, ...]] = {}
        self.wild: set[int] = set()

    def spell(self, piece: int, letters: str) -> bool:
        """Takes note of an id's letters; True where that is news."""
        if piece in self.wild or self.letters.get(piece) == letters:
            return False
        if piece in self.letters:
            self.wild.add(piece)
            del self.letters[piece]
        else:
            self.letters[piece] = letters
        return True

    def fits(self, letters: str, ids: tuple[int, ...], cut: bool) -> bool:
        """Whether ids may be those of a new unit, or of its beginning where the text is cut after them."""
        if len(ids) == 1 and ids[0] in self.wild:
            return True
        if self.begins.get(ids[0]) is False or any(self.begins.get(i) for i in ids[1:]):
            return False
        if any(i in self.wild for i in ids):
            return False
        at = gap = 0
        for i in ids:
            piece = self.letters.get(i)
            if piece is None:
                gap += 1
                continue
            at = letters.find(piece, at + gap) if gap else (at if letters.startswith(piece, at) else -1)
            if at < 0:
                return False
            at, gap = at + len(piece), 0
        if gap or cut:
            return len(letters) - at >= gap
        # The first place that fits a piece need not be the right one where others before it are unknown.
        unknown = any(i not in self.letters for i in ids)
        return at == len(letters) or (unknown and letters.endswith(self.letters[ids[-1]]))

    def spans(self, clip: _Clip) -> Spans | None:
        """All ways to cut the ids into the units of the text; None where there is none."""
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

    def _ends(self, clip: _Clip, unit: str, letters: str, start: int, left: int) -> list[int]:
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

    def learn(self, clip: _Clip, ways: Spans) -> tuple[bool, bool]:
        """Takes over what all ways agree on; (whether that is news, whether there is only one way)."""
        news, single = False, True
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
                    news |= self._take(clip.units[k], clip.letters[k], clip.ids[start:end])
        for places, kind in ((begins - continues, True), (continues - begins, False)):
            for place in places:
                if clip.ids[place] not in self.begins and clip.ids[place] not in self.wild:
                    self.begins[clip.ids[place]] = kind
                    news = True
        return news, single

    def _take(self, unit: str, letters: str, ids: tuple[int, ...]) -> bool:
        if unit in self.pieces or (len(ids) == 1 and ids[0] in self.wild):
            return False
        self.pieces[unit] = ids
        unknown = [place for place, i in enumerate(ids) if i not in self.letters]
        if len(unknown) == 1:
            before, after = (
                "".join(self.letters[i] for i in part) for part in (ids[: unknown[0]], ids[unknown[0] + 1 :])
            )
            if letters.startswith(before) and letters.endswith(after):
                self.spell(ids[unknown[0]], letters[len(before) : len(letters) - len(after)])
        return True


def learn_words(
    texts: Sequence[str],
    ids: Sequence[np.ndarray],
    cut: Sequence[bool],
    repeats: Callable[[int], np.ndarray] | None = None,
) -> tuple[list[np.ndarray], int, int]:
    """Finds the word of each token, without the vocabulary.

    Texts that have as many ids as units give each id's letters. Of the others all ways to cut the ids into
    units are followed that agree with what is known, and what they share is known from then on, until nothing
    new is found. Where several ways are left the likeliest is taken, by the number of pieces that units of as
    many letters have, and, where the file repeats a word's row for each of its pieces, by the rows.

    Args:
      texts: the texts, N of them.
      ids: of each the content ids, without special tokens.
      cut: of each whether its ids may end before the text does.
      repeats: of clip k and each content token, whether its row is that of the token before; None = unknown.

    Returns:
      (words, assumed, unsolved): for each text [n] int32, the index into `words_of(text)` of each token's
      word, `UNKNOWN` throughout where no way leads through the text; the number of texts of which the
      likeliest way was taken; and of those that are unsolved.
    """
    clips = [_Clip(*clip) for clip in zip(texts, ids, cut, strict=True)]
    known = _Vocabulary()
    left = []
    for k, clip in enumerate(clips):
        if clip.ids:
            known.begins[clip.ids[0]] = True
        if not clip.single:
            left.append(k)
            continue
        for piece, unit, letters in zip(clip.ids, clip.units, clip.letters, strict=True):
            known.begins[piece] = True
            known.pieces[unit] = (piece,)
            known.spell(piece, letters)
    solved: dict[int, Spans] = {}
    news = True
    while news and left:
        news, waiting = False, []
        for k in left:
            if (ways := known.spans(clips[k])) is None:
                continue
            solved[k] = ways
            new, single = known.learn(clips[k], ways)
            news |= new
            if not single:
                waiting.append(k)
        left = waiting
    open_ = set(left)
    trust = repeats is not None and _rows_repeat(clips, solved, open_, repeats)
    likely = _likelihood(known)
    words = []
    for k, clip in enumerate(clips):
        evidence = repeats(k) if trust and k in open_ else None
        words.append(
            np.array(clip.words, np.int32) if clip.single else _words(clip, solved.get(k), likely, evidence)
        )
    unsolved = sum(bool(len(found)) and found[0] == UNKNOWN for found in words)
    return words, len(open_), unsolved


def _likelihood(known: _Vocabulary) -> Callable[[int, int], float]:
    """Log probability that a unit of so many letters has so many pieces, of the units that are known."""
    counts = Counter((len(unit), len(ids)) for unit, ids in known.pieces.items())
    totals = Counter(len(unit) for unit in known.pieces)

    def likely(letters: int, pieces: int) -> float:
        return math.log((counts[letters, pieces] + 0.1 / pieces) / (totals[letters] + 1))

    return likely


def _rows_repeat(
    clips: Sequence[_Clip], solved: Mapping[int, Spans], open_: set[int], repeats: Callable
) -> bool:
    """Whether, in the texts that are certain, continuing tokens repeat the row before and others do not."""
    hits = {True: [0, 0], False: [0, 0]}
    certain = [k for k in solved if k not in open_]
    for k in certain[:: max(1, len(certain) // _SAMPLE)]:
        ways = solved[k]
        begins = {i for ends in ways for i in ends}
        for place, same in enumerate(repeats(k)):
            if place:
                hits[place not in begins][0] += bool(same) == (place not in begins)
                hits[place not in begins][1] += 1
    return all(total and right / total >= _REPEATED for right, total in hits.values())


def _words(
    clip: _Clip,
    ways: Spans | None,
    likely: Callable[[int, int], float],
    repeats: np.ndarray | None,
) -> np.ndarray:
    """The word of each id by the best of the ways."""
    n = len(clip.ids)
    if ways is None:
        return np.full(n, UNKNOWN, np.int32)
    best: list[dict[int, tuple[float, int]]] = [{} for _ in range(len(ways) + 1)]
    best[len(ways)] = {n: (0.0, n)}
    for k in range(len(ways) - 1, -1, -1):
        if clip.cut:
            best[k][n] = (0.0, n)
        for start, ends in ways[k].items():
            found = []
            for end in ends:
                if end in best[k + 1]:
                    score = likely(len(clip.units[k]), end - start) + best[k + 1][end][0]
                    if repeats is not None:
                        score -= _WEIGHT * (bool(repeats[start]) + np.sum(~repeats[start + 1 : end]))
                    found.append((score, end))
            if found:
                best[k][start] = max(found)
    words, start = np.full(n, UNKNOWN, np.int32), 0
    for k in range(len(ways)):
        if start == n:
            break
        end = best[k][start][1]
        words[start:end] = clip.words[k]
        start = end
    return words
