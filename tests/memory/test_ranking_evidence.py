"""Gathering the evidence: the same as doing it slowly, and nothing from what is not visible."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headroom.memory.evidence import SEEDS, Columns, Query, gather, kinship, neighbours
from headroom.memory.lexical import TermIndex, analyse
from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.ranking import UNRELATED, WINDOW, CandidateEvidence, Flags, rank

NOW = datetime(2023, 11, 22, tzinfo=UTC)
DIMENSION = 8
WORDS = "tea coffee swim read paint tuesday garden dog cat novel".split()  # noqa: SIM905 - it reads better


def unit(rng: np.random.Generator) -> Any:
    vector = rng.standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def columns_of(texts: list[str], sessions: list[int], rng: np.random.Generator) -> Columns:
    lexemes = [analyse(text) for text in texts]
    vectors = QuantisedVectors.of(
        np.array([unit(rng) for _ in texts], dtype=np.float32).reshape(-1, DIMENSION)
    )
    previous, following = neighbours(np.array(sessions, dtype=np.int64))
    return Columns(
        vectors=vectors,
        terms=TermIndex(
            np.array([len(found.terms) for found in lexemes], dtype=np.int64),
            np.array([term for found in lexemes for term in found.terms], dtype=np.uint32),
        ),
        subjects=np.array([found.subject for found in lexemes], dtype=np.uint32),
        asks=np.array([found.asks for found in lexemes], dtype=np.bool_),
        dated=np.array([found.dated for found in lexemes], dtype=np.bool_),
        guides=np.zeros(len(texts), dtype=np.bool_),
        sessions=np.array(sessions, dtype=np.int64),
        previous=previous,
        following=following,
        kinship=kinship(vectors, previous),
        said=NOW.timestamp() - 86_400.0 * np.arange(len(texts), 0, -1),
        importance=np.full(len(texts), 0.5, dtype=np.float32),
        levels=np.zeros(len(texts), dtype=np.int8),
        wordings=np.array([found.wording for found in lexemes], dtype=np.int64),
    )


@st.composite
def partitions(draw: st.DrawFn, size: int = 40) -> tuple[list[str], list[int], Flags, int]:
    count = draw(st.integers(1, size))
    texts = [" ".join(draw(st.lists(st.sampled_from(WORDS), max_size=4))) for _ in range(count)]
    sessions = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
    visible = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    return texts, sessions, visible, draw(st.integers(0, 2**32 - 1))


def window_of(row: int, sessions: list[int], visible: Flags) -> list[int | None]:
    """The slow way: which rows of the same session lie around it."""
    session = [row] if sessions[row] < 0 else [i for i, name in enumerate(sessions) if name == sessions[row]]
    place = session.index(row)
    around = [place + step for step in (-2, -1, 0, 1, 2)]
    rows = [session[i] if 0 <= i < len(session) else None for i in around]
    return [i if i is not None and visible[i] else None for i in rows]


def slow_window_cosine(columns: Columns, query: Query, window: list[int | None]) -> float:
    """With the vectors themselves; but those three or more apart are taken to be at a cosine of .45."""
    around = [(place, row, WINDOW[place, 0]) for place, row in enumerate(window) if row is not None]
    vectors = columns.vectors.restored()
    squared = sum(
        w * v * (vectors[i] @ vectors[j] if abs(a - b) < 3 else 0.45)
        for a, i, w in around
        for b, j, v in around
    )
    return float(sum(w * (vectors[i] @ query.vector) for _, i, w in around) / np.sqrt(max(squared, 0.25)))


@settings(deadline=None)
@given(partitions())
def test_it_is_what_the_slow_way_finds(partition: tuple[list[str], list[int], Flags, int]) -> None:
    texts, sessions, visible, seed = partition
    rng = np.random.default_rng(seed)
    columns = columns_of(texts, sessions, rng)
    query = Query.of("Does tea or a novel help on a Tuesday?", unit(rng), NOW)

    rows, found = gather(query, columns, visible)

    assert rows.tolist() == np.flatnonzero(visible).tolist()
    vectors = columns.vectors.restored()
    says = [set(analyse(text).terms.tolist()) for text in texts]
    wanted = query.lexemes.terms.tolist()
    frequency = np.array([sum(term in says[row] for row in rows) for term in wanted])
    rarity = np.log1p((len(rows) - frequency + 0.5) / (frequency + 0.5))
    for place, row in enumerate(rows.tolist()):
        window = window_of(row, sessions, visible)
        covered = [
            max(
                (w for i, w in zip(window, WINDOW[:, 0], strict=True) if i is not None and term in says[i]),
                default=0,
            )
            for term in wanted
        ]
        own = [term in says[row] for term in wanted]
        assert found.cosine[place] == pytest.approx(vectors[row] @ query.vector, abs=0.01)
        assert found.coverage[place] == pytest.approx(rarity @ own / rarity.sum(), abs=1e-5)
        assert found.window_cosine[place] == pytest.approx(
            slow_window_cosine(columns, query, window), abs=0.02
        )
        assert found.window_coverage[place] == pytest.approx(rarity @ covered / rarity.sum(), abs=1e-5)


@settings(deadline=None)
@given(partitions())
def test_what_texts_have_in_common_is_their_mean_cosine_with_the_others(
    partition: tuple[list[str], list[int], Flags, int],
) -> None:
    texts, sessions, visible, seed = partition
    rng = np.random.default_rng(seed)
    columns = columns_of(texts, sessions, rng)
    query = Query.of("Trinke ich Tee?", unit(rng), NOW)

    rows, found = gather(query, columns, visible)

    vectors = columns.vectors.restored()
    cosines = vectors @ vectors.T
    asked = vectors @ query.vector
    pairs = [cosines[a, b] for a in rows for b in rows if a != b]
    for place, row in enumerate(rows):
        others = rows[rows != row]
        expected = (
            asked[others].mean() * cosines[row, others].mean() / max(float(np.mean(pairs)), UNRELATED)
            if len(others)
            else 0
        )
        assert found.common[place] == pytest.approx(expected, abs=0.05)


@settings(deadline=None)
@given(partitions(), st.data())
def test_what_is_not_visible_leaves_no_trace(
    partition: tuple[list[str], list[int], Flags, int], data: st.DataObject
) -> None:
    texts, sessions, visible, seed = partition
    rng = np.random.default_rng(seed)
    columns = columns_of(texts, sessions, rng)
    query = Query.of("Does tea or a novel help?", unit(rng), NOW)
    rows, found = gather(query, columns, visible)

    # Other texts in the hidden rows, with the same place in their sessions.
    secret = data.draw(st.sampled_from(WORDS))
    texts = [text if shown else secret for text, shown in zip(texts, visible, strict=True)]
    others = columns_of(texts, sessions, np.random.default_rng(seed))
    hidden = QuantisedVectors.of(unit(rng)[np.newaxis])
    others.vectors.codes[~visible], others.vectors.steps[~visible] = hidden.codes, hidden.steps
    rows_too, found_too = gather(query, others, visible)

    assert rows_too.tolist() == rows.tolist()
    for name in CandidateEvidence._fields:
        assert getattr(found_too, name) == pytest.approx(getattr(found, name), abs=1e-6), name


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(SEEDS + 1, 400))
def test_an_index_changes_nothing_but_the_candidates(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice(WORDS, 2)) for _ in range(count)]
    columns = columns_of(texts, rng.integers(-1, 20, count).tolist(), rng)
    query = Query.of("A novel about tea?", unit(rng), NOW)
    exact_rows, exact = gather(query, columns)
    nearest = np.argsort(columns.vectors.cosines(query.vector))[-SEEDS:]

    rows, found = gather(query, columns, nearest=nearest)

    assert rows.tolist() == exact_rows.tolist()
    for name in CandidateEvidence._fields:
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=1e-5), name


def test_the_best_match_is_among_thousands_of_candidates() -> None:
    rng = np.random.default_rng(1)
    texts = ["tea", *rng.choice(["coffee", "swim", "read"], 5_000).tolist(), "paint"]
    columns = columns_of(texts, [-1] * len(texts), rng)

    by_word, found = gather(Query.of("Tea?", unit(rng), NOW), columns)
    by_vector, _ = gather(Query.of("Where?", columns.vectors.restored()[-1], NOW), columns)

    assert by_word[rank(found).order[0]] == 0
    assert len(texts) - 1 in by_vector
    assert len(by_word) <= 2 * SEEDS


def test_neighbours_of_candidates_are_candidates() -> None:
    rng = np.random.default_rng(1)
    texts = ["coffee"] * 1_000
    texts[500] = "tea"
    columns = columns_of(texts, [4] * len(texts), rng)

    rows, found = gather(Query.of("Tea?", -columns.vectors.restored()[[499, 501]].sum(axis=0), NOW), columns)

    assert {499, 500, 501} <= set(rows.tolist())
    assert found.window_coverage[rows.tolist().index(501)] == pytest.approx(0.7)


def test_interleaved_sessions_have_their_own_neighbours() -> None:
    previous, following = neighbours(np.array([1, 2, 1, -1, 2, 1, -1]))

    assert previous.tolist() == [-1, -1, 0, -1, 1, 2, -1]
    assert following.tolist() == [2, 4, 5, -1, -1, -1, -1]


@pytest.mark.parametrize("start", [0, 1, 3, 6])
def test_kinship_can_be_computed_from_any_row_on(start: int) -> None:
    rng = np.random.default_rng(5)
    quantised = QuantisedVectors.of(np.array([unit(rng) for _ in range(6)]))
    vectors = quantised.restored()
    previous, _ = neighbours(np.array([1, 1, 2, 1, 2, 1]))

    whole = kinship(quantised, previous)

    assert whole[0] == pytest.approx(
        [
            0,
            vectors[1] @ vectors[0],
            0,
            vectors[3] @ vectors[1],
            vectors[4] @ vectors[2],
            vectors[5] @ vectors[3],
        ]
    )
    assert whole[1] == pytest.approx([0, 0, 0, vectors[3] @ vectors[0], 0, vectors[5] @ vectors[1]])
    assert kinship(quantised, previous, start) == pytest.approx(whole[:, start:])


def test_a_year_in_which_everything_was_said_says_nothing() -> None:
    rng = np.random.default_rng(2)
    columns = columns_of(["tea", "coffee", "novel"], [-1, -1, -1], rng)

    _, within = gather(Query.of("What did I drink in 2023?", unit(rng), NOW), columns)
    _, on_a_day = gather(Query.of("What did I drink yesterday?", unit(rng), NOW), columns)

    assert within.said_then == pytest.approx([0, 0, 0], abs=0.1)
    assert on_a_day.said_then.argmax() == 2


def test_where_there_is_nothing_nothing_is_found() -> None:
    rng = np.random.default_rng(3)
    query = Query.of("Tea yesterday?", unit(rng), NOW)

    for columns, visible in (
        (columns_of([], [], rng), None),
        (columns_of(["tea"], [1], rng), np.array([False])),
    ):
        rows, found = gather(query, columns, visible)
        assert rows.tolist() == rank(found).order.tolist() == []
