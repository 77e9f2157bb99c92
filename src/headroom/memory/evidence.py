"""Gathering what speaks for a memory: from one user's memories as arrays to candidates for ranking.

The way is the same for ten memories and for a hundred thousand: the nearest by vector and the best by words
and time are seeds, these bring their direct neighbours, and only for those is all evidence computed.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from headroom.memory import ranking
from headroom.memory.lexical import QueryLexemes, TermIndex, analyse_query
from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.ranking import WINDOW, CandidateEvidence, Flags, Floats, Rows
from headroom.memory.timewords import NamedTime, named_times

SEEDS: Final = 64
"""How many rows each of the two searches usually brings. Four times as many bring 0.2 points of recall@10."""
_SAMPLE: Final = 256
"""About how many memories say what any two of a user's texts have in common."""


class Query(NamedTuple):
    """What is looked for."""

    vector: Floats
    """Unit vector, shape (d,)."""
    lexemes: QueryLexemes
    times: tuple[NamedTime, ...]
    """Those that it names."""

    @classmethod
    def of(cls, text: str, vector: Floats, now: datetime) -> Self:
        """Read a query's text; "last week" is the one before `now` (timezone-aware)."""
        return cls(vector, analyse_query(text), named_times(text, now))


@dataclass(frozen=True, slots=True)
class Columns:
    """One user's memories as arrays, a row each, in the order of storing; each (n,) where no shape is given.

    `lexical.analyse` gives terms, subjects, asks, dated and wordings; `neighbours` previous and following.
    """

    vectors: QuantisedVectors
    """Unit vectors."""
    terms: TermIndex
    subjects: NDArray[np.uint32]
    asks: Flags
    dated: Flags
    guides: Flags
    """Whether it is a preference, a decision or an insight."""
    sessions: NDArray[np.int64]
    """Equal for memories of the same session; -1 for those of none."""
    previous: Rows
    """The row before it in its session; -1 where there is none."""
    following: Rows
    """The row after it in its session; -1 where there is none."""
    kinship: Floats
    """The cosines with the row before it in its session and with the row before that; shape (2, n)."""
    said: NDArray[np.float64]
    """Since when it is true, in epoch seconds."""
    importance: Floats
    levels: NDArray[np.int8]
    """The larger, the narrower the scope."""
    wordings: NDArray[np.int64]
    """Equal for copies of a statement; 0 where that is not known."""


def neighbours(sessions: NDArray[np.int64]) -> tuple[Rows, Rows]:
    """For each row the one before and the one after it in its session; -1 where there is none."""
    order = np.argsort(sessions, kind="stable")
    grouped = sessions[order]
    joined = (grouped[1:] == grouped[:-1]) & (grouped[1:] >= 0)
    before, after = order[:-1][joined], order[1:][joined]
    previous = np.full(len(sessions), -1, dtype=np.intp)
    following = previous.copy()
    previous[after] = before
    following[before] = after
    return previous, following


def kinship(vectors: QuantisedVectors, previous: Rows, start: int = 0) -> Floats:
    """`Columns.kinship` of the rows from `start` on, shape (2, n - start); 0 where there is no such row."""
    before = previous[start:]
    found = np.zeros((2, len(before)), np.float32)
    for cosines, others in zip(found, (before, np.where(before < 0, -1, previous[before])), strict=True):
        places = np.flatnonzero(others >= 0)
        own, other = vectors[start + places].restored(), vectors[others[places]].restored()
        cosines[places] = np.vecdot(own, other)
    return found


