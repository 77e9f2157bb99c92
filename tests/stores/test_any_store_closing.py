"""Closing: once is enough, twice is fine, and nothing works after it."""

from collections.abc import Callable
from typing import Any

import pytest
from store_material import DIMENSION, NOW, add, memory, request, supersede, vectors_of

from headroom.errors import ClosedError
from headroom.memory import MemoryFilter
from headroom.memory.stores.base import MemoryStore

EVERY_METHOD: dict[str, Callable[[MemoryStore], Any]] = {
    "add": lambda store: add(store, memory("One")),
    "supersede": lambda store: supersede(store, memory("One"), memory("Two")),
    "get": lambda store: store.get("one"),
    "query": lambda store: store.query(MemoryFilter(user_id="alice"), NOW),
    "count": lambda store: store.count(MemoryFilter(user_id="alice"), NOW),
    "count_by_category": lambda store: store.count_by_category(MemoryFilter(user_id="alice"), NOW),
    "totals": lambda store: store.totals(NOW),
    "history": lambda store: store.history("one"),
    "delete": lambda store: store.delete(["one"]),
    "clear": lambda store: store.clear("alice"),
    "candidates": lambda store: store.candidates(request()),
    "candidates_of_each": lambda store: store.candidates_of_each([request()]),
    "load": lambda store: store.load([1]),
    "dump": lambda store: list(store.dump()),
    "restore": lambda store: store.restore([memory("One")], vectors_of(["One"])),
    "embedder_name": lambda store: store.embedder_name(),
    "count_unembedded": lambda store: store.count_unembedded(DIMENSION),
    "unembedded": lambda store: store.unembedded(DIMENSION, 1),
    "reembed": lambda store: store.reembed([1], vectors_of(["One"])),
    "size": lambda store: store.size(),
    "vacuum": lambda store: store.vacuum(NOW),
}


def test_every_method_is_listed_here() -> None:
    methods = {name for name in vars(MemoryStore) if not name.startswith("_")}

    assert methods == {*EVERY_METHOD, "close"}


@pytest.mark.parametrize("method", EVERY_METHOD)
def test_a_closed_store_does_nothing_but_close(store: MemoryStore, method: str) -> None:
    add(store, memory("One", id="one"))
    store.close()

    with pytest.raises(ClosedError):
        EVERY_METHOD[method](store)

    store.close()
