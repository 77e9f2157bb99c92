"""What speaks for a memory, fused into one score: pure functions over arrays.

    score = window_cosine + window_coverage + .5 said_then + .1 subject_asked + .1 tells_when - .1 asks
            + .3 (the best score in its session)

"Points" below are points of evidence recall@10 on five LoCoMo conversations (benchmarks/locomo.py) that the
formula loses without the signal. It finds 86 %, BM25 64, vectors 47, reciprocal rank fusion of the two 58.
The weights are round because the optimum is flat.

What did not pay stays out: term frequency and length (BM25), bigrams, centred vectors, pseudo-relevance
feedback, matching words of like meaning, irregular verbs, a bonus for long memories, diversification.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headroom.memory.lexical import QueryLexemes
from headroom.memory.timewords import NamedTime

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]

WINDOW: Final = np.array([[0.5], [0.7], [1.0], [0.5], [0.3]], dtype=np.float32)
"""How much each place of a memory's window counts: two memories before it in its session, itself, two after.

An answer follows its question, so what comes before counts more."""

_DISTANT: Final = 0.45
"""The usual cosine of two memories that are three or four apart (in LoCoMo .35 to .48)."""
MOST_GUIDES: Final = 3
"""How many preferences, decisions and insights a question of choice brings up by being one."""
GUIDES_GAIN: Final = 0.08
IMPERSONAL_LOSS: Final = 0.1
"""What an impersonal question costs a memory that says none of its words."""
UNRELATED: Final = 0.12
"""The bundled model gives two English texts that have nothing to do with each other a cosine of about .1.

It gives .34 to German ones and .57 to Russian ones: texts in languages that it was not made for are all near
each other."""

_DAY: Final = 86_400.0
_YEAR: Final = 365.2425 * _DAY


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each signal counts, relative to the cosine."""

    coverage: float = 1.0
    """Of `window_coverage`."""
    said_then: float = 0.5
    """Of `said_then`: 1.7 points; 15 for the questions that name a time."""
    subject_asked: float = 0.1
    """1 point: what begins with a name ("Anna: …", "Anna likes …") is by or about whom it names."""
    tells_when: float = 0.1
    """0.3 points: what answers "when" says a time."""
    asks: float = -0.1
    """1 point: a question has the words of its answer, but is not it."""
    session: float = 0.3
    """Of `session_best`: 0.3 points."""
    importance: float = 0.05
    """No points, in LoCoMo all are equally important: it decides between memories that fit about equally."""


WEIGHTS: Final = Weights()


class CandidateEvidence(NamedTuple):
    """What speaks for each of m candidates; every array has the shape (m,)."""

    among: int
    """How many memories these were found among."""
    query: QueryLexemes
    """What was asked."""

    cosine: Floats
    """Of its own vector and the query's."""
    common: Floats
    """What that cosine would be, had they nothing to do with each other; 0 where the query is in English."""
    coverage: Floats
    """The share of the query's terms, weighted by rarity, that it says itself; 0 to 1."""
    window_cosine: Floats
    window_coverage: Floats
    said_then: Floats
    """Whether it was said at a time that the query names; 0 to 1."""
    subject_asked: Flags
    """Whether the query says the word that the memory begins with."""
    tells_when: Flags
    """Whether the query asks when and the memory says a time."""
    asks: Flags
    """Whether the memory ends as a question."""
    guides: Flags
    """Whether the query asks what to choose, and the memory is a preference, a decision or an insight."""
    sessions: NDArray[np.int64]
    """Equal for memories of the same session; -1 for those of none."""
    importance: Floats
    """0 to 1."""
    levels: NDArray[np.int8]
    """The larger, the narrower the scope."""
    said: NDArray[np.float64]
    """When it was said or became true, in epoch seconds."""
    wordings: NDArray[np.int64]
    """Equal for copies of a statement; 0 where that is not known."""


class Ranking(NamedTuple):
    """Candidates in order; the arrays have the shape (m,)."""

    order: NDArray[np.intp]
    """The candidates' places, best first."""
    scores: Floats
    """What they were ordered by, for each candidate in its place: about 0 to 3."""
    relevance: Floats
    """How well each fits on its own, 0 to 1, comparable between queries; for a threshold."""


