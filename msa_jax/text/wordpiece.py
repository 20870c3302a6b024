"""WordPiece vocabularies, learned: the same texts give the same one on every run.

The trainers of the `tokenizers` library break ties in the order of a randomly seeded hash table, so that two
runs give two vocabularies; the one here is slower (seconds for the transcripts of a corpus) and exact.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import pairwise

PREFIX = "##"


def learn_vocabulary(word_counts: Mapping[str, int], vocab_size: int) -> list[str]:
    """Learns subwords by joining the most frequent neighbours, as byte-pair encoding does.

    Args:
      word_counts: how often each (normalised, split) word occurs.
      vocab_size: the most subwords to return.

    Returns:
      Subwords, continuations marked with "##": first the characters by falling frequency, then the joined
      ones in the order learned. Fewer than `vocab_size` if no pair is left that occurs twice.

    Source:
      Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1; equal counts are settled alphabetically.
    """
    words = sorted(word for word in word_counts if word)
    counts = [word_counts[word] for word in words]
    pieces = [[word[0], *(PREFIX + letter for letter in word[1:])] for word in words]

    letters: Counter[str] = Counter()
    for word, count in zip(pieces, counts, strict=True):
        for letter in word:
            letters[letter] += count
    vocabulary = sorted(letters, key=lambda letter: (-letters[letter], letter))[:vocab_size]
    known = set(vocabulary)

    totals: Counter[tuple[str, str]] = Counter()
    places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for i, word in enumerate(pieces):
        for pair in pairwise(word):
            totals[pair] += counts[i]
            places[pair].add(i)

    # Counts change while pairs wait in the heap: an entry counts only while it is up to date.
    heap = [(-total, pair) for pair, total in totals.items()]
    heapq.heapify(heap)
    while heap and len(vocabulary) < vocab_size:
        total, pair = heapq.heappop(heap)
        if -total != totals[pair] or -total < 2:
            continue
        joined = pair[0] + pair[1].removeprefix(PREFIX)
        if joined not in known:  # two pairs can join to the same subword
            known.add(joined)
            vocabulary.append(joined)
        changed = set()
        for i in places.pop(pair):
            before = Counter(pairwise(pieces[i]))
            pieces[i] = _join(pieces[i], pair, joined)
            after = Counter(pairwise(pieces[i]))
            for other in before.keys() | after.keys():
                totals[other] += counts[i] * (after[other] - before[other])
                if other in after:
                    places[other].add(i)
                changed.add(other)
        for other in changed:
            if totals[other] > 0:
                heapq.heappush(heap, (-totals[other], other))
    return vocabulary


def _join(word: list[str], pair: tuple[str, str], joined: str) -> list[str]:
    out: list[str] = []
    i = 0
    while i < len(word):
        if tuple(word[i : i + 2]) == pair:
            out.append(joined)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out
