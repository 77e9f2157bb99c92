"""Another process at work on the same file; started as a script, told what to do by its arguments."""

import os
import random
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable

from store_material import add, memory, open_sqlite, recalled, request

from headroom.memory.stores.sqlite import SqliteStore
from headroom.memory.stores.sqlite.schema import key_range


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def converse(path: str) -> None:
    """Do what each line says: "add TEXT" or "recall TEXT"; answer with a line."""
    store = open_sqlite(path)
    for line in sys.stdin:
        command, text = line.rstrip("\n").split(" ", 1)
        if command == "add":
            add(store, memory(text, id=f"{os.getpid()} {text}"))
            say("added")
        else:
            say("|".join(recalled(store, text)))
    store.close()


def add_many(path: str, name: str, count: str) -> None:
    """Wait for a line, then open the file and add as fast as possible."""
    sys.stdin.readline()
    store = open_sqlite(path)
    for number in range(int(count)):
        add(store, memory(f"{name} {number}", f"user {number % 3}", id=f"{name} {number}"))
    store.close()


def kill_writers(path: str, times: str) -> None:
    """Have children write, and kill them at any moment; check what is there, and say how much was stored."""
    chance = random.Random(0)
    acknowledged: set[str] = set()
    for life in range(int(times)):
        acknowledged |= _life(path, life, chance)
        store = open_sqlite(path)
        stored = {each.id for each in store.dump()}
        assert acknowledged <= stored, f"lost: {acknowledged - stored}"
        check_file(path, store)
        store.close()
    say(f"stored {len(acknowledged)}")


def _life(path: str, life: int, chance: random.Random) -> set[str]:
    """One child's life: the ids that it said were stored before it was killed."""
    here, there = os.pipe()
    if not (child := os.fork()):
        store = open_sqlite(path)
        for number in range(1_000_000):
            name = f"{life}-{number}"
            old = add(store, memory(f"{name} is what is said", f"user {number % 3}", id=name))
            os.write(there, f"{name}\n".encode())
            if number % 5 == 4:
                store.delete([old[0].id])
                add(store, memory(f"{name} is said once more", id=name))
                os.write(there, f"{name}\n".encode())
    os.close(there)
    with os.fdopen(here) as lines:
        said = [next(lines) for _ in range(chance.randrange(8))]
        time.sleep(chance.random() / 200)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        said += lines
    # What is deleted after it was said is missing for a moment, before it is stored once more.
    said = [line.strip() for line in said]
    return {name for name in said if int(name.split("-")[1]) % 5 != 4 or said.count(name) > 1}


def check_file(path: str, store: SqliteStore) -> None:
    """The file is sound, text index and vectors agree with the rows, and recall works."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    # Compares the text index with the contents; it raises an error where they differ.
    connection.execute("INSERT INTO memory_text (memory_text, rank) VALUES ('integrity-check', 1)")
    connection.rollback()
    keys = connection.execute("SELECT key FROM memories ORDER BY key").fetchall()
    assert connection.execute("SELECT key FROM embeddings ORDER BY key").fetchall() == keys
    for user, name, last in connection.execute("SELECT user, name, last FROM users").fetchall():
        low, high = key_range(user)
        rows = [key for (key,) in keys if low <= key <= high]
        assert not rows or rows[-1] <= low + last
        texts = [each.content for each in store.dump(name)]
        assert len(texts) == len(rows)
        if texts:
            found = store.candidates(request(texts[-1], name))
            assert max(found.evidence.cosine) > 1 - 1e-6
    connection.close()


def fork_while_open(path: str) -> None:
    """Fork with an open store: both sides write, and the parent closes its store while the child writes."""
    store = open_sqlite(path)
    add(store, memory("Before the fork"))
    recalled(store)
    pipe = os.pipe(), os.pipe()
    if not (child := os.fork()):
        add(store, memory("By the child, while the parent has it open", id="c1"))
        os.write(pipe[0][1], b".")
        os.read(pipe[1][0], 1)
        add(store, memory("By the child, after the parent closed it", id="c2"))
        assert len(recalled(store)) == 3, recalled(store)
        os.write(pipe[0][1], b".")
        os.read(pipe[1][0], 1)
        assert len(recalled(store)) == 4, recalled(store)
        store.close()
        os._exit(0)
    os.read(pipe[0][0], 1)
    store.close()
    os.write(pipe[1][1], b".")
    os.read(pipe[0][0], 1)
    store = open_sqlite(path)
    add(store, memory("By the parent"))
    os.write(pipe[1][1], b".")
    assert os.waitpid(child, 0)[1] == 0
    assert len(recalled(store)) == 4, recalled(store)
    store.close()
    check_file(path, store := open_sqlite(path))
    store.close()
    say("done")


def fork_while_busy(path: str) -> None:
    """Fork again and again while other threads write and recall; every child does so too."""
    store = open_sqlite(path)
    done = threading.Event()
    written: list[str] = []

    def write(name: str) -> None:
        number = 0
        while not done.is_set():
            written.append(add(store, memory(f"{name} {number}", id=f"{name} {number}"))[0].id)
            number += 1

    def read() -> None:
        while not done.is_set():
            recalled(store)

    threads = [threading.Thread(target=write, args=(f"thread {n}",)) for n in range(2)]
    threads += [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for life in range(20):
        if not (child := os.fork()):
            add(store, memory(f"child {life}", id=f"child {life}"))
            assert recalled(store)
            store.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        written.append(f"child {life}")
    done.set()
    for thread in threads:
        thread.join()
    assert {each.id for each in store.dump()} == set(written)
    check_file(path, store)
    store.close()
    say("done")


def fork_while_indexing(path: str) -> None:
    """Fork again and again while a graph is built; every child has answers, and may build one of its own."""
    store = open_sqlite(path, index_threshold=200)
    add(store, *(memory(f"Number {number}") for number in range(3_000)))
    for life in range(20):
        found = store.candidates(request("Number 7"))
        assert max(found.evidence.cosine) > 1 - 1e-6
        if not (child := os.fork()):
            add(store, memory(f"child {life}", id=f"child {life}"))
            found = store.candidates(request(f"child {life}"))
            assert max(found.evidence.cosine) > 1 - 1e-6
            store.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    store.close()
    say("done")


def limited(path: str, size: str) -> None:
    """Write until a file grows larger than the operating system lets it; then read and write again."""
    import resource  # noqa: PLC0415 - where there is no such limit, this is not called

    from headroom.errors import StorageError  # noqa: PLC0415

    store = open_sqlite(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), resource.RLIM_INFINITY))
    stored: list[str] = []
    try:
        while True:
            text = f"Number {len(stored)} " + "x" * 2_000
            add(store, memory(text))
            stored.append(text)
    except StorageError as error:
        say(str(error))
    assert [each.content for each in store.dump()] == stored
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    add(store, memory("There is room again"))
    check_file(path, store)
    store.close()
    say(f"stored {len(stored)}")


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command
    for command in (
        converse,
        add_many,
        kill_writers,
        fork_while_open,
        fork_while_busy,
        fork_while_indexing,
        limited,
    )
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
