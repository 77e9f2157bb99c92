"""The index of who says a word."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.lexical import TermIndex

LAST_TERM = 2**32 - 1

memories = st.lists(
    st.lists(st.integers(0, 9) | st.sampled_from([2**31, LAST_TERM]), unique=True, max_size=6), max_size=30
)


def index_of(texts: list[list[int]]) -> TermIndex:
    return TermIndex(
        np.array([len(text) for text in texts], dtype=np.int64),
        np.array([term for text in texts for term in text], dtype=np.uint32),
    )


@given(memories, memories)
def test_it_finds_the_rows_that_say_a_term_however_they_came(
    first: list[list[int]], later: list[list[int]]
) -> None:
    index = index_of(first)
    for terms in later:
        index.append(np.array(terms, dtype=np.uint32))

    assert len(index) == len(first) + len(later)
    for term in (*range(10), 2**31, LAST_TERM):
        expected = [row for row, terms in enumerate(first + later) if term in terms]
        assert index.rows(term).tolist() == expected


def test_many_appended_rows_are_found_and_take_eight_bytes_a_term() -> None:
    index = index_of([])
    for row in range(3_000):
        index.append(np.array([7, 100 + row % 50], dtype=np.uint32))

    assert index.rows(7).tolist() == list(range(3_000))
    assert index.rows(149).tolist() == list(range(49, 3_000, 50))
    assert index.nbytes == 3_000 * 2 * 8


def test_a_copy_does_not_see_what_is_appended_later() -> None:
    index = index_of([[1], [2]])
    earlier = copy.copy(index)
    index.append(np.array([1], dtype=np.uint32))

    assert earlier.rows(1).tolist() == [0]
    assert len(earlier) == 2


@pytest.mark.parametrize("texts", [[], [[]], [[], [3], []]])
def test_texts_without_terms_are_rows_too(texts: list[list[int]]) -> None:
    index = index_of(texts)

    assert len(index) == len(texts)
    assert index.rows(3).tolist() == [row for row, terms in enumerate(texts) if terms]
