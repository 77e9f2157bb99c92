"""Fusing the signals into an order, and choosing from it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.lexical import analyse_query
from headroom.memory.ranking import (
    CandidateEvidence,
    Weights,
    first_of_each,
    rank,
)


def evidence(count: int, **arrays: Any) -> CandidateEvidence:
    """Candidates between which nothing decides but what is given."""
    zeros = np.zeros(count, dtype=np.float32)
    no = np.zeros(count, dtype=np.bool_)
    given_ = {name: np.asarray(values) for name, values in arrays.items()}
    candidates = CandidateEvidence(
        cosine=zeros,
        common=zeros,
        coverage=zeros,
        window_cosine=zeros,
        window_coverage=zeros,
        said_then=zeros,
        subject_asked=no,
        tells_when=no,
        asks=no,
        guides=no,
        sessions=np.full(count, -1),
        importance=np.full(count, 0.5, dtype=np.float32),
        levels=np.zeros(count, dtype=np.int8),
        said=np.zeros(count),
        wordings=np.arange(1, count + 1),
        among=100,
        query=analyse_query("What did we say about it all?"),
    )
    return candidates._replace(**given_)


@pytest.mark.parametrize(
    "signal",
    ["window_cosine", "window_coverage", "said_then", "subject_asked", "tells_when", "importance"],
)
def test_each_signal_lifts_what_has_it(signal: str) -> None:
    assert rank(evidence(3, **{signal: [0, 1, 0]})).order[0] == 1


def test_a_question_comes_after_what_answers_it() -> None:
    assert rank(evidence(3, asks=[True, False, True])).order[0] == 1


def test_a_session_with_a_good_match_lifts_its_other_memories() -> None:
    ranking = rank(evidence(4, window_cosine=[0.2, 0.9, 0.2, 0.2], sessions=[5, 5, 6, -1]))

    assert ranking.order[:2].tolist() == [1, 0]


def test_equals_are_ordered_by_narrower_scope_then_by_recency() -> None:
    ranking = rank(evidence(4, levels=[0, 1, 0, 1], said=[4.0, 1.0, 3.0, 2.0]))

    assert ranking.order.tolist() == [3, 1, 0, 2]


def test_recency_does_not_outweigh_a_better_match() -> None:
    assert rank(evidence(2, window_cosine=[0.51, 0.5], said=[0.0, 1e9])).order[0] == 0


def test_a_signal_without_weight_changes_nothing() -> None:
    found = evidence(2, asks=[True, False], window_cosine=[0.5, 0.45])

    assert rank(found, Weights(asks=0)).order[0] == 0
    assert rank(found).order[0] == 1


def test_no_candidates_are_ranked_as_none() -> None:
    ranking = rank(evidence(0))

    assert ranking.order.tolist() == ranking.scores.tolist() == ranking.relevance.tolist() == []


shares = st.lists(st.floats(0, 1, width=32), min_size=5, max_size=5)


@given(shares, shares, shares, shares, shares)
def test_relevance_is_between_0_and_1_and_needs_nothing_of_other_candidates(
    cosine: list[float],
    window_cosine: list[float],
    coverage: list[float],
    window_coverage: list[float],
    then: list[float],
) -> None:
    columns = {
        "cosine": np.float32(cosine),
        "window_cosine": np.float32(window_cosine),
        "coverage": np.float32(coverage),
        "window_coverage": np.float32(window_coverage),
        "said_then": np.float32(then),
    }
    together = rank(evidence(5, **columns))

    assert ((together.relevance >= 0) & (together.relevance <= 1)).all()
    assert sorted(together.order.tolist()) == list(range(5))
    for place in range(5):
        single = rank(evidence(1, **{name: values[[place]] for name, values in columns.items()}))
        assert single.relevance == pytest.approx(together.relevance[[place]])
        assert single.scores == pytest.approx(together.scores[[place]])


def test_of_copies_the_best_one_stays() -> None:
    assert list(first_of_each([7, 7, 3, 7, -5, 3, 9])) == [0, 2, 4, 6]
    assert list(first_of_each([])) == []


def test_what_has_no_known_wording_is_no_copy() -> None:
    assert list(first_of_each([0, 4, 0, 4, 0])) == [0, 1, 2, 4]
