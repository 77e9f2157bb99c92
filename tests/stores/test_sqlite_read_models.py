"""Read models: grown in place, bounded in RAM, and never more than a cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from store_material import (
    DAY,
    NOW,
    SECOND,
    add,
    memory,
    open_sqlite,
    recalled,
    request,
    successor,
    supersede,
)

from headroom.memory import Scope
from headroom.memory.stores.sqlite import SqliteStore, housekeeping, partition
from headroom.memory.stores.sqlite.growing import GrowingArray
from headroom.memory.stores.sqlite.partition import Partition
from headroom.memory.stores.sqlite.read_model import ReadModel

Open = Callable[..., SqliteStore]


def model_of(store: SqliteStore, user_id: str = "alice") -> ReadModel:
    recalled(store, scope=user_id)
    return store._partitions._cache[user_id].model


def cached(store: SqliteStore) -> list[str]:
    return list(store._partitions._cache)


def statements_of(store: SqliteStore) -> list[str]:
    """Records what the store asks its database for from now on."""
    asked: list[str] = []
    with store._pool.connection() as connection:
        connection.set_trace_callback(asked.append)
    return asked


def test_an_added_memory_does_not_move_the_others(open_file: Open) -> None:
    store = open_file()
    add(store, *(memory(f"Number {number}") for number in range(100)))
    before = model_of(store)

    for number in range(100, 110):
        add(store, memory(f"Number {number}"))
        after = model_of(store)
        assert len(after.keys) == number + 1
        assert np.shares_memory(after.columns.vectors.codes, before.columns.vectors.codes)
        assert np.shares_memory(after.keys, before.keys)


def test_a_model_that_somebody_still_reads_stays_as_it_was(open_file: Open) -> None:
    store = open_file()
    old, other = add(store, memory("One"), memory("Two", session_id="s"))
    before = model_of(store)
    wanted = request(scope=Scope("alice", "s"))
    answer = before.candidates(wanted)

    supersede(store, old, successor(old, "Three"))
    store.delete([other.id])
    add(store, memory("Four", session_id="new"))
    assert recalled(store, scope=Scope("alice", "s")) == ["Three"]

    again = before.candidates(wanted)
    assert again.keys.tolist() == answer.keys.tolist()
    assert again.evidence.window_cosine.tolist() == answer.evidence.window_cosine.tolist()


def test_nothing_is_read_where_nothing_changed(open_file: Open) -> None:
    store = open_file()
    add(store, memory("One"))
    model = model_of(store)
    asked = statements_of(store)

    assert model_of(store) is model
    assert [each for each in asked if "FROM memories" in each and "json_each" not in each] == []


def test_what_others_write_costs_no_reading_of_vectors(open_file: Open) -> None:
    store, other = open_file(), open_file()
    add(store, memory("One"))
    before = model_of(store)
    asked = statements_of(store)

    add(other, memory("Bob's", "bob"))

    assert model_of(store) is before
    assert not any("FROM embeddings WHERE" in each for each in asked)


def test_the_users_of_longest_ago_make_room(open_file: Open) -> None:
    store = open_file(partition_cache_bytes=60_000)
    users = [f"user {number}" for number in range(10)]
    for user in users:
        add(store, *(memory(f"Number {number}", user) for number in range(60)))

    for user in users:
        assert len(recalled(store, scope=user)) == 60

    cache = store._partitions._cache
    assert cache.currsize <= 60_000
    assert 1 < len(cache) < 10
    assert cached(store) == users[-len(cache) :]


def test_what_grows_beyond_the_bound_drops_others_first(open_file: Open) -> None:
    store = open_file(partition_cache_bytes=60_000)
    for user in ("alice", "bob"):
        add(store, *(memory(f"Number {number}", user) for number in range(60)))
        recalled(store, scope=user)
    assert cached(store) == ["alice", "bob"]

    for step in range(8):
        add(store, *(memory(f"Step {step} {number}") for number in range(50)))
        recalled(store)

    assert cached(store) == ["alice"]


def test_a_user_too_large_for_the_bound_is_served_and_stays_until_another_comes(open_file: Open) -> None:
    store = open_file(partition_cache_bytes=1)
    add(store, memory("Alice's"), memory("Bob's", "bob"))

    assert recalled(store) == ["Alice's"]
    model = store._partitions._cache["alice"].model
    assert model_of(store) is model
    assert recalled(store, scope="bob") == ["Bob's"]
    assert cached(store) == ["bob"]
    assert recalled(store) == ["Alice's"]


@pytest.mark.parametrize("step", ["_apply_changes", "_numbers", "_published"])
def test_a_failure_while_reading_leaves_nothing_half_read(
    open_file: Open, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store = open_file()
    old = add(store, memory("One"))[0]
    assert recalled(store) == ["One"]
    supersede(store, old, successor(old, "Two"))
    add(store, memory("Three", session_id="s"))

    def no_memory_left(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Partition, step, no_memory_left)
        with pytest.raises(MemoryError):
            recalled(store)

    assert recalled(store, scope=Scope("alice", "s")) == ["Two", "Three"]


def test_a_model_that_is_read_anew_can_be_weighed_meanwhile(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file()
    add(store, memory("One"))
    recalled(store)
    part = store._partitions._cache["alice"]
    weighing: list[Any] = []

    class Watched(GrowingArray):
        def __init__(self, values: NDArray[Any]) -> None:
            weighing.append(iter(part._columns.values()))
            super().__init__(values)

    monkeypatch.setattr(partition, "GrowingArray", Watched)
    part._begin(0, None)

    assert len(weighing) > 1
    assert all(list(each) for each in weighing)


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose read models were started anew, once they had been read."""
    users: list[str] = []
    begin = Partition._begin

    def noting(self: Partition, *arguments: Any) -> None:
        if hasattr(self, "model"):
            users.append(self.user_id)
        begin(self, *arguments)

    monkeypatch.setattr(Partition, "_begin", noting)
    return users


