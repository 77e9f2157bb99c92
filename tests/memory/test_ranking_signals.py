"""Each signal of the ranking: what it rewards, and that it is neutral where there is nothing to say."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.ranking import (
    WINDOW,
    Floats,
    said_then,
    session_best,
    term_shares,
    window_cosine,
    window_coverage,
)
from headroom.memory.timewords import NamedTime

DAY = 86_400.0
OWN = 2
"""A window's own place, after the two memories before it."""


def alone() -> Floats:
    """The weights of a window without neighbours."""
    weights = np.zeros((5, 1), dtype=np.float32)
    weights[OWN] = 1
    return weights


def units(rng: np.random.Generator, count: int) -> Floats:
    vectors = rng.standard_normal((count, 16)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_without_neighbours_the_window_is_the_memory() -> None:
    cosines = np.array([[0.9], [0.8], [0.3], [0.7], [0.6]], dtype=np.float32)
    says = np.array([[[1], [1], [0], [1], [1]]], dtype=np.bool_)

    assert window_cosine(cosines, np.ones((2, 5, 1), np.float32), alone()) == pytest.approx([0.3])
    assert window_coverage(np.ones(1, np.float32), says, alone()) == pytest.approx([0])


@given(st.integers(0, 2**32 - 1))
def test_a_window_with_two_neighbours_has_the_cosine_of_its_vectors_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, before, own, after = units(rng, 4)
    weights = WINDOW * np.array([[0], [1], [1], [1], [0]], dtype=np.float32)
    kinship = np.zeros((2, 5, 1), dtype=np.float32)
    kinship[0, OWN], kinship[0, OWN + 1], kinship[1, OWN + 1] = own @ before, after @ own, after @ before
    cosines = np.array([[0], [query @ before], [query @ own], [query @ after], [0]], dtype=np.float32)

    blend = weights[1] * before + weights[2] * own + weights[3] * after
    expected = query @ blend / np.linalg.norm(blend)
    assert window_cosine(cosines, kinship, weights) == pytest.approx([expected], abs=1e-5)


def test_a_term_counts_where_it_counts_most_and_once() -> None:
    everywhere = np.ones((5, 1), dtype=np.bool_)
    before = np.array([[1], [1], [0], [0], [0]], dtype=np.bool_)
    shares = np.array([0.6, 0.4], dtype=np.float32)

    assert window_coverage(shares, np.array([everywhere, everywhere]), WINDOW) == pytest.approx([1.0])
    assert window_coverage(shares, np.array([everywhere, before]), WINDOW) == pytest.approx([0.6 + 0.4 * 0.7])


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=20))
def test_the_shares_of_a_querys_terms_are_one_together_and_rarer_is_more(frequencies: list[int]) -> None:
    shares = term_shares(np.array(frequencies), size=1_000)

    assert shares.sum() == pytest.approx(1, abs=1e-4)
    by_frequency = [share for _, share in sorted(zip(frequencies, shares.tolist(), strict=True))]
    assert all(rarer >= commoner - 1e-6 for rarer, commoner in pairwise(by_frequency))


def test_a_query_without_terms_has_no_shares() -> None:
    assert term_shares(np.array([], dtype=np.int64), size=10).tolist() == []


def test_what_was_said_then_is_closer_than_what_was_said_before_or_after() -> None:
    time = NamedTime(100 * DAY, 101 * DAY)
    said = np.array([100.5, 97, 108, 130, 0]) * DAY

    assert said_then([time], said) == pytest.approx([1, np.exp(-1), np.exp(-1), 0.0159, 0], abs=1e-3)


def test_a_time_without_a_year_is_close_in_every_year() -> None:
    january = NamedTime(0.0, 31 * DAY, yearly=True)
    said = (np.arange(-3, 4) * 365.2425 + 15) * DAY

    assert said_then([january], said) == pytest.approx(np.ones(7))
    assert said_then([january], said + 180 * DAY).max() < 1e-6


def test_no_named_time_leaves_all_as_they_are() -> None:
    assert not said_then([], np.array([0.0, DAY])).any()


def test_the_best_of_a_session_counts_for_all_of_it_and_for_no_other() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.2, 0.3], dtype=np.float32)
    sessions = np.array([7, 7, 3, 3, 3])

    assert session_best(scores, sessions) == pytest.approx([0.9, 0.9, 0.5, 0.5, 0.5])


def test_without_a_session_a_memory_is_its_own_best() -> None:
    scores = np.array([0.1, -0.2, 0.5], dtype=np.float32)

    assert session_best(scores, np.array([-1, -1, -1])) == pytest.approx(scores)
    assert session_best(scores[:0], np.array([], dtype=np.int64)).tolist() == []
