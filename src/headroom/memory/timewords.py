"""Times that a text names: "in May 2023", "last week", "3 days ago". English only, like the stop words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import Final

_MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_PLAIN_MONTHS: Final = tuple(month for month in _MONTHS if month not in ("may", "march"))
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "couple": 2, "three": 3, "few": 3,
    "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
}  # fmt: skip

_MONTH: Final = (
    r"(?P<month>january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?"
)
_DAY: Final = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR: Final = r"(?P<year>(?:19|20)\d\d)"
_CALENDAR: Final = (
    re.compile(r"\b(?P<year>(?:19|20)\d\d)-(?P<number>\d\d)-(?P<day>\d\d)\b"),
    re.compile(rf"\b{_DAY}(?: of)? {_MONTH}(?:,? ?{_YEAR}\b)?", re.IGNORECASE),
    re.compile(rf"\b{_MONTH} {_DAY}\b(?:,? ?{_YEAR}\b)?", re.IGNORECASE),
    re.compile(rf"\b{_MONTH},? {_YEAR}\b", re.IGNORECASE),
    # Alone, "may" and "march" are months only where they are written like names in the middle of a sentence.
    re.compile(r"(?<=[a-z] )(?P<month>May|March)\b"),
    re.compile(rf"\b(?P<month>{'|'.join(_PLAIN_MONTHS)})\b", re.IGNORECASE),
    re.compile(rf"\b{_YEAR}\b"),
)
_CALENDAR_PARTS: Final = ("19", "20", *(month[:3] for month in _MONTHS))
"""Each of those has one of these; most texts do not, and are spared seven searches."""
# Only what points back: "dinner tonight" and "a meeting on Monday" ask for nothing that was said then.
_RELATIVE: Final = re.compile(
    r"\b(?:(?P<yesterday>yesterday|last night)"
    r"|last (?P<unit>week|month|year)"
    r"|(?P<weekend>last weekend)"
    rf"|(?:last|past) (?P<weekday>{'|'.join(_DAYS)})"
    r"|(?P<count>\d{1,3}|an?(?: couple| few)?|one|two|three|four|five|six|seven|eight|nine|ten|few)"
    r" (?:of )?(?P<ago>day|week|month|year)s? ago"
    r"|(?:last|past) (?P<within>\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|few|couple)"
    r" (?:of )?(?P<span>day|week|month|year)s)\b"
)
_RELATIVE_PARTS: Final = ("yesterday", "last", "past", "ago")
"""The same for relative times."""
_TELLS_TIME: Final = re.compile(
    rf"\b(?:yesterday|today|tonight|tomorrow|last|next|ago|since|recently|weekend"
    rf"|this (?:week|month|year|morning|spring|summer|fall|autumn|winter)"
    rf"|{'|'.join((*_DAYS, *_PLAIN_MONTHS))}|march|(?:19|20)\d\d)\b"
)
_ASKS_FOR_TIME: Final = re.compile(r"\b(?:when|how long|(?:what|which) (?:date|day|month|year|time))\b")

MOST_TIMES: Final = 8
"""Each is compared with all of a user's memories; and who names more is not asking for any one of them."""
_UNIT_DAYS: Final = {"day": 1.0, "week": 7.0, "month": 30.4, "year": 365.2425}


@dataclass(frozen=True, slots=True)
class NamedTime:
    """A stretch of time, from `start` up to `end` (epoch seconds, UTC)."""

    start: float
    end: float
    yearly: bool = False
    """Whether the same stretch of every other year may be meant as well: "in May"."""


def tells_time(text: str) -> bool:
    """Whether the text says when something is, was or will be."""
    return _TELLS_TIME.search(text.lower()) is not None


def asks_for_time(text: str) -> bool:
    """Whether the text asks when, or for how long."""
    return _ASKS_FOR_TIME.search(text.lower()) is not None


def named_times(text: str, now: datetime) -> tuple[NamedTime, ...]:
    """The first `MOST_TIMES` that a text names, those relative to `now` (timezone-aware) included; in UTC."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    folded = text.casefold()
    times = chain(
        _calendar_times(text, today) if any(part in folded for part in _CALENDAR_PARTS) else (),
        _relative_times(folded, today) if any(part in folded for part in _RELATIVE_PARTS) else (),
    )
    return tuple(islice(dict.fromkeys(times), MOST_TIMES))


def _calendar_times(text: str, today: datetime) -> Iterator[NamedTime]:
    for pattern in _CALENDAR:
        for match in pattern.finditer(text):
            parts = match.groupdict()
            name, year = parts.get("month"), parts.get("year")
            if name in ("may", "march", "mar") and not year:
                continue  # "paragraph 2 may apply"
            month = _month(name) if name else int(parts.get("number") or 0)
            stretch = _stretch(int(year or today.year), month, int(parts.get("day") or 0))
            if stretch is not None:
                yield NamedTime(*stretch, yearly=year is None)
        # Blanked, so that the year of a date is not read again as a year of its own.
        text = pattern.sub(lambda match: "#" * len(match.group()), text)


def _month(name: str) -> int:
    # Not lower(): to a pattern that ignores case, the long s is an s too.
    start = name.casefold()[:3]
    return next(number for number, month in enumerate(_MONTHS, 1) if month.startswith(start))


def _stretch(year: int, month: int, day: int) -> tuple[float, float] | None:
    """The day, or without one the month, or without one the year; None where the calendar has no such day."""
    try:
        start = datetime(year, month or 1, day or 1, tzinfo=UTC)
        if day:
            end = start + timedelta(days=1)
        elif month:
            end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        else:
            end = datetime(year + 1, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return start.timestamp(), end.timestamp()


def _relative_times(text: str, today: datetime) -> Iterator[NamedTime]:
    for match in _RELATIVE.finditer(text):
        start, end = _relative_stretch(match.groupdict(), today)
        yield NamedTime(start.timestamp(), end.timestamp())


def _relative_stretch(parts: dict[str, str | None], today: datetime) -> tuple[datetime, datetime]:
    day = timedelta(days=1)
    monday = today - today.weekday() * day
    if parts["yesterday"]:
        return today - day, today
    if unit := parts["unit"]:
        this_start, _ = _calendar_unit(unit, today)
        return _calendar_unit(unit, this_start - day)
    if parts["weekend"]:
        return monday - 2 * day, monday
    if weekday := parts["weekday"]:
        start = today - ((today.weekday() - _DAYS.index(weekday) - 1) % 7 + 1) * day
        return start, start + day
    if unit := parts["ago"]:
        length = timedelta(days=_UNIT_DAYS[unit])
        middle = today + day / 2 - _number(parts["count"] or "") * length
        return middle - length / 2, middle + length / 2
    length = timedelta(days=_UNIT_DAYS[parts["span"] or "day"])
    return today + day - _number(parts["within"] or "") * length, today + day


def _calendar_unit(unit: str, day: datetime) -> tuple[datetime, datetime]:
    """The calendar week, month or year that the day lies in."""
    if unit == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    first = day.replace(day=1) if unit == "month" else day.replace(month=1, day=1)
    following = (first + timedelta(days=32 if unit == "month" else 367)).replace(day=1)
    return first, following if unit == "month" else following.replace(month=1)


def _number(word: str) -> int:
    last = word.rsplit(maxsplit=1)[-1]
    return int(last) if last.isdigit() else _NUMBERS[last]
