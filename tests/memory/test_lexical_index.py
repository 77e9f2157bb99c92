"""The index of who says a word."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from headroom.memory.lexical import TermIndex, Terms

LAST_TERM = 2**32 - 1

memories = st.lists(
    st.lists(st.integers(0, 9) | st.sampled_from([2**31, LAST_TERM]), unique=True, max_size=6), max_size=30
)


def arrays(texts: list[list[int]]) -> tuple[NDArray[np.int64], Terms]:
    counts = np.array([len(text) for text in texts], dtype=np.int64)
    return counts, np.array([term for text in texts for term in text], dtype=np.uint32)


def rows_of(index: TermIndex, term: int) -> list[int]:
    places, rows = index.occurrences(np.array([term], dtype=np.uint32))
    assert not places.any()
    return rows.tolist()


def index_of(texts: list[list[int]]) -> TermIndex:
    return TermIndex(*arrays(texts))


@given(memories, st.lists(memories, max_size=3))
def test_it_finds_the_rows_that_say_a_term_however_they_came(
    first: list[list[int]], later: list[list[list[int]]]
) -> None:
    index = index_of(first)
    for texts in later:
        index.extend(*arrays(texts))

    everything = [*first, *(terms for texts in later for terms in texts)]
    assert len(index) == len(everything)
    asked = [*range(10), LAST_TERM, 2**31]
    places, rows = index.occurrences(np.array(asked, dtype=np.uint32))
    assert sorted(zip(places.tolist(), rows.tolist(), strict=True)) == [
        (place, row)
        for place, term in enumerate(asked)
        for row, terms in enumerate(everything)
        if term in terms
    ]


def test_many_appended_rows_are_found_and_take_eight_bytes_a_term() -> None:
    index = index_of([])
    for row in range(3_000):
        index.extend(*arrays([[7, 100 + row % 50]]))

    assert rows_of(index, 7) == list(range(3_000))
    assert rows_of(index, 149) == list(range(49, 3_000, 50))
    assert index.nbytes == 3_000 * 2 * 8


def test_a_copy_does_not_see_what_is_appended_later() -> None:
    index = index_of([[1], [2]])
    earlier = copy.copy(index)
    index.extend(*arrays([[1]]))

    assert rows_of(earlier, 1) == [0]
    assert len(earlier) == 2


@pytest.mark.parametrize("texts", [[], [[]], [[], [3], []]])
def test_texts_without_terms_are_rows_too(texts: list[list[int]]) -> None:
    index = index_of(texts)

    assert len(index) == len(texts)
    assert rows_of(index, 3) == [row for row, terms in enumerate(texts) if terms]