def rank(evidence: CandidateEvidence, weights: Weights = WEIGHTS) -> Ranking:
    """Order candidates by score; where that is equal, the narrower scope is first, then the more recent.

    Where all that is known is asked for, importance counts as much as any likeness.
    """
    own = (
        evidence.window_cosine
        + weights.coverage * evidence.window_coverage
        + weights.said_then * evidence.said_then
        + weights.subject_asked * evidence.subject_asked
        + weights.tells_when * evidence.tells_when
        + weights.asks * evidence.asks
        + (1.0 if evidence.query.asks_who_one_is else weights.importance) * evidence.importance
    )
    scores = (own + weights.session * session_best(own, evidence.sessions)).astype(np.float32)
    order = np.lexsort((-evidence.said, -evidence.levels, -scores.round(3)))
    return Ranking(order, scores, relevance(evidence, order))


def best_of(keys: NDArray[np.int64], found: Sequence[tuple[CandidateEvidence, Ranking]]) -> Ranking:
    """One ranking of what several queries found, each memory once, with the best that any of them gave it.

    Args:
        keys: What tells the memories apart: of the first query's candidates, then of the second's, and so on.
        found: Of each query the evidence and the ranking.
    """
    if len(found) == 1:  # as of most messages, whose recall it would cost a twentieth more
        return found[0][1]
    scores = np.concatenate([ranking.scores for _, ranking in found])
    fits = np.concatenate([ranking.relevance for _, ranking in found])
    said = np.concatenate([evidence.said for evidence, _ in found])
    levels = np.concatenate([evidence.levels for evidence, _ in found])
    order = np.lexsort((-said, -levels, -scores.round(3)))
    _, firsts, places = np.unique(keys[order], return_index=True, return_inverse=True)
    best = np.zeros(len(firsts), dtype=np.float32)
    np.maximum.at(best, places, fits[order])
    fits[order] = best[places]
    return Ranking(order[np.sort(firsts)], scores, fits)


def window_cosine(cosines: Floats, kinship: Floats, weights: Floats) -> Floats:
    """Cosine of the query and the weighted sum of the window's vectors.

    2.2 points over the memory's own vector: "Yes, last May!" means nothing without the question before it.
    The sum is neither embedded nor even made: its product with the query and its length follow from cosines.

    Args:
        cosines: Of the query and each memory in each window, shape (5, m).
        kinship: Cosines of each memory with the one before it, and with the one before that, shape (2, 5, m).
        weights: `WINDOW`, 0 where there is no such neighbour, shape (5, m).
    """
    next_, after_next = weights[:-1] * weights[1:], weights[:-2] * weights[2:]
    distant = weights[0] * (weights[3] + weights[4]) + weights[1] * weights[4]
    near = (next_ * kinship[0, 1:]).sum(axis=0) + (after_next * kinship[1, 2:]).sum(axis=0)
    squared_length = (weights**2).sum(axis=0) + 2 * (near + _DISTANT * distant)
    cosine: Floats = (weights * cosines).sum(axis=0) / np.sqrt(np.maximum(squared_length, 0.25))
    return cosine


def term_shares(frequencies: NDArray[np.integer], size: int) -> Floats:
    """What each query term is worth: its share of the query's information, all together 1.

    Terms that no memory says keep their share: one common word does not cover what is about something else.

    Args:
        frequencies: How many of the user's memories say the term, shape (T,).
        size: How many memories the user has.
    """
    rarity = np.log1p((size - frequencies + 0.5) / (frequencies + 0.5))
    shares: Floats = (rarity / max(rarity.sum(), 1e-9)).astype(np.float32)
    return shares


def window_coverage(shares: Floats, says: Flags, weights: Floats) -> Floats:
    """The shares of the query's terms that the window says, each where it counts most.

    4.5 points over the memory's own terms.

    Args:
        shares: Of each query term, shape (T,).
        says: Whether the memory in the window says the term, shape (T, 5, m).
        weights: `WINDOW`, 0 where there is no such neighbour, shape (5, m).
    """
    covered: Floats = shares @ (says * weights).max(axis=1)
    return covered


