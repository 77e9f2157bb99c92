import io
from collections.abc import Callable
from pathlib import Path

import pytest

from headroom.errors import ClosedError, StorageError
from headroom.memory import Engine, MemoryConfig, MemoryFilter
from headroom.memory.embedders import Embeddings
from headroom.memory.stores.sqlite import SqliteStore

CALLS: list[Callable[[Engine], object]] = [
    lambda engine: engine.add("Likes tea", "alice"),
    lambda engine: engine.add_many([{"content": "Likes tea", "user_id": "alice"}]),
    lambda engine: engine.supersede("some id", "Likes rum"),
    lambda engine: engine.rollback("some id"),
    lambda engine: engine.get("some id"),
    lambda engine: engine.get_history("some id"),
    lambda engine: engine.query(MemoryFilter(user_id="alice")),
    lambda engine: engine.count("alice"),
    lambda engine: engine.stats("alice"),
    lambda engine: engine.overview(),
    lambda engine: engine.search("tea", "alice"),
    lambda engine: engine.delete("some id"),
    lambda engine: engine.clear("alice"),
    lambda engine: engine.vacuum(),
    lambda engine: engine.export(io.StringIO()),
    lambda engine: engine.import_(
        io.StringIO(
            '{"format": "headroom-memory", "version": 1}\n'
            '{"id": "m1", "content": "Likes tea", "user_id": "alice", '
            '"created_at": "2024-01-01T00:00:00Z", "valid_from": "2024-01-01T00:00:00Z"}'
        )
    ),
    lambda engine: engine.reindex(),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_engine_says_that_it_is_closed(engine: Engine, call: Callable[[Engine], object]) -> None:
    engine.close()
    engine.close()

    with pytest.raises(ClosedError, match="close"):
        call(engine)


def test_leaving_the_block_closes_and_what_was_stored_stays(config: MemoryConfig) -> None:
    with Engine(config) as engine:
        added = engine.add("Likes tea", "alice")
    with pytest.raises(ClosedError):
        engine.get(added.id)
    with Engine(config) as engine:
        assert engine.get(added.id) == added
        assert [found.id for found in engine.search("tea", "alice")] == [added.id]


def test_an_engine_keeps_its_file_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Engine(MemoryConfig(db_path="own.db")) as engine:
        monkeypatch.chdir(tmp_path / "there")
        engine.add("Likes tea", "alice")
        assert engine.stats("alice")["database_bytes"] > 0

    assert (tmp_path / "here" / "own.db").exists()
    assert list((tmp_path / "there").iterdir()) == []


def test_a_store_that_cannot_be_closed_keeps_no_embedder_open(
    config: MemoryConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(config)
    closed: list[Embeddings] = []

    def close(embedder: Embeddings) -> None:
        closed.append(embedder)

    def fail(_: SqliteStore) -> None:
        raise StorageError("the disk failed")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "close", fail)
        patch.setattr(Embeddings, "close", close)
        with pytest.raises(StorageError, match="the disk failed"):
            engine.close()

    assert closed == [engine._embedder]
    engine.close()
