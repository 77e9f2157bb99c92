"""Large partitions: found through a graph, which is built beside the requests and never trusted."""

import json
import logging
import os
import shutil
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
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
    vector_of,
    vectors_of,
)

from headroom.errors import StorageError
from headroom.memory import Memory, Scope
from headroom.memory.quantisation import QuantisedVectors
from headroom.memory.stores.sqlite import SqliteStore, hnsw, indexing, snapshots, writing
from headroom.memory.stores.sqlite.growing import GrowingArray
from headroom.memory.stores.sqlite.hnsw import HnswIndex, Shape

pytest.importorskip("hnswlib")

SIZE = 600
SMALL = {"index_threshold": 200, "hnsw_m": 8, "hnsw_ef_construction": 50}
Open = Callable[..., SqliteStore]


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hnsw, "_FEW", 100)
    monkeypatch.setattr(hnsw, "_REMOVED", 50)
    monkeypatch.setattr(indexing, "_DRIFT", 50)
    monkeypatch.setattr(indexing, "_GONE", 50)


def fill(store: SqliteStore, count: int = SIZE, **parts: Any) -> list[Memory]:
    return add(store, *(memory(f"Number {number}", **parts) for number in range(count)))


def graph_of(store: SqliteStore, user_id: str = "alice") -> HnswIndex | None:
    """The user's graph, after whoever builds it is done."""
    recalled(store, scope=user_id)
    while (worker := store._partitions._indexer._worker) is not None:
        worker.join()
    return store._partitions._cache[user_id].model.index


def delete_as_before(store: SqliteStore, gone: list[Memory]) -> None:
    """Leave snapshots as they are: as earlier versions did, or where the power is cut at the wrong moment."""
    with store._pool.writing() as connection:
        writing.delete(connection, [each.id for each in gone])


def nearest(store: SqliteStore, text: str, scope: Scope | str = "alice") -> list[str]:
    """The ten that are nearest by vector, nearest first; no word of the query is anywhere."""
    candidates = store.candidates(request(text, scope))
    best = candidates.keys[np.argsort(-candidates.evidence.cosine)][:10].tolist()
    loaded = store.load(best)
    return [loaded[key].content for key in best]


def in_graph(text: str) -> bytes:
    """The text's vector as a graph, and its snapshot, hold it."""
    return QuantisedVectors.of(vectors_of([text])).restored().tobytes()


def right(texts: list[str], query: str) -> list[str]:
    cosines = QuantisedVectors.of(vectors_of(texts)).cosines(vector_of(query))
    return [texts[place] for place in np.argsort(-cosines)[:10]]


def agreement(store: SqliteStore, texts: list[str], scope: Scope | str = "alice") -> float:
    """Which share of the truly nearest is found."""
    shares = []
    for query in (f"xyz{number}" for number in range(30)):
        wanted = {*right(texts, query)}
        shares.append(len(wanted.intersection(nearest(store, query, scope))) / len(wanted))
    return sum(shares) / len(shares)


def texts_of(memories: list[Memory]) -> list[str]:
    return [each.content for each in memories]


@pytest.fixture
def filled(open_file: Open) -> tuple[SqliteStore, list[Memory]]:
    """A store with a graph."""
    store = open_file(**SMALL)
    memories = fill(store)
    assert graph_of(store) is not None
    return store, memories


def test_it_finds_what_comparing_with_all_finds(filled: tuple[SqliteStore, list[Memory]]) -> None:
    store, memories = filled

    assert agreement(store, texts_of(memories)) > 0.99


def test_it_finds_what_is_current_when_the_clock_is_set_back(
    filled: tuple[SqliteStore, list[Memory]],
) -> None:
    store, (old, *_) = filled
    supersede(store, old, successor(old, "Something else", at=NOW + SECOND))

    found = {text for query in (old.content, "Something else") for text in recalled(store, query, now=NOW)}

    assert graph_of(store) is not None
    assert "Something else" in found
    assert old.content not in found