def gather(
    query: Query,
    columns: Columns,
    visible: Flags | None = None,
    nearest: Rows | None = None,
    seeds: int = SEEDS,
) -> tuple[Rows, CandidateEvidence]:
    """The rows worth ranking, ascending, and the evidence for each.

    Args:
        query: What is looked for.
        columns: The user's memories.
        visible: Which of them may be found, shape (n,); None means all. The others are no evidence either.
        nearest: Rows that an index found to be near the query's vector; None compares with all.
        seeds: How many rows each of the two searches brings.
    """
    size = len(columns.said)
    visible = np.ones(size, dtype=np.bool_) if visible is None else visible
    seen = np.flatnonzero(visible)
    # Counted among what is visible: nothing else may be felt in a score, nor how old these columns are.
    terms, sayers = columns.terms.occurrences(query.lexemes.terms)
    counted = visible[sayers]
    terms, sayers = terms[counted], sayers[counted]
    shares = ranking.term_shares(np.bincount(terms, minlength=len(query.lexemes.terms)), len(seen))
    coverage = np.bincount(sayers, shares[terms], size).astype(np.float32)
    then = _said_then(query, columns, seen)

    cosines = None
    if nearest is None:
        cosines = columns.vectors.cosines(query.vector)
        nearest = _best(cosines, seen, seeds)
    wanted = coverage + np.float32(0.5) * then if query.times else coverage
    worded = _best(wanted, np.flatnonzero(wanted > 0), seeds)  # seven times as fast as without the > 0
    rows = _with_neighbours(np.concatenate((nearest, worded)), columns, visible)

    window_coverage = coverage[rows]
    linked = np.flatnonzero((columns.previous[rows] >= 0) | (columns.following[rows] >= 0))
    windows = _windows(rows[linked], columns) if len(linked) else np.empty((5, 0), np.intp)
    if cosines is None:
        cosines = np.zeros(size, dtype=np.float32)
        members = np.union1d(rows, windows[windows >= 0])
        cosines[members] = columns.vectors[members].cosines(query.vector)
    window_cosine = cosines[rows]
    if len(linked):  # for all others, the window is the memory
        weights = WINDOW * ((windows >= 0) & visible[windows])
        says = np.zeros((len(query.lexemes.terms), size), dtype=np.bool_)
        says[terms, sayers] = True
        kin = columns.kinship[:, windows]
        window_cosine[linked] = ranking.window_cosine(cosines[windows], kin, weights)
        window_coverage[linked] = ranking.window_coverage(shares, says[:, windows], weights)
    return rows, CandidateEvidence(
        cosine=cosines[rows],
        common=_common(query, columns.vectors, rows, cosines[rows], seen),
        coverage=coverage[rows],
        window_cosine=window_cosine,
        window_coverage=window_coverage,
        said_then=then[rows],
        subject_asked=(query.lexemes.terms[:, np.newaxis] == columns.subjects[rows]).any(axis=0),
        tells_when=columns.dated[rows] & query.lexemes.asks_for_time,
        asks=columns.asks[rows],
        guides=columns.guides[rows] & query.lexemes.asks_for_choice,
        sessions=columns.sessions[rows],
        importance=columns.importance[rows],
        levels=columns.levels[rows],
        said=columns.said[rows],
        wordings=columns.wordings[rows],
        among=len(seen),
        query=query.lexemes,
    )


def _best(scores: Floats, rows: Rows, count: int) -> Rows:
    """The `count` of these rows with the highest scores, in any order."""
    return rows if len(rows) <= count else rows[np.argpartition(scores[rows], -count)[-count:]]


def _common(query: Query, vectors: QuantisedVectors, rows: Rows, cosines: Floats, seen: Rows) -> Floats:
    """See `CandidateEvidence.common`: from the mean cosines of the query, and of each row, with all others.

    Of a user with two languages, those in the query's have more in common with it than the others have. But
    English memories that are near each other are of one subject, and the query may be of it.
    """
    sample = seen[:: 1 + len(seen) // _SAMPLE]
    if query.lexemes.english or len(sample) < 2:  # noqa: PLR2004 - one memory has no others
        return np.zeros(len(rows), np.float32)
    total = vectors[sample].restored().sum(axis=0)
    count = len(sample)
    usual = (total @ total / count - 1) / (count - 1)
    own = np.isin(rows, sample)
    others = (count - own).astype(np.float32)
    along = (vectors[rows].restored() @ total - own) / others
    common: Floats = (total @ query.vector - own * cosines) / others * along / max(usual, ranking.UNRELATED)
    return common.astype(np.float32)


def _said_then(query: Query, columns: Columns, seen: Rows) -> Floats:
    """How well each row's time fits the times that the query names, less the more memories fit them anyway.

    "In 2023" says nothing where everything was said in 2023. Only of the rows `seen`; the others have 0.
    """
    then = np.zeros(len(columns.said), dtype=np.float32)
    if query.times and len(seen):
        closeness = ranking.said_then(query.times, columns.said[seen])
        then[seen] = closeness * (1 - closeness.mean())
    return then


def _with_neighbours(rows: Rows, columns: Columns, visible: Flags) -> Rows:
    """The rows and those just before and after them, as far as visible, ascending."""
    found = np.zeros(len(visible) + 1, dtype=np.bool_)  # the last one stands for the -1 of missing neighbours
    for some in (rows, columns.previous[rows], columns.following[rows]):
        found[some] = True
    return np.flatnonzero(found[:-1] & visible)


def _windows(rows: Rows, columns: Columns) -> Rows:
    """The rows in the windows around rows, in time's order, -1 for the missing; shape (5, m)."""
    before, after = columns.previous[rows], columns.following[rows]
    second_before = np.where(before < 0, -1, columns.previous[before])
    second_after = np.where(after < 0, -1, columns.following[after])
    return np.stack((second_before, before, rows, after, second_after))
