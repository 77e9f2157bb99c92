"""The vectors of recent queries are kept."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from headroom.errors import EmbedderError
from headroom.memory.config import MemoryConfig
from headroom.memory.embedders import Embeddings, create_embedder


class Counting:
    """Counts its calls; waits where it is told to, and raises what it is told to."""

    name = "counting"
    dimension = 2
    concurrency = 8

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.begun = Event()
        self.may_go_on = Event()
        self.may_go_on.set()
        self.error: BaseException | None = None

    def embed(self, texts: list[str]) -> NDArray[np.float32]:
        self.asked += texts
        self.begun.set()
        assert self.may_go_on.wait(30)
        if self.error is not None:
            raise self.error
        return np.array([[len(text), 1] for text in texts], np.float32)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def kept(counting: Counting, size: int = 2) -> Embeddings:
    return create_embedder(MemoryConfig(embedder=counting, cache_max_size=size))


def test_a_query_is_embedded_once(counting: Counting) -> None:
    embeddings = kept(counting)
    assert (embeddings.embed_query("a") == embeddings.embed_query("a")).all()
    assert embeddings.embed_query("a").shape == (2,)
    assert counting.asked == ["a"]


def test_what_was_not_asked_for_longest_is_dropped(counting: Counting) -> None:
    embeddings = kept(counting)
    for query in ["a", "b", "a", "c", "a", "b"]:
        embeddings.embed_query(query)
    assert counting.asked == ["a", "b", "c", "b"]


def test_nothing_is_kept_where_the_cache_is_off(counting: Counting) -> None:
    embeddings = create_embedder(MemoryConfig(embedder=counting, cache_enabled=False))
    embeddings.embed_query("a")
    assert embeddings.embed_query("a").shape == (2,)
    assert counting.asked == ["a", "a"]


def test_texts_to_store_leave_the_cache_alone(counting: Counting) -> None:
    embeddings = kept(counting)
    embeddings.embed_query("a")
    embeddings.embed(["b", "c", "d"])
    embeddings.embed_query("a")
    assert counting.asked == ["a", "b", "c", "d"]


def test_a_kept_vector_cannot_be_changed(counting: Counting) -> None:
    with pytest.raises(ValueError, match="read-only"):
        kept(counting).embed_query("a")[0] = 7


def ask(
    threads: ThreadPoolExecutor, embeddings: Embeddings, counting: Counting
) -> list[Future[NDArray[np.float32]]]:
    """Have one thread begin to embed a query, and seven more ask for the same."""
    counting.may_go_on.clear()
    first = threads.submit(embeddings.embed_query, "a")
    assert counting.begun.wait(30)
    return [first, *(threads.submit(embeddings.embed_query, "a") for _ in range(7))]


def test_threads_that_ask_for_the_same_share_one_embedding(
    counting: Counting, threads: ThreadPoolExecutor
) -> None:
    answers = ask(threads, kept(counting), counting)
    counting.may_go_on.set()
    assert len({id(answer.result(30)) for answer in answers}) == 1
    assert counting.asked == ["a"]


def test_a_failure_reaches_all_who_wait_and_is_not_kept(
    counting: Counting, threads: ThreadPoolExecutor
) -> None:
    embeddings = kept(counting)
    counting.error = RuntimeError("broken")
    answers = ask(threads, embeddings, counting)
    counting.may_go_on.set()
    for answer in answers:
        with pytest.raises(EmbedderError, match="counting failed with RuntimeError"):
            answer.result(30)
    counting.error = None
    assert embeddings.embed_query("a").shape == (2,)


def test_an_interrupted_thread_interrupts_no_other(counting: Counting, threads: ThreadPoolExecutor) -> None:
    embeddings = kept(counting)
    counting.error = KeyboardInterrupt()
    first, *others = ask(threads, embeddings, counting)
    counting.may_go_on.set()
    with pytest.raises(KeyboardInterrupt):
        first.result(30)
    for other in others:
        # They try themselves, and are interrupted there.
        assert isinstance(other.exception(30), KeyboardInterrupt)
    assert counting.asked == ["a"] * 8
    counting.error = None
    assert embeddings.embed_query("a").shape == (2,)