def said_then(times: Sequence[NamedTime], said: NDArray[np.float64]) -> Floats:
    """1 for what was said within a time that the query names, less the further away.

    People tell what has been, so a week after is as near as three days before (both count e⁻¹).
    Where the query names no time, nothing is gained or lost.
    """
    closeness = np.zeros(len(said), dtype=np.float32)
    for time in times:
        shift = np.round((said - (time.start + time.end) / 2) / _YEAR) * _YEAR if time.yearly else 0.0
        early = (time.start + shift - said) / (3 * _DAY)
        late = (said - time.end - shift) / (7 * _DAY)
        distance = np.maximum(np.maximum(early, late), 0)
        np.maximum(closeness, np.exp(-distance), out=closeness, casting="same_kind")
    return closeness


def session_best(scores: Floats, sessions: NDArray[np.int64]) -> Floats:
    """The best score in each memory's session, its own where it has none.

    A session that holds one good match is about the question; so are its other memories.
    """
    best = scores.copy()
    members = np.flatnonzero(sessions >= 0)
    if len(members):
        members = members[np.argsort(sessions[members], kind="stable")]
        grouped = sessions[members]
        starts = np.flatnonzero(np.concatenate(([True], grouped[1:] != grouped[:-1])))
        bests = np.maximum.reduceat(scores[members], starts)
        best[members] = np.repeat(bests, np.diff(starts, append=len(members)))
    return best


def relevance(evidence: CandidateEvidence, order: Rows) -> Floats:
    """How well each candidate fits on its own, 0 to 1, comparable between queries and users.

    Half of it is its own, half its window's (for a memory without neighbours that is the same). At .32,
    thanks, greetings and unrelated questions find nothing in 97 of 100 cases, and 93 of 100 wanted
    memories are among the first five (tests/memory/data). Nearly all of it is the cosine: the ranking score,
    and cosines less their mean or in deviations from it, separate worse.

    Args:
        evidence: What speaks for the candidates.
        order: Their places, best first.
    """
    cosine = (evidence.cosine + evidence.window_cosine) / 2
    coverage = (evidence.coverage + evidence.window_coverage) / 2
    few = few_coincidences(evidence.among)
    fit = cosine + 0.1 * coverage + 0.2 * evidence.said_then
    # Without this, thanks brought up nine memories of twelve in eight other languages; with it, less than 1.
    # Words in common still count: of 100 memories that are asked for 67 are found (83 were, among the nine).
    fit -= np.maximum(evidence.common - UNRELATED, 0) * (1 - coverage)
    if not evidence.query.slight:  # "Good morning" and "Likes tea" have a cosine of .28
        fit += few
    if evidence.query.impersonal:
        # "What is the fastest car?" is near "Drives a Honda" without asking for it. This keeps 19 of 100 more
        # such questions quiet, for 1 of 100 memories that are asked for directly.
        fit -= IMPERSONAL_LOSS * (1 - coverage)
    if evidence.query.asks_who_one_is:
        fit = np.maximum(fit, evidence.importance)
    # "What language for my new microservice?" and "Prefers Go for performance-critical code" have a cosine of
    # .1: that a preference matters where there is something to choose is nothing that sentence vectors know.
    # The fewer are known, the likelier one is meant; among many, a gain of .3 brought three to every choice.
    fit[order[evidence.guides[order]][:MOST_GUIDES]] += GUIDES_GAIN + 2 * few
    relevant: Floats = fit.clip(0.0, 1.0).astype(np.float32)
    return relevant


def few_coincidences(among: int) -> float:
    """What relevance gains for the memories being few: then a high cosine is less often a coincidence.

    Of n memories the one that fits an unrelated message best is at .16 + .033 ln n in 95 of 100 cases (random
    subsets of the labelled set, n from 1 to 60). So .32 keeps as many unrelated messages quiet for any n.
    """
    return max(0.0, 0.034 * math.log(61 / max(among, 1)))


def first_of_each(wordings: Iterable[int]) -> Iterator[int]:
    """Yield the places of the statements that no earlier one says already.

    Give their wordings best first, with 0 for the unknown.

    Only the same words in the same order are the same statement. Cosines cannot tell: "has a dog named
    Biscuit" and "called Biscuit" are at .975, but "chose MySQL over PostgreSQL" and the reverse are at .983,
    "meeting on Monday" and "on Tuesday" at .973, "is allergic to peanuts" and "is not" at .954.
    """
    said: set[int] = set()
    for place, wording in enumerate(wordings):
        if wording not in said:
            yield place
            if wording:
                said.add(wording)
