"""From what a caller passes to a memory that can be stored: every check on the way in."""

import json
import unicodedata
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Required, TypedDict

from headroom.errors import InvalidInputError
from headroom.memory.filters import as_category, check_importance, check_marks, check_time
from headroom.memory.model import Memory, MemoryCategory
from headroom.scope import MAX_IDENTIFIER_LENGTH, check_identifier

TURN_LIFETIME: Final = timedelta(hours=1)
"""How long a memory of a turn lives where nothing else was said.

A turn's memories are cleared when it ends; this is for the turns whose process did not live to see that."""

_INSTANT: Final = timedelta(microseconds=1)
_COMPOSED: Final = 4
"""Up to how many characters become one in Unicode's composed form."""


class NewMemory(TypedDict, total=False):
    """What `Engine.add` takes, as a mapping for `Engine.add_many`."""

    content: Required[str]
    user_id: Required[str]
    session_id: str | None
    agent_id: str | None
    turn_id: str | None
    category: MemoryCategory | str
    importance: float
    metadata: Mapping[str, Any] | None
    entities: Iterable[str]
    expires_at: datetime | None
    valid_from: datetime | None


def new_memory(
    content: str,
    user_id: str,
    session_id: str | None = None,
    agent_id: str | None = None,
    turn_id: str | None = None,
    category: MemoryCategory | str = MemoryCategory.FACT,
    importance: float = 0.5,
    metadata: Mapping[str, Any] | None = None,
    entities: Iterable[str] = (),
    expires_at: datetime | None = None,
    valid_from: datetime | None = None,
    *,
    now: datetime,
    max_content_length: int,
    session_lifetime: timedelta | None,
) -> Memory:
    """A memory with an id of its own, checked and normalised.

    Raises:
        InvalidInputError: a part that cannot be stored; the message names it.
    """
    check_identifier(user_id, "user_id")
    for part, value in (("session_id", session_id), ("agent_id", agent_id), ("turn_id", turn_id)):
        if value is not None:
            check_identifier(value, part)
    since = now if valid_from is None else check_time(valid_from, "valid_from")
    lifetime = TURN_LIFETIME if turn_id is not None else session_lifetime if session_id is not None else None
    if expires_at is None and lifetime is not None:
        expires_at = max(now, since) + lifetime
    return Memory(
        id=uuid.uuid4().hex,
        content=clean_text(content, "content", max_content_length),
        user_id=user_id,
        session_id=session_id,
        agent_id=agent_id,
        turn_id=turn_id,
        category=as_category(category),
        importance=check_importance(importance),
        entities=clean_entities(entities),
        metadata=clean_metadata({} if metadata is None else metadata),
        created_at=now,
        valid_from=since,
        expires_at=check_expiry(expires_at, since),
    )


def new_memories(
    items: Iterable[NewMemory], *, now: datetime, max_content_length: int, session_lifetime: timedelta | None
) -> list[Memory]:
    """A memory for each item.

    Raises:
        InvalidInputError: an item cannot be stored; the message gives its place (from 0).
    """
    memories = []
    for place, item in enumerate(items):
        try:
            check_keys(item, NewMemory.__annotations__, ("content", "user_id"))
            memories.append(
                new_memory(
                    **item,
                    now=now,
                    max_content_length=max_content_length,
                    session_lifetime=session_lifetime,
                )
            )
        except InvalidInputError as error:
            raise type(error)(f"item {place}: {error}; nothing was stored") from error
    return memories


def successor(
    old: Memory,
    content: str,
    category: MemoryCategory | str | None = None,
    importance: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    entities: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    valid_from: datetime | None = None,
    *,
    now: datetime,
    max_content_length: int,
) -> Memory:
    """The version that takes the place of `old`: of the same scope, and alike wherever nothing else is said.

    Raises:
        InvalidInputError: a part that cannot be stored; the message names it.
    """
    now = max(now, old.created_at + _INSTANT)  # the clock may have been set back meanwhile
    if valid_from is None:
        # No version ends before it began, not even one that is to hold only later.
        since = max(now, old.valid_from + _INSTANT)
    else:
        since = check_time(valid_from, "valid_from")
        if since <= old.valid_from:
            raise InvalidInputError(
                f"valid_from ({since}) must be later than that of the version it takes the place of "
                f"({old.valid_from})"
            )
    return replace(
        old,
        id=uuid.uuid4().hex,
        content=clean_text(content, "content", max_content_length),
        category=old.category if category is None else as_category(category),
        importance=old.importance if importance is None else check_importance(importance),
        entities=old.entities if entities is None else clean_entities(entities),
        metadata=old.metadata if metadata is None else clean_metadata(metadata),
        created_at=now,
        valid_from=since,
        valid_until=None,
        expires_at=check_expiry(old.expires_at if expires_at is None else expires_at, since),
        supersedes=old.id,
        superseded_by=None,
        score=None,
    )