def test_small_partitions_have_none(open_file: Open) -> None:
    store = open_file(**SMALL)
    fill(store, 199)
    assert graph_of(store) is None

    add(store, memory("The one that is too many"))

    assert graph_of(store) is not None


def test_until_it_is_built_nothing_is_missing(open_file: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_file(**SMALL)
    texts = texts_of(fill(store))
    add_to_graph = HnswIndex._add

    def slowly(self: HnswIndex, *arguments: Any) -> None:
        assert right(texts, "xyz") == nearest(store, "xyz")
        assert store._partitions._cache["alice"].model.index is None
        add_to_graph(self, *arguments)

    monkeypatch.setattr(HnswIndex, "_add", slowly)

    assert graph_of(store) is not None


def test_what_is_new_is_found_at_once_and_joins_later(filled: tuple[SqliteStore, list[Memory]]) -> None:
    store, memories = filled
    graph = graph_of(store)
    assert graph is not None
    for number in range(120):
        new = memory(f"New {number}")
        add(store, new)
        memories.append(new)
        assert nearest(store, new.content)[0] == new.content

    graph_of(store)
    assert len(graph) > SIZE + 50
    assert agreement(store, texts_of(memories)) > 0.99


def test_what_joins_the_graph_while_somebody_searches_is_not_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"Number {number}" for number in range(400)]
    keys, vectors = np.arange(400), QuantisedVectors.of(vectors_of(texts))
    all_of_them = np.ones(400, np.bool_)
    graph = HnswIndex(Shape(8, 8, 50), ef_search=50)
    for _ in graph.catch_up(keys[:300], vectors[:300], all_of_them[:300]):
        pass
    ask = HnswIndex._named

    def meanwhile(self: HnswIndex, *arguments: Any) -> Any:
        answer = ask(self, *arguments)
        for _ in self.catch_up(keys, vectors, all_of_them):
            pass
        return answer

    monkeypatch.setattr(HnswIndex, "_named", meanwhile)
    found = graph.nearest(vector_of("Number 350"), keys, vectors, all_of_them, 10)

    assert found is not None
    assert 350 in found


def test_what_is_removed_is_gone_at_once_and_leaves_later(filled: tuple[SqliteStore, list[Memory]]) -> None:
    store, memories = filled
    graph = graph_of(store)
    assert graph is not None
    for number in range(80):
        gone = memories.pop(number * 5)
        store.delete([gone.id])
        assert gone.content not in nearest(store, gone.content)

    graph_of(store)
    assert len(graph) < SIZE - 40
    assert agreement(store, texts_of(memories)) > 0.99


def test_a_worn_out_graph_is_replaced(filled: tuple[SqliteStore, list[Memory]]) -> None:
    store, memories = filled
    worn = graph_of(store)
    for _ in range(7):
        store.delete([memories.pop().id for _ in range(50)])
        fresh = graph_of(store)

    assert fresh is not None
    assert fresh is not worn
    assert fresh._graph.get_current_count() - len(fresh) <= 150  # its own snapshot carries on what it did
    assert agreement(store, texts_of(memories)) > 0.99


def test_a_worn_out_snapshot_is_built_anew(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, built: list[int]
) -> None:
    store, memories = filled
    store.close()
    plain = open_file()
    delete_as_before(plain, [memories.pop() for _ in range(300)])
    plain.close()

    later = open_file(**SMALL)
    graph = graph_of(later)
    assert graph is not None
    assert sum(built) == graph._graph.get_current_count() == 300
    assert agreement(later, texts_of(memories)) > 0.99


@pytest.mark.parametrize("own", [3, 30, 150, 400])
def test_of_what_a_scope_sees_nothing_is_missing(open_file: Open, own: int) -> None:
    store = open_file(**SMALL)
    mine = fill(store, own, session_id="mine")
    add(store, *(memory(f"Theirs {number}", session_id="theirs") for number in range(SIZE - own)))
    assert graph_of(store) is not None

    assert agreement(store, texts_of(mine), Scope("alice", "mine")) > 0.99


