"""Many may search at once: as many as there are cores are served at a time, and no more wait than may."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import Any

import pytest

from headroom.errors import OverloadedError, StorageError
from headroom.memory import Engine
from headroom.memory.cores import available_cores
from headroom.memory.stores.base import Candidates, RecallRequest
from headroom.memory.stores.sqlite import SqliteStore
from headroom.memory.stores.sqlite.read_model import ReadModel
from headroom.memory.stores.sqlite.schema import key_range

PENDING = 2


class Searches:
    """Tells who searches, and holds each until it is let go."""

    def __init__(self) -> None:
        self.begun: SimpleQueue[str] = SimpleQueue()
        self.go_on: SimpleQueue[Exception | None] = SimpleQueue()

    def hold(self, search: Callable[[ReadModel, RecallRequest], Candidates]) -> Callable[..., Candidates]:
        def held(model: ReadModel, request: RecallRequest) -> Candidates:
            self.begun.put(request.text)
            if (failure := self.go_on.get(timeout=30)) is not None:
                raise failure
            return search(model, request)

        return held


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Searches:
    searches = Searches()
    monkeypatch.setattr(ReadModel, "candidates", searches.hold(ReadModel.candidates))
    return searches


@pytest.fixture
def engine(open_engine: Callable[..., Engine]) -> Engine:
    engine = open_engine(max_pending=PENDING)
    engine.add("Likes tea", "alice")
    return engine


def waiting(engine: Engine) -> Any:
    assert isinstance(engine._store, SqliteStore)
    return engine._store._gate.get()._waiting


def test_no_more_than_there_are_cores_and_in_order(engine: Engine, searches: Searches) -> None:
    cores, pause = available_cores(), Event()
    with ThreadPoolExecutor(cores + PENDING) as threads:
        found = []
        for number in range(cores + PENDING):
            found.append(threads.submit(engine.search, f"tea {number}", "alice", min_score=0.0))
            if number < cores:
                searches.begun.get(timeout=30)
            while len(waiting(engine)) < number + 1 - cores:
                pause.wait(0.001)
        assert searches.begun.empty()

        with pytest.raises(OverloadedError, match="2 requests are waiting for the memory"):
            engine.search("one too many", "alice")

        for _ in found:
            searches.go_on.put(None)
        assert {searches.begun.get(timeout=30) for _ in range(PENDING)} == {
            f"tea {cores + number}" for number in range(PENDING)
        }
        assert [len(answer.result(30)) for answer in found] == [1] * len(found)


def test_what_a_search_found_is_loaded_however_many_wait(engine: Engine, searches: Searches) -> None:
    cores, pause = available_cores(), Event()
    first = key_range(1)[0] + 1
    with ThreadPoolExecutor(cores + PENDING + 1) as threads:
        found = [threads.submit(engine.search, "tea", "alice") for _ in range(cores + PENDING)]
        while len(waiting(engine)) < PENDING:
            pause.wait(0.001)

        loaded = threads.submit(engine._store.load, [first])
        while len(waiting(engine)) == PENDING and not loaded.done():
            pause.wait(0.001)
        for _ in found:
            searches.go_on.put(None)

        assert [each.content for each in loaded.result(30).values()] == ["Likes tea"]
        assert [len(answer.result(30)) for answer in found] == [1] * len(found)


def test_a_search_that_fails_gives_its_place_back(engine: Engine, searches: Searches) -> None:
    for _ in range(available_cores() + PENDING + 1):
        searches.go_on.put(StorageError("it is damaged"))
        with pytest.raises(StorageError):
            engine.search("tea", "alice")

    searches.go_on.put(None)
    assert len(engine.search("tea", "alice")) == 1
