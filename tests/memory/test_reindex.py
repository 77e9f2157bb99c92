"""A database whose vectors another embedder made: its texts are there, and one call makes them anew."""

import io
from collections.abc import Callable

import pytest
from word_embedder import WordEmbedder

from headroom.errors import EmbedderError, EmbedderMismatchError, StorageError
from headroom.memory import Engine, Memory, MemoryFilter

OTHER = WordEmbedder("other words", 32)


@pytest.fixture
def memories(engine: Engine) -> list[Memory]:
    return [engine.add(f"Likes tea number {number}", "alice") for number in range(100)]


@pytest.fixture
def other(memories: list[Memory], open_engine: Callable[..., Engine]) -> Engine:
    """An engine with another embedder on the file that holds `memories`."""
    assert memories
    return open_engine(embedder=OTHER)


def test_the_texts_can_be_read_exported_and_removed(other: Engine, memories: list[Memory]) -> None:
    assert other.query(MemoryFilter(user_id="alice")) == memories
    assert other.get(memories[0].id) == memories[0]
    assert other.get_history(memories[0].id) == [memories[0]]
    assert other.count("alice") == other.stats("alice")["total"] == 100
    assert other.export(io.StringIO()) == 100
    assert other.delete(memories[0].id) is True
    assert other.clear("alice") == 99


@pytest.mark.parametrize(
    "call",
    [
        lambda engine, _: engine.add("Likes rum", "alice"),
        lambda engine, _: engine.add_many([{"content": "Likes rum", "user_id": "alice"}]),
        lambda engine, memory: engine.supersede(memory.id, "Likes rum"),
        lambda engine, _: engine.search("tea", "alice"),
    ],
)
def test_what_needs_vectors_names_the_remedy(
    other: Engine, memories: list[Memory], call: Callable[[Engine, Memory], object]
) -> None:
    with pytest.raises(EmbedderMismatchError, match="headroom reindex"):
        call(other, memories[0])
    assert other.count("alice") == 100


def test_reindexing_makes_everything_work(other: Engine, memories: list[Memory]) -> None:
    seen: list[tuple[int, int]] = []

    assert other.reindex(lambda done, total: seen.append((done, total))) == 100

    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert other.search("Likes tea number 7", "alice", top_k=1)[0].id == memories[7].id
    other.supersede(memories[0].id, "Likes rum")
    assert other.query(MemoryFilter(user_id="alice"))[:-1] == memories[1:]


def test_after_reindexing_the_old_embedder_is_the_other_one(
    other: Engine, engine: Engine, open_engine: Callable[..., Engine]
) -> None:
    other.reindex()

    for old in (engine, open_engine()):
        with pytest.raises(EmbedderMismatchError, match="headroom reindex"):
            old.search("tea", "alice")


def test_reindexing_again_has_nothing_to_do(engine: Engine, memories: list[Memory]) -> None:
    seen: list[tuple[int, int]] = []

    assert engine.reindex(lambda done, total: seen.append((done, total))) == 0
    assert seen == []
    assert engine.search("Likes tea number 7", "alice", top_k=1)[0].id == memories[7].id


def test_stopped_half_way_it_goes_on_where_it_was(
    other: Engine, engine: Engine, memories: list[Memory], open_engine: Callable[..., Engine]
) -> None:
    class Interrupted(Exception):  # noqa: N818 - what happens, not what is wrong
        pass

    def stop(_done: int, _total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        other.reindex(stop)

    assert engine.search("Likes tea number 7", "alice", top_k=1)[0].id == memories[7].id
    with pytest.raises(EmbedderMismatchError):
        other.search("tea", "alice")
    later = engine.add("Likes tea as well", "alice")

    resumed = open_engine(embedder=OTHER)
    assert 0 < resumed.reindex() < 101
    for memory in [*memories, later]:
        assert resumed.search(memory.content, "alice", top_k=1)[0].id == memory.id


@pytest.mark.parametrize("until", [1, 2])
def test_of_two_embedders_at_once_the_one_that_began_last_goes_on(
    other: Engine, open_engine: Callable[..., Engine], until: int
) -> None:
    last = open_engine(embedder=WordEmbedder("words of a third", 16))

    class Stopped(Exception):  # noqa: N818 - what happens, not what is wrong
        pass

    def stop(done: int, total: int) -> None:
        if until == 1 or done == total:
            raise Stopped

    def begin_last(_done: int, _total: int) -> None:
        with pytest.raises(Stopped):
            last.reindex(stop)

    with pytest.raises(StorageError, match="another embedder"):
        other.reindex(begin_last)

    assert last.reindex() == (36 if until == 1 else 0)
    assert len(last.search("tea", "alice")) == 10


def test_an_embedder_that_fails_changes_nothing(
    engine: Engine, memories: list[Memory], open_engine: Callable[..., Engine]
) -> None:
    class Failing(WordEmbedder):
        def embed(self, texts: list[str]) -> object:  # type: ignore[override]
            raise RuntimeError(f"cannot embed {len(texts)} texts")

    with pytest.raises(EmbedderError, match="failing"):
        open_engine(embedder=Failing("failing", 32)).reindex()
    assert engine.search("Likes tea number 7", "alice", top_k=1)[0].id == memories[7].id
