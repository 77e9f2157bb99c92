"""What recall is compared with: vectors alone, words alone, and the usual fusion of the two."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from math import log

import numpy as np
from numpy.typing import NDArray

from headroom.memory.lexical import analyse

Scores = NDArray[np.float64]


class BM25:
    """Okapi BM25 with k1 = 1.2 and b = 0.75, over the engine's own words: stemmed, without stop words."""

    K1 = 1.2
    B = 0.75

    def __init__(self, texts: Sequence[str]) -> None:
        lengths = np.zeros(len(texts))
        self._postings: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for place, text in enumerate(texts):
            words = words_of(text)
            lengths[place] = len(words)
            for word, count in Counter(words).items():
                self._postings[word].append((place, count))
        self._norm = self.K1 * (1 - self.B + self.B * lengths / lengths.mean())

    def scores(self, query: str) -> Scores:
        """One for each text."""
        total = len(self._norm)
        scores = np.zeros(total)
        for word in set(words_of(query)):
            if found := self._postings.get(word):
                places, counts = np.array(found).T
                rarity = log(1 + (total - len(found) + 0.5) / (len(found) + 0.5))
                scores[places] += rarity * counts * (self.K1 + 1) / (counts + self._norm[places])
        return scores


def words_of(text: str) -> list[int]:
    """The hashes of all its words, repeated ones too."""
    return [term for word in text.split() for term in _terms(word)]


@cache
def _terms(word: str) -> tuple[int, ...]:
    return tuple(analyse(word).terms.tolist())


def reciprocal_rank_fusion(*rankings: Scores) -> Scores:
    """Each text's sum of 1 / (60 + its rank), as in Cormack, Clarke and Büttcher (SIGIR 2009)."""
    fused = np.zeros(len(rankings[0]))
    for scores in rankings:
        fused[np.argsort(-scores, kind="stable")] += 1 / (60 + np.arange(1, len(scores) + 1))
    return fused