def test_where_what_is_seen_lies_apart_it_is_still_found(open_file: Open) -> None:
    """The graph names the nearest of all, and none of them may be seen."""
    store = open_file(**SMALL)
    query = vector_of("xyz")
    noise = np.random.default_rng(0).normal(size=(2 * SIZE, 8), scale=0.1).astype(np.float32)
    hidden = [memory(f"Hidden {number}", session_id="other") for number in range(SIZE)]
    seen = [memory(f"Seen {number}") for number in range(SIZE)]
    store.add(hidden, unit(query + noise[:SIZE]))
    store.add(seen, unit(-query + noise[SIZE:]))
    assert graph_of(store) is not None

    assert {each.split()[0] for each in nearest(store, "xyz")} == {"Seen"}


def test_where_too_many_of_what_is_near_are_hidden_the_visible_are_compared(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hnsw, "_MANY", 200)
    store = open_file(**SMALL)
    mine = fill(store, 150, session_id="mine")
    add(store, *(memory(f"Theirs {number}", session_id="theirs") for number in range(SIZE - 150)))
    assert graph_of(store) is not None

    assert agreement(store, texts_of(mine), Scope("alice", "mine")) == 1


def test_where_the_graph_falls_apart_nothing_is_missing(open_file: Open) -> None:
    """hnswlib links only some of the vectors that are all alike."""
    store = open_file(**SMALL | {"hnsw_m": 2, "hnsw_ef_construction": 20})
    alike = [memory(f"Alike {number}") for number in range(SIZE)]
    store.add(alike, np.tile(vector_of("alike"), (SIZE, 1)))
    assert graph_of(store) is not None

    assert len(nearest(store, "xyz")) == 10
    other = add(store, memory("Unlike"))[0]
    assert nearest(store, "Unlike")[0] == other.content


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_users_have_graphs_of_their_own(open_file: Open) -> None:
    store = open_file(**SMALL)
    alice, bob = fill(store, 300), add(store, *(memory(f"Bob's {number}", "bob") for number in range(300)))
    assert None not in (graph_of(store), graph_of(store, "bob"))

    assert agreement(store, texts_of(alice)) > 0.99
    assert agreement(store, texts_of(bob), "bob") > 0.99


def test_vectors_of_another_embedder_are_never_searched_with_the_old_graph(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open
) -> None:
    memories = filled[1]
    new = open_file("new", **SMALL)
    while batch := new.unembedded(8, 100):
        new.reembed([key for key, _ in batch], vectors_of(content[::-1] for _, content in batch))

    assert nearest(new, memories[7].content[::-1])[0] == memories[7].content
    assert graph_of(new) is not None
    assert nearest(new, memories[7].content[::-1])[0] == memories[7].content


def test_a_user_who_begins_anew_does_so_without_the_old_graph(
    filled: tuple[SqliteStore, list[Memory]],
) -> None:
    store = filled[0]
    store.clear("alice")

    add(store, *(memory(f"New {number}") for number in range(10)))

    assert len(nearest(store, "xyz")) == 10
    assert graph_of(store) is None


