"""What the tests of stores are made of: memories, vectors, recalls, and what the answers should be."""

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from numpy.random import default_rng  # now: a child forked while a thread imports it would wait for ever

from headroom.memory import Memory, MemoryCategory, MemoryConfig, Scope
from headroom.memory.stores.base import MemoryStore, RecallRequest, Vectors
from headroom.memory.stores.sqlite import SqliteStore

DIMENSION = 8
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)

_numbers = itertools.count()


def vector_of(text: str, dimension: int = DIMENSION) -> Vectors:
    """A unit vector that the text decides."""
    seed = int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")
    vector = default_rng(seed).standard_normal(dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def vectors_of(texts: Iterable[str], dimension: int = DIMENSION) -> Vectors:
    return np.array([vector_of(text, dimension) for text in texts], np.float32).reshape(-1, dimension)


def memory(content: str, user_id: str = "alice", *, at: datetime = NOW, **parts: Any) -> Memory:
    """A memory of its own, stored and true since `at`."""
    given = {"id": f"m{next(_numbers)}", "created_at": at, "valid_from": at} | parts
    return Memory(content=content, user_id=user_id, **given)


def successor(old: Memory, content: str, *, at: datetime = NOW + SECOND, **parts: Any) -> Memory:
    given = {"id": f"m{next(_numbers)}", "created_at": at, "valid_from": at} | parts
    return replace(old, content=content, supersedes=old.id, superseded_by=None, valid_until=None, **given)


def add(store: MemoryStore, *memories: Memory) -> list[Memory]:
    return store.add(memories, vectors_of(each.content for each in memories))


def supersede(store: MemoryStore, old: Memory, new: Memory) -> Memory:
    return store.supersede(old.id, new, vector_of(new.content))


def request(
    text: str = "anything", scope: Scope | str = "alice", *, now: datetime = NOW + DAY, **conditions: Any
) -> RecallRequest:
    scope = Scope(scope) if isinstance(scope, str) else scope
    dimension = conditions.pop("dimension", DIMENSION)
    return RecallRequest(scope=scope, vector=vector_of(text, dimension), text=text, now=now, **conditions)


def recall(store: MemoryStore, *arguments: Any, **conditions: Any) -> list[Memory]:
    """All candidates, in the order of their keys."""
    keys = store.candidates(request(*arguments, **conditions)).keys.tolist()
    loaded = store.load(keys)
    return [loaded[key] for key in sorted(keys)]


def recalled(store: MemoryStore, *arguments: Any, **conditions: Any) -> list[str]:
    return [each.content for each in recall(store, *arguments, **conditions)]


def is_recalled(each: Memory, wanted: RecallRequest, later: Iterable[Memory] = ()) -> bool:
    """What the answer to a recall is, said once more, in the simplest way; `later` are its next versions."""
    then = wanted.as_of or wanted.now
    begun = each.valid_from <= then
    ended = each.valid_until is not None and each.valid_until <= then
    if wanted.as_of is None:
        begun = begun or held_when_stored(each)
        ended = ended or any(map(held_when_stored, later))
    return (
        each.user_id == wanted.scope.user_id
        and (wanted.all_sessions or each.visible_from(wanted.scope))
        and (wanted.categories is None or each.category in wanted.categories)
        and begun
        and not ended
        and (each.expires_at is None or each.expires_at > max(then, wanted.now))
    )


def held_when_stored(each: Memory) -> bool:
    """Whether it has begun, whatever a clock says that may have been set back since."""
    return each.valid_from <= each.created_at


def open_sqlite(path: Path | str, embedder_name: str = "words", **settings: Any) -> SqliteStore:
    return SqliteStore(MemoryConfig(db_path=path, **settings), embedder_name)


CATEGORIES = list(MemoryCategory)

PATIENT = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Examples take turns on one store, and a machine may have other work."""
