"""Memories as JSON lines: a header, then one version of one memory per line, in the order of storing.

Vectors are left out: they follow from the texts, and so a dump stays readable and fits every embedder. (To
copy a database with its vectors, copy the file.)
"""

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import Any, Final, TextIO

from headroom.errors import InvalidInputError, StorageError
from headroom.memory.drafts import (
    check_expiry,
    check_keys,
    clean_entities,
    clean_metadata,
    clean_text,
)
from headroom.memory.filters import as_category, check_importance, check_time
from headroom.memory.model import Memory
from headroom.scope import check_identifier

FORMAT: Final = "headroom-memory"
VERSION: Final = 1

DumpFile = str | PathLike[str] | TextIO
"""A path, or a text file that is open already (and stays so)."""

_NAMES: Final = tuple(field.name for field in fields(Memory) if field.name != "score")
_REQUIRED: Final = ("id", "content", "user_id", "created_at", "valid_from")


def header_line(exported_at: datetime) -> str:
    """The first line of a dump."""
    return _line({"format": FORMAT, "version": VERSION, "exported_at": exported_at.isoformat()})


def memory_line(memory: Memory) -> str:
    """The line of one version; what it does not have is left out."""
    row: dict[str, Any] = {}
    for name in _NAMES:
        value = getattr(memory, name)
        if isinstance(value, datetime):
            value = value.isoformat()
        if value not in (None, (), {}):
            row[name] = value
    return _line(row)


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def read_dump(file: TextIO) -> list[Memory]:
    """All versions in a dump, checked one by one and as chains.

    Raises:
        InvalidInputError: the file is no dump, or a line cannot be read; the message names the line.
    """
    memories: dict[str, Memory] = {}
    lines = _lines(file)
    _check_header(next(lines, ""))
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            memory = _read_line(line)
            _check_place(memory, memories)
        except InvalidInputError as error:
            raise InvalidInputError(f"line {number}: {error}; nothing was imported") from error
        memories[memory.id] = memory
    for memory in memories.values():
        if memory.superseded_by is not None and memory.superseded_by not in memories:
            raise InvalidInputError(
                f"the version after {memory.id!r}, {memory.superseded_by!r}, is missing: "
                "the file was cut off; nothing was imported"
            )
    return list(memories.values())


def checked_copy(file: TextIO) -> TextIO:
    """A dump as `read_dump` has read it without a fault, to be read once more.

    Raises:
        InvalidInputError: as `read_dump`.
    """
    copy = StringIO("".join(_lines(file)))
    read_dump(copy)
    copy.seek(0)
    return copy


def _lines(file: TextIO) -> Iterator[str]:
    try:
        yield from file
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the file is not UTF-8 text: {error}; nothing was imported") from error


def _check_header(line: str) -> None:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InvalidInputError(
            f'line 1: expected the header {{"format": "{FORMAT}", "version": {VERSION}}}; '
            "this is no export of memories"
        )
    if header.get("version") != VERSION:
        raise InvalidInputError(
            f"line 1: the export has format version {header.get('version')!r}, but only {VERSION} is known; "
            "upgrade headroom-memory"
        )


def _read_line(line: str) -> Memory:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise InvalidInputError(f"expected an object, not {type(row).__name__}")
    check_keys(row, _NAMES, _REQUIRED)
    times = {
        name: check_time(_read_time(row[name], name), name)
        for name in ("created_at", "valid_from", "valid_until", "expires_at")
        if row.get(name) is not None
    }
    identifiers = {
        name: check_identifier(row[name], name)
        for name in ("id", "user_id", "session_id", "agent_id", "turn_id", "supersedes", "superseded_by")
        if row.get(name) is not None
    }
    check_expiry(times.get("expires_at"), times["valid_from"])
    if ("superseded_by" in identifiers) != ("valid_until" in times):
        raise InvalidInputError("superseded_by and valid_until go together")
    return Memory(
        # However long: it was stored before, where the limit may have been another.
        content=clean_text(row["content"], "content", sys.maxsize),
        category=as_category(row.get("category", "fact")),
        importance=check_importance(row.get("importance", 0.5)),
        entities=clean_entities(row.get("entities", ())),
        metadata=clean_metadata(row.get("metadata", {})),
        **identifiers,  # type: ignore[arg-type]  # mypy does not know the names of what is in it
        **times,  # type: ignore[arg-type]  # the same
    )


def _read_time(value: object, name: str) -> datetime:
    try:
        return datetime.fromisoformat(value)  # type: ignore[arg-type]  # that is the TypeError
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{name} is no ISO 8601 time: {value!r}") from error


def _check_place(memory: Memory, before: Mapping[str, Memory]) -> None:
    if memory.id in before:
        raise InvalidInputError(f"the id {memory.id!r} was on a line before")
    if memory.supersedes is not None:
        _check_link(before.get(memory.supersedes), memory)


def _check_link(earlier: Memory | None, later: Memory) -> None:
    """Check that a version continues the one it supersedes, so that chains are lines, not trees or rings."""
    if earlier is None:
        raise InvalidInputError(f"the version before it, {later.supersedes!r}, is on no line before")
    if earlier.superseded_by != later.id or earlier.valid_until != later.valid_from:
        raise InvalidInputError(f"it does not continue the version before it, {earlier.id!r}")
    if earlier.scope != later.scope:
        raise InvalidInputError(f"it lies in another scope than the version before it, {earlier.id!r}")


@contextmanager
def opened_for_reading(source: DumpFile) -> Iterator[TextIO]:
    """The file to read a dump from."""
    if not isinstance(source, str | PathLike):
        yield source
        return
    with Path(source).open(encoding="utf-8-sig") as file:
        yield file


@contextmanager
def opened_for_writing(target: DumpFile) -> Iterator[TextIO]:
    """The file to write a dump to.

    At a path, or where the link there leads, a file appears whole or not at all, readable by its owner only.
    What is there and is no file, like a device or a pipe, is written to.

    Raises:
        StorageError: it cannot be written there.
    """
    if not isinstance(target, str | PathLike):
        yield target
        return
    path = Path(target)
    real = Path(os.path.realpath(path))
    try:
        # What is open without a name of its own, like /dev/fd/63, is there, but not at its real path.
        with _replacement_of(real) if real.is_file() or not path.exists() else _as_it_is(path) as file:
            yield file
    except FileNotFoundError as error:
        raise StorageError(f"{path}: its directory does not exist; make it first") from error
    except IsADirectoryError as error:
        raise StorageError(f"{path}: it is a directory; name a file in it") from error
    except OSError as error:
        raise StorageError(
            f"{path}: the export cannot be written ({error.strerror}); choose another place for it"
        ) from error


@contextmanager
def _replacement_of(path: Path) -> Iterator[TextIO]:
    part = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _as_it_is(path: Path) -> TextIO:
    # Without O_CREAT, which Linux refuses for others' pipes in /tmp.
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8")
