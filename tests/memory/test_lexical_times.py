"""The times that a query names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom.memory.timewords import MOST_TIMES, NamedTime, _calendar_times, _relative_times, named_times

NOW = datetime(2023, 11, 22, 15, 30, tzinfo=UTC)  # a Wednesday


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def named(text: str, now: datetime = NOW) -> list[tuple[datetime, datetime]]:
    return [
        (datetime.fromtimestamp(time.start, UTC), datetime.fromtimestamp(time.end, UTC))
        for time in named_times(text, now)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "What happened on 16 October, 2023?",
        "What happened on October 16, 2023?",
        "what happened on october 16 2023?",
        "What happened on the 16th of October 2023?",
        "What happened on Oct. 16th, 2023?",
        "What happened on 2023-10-16?",
    ],
)
def test_a_date_is_a_day(text: str) -> None:
    assert named(text) == [(day("2023-10-16"), day("2023-10-17"))]


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("in January 2024", "2024-01-01", "2024-02-01"),
        ("in december 2022", "2022-12-01", "2023-01-01"),
        ("the year 2021", "2021-01-01", "2022-01-01"),
        ("in \u017fept. 2021", "2021-09-01", "2021-10-01"),
        ("yesterday", "2023-11-21", "2023-11-22"),
        ("Last night", "2023-11-21", "2023-11-22"),
        ("last week", "2023-11-13", "2023-11-20"),
        ("last weekend", "2023-11-18", "2023-11-20"),
        ("last month", "2023-10-01", "2023-11-01"),
        ("last year", "2022-01-01", "2023-01-01"),
        ("last Tuesday", "2023-11-21", "2023-11-22"),
        ("last wednesday", "2023-11-15", "2023-11-16"),
        ("3 days ago", "2023-11-19", "2023-11-20"),
        ("a week ago", "2023-11-12", "2023-11-19"),
        ("in the last two weeks", "2023-11-09", "2023-11-23"),
        ("the past couple of days", "2023-11-21", "2023-11-23"),
    ],
)
def test_other_times_are_stretches(text: str, start: str, end: str) -> None:
    (found,) = named(f"What did I do {text}?")

    assert abs(found[0] - day(start)) <= timedelta(hours=12)
    assert abs(found[1] - day(end)) <= timedelta(hours=12)


@pytest.mark.parametrize("text", ["What do I do in May?", "Where was I on 3 March?", "What about december?"])
def test_without_a_year_it_may_be_any_year(text: str) -> None:
    (time,) = named_times(text, NOW)

    assert time.yearly


def test_several_times_are_all_named() -> None:
    assert len(named("Between August 11 and 15 August 2023, or in 2021, or yesterday?")) == 4


@pytest.mark.parametrize(
    "text",
    [
        "It may rain",
        "May I come in?",
        "paragraph 2 may apply",
        "They march on Rome",
        "31 February 2023",
        "2023-13-45",
        "order 20231 costs 19,990 euros",
        "dinner tonight",
        "a meeting on Monday",
        "the last weekends",
        "",
    ],
)
def test_what_only_looks_like_a_past_time_is_none(text: str) -> None:
    assert named_times(text, NOW) == ()


def test_the_day_is_that_of_utc() -> None:
    tokyo = datetime(2023, 11, 23, 1, 0, tzinfo=timezone(timedelta(hours=9)))

    assert named("yesterday", tokyo) == [(day("2023-11-21"), day("2023-11-22"))]


WORDS = [
    "last", "past", "ago", "days", "week", "years", "weekend", "yesterday", "May", "march", "mar", "JUNE",
    "2", "31", "3rd", "999", "2023", "-", ",", "of", "\u00a0", "\u5e74",
    # What ignores case takes these for s, k and i; and these are digits too.
    "\u017fep", "\u017fept.", "wee\u212a", "apr\u0131l", "\u0130", "\u00df", "20\u0662\u0663", "\uff12\uff10",
]  # fmt: skip
TEXTS = (
    st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join) | st.lists(st.sampled_from(WORDS)).map("".join)
)


@given(
    TEXTS,
    st.datetimes(datetime(1999, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is beside it
)
def test_any_text_at_any_time_names_proper_stretches(text: str, now: datetime) -> None:
    for time in named_times(text, now):
        assert isinstance(time, NamedTime)
        assert time.start < time.end


@given(TEXTS)
def test_no_time_is_missed_by_the_look_whether_there_are_any(text: str) -> None:
    today = NOW.replace(hour=0, minute=0)

    every = {*_calendar_times(text, today), *_relative_times(text.casefold(), today)}

    assert set(named_times(text, NOW)) == every


def test_a_time_counts_once_and_no_more_than_a_few_count() -> None:
    assert len(named_times("3 days ago, " * 90, NOW)) == 1
    assert len(named_times(" ".join(map(str, range(1900, 2100))), NOW)) == MOST_TIMES
