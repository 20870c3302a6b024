"""Words of the tokens of a file that brings BERT's ids but not the vocabulary that made them."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from msa_jax.text.piece_vocabulary import Clip, PieceVocabulary, Spans
from msa_jax.text.tokenizer import words_of

_REPEATED = 0.9  # share of continuing tokens that must repeat the row before them for rows to be evidence
_SAMPLE = 256  # texts that tell whether rows are repeated
_WEIGHT = 10.0  # of a boundary that the rows contradict, in units of log probability
UNKNOWN = -2  # the word of a token where no reading of the text has as many pieces as there are ids


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
    spoken = [words_of(text) for text in texts]
    wanted = [part.tolist() for part in ids]
    known = PieceVocabulary(set().union(*spoken))
    words: list[np.ndarray | None] = [None] * len(texts)
    left = []
    for k, (said, content) in enumerate(zip(spoken, wanted, strict=True)):
        if content:
            known.begins[content[0]] = True
        counts = [known.sizes[word] for word in said]
        if cut[k] or sum(counts) != len(content):
            left.append(k)
            continue
        known.read(said, content)
        words[k] = _places(counts)
    several: dict[int, tuple[Clip, Spans]] = {}
    news: set[int] | None = None  # ids; at first everything is new
    while left and news != set():
        known.news, waiting = set(), []
        for k in left:
            if k in several and news.isdisjoint(wanted[k]):
                waiting.append(k)
                continue
            several.pop(k, None)
            if (counts := known.counts(spoken[k], wanted[k], cut=cut[k])) is not None:
                words[k] = _places(counts)[: len(wanted[k])]
                continue
            clip = Clip(spoken[k], wanted[k], cut[k])
            if (ways := known.ways(clip)) is None:
                continue
            if known.learn(clip, ways):
                words[k] = _likeliest(clip, ways, lambda letters, pieces: 0.0, None)
            else:
                several[k] = clip, ways
                waiting.append(k)
        left, news = waiting, known.news
    trusted = repeats is not None and _rows_repeat(words, repeats)
    likely = _likelihood(known)
    for k, (clip, ways) in several.items():
        words[k] = _likeliest(clip, ways, likely, repeats(k) if trusted else None)
    found = [
        np.full(len(i), UNKNOWN, np.int32) if w is None else w for i, w in zip(wanted, words, strict=True)
    ]
    unsolved = sum(w is None and len(i) > 0 for i, w in zip(wanted, words, strict=True))
    return found, len(several), unsolved


def _places(counts: Sequence[int]) -> np.ndarray:
    """The word of each piece, where the words have so many."""
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


def _likelihood(known: PieceVocabulary) -> Callable[[int, int], float]:
    """Log probability that a unit of so many letters has so many pieces, of the units that are known."""
    counts = Counter((len(unit), len(ids)) for unit, ids in known.pieces.items())
    totals = Counter(len(unit) for unit in known.pieces)

    def likely(letters: int, pieces: int) -> float:
        return math.log((counts[letters, pieces] + 0.1 / pieces) / (totals[letters] + 1))

    return likely


def _rows_repeat(words: Sequence[np.ndarray | None], repeats: Callable[[int], np.ndarray]) -> bool:
    """Whether, where the words are certain, tokens repeat the row before within a word and else do not."""
    hits = {True: [0, 0], False: [0, 0]}
    certain = [k for k, found in enumerate(words) if found is not None and len(set(found)) < len(found)]
    for k in certain[:: max(1, len(certain) // _SAMPLE)]:
        inside = np.diff(words[k]) == 0
        agrees = repeats(k)[1:] == inside
        for kind in hits:
            hits[kind][0] += int(agrees[inside == kind].sum())
            hits[kind][1] += int((inside == kind).sum())
    return all(total and right / total >= _REPEATED for right, total in hits.values())


def _likeliest(
    clip: Clip, ways: Spans, likely: Callable[[int, int], float], repeats: np.ndarray | None
) -> np.ndarray:
    """The word of each id by the likeliest of the ways, and by the rows where they are evidence."""
    n = len(clip.ids)
    best: list[dict[int, tuple[float, int]]] = [{} for _ in range(len(ways) + 1)]
    best[len(ways)] = {n: (0.0, n)}
    for k in range(len(ways) - 1, -1, -1):
        if clip.cut:
            best[k][n] = (0.0, n)
        within = k > 0 and clip.words[k] == clip.words[k - 1]  # a mark beside its word
        for start, ends in ways[k].items():
            found = []
            for end in ends:
                if end in best[k + 1]:
                    score = likely(len(clip.units[k]), end - start) + best[k + 1][end][0]
                    if repeats is not None:
                        odd = int(repeats[start] != within) + int(np.sum(~repeats[start + 1 : end]))
                        score -= _WEIGHT * odd
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
