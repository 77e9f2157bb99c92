"""Several threads, several engines on one file: each change happens once, and none is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from headroom.errors import MemorySupersededError
from headroom.memory import Engine, MemoryFilter

THREADS = 8


def at_once(work: Callable[[int], object]) -> list[object]:
    """What `work(0)`, `work(1)`, … returned or raised, all started at the same moment."""
    barrier = Barrier(THREADS)

    def one(number: int) -> object:
        barrier.wait()
        try:
            return work(number)
        except MemorySupersededError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


@pytest.fixture(params=["one engine", "two engines"])
def engines(
    request: pytest.FixtureRequest, engine: Engine, open_engine: Callable[..., Engine]
) -> list[Engine]:
    return [engine] if request.param == "one engine" else [engine, open_engine()]


def test_of_two_who_supersede_one_version_exactly_one_wins(engines: list[Engine]) -> None:
    for attempt in range(10):
        old = engines[0].add(f"Works at company {attempt}", "alice")

        results = at_once(lambda n, old=old: engines[n % len(engines)].supersede(old.id, f"Works at {n}"))

        (winner,) = (result for result in results if not isinstance(result, MemorySupersededError))
        losers = [result for result in results if isinstance(result, MemorySupersededError)]
        assert len(losers) == THREADS - 1
        assert {loser.current_id for loser in losers} == {winner.id}  # type: ignore[attr-defined]
        assert [version.id for version in engines[-1].get_history(old.id)] == [old.id, winner.id]  # type: ignore[attr-defined]


def test_the_same_text_added_at_once_is_stored_once(engines: list[Engine]) -> None:
    results = at_once(lambda n: engines[n % len(engines)].add("Likes tea", "alice"))

    assert len({memory.id for memory in results}) == 1  # type: ignore[attr-defined]
    assert engines[0].count("alice") == 1


def test_rollbacks_at_once_build_one_chain(engines: list[Engine]) -> None:
    versions = [engines[0].add("Lives in town 0", "alice")]
    for number in range(1, THREADS):
        versions.append(engines[0].supersede(versions[-1].id, f"Lives in town {number}"))

    at_once(lambda n: engines[n % len(engines)].rollback(versions[n].id))

    (current,) = engines[0].query(MemoryFilter(user_id="alice"))
    history = engines[-1].get_history(versions[0].id)
    assert [version.id for version in history[:THREADS]] == [version.id for version in versions]
    assert history[-1] == current
    assert len({version.supersedes for version in history}) == len(history)


def test_adding_searching_and_clearing_at_once_is_safe(engines: list[Engine]) -> None:
    def work(number: int) -> None:
        engine, user = engines[number % len(engines)], f"user {number % 2}"
        for step in range(15):
            engine.add(f"Memory {number} {step}", user)
            assert all(found.user_id == user for found in engine.search("memory", user))
            if step == 7 and number == 0:
                engine.clear(user)

    at_once(work)

    expected = {f"Memory {number} {step}" for number in (1, 3, 5, 7) for step in range(15)}
    for engine in engines:
        assert {memory.content for memory in engine.query(MemoryFilter(user_id="user 1"))} == expected
