"""Another embedder: no vectors are compared that cannot be, and all can be replaced without a gap."""

from collections.abc import Callable

import pytest
from store_material import (
    DIMENSION,
    NOW,
    add,
    memory,
    recalled,
    request,
    successor,
    supersede,
    vector_of,
    vectors_of,
)

from headroom.errors import EmbedderMismatchError
from headroom.memory import MemoryFilter
from headroom.memory.stores.base import MemoryStore

Open = Callable[..., MemoryStore]
NEW = 4
"""The new embedder's dimension."""


def step(store: MemoryStore, limit: int = 3) -> int:
    """Embed up to `limit` memories anew; return how many that were."""
    batch = store.unembedded(NEW, limit)
    if batch:
        store.reembed([key for key, _ in batch], vectors_of([content for _, content in batch], NEW))
    return len(batch)


def all_steps(store: MemoryStore) -> int:
    return sum(iter(lambda: step(store), 0))


@pytest.fixture
def old(open_store: Open) -> MemoryStore:
    store = open_store("old")
    add(store, *(memory(f"Number {number}", ("alice", "bob")[number % 2]) for number in range(10)))
    return store


def test_the_embedder_of_the_first_memory_is_recorded(open_store: Open) -> None:
    store = open_store("old")
    assert store.embedder_name() is None

    add(store, memory("One"))

    assert store.embedder_name() == open_store("new").embedder_name() == ("old", DIMENSION)


def test_with_another_embedder_texts_are_read_and_removed_but_not_compared_or_added(
    old: MemoryStore, open_store: Open
) -> None:
    new = open_store("new")
    first = next(iter(new.dump()))

    for forbidden in (
        lambda: add(new, memory("More")),
        lambda: supersede(new, first, successor(first, "More")),
        lambda: new.restore([memory("More")], vectors_of(["More"])),
        lambda: new.candidates(request()),
    ):
        with pytest.raises(EmbedderMismatchError, match="headroom reindex"):
            forbidden()
    assert len(new.query(MemoryFilter(user_id="alice"), NOW)) == 5
    assert new.get(first.id) == first
    assert new.history(first.id) == [first]
    assert new.delete([first.id]) == 1
    assert new.clear("bob") == 5
    assert recalled(old) == ["Number 2", "Number 4", "Number 6", "Number 8"]


def test_a_store_without_memories_takes_any_embedder(old: MemoryStore, open_store: Open) -> None:
    old.clear("alice")
    old.clear("bob")
    new = open_store("new")

    assert new.embedder_name() is None
    assert recalled(new) == []
    new.add([memory("First")], vectors_of(["First"], NEW))
    assert new.embedder_name() == ("new", NEW)


def test_step_by_step_every_vector_is_replaced(old: MemoryStore, open_store: Open) -> None:
    new = open_store("new")
    left = []
    while True:
        left.append(new.count_unembedded(NEW))
        if not step(new):
            break
        if left[-1] > 3:
            assert recalled(old) == [f"Number {number}" for number in range(0, 10, 2)]

    assert left == [10, 7, 4, 1, 0]
    assert new.embedder_name() == ("new", NEW)
    found = new.candidates(request("Number 4", dimension=NEW))
    assert max(found.evidence.cosine) == pytest.approx(1, abs=1e-6)
    with pytest.raises(EmbedderMismatchError):
        old.candidates(request())


def test_whoever_is_stopped_half_way_goes_on_there(old: MemoryStore, open_store: Open) -> None:
    new = open_store("new")
    step(new)
    new.close()

    assert recalled(old, scope="bob") == [f"Number {number}" for number in range(1, 10, 2)]
    assert all_steps(open_store("new")) == 7


def test_what_is_stored_and_removed_meanwhile_is_heeded(old: MemoryStore, open_store: Open) -> None:
    new = open_store("new")
    step(new)
    removed = old.query(MemoryFilter(user_id="alice"), NOW)[0]
    old.delete([removed.id])
    add(old, memory("Stored meanwhile"), memory("Carol's", "carol"))

    all_steps(new)

    assert recalled(new, dimension=NEW) == [
        "Number 2",
        "Number 4",
        "Number 6",
        "Number 8",
        "Stored meanwhile",
    ]
    assert recalled(new, dimension=NEW, scope="carol") == ["Carol's"]


def test_memories_removed_between_embedding_and_storing_stay_removed(
    old: MemoryStore, open_store: Open
) -> None:
    new = open_store("new")
    batch = new.unembedded(NEW, 100)
    old.clear("bob")

    new.reembed([key for key, _ in batch], vectors_of([content for _, content in batch], NEW))

    assert new.embedder_name() == ("new", NEW)
    assert len(list(new.dump())) == 5


def test_two_may_do_it_at_once(old: MemoryStore, open_store: Open) -> None:
    here, there = open_store("new"), open_store("new")
    late = there.unembedded(NEW, 3)
    all_steps(here)

    there.reembed([key for key, _ in late], vectors_of([content for _, content in late], NEW))

    assert there.count_unembedded(NEW) == 0
    assert old.embedder_name() == ("new", NEW)
    third = open_store("third")
    assert third.count_unembedded(NEW) == 10


@pytest.mark.usefixtures("old")
def test_a_third_embedder_begins_from_the_start(open_store: Open) -> None:
    step(open_store("new"))
    third = open_store("third")

    assert third.count_unembedded(NEW) == 10
    assert all_steps(third) == 10
    assert third.embedder_name() == ("third", NEW)


def test_the_same_embedder_in_another_dimension_is_another_embedder(
    old: MemoryStore, open_store: Open
) -> None:
    shorter = open_store("old")

    with pytest.raises(EmbedderMismatchError):
        shorter.candidates(request(dimension=NEW))
    assert all_steps(shorter) == 10
    assert recalled(shorter, dimension=NEW)[0] == "Number 0"
    assert old.embedder_name() == ("old", NEW)


def test_nothing_to_do_where_the_embedder_made_them_all(old: MemoryStore) -> None:
    assert old.count_unembedded(DIMENSION) == 0
    assert old.unembedded(DIMENSION, 10) == []


def test_nothing_to_do_in_an_empty_store(store: MemoryStore) -> None:
    assert store.count_unembedded(DIMENSION) == 0
    assert store.unembedded(DIMENSION, 10) == []


def test_history_is_embedded_anew_too(open_store: Open) -> None:
    old = open_store("old")
    first = memory("One")
    add(old, first)
    supersede(old, first, successor(first, "Two"))
    new = open_store("new")

    assert all_steps(new) == 2
    third = successor(new.history(first.id)[1], "Three")
    new.supersede(third.supersedes or "", third, vector_of("Three", NEW))
    assert recalled(new, dimension=NEW) == ["Three"]
