"""Which memories a query asks for."""

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from enum import StrEnum
from itertools import groupby
from typing import Any, Final, TypeVar

from headroom.errors import InvalidInputError
from headroom.memory.model import MemoryCategory, ScopeLevel
from headroom.scope import check_identifier

E = TypeVar("E", bound=StrEnum)

_MOST_MARKS: Final = 30
"""How many combining marks may follow one another: more than in any language (UAX #15, stream-safe text)."""
_UNSEEN: Final = re.compile(r"[\u034f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")


class MemoryOrder(StrEnum):
    """In which order a query lists what it found; equals are listed oldest first."""

    OLDEST = "oldest"
    NEWEST = "newest"
    IMPORTANCE = "importance"


def as_category(value: MemoryCategory | str) -> MemoryCategory:
    """The category named by `value`, whatever its case.

    Raises:
        InvalidInputError: there is no such category.
    """
    return _named(MemoryCategory, value, "category", "categories")


def as_categories(values: Collection[MemoryCategory | str]) -> frozenset[MemoryCategory]:
    """The categories named by `values`, whatever their case.

    Raises:
        InvalidInputError: there is no such category, or it is a string rather than a collection of them.
    """
    _refuse_string(values, "categories")
    return frozenset(map(as_category, values))


def as_level(value: ScopeLevel | str) -> ScopeLevel:
    """The scope level named by `value`, whatever its case.

    Raises:
        InvalidInputError: there is no such level.
    """
    return _named(ScopeLevel, value, "level", "levels")


def as_order(value: MemoryOrder | str) -> MemoryOrder:
    """The order named by `value`, whatever its case.

    Raises:
        InvalidInputError: there is no such order.
    """
    return _named(MemoryOrder, value, "order", "orders")


def _named(kind: type[E], value: str, one: str, all_: str) -> E:
    try:
        return kind(value.lower())
    except (ValueError, AttributeError):
        raise InvalidInputError(f"unknown {one} {value!r}; the {all_} are: {', '.join(kind)}") from None


def check_importance(value: float, name: str = "importance") -> float:
    """Return `value` as a float if it lies between 0 and 1.

    Raises:
        InvalidInputError: it is not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:  # nor is NaN
        raise InvalidInputError(f"{name} must be a number from 0 to 1, not {value!r}")
    return float(value)


def check_whole(value: int, name: str, least: int) -> int:
    """Return `value` if it is a whole number of at least `least`.

    Raises:
        InvalidInputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInputError(f"{name} must be a whole number of at least {least}, but is {value!r}")
    return value


def check_time(value: datetime, name: str) -> datetime:
    """Return `value` in UTC if it knows its timezone.

    Raises:
        InvalidInputError: it is no datetime, a naive one, or at the calendar's very ends.
    """
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidInputError(
            f"{name} must be a timezone-aware datetime, not {value!r}; e.g. datetime.now(timezone.utc)"
        )
    if value.year in (MINYEAR, MAXYEAR):
        raise InvalidInputError(
            f"{name} must lie within the years {MINYEAR + 1} to {MAXYEAR - 1}, not {value!r}"
        )
    return value.astimezone(UTC)


def check_marks(text: str, name: str) -> None:
    """Refuse heaps of combining marks: normalising takes time that grows with the square of their number.

    All that a memory's text goes through later is spared them, too.

    Raises:
        InvalidInputError: there are more on one character than in any language.
    """
    # Some are marks only when taken apart.
    marks = {each for each in set(text) if unicodedata.combining(unicodedata.normalize("NFKD", each)[0])}
    if not marks:
        return
    # What may be left out between two marks, as folding does, makes one heap of theirs.
    marks.update(each for each in set(text) if _UNSEEN.match(each))
    if any(is_mark and len(list(run)) > _MOST_MARKS for is_mark, run in groupby(text, marks.__contains__)):
        raise InvalidInputError(
            f"{name} has more than {_MOST_MARKS} combining marks on one character; remove them"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFilter:
    """The memories of one user that meet every condition given; a condition left out holds for all.

    A scope id asks for the memories that name exactly it (`levels` asks for those that name none narrower).

    Raises:
        InvalidInputError: a condition that cannot be; the message names it.
    """

    user_id: str
    session_id: str | None = None
    agent_id: str | None = None
    turn_id: str | None = None
    levels: Collection[ScopeLevel | str] | None = None
    categories: Collection[MemoryCategory | str] | None = None
    include_superseded: bool = False
    include_expired: bool = False
    as_of: datetime | None = None
    """What was current at that time, rather than now."""
    created_after: datetime | None = None
    """Stored at or after."""
    created_before: datetime | None = None
    """Stored before."""
    min_importance: float | None = None
    max_importance: float | None = None
    entities: Collection[str] = ()
    """About at least one of these, whatever the case."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Each of these top-level keys has this value."""
    text: str | None = None
    """Contains all of these words (full-text index: word stems, any order).

    Where no spaces are written, as in Chinese, Japanese and Thai, they may be anywhere within a run."""
    order: MemoryOrder = MemoryOrder.OLDEST
    limit: int | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        check_identifier(self.user_id, "user_id")
        self._replace(("session_id", "agent_id", "turn_id"), check_identifier)
        for name in ("levels", "entities"):
            _refuse_string(getattr(self, name), name)
        names = self.entities
        if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
            raise InvalidInputError(f"entities must be a collection of names, not {names!r}")
        if self.text is not None and not isinstance(self.text, str):
            raise InvalidInputError(f"text must be a string of words, not {self.text!r}")
        if self.text is not None:
            check_marks(self.text, "text")
        self._replace(("levels",), lambda levels, _: frozenset(map(as_level, levels)))
        self._replace(("categories",), lambda categories, _: as_categories(categories))
        self._replace(("as_of", "created_after", "created_before"), check_time)
        self._replace(("min_importance", "max_importance"), check_importance)
        self._replace(("order",), lambda order, _: as_order(order))
        self._replace(("metadata",), _check_metadata)
        self._replace(("limit", "offset"), lambda count, name: check_whole(count, name, 0))

    def _replace(self, names: Iterable[str], check: Callable[[Any, str], object]) -> None:
        """Put what `check` makes of these fields' values in their places; None stays None."""
        for name in names:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check(value, name))


def _check_metadata(metadata: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    try:
        json.dumps(dict(metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} to filter by is not JSON-compatible: {error}") from error
    return metadata


def _refuse_string(values: object, name: str) -> None:
    if isinstance(values, str):
        raise InvalidInputError(f"{name} must be a collection, e.g. [{values!r}]")
