"""Many may ask for vectors at once: few are served at a time, in order, and no more wait than may."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Lock, Thread

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.errors import EmbedderError, OverloadedError
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder
from headroom.memory.embedders.bundled import BundledEmbedder
from headroom.memory.gate import Gate


class Gated:
    """Tells which texts it was given, and holds each call until it is let go."""

    name = "gated"
    dimension = 1
    batch_size = 1

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.begun: SimpleQueue[str] = SimpleQueue()
        self.go_on: SimpleQueue[None] = SimpleQueue()
        self.at_work = 0
        self.most_at_work = 0
        self._lock = Lock()

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        with self._lock:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        self.begun.put(texts[0])
        self.go_on.get(timeout=30)
        with self._lock:
            self.at_work -= 1
        return np.ones((len(texts), 1), np.float32)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


def embeddings_of(gated: Gated, max_pending: int = 100) -> Embeddings:
    return create_embedder(MemoryConfig(embedder=gated, max_pending=max_pending))


def wait_until_waiting(gate: Gate, count: int) -> None:
    pause = Event()
    while len(gate._waiting) < count:
        pause.wait(0.001)


def gate_of(embeddings: Embeddings) -> Gate:
    return embeddings._gate.get()


def test_no_more_work_at_once_than_may(threads: ThreadPoolExecutor) -> None:
    gated = Gated(concurrency=3)
    embeddings = embeddings_of(gated)
    answers = [threads.submit(embeddings.embed, [str(number)]) for number in range(12)]
    wait_until_waiting(gate_of(embeddings), 9)
    for _ in answers:
        gated.go_on.put(None)
    assert all(answer.result(30).shape == (1, 1) for answer in answers)
    assert gated.most_at_work == 3


def test_one_too_many_is_sent_away_at_once_and_the_others_are_served(threads: ThreadPoolExecutor) -> None:
    gated = Gated(concurrency=1)
    embeddings = embeddings_of(gated, max_pending=4)
    answers = [threads.submit(embeddings.embed, ["x"]) for _ in range(5)]
    wait_until_waiting(gate_of(embeddings), 4)
    with pytest.raises(OverloadedError, match="4 requests are waiting"):
        embeddings.embed(["one too many"])
    with pytest.raises(OverloadedError, match="max_pending"):
        embeddings.embed_query("one too many")
    for _ in range(6):
        gated.go_on.put(None)
    assert all(answer.result(30).shape == (1, 1) for answer in answers)
    assert embeddings.embed(["later"]).shape == (1, 1)


def test_first_come_is_first_served(threads: ThreadPoolExecutor) -> None:
    gated = Gated(concurrency=1)
    embeddings = embeddings_of(gated)
    answers = []
    for number in range(8):
        answers.append(threads.submit(embeddings.embed, [str(number)]))
        if number == 0:
            assert gated.begun.get(timeout=30) == "0"
        else:
            wait_until_waiting(gate_of(embeddings), number)
    for _ in answers:
        gated.go_on.put(None)
    assert [gated.begun.get(timeout=30) for _ in range(7)] == ["1", "2", "3", "4", "5", "6", "7"]
    assert all(answer.result(30).shape == (1, 1) for answer in answers)


def test_many_texts_let_a_query_in_between_even_where_no_more_may_wait(threads: ThreadPoolExecutor) -> None:
    gated = Gated(concurrency=1)
    embeddings = embeddings_of(gated, max_pending=1)
    many = threads.submit(embeddings.embed, ["many 1", "many 2", "many 3"])
    assert gated.begun.get(timeout=30) == "many 1"
    query = threads.submit(embeddings.embed_query, "query")
    wait_until_waiting(gate_of(embeddings), 1)
    for _ in range(4):
        gated.go_on.put(None)
    assert query.result(30).shape == (1,)
    assert many.result(30).shape == (3, 1)
    assert [gated.begun.get(timeout=30) for _ in range(3)] == ["query", "many 2", "many 3"]


def test_many_texts_are_embedded_several_at_a_time_and_leave_one_place_free(
    threads: ThreadPoolExecutor,
) -> None:
    gated = Gated(concurrency=3)
    embeddings = embeddings_of(gated)
    many = threads.submit(embeddings.embed, [f"many {number}" for number in range(6)])
    assert gated.begun.get(timeout=30) == "many 0"
    gated.go_on.put(None)
    assert {gated.begun.get(timeout=30) for _ in range(2)} == {"many 1", "many 2"}
    query = threads.submit(embeddings.embed_query, "query")
    assert gated.begun.get(timeout=30) == "query"
    for _ in range(6):
        gated.go_on.put(None)
    assert query.result(30).shape == (1,)
    assert many.result(30).shape == (6, 1)


def test_many_texts_come_back_in_their_order() -> None:
    class Numbering:
        name = "numbering"
        dimension = 2
        batch_size = 1
        concurrency = 4

        def embed(self, texts: list[str]) -> list[list[float]]:
            return [[int(text), 100.0] for text in texts]

    embeddings = create_embedder(MemoryConfig(embedder=Numbering()))
    angles = embeddings.embed([str(number) for number in range(200)])
    assert np.rint(100 * angles[:, 0] / angles[:, 1]).tolist() == list(range(200))


def test_after_a_failure_in_the_middle_of_many_texts_all_places_are_free() -> None:
    class FailingLater:
        name = "failing later"
        dimension = 1
        batch_size = 1
        concurrency = 3

        def embed(self, texts: list[str]) -> list[list[float]]:
            if texts == ["13"]:
                raise RuntimeError("no")
            return [[1.0]]

    embeddings = create_embedder(MemoryConfig(embedder=FailingLater()))
    for _ in range(5):
        with pytest.raises(EmbedderError):
            embeddings.embed([str(number) for number in range(100)])
    assert (gate_of(embeddings)._free, len(gate_of(embeddings)._waiting)) == (3, 0)


def test_a_failure_gives_its_place_back() -> None:
    class Failing:
        name = "failing"
        dimension = 1
        concurrency = 1

        def embed(self, texts: list[str]) -> None:
            raise RuntimeError(texts[0])

    embeddings = create_embedder(MemoryConfig(embedder=Failing(), max_pending=1))
    for _ in range(3):
        with pytest.raises(EmbedderError):
            embeddings.embed(["x"])


@pytest.mark.parametrize("place_is_free_by_then", [False, True])
def test_an_interrupted_wait_holds_no_place(*, place_is_free_by_then: bool) -> None:
    gate = Gate(1, 1, "it")

    def interrupt(*_: object) -> None:
        if place_is_free_by_then:
            gate.leave()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    gate.enter()
    interrupter = Thread(target=lambda: (wait_until_waiting(gate, 1), os.kill(os.getpid(), signal.SIGUSR1)))
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        gate.enter()
    interrupter.join()
    signal.signal(signal.SIGUSR1, before)
    if not place_is_free_by_then:
        gate.leave()
    assert (gate._free, len(gate._waiting)) == (1, 0)


def test_a_storm_of_threads_is_served_whole(bundled: Embeddings) -> None:
    expected = bundled.embed(["storm"])
    with ThreadPoolExecutor(64) as threads:
        for vectors in threads.map(lambda _: bundled.embed(["storm"]), range(320)):
            assert (vectors == expected).all()
    assert gate_of(bundled)._free == BundledEmbedder.concurrency