def vacuum_after_changes(store: SqliteStore) -> None:
    """Remove something of Bob's, and have vacuum remove something too."""
    gone, _ = add(store, memory("Gone", "bob"), memory("Expired", "bob", expires_at=NOW + SECOND))
    store.delete([gone.id])
    store.vacuum(NOW + SECOND)


def test_vacuum_makes_nobody_read_again(open_file: Open, anew: list[str]) -> None:
    here, there = open_file(), open_file()
    add(here, memory("One"), memory("Bob's", "bob"))
    for store in (here, there):
        assert (recalled(store), recalled(store, scope="bob")) == (["One"], ["Bob's"])
    anew.clear()

    vacuum_after_changes(here)
    for store in (here, there):
        assert (recalled(store), recalled(store, scope="bob")) == (["One"], ["Bob's"])

    assert anew == []


def test_of_very_many_changes_only_the_last_are_kept_for_others_to_read(
    open_file: Open, monkeypatch: pytest.MonkeyPatch, anew: list[str]
) -> None:
    monkeypatch.setattr(housekeeping, "_CHANGES", 3)
    here, there = open_file(), open_file()
    stored = add(here, *(memory(f"Number {number}") for number in range(10)))
    recalled(there)
    here.delete([each.id for each in stored[:4]])
    recalled(here)
    here.delete([stored[4].id, stored[5].id])
    anew.clear()

    here.vacuum(NOW)
    rest = [f"Number {number}" for number in range(6, 10)]
    assert recalled(here) == rest
    assert anew == []  # it had read all that was forgotten
    assert recalled(there) == rest
    assert anew == ["alice"]

    with here._pool.connection() as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (2,)


def test_removed_rows_are_dropped_when_they_are_many(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition, "_REMOVED", 10)
    store = open_file()
    stored = add(store, *(memory(f"Number {number}", session_id="s") for number in range(40)))
    assert len(model_of(store).keys) == 40

    for count in range(1, 31):
        store.delete([stored[count].id])
        here, there = store, open_file()
        wanted = request("Number 0", Scope("alice", "s"))
        ours, theirs = (each.candidates(wanted) for each in (here, there))
        assert ours.keys.tolist() == theirs.keys.tolist()
        assert ours.evidence.window_cosine == pytest.approx(theirs.evidence.window_cosine, abs=1e-6)
        assert ours.evidence.window_coverage == pytest.approx(theirs.evidence.window_coverage, abs=1e-6)
        there.close()

    assert len(model_of(store).keys) < 25


def test_a_long_life_of_small_changes_is_like_a_fresh_reading(open_file: Open) -> None:
    store = open_file()
    current = []
    for number in range(200):
        session: dict[str, Any] = {"session_id": ("s", "t", None)[number % 3]}
        current.append(add(store, memory(f"Number {number} is fine", at=NOW + number * SECOND, **session))[0])
        if number % 3 == 2:
            old = current.pop(number % len(current))
            current.append(successor(old, f"Number {number} is better", at=NOW + number * SECOND))
            supersede(store, old, current[-1])
        if number % 5 == 4:
            store.delete([current.pop(number % len(current)).id])
        recalled(store)

    fresh = open_file()
    for scope in (Scope("alice"), Scope("alice", "s"), Scope("alice", "t")):
        wanted = request("what number is better", scope)
        ours, theirs = store.candidates(wanted), fresh.candidates(wanted)
        assert ours.keys.tolist() == theirs.keys.tolist()
        for name in ("cosine", "coverage", "window_cosine", "window_coverage", "said_then"):
            assert getattr(ours.evidence, name) == pytest.approx(getattr(theirs.evidence, name), abs=1e-6)


def test_an_array_grows_without_moving_and_changes_in_a_copy() -> None:
    array = GrowingArray(np.arange(100))
    before = array.view

    array.extend(np.arange(100, 105))
    assert np.shares_memory(array.view, before)
    array.replace(np.array([0, 104]), np.array([-1, -2]))

    assert before.tolist() == list(range(100))
    assert array.view.tolist() == [-1, *range(1, 104), -2]
    for number in range(1_000):
        array.extend(np.array([number]))
    assert array.view[-1_000:].tolist() == list(range(1_000))
    assert array.nbytes < 2 * array.view.nbytes + 1_000


def test_a_model_without_memories_has_an_answer_too(db_path: Path) -> None:
    store = open_sqlite(db_path)

    assert recalled(store) == []
    assert len(model_of(store).keys) == 0
    store.close()


def test_plans_upon_plans_are_noted_and_read_once_each(open_file: Open, db_path: Path) -> None:
    store, steps = open_file(), {}
    for count, user in ((300, "alice"), (600, "bob")):
        chain = [memory("Plan 0", user, valid_from=NOW + DAY)]
        add(store, *chain)
        for number in range(1, count):
            planned = NOW + DAY + number * SECOND
            chain.append(successor(chain[-1], f"Plan {number}", at=NOW, valid_from=planned))
            supersede(store, *chain[-2:])
        with store._pool.reading() as connection:
            (noted,) = connection.execute(
                "SELECT count(*) FROM changes JOIN users USING (user) WHERE name = ?", (user,)
            ).fetchone()
            taken: list[None] = []
            connection.set_progress_handler(lambda taken=taken: taken.append(None), 100)  # type: ignore[misc]
            Partition(user).catch_up(connection, str(db_path))
            connection.set_progress_handler(None, 0)
        assert noted == count - 1
        steps[user] = len(taken)

    assert steps["bob"] < 3 * steps["alice"]
