"""Many may search at once: as many as there are cores are served at a time, and no more wait than may."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from threading import Event

import pytest
from word_embedder import WordEmbedder

from headroom.errors import ClosedError, OverloadedError
from headroom.memory import Engine, MemoryConfig
from headroom.memory.cores import available_cores
from headroom.memory.stores.base import Candidates, RecallRequest
from headroom.memory.stores.sqlite import SqliteStore

PENDING = 2


class HoldingStore(SqliteStore):
    """A store that tells who searches, and holds each until it is let go."""

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__(config, WordEmbedder().name)
        self.begun: SimpleQueue[str] = SimpleQueue()
        self.go_on: SimpleQueue[None] = SimpleQueue()

    def candidates(self, request: RecallRequest) -> Candidates:
        self.begun.put(request.text)
        self.go_on.get(timeout=30)
        return super().candidates(request)


@pytest.fixture
def engine(config: MemoryConfig) -> Iterator[Engine]:
    with Engine(replace(config, max_pending=PENDING)) as engine:
        engine.add("Likes tea", "alice")
        engine._store.close()
        engine._store = HoldingStore(config)
        yield engine


def test_no_more_than_there_are_cores_and_in_order(engine: Engine) -> None:
    store, waiting = engine._store, engine._recalls.get()._waiting
    assert isinstance(store, HoldingStore)
    pause = Event()
    with ThreadPoolExecutor(16) as threads:
        found = []
        for number in range(available_cores() + PENDING):
            found.append(threads.submit(engine.search, f"tea {number}", "alice", min_score=0.0))
            if number < available_cores():
                store.begun.get(timeout=30)
            while len(waiting) < number + 1 - available_cores():
                pause.wait(0.001)
        assert store.begun.empty()

        with pytest.raises(OverloadedError, match="2 requests are waiting for the memory"):
            engine.search("one too many", "alice")

        for _ in found:
            store.go_on.put(None)
        assert [len(answer.result(30)) for answer in found] == [1] * len(found)
        assert {store.begun.get(timeout=30) for _ in range(PENDING)} == {
            f"tea {available_cores() + number}" for number in range(PENDING)
        }


def test_a_search_that_fails_gives_its_place_back(engine: Engine) -> None:
    store = engine._store
    assert isinstance(store, HoldingStore)
    store.close()

    for _ in range(available_cores() + PENDING + 1):
        store.go_on.put(None)
        with pytest.raises(ClosedError):
            engine.search("tea", "alice")
