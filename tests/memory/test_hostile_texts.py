"""Texts that are made to take long take no longer than others: everything else would stand still."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from headroom.errors import InvalidInputError
from headroom.memory.drafts import clean_text
from headroom.memory.filters import MemoryFilter
from headroom.memory.lexical import analyse, analyse_query, normalised
from headroom.memory.timewords import named_times

LENGTH = 20_000
MARKS = [
    "\u0301\u0327", "\u0f73", "\uff9e\u0301", "\u0345\u0301",
    15 * "\u0654\u0655" + "\u034f", 15 * "\u094d\u093c" + "\u200d", 15 * "\u094d\u093c" + "\ufe0f",
]  # fmt: skip
"""Combining marks that are not in their canonical order, or are not once they are taken apart or folded."""
PATTERNS = [
    " ", "(", "( ", ") (", "(x) ", "\n", ".", "? ", "\uff1f", "'", "a'", "a+", "#", "1", "2023 ", "20 of ",
    "june ", "last ", "a couple of ", "what ", "best ", "should ", "which to ", "\u0e44\u0e21\u0e49",
    "\u092c\u0947", "\u0915\u094d\u200d", "\ufdfa", "\u0130", *(30 * mark[:1] + "a" for mark in MARKS),
]  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    before = time.thread_time()
    work()
    return time.thread_time() - before


@pytest.mark.parametrize("pattern", PATTERNS)
def test_reading_a_text_takes_no_time_to_speak_of(pattern: str) -> None:
    text = f"x{pattern * (LENGTH // len(pattern))}x"

    assert seconds(lambda: clean_text(text, "content", 2 * LENGTH)) < 1
    for read in (normalised, analyse, analyse_query, lambda text: named_times(text, datetime.now(UTC))):
        assert seconds(lambda read=read: read(text)) < 1  # type: ignore[misc]


@pytest.mark.parametrize("mark", MARKS)
def test_marks_heaped_upon_one_another_are_refused_unread(mark: str) -> None:
    def clean() -> None:
        with pytest.raises(InvalidInputError, match="more than 30 combining marks"):
            clean_text("a" + mark * (2 * LENGTH // len(mark)), "content", 2 * LENGTH)

    assert seconds(clean) < 1


@pytest.mark.parametrize("mark", MARKS)
def test_so_are_those_in_a_text_to_filter_by(mark: str) -> None:
    def ask() -> None:
        with pytest.raises(InvalidInputError, match="text has more than 30 combining marks"):
            MemoryFilter(user_id="alice", text="a" + mark * (2 * LENGTH // len(mark)))

    assert seconds(ask) < 1


@pytest.mark.parametrize("text", ["\u0301\u0327" * 10 * LENGTH, "\u200b" * 200 * LENGTH])
def test_what_is_far_too_long_is_refused_unread(text: str) -> None:
    def clean() -> None:
        with pytest.raises(InvalidInputError, match=f"{len(text)} characters, but at most 8000"):
            clean_text(text, "content", 8_000)

    assert seconds(clean) < 0.1


def test_the_length_that_counts_is_that_of_the_composed_form() -> None:
    assert clean_text("  " + "\u03b1\u0313\u0300\u0345" * 10 + "\n", "content", 10) == "\u1f82" * 10
    assert clean_text("e\u0301" + "\u0316" * 29, "content", 30) == "\u00e9" + "\u0316" * 29
    with pytest.raises(InvalidInputError, match="11 characters, but at most 10"):
        clean_text("\u03b1\u0313\u0300\u0345" * 9 + "ab", "content", 10)
    with pytest.raises(InvalidInputError, match="21 characters, but at most 10"):
        clean_text("\u0f73a" * 7, "content", 10)  # each mark becomes two
