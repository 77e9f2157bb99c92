"""Totals: figures about everybody's memories, and about nothing that is gone."""

from store_material import DAY, NOW, SECOND, add, memory, successor, supersede

from headroom.memory import MemoryCategory
from headroom.memory.stores.base import MemoryStore, Totals


def test_an_empty_store_has_nothing(store: MemoryStore) -> None:
    assert store.totals(NOW) == Totals(users=0, by_category={}, superseded=0)


def test_totals_are_over_all_users_and_scopes(store: MemoryStore) -> None:
    old = memory("Works at Google")
    add(
        store,
        old,
        memory("Likes tea", "alice", session_id="s", category=MemoryCategory.PREFERENCE),
        memory("Likes tea", "bob", category=MemoryCategory.PREFERENCE),
    )
    supersede(store, old, successor(old, "Works at Anthropic"))

    assert store.totals(NOW + DAY) == Totals(
        users=2, by_category={MemoryCategory.PREFERENCE: 2, MemoryCategory.FACT: 1}, superseded=1
    )


def test_what_has_expired_or_was_removed_is_not_counted(store: MemoryStore) -> None:
    add(store, memory("Likes tea", "alice"), memory("Parked on level 2", "bob", expires_at=NOW + SECOND))
    add(store, memory("Likes rum", "carol"))
    store.clear("carol")

    assert store.totals(NOW + SECOND) == Totals(users=1, by_category={MemoryCategory.FACT: 1}, superseded=0)