def test_a_graph_of_a_user_who_left_meanwhile_is_dropped(
    open_file: Open, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file(**SMALL)
    fill(store)
    add_to_graph = HnswIndex._add

    def meanwhile(self: HnswIndex, *arguments: Any) -> None:
        add_to_graph(self, *arguments)
        if len(self) == SIZE:
            store.clear("alice")
            assert recalled(store) == []

    monkeypatch.setattr(HnswIndex, "_add", meanwhile)

    assert graph_of(store) is None
    assert not any(file.exists() for file in files_of(db_path))


def test_a_graph_of_what_was_there_before_a_backup_was_restored_is_built_anew(
    open_file: Open, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = db_path.with_name("backup.db")
    texts = [f"Restored {number}" for number in range(SIZE)]
    with closing(open_sqlite(backup)) as store:
        add(store, *(memory(text) for text in texts))
    store = open_file(**SMALL)
    fill(store)
    add_to_graph = HnswIndex._add
    built = []

    def meanwhile(self: HnswIndex, *arguments: Any) -> None:
        add_to_graph(self, *arguments)
        if len(self) == SIZE:
            built.append(self)
        if built == [self]:
            with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(db_path)) as target:
                source.backup(target)
            assert set(recalled(store)) <= set(texts)

    monkeypatch.setattr(HnswIndex, "_add", meanwhile)

    assert graph_of(store) is built[1]
    assert agreement(store, texts) > 0.99


def test_without_hnswlib_everything_is_found_and_said_once(
    open_file: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    caplog.set_level(logging.INFO)
    store = open_file(**SMALL)
    texts = texts_of(fill(store))

    for _ in range(3):
        assert graph_of(store) is None
        add(store, memory("One more", "bob"))
    assert agreement(store, texts) == 1
    [record] = caplog.records
    assert 'pip install "headroom-memory[hnsw]"' in record.getMessage()
    assert "alice" not in caplog.text


def test_a_graph_that_cannot_be_built_is_logged_and_nothing_is_missing(
    open_file: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no more memory")

    monkeypatch.setattr(HnswIndex, "_add", fail)
    store = open_file(**SMALL)
    texts = texts_of(fill(store))

    assert graph_of(store) is None
    assert agreement(store, texts) == 1
    assert "it is searched exactly" in caplog.text


def test_who_made_room_for_others_is_not_kept_for_an_index(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file(partition_cache_bytes=1, **SMALL)
    users = ["alice", "bob", "carol"]
    for user in users:
        add(store, *(memory(f"Number {number}", user) for number in range(200)))
    add_to_graph = HnswIndex._add
    begun, go_on = threading.Event(), threading.Event()

    def held(self: HnswIndex, *arguments: Any) -> None:
        begun.set()
        assert go_on.wait(30)
        add_to_graph(self, *arguments)

    monkeypatch.setattr(HnswIndex, "_add", held)
    recalled(store)
    assert begun.wait(30)
    read = WeakSet([store._partitions._cache["alice"]])
    for _ in range(3):
        for user in users:
            recalled(store, scope=user)
            read.add(store._partitions._cache[user])

    # The one that is being indexed, and the one that was used last.
    assert sorted(each.user_id for each in read) == ["alice", "carol"]
    assert len(store._partitions._indexer._waiting) <= len(users)
    go_on.set()
    assert graph_of(store, "carol") is not None


def test_where_no_thread_can_be_started_nothing_is_missing_and_a_later_change_tries_again(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = open_file(**SMALL)
    texts = texts_of(fill(store))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for number in range(2):
            texts += texts_of(add(store, memory(f"One more {number}")))
            assert agreement(store, texts) == 1
    assert graph_of(store) is None

    add(store, memory("And one"))
    assert graph_of(store) is not None


def test_what_no_thread_could_be_started_for_is_closed(
    open_file: Open, db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    store = open_file(**SMALL)
    fill(store)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        recalled(store)
        store.close()

    assert [path.name for path in db_path.parent.iterdir()] == ["memory.db"]


def test_an_index_that_cannot_be_closed_leaves_no_file_open(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled[0]

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(indexing.Indexer, "close", fail)
        with pytest.raises(MemoryError):
            store.close()

    assert sorted(path.name for path in db_path.parent.iterdir()) == ["memory.db", "memory.db-hnsw"]


def test_a_store_closed_while_a_graph_is_built_does_not_wait_for_it(
    open_file: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file(**SMALL)
    fill(store)
    steps: list[int] = []
    closer = threading.Thread(target=store.close)
    add_to_graph = HnswIndex._add

    def closing(self: HnswIndex, *arguments: Any) -> None:
        add_to_graph(self, *arguments)
        steps.append(len(self))
        if len(steps) == 30:
            closer.start()
            while not store._partitions._indexer._closed:
                time.sleep(0.001)

    monkeypatch.setattr(HnswIndex, "_add", closing)
    assert graph_of(store) is None
    closer.join()
    assert len(steps) == 30

    later = open_file(**SMALL)
    monkeypatch.setattr(HnswIndex, "_add", add_to_graph)
    graph = graph_of(later)
    assert graph is not None
    assert len(graph) == SIZE
    assert graph.unsaved == 0


def test_a_store_may_be_closed_by_garbage_collection_in_the_middle_of_a_step(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled[0]
    graph = graph_of(store)
    assert graph is not None
    add(store, *(memory(f"More {number}") for number in range(60)))
    extend = GrowingArray.extend

    def collecting(self: GrowingArray, values: Any) -> None:
        if threading.current_thread().name == "headroom-index" and graph.unsaved > 50:
            store.close()
        extend(self, values)

    monkeypatch.setattr(GrowingArray, "extend", collecting)
    recalled(store)
    for thread in threading.enumerate():
        if thread.name == "headroom-index":
            thread.join()

    assert sorted(path.name for path in db_path.parent.iterdir()) == ["memory.db", "memory.db-hnsw"]


# Snapshots


def files_of(db_path: Path) -> tuple[Path, Path]:
    directory = Path(f"{db_path}-hnsw")
    return directory / "1.hnsw", directory / "1.json"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many vectors were added to graphs, per step."""
    added: list[int] = []
    add_to_graph = HnswIndex._add

    def counting(self: HnswIndex, keys: Any, vectors: Any) -> None:
        added.append(len(keys))
        add_to_graph(self, keys, vectors)

    monkeypatch.setattr(HnswIndex, "_add", counting)
    return added


def test_a_snapshot_saves_building_it_again(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, db_path: Path, built: list[int]
) -> None:
    store, memories = filled
    store.close()
    graph, description = files_of(db_path)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (graph, description)} == {0o600}
    assert stat.S_IMODE(graph.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in graph.parent.iterdir()) == ["1.hnsw", "1.json"]

    later = open_file(**SMALL)
    assert graph_of(later) is not None
    assert sum(built) == 0
    assert agreement(later, texts_of(memories)) > 0.99


def test_a_snapshot_outlives_another_version_of_the_database(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, db_path: Path, built: list[int]
) -> None:
    store, memories = filled
    store.close()
    with closing(sqlite3.connect(db_path)) as connection:
        connection.execute("UPDATE memories SET terms = x''")
        connection.execute("DELETE FROM changes")
        connection.execute("PRAGMA user_version = 3")
        connection.commit()

    later = open_file(**SMALL)
    assert graph_of(later) is not None
    assert sum(built) == 0
    assert agreement(later, texts_of(memories)) > 0.99


def test_a_snapshot_is_caught_up(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, built: list[int]
) -> None:
    store, memories = filled
    store.close()
    plain = open_file()
    gone = [memories.pop(n) for n in (500, 300, 3)]
    delete_as_before(plain, gone)
    memories += add(plain, *(memory(f"Late {number}") for number in range(20)))
    plain.close()

    later = open_file(**SMALL)
    graph = graph_of(later)
    assert graph is not None
    assert sum(built) == 20
    assert len(graph) == len(memories)
    assert agreement(later, texts_of(memories)) > 0.99
    assert not {each.content for each in gone} & {*nearest(later, gone[0].content)}


def truncate(graph: Path, _: Path) -> None:
    os.truncate(graph, graph.stat().st_size // 2)


def empty(graph: Path, _: Path) -> None:
    os.truncate(graph, 0)


def flip(graph: Path, _: Path) -> None:
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 0xFF
    graph.write_bytes(content)


def without_graph(graph: Path, _: Path) -> None:
    graph.unlink()


def without_description(_: Path, description: Path) -> None:
    description.unlink()


def garbled(_: Path, description: Path) -> None:
    description.write_bytes(b"\xff{")


def no_object(_: Path, description: Path) -> None:
    description.write_text("[1, 2]")


def lying(_: Path, description: Path) -> None:
    described = json.loads(description.read_text())
    description.write_text(json.dumps(described | {"last": described["last"] + 5, "count": 1}))


def of_another_format(_: Path, description: Path) -> None:
    described = json.loads(description.read_text())
    description.write_text(json.dumps(described | {"format": 99}))


@pytest.mark.parametrize(
    "damage",
    [truncate, empty, flip, without_graph, without_description, garbled, no_object, lying, of_another_format],
)
def test_a_damaged_snapshot_is_built_anew(
    filled: tuple[SqliteStore, list[Memory]],
    open_file: Open,
    db_path: Path,
    built: list[int],
    damage: Callable[[Path, Path], None],
) -> None:
    store, memories = filled
    store.close()
    damage(*files_of(db_path))

    later = open_file(**SMALL)
    assert graph_of(later) is not None
    expected = 0 if damage is lying else SIZE
    assert sum(built) == expected
    assert agreement(later, texts_of(memories)) > 0.99


def test_a_snapshot_of_another_database_is_built_anew(
    filled: tuple[SqliteStore, list[Memory]], tmp_path: Path, db_path: Path, built: list[int]
) -> None:
    filled[0].close()
    (tmp_path / "elsewhere").mkdir()
    other = open_sqlite(tmp_path / "elsewhere" / "memory.db", **SMALL)
    others = add(other, *(memory(f"Other {number}") for number in range(SIZE)))
    shutil.copytree(f"{db_path}-hnsw", f"{other._pool.path}-hnsw")

    assert graph_of(other) is not None
    assert sum(built) == SIZE
    assert agreement(other, texts_of(others)) > 0.99
    other.close()


def test_a_snapshot_from_the_future_of_a_restored_backup_is_heeded_only_where_it_agrees(
    open_file: Open, db_path: Path, tmp_path: Path
) -> None:
    store = open_file(**SMALL)
    memories = fill(store, 300)
    store.close()
    backup = (tmp_path / "backup.db", db_path.read_bytes())
    backup[0].write_bytes(backup[1])
    store = open_file(**SMALL)
    add(store, *(memory(f"Lost {number}") for number in range(300)))
    assert graph_of(store) is not None
    store.close()
    db_path.write_bytes(backup[1])

    restored = open_file(**SMALL)
    graph = graph_of(restored)
    assert graph is not None
    assert len(graph) == 300
    assert agreement(restored, texts_of(memories)) > 0.99
    memories += add(restored, *(memory(f"Instead {number}") for number in range(120)))
    assert graph_of(restored) is not None
    assert agreement(restored, texts_of(memories)) > 0.99
    restored.close()

    # The keys of what was lost were given to others.
    later = open_file(**SMALL)
    assert graph_of(later) is not None
    assert agreement(later, texts_of(memories)) > 0.99


def test_a_snapshot_that_lacks_what_a_restored_backup_has_is_built_anew(
    open_file: Open, db_path: Path, built: list[int]
) -> None:
    store = open_file(**SMALL)
    memories = fill(store, 300)
    store.close()
    backup = db_path.read_bytes()
    store = open_file(**SMALL)
    store.delete([memories[7].id])
    assert graph_of(store) is not None
    store.close()
    db_path.write_bytes(backup)

    restored = open_file(**SMALL)
    assert graph_of(restored) is not None
    assert sum(built) == 299 + 300
    assert nearest(restored, memories[7].content)[0] == memories[7].content


def test_a_snapshot_made_with_other_parameters_is_built_anew(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, built: list[int]
) -> None:
    filled[0].close()

    later = open_file(**SMALL | {"hnsw_m": 12})
    assert graph_of(later) is not None
    assert sum(built) == SIZE


def test_clearing_a_user_removes_the_snapshot_at_once(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path
) -> None:
    assert all(file.exists() for file in files_of(db_path))

    filled[0].clear("alice")

    assert not any(file.exists() for file in files_of(db_path))
    filled[0].close()
    assert not any(file.exists() for file in files_of(db_path))


def removed_by_id(store: SqliteStore, gone: Memory) -> None:
    assert store.delete([gone.id, "unknown"]) == 1


def removed_with_its_session(store: SqliteStore, gone: Memory) -> None:
    assert store.clear(gone.user_id, gone.session_id) == 1


@pytest.mark.parametrize("remove", [removed_by_id, removed_with_its_session])
def test_what_is_removed_is_in_no_snapshot_from_then_on(
    open_file: Open,
    db_path: Path,
    built: list[int],
    remove: Callable[[SqliteStore, Memory], None],
) -> None:
    store = open_file(**SMALL)
    memories = fill(store)
    gone = add(store, memory("A secret", session_id="s"))[0]
    assert graph_of(store) is not None
    graph = files_of(db_path)[0]
    assert in_graph(gone.content) in graph.read_bytes()

    remove(store, gone)
    assert not any(file.exists() for file in files_of(db_path))

    store.close()
    assert in_graph(gone.content) not in graph.read_bytes()
    assert in_graph(memories[0].content) in graph.read_bytes()
    later = open_file(**SMALL)
    assert graph_of(later) is not None
    assert sum(built) == SIZE + 1
    assert agreement(later, texts_of(memories)) > 0.99


def test_what_removes_nothing_of_a_user_leaves_the_snapshot(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path
) -> None:
    store = filled[0]
    bobs = add(store, memory("Bob's", "bob"))[0]

    store.delete([bobs.id, "unknown"])
    store.clear("alice", "no such session")

    assert all(file.exists() for file in files_of(db_path))


def test_a_graph_that_has_much_to_forget_when_it_is_closed_is_built_anew_later(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, db_path: Path, built: list[int]
) -> None:
    store, memories = filled
    store.delete([memories.pop().id for _ in range(60)])
    store.close()
    assert not any(file.exists() for file in files_of(db_path))

    assert graph_of(open_file(**SMALL)) is not None
    assert sum(built) == SIZE - 60


@pytest.mark.usefixtures("filled")
def test_vectors_of_an_embedder_that_was_replaced_come_back_with_no_snapshot(
    open_file: Open, db_path: Path
) -> None:
    old, new = open_file(**SMALL), open_file("new", **SMALL)
    assert graph_of(old) is not None
    while batch := new.unembedded(8, 100):
        new.reembed([key for key, _ in batch], vectors_of(content[::-1] for _, content in batch))

    old.close()

    assert not any(file.exists() for file in files_of(db_path))


def test_a_snapshot_that_cannot_be_removed_is_an_error_that_says_which(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path
) -> None:
    graph = files_of(db_path)[0]
    graph.unlink()
    graph.mkdir()

    with pytest.raises(StorageError, match=r"1\.hnsw: it cannot be removed"):
        filled[0].clear("alice")

    assert recalled(filled[0]) == []


def test_vacuum_removes_snapshots_of_what_was_removed_and_keeps_the_others(
    filled: tuple[SqliteStore, list[Memory]], open_file: Open, db_path: Path
) -> None:
    store, memories = filled
    secret = in_graph(memories[5].content)
    store.vacuum(NOW)
    assert secret in files_of(db_path)[0].read_bytes()

    store.delete([memories[5].id])
    store.vacuum(NOW)

    directory = files_of(db_path)[0].parent
    assert [path.name for path in directory.iterdir()] == []
    store.close()
    assert secret not in files_of(db_path)[0].read_bytes()
    later = open_file(**SMALL)
    assert graph_of(later) is not None
    assert secret not in files_of(db_path)[0].read_bytes()


def test_a_graph_that_is_saved_again_has_nothing_of_what_was_removed(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path
) -> None:
    store, memories = filled
    secrets = [in_graph(each.content) for each in memories[:60]]
    store.delete([each.id for each in memories[:60]])
    assert graph_of(store) is not None
    store.close()

    content = files_of(db_path)[0].read_bytes()
    assert not any(secret in content for secret in secrets)
    assert in_graph(memories[60].content) in content


def test_what_is_removed_while_a_snapshot_is_written_does_not_come_back_with_it(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, memories = filled
    write = HnswIndex.save

    def meanwhile(self: HnswIndex, path: str) -> tuple[int, int]:
        written = write(self, path)
        store.delete([memories[5].id])
        store.vacuum(NOW)
        return written

    monkeypatch.setattr(HnswIndex, "save", meanwhile)
    add(store, *(memory(f"More {number}") for number in range(60)))
    assert graph_of(store) is not None
    store.close()

    assert not any(file.exists() for file in files_of(db_path))


def test_files_that_were_never_finished_are_removed_when_they_are_old(
    filled: tuple[SqliteStore, list[Memory]], db_path: Path
) -> None:
    directory = files_of(db_path)[0].parent
    old, new = directory / "old.part", directory / "new.part"
    for part in (old, new):
        part.write_bytes(b"half a graph")
    long_ago = (NOW - 10_000 * DAY).timestamp()
    os.utime(old, (long_ago, long_ago))
    (directory / "7.json").write_text("no description")
    (directory / "notes.json").write_text("somebody else's")

    filled[0].vacuum(NOW + SECOND)

    left = sorted(path.name for path in directory.iterdir())
    assert left == ["1.hnsw", "1.json", "new.part", "notes.json"]


def test_a_snapshot_that_cannot_be_written_is_logged_and_the_one_before_stays(
    filled: tuple[SqliteStore, list[Memory]],
    db_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = filled[0]
    before = files_of(db_path)[0].read_bytes()

    def full(*_: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(HnswIndex, "save", full)
    add(store, *(memory(f"More {number}") for number in range(60)))
    graph_of(store)
    store.close()

    assert "could not save an index" in caplog.text
    assert files_of(db_path)[0].read_bytes() == before
    assert sorted(path.name for path in files_of(db_path)[0].parent.iterdir()) == ["1.hnsw", "1.json"]


def test_two_stores_on_one_file_keep_each_a_graph(open_file: Open) -> None:
    here, there = open_file(**SMALL), open_file(**SMALL)
    memories = fill(here)
    assert None not in (graph_of(here), graph_of(there))
    memories += add(there, *(memory(f"There {number}") for number in range(60)))
    here.delete([memories.pop(0).id])

    for store in (here, there):
        assert agreement(store, texts_of(memories)) > 0.99


def test_an_error_of_the_database_while_saving_is_logged(
    filled: tuple[SqliteStore, list[Memory]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = filled[0]

    def broken(*_: object) -> None:
        raise StorageError("the disk failed")

    monkeypatch.setattr(snapshots.Snapshots, "_check", broken)
    add(store, *(memory(f"More {number}") for number in range(60)))
    graph_of(store)
    store.close()

    assert "could not save an index" in caplog.text


def test_after_a_restore_the_graph_is_of_what_was_restored(db_path: Path, open_file: Open) -> None:
    store = open_file(**SMALL)
    fill(store)
    assert graph_of(store) is not None
    backup = db_path.with_name("backup.db")
    with closing(open_sqlite(backup, **SMALL)) as other:
        add(other, *(memory(f"Other {number}") for number in range(SIZE)))

    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(db_path)) as target:
        source.backup(target)

    for _ in range(2):
        assert [nearest(store, f"Other {number}")[0] for number in range(5)] == [
            f"Other {number}" for number in range(5)
        ]
        assert graph_of(store) is not None


def test_a_database_has_its_snapshots_in_one_place_whatever_it_is_called(
    db_path: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(db_path)
    with closing(open_sqlite(link, **SMALL)) as store:
        fill(store)
        assert graph_of(store) is not None
    assert list(tmp_path.rglob("*.hnsw")) != []

    with closing(open_sqlite(db_path, **SMALL)) as store:
        store.clear("alice")

    assert list(tmp_path.rglob("*.hnsw")) == []
