"""Reads what a model noted in its memory block, as far as it makes sense.

The canonical form, in which only `content` is required::

    {"memories": [{"content": "Prefers Python", "category": "preference", "importance": 0.8,
                   "scope": "session", "replaces": "m2"}], "forget": ["m3"]}

Models are sloppier than that: bare strings as items, a single object, a bare list, several objects in a row,
single quotes, trailing commas, a text that was cut off, lines of plain text without any JSON. Each item that
does not make sense is dropped alone.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from headroom.memory.model import MemoryCategory, ScopeLevel

Json: TypeAlias = Any

MAX_ITEMS: Final = 32
"""How many memories and how many handles to forget are read from one block, and how many unreadable items
are counted."""
_MAX_DEPTH: Final = 8

_TOKEN: Final = re.compile(
    r"""
    (?P<string>(["'])(?:\\.|[^\\])*?\2(?=\s*[,:}\]]|\s+"\w+"\s*:|\s*\Z))  # ends where something can follow
    | (?P<smart>[\u201c-\u201f][^\u201c-\u201f]*[\u201c-\u201f](?=\s*[,:}\]]|\s*\Z))
    | (?P<cut>["'\u201c-\u201f].*\Z)
    | (?P<mark>[{}\[\]:,])
    | (?P<word>[^\s{}\[\]:,"'][^{}\[\]:,"'\r\n]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_LONGEST_LINE: Final = 500
"""How long a line of plain text may be that is a memory."""
_BULLET: Final = re.compile(r"(?:[-*+\u2022]|\d{1,3}[.)])\s+|```.*")
_NOTHING: Final = re.compile(
    r"\W*(?:m\d{1,4}|none|null|n/?a|empty|nothing(?: new)?"
    r"|no(?: new)? (?:memor(?:y|ies)|information|facts?|notes?))(?: to (?:remember|note|add|store|save))?\W*",
    re.IGNORECASE,
)
_CONTENT_KEYS: Final = ("content", "memory", "text", "fact", "memories")
_LIST_KEYS: Final = ("memories", "memory", "facts")
_HANDLE: Final = re.compile(r"\[?\s*m?(\d{1,4})\s*\]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ExtractedMemory:
    """One memory that the model asks to keep; None where it did not say, or nothing that makes sense."""

    content: str
    category: MemoryCategory | None = None
    importance: float | None = None
    """Between 0 and 1."""
    level: ScopeLevel | None = None
    """USER or SESSION."""
    replaces: str | None = None
    """The handle, such as "m2", of the shown memory whose place it takes."""


@dataclass(slots=True)
class Extraction:
    """What the blocks of one answer ask for."""

    memories: list[ExtractedMemory] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)
    """Handles of shown memories."""
    unreadable: int = 0
    """How many items made no sense, as far as they were counted."""


def read_block(body: str) -> Extraction:
    """Read what stands between the tags of one block. Never raises: the text comes from a model."""
    extraction = Extraction()
    values = list(_Reader(body).values())
    for value, whole in values:
        if isinstance(value, dict) and not whole:
            # What is not whole may lack what it says last: whom it concerns, what it replaces.
            value = {key: member for key, member in value.items() if isinstance(member, list)}  # noqa: PLW2901 - nobody wants the rest
        _collect(value, extraction)
    if not values:
        _collect_lines(body, extraction)
    del extraction.memories[MAX_ITEMS:], extraction.forget[MAX_ITEMS:]
    extraction.unreadable = min(extraction.unreadable, MAX_ITEMS)
    return extraction


def _collect(value: Json, extraction: Extraction) -> None:
    match value:
        case str():
            _collect_memory({"content": value}, extraction)
        case list():
            for item in value:
                _collect(item, extraction)
        case dict():
            several = [value[key] for key in _LIST_KEYS if isinstance(value.get(key), list | dict)]
            for memories in several:
                _collect(memories, extraction)
            if not several and not value.keys().isdisjoint(_CONTENT_KEYS):
                _collect_memory(value, extraction)
            _collect_forget(value.get("forget"), extraction)
        case _:
            extraction.unreadable += 1


def _collect_lines(text: str, extraction: Extraction) -> None:
    for line in text.splitlines():
        content = _BULLET.sub("", line.strip(), count=1).strip("\"', ")
        if content and len(content) <= _LONGEST_LINE:
            _collect_memory({"content": content}, extraction)


def _collect_memory(item: dict[str, Json], extraction: Extraction) -> None:
    content = next((item[key] for key in _CONTENT_KEYS if isinstance(item.get(key), str)), "")
    content = " ".join(content.encode(errors="ignore").decode().split())  # half a surrogate pair is no text
    if not any(map(str.isalnum, content)) or _NOTHING.fullmatch(content):
        extraction.unreadable += 1
        return
    memory = ExtractedMemory(
        content,
        _category(item.get("category")),
        _importance(item.get("importance")),
        _level(item.get("scope")),
        _handle(item.get("replaces")),
    )
    extraction.memories.append(memory)


def _collect_forget(value: Json, extraction: Extraction) -> None:
    if value is None:
        return
    for item in value if isinstance(value, list) else [value]:
        if (handle := _handle(item)) is None:
            extraction.unreadable += 1
        elif handle not in extraction.forget:
            extraction.forget.append(handle)


def _category(value: Json) -> MemoryCategory | None:
    """The category named, in the singular or plural."""
    name = value.strip().lower() if isinstance(value, str) else ""
    for candidate in (name, name.removesuffix("s"), name.removesuffix("ies") + "y"):
        if candidate in set(MemoryCategory):
            return MemoryCategory(candidate)
    return None


def _importance(value: Json) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(value, bool) or math.isnan(number):
        return None
    return min(max(number, 0.0), 1.0)


def _level(value: Json) -> ScopeLevel | None:
    name = value.strip().lower() if isinstance(value, str) else ""
    return ScopeLevel(name) if name in {ScopeLevel.USER, ScopeLevel.SESSION} else None


def _handle(value: Json) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    found = _HANDLE.fullmatch(str(value).strip())
    return f"m{int(found[1])}" if found else None


class _Reader:
    """Reads JSON, and what almost is JSON: what is out of place is passed over, a missing end is made up for.

    Each value comes with whether it was whole.
    """

    def __init__(self, text: str) -> None:
        self._tokens = [(match.lastgroup or "", match[0]) for match in _TOKEN.finditer(text)]
        self._at = 0

    def values(self) -> Iterator[tuple[Json, bool]]:
        """The objects and lists of the text; words between them, as in a code fence, are passed over."""
        while symbol := self._peek():
            if symbol in {"{", "["}:
                yield self._value(0)
            else:
                self._at += 1

    def _peek(self) -> str:
        """The next token; "" at the end."""
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _value(self, depth: int) -> tuple[Json, bool]:
        kind, symbol = self._tokens[self._at]
        self._at += 1
        if kind == "cut" or depth > _MAX_DEPTH:
            self._at = len(self._tokens)
            return None, False
        if symbol == "{":
            return self._object(depth)
        if symbol == "[":
            return self._list(depth)
        return (_unquoted(symbol) if kind in {"string", "smart"} else _bare(symbol)), True

    def _list(self, depth: int) -> tuple[list[Json], bool]:
        items: list[Json] = []
        while (symbol := self._peek()) not in {"", "]", "}"}:
            if symbol in {",", ":"}:
                self._at += 1
                continue
            value, whole = self._value(depth + 1)
            if whole or isinstance(value, list):
                items.append(value)
        self._at += symbol == "]"
        return items, bool(symbol)

    def _object(self, depth: int) -> tuple[dict[str, Json], bool]:
        members: dict[str, Json] = {}
        while (symbol := self._peek()) not in {"", "]", "}"}:
            if symbol in {",", ":"}:
                self._at += 1
                continue
            key, _ = self._value(depth + 1)
            if self._peek() != ":":
                members |= key if isinstance(key, dict) else {}
                continue
            self._at += 1
            if self._peek() in {"", ",", "]", "}"}:
                continue
            value, whole = self._value(depth + 1)
            if isinstance(key, str) and (whole or isinstance(value, list)):
                members[key.lower()] = value
        self._at += symbol == "}"
        return members, bool(symbol)


def _unquoted(token: str) -> str:
    try:
        text = str(json.loads(token, strict=False))
    except ValueError:
        text = re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
    return text


def _bare(word: str) -> Json:
    try:
        return json.loads(word)
    except ValueError:
        return word.strip()