def clean_text(value: object, name: str, max_length: int) -> str:
    """`value` stripped and in Unicode's composed form (NFC), if it is text that can be stored.

    Raises:
        InvalidInputError: it is no string, too long, without anything visible, has characters (NUL, half a
            surrogate pair) that a database cannot keep, or heaps of combining marks.
    """
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string, not {type(value).__name__}")
    text = value.strip()
    if len(text) <= _COMPOSED * max_length:  # otherwise it is too long in any form, and is spared the rest
        check_marks(text, name)
        text = unicodedata.normalize("NFC", text)
    if len(text) > max_length:
        raise InvalidInputError(
            f"{name} has {len(text)} characters, but at most {max_length} are allowed; "
            "store the facts in it one by one"
        )
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise InvalidInputError(f"{name} is blank; there is nothing to remember")
    if "\0" in text:
        raise InvalidInputError(f"{name} contains a NUL character; remove it")
    _check_encodable(text, name)
    return text


def clean_entities(values: Iterable[str]) -> tuple[str, ...]:
    """The names in `values`, cleaned like content, each once whatever its case.

    Raises:
        InvalidInputError: it is a string rather than a collection of them, or a name cannot be stored.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInputError(f"entities must be a collection of names, e.g. ({values!r},)")
    names: dict[str, str] = {}
    for value in values:
        name = clean_text(value, "an entity", MAX_IDENTIFIER_LENGTH)
        names.setdefault(name.casefold(), name)
    return tuple(names.values())


def clean_metadata(value: object) -> dict[str, Any]:
    """A copy of `value`, if JSON keeps it as it is.

    Raises:
        InvalidInputError: it is no mapping, or holds what JSON cannot say or would change.
    """
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"metadata must be a mapping, not {type(value).__name__}")
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False)
        kept: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"metadata is not JSON-compatible: {error}") from error
    if kept != dict(value):
        raise InvalidInputError(
            "metadata is not JSON-compatible: use mappings with string keys, lists (not tuples), strings, "
            "finite numbers, booleans and None"
        )
    _check_encodable(text, "metadata")
    return kept


def check_expiry(expires_at: datetime | None, valid_from: datetime) -> datetime | None:
    """`expires_at` in UTC, if it is later than `valid_from`.

    Raises:
        InvalidInputError: it is naive, or the memory would expire before it begins.
    """
    if expires_at is None:
        return None
    end = check_time(expires_at, "expires_at")
    if end <= valid_from:
        raise InvalidInputError(f"expires_at ({end}) must be later than valid_from ({valid_from})")
    return end


def same_substance(one: Memory, other: Memory) -> bool:
    """Whether two versions say the same, whenever they were written."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("content", "category", "importance", "entities", "metadata")
    )


def check_keys(row: Mapping[str, Any], known: Collection[str], required: Collection[str]) -> None:
    """Make sure that a mapping has all keys that it needs, and none that nobody would read.

    Raises:
        InvalidInputError: it has not (the message names them), or it is no mapping.
    """
    if not isinstance(row, Mapping):
        raise InvalidInputError(f"expected a mapping, not {type(row).__name__}")
    if unknown := sorted(map(str, set(row).difference(known))):
        raise InvalidInputError(f"unknown keys {unknown}; the known ones are: {', '.join(known)}")
    if missing := [name for name in required if row.get(name) is None]:
        raise InvalidInputError(f"{' and '.join(missing)} missing")


def _check_encodable(text: str, name: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{name} contains half of a surrogate pair at position {error.start}; "
            'repair it, e.g. with text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")'
        ) from error
